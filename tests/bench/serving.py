"""What serving costs: requests in parallel, beside the same products through `Predictor.predict`.

    python tests/bench/serving.py                     200 products of the sample, with the heads that `prodemb run` made
    python tests/bench/serving.py --heads heads/category --products 1000 --requests-of 10

In each round the products are predicted in one call, asked for one at a time by one client, by a client each at once,
and by clients with several products each at once. The clients are a process beside the server and decode nothing before
all answers are there; pictures go as base64. Latencies are those of all rounds together, from before the connection
to the last byte; products per second are medians of the rounds. The bench fails where an answer is another client's.
"""

import argparse
import base64
import json
import statistics
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from measure import RowError, busy_seconds, in_own_process, in_turn
from report import Failure, figure, options_parser, reporting, table

from prodemb.catalog.images import ImagesConfig
from prodemb.predict.predictor import Predictor
from prodemb.sample.catalog import write_sample
from prodemb.serve.app import create_app
from prodemb.serve.config import ServeConfig
from prodemb.serve.schema import Product
from prodemb.serve.server import Server, bound_socket

CLIENTS = Path(__file__).with_name("clients.py")
BATCH = "Predictor.predict"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One way to ask for all products."""

    seconds: list[float]
    """Of each round."""
    products_per_s: float
    p50_ms: float | None
    """Of a request; None where there are none."""
    p95_ms: float | None
    cpu_ms: float
    """Of all processes of the machine, per product."""


def products_of(catalog: Path, *, num_products: int) -> list[dict[str, Any]]:
    """Products with the bytes of their pictures, where these can be read."""
    frame = pl.read_parquet(catalog, n_rows=num_products)
    rows = frame.select(name for name in Product.model_fields if name in frame.columns).to_dicts()
    for row in rows:
        path = catalog.parent / (row.get("image") or "")
        row["image"] = path.read_bytes() if path.is_file() else None
    return rows


def bodies(products: Sequence[dict[str, Any]], *, size: int) -> list[str]:
    """Requests of so many products each."""
    shown = [
        product | {"image": base64.b64encode(product["image"]).decode() if product["image"] else None}
        for product in products
    ]
    return [json.dumps({"products": shown[start : start + size]}) for start in range(0, len(shown), size)]


@contextmanager
def served(predictor: Predictor, *, config: ServeConfig) -> Iterator[tuple[str, int]]:
    """A server in a thread; its host and port."""
    ready = threading.Event()
    with bound_socket(config) as sock, ThreadPoolExecutor(1) as thread:
        address = sock.getsockname()
        server = Server(create_app(predictor, config=config, images=ImagesConfig()), config=config, on_ready=ready.set)
        ended = thread.submit(server.run, [sock])
        try:
            if not ready.wait(30):
                raise RowError("the server did not start")
            yield address
        finally:
            server.should_exit = True
            ended.result()


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Row]:
    """All rows."""
    catalog = options.catalog or write_sample(folder / "sample", num_products=options.products, seed=5)
    products = products_of(catalog, num_products=options.products)
    predictor = Predictor.load(options.heads)
    singles, several = bodies(products, size=1), bodies(products, size=options.requests_of)
    ways = {
        "requests of 1, one at a time": [singles],
        f"requests of 1, {len(singles)} at a time": [[body] for body in singles],
        f"requests of {options.requests_of}, {len(several)} at a time": [[body] for body in several],
    }
    answers: dict[str, list[dict[str, Any]]] = {name: [] for name in ways}
    busy: dict[str, list[float]] = {name: [] for name in (BATCH, *ways)}

    def ask(name: str, address: tuple[str, int]) -> None:
        before = busy_seconds()
        answers[name].append(in_own_process(str(CLIENTS), address[0], str(address[1]), str(folder / f"{name}.json")))
        busy[name].append(busy_seconds() - before)

    def predict() -> None:
        before = busy_seconds()
        predictor.predict(products)
        busy[BATCH].append(busy_seconds() - before)

    for name, clients in ways.items():
        (folder / f"{name}.json").write_text(json.dumps(clients))
    config = ServeConfig(port=0, max_waiting=max(ServeConfig().max_waiting, len(products)))
    with served(predictor, config=config) as address:
        asking = {name: lambda name=name: ask(name, address) for name in ways}
        seconds = in_turn({BATCH: predict, **asking}, rounds=options.repeat)
    rows = {BATCH: _row(seconds[BATCH], latencies=[], busy=busy[BATCH][1:], num_products=len(products))}
    for name, found in answers.items():
        if any(each["product_ids"] != [product["product_id"] for product in products] for each in found):
            raise RowError(f"{name}: answers are missing or another's")
        rows[name] = _row(
            [each["seconds"] for each in found[1:]],
            latencies=[latency for each in found[1:] for latency in each["latencies"]],
            busy=busy[name][1:],
            num_products=len(products),
        )
    return rows


def _row(seconds: list[float], *, latencies: list[float], busy: list[float], num_products: int) -> Row:
    percentiles = statistics.quantiles(latencies, n=20, method="inclusive") if latencies else None
    return Row(
        seconds=seconds,
        products_per_s=num_products / statistics.median(seconds),
        p50_ms=percentiles[9] * 1000 if percentiles else None,
        p95_ms=percentiles[18] * 1000 if percentiles else None,
        cpu_ms=statistics.median(busy) * 1000 / num_products,
    )


def main() -> None:
    parser = options_parser(__doc__)
    parser.add_argument("--heads", type=Path, nargs="+", default=[Path("heads")], help="their folders [heads]")
    parser.add_argument("--catalog", type=Path, help="a Parquet catalog with the standard columns [the sample]")
    parser.add_argument("--products", type=int, default=200, help="asked for [200]")
    parser.add_argument("--requests-of", type=int, default=10, help="products of the larger requests [10]")
    parser.add_argument("--repeat", type=int, default=5, help="rounds [5]")
    options = parser.parse_args()
    with reporting(options) as report, tempfile.TemporaryDirectory(prefix="prodemb-bench-") as folder:
        rows = report.attempt("serving", lambda: measure(options, Path(folder)))
        if isinstance(rows, Failure):
            return
        columns = ("serving", "products/s", "to predict", "p50 ms", "p95 ms", "CPU ms per product")
        batch = rows[BATCH].products_per_s
        report.add(table(columns, rows, cells=lambda row: _cells(row, batch=batch)), rows=rows)


def _cells(row: Row, *, batch: float) -> list[str]:
    rates = (figure(row.products_per_s, digits=1), figure(row.products_per_s / batch))
    return [*rates, *(figure(value, digits=1) for value in (row.p50_ms, row.p95_ms, row.cpu_ms))]


if __name__ == "__main__":
    main()
