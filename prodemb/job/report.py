"""Making the report of what pipelines have made: their catalog, shards, heads and predictions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prodemb import __version__
from prodemb.aliases.alias_file import read_aliases
from prodemb.catalog.images import ImageLoader
from prodemb.catalog.reader import open_catalog
from prodemb.core.bounded import read_json
from prodemb.core.errors import CatalogError, ConfigError, ShardError
from prodemb.core.progress import Progress
from prodemb.finetune.report import FinetuneReport
from prodemb.heads.head import load_head
from prodemb.heads.labels import Target
from prodemb.job.pipeline import Pipeline
from prodemb.job.score import frozen_card, trained_heads
from prodemb.report.gallery import gallery
from prodemb.report.incoming import incoming
from prodemb.report.learned import learned
from prodemb.report.outcome import outcome, read_predictions
from prodemb.report.page import check_report_out, write_page
from prodemb.report.review import audit_of, merges
from prodemb.report.summary import Audit, Card, Learned, Merges, StepTime, Summary
from prodemb.report.thumbnails import with_pictures
from prodemb.shards.reader import ShardSet, open_shard_set

REPORT_NAME = "report.html"
AUDIT_NAME = "audit.parquet"
"""Where an audit is looked for beside the predictions."""
FINETUNE_NAME = "finetune.json"


@dataclass(frozen=True, kw_only=True)
class ReportMade:
    """A report that was written."""

    out: Path
    summary: Summary


def report_path(pipelines: Sequence[Pipeline]) -> Path:
    """Where a run writes its report: beside its predictions."""
    return Path(pipelines[0].score.out).with_name(REPORT_NAME)


def make_report(
    pipelines: Sequence[Pipeline],
    *,
    out: Path,
    progress: Progress,
    audit: Path | None = None,
    steps: Sequence[StepTime] = (),
) -> ReportMade:
    """Write a report of what is there now.

    Args:
        pipelines: of one catalog, at most one a target.
        out: an `.html` file.
        audit: findings to show; by default `audit.parquet` beside the predictions, where there is one.
        steps: what the run measured that this report is of.

    Raises:
        ConfigError: `out` is another kind of file, or the predictions or the audit are none.
        ShardError: there are no shards, or the predictions are of others.
        HeadError: a head is damaged.
    """
    check_report_out(out)
    with progress("Writing the report"):
        summary = _summary(pipelines, audit=audit, steps=steps)
        write_page(summary, out)
    return ReportMade(out=out, summary=summary)


def _summary(pipelines: Sequence[Pipeline], *, audit: Path | None, steps: Sequence[StepTime]) -> Summary:
    first = pipelines[0]
    path = Path(first.score.out)
    if not path.is_file():
        raise ConfigError(f"{path}: no predictions yet; run `prodemb run` or `prodemb score` first")
    predictions = read_predictions(path)
    shard_set = open_shard_set(Path(first.embed.out))
    if predictions["product_id"].to_list() != shard_set.frame(["product_id"]).to_series().to_list():
        raise ShardError(f"{path}: its products are not those of {shard_set.folder}; score again")
    answered: tuple[Target, ...] = tuple(
        target
        for target in ("category", "brand")
        if predictions[f"{target}_source"].count() or predictions[target].count()
    )
    return Summary(
        version=__version__,
        incoming=incoming(shard_set),
        learned=tuple(each for pipeline in pipelines for each in _learned(pipeline)),
        outcome=outcome(predictions, path=path, targets=answered),
        merges=_merges(pipelines, shard_set=shard_set),
        audit=_audit(audit, beside=path),
        gallery=_with_pictures(gallery(predictions, shard_set=shard_set), pipeline=first),
        finetune=_finetune(pipelines),
        steps=tuple(steps),
    )


def _learned(pipeline: Pipeline) -> list[Learned]:
    """What the head that scoring uses has learned, if there is one."""
    least = pipeline.score.min_brand_confidence if pipeline.target == "brand" else 0.0
    found = []
    for folder in trained_heads([pipeline]):
        card = load_head(folder).card
        frozen = frozen_card(pipeline, tuned=card)
        found.append(learned(folder, card=card, frozen=frozen, min_confidence=least))
    return found


def _merges(pipelines: Sequence[Pipeline], *, shard_set: ShardSet) -> Merges | None:
    for pipeline in pipelines:
        path = Path(pipeline.brands.aliases)
        if pipeline.target == "brand" and path.is_file():
            return merges(read_aliases(path), path=path, shard_set=shard_set)
    return None


def _audit(path: Path | None, *, beside: Path) -> Audit | None:
    if path is not None:
        return audit_of(path)
    found = beside.with_name(AUDIT_NAME)
    return audit_of(found) if found.is_file() else None


def _finetune(pipelines: Sequence[Pipeline]) -> FinetuneReport | None:
    """What fine-tuning did, where the head that scoring uses is on its checkpoint."""
    for pipeline in pipelines:
        path = Path(pipeline.finetune.out) / FINETUNE_NAME
        if pipeline.target != "category" or not path.is_file():
            continue
        try:
            report = FinetuneReport.parse(read_json(path), source=str(path))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path}: damaged: {error}; fine-tune again") from None
        if any(load_head(folder).card.fingerprint == report.fingerprint for folder in trained_heads([pipeline])):
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
