"""Choosing the product id by what it keeps, not by its name: a column that would lose titled rows is none."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from prodemb.catalog.formats import Source
from prodemb.catalog.guess import ColumnGuess, TableGuess
from prodemb.catalog.products import Flags, Hashes, hashed
from prodemb.catalog.values import as_texts

MAX_CANDIDATES = 8
_MIN_PARENTS = 0.5
"""Share of the rows with a parent whose parent must be found by a column's values, for that to be the parents' key."""


@dataclass(frozen=True, kw_only=True)
class _Kept:
    """What a column would keep as the id. Shares are of the rows that are products."""

    lost: float
    """Titled rows with the value of another product."""
    absent: float
    """Titled rows without a value, whose id would have to be made."""
    orphans: float
    """Rows without a title that would become products of their own."""


def choose_id(
    sources: Sequence[Source], found: TableGuess, *, max_lost_rate: float
) -> tuple[ColumnGuess | None, str | None]:
    """The best id of files with the same columns, and the column by which rows name their parents, if another.

    Both are None where no column can be the id: each would lose more than `max_lost_rate` of the titled rows.
    """
    candidates = found.id_candidates[:MAX_CANDIDATES]
    if not candidates:
        return None, None
    rows = _read(sources, found, candidates)
    kept = [_kept(rows, column) for column in rows.ids]
    fit = [place for place, each in enumerate(kept) if each.lost <= max_lost_rate and each.absent < 1.0]
    if not fit:
        return None, None
    least = min(kept[place].orphans for place in fit)
    best = min(
        (place for place in fit if kept[place].orphans <= least + 0.02),
        key=lambda place: (round(kept[place].absent, 1) if kept[place].absent > 0.001 else 0.0, place),
    )
    key = _parent_key(rows)
    return candidates[best], None if key is None or key == best else candidates[key].own


@dataclass(frozen=True, kw_only=True)
class _Rows:
    ids: tuple[Hashes, ...]
    """For each candidate (n,) hashes of its values, 0 where there is none."""
    titles: Hashes
    titled: Flags
    is_product: Flags
    """(n,) which rows do not say that they are something else, or another product's variant."""
    parents: Hashes | None
    languages: Hashes
    """(n,) hashes of the languages that rows say they are in; 0 where they do not."""


def _read(sources: Sequence[Source], found: TableGuess, candidates: Sequence[ColumnGuess]) -> _Rows:
    title = found.own("title")
    kind = found.row_types.column if found.row_types else None
    others = filter(None, [title, kind, found.parent, found.language_column])
    own = [*dict.fromkeys([*(each.own for each in candidates), *others])]
    ids: list[list[Hashes]] = [[] for _ in candidates]
    titles: list[Hashes] = []
    products: list[npt.NDArray[np.bool_]] = []
    parents: list[Hashes] = []
    languages: list[Hashes] = []
    for number, source in enumerate(sources):
        for batch in source.batches(columns=own):
            texts = {name: as_texts(batch.table.column(name)) for name in own}
            for place, each in enumerate(candidates):
                # An id may mean another product in another file; that is seen later, over all files.
                ids[place].append(hashed(texts[each.own], salt=number))
            titles.append(hashed(texts[title]) if title else np.arange(1, len(batch.rows) + 1, dtype=np.uint64))
            if found.language_column is not None:
                languages.append(hashed(texts[found.language_column]))
            is_product = np.ones(len(batch.rows), np.bool_)
            if kind is not None and found.row_types is not None:
                is_product &= ~is_one_of(texts[kind], found.row_types.others)
            if found.parent is not None:
                parents.append(hashed(parent_keys(texts[found.parent]), salt=number))
                is_product &= parents[-1] == 0
            products.append(is_product)
    joined = np.concatenate(titles) if titles else np.empty(0, np.uint64)
    return _Rows(
        ids=tuple(np.concatenate(each) if each else np.empty(0, np.uint64) for each in ids),
        titles=joined,
        titled=joined != 0,
        is_product=np.concatenate(products) if products else np.empty(0, np.bool_),
        parents=np.concatenate(parents) if parents else None,
        languages=np.concatenate(languages) if languages else np.zeros(len(joined), np.uint64),
    )


def is_one_of(texts: pa.LargeStringArray, values: Sequence[str]) -> Flags:
    """(n,) whether each text is one of some values in lower case."""
    wanted = {*values}
    coded = texts.dictionary_encode()
    is_in = np.array([False, *(text.casefold() in wanted for text in coded.dictionary.to_pylist())], np.bool_)
    return np.asarray(is_in[coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64) + 1])


def is_value(texts: pa.LargeStringArray, value: str | None) -> Flags:
    """(n,) whether each text is this one; for None, whether it is absent."""
    if value is None:
        return np.asarray(texts.is_null().to_numpy(zero_copy_only=False))
    return np.asarray(pc.fill_null(pc.equal(texts, value), fill_value=False).to_numpy(zero_copy_only=False))


def parent_keys(texts: pa.LargeStringArray) -> pa.LargeStringArray:
    """What rows name their parents by, without the mark that WooCommerce puts before an id."""
    cells = texts.to_pylist()
    return pa.array([cell and cell.removeprefix("id:") for cell in cells], pa.large_string())


def _kept(rows: _Rows, ids: Hashes) -> _Kept:
    titled = rows.titled & rows.is_product
    num_titled = max(1, int(titled.sum()))
    with_id = np.flatnonzero(titled & (ids != 0))
    order = with_id[np.argsort(ids[with_id], kind="stable")]
    is_first = np.ones(len(order), np.bool_)
    is_first[1:] = ids[order][1:] != ids[order][:-1]
    firsts = order[is_first]
    first_of = firsts[np.cumsum(is_first) - 1] if len(order) else order
    is_same_language = rows.languages[order] == rows.languages[first_of]
    lost = int(((rows.titles[order] != rows.titles[first_of]) & is_same_language).sum())
    known = np.sort(ids[with_id])
    untitled = np.flatnonzero(~rows.titled & rows.is_product & (ids != 0))
    place = np.minimum(np.searchsorted(known, ids[untitled]), max(0, len(known) - 1))
    orphans = int((known[place] != ids[untitled]).sum()) if len(known) else len(untitled)
    num_rows = max(1, int(rows.is_product.sum()))
    return _Kept(lost=lost / num_titled, absent=1 - len(with_id) / num_titled, orphans=orphans / num_rows)


def _parent_key(rows: _Rows) -> int | None:
    """The candidate whose values rows name as their parents."""
    if rows.parents is None or not (named := rows.parents[rows.parents != 0]).size:
        return None
    shares = [float(np.isin(named, ids[ids != 0]).mean()) for ids in rows.ids]
    best = int(np.argmax(shares))
    return best if shares[best] >= _MIN_PARENTS else None
