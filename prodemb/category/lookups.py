"""The baseline for categories that looks up the supplied categories."""

import numpy as np

from prodemb.core.arrays import NO_ANSWER
from prodemb.core.features import raw_column
from prodemb.heads.baselines import BaselineInputs, FittedBaseline, Predict, Ranking, most_frequent


def category_lookups(train: BaselineInputs) -> tuple[FittedBaseline, ...]:
    """The category that most training products with the same supplied categories have."""
    return (FittedBaseline.fit("supplied value", look_up, train=train),)


def look_up(train: BaselineInputs) -> Predict:
    """The majority training class of the supplied categories, from all of them together back to none at all."""
    columns = [raw_column(feature) for feature in ("cat1", "cat2", "cat3")]
    seen = train.supplied.select(columns).with_columns(label=train.labels).drop_nulls(columns[0])
    majorities = [
        (
            columns[:used],
            seen.group_by(*columns[:used], "label")
            .len()
            .sort("len", "label", descending=[True, False])
            .unique(columns[:used], keep="first", maintain_order=True),
        )
        for used in range(len(columns), 0, -1)
    ]
    fallback = most_frequent(train)

    def predict(test: BaselineInputs) -> Ranking:
        classes = np.full(len(test.labels), NO_ANSWER)
        for keys, majority in majorities:
            joined = test.supplied.join(majority, on=keys, how="left", nulls_equal=True, maintain_order="left")
            classes = np.where(classes == NO_ANSWER, joined["label"].fill_null(NO_ANSWER).to_numpy(), classes)
        return Ranking(topk=np.where(classes == NO_ANSWER, fallback(test).topk[:, 0], classes)[:, None])

    return predict
