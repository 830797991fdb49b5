"""A catalog: its files' rows become products, in batches of plain values under the standard names.

The way of a value reads downhill: a file's rows as they are (`formats`), the columns that are wanted (`plan`), the rows
that stand for products (`products`), the values cleaned (`values`, `categories`, `pictures`), the standard batch.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from prodemb.catalog.categories import LEVELS, split_categories
from prodemb.catalog.config import CatalogConfig as CatalogConfig
from prodemb.catalog.files import find_files
from prodemb.catalog.formats import RowBatch, SkippedRow, SkippedRows, Source, open_source
from prodemb.catalog.ids import BadIds, describe_repeated
from prodemb.catalog.pictures import PictureKind, as_pictures
from prodemb.catalog.plan import FilePlan, ReadingPlan, make_plan
from prodemb.catalog.products import ProductIndex, RowKeys, index_products
from prodemb.catalog.profile import late_columns
from prodemb.catalog.row_keys import KeyMaker, array_of
from prodemb.catalog.urls import is_address
from prodemb.catalog.values import as_texts
from prodemb.core.arrays import Indices
from prodemb.core.errors import CatalogError, LostRowsError
from prodemb.core.features import CATALOG_COLUMNS, FEATURES, PARTNER, PRODUCT_COLUMNS, SPLIT
from prodemb.core.text import counted
from prodemb.storage.address import Place
from prodemb.taxonomy.taxonomy import Taxonomy

logger = logging.getLogger(__name__)

ROWS_WITH_PICTURES = 256
"""Rows taken from a file at a time where pictures stand in it."""
ROWS_WITHOUT = 16_384
MAX_FAR_PICTURE_BYTES = 1 << 30
"""Pictures that stand in another row than their product's own are kept up to this size in all, as values."""
_TEST, _TRAIN = "test", "train"
_PARTS = {_TEST: _TEST, **dict.fromkeys((_TRAIN, "training", "validation", "valid", "val", "dev"), _TRAIN)}
"""What the values of a split stand for."""
_SHOWN_VALUES = 5


