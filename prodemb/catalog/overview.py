"""What was made of a catalog: its files, what each column is taken for, how many products came out, what is lost."""

from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prodemb.catalog.picture_roots import located
from prodemb.catalog.plan import FilePlan
from prodemb.catalog.reader import Catalog
from prodemb.catalog.urls import is_address, object_of
from prodemb.core.bounded import parquet_footer
from prodemb.core.errors import CatalogError, OutputError
from prodemb.core.features import CATALOG_COLUMNS, GOLD_LABELS, PARTNER, PRODUCT_COLUMNS
from prodemb.core.files import replacing
from prodemb.core.text import counted
from prodemb.storage.address import Address, Place

NUM_SAMPLES = 2
"""Values that are shown of each column."""
MAX_LOOKED_FOR = 10_000
"""Local pictures that are looked for."""
MAX_ASKED_FOR = 500
"""The same in a bucket, where each is a request."""
MAX_MISSING_PICTURES = 0.1
"""A larger share of local pictures that are not there is said as loudly as lost rows."""
MIN_TITLED = 0.5
"""Likewise a smaller share of products with a title."""
_BATCH_ROWS = 8_192
_MARK = b"prodemb.catalog"
"""In the Parquet metadata of what is written."""


@dataclass(frozen=True, kw_only=True)
class FileOverview:
    """A file of the catalog, and what it is."""

    path: Place
    label: str
    format: str
    compression: str | None
    encoding: str | None
    delimiter: str | None
    header_row: int | None
    num_rows: int
    """Rows that could be read."""
    unused: tuple[str, ...]
    """Columns that are taken for nothing."""


@dataclass(frozen=True, kw_only=True)
class ColumnUse:
    """A standard column, what it comes from, and two of its values."""

    standard: str
    own: str
    """The file's column; empty where values are made."""
    reason: str
    samples: tuple[str, ...]
    files: tuple[str, ...] = ()
    """The labels of the files where it is so; empty where it is so in all."""


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """Rows that are no products of their own, and why."""

    reason: str
    count: int
    example: str
    """Where the first of them stands."""
    is_lost: bool
    """Whether something a user would want is gone with them."""
    is_repeated_id: bool = False
    """Whether they are products whose id an earlier one has."""


