"""Contrastive losses that know which pairs are of one category, and the bounded temperature they share."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import torch
from torch import Tensor
from torch.nn import functional

from prodemb.taxonomy.taxonomy import SEPARATOR

LossKind = Literal["soft", "masked", "plain"]
"""What a pair of one category counts as: a positive (`soft`), nothing (`masked`), or a negative (`plain`)."""


@dataclass(frozen=True, kw_only=True)
class Tree:
    """Where the categories stand in the taxonomy, and how much of a target goes to the near ones."""

    ancestors: Tensor
    """(C, depth) int64, for each category the nodes from the root down to itself; -1 below it."""
    credit: float
    """The share of a query's target mass that categories near to its own get, 0 to 1."""

    @classmethod
    def from_paths(cls, paths: Sequence[str], *, credit: float) -> Self:
        """The tree of these paths (`A > B > C`), whose places are the categories."""
        nodes: dict[tuple[str, ...], int] = {}
        levels = [path.split(SEPARATOR) for path in paths]
        depth = max(map(len, levels))
        rows = [
            [
                nodes.setdefault(tuple(names[: level + 1]), len(nodes)) if level < len(names) else -1
                for level in range(depth)
            ]
            for names in levels
        ]
        return cls(ancestors=torch.tensor(rows, dtype=torch.int64), credit=credit)

    def nearness(self, rows: Tensor, *, columns: Tensor) -> Tensor:
        """2 * shared / (depth + depth), 1 for the same node and 0 without a common root; (n, m) float64.

        Wu and Palmer 1994, Verb Semantics and Lexical Selection.

        Args:
            rows: (n,) int64 categories.
            columns: (m,) int64 categories.
        """
        ancestors = self.ancestors.to(rows.device)
        one, other = ancestors[rows][:, None], ancestors[columns][None]
        shared = ((one == other) & (one >= 0)).sum(dim=2)
        return 2 * shared.double() / ((one >= 0).sum(dim=2) + (other >= 0).sum(dim=2))


def contrastive_loss(
    queries: Tensor,
    *,
    keys: Tensor,
    query_labels: Tensor,
    key_labels: Tensor,
    kind: LossKind,
    scale: Tensor | float,
    tree: Tree | None = None,
) -> Tensor:
    """The symmetric contrastive loss between two sets of vectors: the mean of queries to keys and keys to queries.

    - `soft`: every key of the query's category shares its target mass. UniCL (Yang et al. 2022, arXiv 2204.03610),
      which carries the supervised contrastive loss (SupCon, Khosla et al. 2020, arXiv 2004.11362, its L_out) to two
      modalities. With a `tree`, part of the mass goes to the keys of other categories in proportion to how near these
      are: the soft labels of Bertinetto et al. 2020, Making Better Mistakes (arXiv 1912.09393), by shared depth in
      place of their exponential, so that the part does not grow with the number of keys.
    - `masked`: query i's one positive is key i, and other keys of its category are left out of the denominator.
    - `plain`: query i's one positive is key i, all others are negatives. InfoNCE as in CLIP (Radford et al. 2021,
      arXiv 2103.00020).

    With vectors of several devices, hand in all keys gathered; a query without a positive costs nothing.

    Args:
        queries: (n, d), L2-normalised.
        keys: (m, d), L2-normalised; with `masked` and `plain`, m = n and key i belongs to query i.
        query_labels: (n,) int64 categories.
        key_labels: (m,) int64 categories.
        scale: one over the temperature; see `bounded_scale`.
        tree: with `soft` only.

    Returns:
        A float32 scalar (float64 for float64 vectors); zero where no query has a positive.
    """
    if queries.dtype != torch.float64:
        queries, keys = queries.float(), keys.float()
    logits = scale * (queries @ keys.T)
    same = query_labels[:, None] == key_labels[None, :]
    match kind:
        case "soft":
            positives = same
        case "masked" | "plain":
            assert len(queries) == len(keys), "key i belongs to query i"
            assert tree is None, "the one positive has all of the mass"
            positives = torch.eye(len(queries), dtype=torch.bool, device=logits.device)
            if kind == "masked":
                logits = logits.masked_fill(same & ~positives, -math.inf)
    near = tree.nearness(query_labels, columns=key_labels).masked_fill(same, 0) if tree is not None else None
    targets = _targets(positives, near=near, tree=tree).to(logits.dtype)
    back = _targets(positives.T, near=None if near is None else near.T, tree=tree).to(logits.dtype)
    return (_one_way(logits, targets=targets) + _one_way(logits.T, targets=back)) / 2


def bounded_scale(log_scale: Tensor, *, largest: float) -> Tensor:
    """exp(`log_scale`), at most `largest`: CLIP (arXiv 2103.00020, section 2.5) found training unstable above 100.

    The gradient is that of exp, past the bound too, so that a parameter there can still come back down.
    """
    bounded = log_scale.detach().clamp(max=math.log(largest))
    return (log_scale - log_scale.detach() + bounded).exp()


def _targets(positives: Tensor, *, near: Tensor | None, tree: Tree | None) -> Tensor:
    """The target mass of each key, (n, m) float64, rows summing to one; rows without a positive are all zero.

    Args:
        positives: (n, m) bool; they share the mass, or what is left of it, evenly.
        near: (n, m), what shares the tree's credit in proportion; zero at the positives.
    """
    even = positives.double() / positives.sum(dim=1, keepdim=True).clamp(min=1)
    if near is None or tree is None:
        return even
    total = near.sum(dim=1, keepdim=True)
    shared = (1 - tree.credit) * even + tree.credit * near / torch.where(total > 0, total, torch.ones_like(total))
    return torch.where((total > 0) & positives.any(dim=1, keepdim=True), shared, even)


def _one_way(logits: Tensor, *, targets: Tensor) -> Tensor:
    """Cross-entropy of the rows of `logits` (n, m), the mean over those that have a target."""
    has_target = targets.any(dim=1)
    log_shares = functional.log_softmax(logits, dim=1)
    # Where a masked logit is -inf it is no target, and 0 * -inf would be nan.
    losses = -torch.where(targets > 0, targets * log_shares, torch.zeros_like(log_shares)).sum(dim=1)
    return torch.where(has_target, losses, torch.zeros_like(losses)).sum() / has_target.sum().clamp(min=1)
