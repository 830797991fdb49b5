"""The loss of a training step: contrastive losses that know which pairs are of one category, and which pairs count."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from prodemb.finetune.config import FinetuneConfig, LossKind
from prodemb.finetune.inputs import InputKind, StepInputs
from prodemb.taxonomy.taxonomy import SEPARATOR


@dataclass(frozen=True, kw_only=True)
class TreeCredit:
    """Where the categories stand in the taxonomy, and how much of the target mass goes to near ones."""

    ancestors: Tensor
    """(C, depth) int64, for each category the nodes from the root down to itself; -1 below it."""
    credit: float
    """The share of a query's target mass that categories near to its own get, 0 to 1."""

    @classmethod
    def from_paths(cls, paths: Sequence[str], *, credit: float) -> Self:
        """The tree of these paths (`A > B > C`), numbered by their order."""
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
    tree: TreeCredit | None = None,
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

    With several devices, pass the gathered keys of all; a query without a positive adds nothing to the loss.

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


def _targets(positives: Tensor, *, near: Tensor | None, tree: TreeCredit | None) -> Tensor:
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


class PairLoss:
    """The loss over the pairs of a batch."""

    def __init__(self, config: FinetuneConfig, *, paths: list[str]) -> None:
        """
        Args:
            paths: the full path of each class.
        """
        self._config = config
        self._tree = TreeCredit.from_paths(paths, credit=config.tree_credit) if config.tree_credit else None

    def loss(self, vectors: dict[InputKind, Tensor], *, inputs: StepInputs, scale: Tensor) -> Tensor:
        """The weighted mean over the kinds of pairs that the batch has; in float32.

        Args:
            vectors: (k, d) of each kind of item in `inputs`.
        """
        config = self._config
        weights: dict[InputKind, float] = {
            "texts": config.text_path,
            "fields": config.feature_path,
            "images": config.image_path,
        }
        losses = [
            (weight, self._against_paths(kind, vectors=vectors, inputs=inputs, scale=scale))
            for kind, weight in weights.items()
            if weight and kind in vectors
        ]
        if config.text_image and {"texts", "images"} <= vectors.keys():
            across = self._across(vectors, inputs=inputs, scale=scale)
            losses += [(config.text_image, across)] if across is not None else []
        total = sum(weight for weight, _ in losses)
        return torch.stack([weight / total * loss for weight, loss in losses]).sum() if losses else scale * 0

    def _against_paths(
        self, kind: InputKind, *, vectors: dict[InputKind, Tensor], inputs: StepInputs, scale: Tensor
    ) -> Tensor:
        """Products against category paths: each path once where it may have several positives."""
        labels = inputs.labels[inputs.batch_rows[kind]]
        keys, key_labels = vectors["paths"], inputs.classes
        if self._config.loss != "soft":
            own = np.searchsorted(inputs.classes, labels)
            keys, key_labels = keys[torch.from_numpy(own).to(keys.device)], labels
        return self._between(vectors[kind], keys=keys, labels=labels, key_labels=key_labels, scale=scale)

    def _across(self, vectors: dict[InputKind, Tensor], *, inputs: StepInputs, scale: Tensor) -> Tensor | None:
        """Product texts against pictures, of the products that have both."""
        texts, images = vectors["texts"], vectors["images"]
        both, of_texts, of_images = np.intersect1d(
            inputs.batch_rows["texts"], inputs.batch_rows["images"], return_indices=True
        )
        if len(both) < 2:
            return None
        queries = texts[torch.from_numpy(of_texts).to(texts.device)]
        keys = images[torch.from_numpy(of_images).to(images.device)]
        labels = inputs.labels[both]
        return self._between(queries, keys=keys, labels=labels, key_labels=labels, scale=scale)

    def _between(
        self,
        queries: Tensor,
        *,
        keys: Tensor,
        labels: npt.NDArray[np.int64],
        key_labels: npt.NDArray[np.int64],
        scale: Tensor,
    ) -> Tensor:
        return contrastive_loss(
            queries,
            keys=keys,
            query_labels=torch.from_numpy(labels).to(queries.device),
            key_labels=torch.from_numpy(key_labels).to(queries.device),
            kind=self._config.loss,
            scale=scale,
            tree=self._tree,
        )
