"""Scoring: shards in, categories and brands out, shard by shard, into one Parquet file or a folder of them."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa

from prodemb.category.zero_shot import ZeroShot
from prodemb.confidence.answers import Answers
from prodemb.confidence.promise import Promise
from prodemb.core.device import DeviceName, choose_device
from prodemb.core.errors import ConfigError
from prodemb.core.files import sha256_of
from prodemb.core.progress import ProgressCallback
from prodemb.heads.labels import Target
from prodemb.score.columns import predictions_schema
from prodemb.score.config import ScoreConfig
from prodemb.score.diff import Earlier, changes_schema
from prodemb.score.folder import check_folder_name, holds_predictions, is_folder, predictions_folder, record_file
from prodemb.score.parts import ScoreJob, score_parts
from prodemb.score.predictions import (
    ScoreCounts,
    head_inputs,
    is_predictions,
    predictions_metadata,
    read_counts,
    write_predictions,
)
from prodemb.score.predictor import Predictor
from prodemb.score.promises import make_promises
from prodemb.score.sources import check_numbers, match_shard_sets
from prodemb.score.stream import counts_of, predictions, target_columns
from prodemb.shards.format import has_manifest
from prodemb.shards.reader import ShardSet
from prodemb.storage.address import Place


@dataclass(frozen=True, kw_only=True)
class ScoreReport:
    """The predictions and how they were made."""

    out: Place
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
    num_files: int | None = None
    """Parquet files in the folder `out`; None where it is a file itself."""
    num_workers: int = 1
    """How many have scored; 0 where all files were there already."""


def score(
    shard_sets: Sequence[ShardSet],
    out: Place,
    *,
    predictors: Sequence[Predictor],
    config: ScoreConfig,
    device: DeviceName,
    answers: Mapping[Target, Answers] | None = None,
    since: Path | None = None,
    on_progress: ProgressCallback | None = None,
) -> ScoreReport:
    """Write every product's category and brand to `out`, in catalog order, one row group per shard.

    Each predictor reads the shard set of its own model, found by fingerprint. The confidence of a category is the
    softmax probability of the first prediction, which is not calibrated; that of a brand is the fuser's, which is
    fitted to products that the head did not learn from. A file appears once it is complete, and is left as it is
    where it was already made from these inputs. Memory holds the vectors of one shard.

    A folder holds the same rows in several files (`prodemb.score.folder`), which several workers can make; what it held
    before stays until all are there. A run that was interrupted goes on.

    Args:
        shard_sets: those to choose from, as returned by `find_shard_sets`.
        out: a `.parquet` file of this machine, or a folder, also of a bucket.
        predictors: at most one per target.
        device: what the heads run on, in this process or in each worker.
        answers: the out-of-fold answers of each head, where `config.precision` asks for a promise.
        since: earlier predictions of all products; only what differs from them is written (`prodemb.score.diff`).
        on_progress: called with the products scored so far and all there are.

    Raises:
        ConfigError: `out` is neither, or of another kind, several workers would write one file, `since` is no earlier
            predictions, or a precision is asked of zero-shot categories.
        BusyError: another run writes to `out`.
        OutputError: `out` cannot be written, or is a folder that holds what prodemb did not make.
        HeadError: there is no predictor, two for one target, or no out-of-fold answers to promise a precision by.
        FingerprintError: no shard set has the vectors of a head's model.
        ShardError: two shard sets could be meant, lack a feature, or hold other products.
        WorkerError: a worker died, or too many of a cluster's, or there is no cluster.
        StorageError: a bucket cannot be read or written.
    """
    start = time.perf_counter()
    check_out(out, config=config, since=since)
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
    promises = make_promises(
        predictors,
        answers=answers or {},
        precision=config.precision,
        certainty=config.certainty,
        min_brand_confidence=config.min_brand_confidence,
    )
    if is_folder(out):
        job = ScoreJob(
            folder=predictions_folder(out),
            sources=tuple(sources),
            predictors=tuple(predictors),
            config=config,
            promises=promises,
            device=device,
        )
        made = score_parts(job, on_progress=on_progress)
        report = replace(report, num_files=made.num_files, num_workers=made.num_workers, counts=made.counts)
        return report if made.was_done else replace(report, seconds=time.perf_counter() - start, was_done=False)
    assert isinstance(out, Path), f"{out}: a file in a bucket is written by its working copy"
    settings = config.inputs
    if since is not None:
        settings["changed_since"] = _checksum_of_earlier(since, out=out)
    metadata = predictions_metadata(head_inputs(predictors), shard_sets=sources, settings=settings)
    before = read_counts(out, inputs_hash=metadata["inputs_hash"])
    if before is not None and all(predictor.card.weights_sha256 for predictor in predictors):
        return replace(report, counts=before)
    counts = _score_file(
        sources,
        out,
        predictors=predictors,
        config=config,
        device=device,
        promises=promises,
        metadata=metadata,
        since=since,
        on_progress=on_progress,
    )
    return replace(report, seconds=time.perf_counter() - start, counts=counts, was_done=False)


def check_out(out: Place, *, config: ScoreConfig, since: Path | None = None) -> None:
    """See that predictions can be written to `out` with these settings, as far as that shows beforehand.

    Raises:
        ConfigError: they cannot.
    """
    has_parent = out.parent != out  # the whole bucket has none
    if has_manifest(out) or (has_parent and has_manifest(out.parent)):
        which = "it" if has_manifest(out) else "its folder"
        raise ConfigError(f"{out}: {which} is a shard set; wanted another folder for the predictions")
    if has_parent and holds_predictions(out.parent):
        raise ConfigError(f"{out}: its folder is one of predictions; wanted another folder")
    if is_folder(out):
        check_folder_name(out)
        if since is not None:
            raise ConfigError(
                f"{out}: what has changed is written to one file; wanted a name that ends in .parquet with "
                "--changed-since"
            )
        return
    assert isinstance(out, Path), f"{out}: a file in a bucket is written by its working copy"
    if out.exists() and not is_predictions(out):
        raise ConfigError(f"{out}: holds no whole predictions, so it is not replaced; remove it, or give another name")
    several = "[score] engine: found 'ray'" if config.engine == "ray" else f"[score] workers: found {config.workers}"
    if config.engine == "ray" or (config.workers or 1) > 1:
        raise ConfigError(
            f"{several}, and {out} is one file; several workers write one each: wanted a folder, such as "
            f"{out.with_suffix('')}"
        )


def _score_file(
    sources: Sequence[ShardSet],
    out: Path,
    *,
    predictors: Sequence[Predictor],
    config: ScoreConfig,
    device: DeviceName,
    promises: Mapping[Target, Promise],
    metadata: dict[str, Any],
    since: Path | None,
    on_progress: ProgressCallback | None,
) -> ScoreCounts:
    """Write the predictions of all products to one file, or what differs from earlier ones."""
    schema, num_products = predictions_schema(), sources[0].num_products
    earlier = None if since is None else Earlier(since, schema=schema)
    on_device = choose_device(device)
    targets = [
        target_columns(predictor.to(on_device), config=config, promise=promises.get(predictor.card.target))
        for predictor in predictors
    ]

    def tables() -> Iterator[pa.Table]:
        num_done = 0
        for table in predictions(sources, targets=targets):
            yield table if earlier is None else earlier.changed(table)
            num_done += table.num_rows
            if on_progress:
                on_progress(num_done, num_products)
        yield from () if earlier is None else earlier.removed()

    return write_predictions(
        out,
        tables(),
        schema=schema if earlier is None else changes_schema(schema),
        metadata=metadata,
        counts=lambda: counts_of(targets, changes=None if earlier is None else earlier.counts),
    )


def _checksum_of_earlier(since: Path, *, out: Path) -> str:
    if since.resolve() == out.resolve():
        raise ConfigError(f"{out}: the earlier predictions are this very file; wanted another one to write to")
    try:
        return sha256_of(record_file(since))
    except OSError as error:
        raise ConfigError(f"{since}: cannot be read as earlier predictions: {error.strerror}") from None
