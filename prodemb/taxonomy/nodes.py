"""Taxonomy nodes as numbers: for each of them the line of nodes from the top down to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from prodemb.core.arrays import NO_ANSWER, Indices
from prodemb.taxonomy.taxonomy import SEPARATOR


@dataclass(frozen=True, kw_only=True, eq=False)
class TaxonomyTree:
    """Nodes under one invisible root, numbered as their paths were given."""

    lineage: npt.NDArray[np.int64]
    """(num_nodes + 1, L) the node above each node at each level, the top first and the node itself last, -1 below it;
    the last row, all -1, is that of `NO_ANSWER`."""
    depth: npt.NDArray[np.int64]
    """(num_nodes + 1,) how many nodes stand in the line; 1 at the top, 0 for `NO_ANSWER`."""

    @classmethod
    def of(cls, paths: Sequence[str]) -> "TaxonomyTree":
        """The tree of nodes with these paths, `A > B > C`; a node stands below the nearest one of them above it."""
        place = {path: number for number, path in enumerate(paths)}
        lines = []
        for path in paths:
            names = path.split(SEPARATOR)
            above = (SEPARATOR.join(names[:level]) for level in range(1, len(names) + 1))
            lines.append([place[node] for node in above if node in place])
        depth = np.array([*map(len, lines), 0], dtype=np.int64)
        lineage = np.full((len(depth), max(1, int(depth.max()))), NO_ANSWER, dtype=np.int64)
        for row, line in zip(lineage, lines, strict=False):
            row[: len(line)] = line
        return cls(lineage=lineage, depth=depth)

    def __len__(self) -> int:
        return len(self.depth) - 1

    @cached_property
    def parents(self) -> npt.NDArray[np.int64]:
        """(num_nodes,) the node right above each node, -1 at the top."""
        above = self.lineage[np.arange(len(self)), np.maximum(self.depth[:-1] - 2, 0)]
        return np.where(self.depth[:-1] > 1, above, NO_ANSWER)

    @cached_property
    def spans(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """An order of all nodes in which each node's descendants follow it, and where they begin and end in it.

        Returns:
            order (num_nodes,), the nodes; begin and end (num_nodes + 1,): `order[begin[v]:end[v]]` are v and all below.
            Those of `NO_ANSWER` are 0 and num_nodes, so it stands for the root.
        """
        keys = self.lineage[:-1].T[::-1]
        order = np.lexsort(keys)
        place = np.empty(len(self), dtype=np.int64)
        place[order] = np.arange(len(self))
        sizes = np.bincount(self.lineage[self.lineage >= 0], minlength=len(self))
        return order, np.append(place, 0), np.append(place + sizes, len(self))

    def common_depth(self, some: Indices, others: Indices) -> npt.NDArray[np.int64]:
        """The depth of the lowest common ancestor of pairs of nodes, (n,); 0 where they have none but the root."""
        mine, theirs = self.lineage[some], self.lineage[others]
        return np.asarray(((mine == theirs) & (mine != NO_ANSWER)).sum(axis=1))

    def is_above(self, some: Indices, others: Indices) -> npt.NDArray[np.bool_]:
        """Whether each of `some` is the node of `others` or above it, (n,); `NO_ANSWER` never is."""
        return np.asarray((self.common_depth(some, others) == self.depth[some]) & (self.depth[some] > 0))
