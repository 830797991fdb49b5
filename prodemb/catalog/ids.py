"""Products whose id an earlier product has: how many, and which."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from prodemb.catalog.products import Pass, ProductIndex, RowKeys

NUM_EXAMPLES = 5


@dataclass(frozen=True)
class BadIds:
    """Products with the id of an earlier one."""

    num_repeated: int = 0
    examples: tuple[str, ...] = ()
    """The first such ids, and where they stand."""

    def __bool__(self) -> bool:
        return bool(self.num_repeated)

    def __str__(self) -> str:
        rows = "row repeats" if self.num_repeated == 1 else "rows repeat"
        more = "; ..." if self.num_repeated > len(self.examples) else ""
        return f"{self.num_repeated:,} {rows} a product_id ({'; '.join(self.examples)}{more})"


def describe_repeated(index: ProductIndex, batches: Pass, *, names: Sequence[str]) -> BadIds:
    """The repeated ids in words; where there are some, a pass over the rows finds the first ones.

    Args:
        index: the products.
        batches: makes a pass over the rows' ids.
        names: what to call each file.
    """
    if not len(index.repeated):
        return BadIds()
    wanted = index.repeated[:NUM_EXAMPLES]
    repeats: list[tuple[str, str]] = []
    at = 0
    for batch in batches(False):
        end = at + len(batch.rows)
        here = wanted[np.searchsorted(wanted, at) : np.searchsorted(wanted, end)] - at
        repeats += [(batch.ids[row].as_py(), f"{names[batch.file]} row {batch.rows[row]}") for row in here.tolist()]
        at = end
        if len(repeats) == len(wanted):
            break
    firsts = _first_places({each for each, _ in repeats}, batches(False), names=names)
    examples = (f"{each!r} in {firsts[each]} and {where}" for each, where in repeats)
    return BadIds(num_repeated=len(index.repeated), examples=tuple(examples))


def _first_places(ids: set[str], batches: Iterator[RowKeys], *, names: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for batch in batches:
        for row, each in enumerate(batch.ids.to_pylist()):
            if each in ids and each not in found:
                found[each] = f"{names[batch.file]} row {batch.rows[row]}"
        if len(found) == len(ids):
            break
    return found
