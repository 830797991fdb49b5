"""Which rows of a catalog are products, and which are other rows of one, above, below or far away.

Exports of shops write a product in several rows: its variants, its pictures, its price rules. Here rows become groups
by what they have in common (the id; the product that a row names as its parent; the row above), each group is one
product, and one of its rows stands for it: the first that has a title. While it is built the index keeps a few bytes
for each row, whatever the rows hold, so that the rows of a product need not be neighbours in a file of any size.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from prodemb.core.arrays import Indices

Hashes = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]

_PIECE = 1 << 20
"""Rows that are looked up at a time."""
_MOSTLY = 0.9
"""Share of products that have what a remark has not."""


@dataclass(frozen=True, kw_only=True)
class RowKeys:
    """What decides which product some rows of one file belong to; they follow each other."""

    file: int
    """Place of the file in the catalog."""
    rows: npt.NDArray[np.int64]
    """(n,) row numbers in the file, as a person would find them."""
    ids: pa.LargeStringArray
    """(n,) product ids; null where there is none."""
    titled: Flags
    """(n,) whether a row has a title; all where the catalog has no titles."""
    titles: Hashes
    """(n,) hashes of the titles; 0 where there is none."""
    pictured: Flags
    """(n,) whether a row has a picture."""
    bare: Flags | None = None
    """(n,) whether a row has nothing besides its id and title, of columns that products fill; None where unknown."""
    kinds: pa.LargeStringArray | None = None
    """(n,) what a row is where it is no product, such as "variant"; null where it is one."""
    translated: Flags | None = None
    """(n,) whether a row is in another language than the catalog's; None where that is not known."""
    parents: Hashes | None = None
    """(n,) hash of the key of the product that a row is a variant of; 0 where it names none."""
    keys: Hashes | None = None
    """(n,) hash of the key by which other rows name this one; None where that is the id."""
    children: Sequence[tuple[int, Sequence[str]]] = ()
    """Rows that list others by their keys, and which."""


Pass = Callable[[bool], Iterator[RowKeys]]


@dataclass(frozen=True, kw_only=True)
class ProductIndex:
    """The products among the rows of a catalog; rows are counted over all its files, those that can be read."""

    num_rows: int
    rows_of_files: tuple[int, ...]
    """How many rows each file has."""
    other_rows: Indices = field(default_factory=lambda: np.empty(0, np.int64))
    """The rows that stand for no product, ascending: further rows of one, and what is none. All others are one each."""
    picture_rows: tuple[Indices, Indices] | None = None
    """Products whose picture stands in another of their rows: their own row, ascending, and that one."""
    repeated: Indices = field(default_factory=lambda: np.empty(0, np.int64))
    """Rows whose id an earlier product with another title has, ascending; they stand for products."""
    num_repeated_across: int = 0
    """How many of them repeat an id of another file."""
    made: int = 0
    """Products without an id."""
    merged: Counter[str] = field(default_factory=Counter)
    """Rows that became a part of a product, or are none: how many, by what they are."""
    merged_examples: dict[str, int] = field(default_factory=dict)
    """The first row of each."""

    @property
    def num_products(self) -> int:
        """Products, those with a repeated id included."""
        return self.num_rows - len(self.other_rows)


def hashed(texts: pa.Array, *, salt: int = 0) -> Hashes:
    """(n,) hashes of texts; 0 where there is none."""
    series = pl.Series(values=texts)
    found = np.array(series.hash(seed=salt).to_numpy())
    found[found == 0] = 1
    found[np.asarray(series.is_null().to_numpy())] = 0
    return found


def index_products(batches: Pass, *, num_files: int, id_per_file: bool = False, has_relations: bool) -> ProductIndex:
    """Find the products. A second pass over the rows is made only where not each row has an id of its own.

    Where each row has an id and a title, memory is 16 bytes for each row, and more only for rows that share an id.

    Args:
        batches: makes a pass over all rows; for False of their ids and titles alone.
        has_relations: whether rows may say that they are no products, whose they are, or which language they are in.
    """
    ids, rows_of_files, all_titled = _all_ids(batches(False), num_files=num_files, id_per_file=id_per_file)
    num_rows = len(ids)
    if not num_rows:
        return ProductIndex(num_rows=0, rows_of_files=rows_of_files)
    if has_relations or not all_titled or not ids.all():
        return _Grouping(batches(True), ids, rows_of_files, id_per_file=id_per_file).index()
    shared = _shared(ids)
    if not len(shared):
        return ProductIndex(num_rows=num_rows, rows_of_files=rows_of_files)
    # Each other row is a product of its own, so that memory is taken for these alone.
    ends = np.searchsorted(shared, np.cumsum([0, *rows_of_files]))
    rows_among = tuple(np.diff(ends).tolist())
    found = _Grouping(_only(batches(True), shared), ids[shared], rows_among, id_per_file=id_per_file).index()
    return replace(
        found,
        num_rows=num_rows,
        rows_of_files=rows_of_files,
        other_rows=shared[found.other_rows],
        picture_rows=found.picture_rows and (shared[found.picture_rows[0]], shared[found.picture_rows[1]]),
        repeated=shared[found.repeated],
        merged_examples={reason: int(shared[row]) for reason, row in found.merged_examples.items()},
    )


