"""Making the report of what pipelines have made: their catalog, shards, heads and predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from prodemb import __version__
from prodemb.aliases.alias_file import read_aliases
from prodemb.catalog.images import ImageLoader
from prodemb.catalog.reader import open_catalog
from prodemb.core.bounded import read_json
from prodemb.core.errors import CatalogError, ConfigError, ShardError
from prodemb.core.files import sha256_of
from prodemb.core.inputs import inputs_hash
from prodemb.core.progress import Progress
from prodemb.core.text import one_line
from prodemb.finetune.report import FinetuneReport
from prodemb.heads.head import CARD_NAME, HeadCard, load_head
from prodemb.heads.labels import Target
from prodemb.job.given_labels import given_labels
from prodemb.job.pipeline import Pipeline
from prodemb.job.score import trained_heads
from prodemb.report.gallery import gallery
from prodemb.report.incoming import incoming
from prodemb.report.labels import with_labels
from prodemb.report.learned import learned
from prodemb.report.outcome import outcome, read_predictions
from prodemb.report.page import check_report_out, is_report_of, write_page
from prodemb.report.review import audit_of, merges
from prodemb.report.summary import Card, Learned, StepTime, Summary
from prodemb.report.thumbnails import with_pictures
from prodemb.score.bucket import predictions_to_read
from prodemb.score.folder import record_file
from prodemb.shards.format import read_manifest
from prodemb.shards.labels import GivenLabels
from prodemb.shards.reader import open_shard_set
from prodemb.storage.address import Place, place
from prodemb.storage.desk import file_to_read, file_to_write, folder_to_read, sibling
from prodemb.towers.checkpoint import FINETUNE_REPORT

REPORT_NAME = "report.html"
AUDIT_NAME = "audit.parquet"
"""Where an audit is looked for beside the predictions."""


@dataclass(frozen=True, kw_only=True)
class ReportMade:
    """A report that is there."""

    out: Path
    summary: Summary
    """What it shows, without pictures and times where an earlier run wrote it."""
    was_done: bool
    """Whether it was already made from these predictions, heads and files, and is left as it is."""


@dataclass(frozen=True, kw_only=True)
class _Sources:
    """What a report is made from."""

    predictions: Path
    shards: Place
    aliases: Path | None
    audit: Path | None
    heads: dict[Path, HeadCard]
    labels: GivenLabels | None

    def inputs_hash(self) -> str:
        """The `prodemb.core.inputs.inputs_hash` of a report of these."""
        files = [path for path in (record_file(self.predictions), self.aliases, self.audit) if path is not None]
        return inputs_hash(
            prodemb_version=__version__,
            shards=read_manifest(self.shards).checksum(),
            labels=self.labels and self.labels.inputs_hash,
            files={str(path): sha256_of(path) for path in files},
            heads={str(folder): card.weights_sha256 for folder, card in self.heads.items()},
        )


def report_path(pipelines: Sequence[Pipeline]) -> Path:
    """Where a run writes its report: beside its predictions."""
    return file_to_write(sibling(pipelines[0].score.out, REPORT_NAME))


def make_report(
    pipelines: Sequence[Pipeline],
    *,
    out: Path,
    progress: Progress,
    heads: Sequence[Path] | None = None,
    audit: Path | None = None,
    steps: Sequence[StepTime] = (),
) -> ReportMade:
    """Write a report of what is there now, unless `out` is one of just that.

    Args:
        pipelines: of one catalog, at most one a target.
        out: an `.html` file.
        heads: the folders of the heads that made the predictions; by default those that scoring takes.
        audit: findings to show; by default `audit.parquet` beside the predictions, where there is one.
        steps: what the run measured that this report is of.

    Raises:
        ConfigError: `out` is another kind of file, or the predictions or the audit are none.
        ShardError: there are no shards, or the predictions are of others.
        HeadError: a head is damaged.
    """
    check_report_out(out)
    with progress("Writing the report"):
        sources = _sources(pipelines, heads=trained_heads(pipelines) if heads is None else heads, audit=audit)
        summary, wanted = _summary(pipelines, sources=sources, steps=steps), sources.inputs_hash()
        if is_report_of(out, inputs_hash=wanted):
            return ReportMade(out=out, summary=summary, was_done=True)
        summary = replace(summary, gallery=_with_pictures(summary.gallery, pipeline=pipelines[0]))
        write_page(summary, out, inputs_hash=wanted)
    return ReportMade(out=out, summary=summary, was_done=False)


def _sources(pipelines: Sequence[Pipeline], *, heads: Sequence[Path], audit: Path | None) -> _Sources:
    path = predictions_to_read(pipelines[0].score.out)
    if not record_file(path).is_file():
        raise ConfigError(f"{path}: no predictions yet; run `prodemb run` or `prodemb score` first")
    aliases = [file_to_read(pipeline.brands.aliases) for pipeline in pipelines if pipeline.target == "brand"]
    beside = file_to_read(sibling(pipelines[0].score.out, AUDIT_NAME))
    if audit is not None and not audit.is_file():
        raise ConfigError(f"{audit}: no such file; wanted findings, as `prodemb audit` writes them")
    return _Sources(
        predictions=path,
        shards=place(pipelines[0].embed.out),
        aliases=next((each for each in aliases if each.is_file()), None),
        audit=audit or (beside if beside.is_file() else None),
        heads={folder: load_head(folder).card for folder in heads},
        labels=given_labels(pipelines),
    )


def _summary(pipelines: Sequence[Pipeline], *, sources: _Sources, steps: Sequence[StepTime]) -> Summary:
    """All but the pictures."""
    predictions = read_predictions(sources.predictions)
    shard_set = open_shard_set(sources.shards).with_labels(sources.labels)
    if not predictions["product_id"].equals(shard_set.frame(["product_id"]).to_series().cast(pl.String)):
        raise ShardError(f"{sources.predictions}: its products are not those of {shard_set.folder}; score again")
    targets: tuple[Target, ...] = ("category", "brand")
    path = sources.aliases
    aliases = None if path is None else read_aliases(path)
    predictions = with_labels(predictions, shard_set=shard_set, cards=sources.heads.values(), aliases=aliases)
    return Summary(
        version=__version__,
        incoming=incoming(shard_set),
        learned=_learned(pipelines, heads=sources.heads),
        outcome=outcome(
            predictions,
            path=sources.predictions,
            targets=tuple(target for target in targets if predictions[f"{target}_first"].count()),
        ),
        merges=None if path is None or aliases is None else merges(aliases, path=path, shard_set=shard_set),
        audit=None if sources.audit is None else audit_of(sources.audit),
        gallery=gallery(predictions, shard_set=shard_set),
        finetune=_finetune(pipelines, heads=sources.heads),
        steps=tuple(steps),
    )


def _learned(pipelines: Sequence[Pipeline], *, heads: Mapping[Path, HeadCard]) -> tuple[Learned, ...]:
    """What the heads have learned, that of categories first."""
    found = []
    for pipeline in sorted(pipelines, key=lambda pipeline: pipeline.target, reverse=True):
        least = pipeline.score.min_brand_confidence if pipeline.target == "brand" else 0.0
        for folder, card in heads.items():
            if card.target == pipeline.target:
                other = _other_head(pipeline, folder=folder, card=card)
                tuned = other is not None and folder == pipeline.head_folder
                found.append(learned(folder, card=card, is_fine_tuned=tuned, other=other, min_confidence=least))
    return tuple(found)


def _other_head(pipeline: Pipeline, *, folder: Path, card: HeadCard) -> HeadCard | None:
    """The category head on the other CLIP, if there is one."""
    own, frozen = pipeline.head_folder, pipeline.frozen_head_folder
    other = frozen if folder == own else own
    if pipeline.target != "category" or folder not in (own, frozen) or not (other / CARD_NAME).is_file():
        return None
    found = load_head(other).card
    return found if found.fingerprint != card.fingerprint else None


def _finetune(pipelines: Sequence[Pipeline], *, heads: Mapping[Path, HeadCard]) -> FinetuneReport | None:
    """What fine-tuning did, where a head is on its checkpoint."""
    fingerprints = {card.fingerprint for card in heads.values()}
    for pipeline in pipelines:
        path = folder_to_read(pipeline.finetune.out) / FINETUNE_REPORT
        if pipeline.target != "category" or not path.is_file():
            continue
        try:
            report = FinetuneReport.model_validate(read_json(path))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path}: damaged: {one_line(error)}; fine-tune again") from None
        if report.fingerprint in fingerprints:
            return report
    return None


def _with_pictures(cards: tuple[Card, ...], *, pipeline: Pipeline) -> tuple[Card, ...]:
    """The cards with small pictures; without, where the catalog is gone or cannot be read any more."""
    try:
        catalog = open_catalog(pipeline.catalog)
        with ImageLoader(pipeline.images, root=catalog.image_root) as loader:
            return with_pictures(cards, catalog=catalog, loader=loader)
    except CatalogError:
        return cards
