"""The gold labels of products, as their answers would name them."""

from collections.abc import Iterable

import polars as pl

from prodemb.aliases.junk import UNKNOWN
from prodemb.aliases.table import AliasTable
from prodemb.core.features import GOLD_LABELS
from prodemb.heads.head import HeadCard
from prodemb.heads.labels import CategoryLabel
from prodemb.score.gold import GOLD, GoldNodes
from prodemb.shards.reader import ShardSet


def with_labels(
    predictions: pl.DataFrame, *, shard_set: ShardSet, cards: Iterable[HeadCard], aliases: AliasTable | None
) -> pl.DataFrame:
    """The predictions with the columns `category_label` and `brand_label`, null where a product has none.

    Args:
        predictions: as `prodemb.report.outcome.read_predictions` returns them, a row for each product of the set.
        cards: of the heads that made them; a category that none knows is no label.
        aliases: by which brands are spelled; as they are where there is none.
    """
    gold = shard_set.frame(GOLD_LABELS).with_columns(pl.all().cast(pl.String))
    nodes = [label for card in cards for label in (*card.classes, *card.ancestors) if isinstance(label, CategoryLabel)]
    paths = pl.Series([*(node.path for node in nodes), None], dtype=pl.String)
    found = {
        "category": paths.gather(GoldNodes(nodes).nodes_of(gold["google_category_id"]) % len(paths)),
        "brand": _brands(gold["brand_label"], aliases=aliases),
    }
    return predictions.with_columns(
        pl.when(pl.col(f"{target}_source").eq_missing(GOLD))
        .then(pl.col(target))
        .otherwise(labels)
        .alias(f"{target}_label")
        for target, labels in found.items()
    )


def _brands(labels: pl.Series, *, aliases: AliasTable | None) -> pl.Series:
    """The canonical brand of each label; null where it is none."""
    distinct = labels.unique().drop_nulls()
    names = [(aliases.verdict(label) if aliases else None) or label.strip() for label in distinct]
    known = pl.Series([name if name != UNKNOWN else None for name in names], dtype=pl.String).replace({"": None})
    return labels.replace_strict(distinct, known, default=None, return_dtype=pl.String)
