"""What the head says of products: with all their vectors, and without that of their supplied brand."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from prodemb.brand.model import Floats
from prodemb.brand.names import NO_NAME, Ids
from prodemb.heads.head import TrainedHead

NUM_BEST = 5
"""Best classes that are told, with the supplied brand and without."""

_DOUBT = 0.01
"""Added to every probability: what a head has not learned, it calls more unlikely than it knows."""


@dataclass(frozen=True, kw_only=True)
class HeadSays:
    """The head's answers for n products, with the supplied brand and then without."""

    best: Ids
    """(n, 2 H) its best classes, with and then without; -1 where it has nothing to go by."""
    asked_log: Floats
    """(n, A, 2) log probabilities of the classes that were asked for, 0 where there is no class."""
    best_log: Floats
    """(n, 2 H, 2) those of `best`."""

    @property
    def first(self) -> Ids:
        """(n,) its best class without the supplied brand, -1 for none."""
        return self.best[:, self.best.shape[1] // 2]

    @property
    def sure(self) -> Floats:
        """(n,) how likely that one is without the supplied brand, 0 for none."""
        likely = np.exp(self.best_log[:, self.best.shape[1] // 2, 1])
        return np.asarray(np.where(self.first >= 0, likely, 0.0), dtype=np.float32)


@torch.inference_mode()
def ask_head(
    head: TrainedHead, *, vectors: npt.NDArray[np.float16], present: npt.NDArray[np.bool_], classes: Ids
) -> HeadSays:
    """Ask the head for its best classes and for the probabilities of given ones.

    Args:
        vectors: (n, D), those of the features of the head's card side by side.
        present: (n, F).
        classes: (n, A) classes to tell the probability of, -1 for none.
    """
    without = present & np.array([feature != "brand" for feature in head.card.features])
    parts = [
        _ask(
            head,
            torch.from_numpy(vectors[rows]),
            present=torch.from_numpy(present[rows]),
            without=torch.from_numpy(without[rows]),
            classes=torch.from_numpy(classes[rows]),
        )
        for rows in head.batches(len(vectors))
    ]
    return HeadSays(
        best=np.concatenate([part.best for part in parts]),
        asked_log=np.concatenate([part.asked_log for part in parts]),
        best_log=np.concatenate([part.best_log for part in parts]),
    )


def _ask(head: TrainedHead, vectors: Tensor, *, present: Tensor, without: Tensor, classes: Tensor) -> HeadSays:
    """`ask_head` for as many products as the head answers at a time; only those that send a brand are asked twice."""
    twice = (present != without).any(1).nonzero()[:, 0]
    logs = head.log_probabilities(vectors, present=present)
    logs_without = head.log_probabilities(vectors[twice], present=without[twice])
    num_best = min(NUM_BEST, logs.shape[1])
    best = logs.topk(num_best, dim=1).indices.cpu()
    best_without = best.clone()
    best_without[twice] = logs_without.topk(num_best, dim=1).indices.cpu()
    best[~present.any(1)] = NO_NAME
    best_without[~without.any(1)] = NO_NAME
    told = torch.cat([classes, best, best_without], dim=1)
    found = _gather(logs, told)
    found_without = found.clone()
    found_without[twice] = _gather(logs_without, told[twice])
    found[~present.any(1)] = 0.0
    found_without[~without.any(1)] = 0.0
    both = torch.stack([found, found_without], dim=2).numpy()
    num_asked = classes.shape[1]
    return HeadSays(
        best=torch.cat([best, best_without], dim=1).numpy(), asked_log=both[:, :num_asked], best_log=both[:, num_asked:]
    )


def _gather(logs: Tensor, classes: Tensor) -> Tensor:
    """(n, A) softened log probabilities of classes (n, A), 0 where there is none; on the CPU."""
    index = classes.to(logs.device).clamp(min=0)
    found = (logs.gather(1, index).exp() + _DOUBT).log().float().cpu()
    return found.masked_fill(classes < 0, 0.0)