def _shared(ids: Hashes) -> Indices:
    """The rows whose id another row has, ascending."""
    ordered = np.sort(ids)
    several = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    del ordered
    if not len(several):
        return np.empty(0, np.int64)
    found = []
    for start in range(0, len(ids), _PIECE):
        some = ids[start : start + _PIECE]
        place = np.minimum(np.searchsorted(several, some), len(several) - 1)
        found.append(start + np.flatnonzero(several[place] == some))
    return np.concatenate(found)


def _only(batches: Iterator[RowKeys], rows: Indices) -> Iterator[RowKeys]:
    """The keys of some rows of a catalog without relations, counted over all its files."""
    at = 0
    for batch in batches:
        end = at + len(batch.rows)
        here = rows[np.searchsorted(rows, at) : np.searchsorted(rows, end)] - at
        at = end
        if len(here):
            yield replace(
                batch,
                rows=batch.rows[here],
                ids=batch.ids.take(pa.array(here)),
                titled=batch.titled[here],
                titles=batch.titles[here],
                pictured=batch.pictured[here],
                bare=None if batch.bare is None else batch.bare[here],
            )


def _all_ids(batches: Iterator[RowKeys], *, num_files: int, id_per_file: bool) -> tuple[Hashes, tuple[int, ...], bool]:
    hashes: list[Hashes] = []
    rows_of_files = [0] * num_files
    all_titled = True
    for batch in batches:
        hashes.append(hashed(batch.ids, salt=batch.file if id_per_file else 0))
        rows_of_files[batch.file] += len(batch.rows)
        all_titled = all_titled and bool(batch.titled.all())
    return np.concatenate(hashes) if hashes else np.empty(0, np.uint64), tuple(rows_of_files), all_titled


