"""The gallery: some products of each kind, with what was sent, what is answered and what the labels say."""

from typing import Any

import numpy as np
import polars as pl

from prodemb.core.features import raw_column
from prodemb.heads.labels import Target
from prodemb.report.summary import Answer, Card
from prodemb.shards.product_set import supplied_values
from prodemb.shards.reader import ShardSet

MAX_OF_KIND = {"wrong": 240, "no answer": 160, "unsure": 120, "no label": 120, "right": 120}
"""Most products of each kind."""
_SEED = 0
_CATEGORY = [raw_column("cat1"), raw_column("cat2"), raw_column("cat3")]


def gallery(predictions: pl.DataFrame, *, shard_set: ShardSet) -> tuple[Card, ...]:
    """Products of each kind: wrong and unanswered ones first, then the least sure, then some others by chance.

    An answer is right or wrong by the product's own label; the head's own first answer is compared, which has learned
    from that label.

    Args:
        predictions: as `prodemb.report.labels.with_labels` returns them, a row for each product of the set.
        shard_set: whose supplied values are shown.
    """
    judged = predictions.with_row_index("row").with_columns(
        *(_verdict(target).alias(f"{target}_verdict") for target in ("category", "brand"))
    )
    picked = _picked(judged)
    values = supplied_values(
        shard_set,
        ["product_id", raw_column("title"), raw_column("brand"), *_CATEGORY],
        rows=picked["row"].sort().to_numpy().astype(np.int64),
    )
    by_id = {row["product_id"]: row for row in values.iter_rows(named=True)}
    return tuple(_card(row, by_id[row["product_id"]]) for row in picked.iter_rows(named=True))


def _verdict(target: str) -> pl.Expr:
    """One of `prodemb.report.summary.VERDICTS` for each product."""
    own, first, label = pl.col(target), pl.col(f"{target}_first"), pl.col(f"{target}_label")
    return (
        pl.when(own.is_null())
        .then(pl.lit("no answer"))
        .when(label.is_not_null() & first.is_not_null())
        .then(pl.when(label == first).then(pl.lit("right")).otherwise(pl.lit("wrong")))
        .otherwise(pl.lit("no label"))
    )


def _picked(judged: pl.DataFrame) -> pl.DataFrame:
    """The rows to show, each once."""
    verdicts = [pl.col("category_verdict"), pl.col("brand_verdict")]
    has = {name: pl.any_horizontal(each == name for each in verdicts) for name in ("wrong", "no answer", "no label")}
    least = pl.min_horizontal("category_confidence", "brand_confidence")
    shuffled = judged.sample(fraction=1.0, shuffle=True, seed=_SEED)
    kinds = {
        "wrong": shuffled.filter(has["wrong"]),
        "no answer": shuffled.filter(has["no answer"]),
        "unsure": judged.filter(least < 1).sort(least, "row"),
        "no label": shuffled.filter(has["no label"]),
        "right": shuffled.filter(pl.any_horizontal(each == "right" for each in verdicts)),
    }
    parts = [kinds[kind].head(most) for kind, most in MAX_OF_KIND.items()]
    return pl.concat(parts).unique("row", keep="first", maintain_order=True)


def _card(row: dict[str, Any], supplied: dict[str, str | None]) -> Card:
    levels = [supplied[column] for column in _CATEGORY]
    return Card(
        product_id=row["product_id"],
        partner=row["partner"],
        title=supplied[raw_column("title")],
        supplied_brand=supplied[raw_column("brand")],
        supplied_category=" > ".join(level for level in levels if level) or None,
        category=_answer(row, "category"),
        brand=_answer(row, "brand"),
    )


def _answer(row: dict[str, Any], target: Target) -> Answer:
    verdict = row[f"{target}_verdict"]
    labelled = verdict in ("right", "wrong")
    return Answer(
        value=row[f"{target}_first" if labelled else target],
        confidence=row[f"{target}_first_confidence" if labelled else f"{target}_confidence"],
        label=row[f"{target}_label"] if labelled else None,
        verdict=verdict,
    )
