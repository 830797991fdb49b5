"""Reading speed of prodemb's formats, beside polars' own readers (CSV, JSON lines) and beside iterparse (XML).

    python tests/bench/reading.py [--rows 1000000] [--json]

Each reader runs in a process of its own, over the same generated rows (eight columns, a third of the descriptions
quoted, one row in fifty with an embedded newline), which lie in the page cache. prodemb reads all columns in batches of
8,192 rows; polars collects the whole table of texts; iterparse builds each record's dictionary and clears it. Memory is
the process's peak, and by how much that is above the same reader's over a tenth of the rows: near 0 where it is flat.
Of a machine that others use too, the seconds of CPU say more than those of the clock, and are given as well.
"""

import json
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from xml.sax.saxutils import escape

from measure import RowError, in_own_process

READERS = ("csv prodemb", "csv polars", "jsonl prodemb", "jsonl polars", "xml prodemb", "xml iterparse")
NAMES = ("id", "title", "description", "brand", "product_type", "image_link", "price", "google_product_category")
_WORDS = ("Aster", "Brook", "Cinder", "Dapple", "Ember", "Fennel", "Gale", "Heron", "Isle", "Juniper", "Larch", "Marl")


@dataclass(frozen=True, kw_only=True)
class Rate:
    """How fast a reader was, and what it took."""

    reader: str
    rows: int
    seconds: float
    cpu_seconds: float
    rows_per_second: int
    rows_per_cpu_second: int
    peak_mb: float
    growth_mb: float
    """Peak above that over a tenth of the rows."""


def row(number: int) -> tuple[str, ...]:
    """The values of a generated row."""
    first, second = _WORDS[number % 12], _WORDS[number // 12 % 12]
    comma = "," if number % 3 == 0 else " and"
    newline = "\n" if number % 50 == 0 else " "
    return (
        f"SKU-{number:07d}",
        f"{first} {second} Desk Lamp {number % 97}",
        f"Bends at two joints{comma} throws warm light.{newline}Comes with a bag and a card that says who made it.",
        f"Maker {number % 500}",
        "Living > Lighting > Lamps",
        f"https://img.example.com/reading/{number:07d}.jpg",
        f"{number % 90 + 3}.{number % 100:02d} EUR",
        "4636",
    )


def write_feed(path: Path, *, num_rows: int, kind: str) -> None:
    """Write generated rows as CSV, JSON lines or RSS."""
    with path.open("w", encoding="utf-8", newline="") as file:
        if kind == "csv":
            file.write(",".join(NAMES) + "\n")
        elif kind == "xml":
            file.write('<?xml version="1.0"?>\n<rss xmlns:g="http://base.google.com/ns/1.0" version="2.0"><channel>\n')
        for number in range(num_rows):
            values = row(number)
            if kind == "csv":
                file.write(
                    ",".join(f'"{value}"' if "," in value or "\n" in value else value for value in values) + "\n"
                )
            elif kind == "jsonl":
                file.write(json.dumps(dict(zip(NAMES, values, strict=True))) + "\n")
            else:
                inside = "".join(
                    f"<g:{name}>{escape(value)}</g:{name}>" for name, value in zip(NAMES, values, strict=True)
                )
                file.write(f"<item>{inside}</item>\n")
        if kind == "xml":
            file.write("</channel></rss>\n")


def read(reader: str, path: Path) -> int:
    """Read a feed with one of the readers; how many rows that were."""
    if reader.endswith(" prodemb"):
        from prodemb.catalog.formats import open_source

        return sum(len(batch.rows) for batch in open_source(path).batches())
    if reader == "xml iterparse":
        count = 0
        for _, element in ET.iterparse(path):
            if element.tag == "item":
                count += bool({child.tag: child.text for child in element})
                element.clear()
        return count
    import polars as pl

    if reader == "csv polars":
        return pl.read_csv(path, infer_schema=False).height
    return pl.read_ndjson(path, schema=dict.fromkeys(NAMES, pl.String)).height


def measure(reader: str, *, num_rows: int, folder: Path) -> Rate:
    """One reader over `num_rows` rows, and over a tenth of them."""
    kind = reader.split()[0]
    found = []
    for rows in (max(1, num_rows // 10), num_rows):
        path = folder / f"{rows}.{kind}"
        if not path.exists():
            write_feed(path, num_rows=rows, kind=kind)
        path.read_bytes()  # into the page cache
        found.append(in_own_process(__file__, "--reader", reader, "--feed", str(path)))
    small, large = found
    if large["rows"] != num_rows:
        raise RowError(f"read {large['rows']:,} rows, wanted {num_rows:,}")
    return Rate(
        reader=reader,
        rows=num_rows,
        seconds=round(large["seconds"], 3),
        cpu_seconds=round(large["cpu_seconds"], 3),
        rows_per_second=round(num_rows / large["seconds"]),
        rows_per_cpu_second=round(num_rows / large["cpu_seconds"]),
        peak_mb=round(large["peak_mb"], 1),
        growth_mb=round(large["peak_mb"] - small["peak_mb"], 1),
    )


def read_once(reader: str, feed: Path) -> dict[str, float]:
    """What one reader takes over a feed, in this process."""
    import prodemb.catalog.formats  # noqa: F401 - importing is not measured

    started, cpu_started = time.perf_counter(), time.process_time()
    rows = read(reader, feed)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    # Not getrusage's, which a process takes over from the one that started it.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        "rows": rows,
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "peak_mb": int(status["VmHWM"].split()[0]) / 1024,
    }


def main() -> None:
    """Time each reader and print the table."""
    if sys.argv[1:2] == ["--reader"]:
        _, reader, _, feed = sys.argv[1:]
        print(json.dumps(read_once(reader, Path(feed))))
        return
    # It loads torch, which must not count in the memory of a reader.
    from report import figure, options_parser, reporting, table

    parser = options_parser(__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="generated rows [1000000]")
    options = parser.parse_args()
    with reporting(options) as report, tempfile.TemporaryDirectory(prefix="prodemb-bench-") as folder:
        rows = {
            reader: report.attempt(reader, partial(measure, reader, num_rows=options.rows, folder=Path(folder)))
            for reader in READERS
        }

        def cells(rate: Rate) -> list[str]:
            figures = (rate.rows_per_second, rate.rows_per_cpu_second, rate.peak_mb, rate.growth_mb)
            return [figure(value, digits=0) for value in figures]

        columns = ["reader", "rows/s", "rows per CPU s", "peak MB", "growth MB"]
        report.add(f"{options.rows:,} rows\n\n{table(columns, rows, cells=cells)}", rows=rows)


if __name__ == "__main__":
    main()
