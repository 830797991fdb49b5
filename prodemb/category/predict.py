"""A category head's answers in the taxonomy, with logit adjustment."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import torch

from prodemb.category.nodes import NodeAnswers, Nodes
from prodemb.heads.head import TrainedHead
from prodemb.heads.labels import CategoryLabel


@dataclass(frozen=True, kw_only=True)
class CategoryHead:
    """A trained head of categories and the nodes of its classes."""

    head: TrainedHead
    nodes: Nodes
    log_priors: torch.Tensor
    """(num_classes,) float32, of the training part."""

    @classmethod
    def of(cls, head: TrainedHead) -> Self:
        """Read nodes and priors off the head's card."""
        labels = [label for label in head.card.labels if isinstance(label, CategoryLabel)]
        counts = torch.tensor(head.card.examples or (1,) * len(labels), dtype=torch.float64).clamp(min=1)
        log_priors = (counts / counts.sum()).log().float()
        return cls(head=head, nodes=Nodes(labels, ancestors=head.card.ancestors), log_priors=log_priors)

    @torch.inference_mode()
    def answer(
        self, vectors: npt.NDArray[np.float16], *, present: npt.NDArray[np.bool_], k: int, tau: float
    ) -> NodeAnswers:
        """Answer n products, at least one.

        Args:
            vectors: (n, D), those of the features of the head's card side by side.
            present: (n, F).
            k: how many classes to rank.
            tau: the strength of post-hoc logit adjustment: tau times the log prior of a class is taken off its logit,
                which favours rare classes (Menon et al., Long-tail learning via logit adjustment, ICLR 2021). 0 for
                the head as it is.
        """
        parts = []
        for rows in self.head.batches(len(vectors)):
            logs = self.head.log_probabilities(torch.from_numpy(vectors[rows]), present=torch.from_numpy(present[rows]))
            if tau:
                logs = (logs - tau * self.log_priors.to(logs.device)).log_softmax(1)
            parts.append(self.nodes.answer(logs, k=k))
        return NodeAnswers.joined(parts)
