"""Fine-tuning of a pipeline's CLIP."""

from contextlib import AbstractContextManager, nullcontext

from prodemb.catalog.reader import open_catalog
from prodemb.core.progress import Progress, ProgressCallback
from prodemb.finetune.finetune import finetune
from prodemb.finetune.processes import is_first_process
from prodemb.finetune.report import FinetuneReport
from prodemb.job.given_labels import given_labels
from prodemb.job.pipeline import Pipeline
from prodemb.job.taxonomy import pipeline_taxonomy
from prodemb.towers.checkpoint import find_checkpoint


def finetune_category(pipeline: Pipeline, *, progress: Progress, overwrite: bool = False) -> FinetuneReport:
    """Fine-tune the pipeline's CLIP on its catalog's categories, unless that was done on (nearly) the same ones.

    Where a launcher has started several processes, only the first one (`is_first_process`) shows progress and does the
    steps that follow.

    Args:
        overwrite: retrain from scratch even if a finished checkpoint exists.
    """
    taxonomy, _ = pipeline_taxonomy(pipeline)
    catalog = open_catalog(pipeline.catalog)
    catalog.check_ids()
    shown: AbstractContextManager[ProgressCallback | None] = (
        progress("Fine-tuning CLIP") if is_first_process() else nullcontext()
    )
    with shown as on_progress:
        return finetune(
            pipeline.finetune,
            catalog=catalog,
            images=pipeline.images,
            taxonomy=taxonomy,
            checkpoint=find_checkpoint(pipeline.embed.model, revision=pipeline.embed.revision),
            device=pipeline.embed.device,
            overwrite=overwrite,
            given=given_labels([pipeline]),
            on_progress=on_progress,
        )
