"""Stage one of a pipeline, with CLIP as published and with the fine-tuned one."""

from pathlib import Path

from prodemb.catalog.reader import open_catalog
from prodemb.category.voices.tower import WEIGHTS
from prodemb.core.errors import ModelError
from prodemb.core.progress import Progress
from prodemb.embed.config import EmbedConfig
from prodemb.embed.embed import EmbedReport, embed
from prodemb.embed.estimate import Estimate, estimate
from prodemb.embed.reuse import RetryPictures
from prodemb.job.pipeline import Pipeline
from prodemb.job.taxonomy import pipeline_taxonomy
from prodemb.job.zero_shot import renew_path_vectors
from prodemb.storage.desk import folder_to_read
from prodemb.towers.checkpoint import as_folder


def embed_catalog(
    pipeline: Pipeline,
    *,
    progress: Progress,
    config: EmbedConfig | None = None,
    replace: bool = False,
    retry: RetryPictures = "none",
) -> EmbedReport:
    """Embed a pipeline's catalog; for a category pipeline also the taxonomy's names, for zero-shot.

    Args:
        config: used in place of the pipeline's own, as `with_checkpoint` returns it.
        replace: rebuild the shard set if it was made by another model, as after fine-tuning.
        retry: which pictures to fetch again even if nothing says that they have changed.
    """
    config = config or pipeline.embed
    if pipeline.target == "category":
        pipeline_taxonomy(pipeline)  # A missing file is an error now and not after the long work.
    catalog = open_catalog(pipeline.catalog)
    with progress("Embedding") as on_progress:
        report = embed(
            config, catalog=catalog, images=pipeline.images, on_progress=on_progress, replace=replace, retry=retry
        )
    schema = report.manifest.shard_schema
    renew_path_vectors(Path(config.out), schema=schema, pipeline=pipeline, config=config, progress=progress)
    return report


def estimate_catalog(
    pipeline: Pipeline,
    *,
    progress: Progress,
    config: EmbedConfig | None = None,
    replace: bool = False,
    retry: RetryPictures = "none",
) -> Estimate:
    """What `embed_catalog` with the same arguments would do and take."""
    config = config or pipeline.embed
    taxonomy = pipeline_taxonomy(pipeline)[0] if pipeline.target == "category" else None
    catalog = open_catalog(pipeline.catalog)
    with progress("Counting and measuring") as on_progress:
        return estimate(
            config,
            catalog=catalog,
            images=pipeline.images,
            on_progress=on_progress,
            taxonomy=taxonomy if WEIGHTS.keys() & {*config.features} else None,
            replace_set=replace,
            retry=retry,
        )


def with_checkpoint(pipeline: Pipeline) -> EmbedConfig:
    """The settings for embedding with the pipeline's fine-tuned checkpoint, into its own shard set.

    Raises:
        ModelError: there is no such checkpoint.
    """
    folder = pipeline.finetune.out
    if not (found := folder_to_read(folder)).is_dir():
        raise ModelError(
            f"[finetune] out: no fine-tuned checkpoint at {folder} ({found.absolute()}); run "
            "`prodemb finetune-category`"
        )
    tuned = {"model": as_folder(folder), "revision": None, "out": pipeline.finetune.shards}
    return EmbedConfig.parse(pipeline.embed.model_dump() | tuned, source="[finetune]")
