"""Choices: candidates of products whose truth is known, which is what weights are learned from."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from prodemb.confidence.candidates import Candidates
from prodemb.confidence.conditional_logit import ConditionalLogit
from prodemb.core.arrays import Floats


@dataclass(frozen=True, kw_only=True)
class Choices:
    """n products, each with its candidates and the true one of these."""

    candidates: Candidates
    chosen: npt.NDArray[np.int64]
    """(n,) the index of the true one; the last where none of them is."""
    weights: Floats
    """(n,) how much each product counts."""

    @classmethod
    def concat(cls, parts: "Iterable[Choices]") -> "Choices":
        """Several lists of choices as one; at least one part."""
        parts = list(parts)
        return cls(
            candidates=Candidates.concat([part.candidates for part in parts]),
            chosen=np.concatenate([part.chosen for part in parts]),
            weights=np.concatenate([part.weights for part in parts]),
        )

    def fit(self, *, prior: npt.NDArray[np.float64], l2: float) -> ConditionalLogit:
        """The weights of the features that these choices teach; see `ConditionalLogit.fit`."""
        return ConditionalLogit.fit(
            self.candidates.features,
            valid=self.candidates.valid,
            chosen=self.chosen,
            contexts=self.candidates.contexts,
            sample_weight=self.weights,
            prior=prior,
            l2=l2,
        )


def leave_one_out(folds: "list[list[Choices]]", *, prior: npt.NDArray[np.float64], l2: float) -> list[ConditionalLogit]:
    """For each fold the weights that the choices of the other folds teach; of a single fold its own."""
    models = []
    for number in range(len(folds)):
        others = [choices for fold in (*folds[:number], *folds[number + 1 :]) for choices in fold]
        models.append(Choices.concat(others or folds[number]).fit(prior=prior, l2=l2))
    return models
