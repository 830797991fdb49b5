"""What came of a step as figures for programs: a `result` of `--log-json`. Their names stay (docs/automation.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prodemb.aliases.table import AliasTable
from prodemb.catalog.overview import Overview
from prodemb.cli.report.doctor import problems
from prodemb.embed.embed import EmbedReport
from prodemb.embed.estimate import Estimate
from prodemb.finetune.report import FinetuneReport
from prodemb.job.audit import AuditReport
from prodemb.job.convert import ConvertReport
from prodemb.job.doctor import Examination
from prodemb.job.init import Written
from prodemb.job.label import LabelReport
from prodemb.job.predict import PredictReport
from prodemb.job.report import ReportMade
from prodemb.job.run import StepSkipped
from prodemb.job.train import TrainReport
from prodemb.score.feed import FeedReport
from prodemb.score.score import ScoreReport
from prodemb.shards.export import ExportReport
from prodemb.shards.format import Manifest
from prodemb.taxonomy.taxonomy import Taxonomy


def result_of(report: object) -> dict[str, Any]:
    """The figures of a step's report.

    Raises:
        TypeError: it is of a kind that no step has.
    """
    match report:
        case EmbedReport():
            return _of_embedding(report)
        case Estimate():
            return _of_estimating(report)
        case TrainReport():
            return _of_training(report)
        case FinetuneReport():
            return _of_fine_tuning(report)
        case ScoreReport():
            return _of_scoring(report)
        case PredictReport():
            return _of_scoring(report.score) | {"comparison": asdict(report.comparison)}
        case ReportMade():
            return {"was_done": report.was_done, "report": report.out}
        case StepSkipped():
            return {"skipped": str(report.error or "no product is labelled"), "zero_shot": report.taxonomy}
        case AuditReport():
            return {"num_products": report.num_products, "num_findings": len(report.findings)}
        case LabelReport():
            return {
                "num_products": report.num_picked,
                "num_kept": report.num_kept,
                "num_replaced": report.num_replaced,
                "num_unlabelled": report.num_unlabelled,
                "by": report.by,
            }
        case AliasTable():
            return {
                "num_supplied": len(report),
                "num_brands": len({row.effective for row in report.rows}),
                "num_to_review": sum(row.status == "review" for row in report.rows),
            }
        case FeedReport():
            return {"num_products": report.num_written, "num_left_out": report.num_left_out}
        case ExportReport():
            return {"num_products": report.num_products, "files": dict(report.files)}
        case Examination():
            return _of_examining(report)
        case Overview():
            return _of_reading(report)
        case Manifest():
            return _of_shards(report)
        case Mapping():
            return {"prediction": report}
        case list():
            return {"num_errors": len(report)}
        case Path():
            return {"catalog": report}
        case Taxonomy():
            return {"num_categories": len(report)}
        case Written():
            return {"files": report.files, "kept": [after for _, after in report.kept]}
        case ConvertReport():
            return asdict(report)
        case _:
            raise TypeError(f"no result is known of {type(report).__name__}")


def _of_embedding(report: EmbedReport) -> dict[str, Any]:
    return {
        "was_done": not report.num_new,
        "num_new": report.num_new,
        **_of_shards(report.manifest),
        "device": report.device,
        "bottleneck": report.bottleneck,
        "seconds": report.seconds,
    }


def _of_estimating(report: Estimate) -> dict[str, Any]:
    work = report.workload
    return {
        "dry_run": True,
        "num_products": work.num_products,
        "num_new": work.num_todo,
        "num_texts": work.num_texts,
        "num_names": report.num_names,
        "num_images": work.num_images,
        "num_to_fetch": work.num_remote,
        "num_hosts": len(work.hosts),
        "seconds_least": report.seconds[0],
        "seconds_most": report.seconds[1],
        "num_workers": None if report.cluster is None else report.cluster.num_workers,
        "gpu_hours_least": report.gpu_hours[0],
        "gpu_hours_most": report.gpu_hours[1],
        "bottleneck": report.bottleneck,
        "num_shards": report.num_shards,
        "num_requests": report.num_requests,
        "num_bytes": report.num_bytes,
        "free_bytes": report.free_bytes,
    }


def _of_shards(manifest: Manifest) -> dict[str, Any]:
    return {
        "num_rows": manifest.num_rows,
        "num_products": manifest.num_products,
        "num_shards": len(manifest.shards),
        "skipped_rows": manifest.skipped_rows,
        "missing": manifest.null_counts(),
        "changes": None if manifest.changes is None else manifest.changes.model_dump(mode="json"),
        "model": manifest.shard_schema.model,
        "fingerprint": manifest.shard_schema.fingerprint,
    }


def _of_training(report: TrainReport) -> dict[str, Any]:
    card = report.head.card
    methods = () if card.evaluation is None else card.evaluation.methods
    return {
        "was_done": report.was_done,
        "target": card.target,
        "num_labelled": card.num_train,
        "num_classes": len(card.classes),
        "num_test": next((each.metrics.num_products for each in methods if each.metrics is not None), 0),
        "top1": {each.name: each.metrics.top1 for each in methods if each.metrics is not None},
        "fingerprint": card.fingerprint,
        "seconds": report.seconds,
    }


def _of_fine_tuning(report: FinetuneReport) -> dict[str, Any]:
    return {
        "was_done": report.was_done,
        "num_train": report.num_train,
        "num_validation": report.num_validation,
        "num_classes": report.num_classes,
        "num_epochs": len(report.curve.epochs),
        "before": None if report.before is None else report.before.shares(),
        "after": None if report.after is None else report.after.shares(),
        "model": report.model,
        "fingerprint": report.fingerprint,
        "seconds": report.seconds,
    }


def _of_scoring(report: ScoreReport) -> dict[str, Any]:
    counts = report.counts
    return {
        "was_done": report.was_done,
        "num_products": report.num_products,
        "num_new": report.num_new,
        "unanswered": counts.unanswered,
        "gold": counts.gold,
        "changes": counts.changes,
        "promises": {
            target: {"precision": made.precision, "threshold": made.threshold, "coverage": made.coverage}
            for target, made in counts.promises.items()
        },
        "without_head": report.absent,
        "shards": report.shards,
        "seconds": report.seconds,
    }


def _of_reading(overview: Overview) -> dict[str, Any]:
    return {
        "num_rows": overview.num_rows,
        "num_products": overview.num_products,
        "num_titled": overview.num_titled,
        "num_pictured": overview.num_pictured,
        "num_labelled": overview.num_labelled,
        "num_lost": overview.num_lost,
    }


def _of_examining(report: Examination) -> dict[str, Any]:
    return {
        "problems": problems(report),
        "machine": asdict(report.machine),
        "checkpoints": [asdict(checkpoint) for checkpoint in report.checkpoints],
        "shards": [asdict(shards) for shards in report.shards],
        "heads": [
            {"folder": head.folder, "target": head.target, "is_here": head.card is not None, "shards": head.shards}
            for head in report.heads
        ],
        "disks": [asdict(disk) for disk in report.disks],
    }
