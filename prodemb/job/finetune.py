"""Fine-tuning of a pipeline's CLIP."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from prodemb.catalog.reader import open_catalog
from prodemb.core.bounded import read_json
from prodemb.core.errors import ConfigError
from prodemb.core.files import write_json
from prodemb.core.progress import Progress, ProgressCallback
from prodemb.finetune.finetune import finetune
from prodemb.finetune.processes import is_first_process, is_launched
from prodemb.finetune.report import FinetuneReport
from prodemb.job.given_labels import given_labels
from prodemb.job.pipeline import Pipeline
from prodemb.job.taxonomy import pipeline_taxonomy
from prodemb.storage.address import is_address
from prodemb.storage.desk import folder_to_write, publish_changes
from prodemb.towers.checkpoint import FINETUNE_REPORT, find_checkpoint


def finetune_category(pipeline: Pipeline, *, progress: Progress, overwrite: bool = False) -> FinetuneReport:
    """Fine-tune the pipeline's CLIP on its catalog's categories, unless that was done on (nearly) the same ones.

    Where a launcher has started several processes, only the first one (`is_first_process`) shows progress and does the
    steps that follow.

    Args:
        overwrite: retrain from scratch even if a finished checkpoint exists.
    """
    if is_address(pipeline.finetune.out) and (is_launched() or pipeline.finetune.engine == "ray"):
        started = "accelerate or torchrun" if is_launched() else "Ray"
        raise ConfigError(
            f"[finetune] out: found an address in a run whose processes {started} starts; wanted a local folder that "
            "all of them share"
        )
    taxonomy, _ = pipeline_taxonomy(pipeline)
    catalog = open_catalog(pipeline.catalog)
    catalog.check_ids()
    shown: AbstractContextManager[ProgressCallback | None] = (
        progress("Fine-tuning CLIP") if is_first_process() else nullcontext()
    )
    folder = folder_to_write(pipeline.finetune.out)
    with shown as on_progress:
        report = finetune(
            pipeline.finetune.model_copy(update={"out": str(folder)}),
            catalog=catalog,
            images=pipeline.images,
            taxonomy=taxonomy,
            checkpoint=find_checkpoint(pipeline.embed.model, revision=pipeline.embed.revision),
            device=pipeline.embed.device,
            overwrite=overwrite,
            given=given_labels([pipeline]),
            on_progress=on_progress,
        )
    if is_address(pipeline.finetune.out):
        report = report.model_copy(update={"config": pipeline.finetune})
        _record_address(folder / FINETUNE_REPORT, pipeline.finetune.out)
        publish_changes()  # other machines embed with it next
    return report


def _record_address(report: Path, out: str) -> None:
    """Put the checkpoint's address in place of its working copy's folder in its report."""
    values = read_json(report)
    if values["config"]["out"] != out:
        values["config"]["out"] = out
        write_json(report, values)