class Catalog:
    """An opened catalog. It reads nothing ahead and keeps no rows; it can be pickled for workers."""

    def __init__(self, config: CatalogConfig, *, plan: ReadingPlan) -> None:
        """Use `open_catalog`."""
        self.config = config
        self.plan = plan
        self.columns = plan.columns
        """Standard column names that this catalog has, and the files' own names for them."""
        self.skipped_rows = SkippedRows()
        """Rows that could not be read, of the latest pass over the catalog."""
        self.ignored_rows = SkippedRows()
        """Rows that are no products, such as remarks and totals, of the latest pass."""
        self.no_picture: Counter[str] = Counter()
        """Pictures that the latest pass left out, by reason."""
        self._told: set[str] = set()
        self._index: ProductIndex | None = None
        self._far_pictures: tuple[Indices, pa.Array] | None = None
        self._sources: dict[Place, Source] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Open files are not handed to other processes."""
        return self.__dict__ | {"_sources": {}}

    @property
    def name(self) -> str:
        """The path as the user gave it, for messages."""
        return self.config.path

    @property
    def files(self) -> tuple[FilePlan, ...]:
        """Its files, and how each is read."""
        return self.plan.files

    @property
    def image_root(self) -> Place:
        """The folder that picture paths start from."""
        return self.plan.image_root

    @property
    def image_kind(self) -> PictureKind | None:
        """Whether the image column holds bytes or paths and addresses; None where there is none."""
        return self.plan.image_kind

    @property
    def features(self) -> tuple[str, ...]:
        """The features that this catalog has a column for, in the order of `prodemb.core.features.FEATURES`."""
        split = {level for file in self.files if _splits(file) and _has_levels(file) for level in LEVELS}
        return tuple(feature for feature in FEATURES if feature in self.columns or feature in split)

    @property
    def index(self) -> ProductIndex:
        """Which rows are products; the first use reads the ids of the whole catalog."""
        if self._index is None:
            self._index = index_products(
                self._row_keys,
                num_files=len(self.files),
                id_per_file=self.plan.id_per_file,
                has_relations=any(file.has_relations for file in self.files),
            )
        return self._index

    @property
    def bad_ids(self) -> BadIds | None:
        """Products whose id an earlier one has; None before `check_ids`."""
        if self._index is None:
            return None
        return describe_repeated(self._index, self._row_keys, names=[f.name for f in self.files])

    def check_ids(self) -> int:
        """Number of products; reads the ids of the whole catalog.

        With `bad_ids = "drop"` a product with the id of an earlier one is left out from here on, and `bad_ids` of this
        object says how many and which.

        Raises:
            CatalogError: the catalog has such products and `bad_ids` is "error"; names them.
            LostRowsError: a larger part of it than `max_lost_rate` cannot be read or is left out.
        """
        index = self.index
        if len(index.repeated) and self.config.bad_ids == "error":
            raise CatalogError(f"{self.config.path}: {self.bad_ids}; {self.advice_on_ids()}")
        num_dropped = len(index.repeated)
        num_lost = self.skipped_rows.count + num_dropped
        num_rows = index.num_rows + self.skipped_rows.count
        if num_rows and num_lost / num_rows > self.config.max_lost_rate:
            raise LostRowsError(self._told_of_losses(num_lost, num_rows))
        if not index.num_products:
            raise CatalogError(f"{self.config.path}: found no product in it{self._known_reasons()}")
        return index.num_products - num_dropped

    def num_skipped(self) -> dict[str, int]:
        """How many rows no batch holds, by reason, most frequent first: those that cannot be read, and bad ids."""
        reasons = dict(self.skipped_rows.by_reason.most_common())
        if self._index is not None:
            if self.config.bad_ids == "drop" and len(self._index.repeated):
                reasons["repeated product_id"] = len(self._index.repeated)
            reasons |= dict(self._index.merged.most_common())
        return reasons

    def batches(
        self, num_rows: int, *, columns: Iterable[str] | None = None, start: int = 0, stop: int | None = None
    ) -> Iterator[pa.Table]:
        """Stream the catalog: `num_rows` products in each table, fewer only in the last.

        A table has the standard columns in their order (`prodemb.core.features.CATALOG_COLUMNS`), or those of `columns`
        alone, which then are all that is read; `partner` and `split` (`prodemb.core.features`) only where they are
        among those. All are large_string; `image` is large_binary where pictures stand in the catalog. Values are null
        where the catalog has none.

        Args:
            num_rows: products of a table.
            columns: names of columns.
            start: leave out the first so many products.
            stop: end before the product at this place, from 0.

        Raises:
            CatalogError: a file is damaged, or vanished, or `[catalog] split` names a column with other values.
        """
        wanted = {*(CATALOG_COLUMNS if columns is None else columns)}
        assert wanted <= {*PRODUCT_COLUMNS}, f"no standard columns: {wanted - {*PRODUCT_COLUMNS}}"
        pending: list[pa.Table] = []
        num_pending = 0
        for table in self._tables([name for name in PRODUCT_COLUMNS if name in wanted], start=start, stop=stop):
            pending.append(table)
            num_pending += table.num_rows
            while num_pending >= num_rows:
                whole = pa.concat_tables(pending)
                yield whole.slice(0, num_rows).combine_chunks()
                pending = [whole.slice(num_rows)]
                num_pending -= num_rows
        if num_pending:
            yield pa.concat_tables(pending).combine_chunks()

    def where(self, row: int) -> str:
        """The place of a row, counted over all files: its file and its number there."""
        at = 0
        for file, count in zip(self.files, self.index.rows_of_files, strict=True):
            if row < at + count:
                columns = self.source(file).columns[:1]
                batch = next(self.source(file).batches(columns=columns, start=row - at, stop=row - at + 1))
                return f"{file.name} row {batch.rows[0]}"
            at += count
        raise AssertionError("a row of the catalog")

    # --- rows as they are -> products ---

    def _tables(self, wanted: Sequence[str], *, start: int, stop: int | None) -> Iterator[pa.Table]:
        """Tables of any length with the standard columns that are wanted, a row for each product."""
        index = self.index
        left_out = self._left_out(index)
        first, last = _span(left_out, index.num_rows, start=start, stop=stop)
        if "image" in wanted and index.picture_rows is not None and self._far_pictures is None:
            self._far_pictures = self._load_far_pictures(index.picture_rows)
        self.skipped_rows, self.ignored_rows, self.no_picture = SkippedRows(), SkippedRows(), Counter()
        begin = 0
        for file, count in zip(self.files, index.rows_of_files, strict=True):
            end = begin + count
            if first < end and begin < last:
                at = max(first, begin)
                for batch in self._read(file, wanted, start=at - begin, stop=None if last >= end else last - begin):
                    taken = _taken(left_out, at, at + len(batch.rows))
                    if taken is None or len(taken):
                        yield self._standard(file, batch, wanted, rows_from=at, taken=taken)
                    at += len(batch.rows)
            begin = end

    def _left_out(self, index: ProductIndex) -> Indices:
        """The rows that stand for no product, and those that are dropped, ascending."""
        if not (self.config.bad_ids == "drop" and len(index.repeated)):
            return index.other_rows
        return np.sort(np.concatenate([index.other_rows, index.repeated]))

    def _read(
        self, file: FilePlan, wanted: Iterable[str], *, start: int = 0, stop: int | None = None
    ) -> Iterator[RowBatch]:
        """A file's rows as they are, with its own columns for the standard ones that are wanted."""
        source = self.source(file)
        needed = {file.columns[name] for name in wanted if name in file.columns}
        if file.partner is not None and PARTNER in wanted:
            needed.add(file.partner)
        if file.split is not None and SPLIT in wanted:
            needed.add(file.split)
        if _splits(file) and not {*wanted}.isdisjoint(LEVELS):
            needed.add(file.columns["cat1"])
        at_once = ROWS_WITH_PICTURES if self.image_kind == "bytes" and "image" in wanted else ROWS_WITHOUT
        yield from source.batches(columns=sorted(needed), max_rows=at_once, start=start, stop=stop)
        self._take_notes(file, source)

    def source(self, file: FilePlan) -> Source:
        """One of its files, opened."""
        if file.path not in self._sources:
            self._sources[file.path] = open_source(file.file)
        return self._sources[file.path]

    def _take_notes(self, file: FilePlan, source: Source) -> None:
        self.skipped_rows.first += source.skipped.first
        self.skipped_rows.count += source.skipped.count
        self.skipped_rows.by_reason.update(source.skipped.by_reason)
        self.ignored_rows.count += source.ignored.count
        self.ignored_rows.by_reason.update(source.ignored.by_reason)
        self.ignored_rows.first += source.ignored.first
        for note in source.notes.values():
            self._tell(f"{source.path}: {note}")
        for name, row in late_columns(source).items():
            if name in CATALOG_COLUMNS and name not in file.columns:
                self._tell(
                    f"{source.path}: {name!r} comes first in row {row} and is left out; to read it, name it in "
                    f"[catalog] columns = {{ {name} = {name!r} }}"
                )

    def _tell(self, message: str) -> None:
        """Warn, once for all passes over the catalog, also those of workers that begin after it."""
        if message not in self._told:
            self._told.add(message)
            logger.warning("%s", message)

    # --- products -> standard values ---

    def _standard(
        self, file: FilePlan, batch: RowBatch, wanted: Sequence[str], *, rows_from: int, taken: Indices | None
    ) -> pa.Table:
        """The products among some rows, under the standard names."""
        table, rows = batch.table, batch.rows
        if taken is not None:
            table, rows = table.take(taken), rows[taken]
        places = (np.arange(len(batch.rows)) if taken is None else taken) + rows_from
        levels = self._levels(file, table, wanted)
        columns = {name: self._column(name, file, table, rows, places, levels) for name in wanted}
        return pa.table(columns) if columns else pa.table({"": pa.nulls(len(rows))})

    def _column(
        self,
        name: str,
        file: FilePlan,
        table: pa.Table,
        rows: Indices,
        places: Indices,
        levels: dict[str, pa.Array],
    ) -> pa.Array:
        """One standard column of some products."""
        if name == "product_id":
            return self._ids(file, table, rows)
        if name == PARTNER:
            return self._partners(file, table)
        if name == SPLIT:
            return self._parts(file, table, rows)
        if name == "image":
            return self._pictures(file, table, places)
        if name in levels:
            return levels[name]
        if name not in file.columns:
            return pa.nulls(len(rows), pa.large_string())
        return as_texts(array_of(table, file.columns[name]), language=self.plan.language)

    def _partners(self, file: FilePlan, table: pa.Table) -> pa.Array:
        """Who sent the products. The label of an only file would tell nothing apart, so it is not used."""
        label = pa.scalar(file.label if len(self.files) > 1 else None, pa.large_string())
        if file.partner is None:
            return pa.repeat(label, table.num_rows)
        return pc.fill_null(as_texts(array_of(table, file.partner)), label)

    def _parts(self, file: FilePlan, table: pa.Table, rows: Indices) -> pa.Array:
        """`test` or `train` for each product, where any file says which are held out; else nothing.

        Raises:
            CatalogError: a value is neither, nor a word for validation.
        """
        if not any(each.split for each in self.files):
            return pa.nulls(len(rows), pa.large_string())
        if file.split is None:
            return pa.repeat(pa.scalar(_TRAIN, pa.large_string()), len(rows))
        given = as_texts(array_of(table, file.split))
        found = [_TRAIN if text is None else _PARTS.get(text.lower()) for text in given.to_pylist()]
        if None in found:
            unknown = [given[row].as_py() for row, part in enumerate(found) if part is None]
            raise CatalogError(
                f"{file.path} row {rows[found.index(None)]}: {file.split}: found "
                f"{', '.join(map(repr, [*dict.fromkeys(unknown)][:_SHOWN_VALUES]))}; wanted test, train or validation, "
                "or another column for [catalog] split"
            )
        return pa.array(found, pa.large_string())

    def _ids(self, file: FilePlan, table: pa.Table, rows: Indices) -> pa.Array:
        """The products' ids; those without one get the file's name and the row's number."""
        own = file.columns.get("product_id")
        ids = as_texts(array_of(table, own)) if own else pa.nulls(len(rows), pa.large_string())
        if self.plan.id_per_file:
            ids = pa.array([each and f"{file.label}/{each}" for each in ids.to_pylist()], pa.large_string())
        if not ids.null_count:
            return ids
        made = (each or f"{file.name}#{row}" for each, row in zip(ids.to_pylist(), rows.tolist(), strict=True))
        return pa.array(made, pa.large_string())

    def _levels(self, file: FilePlan, table: pa.Table, wanted: Sequence[str]) -> dict[str, pa.Array]:
        """cat1..3 of a path, over those that have no column of their own."""
        if not _splits(file) or {*wanted}.isdisjoint(LEVELS):
            return {}
        rule = file.categories
        assert rule is not None
        levels = [name for name in LEVELS if name == "cat1" or name not in file.columns]
        split = split_categories(array_of(table, file.columns["cat1"]), rule=rule, num_levels=len(levels))
        return dict(zip(levels, split, strict=True))

    def _pictures(self, file: FilePlan, table: pa.Table, places: Indices) -> pa.Array:
        kind = self.image_kind or "path"
        own = file.columns.get("image")
        if own is None:
            return pa.nulls(len(places), pa.large_binary() if kind == "bytes" else pa.large_string())
        found = self._own_pictures(file, array_of(table, own))
        if self._far_pictures is None:
            return found
        products, pictures = self._far_pictures
        place = np.minimum(np.searchsorted(products, places), len(products) - 1)
        is_far = products[place] == places
        if not is_far.any():
            return found
        far = pictures.take(pa.array(np.where(is_far, place, 0)))
        rows = zip(is_far, far.to_pylist(), found.to_pylist(), strict=True)
        return pa.array([theirs if is_theirs else own for is_theirs, theirs, own in rows], found.type)

    def _own_pictures(self, file: FilePlan, column: pa.Array) -> pa.Array:
        """Pictures as paths from the image root, as addresses, or as bytes."""
        if file.pictures_inside:
            source = self.source(file)
            paths = as_pictures(column, kind="path").to_pylist()
            return pa.array([path and source.read_beside(path) for path in paths], pa.large_binary())
        kind = self.image_kind or "path"
        found = as_pictures(column, kind=kind)
        if kind == "bytes" or not file.pictures_folder:
            return found
        paths = [_below(file.pictures_folder, path) for path in found.to_pylist()]
        return pa.array(paths, pa.large_string())

    def _load_far_pictures(self, picture_rows: tuple[Indices, Indices]) -> tuple[Indices, pa.Array]:
        """Pictures of products that stand in other rows, by the products' own rows."""
        products, donors = picture_rows
        order = np.argsort(donors)
        sorted_donors = donors[order]
        values: list[Any] = []
        num_bytes = at = 0
        for file in self.files:
            for batch in self._read(file, ["image"]):
                end = at + len(batch.rows)
                here = sorted_donors[np.searchsorted(sorted_donors, at) : np.searchsorted(sorted_donors, end)] - at
                if len(here) and (own := file.columns.get("image")):
                    found = self._own_pictures(file, array_of(batch.table.take(here), own))
                    num_bytes += found.nbytes
                    fits = num_bytes <= MAX_FAR_PICTURE_BYTES
                    values += found.to_pylist() if fits else [None] * len(here)
                elif len(here):
                    values += [None] * len(here)
                at = end
        if num_bytes > MAX_FAR_PICTURE_BYTES:
            self._tell(
                f"{self.name}: pictures in other rows than their products' own take too much memory; some are left out"
            )
        kind = pa.large_binary() if self.image_kind == "bytes" else pa.large_string()
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return products, pa.array(values, kind).take(pa.array(back))

    def _row_keys(self, whole: bool) -> Iterator[RowKeys]:
        """A pass over what decides which product a row belongs to; over ids and titles alone where not `whole`."""
        self.skipped_rows, self.ignored_rows = SkippedRows(), SkippedRows()
        maker = KeyMaker(self.plan, whole=whole)
        for number, file in enumerate(self.files):
            source = self.source(file)
            for batch in source.batches(columns=maker.columns(file), max_rows=ROWS_WITHOUT):
                yield maker.keys_of(batch, file=file, number=number)
            self._take_notes(file, source)

    # --- what to say of losses ---

    def advice_on_ids(self) -> str:
        """What keeps products whose ids repeat."""
        index = self.index
        if index.num_repeated_across * 2 > len(index.repeated):
            return "where an id is unique within its own file only: id_per_file = true in [catalog]"
        return (
            'wanted one id per product: name another column, or have ids made with product_id = "" in [catalog] '
            'columns, or bad_ids = "drop" in [catalog]'
        )

    def _told_of_losses(self, num_lost: int, num_rows: int) -> str:
        reasons = self.num_skipped()
        of_losses = {reason: count for reason, count in reasons.items() if reason not in self.index.merged}
        first = self.skipped_rows.first[:1]
        example = f"; the first is row {first[0].row}" if first else ""
        listed = ", ".join(f"{count:,} {reason}" for reason, count in of_losses.items())
        share = num_lost / num_rows
        lost = f"{num_lost:,} of {counted(num_rows, 'row')} are lost ({share:.1%})"
        return (
            f"{self.name}: {lost}: {listed}{example}; wanted at most {self.config.max_lost_rate:.1%}: "
            f"`prodemb read` shows more, max_lost_rate = {_rounded_up(share)} in [catalog] allows it"
        )

    def _known_reasons(self) -> str:
        reasons = {**self.num_skipped(), **self.ignored_rows.by_reason}
        listed = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
        return f": {listed}" if listed else ", wanted at least one row that can be read"


