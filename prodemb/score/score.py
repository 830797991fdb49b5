"""Scoring: shards in, one Parquet file of categories and brands out, shard by shard."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import polars as pl
import pyarrow as pa
import torch
from pydantic import Field

from prodemb.brand.predict import Fuser
from prodemb.category.threshold import choose_threshold
from prodemb.category.zero_shot import ZeroShot
from prodemb.core.config import Config
from prodemb.core.errors import ConfigError, FingerprintError, HeadError, ShardError
from prodemb.core.features import Feature
from prodemb.core.files import replacing, sha256_of
from prodemb.heads.head import HeadCard, TrainedHead
from prodemb.heads.labels import Target
from prodemb.score.diff import Earlier, changes_schema
from prodemb.score.predictions import (
    BrandAnswers,
    CategoryAnswers,
    Counts,
    ZeroShotAnswers,
    open_predictions,
    predictions_metadata,
    predictions_schema,
    read_counts,
    write_counts,
)
from prodemb.shards.format import has_manifest
from prodemb.shards.product_stream import ProductStream, same_ids
from prodemb.shards.reader import ShardSet

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Called with the products scored so far and all there are."""


Answerer = TrainedHead | ZeroShot
"""What answers for one target."""

Answers = CategoryAnswers | BrandAnswers | ZeroShotAnswers
"""Answers as columns of the predictions."""


class ScoreConfig(Config):
    """`[score]`: what the predictions hold."""

    out: str = "out.parquet"
    """The predictions file that `prodemb run` writes."""
    top: int = Field(default=5, ge=1)
    """Answers in `category_top` and `brand_top`."""
    min_brand_confidence: float = Field(default=0.5, ge=0, le=1)
    """A brand that is less likely than this is UNKNOWN; `brand_top` keeps it."""
    category_precision: float | None = Field(default=None, gt=0, le=1)
    """How precise categories should be: a doubtful product is answered with a node above its most probable category,
    or with none, by a threshold chosen on the validation part; `category_top` keeps the categories. None to answer all
    products with their most probable category."""
    tau: float = Field(default=0.0, ge=0)
    """The strength of logit adjustment, which favours rare categories (Menon et al., ICLR 2021); 0 for none. The card
    tells what others would give: on two real catalogs 0.25 and 0.5 changed top-1 by 0.1 points and macro-F1 hardly."""


@dataclass(frozen=True, kw_only=True)
class ScoreReport:
    """What scoring wrote."""

    out: Path
    num_products: int
    seconds: float
    shards: dict[Target, Path]
    """The shard set each head read."""
    absent: tuple[Target, ...]
    """Targets without a head; their columns are null."""
    counts: Counts
    zero_shot: str | None
    """The taxonomy whose names answer categories without training; None where a head does, or nothing."""
    was_done: bool
    """Whether `out` had been made from just these shards and heads before, and so was left as it is."""


def score(
    shard_sets: Sequence[ShardSet],
    out: Path,
    *,
    heads: Sequence[Answerer],
    fuser: Fuser | None,
    config: ScoreConfig,
    device: torch.device,
    since: Path | None = None,
    progress: Progress | None = None,
) -> ScoreReport:
    """Write every product's category and brand to `out`, in catalog order, one row group a shard.

    Each head reads the shard set it was trained on, found by fingerprint. A category's confidence is the softmax
    probability of the first answer, which is not calibrated; a brand's is the fuser's, which is fitted to products that
    the head did not learn from. The file appears when it is whole, and is left as it is where it was made
    from just these heads and shards before. Memory holds one shard's vectors.

    Args:
        shard_sets: those to choose from, as `find_shard_sets` gives them.
        out: a `.parquet` file.
        heads: one a target at most; for categories also what answers without training.
        fuser: of the brand head, where there is one.
        since: earlier predictions of all products; only what differs from them is written (`prodemb.score.diff`).

    Raises:
        ConfigError: `out` is no `.parquet` file, or `since` no earlier predictions.
        BusyError: another run writes to `out`.
        HeadError: there is no head, two for one target, or a brand head without its fuser.
        FingerprintError: no shard set is of a head's model.
        ShardError: two shard sets could be meant, lack a feature, or hold other products.
    """
    start = time.perf_counter()
    if out.suffix != ".parquet" or out.is_dir():
        raise ConfigError(f"{out}: predictions are one Parquet file; wanted a name that ends in .parquet")
    if has_manifest(out.parent):
        raise ConfigError(f"{out}: its folder is a shard set; wanted a place of its own for the predictions")
    matched = _match(heads, shard_sets=shard_sets)
    sources = [source for _, source in matched.values()]
    _check_numbers(sources)
    report = ScoreReport(
        out=out,
        num_products=sources[0].num_products,
        seconds=0.0,
        shards={target: source.folder for target, (_, source) in matched.items()},
        absent=tuple(target for target in get_args(Target) if target not in matched),
        counts=Counts(unanswered={}),
        zero_shot=next((head.taxonomy for head in heads if isinstance(head, ZeroShot)), None),
        was_done=True,
    )
    settings = config.model_dump(mode="json", exclude={"out"})
    schema = predictions_schema()
    if since is not None:
        settings["changed_since"] = _checksum_of_earlier(since, out=out)
    metadata = predictions_metadata(heads, shard_sets=sources, settings=settings)
    before = read_counts(out, metadata=metadata)
    if before is not None and all(head.card.weights_sha256 for head in heads):
        return replace(report, counts=before)
    earlier = None if since is None else Earlier(since, schema=schema)
    answers = {target: _answers(head.to(device), fuser=fuser, config=config) for target, (head, _) in matched.items()}
    features = {target: head.card.features for target, (head, _) in matched.items()}
    num_done, written = 0, schema if earlier is None else changes_schema(schema)
    with replacing(out) as temporary, open_predictions(temporary, schema=written, metadata=metadata) as writer:
        for table in _answered(sources, answers=answers, features=features):
            writer.write_table((table if earlier is None else earlier.changed(table)).cast(writer.schema))
            num_done += table.num_rows
            if progress:
                progress(num_done, sources[0].num_products)
        for table in () if earlier is None else earlier.removed():
            writer.write_table(table.cast(writer.schema))
        counts = Counts(
            unanswered={target: part.num_unanswered for target, part in answers.items()},
            backed_off=sum(part.num_backed_off for part in answers.values() if not isinstance(part, BrandAnswers)),
            threshold=next((part.threshold for part in answers.values() if isinstance(part, CategoryAnswers)), None),
            changes=None if earlier is None else earlier.counts,
        )
        write_counts(writer, counts)
    return replace(report, seconds=time.perf_counter() - start, counts=counts, was_done=False)


