"""Scoring: shards in, one Parquet file of categories and brands out, shard by shard."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np
import polars as pl
import pyarrow as pa
import torch
from pydantic import Field

from prodemb.brand.predict import BrandPredictor
from prodemb.category.predict import CategoryPredictor
from prodemb.category.zero_shot import ZeroShot
from prodemb.confidence.answers import Answers
from prodemb.confidence.promise import Promise
from prodemb.core.config import Config
from prodemb.core.errors import ConfigError, FingerprintError, HeadError, ShardError
from prodemb.core.features import PARTNER
from prodemb.core.files import replacing, sha256_of
from prodemb.core.progress import ProgressCallback
from prodemb.heads.labels import Target
from prodemb.score.brand_columns import BrandColumns
from prodemb.score.category_columns import CategoryColumns, ZeroShotColumns
from prodemb.score.columns import TargetColumns, predictions_schema
from prodemb.score.diff import Earlier, changes_schema
from prodemb.score.gold import GoldBrands, GoldNodes
from prodemb.score.predictions import (
    LevelCounts,
    ScoreCounts,
    is_predictions,
    open_predictions,
    predictions_metadata,
    read_counts,
    write_counts,
)
from prodemb.score.predictor import Predictor
from prodemb.score.promises import make_promises
from prodemb.shards.format import has_manifest
from prodemb.shards.product_stream import Chunk, ProductStream, same_ids
from prodemb.shards.reader import ShardSet
from prodemb.storage.address import Place

logger = logging.getLogger(__name__)


class ScoreConfig(Config):
    """`[score]`: what the predictions hold."""

    out: str = "out.parquet"
    """The predictions file that `prodemb run` writes."""
    top: int = Field(default=5, ge=1)
    """Predictions listed in `category_top` and `brand_top`."""
    min_brand_confidence: float = Field(default=0.5, ge=0, le=1)
    """A brand with a lower confidence is UNKNOWN; `brand_top` keeps it."""
    precision: float | None = Field(default=None, gt=0, lt=1)
    """Share of the answers that is promised to be right, of categories and of brands: a doubtful category is answered
    with a node above it, or with none, a doubtful brand is UNKNOWN. None to promise nothing and answer all."""
    certainty: float = Field(default=0.9, gt=0, lt=1)
    """The probability that the promise holds (`prodemb.confidence.promise`)."""
    keep_gold: bool = True
    """Whether a product that carries a gold label is answered with it, whatever the heads say."""


@dataclass(frozen=True, kw_only=True)
class ScoreReport:
    """The predictions and how they were made."""

    out: Path
    num_products: int
    seconds: float
    shards: dict[Target, Place]
    """The shard set each head read."""
    absent: tuple[Target, ...]
    """Targets without a head; their columns are null."""
    counts: ScoreCounts
    zero_shot: str | None
    """The taxonomy whose names predict categories without training; None where a head does, or nothing."""
    was_done: bool
    """Whether `out` was already made from these shards, heads and settings, and is left as it is."""


def score(
    shard_sets: Sequence[ShardSet],
    out: Path,
    *,
    predictors: Sequence[Predictor],
    config: ScoreConfig,
    device: torch.device,
    answers: Mapping[Target, Answers] | None = None,
    since: Path | None = None,
    on_progress: ProgressCallback | None = None,
) -> ScoreReport:
    """Write every product's category and brand to `out`, in catalog order, one row group per shard.

    Each predictor reads the shard set of its own model, found by fingerprint. The confidence of a category is the
    softmax probability of the first prediction, which is not calibrated; that of a brand is the fuser's, which is
    fitted to products that the head did not learn from. The file appears once it is complete, and is left as it is
    where it was already made from these inputs. Memory holds the vectors of one shard.

    Args:
        shard_sets: those to choose from, as returned by `find_shard_sets`.
        out: a `.parquet` file.
        predictors: at most one per target.
        answers: the out-of-fold answers of each head, where `config.precision` asks for a promise.
        since: earlier predictions of all products; only what differs from them is written (`prodemb.score.diff`).
        on_progress: called with the products scored so far and all there are.

    Raises:
        ConfigError: `out` is no `.parquet` file, or one of another kind, `since` is no earlier predictions, or a
            precision is asked of zero-shot categories.
        BusyError: another run writes to `out`.
        HeadError: there is no predictor, two for one target, or no out-of-fold answers to promise a precision by.
        FingerprintError: no shard set has the vectors of a head's model.
        ShardError: two shard sets could be meant, lack a feature, or hold other products.
    """
    start = time.perf_counter()
    if out.suffix != ".parquet" or out.is_dir():
        raise ConfigError(f"{out}: predictions are one Parquet file; wanted a name that ends in .parquet")
    if has_manifest(out.parent):
        raise ConfigError(f"{out}: its folder is a shard set; wanted another folder for the predictions")
    if out.exists() and not is_predictions(out):
        raise ConfigError(f"{out}: holds no whole predictions, so it is not replaced; remove it, or give another name")
    sources = match_shard_sets(predictors, shard_sets=shard_sets)
    check_numbers(sources)
    report = ScoreReport(
        out=out,
        num_products=sources[0].num_products,
        seconds=0.0,
        shards={p.card.target: source.folder for p, source in zip(predictors, sources, strict=True)},
        absent=tuple(target for target in get_args(Target) if target not in {p.card.target for p in predictors}),
        counts=ScoreCounts(unanswered={}),
        zero_shot=next((p.taxonomy for p in predictors if isinstance(p, ZeroShot)), None),
        was_done=True,
    )
    settings = config.model_dump(mode="json", exclude={"out"})
    schema = predictions_schema()
    if since is not None:
        settings["changed_since"] = _checksum_of_earlier(since, out=out)
    promises = make_promises(
        predictors,
        answers=answers or {},
        precision=config.precision,
        certainty=config.certainty,
        min_brand_confidence=config.min_brand_confidence,
    )
    metadata = predictions_metadata(predictors, shard_sets=sources, settings=settings)
    before = read_counts(out, inputs_hash=metadata["inputs_hash"])
    if before is not None and all(predictor.card.weights_sha256 for predictor in predictors):
        return replace(report, counts=before)
    earlier = None if since is None else Earlier(since, schema=schema)
    targets = [
        target_columns(predictor.to(device), config=config, promise=promises.get(predictor.card.target))
        for predictor in predictors
    ]
    num_done, written = 0, schema if earlier is None else changes_schema(schema)
    with replacing(out) as temporary, open_predictions(temporary, schema=written, metadata=metadata) as writer:
        for table in _predictions(sources, targets=targets):
            writer.write_table((table if earlier is None else earlier.changed(table)).cast(writer.schema))
            num_done += table.num_rows
            if on_progress:
                on_progress(num_done, sources[0].num_products)
        for table in () if earlier is None else earlier.removed():
            writer.write_table(table.cast(writer.schema))
        counts = _counts(targets, changes=None if earlier is None else earlier.counts)
        write_counts(writer, counts)
    return replace(report, seconds=time.perf_counter() - start, counts=counts, was_done=False)


def _predictions(sources: Sequence[ShardSet], *, targets: Sequence[TargetColumns]) -> Iterator[pa.Table]:
    """The predictions of all products, those of one shard of the first set at a time.

    Args:
        sources: the shard set of each target.
    """
    start = 0
    streams = [
        ProductStream(source, features=target.features, texts=target.texts)
        for source, target in zip(sources, targets, strict=True)
    ]
    for record in sources[0].manifest.shards:
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


def _checksum_of_earlier(since: Path, *, out: Path) -> str:
    if since.resolve() == out.resolve():
        raise ConfigError(f"{out}: the earlier predictions are this very file; wanted another one to write to")
    try:
        return sha256_of(since)
    except OSError as error:
        raise ConfigError(f"{since}: cannot be read as earlier predictions: {error.strerror}") from None


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


def _counts(targets: Sequence[TargetColumns], *, changes: dict[str, int] | None) -> ScoreCounts:
    """What the targets have counted."""
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


def match_shard_sets(predictors: Sequence[Predictor], *, shard_sets: Sequence[ShardSet]) -> list[ShardSet]:
    """The one shard set of each predictor's model.

    Raises:
        HeadError: there is no predictor, or two for one target.
        FingerprintError: no shard set has the vectors of a head's model.
        ShardError: two shard sets could be meant, or lack a feature.
    """
    if not predictors:
        raise HeadError("no head to score with; run `prodemb train-brand` or `prodemb train-category` first")
    targets = [predictor.card.target for predictor in predictors]
    for target in targets:
        if targets.count(target) > 1:
            raise HeadError(f"found two heads for {target}, wanted one per target")
    return [_shard_set_of(predictor, shard_sets=shard_sets) for predictor in predictors]


def _shard_set_of(predictor: Predictor, *, shard_sets: Sequence[ShardSet]) -> ShardSet:
    card = predictor.card
    fitting = [source for source in shard_sets if source.schema.fingerprint == card.fingerprint]
    if not fitting:
        found = "; ".join(f"{s.folder}: {s.schema.model} ({s.schema.fingerprint})" for s in shard_sets)
        raise FingerprintError(
            f"{card.target} head: trained on vectors of {card.model} ({card.fingerprint}), which no shard set "
            f"here holds; found {found or 'none'}; embed with that model, or train on these shards"
        )
    if len(fitting) > 1:
        folders = ", ".join(str(source.folder) for source in fitting)
        raise ShardError(f"{card.target} head: {len(fitting)} shard sets of its model: {folders}; wanted one, name it")
    source = fitting[0]
    missing = [feature for feature in card.features if feature not in source.schema.features]
    if missing:
        raise ShardError(
            f"{source.folder}: no vectors of {', '.join(missing)}, which the {card.target} head reads; "
            f"found {', '.join(source.schema.features)}"
        )
    if card.lexical is not None and source.schema.lexical != card.lexical:
        raise FingerprintError(
            f"{card.target} head: reads lexical vectors of {card.lexical.dim} numbers (version "
            f"{card.lexical.version}), {source.folder} has others; embed again, or train on these shards"
        )
    if card.text is not None and not (source.schema.text is not None and source.schema.text.like(card.text)):
        raise FingerprintError(
            f"{card.target} head: reads text vectors of {card.text.model} ({card.text.fingerprint}, template "
            f"{list(card.text.template)}), {source.folder} has others; embed again, or train on these shards"
        )
    return source


def check_numbers(sources: Sequence[ShardSet]) -> None:
    """Raise ShardError where the shard sets cannot hold the same products; warn where one of them is older."""
    first = sources[0]
    for other in sources[1:]:
        if other.num_products != first.num_products:
            raise ShardError(
                f"{other.folder}: holds {other.num_products:,} products, {first.folder} {first.num_products:,}; "
                "wanted shards of one catalog: embed it again into both"
            )
        made_from = [[record.rows_hash for record in source.manifest.shards] for source in (first, other)]
        if first.manifest.shard_size == other.manifest.shard_size and made_from[0] != made_from[1]:
            logger.warning(
                "%s and %s were made from other rows of the catalog, so one is older: embed again, with "
                "--fine-tuned for the set of a fine-tuned checkpoint",
                first.folder,
                other.folder,
            )