def open_catalog(config: CatalogConfig, *, taxonomies: Sequence[Taxonomy] | None = None) -> Catalog:
    """Find a catalog's files, and decide how to read them: by the settings, by the standard names, or by guessing.

    Args:
        config: its settings.
        taxonomies: where gold categories are looked up when columns are guessed; default: the part that is bundled.

    Raises:
        CatalogError: there is no such file, it cannot be read, it has no rows, or no file has a column that is named in
            the settings.
    """
    sources = [open_source(file) for file in find_files(config.path)]
    _refuse_empty(config, sources)
    plan = make_plan(config, sources, taxonomies=taxonomies)
    catalog = Catalog(config, plan=plan)
    catalog._sources = {source.path: source for source in sources}
    if len(sources) > 1 and plan.guesses and "id_per_file" not in config.model_fields_set:
        _keep_ids_apart(catalog)
    return catalog


def _keep_ids_apart(catalog: Catalog) -> None:
    """Where files are guessed and number their products alike, let an id count within its file."""
    index = catalog.index
    if index.num_repeated_across and index.num_repeated_across * 2 > len(index.repeated):
        repeats = counted(index.num_repeated_across, "product")
        note = (
            f"ids repeat between files: {repeats} with the id of another product, "
            "so an id counts within its file and has the file's label before it (id_per_file in [catalog])"
        )
        catalog.plan = replace(catalog.plan, id_per_file=True, notes=(*catalog.plan.notes, note))
        catalog._index = None


