"""The head's probabilities of brands: from all vectors of a product, and without that of its supplied brand."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from prodemb.brand.names import NO_NAME, NameIds
from prodemb.core.arrays import Floats
from prodemb.heads.head import TrainedHead
from prodemb.shards.product_set import ProductSet

_TOPK = 5
"""Best classes, with the supplied brand and without."""

_SMOOTHING = 0.01
"""Added to every probability: a head is overconfident about brands that it has not learned."""


@dataclass(frozen=True, kw_only=True)
class HeadOutput:
    """A head's output for n products, with the vector of the supplied brand and then without."""

    topk: NameIds
    """(n, 2 H) the best classes with the supplied brand, then those without; -1 where there is no vector."""
    topk_log_proba: Floats
    """(n, 2 H, 2) the smoothed log probabilities of these, with the supplied brand and without."""
    class_log_proba: Floats
    """(n, A, 2) those of the classes that were asked for; 0 where there is no class."""

    @property
    def top1(self) -> NameIds:
        """(n,) the best class without the supplied brand; -1 for none."""
        return self.topk[:, self.topk.shape[1] // 2]

    @property
    def top1_proba(self) -> Floats:
        """(n,) the smoothed probability of that class without the supplied brand; 0 for none."""
        proba = np.exp(self.topk_log_proba[:, self.topk.shape[1] // 2, 1])
        return np.asarray(np.where(self.top1 >= 0, proba, 0.0), dtype=np.float32)


@torch.inference_mode()
def predict_log_proba(
    head: TrainedHead, products: ProductSet, *, classes: NameIds, hidden: NameIds | None = None
) -> HeadOutput:
    """The head's best classes for n products, and the log probabilities of these and of given classes.

    Args:
        products: with the vectors of the features of the head's card.
        classes: (n, A) classes to return the probabilities of; -1 for none.
        hidden: (n,) a class that a product's brand cannot be; -1 for none.
    """
    gone = np.full(len(products), NO_NAME) if hidden is None else hidden
    without = products.present_without("brand")
    parts = [
        _predict(
            head,
            torch.from_numpy(products.vectors[rows]),
            present=torch.from_numpy(products.present[rows]),
            without=torch.from_numpy(without[rows]),
            classes=torch.from_numpy(classes[rows]),
            hidden=torch.from_numpy(gone[rows]),
        )
        for rows in head.network.batches(len(products))
    ]
    return HeadOutput(
        topk=np.concatenate([part.topk for part in parts]),
        topk_log_proba=np.concatenate([part.topk_log_proba for part in parts]),
        class_log_proba=np.concatenate([part.class_log_proba for part in parts]),
    )


def _predict(
    head: TrainedHead, vectors: Tensor, *, present: Tensor, without: Tensor, classes: Tensor, hidden: Tensor
) -> HeadOutput:
    """One batch; only products with a supplied brand are predicted twice."""
    twice = (present != without).any(1).nonzero()[:, 0]
    log_proba = _hide(head.network.predict_log_proba(vectors, present=present), hidden)
    log_proba_without = _hide(head.network.predict_log_proba(vectors[twice], present=without[twice]), hidden[twice])
    k = min(_TOPK, log_proba.shape[1])
    topk = log_proba.topk(k, dim=1).indices.cpu()
    topk_without = topk.clone()
    topk_without[twice] = log_proba_without.topk(k, dim=1).indices.cpu()
    topk[~present.any(1)] = NO_NAME
    topk_without[~without.any(1)] = NO_NAME
    wanted = torch.cat([classes, topk, topk_without], dim=1)
    found = _gather(log_proba, wanted)
    found_without = found.clone()
    found_without[twice] = _gather(log_proba_without, wanted[twice])
    found[~present.any(1)] = 0.0
    found_without[~without.any(1)] = 0.0
    both = torch.stack([found, found_without], dim=2).numpy()
    num_classes = classes.shape[1]
    return HeadOutput(
        topk=torch.cat([topk, topk_without], dim=1).numpy(),
        topk_log_proba=both[:, num_classes:],
        class_log_proba=both[:, :num_classes],
    )


def _hide(log_proba: Tensor, hidden: Tensor) -> Tensor:
    """Log probabilities (n, num_classes) under which a hidden class (n,), if any, is not one of the classes."""
    rows = (hidden >= 0).nonzero()[:, 0]
    if len(rows):
        log_proba = log_proba.clone()
        log_proba[rows, hidden[rows]] = -torch.inf
        log_proba[rows] = log_proba[rows].log_softmax(1)
    return log_proba


def _gather(log_proba: Tensor, classes: Tensor) -> Tensor:
    """(n, A) smoothed log probabilities of classes (n, A), 0 where there is none; on the CPU."""
    index = classes.to(log_proba.device).clamp(min=0)
    found = (log_proba.gather(1, index).exp() + _SMOOTHING).log().float().cpu()
    return found.masked_fill(classes < 0, 0.0)
