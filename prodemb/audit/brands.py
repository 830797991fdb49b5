"""Holding the answers of a brand predictor against supplied brands and gold labels."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from prodemb.aliases.normalise import normalise_brand
from prodemb.audit.judge import NUM_ANSWERS, NUM_NEAREST, Evidence, Judged
from prodemb.brand.predict import SOURCES, BrandPredictor
from prodemb.core.arrays import NO_ANSWER, Indices
from prodemb.core.features import Feature
from prodemb.heads.neighbours import Nearest
from prodemb.shards.product_set import ProductSet


class BrandIds:
    """Ids of brands, which predictors number each in their own way; names with one comparison key share one."""

    def __init__(self, names: Sequence[str]) -> None:
        """Begin with the names of labels, in their order, whose keys differ."""
        self.names = list(names)
        self._ids = {_key(name): number for number, name in enumerate(self.names)}

    def of(self, numbers: Indices, *, names: Sequence[str]) -> npt.NDArray[np.int64]:
        """The ids of brands that are given as indices of `names`, of the same shape; -1 stays."""
        distinct, index = np.unique(numbers, return_inverse=True)
        ids = [NO_ANSWER if number == NO_ANSWER else self._id_of(names[number]) for number in distinct.tolist()]
        return np.array(ids, dtype=np.int64)[index].reshape(numbers.shape)

    def _id_of(self, name: str) -> int:
        number = self._ids.setdefault(_key(name), len(self.names))
        if number == len(self.names):
            self.names.append(name)
        return number


def _key(name: str) -> str:
    return normalise_brand(name) or name


class BrandAuditor:
    """A brand predictor."""

    sources: tuple[str, ...] = SOURCES

    def __init__(self, predictor: BrandPredictor, *, ids: BrandIds, min_confidence: float, same_set: bool) -> None:
        """Judge by a predictor.

        Args:
            ids: those of all predictors of the audit.
            min_confidence: see `AuditConfig`.
            same_set: whether it has learned from the shard set that is audited.
        """
        self._predictor = predictor
        self._ids = ids
        self._min_confidence = min_confidence
        self._same_set = same_set

    @property
    def features(self) -> tuple[Feature, ...]:
        """See `Auditor`."""
        return self._predictor.card.features

    def judge(self, products: ProductSet) -> Judged:
        """See `Auditor`."""
        fuser = self._predictor.fuser
        candidates, mentions = fuser.candidates(products, head=self._predictor.head)
        prediction = fuser.weigh(candidates, mentions, k=NUM_ANSWERS)
        answers = self._ids.of(prediction.brands, names=prediction.names)
        supplied = self._ids.of(mentions.supplied, names=prediction.names)
        first, confidences = answers[:, 0], prediction.probabilities[:, 0]
        differs = (first != NO_ANSWER) & (supplied != NO_ANSWER) & (first != supplied)
        own = (answers == supplied[:, None]) & (supplied != NO_ANSWER)[:, None]
        return Judged(
            answers=answers,
            probabilities=prediction.probabilities,
            sources=prediction.sources,
            supplied=supplied,
            supplied_confidences=(own * prediction.probabilities).sum(axis=1),
            suggestions=np.where(differs & (confidences >= self._min_confidence), first, NO_ANSWER),
            confidences=confidences,
        )

    def contradicts(self, answers: Indices, labels: Indices) -> npt.NDArray[np.bool_]:
        """See `Auditor`."""
        return np.asarray((answers != labels[:, None]) & (answers != NO_ANSWER))

    def evidence(self, products: ProductSet) -> Evidence:
        """See `Auditor`."""
        fuser = self._predictor.fuser
        if fuser.neighbours is None:
            return Evidence.of(Nearest.nobody(len(products)), rows=None, ids=np.array([NO_ANSWER]))
        nearest = fuser.neighbours.nearest(products.of(fuser.neighbours.features), k=NUM_NEAREST)
        return Evidence.of(nearest, rows=fuser.neighbours.rows if self._same_set else None, ids=self._label_ids)

    @cached_property
    def _label_ids(self) -> npt.NDArray[np.int64]:
        names = self._predictor.fuser.label_names
        return np.append(self._ids.of(np.arange(len(names)), names=names), NO_ANSWER)
