"""Choices: candidates of products whose truth is known, which is what weights are learned from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from prodemb.confidence.candidates import Candidates
from prodemb.confidence.conditional_logit import ConditionalLogit
from prodemb.core.arrays import Floats


@dataclass(frozen=True, kw_only=True)
class Answered:
    """The most probable answers of n products whose truth is known."""

    confidences: Floats
    """(n,) float32."""
    correct: npt.NDArray[np.bool_]
    """(n,) whether it is the true one."""

    @classmethod
    def concat(cls, parts: "Sequence[Answered]") -> "Answered":
        """Those of several lists of products as one, in order; there may be none."""
        return cls(
            confidences=np.concatenate([np.zeros(0, np.float32), *(part.confidences for part in parts)]),
            correct=np.concatenate([np.zeros(0, np.bool_), *(part.correct for part in parts)]),
        )

    def take(self, where: npt.NDArray[np.bool_]) -> "Answered":
        """Those of some of the products, (n,) bool."""
        return Answered(confidences=self.confidences[where], correct=self.correct[where])


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
        candidates = Candidates.concat([part.candidates for part in parts])
        none = candidates.ids.shape[1] - 1
        return cls(
            candidates=candidates,
            chosen=np.concatenate(
                [np.where(part.chosen == part.candidates.ids.shape[1] - 1, none, part.chosen) for part in parts]
            ),
            weights=np.concatenate([part.weights for part in parts]),
        )

    def answered(self, model: ConditionalLogit) -> Answered:
        """The most probable candidate of each product, but for the last one, by a model that has not seen them."""
        proba = self.candidates.predict_proba(model)[:, :-1]
        return Answered(confidences=proba.max(axis=1).astype(np.float32), correct=proba.argmax(axis=1) == self.chosen)

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


def answered_in(folds: Sequence[Mapping[str, Choices]], *, models: Sequence[ConditionalLogit]) -> dict[str, Answered]:
    """The answers in each condition, fold by fold, each by the model of its fold.

    Args:
        folds: the choices of each fold by condition; where a fold has none of one, the others count.
        models: of each fold, see `leave_one_out`.
    """
    names = dict.fromkeys(name for fold in folds for name in fold)
    return {
        name: Answered.concat(
            [fold[name].answered(model) for fold, model in zip(folds, models, strict=True) if name in fold]
        )
        for name in names
    }
