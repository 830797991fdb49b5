"""Candidates: the possible answers for n products, and a feature matrix of the evidence for each of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from prodemb.confidence.conditional_logit import ConditionalLogit, Contexts
from prodemb.core.arrays import Floats, Indices


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """The candidates of n products; the last of the K is always valid and stands for none of them."""

    ids: npt.NDArray[np.int64]
    """(n, K) what each one is; -1 for the last."""
    valid: npt.NDArray[np.bool_]
    """(n, K) which there are; an answer from two sources is there once."""
    features: Floats
    """(n, K, P)."""
    contexts: Contexts
    """(n, C) the circumstances in which features may weigh differently."""

    @classmethod
    def concat(cls, parts: "Sequence[Candidates]") -> "Candidates":
        """The candidates of several lists of products as one, K being that of the longest."""
        num_candidates = max(part.ids.shape[1] for part in parts)
        parts = [part.widened(num_candidates) for part in parts]
        return cls(
            ids=np.concatenate([part.ids for part in parts]),
            valid=np.concatenate([part.valid for part in parts]),
            features=np.concatenate([part.features for part in parts]),
            contexts=np.concatenate([part.contexts for part in parts]),
        )

    def widened(self, num_candidates: int) -> "Candidates":
        """The same with so many places for candidates, K or more; those that are added are not valid."""
        place, num_added = self.ids.shape[1] - 1, num_candidates - self.ids.shape[1]
        return Candidates(
            ids=np.insert(self.ids, [place] * num_added, -1, axis=1),
            valid=np.insert(self.valid, [place] * num_added, False, axis=1),
            features=np.insert(self.features, [place] * num_added, 0, axis=1),
            contexts=self.contexts,
        )

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Indices) -> "Candidates":
        """Those of some of the products, (m,)."""
        return Candidates(
            ids=self.ids[rows], valid=self.valid[rows], features=self.features[rows], contexts=self.contexts[rows]
        )

    def index_of(self, ids: Indices) -> npt.NDArray[np.int64]:
        """The index of each answer (n,) among its product's candidates, (n,); the last index where it is not there."""
        same = (self.ids == ids[:, None]) & self.valid
        same[:, -1] = True
        return np.asarray(same.argmax(axis=1))

    def predict_proba(self, model: ConditionalLogit) -> npt.NDArray[np.float64]:
        """The probability of each candidate, (n, K); 0 where it is not valid."""
        return model.predict_proba(self.features, valid=self.valid, contexts=self.contexts)


def first_of_each(ids: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which candidates (n, K) are there for the first time; the last always is."""
    earlier = np.tril(np.ones((ids.shape[1], ids.shape[1]), dtype=np.bool_), k=-1)
    repeated = ((ids[:, :, None] == ids[:, None, :]) & earlier).any(axis=2)
    valid = (ids >= 0) & ~repeated
    valid[:, -1] = True
    return np.asarray(valid)
