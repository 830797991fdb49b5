"""Contrastive losses that know which pairs are of one category, and the bounded temperature they share."""

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

LossKind = Literal["soft", "masked", "plain"]
"""What a pair of one category counts as: a positive (`soft`), nothing (`masked`), or a negative (`plain`)."""


def contrastive_loss(
    queries: Tensor,
    *,
    keys: Tensor,
    query_labels: Tensor,
    key_labels: Tensor,
    kind: LossKind,
    scale: Tensor | float,
) -> Tensor:
    """The symmetric contrastive loss between two sets of vectors: the mean of queries to keys and keys to queries.

    - `soft`: every key of the query's category shares its target mass. UniCL (Yang et al. 2022, arXiv 2204.03610),
      which carries the supervised contrastive loss (SupCon, Khosla et al. 2020, arXiv 2004.11362, its L_out) to two
      modalities.
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
            positives = torch.eye(len(queries), dtype=torch.bool, device=logits.device)
    if kind == "masked":
        logits = logits.masked_fill(same & ~positives, -math.inf)
    return (_one_way(logits, positives=positives) + _one_way(logits.T, positives=positives.T)) / 2


def bounded_scale(log_scale: Tensor, *, largest: float) -> Tensor:
    """exp(`log_scale`), at most `largest`: CLIP (arXiv 2103.00020, section 2.5) found training unstable above 100.

    The gradient is that of exp, past the bound too, so that a parameter there can still come back down.
    """
    bounded = log_scale.detach().clamp(max=math.log(largest))
    return (log_scale - log_scale.detach() + bounded).exp()


def _one_way(logits: Tensor, *, positives: Tensor) -> Tensor:
    """Cross-entropy of the rows of `logits` (n, m) with targets spread evenly over each row's positives."""
    counts = positives.sum(dim=1)
    has_positive = counts > 0
    log_shares = functional.log_softmax(logits, dim=1)
    # Where a masked logit is -inf it is no positive, and 0 * -inf would be nan.
    of_positives = torch.where(positives, log_shares, torch.zeros_like(log_shares)).sum(dim=1)
    losses = -of_positives / counts.clamp(min=1)
    return torch.where(has_positive, losses, torch.zeros_like(losses)).sum() / has_positive.sum().clamp(min=1)
