"""What one voice says of n products: a score for some of the taxonomy's nodes."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from prodemb.core.arrays import NO_ANSWER, Floats, Indices


@dataclass(frozen=True, kw_only=True)
class Opinion:
    """Scores of n products for m options, each of which stands for a node."""

    scores: Floats
    """(n, m); -inf where the voice says nothing of that option."""
    options: npt.NDArray[np.int32]
    """(num_nodes,) which of the m options each node is; -1 for nodes that the voice does not know."""
    nodes: npt.NDArray[np.int32]
    """(m,) the node of each option."""

    @classmethod
    def of(cls, scores: Floats, *, nodes: Indices, num_nodes: int) -> "Opinion":
        """An opinion on these nodes, (m,)."""
        options = np.full(num_nodes, NO_ANSWER, dtype=np.int32)
        options[nodes] = np.arange(len(nodes))
        return cls(scores=scores, options=options, nodes=np.asarray(nodes, dtype=np.int32))

    @classmethod
    def nothing(cls, num_products: int, *, num_nodes: int) -> "Opinion":
        """No opinion on any node for n products."""
        return cls.of(np.zeros((num_products, 0), np.float32), nodes=np.zeros(0, np.int32), num_nodes=num_nodes)

    def top(self, k: int) -> npt.NDArray[np.int64]:
        """The k nodes with the highest scores, (n, k), best first; `NO_ANSWER` where there are fewer."""
        count = min(k, self.scores.shape[1])
        top = np.full((len(self.scores), k), NO_ANSWER, dtype=np.int64)
        if not count:
            return top
        found, best = torch.from_numpy(self.scores).topk(count, dim=1)
        top[:, :count] = np.where(np.isfinite(found.numpy()), self.nodes[best.numpy()], NO_ANSWER)
        return top

    def best(self, *, otherwise: float) -> Floats:
        """The highest score of each product, (n, 1); `otherwise` where the voice says nothing."""
        if not self.scores.shape[1]:
            return np.full((len(self.scores), 1), otherwise, dtype=np.float32)
        best = self.scores.max(axis=1, keepdims=True)
        return np.where(np.isfinite(best), best, np.float32(otherwise))

    def at(self, nodes: Indices, *, otherwise: float) -> Floats:
        """The scores of given nodes (n, K), (n, K); `otherwise` where the voice says nothing of one."""
        if not self.scores.shape[1]:
            return np.full(nodes.shape, otherwise, dtype=np.float32)
        options = np.where(nodes == NO_ANSWER, NO_ANSWER, self.options[nodes])
        found = np.take_along_axis(self.scores, np.maximum(options, 0), axis=1)
        return np.where((options == NO_ANSWER) | ~np.isfinite(found), np.float32(otherwise), found)

    def without(self, hidden: npt.NDArray[np.bool_]) -> "Opinion":
        """The same without some options of some products, (n, m) bool."""
        scores = np.where(hidden, np.float32(-np.inf), self.scores)
        return Opinion(scores=scores, options=self.options, nodes=self.nodes)