def _answered(
    sources: Sequence[ShardSet],
    *,
    answers: Mapping[Target, Answers],
    features: Mapping[Target, tuple[Feature, ...]],
) -> Iterator[pa.Table]:
    """The predictions of all products, those of one shard of the first set at a time.

    Args:
        sources: the shard set of each target, in the order of `answers`.
        features: those that are read for each target.
    """
    schema, start = predictions_schema(), 0
    pairs = zip(sources, answers, strict=True)
    streams = [ProductStream(source, features=features[target]) for source, target in pairs]
    for record in sources[0].manifest.shards:
        chunks = [stream.take(record.num_products) for stream in streams]
        product_ids = same_ids(chunks, sources=sources, start=start)
        columns: dict[str, pa.Array] = {"product_id": product_ids.cast(pl.String).to_arrow().cast(pa.string())}
        for answering, chunk in zip(answers.values(), chunks, strict=True):
            columns |= answering.columns(chunk.products)
        missing = [field for field in schema if field.name not in columns]
        columns |= {field.name: pa.nulls(record.num_products, field.type) for field in missing}
        yield pa.table(columns).select(schema.names)
        start += record.num_products


def _checksum_of_earlier(since: Path, *, out: Path) -> str:
    if since.resolve() == out.resolve():
        raise ConfigError(f"{out}: the earlier predictions are this very file; wanted another one to write to")
    try:
        return sha256_of(since)
    except OSError as error:
        raise ConfigError(f"{since}: cannot be read as earlier predictions: {error.strerror}") from None


def _answers(head: Answerer, *, fuser: Fuser | None, config: ScoreConfig) -> Answers:
    if isinstance(head, ZeroShot):
        if config.category_precision is not None:
            raise ConfigError("[score] category_precision: zero-shot has no validation part to choose by; leave it out")
        return ZeroShotAnswers(head, top=config.top)
    if head.card.target == "category":
        threshold = None if config.category_precision is None else _threshold(head.card, config=config)
        return CategoryAnswers(head, top=config.top, tau=config.tau, threshold=threshold)
    if fuser is None:
        raise HeadError("found a brand head without its fuser; wanted both, as `prodemb train-brand` writes them")
    return BrandAnswers(head, fuser=fuser, top=config.top, min_confidence=config.min_brand_confidence)


def _threshold(card: HeadCard, *, config: ScoreConfig) -> float:
    """The least probability of a node that is answered, as the validation part has it."""
    if not card.back_off or card.tau != config.tau or config.category_precision is None:
        found = f"one measured with tau = {card.tau:g}" if card.back_off else "none: too few validation products"
        raise HeadError(
            f"[score] category_precision: takes the category head's back-off with tau = {config.tau:g}, found {found}; "
            "train again with these settings, or leave category_precision out"
        )
    return choose_threshold(card.back_off, precision=config.category_precision).threshold


def _match(heads: Sequence[Answerer], *, shard_sets: Sequence[ShardSet]) -> Mapping[Target, tuple[Answerer, ShardSet]]:
    """Each target's head with the one shard set of its model."""
    if not heads:
        raise HeadError("no head to score with; run `prodemb train-brand` or `prodemb train-category` first")
    matched: dict[Target, tuple[Answerer, ShardSet]] = {}
    for head in heads:
        card = head.card
        if card.target in matched:
            raise HeadError(f"found two heads for {card.target}, wanted one a target")
        fitting = [source for source in shard_sets if source.schema.fingerprint == card.fingerprint]
        if not fitting:
            found = "; ".join(f"{s.folder}: {s.schema.model} ({s.schema.fingerprint})" for s in shard_sets)
            raise FingerprintError(
                f"{card.target} head: trained on vectors of {card.model} ({card.fingerprint}), which no shard set "
                f"here holds; found {found or 'none'}; embed with that model, or train on these shards"
            )
        if len(fitting) > 1:
            folders = ", ".join(str(source.folder) for source in fitting)
            raise ShardError(
                f"{card.target} head: {len(fitting)} shard sets of its model: {folders}; wanted one, name it"
            )
        missing = [feature for feature in card.features if feature not in fitting[0].schema.features]
        if missing:
            raise ShardError(
                f"{fitting[0].folder}: no vectors of {', '.join(missing)}, which the {card.target} head reads; "
                f"found {', '.join(fitting[0].schema.features)}"
            )
        if card.lexical is not None and fitting[0].schema.lexical != card.lexical:
            raise FingerprintError(
                f"{card.target} head: reads lexical vectors of {card.lexical.dim} numbers (version "
                f"{card.lexical.version}), {fitting[0].folder} has others; embed again, or train on these shards"
            )
        matched[card.target] = head, fitting[0]
    return matched


def _check_numbers(sources: Sequence[ShardSet]) -> None:
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
