"""Rolling up: nodes with too few products count as the nearest node above that has enough."""

import numpy as np
import numpy.typing as npt

from prodemb.core.arrays import NO_ANSWER
from prodemb.taxonomy.nodes import TaxonomyTree


def roll_up(tree: TaxonomyTree, *, counts: npt.NDArray[np.int64], min_count: int) -> npt.NDArray[np.int64]:
    """What each node counts as, (num_nodes,): itself, a node above it, or `NO_ANSWER` where none has enough.

    From the deepest nodes up, a node with too few products passes them to the node above, where they count too.

    Args:
        counts: (num_nodes,) products of each node itself.
        min_count: how many a node needs.
    """
    gathered = counts.astype(np.int64, copy=True)
    depth, parents = tree.depth[:-1], tree.parents
    for level in range(int(depth.max(initial=1)), 1, -1):
        few = np.flatnonzero((depth == level) & (gathered < min_count))
        np.add.at(gathered, parents[few], gathered[few])
    counts_as = np.where(gathered >= min_count, np.arange(len(tree)), NO_ANSWER)
    for level in range(2, int(depth.max(initial=1)) + 1):
        gone = np.flatnonzero((depth == level) & (counts_as == NO_ANSWER))
        counts_as[gone] = counts_as[parents[gone]]
    return counts_as
