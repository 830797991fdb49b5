"""Partners that are left out of training, one at a time, to see how well the products of the next one are judged."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from prodemb.core.arrays import Indices, sample_rows
from prodemb.core.features import PARTNER
from prodemb.heads.train import NO_FOLD, Labelled, LabelsT

_FEWEST = 30
"""Labelled products of a partner from which on figures are worth a training."""
_MOST = 2_000
"""Products of a partner that are judged at most."""


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """One partner, and the labelled products of the others."""

    name: str
    learned: Indices
    """Indices of labelled products outside the test part that other partners sent."""
    judged: Indices
    """Indices of the partner's labelled products, without variants of those."""


def leave_partners_out(data: Labelled[LabelsT], *, at_most: int, seed: int) -> Iterator[LeftOut]:
    """The partners with the most labelled products, each left out once; none where the catalog has but one.

    Args:
        at_most: how many partners.
        seed: of the choice of the products that are judged.
    """
    partners = data.shard_set.coded(PARTNER)
    of = partners.codes[data.rows]
    counts = np.bincount(of[of >= 0], minlength=len(partners.values))
    for partner in np.argsort(-counts, kind="stable")[:at_most].tolist():
        learned = data.outside_test[of[data.outside_test] != partner]
        own = np.flatnonzero((of == partner) & data.labels.gold[data.rows] & (data.folds != NO_FOLD))
        judged = own[~np.isin(data.groups[data.rows[own]], data.groups[data.rows[learned]])]
        if counts[partner] < counts.sum() and len(judged) >= _FEWEST:
            some = sample_rows(len(judged), at_most=_MOST, seed=seed)
            yield LeftOut(name=partners.values[partner], learned=learned, judged=judged[some].astype(np.int32))