class _Grouping:
    """Rows on their way into groups."""

    def __init__(
        self, batches: Iterator[RowKeys], ids: Hashes, rows_of_files: tuple[int, ...], *, id_per_file: bool
    ) -> None:
        self.ids = ids
        self.rows_of_files = rows_of_files
        self.starts = np.cumsum([0, *rows_of_files])
        num_rows = len(ids)
        self.titles = np.zeros(num_rows, np.uint64)
        self.titled = np.zeros(num_rows, np.bool_)
        self.pictured = np.zeros(num_rows, np.bool_)
        self.is_other = np.zeros(num_rows, np.bool_)
        self.translated = np.zeros(num_rows, np.bool_)
        self.parents: Hashes | None = None
        self.keys = ids
        self.bare = np.zeros(num_rows, np.bool_)
        self.has_digit = np.zeros(num_rows, np.bool_)
        self.has_space = np.zeros(num_rows, np.bool_)
        self.kinds: dict[int, str] = {}
        self.kind_of = np.zeros(num_rows, np.int16)
        self.children: list[tuple[int, Hashes]] = []
        at = 0
        codes: dict[str, int] = {}
        for batch in batches:
            here = slice(at, at + len(batch.rows))
            salt = batch.file if id_per_file else 0
            self.titles[here], self.titled[here], self.pictured[here] = batch.titles, batch.titled, batch.pictured
            if batch.bare is not None:
                self.bare[here] = batch.bare
            series = pl.Series(values=batch.ids)
            self.has_digit[here] = series.str.contains(r"\d").fill_null(value=False).to_numpy()
            self.has_space[here] = series.str.contains(" ", literal=True).fill_null(value=False).to_numpy()
            if batch.kinds is not None:
                self._take_kinds(batch.kinds, here, codes)
            if batch.translated is not None:
                self.translated[here] = batch.translated
            if batch.parents is not None:
                self.parents = np.zeros(num_rows, np.uint64) if self.parents is None else self.parents
                self.parents[here] = batch.parents
            if batch.keys is not None:
                self.keys = ids.copy() if self.keys is ids else self.keys
                self.keys[here] = batch.keys
            for row, listed in batch.children:
                self.children.append((at + row, hashed(pa.array(listed, pa.large_string()), salt=salt)))
            at = here.stop
        self.kinds = {code: kind for kind, code in codes.items()}
        self.remarks = self._find_remarks()
        self.moved = np.zeros(num_rows, np.bool_)
        """Rows whose own group became a part of their parent's."""

    def _take_kinds(self, kinds: pa.LargeStringArray, here: slice, codes: dict[str, int]) -> None:
        coded = kinds.dictionary_encode()
        for kind in coded.dictionary.to_pylist():
            codes.setdefault(kind, len(codes) + 1)
        own = np.array([0, *(codes[kind] for kind in coded.dictionary.to_pylist())], np.int16)
        self.kind_of[here] = own[coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64) + 1]
        self.is_other[here] = self.kind_of[here] > 0

    def _find_remarks(self) -> Flags:
        """(n,) which rows are remarks, totals or headings: one text alone, where products have an id and more.

        A text in place of an id is none where it differs from the products' ids as words do from codes.
        """
        has_id = self.ids != 0
        products = self.titled & has_id & ~self.bare & ~self.is_other
        if not products.any():
            return np.zeros(len(self.ids), np.bool_)
        is_wordy = ~self.has_digit & (self.has_digit[products].mean() >= _MOSTLY)
        is_wordy |= self.has_space & (self.has_space[products].mean() <= 1 - _MOSTLY)
        heading = ~self.titled & has_id & is_wordy
        note = self.titled & ~has_id & (has_id[self.titled].mean() >= _MOSTLY)
        return np.asarray(self.bare & ~self.is_other & (heading | note))

    def index(self) -> ProductIndex:
        """The products, once all rows are there."""
        group, without_id = self._groups()
        group = self._joined_to_parents(group)
        there = np.flatnonzero(group >= 0)
        # The row that stands for a product: titled before untitled, its own rows before its variants' and before
        # those in other languages, then in order.
        rank = 2 * (~self.titled | self.is_other) + (self.moved | self.is_other | self.translated)
        order = there[np.lexsort((there, rank[there], group[there]))]
        is_first = np.ones(len(order), np.bool_)
        is_first[1:] = group[order][1:] != group[order][:-1]
        leaders = order[is_first]
        leader_of = leaders[np.cumsum(is_first) - 1]
        own = ~self.is_other[order] & ~self.moved[order] & ~self.translated[order] & ~is_first
        differs = own & self.titled[order] & (self.titles[order] != self.titles[leader_of])
        repeated = np.sort(order[differs])
        across = self._file_of(order[differs]) != self._file_of(leader_of[differs])
        product_rows = np.sort(np.concatenate([leaders, repeated]))
        merged, examples = self._merged(group, product_rows)
        return ProductIndex(
            num_rows=len(self.ids),
            rows_of_files=self.rows_of_files,
            other_rows=np.delete(np.arange(len(self.ids)), product_rows),
            picture_rows=self._picture_rows(order[~differs], leader_of[~differs]),
            repeated=repeated,
            num_repeated_across=int(across.sum()),
            made=int(np.isin(product_rows, without_id, assume_unique=True).sum()),
            merged=merged,
            merged_examples=examples,
        )

    def _groups(self) -> tuple[Indices, Indices]:
        """(n,) a number for each row's product, -1 for none; and the rows that are products without an id."""
        group = np.full(len(self.ids), -1, np.int64)
        has_id = (self.ids != 0) & ~self.is_other & ~self.remarks
        known, group[has_id] = np.unique(self.ids[has_id], return_inverse=True)
        nameless = np.flatnonzero((self.ids == 0) & self.titled & ~self.is_other & ~self.remarks)
        group[nameless] = len(known) + np.arange(len(nameless))
        rest = np.flatnonzero((group < 0) & ~self.remarks)
        if not len(rest):
            return group, nameless
        anchors = np.maximum.accumulate(np.where(group >= 0, np.arange(len(group)), -1))
        above = anchors[rest]
        is_in_file = above >= self.starts[self._file_of(rest)]
        group_above = np.where(is_in_file & (above >= 0), group[above], -1)
        if len(known):
            place = np.minimum(np.searchsorted(known, self.ids[rest]), len(known) - 1)
            has_same = known[place] == self.ids[rest]
            group[rest] = np.where(has_same, place, group_above)
        else:
            group[rest] = group_above
        return group, nameless

    def _joined_to_parents(self, group: Indices) -> Indices:
        """Groups of variants made a part of their parents'; a row whose parent is nowhere keeps its own."""
        if self.parents is None and not self.children:
            return group
        named = np.flatnonzero((self.keys != 0) & ~self.is_other & (group >= 0))
        order = named[np.argsort(self.keys[named], kind="stable")]
        keys = self.keys[order]
        target = np.arange(int(group.max()) + 1)
        if self.parents is not None:
            rows = np.flatnonzero((self.parents != 0) & ((group >= 0) | self.is_other))
            self._join(rows, self.parents[rows], target, group, order=order, keys=keys)
            if self.keys is not self.ids and len(rows):
                # Some rows name their parents by the id, whatever others do.
                by_id = named[np.argsort(self.ids[named], kind="stable")]
                self._join(rows, self.parents[rows], target, group, order=by_id, keys=self.ids[by_id])
        for parent, listed in self.children:
            place = np.minimum(np.searchsorted(keys, listed), len(keys) - 1) if len(keys) else np.empty(0, int)
            found = order[place][keys[place] == listed] if len(keys) else place
            found = found[group[found] != group[parent]]
            if group[parent] >= 0:
                self._move(found, int(group[parent]), target, group)
        for _ in range(2):
            target = target[target]
        return np.where(group >= 0, target[group], -1)

    def _join(
        self, rows: Indices, parents: Hashes, target: Indices, group: Indices, *, order: Indices, keys: Hashes
    ) -> None:
        if not len(keys):
            return
        place = np.minimum(np.searchsorted(keys, parents), len(keys) - 1)
        is_found = (keys[place] == parents) & (group[order[place]] != group[rows]) & ~self.moved[rows]
        self._move(rows[is_found], group[order[place[is_found]]], target, group)

    def _move(self, rows: Indices, to: Indices | int, target: Indices, group: Indices) -> None:
        """Put rows into other products, with the rest of their own; rows of another kind have nothing of their own."""
        is_other = self.is_other[rows]
        towards = np.broadcast_to(np.asarray(to, np.int64), rows.shape)
        target[group[rows[~is_other]]] = towards[~is_other]
        group[rows[is_other]] = towards[is_other]
        self.moved[rows] = True

    def _picture_rows(self, order: Indices, leader_of: Indices) -> tuple[Indices, Indices] | None:
        """Products whose first picture stands in another row than their own. A variant's is later than its parent's."""
        has_picture = self.pictured[order]
        rows, leaders = order[has_picture], leader_of[has_picture]
        sequence = np.lexsort((rows, self.moved[rows], leaders))
        rows, leaders = rows[sequence], leaders[sequence]
        is_first = np.ones(len(leaders), np.bool_)
        is_first[1:] = leaders[1:] != leaders[:-1]
        rows, leaders = rows[is_first], leaders[is_first]
        elsewhere = rows != leaders
        return (leaders[elsewhere], rows[elsewhere]) if elsewhere.any() else None

    def _merged(self, group: Indices, product_rows: Indices) -> tuple[Counter[str], dict[str, int]]:
        is_rest = np.ones(len(group), np.bool_)
        is_rest[product_rows] = False
        reasons = {
            "variant of another product": is_rest & self.moved,
            "another language of a product": is_rest & ~self.moved & self.translated & (group >= 0),
            "another row of a product": is_rest & ~self.moved & ~self.is_other & ~self.translated & (group >= 0),
            "no product but a remark": self.remarks,
            "without an id and a title": is_rest & ~self.is_other & ~self.remarks & (group < 0),
        }
        for code, kind in self.kinds.items():
            reasons[f"no product but {kind!r}"] = is_rest & (self.kind_of == code) & ~self.moved
        found = {reason: np.flatnonzero(rows) for reason, rows in reasons.items() if rows.any()}
        counts = Counter({reason: len(rows) for reason, rows in found.items()})
        return counts, {reason: int(rows[0]) for reason, rows in found.items()}

    def _file_of(self, rows: Indices) -> Indices:
        return np.searchsorted(self.starts, rows, side="right") - 1
