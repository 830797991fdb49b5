"""Predictions of products, shard after shard, as tables."""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
import pyarrow as pa

from prodemb.brand.predict import BrandPredictor
from prodemb.category.predict import CategoryPredictor
from prodemb.category.zero_shot import ZeroShot
from prodemb.confidence.promise import Promise
from prodemb.core.features import PARTNER
from prodemb.score.brand_columns import BrandColumns
from prodemb.score.category_columns import CategoryColumns, ZeroShotColumns
from prodemb.score.columns import TargetColumns, predictions_schema
from prodemb.score.config import ScoreConfig
from prodemb.score.gold import GoldBrands, GoldNodes
from prodemb.score.predictions import LevelCounts, ScoreCounts
from prodemb.score.predictor import Predictor
from prodemb.shards.product_stream import Chunk, ProductStream, same_ids
from prodemb.shards.reader import ShardSet


def predictions(
    sources: Sequence[ShardSet], *, targets: Sequence[TargetColumns], first: int = 0, stop: int | None = None
) -> Iterator[pa.Table]:
    """The predictions of products in catalog order, those of one shard of the first set at a time.

    Args:
        sources: the shard set of each target.
        first: the first shard of the first set that counts.
        stop: the one after the last; None for all.
    """
    records = sources[0].manifest.shards
    start = sources[0].start_of(first)
    streams = [
        ProductStream(source, features=target.features, texts=target.texts, start=start)
        for source, target in zip(sources, targets, strict=True)
    ]
    for record in records[first:stop]:
        chunks = [stream.take(record.num_products) for stream in streams]
        same_ids(chunks, sources=sources, start=start)
        yield predictions_of(chunks, targets=targets)
        start += record.num_products


def predictions_of(chunks: Sequence[Chunk], *, targets: Sequence[TargetColumns]) -> pa.Table:
    """The predictions of n products, with the columns of `predictions_schema`; those of other targets are null.

    Args:
        chunks: the products with what each target reads.
    """
    schema, first = predictions_schema(), chunks[0]
    columns = {"product_id": _strings(first.product_ids), PARTNER: _strings(first.partners)}
    for target, chunk in zip(targets, chunks, strict=True):
        columns |= target.columns(chunk)
    missing = [field for field in schema if field.name not in columns]
    columns |= {field.name: pa.nulls(len(first.product_ids), field.type) for field in missing}
    return pa.table(columns).select(schema.names)


def _strings(texts: pl.Series) -> pa.Array:
    return texts.cast(pl.String).to_arrow().cast(pa.string())


def target_columns(predictor: Predictor, *, config: ScoreConfig, promise: Promise | None) -> TargetColumns:
    """What turns a predictor's output into columns, by the settings."""
    match predictor:
        case BrandPredictor():
            return BrandColumns(
                predictor,
                top=config.top,
                min_confidence=config.min_brand_confidence,
                promise=promise,
                gold=GoldBrands(predictor.fuser.names) if config.keep_gold else None,
            )
        case CategoryPredictor():
            gold = GoldNodes(predictor.nodes.labels, known=predictor.gold) if config.keep_gold else None
            return CategoryColumns(predictor, top=config.top, promise=promise, gold=gold)
        case ZeroShot():
            gold = GoldNodes(predictor.nodes.labels) if config.keep_gold else None
            return ZeroShotColumns(predictor, top=config.top, promise=promise, gold=gold)


def counts_of(targets: Sequence[TargetColumns], *, changes: dict[str, int] | None = None) -> ScoreCounts:
    """What the targets have counted.

    Args:
        changes: against earlier predictions, if any.
    """
    tallies = {part.target: part.tally for part in targets}
    promises = {part.target: part.promise for part in targets if part.promise is not None}
    levels: tuple[LevelCounts, ...] = ()
    if "category" in promises:
        tally = tallies["category"]
        deepest = np.flatnonzero(tally.levels_before + tally.levels_after).max(initial=0)
        counted = zip(tally.levels_before[: deepest + 1], tally.levels_after[: deepest + 1], strict=True)
        levels = tuple(LevelCounts(before=int(before), after=int(after)) for before, after in counted)
    return ScoreCounts(
        unanswered={target: tally.num_unanswered for target, tally in tallies.items()},
        gold={target: tally.num_gold for target, tally in tallies.items()},
        unresolved_gold=sum(tally.num_unresolved_gold for tally in tallies.values()),
        backed_off=sum(tally.num_backed_off for tally in tallies.values()),
        promises=promises,
        levels=levels[1:],
        changes=changes,
    )