@dataclass(frozen=True, kw_only=True)
class Overview:
    """What was made of a catalog."""

    path: str
    files: tuple[FileOverview, ...]
    columns: tuple[ColumnUse, ...]
    num_rows: int
    """Rows, those that cannot be read included."""
    num_products: int
    num_titled: int
    num_pictured: int
    num_labelled: int
    """Products with a gold category or brand."""
    num_made_ids: int
    left_out: tuple[LeftOut, ...]
    num_pictures_looked_for: int
    num_pictures_missing: int
    notes: tuple[str, ...]
    max_lost_rate: float
    advice: tuple[str, ...] = ()
    """What would keep what is lost."""

    @property
    def num_lost(self) -> int:
        """Rows and products that are lost."""
        return sum(each.count for each in self.left_out if each.is_lost)

    @property
    def lost_rate(self) -> float:
        """Their share of all rows."""
        return self.num_lost / max(1, self.num_rows)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What must be said first and loudly."""
        found = []
        if self.lost_rate > self.max_lost_rate:
            found.append(f"{self.num_lost:,} of {counted(self.num_rows, 'row')} are lost ({self.lost_rate:.1%})")
        if self.num_titled < MIN_TITLED * self.num_products:
            found.append(
                f"{self.num_products - self.num_titled:,} of {counted(self.num_products, 'product')} have no title"
            )
        if self.num_pictures_missing > MAX_MISSING_PICTURES * max(1, self.num_pictures_looked_for):
            looked_for = counted(self.num_pictures_looked_for, "picture")
            found.append(f"{self.num_pictures_missing:,} of {looked_for} looked for are not there")
        return tuple(found)


def read_through(catalog: Catalog, *, out: Path | None = None) -> Overview:
    """Read a whole catalog, and write it in the standard form where `out` is given.

    The file has the standard columns, `partner` and `split`, one row per product, plain texts; `image` is text, with
    local pictures as absolute paths, or bytes where the catalog holds pictures.

    Raises:
        CatalogError: no product is found, ids repeat though they may not, or `out` is a file of the catalog itself.
        OutputError: the file cannot be written, or is there with something else in it.
    """
    own = [file.path.resolve() for file in catalog.files if isinstance(file.path, Path)]
    if out is not None and out.resolve() in own:
        raise CatalogError(f"{out}: is a file of the catalog that is read, wanted another name")
    if out is not None and out.exists() and not _is_written_here(out):
        raise OutputError(f"{out}: holds something that `prodemb read` did not write, and is not replaced")
    reading = _Reading(catalog)
    if not catalog.index.num_products:
        catalog.check_ids()
    with nullcontext() if out is None else replacing(out) as temporary:
        writer: pq.ParquetWriter | None = None
        try:
            num_rows = _BATCH_ROWS if catalog.image_kind != "bytes" else 256
            for table in catalog.batches(num_rows, columns=PRODUCT_COLUMNS):
                reading.take(table)
                if temporary is not None:
                    whole = reading.with_paths(table)
                    schema = whole.schema.with_metadata({_MARK: b"1"})
                    writer = writer or pq.ParquetWriter(temporary, schema, compression="zstd")
                    writer.write_table(whole)
        except OSError as error:
            raise OutputError(f"{out}: cannot be written: {error.strerror or error}") from error
        finally:
            if writer is not None:
                writer.close()
    return reading.overview()


def _is_written_here(path: Path) -> bool:
    """Whether a file is a standard catalog that an earlier reading wrote."""
    try:
        return _MARK in (parquet_footer(path).metadata or {})
    except (OSError, ValueError):
        return False


class _Reading:
    """Counts of a pass over a catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._counts: Counter[str] = Counter()
        self._samples: dict[tuple[str, str], list[str]] = {}
        self._looked_for = self._missing = 0

    def take(self, table: pa.Table) -> None:
        """Count a batch."""
        self._counts["products"] += table.num_rows
        for name in ("title", "image"):
            self._counts[name] += table.num_rows - table.column(name).null_count
        labelled = [pc.is_valid(table.column(name)) for name in GOLD_LABELS]
        self._counts["label"] += pc.sum(pc.or_(*labelled)).as_py() or 0
        files = self._catalog.files
        labels = table.column(PARTNER).to_pylist() if len(files) > 1 else [files[0].label] * table.num_rows
        for name in CATALOG_COLUMNS:
            self._take_samples(name, table.column(name), labels)
        if self._catalog.image_kind == "path":
            most = MAX_ASKED_FOR if isinstance(self._catalog.image_root, Address) else MAX_LOOKED_FOR
            for value in table.column("image").drop_null().to_pylist():
                if self._looked_for >= most:
                    break
                if not is_address(value):
                    self._looked_for += 1
                    self._missing += located(value, root=self._catalog.image_root) is None

    def _take_samples(self, name: str, column: pa.ChunkedArray, labels: list[str]) -> None:
        there = {label for key, label in self._samples if key == name and len(self._samples[key, label]) >= NUM_SAMPLES}
        if there >= {*labels}:
            return
        for value, label in zip(column.to_pylist(), labels, strict=True):
            kept = self._samples.setdefault((name, label), [])
            shown = f"({len(value):,} bytes)" if isinstance(value, bytes) else value
            if shown is not None and len(kept) < NUM_SAMPLES and shown not in kept:
                kept.append(shown)

    def with_paths(self, table: pa.Table) -> pa.Table:
        """A batch whose local pictures are absolute paths, so that they are found from anywhere."""
        if self._catalog.image_kind != "path":
            return table
        root = self._catalog.image_root
        paths = [_absolute(value, root=root) for value in table.column("image").to_pylist()]
        place = table.column_names.index("image")
        return table.set_column(place, "image", pa.array(paths, pa.large_string()))

    def overview(self) -> Overview:
        """What came of it."""
        catalog = self._catalog
        index = catalog.index
        left_out = tuple(self._left_out())
        return Overview(
            path=catalog.name,
            files=tuple(map(self._file, catalog.files, index.rows_of_files)),
            columns=tuple(self._columns()),
            num_rows=index.num_rows + catalog.skipped_rows.count + catalog.ignored_rows.count,
            num_products=self._counts["products"],
            num_titled=self._counts["title"],
            num_pictured=self._counts["image"],
            num_labelled=self._counts["label"],
            num_made_ids=index.made,
            left_out=left_out,
            num_pictures_looked_for=self._looked_for,
            num_pictures_missing=self._missing,
            notes=catalog.plan.notes,
            max_lost_rate=catalog.config.max_lost_rate,
            advice=tuple(self._advice()),
        )

    def _file(self, file: FilePlan, num_rows: int) -> FileOverview:
        source = self._catalog.source(file)
        used = {
            *file.columns.values(),
            file.table.row_type,
            file.table.parent,
            file.table.parent_key,
            file.partner,
            file.split,
        }
        return FileOverview(
            path=file.path,
            label=file.label,
            format=source.format,
            compression=source.compression,
            encoding=source.encoding,
            delimiter=source.delimiter,
            header_row=source.header_row,
            num_rows=num_rows,
            unused=tuple(name for name in source.columns if name not in used),
        )

    def _columns(self) -> Iterator[ColumnUse]:
        """Each standard column, once for all files that have it from the same column."""
        files = self._catalog.files
        for name in CATALOG_COLUMNS:
            uses: dict[tuple[str, str], list[str]] = {}
            for file in files:
                own = file.columns.get(name, "")
                found = [value for value in self._sampled(name, file) if value]
                if own or found:
                    uses.setdefault((own, self._reason(name, file)), []).append(file.label)
            for (own, reason), labels in uses.items():
                samples = [value for label in labels for value in self._samples.get((name, label), [])][:NUM_SAMPLES]
                everywhere = len(labels) == len(files)
                yield ColumnUse(
                    standard=name,
                    own=own,
                    reason=reason,
                    samples=tuple(samples),
                    files=() if everywhere else tuple(labels),
                )

    def _sampled(self, name: str, file: FilePlan) -> list[str]:
        return self._samples.get((name, file.label), [])

    def _reason(self, name: str, file: FilePlan) -> str:
        own = file.columns.get(name)
        if own is None:
            return "the file's name and the row's number" if name == "product_id" else "a level of cat1"
        guesses = self._catalog.plan.guesses.get(file.label, ())
        guess = next((each for each in guesses if each.standard == name), None)
        if guess is not None:
            return guess.reason
        return "as the settings say" if file.table.columns.get(name) else "a standard name"

    def _left_out(self) -> Iterator[LeftOut]:
        catalog = self._catalog
        skipped = catalog.skipped_rows
        for reason, count in skipped.by_reason.most_common():
            first = next(row for row in skipped.first if row.reason == reason)
            yield LeftOut(reason=reason, count=count, example=f"{first.file.name} row {first.row}", is_lost=True)
        bad = catalog.bad_ids
        if bad and catalog.config.bad_ids == "drop":
            yield LeftOut(
                reason="id of an earlier product with another title",
                count=bad.num_repeated,
                example=bad.examples[0],
                is_lost=True,
                is_repeated_id=True,
            )
        for reason, count in catalog.index.merged.most_common():
            example = catalog.where(catalog.index.merged_examples[reason])
            yield LeftOut(reason=reason, count=count, example=example, is_lost=False)
        ignored = catalog.ignored_rows
        for reason, count in ignored.by_reason.most_common():
            first = next(row for row in ignored.first if row.reason == reason)
            yield LeftOut(reason=reason, count=count, example=f"{first.file.name} row {first.row}", is_lost=False)

    def _advice(self) -> Iterator[str]:
        catalog = self._catalog
        if catalog.skipped_rows.count:
            yield "rows that cannot be read: look at those that are named, or ask for the feed in another format"
        if catalog.bad_ids and catalog.config.bad_ids == "drop":
            yield catalog.advice_on_ids()
        if self._counts["title"] < MIN_TITLED * self._counts["products"]:
            own = catalog.columns.get("title")
            what = f"{own!r} is mostly empty" if own else "no column was taken for the title"
            yield f"titles: {what}; say which column it is: [catalog] columns = {{ title = ... }}"
        if self._missing > MAX_MISSING_PICTURES * max(1, self._looked_for):
            where = f"they were looked for under {catalog.image_root}"
            yield f"pictures: {where}; say where they lie: image_root in [catalog]"


def _absolute(value: str | None, *, root: Place) -> str | None:
    if value is None or is_address(value):
        return value
    if isinstance(root, Address):
        return str(object_of(value, root=root) or value)  # whether it is there makes no difference, and asking costs
    found = located(value, root=root) or root / value
    assert isinstance(found, Path), "beneath a local root"
    return str(found.absolute())