def _refuse_empty(config: CatalogConfig, sources: Sequence[Source]) -> None:
    reasons: Counter[str] = Counter()
    first: list[SkippedRow] = []
    for source in sources:
        if not source.columns:
            continue
        if next(source.batches(columns=source.columns[:1], max_rows=1, stop=1), None) is not None:
            return
        reasons += source.skipped.by_reason + source.ignored.by_reason
        first += source.skipped.first
    listed = ", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common())
    known = f": {listed}" if listed else ""
    example = f"; the first is row {first[0].row}" if first else ""
    raise CatalogError(
        f"{config.path}: found no product in it{known}{example}; wanted at least one row that can be read"
    )


def _splits(file: FilePlan) -> bool:
    """Whether a file's cat1 is taken apart."""
    return "cat1" in file.columns and file.categories is not None


def _has_levels(file: FilePlan) -> bool:
    """Whether what is taken apart may have more levels than one."""
    return file.lists_categories or file.table.category_separator is not None


def _span(left_out: Indices, num_rows: int, *, start: int, stop: int | None) -> tuple[int, int]:
    """The rows from one product to another: the first, and the one after the last."""
    # How many products come before each row that is left out.
    before = left_out - np.arange(len(left_out))
    first, last = (
        num_rows if product is None else min(num_rows, product + int(np.searchsorted(before, product, side="right")))
        for product in (start, stop)
    )
    return (first if start else 0), last


def _taken(left_out: Indices, begin: int, end: int) -> Indices | None:
    """Which of the rows from `begin` to `end` are products, counted from `begin`; None for all."""
    inside = left_out[np.searchsorted(left_out, begin) : np.searchsorted(left_out, end)] - begin
    return np.delete(np.arange(end - begin), inside) if len(inside) else None


def _below(folder: str, path: str | None) -> str | None:
    """A relative path under a folder; addresses and absolute paths stay."""
    if path is None or is_address(path) or path.startswith("data:"):
        return path
    return f"{folder}/{path.lstrip('/')}"


def _rounded_up(share: float) -> float:
    return min(1.0, round(share + 0.005, 2))
