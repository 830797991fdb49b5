"""Categories without training, by the taxonomy's names."""

import logging
from collections.abc import Sequence
from pathlib import Path

from prodemb.category.zero_shot import ZeroShot, check_features, features_that_count
from prodemb.core.errors import BusyError, FingerprintError, OutputError, ShardError, StorageError
from prodemb.core.progress import Progress
from prodemb.embed.config import EmbedConfig
from prodemb.job.pipeline import Pipeline
from prodemb.job.taxonomy import pipeline_taxonomy
from prodemb.shards.files import hold_shards
from prodemb.shards.folder import shard_folder
from prodemb.shards.format import ShardSchema
from prodemb.shards.labels import GivenLabels
from prodemb.shards.paths import PATHS_NAME, PathVectors, read_path_vectors
from prodemb.shards.reader import ShardSet, open_shard_set
from prodemb.storage.address import Place
from prodemb.taxonomy.taxonomy import Taxonomy

logger = logging.getLogger(__name__)


def has_category_labels(shards: Place, *, progress: Progress, labels: GivenLabels | None = None) -> bool:
    """Whether any product of the shard set carries a gold category, in it or by these labels."""
    shard_set = open_shard_set(shards).with_labels(labels)
    with progress("Looking for gold categories") as on_progress:
        for number, shard in enumerate(shard_set.shards(), start=1):
            if shard.frame(["google_category_id"]).to_series().count():
                return True
            on_progress(number, len(shard_set.manifest.shards))
    return False


def open_zero_shot(shards: Sequence[ShardSet], *, pipeline: Pipeline, progress: Progress) -> ZeroShot:
    """What predicts categories for one of these shard sets without training, from the pipeline's taxonomy.

    It uses the first shard set that was not made by the pipeline's fine-tuned checkpoint, if there is one.

    The vectors of the taxonomy's names are stored beside the shards. Where they are missing, or of another taxonomy,
    they are made with the shards' own model, which needs `transformers`, and stored there unless the folder is
    read-only or another run is writing to it.

    Raises:
        FingerprintError: the model of that name is no longer the one that made the shards.
        ModelError: that model is missing.
        ShardError: the shards have none of the features that zero-shot compares.
    """
    tuned = Path(pipeline.finetune.out)
    shard_set = next((each for each in shards if Path(each.schema.model) != tuned), shards[0])
    folder, schema, model = shard_set.folder, shard_set.schema, shard_set.schema.model
    revision = pipeline.embed.revision
    return _zero_shot(folder, schema=schema, pipeline=pipeline, model=model, revision=revision, progress=progress)


def renew_path_vectors(
    folder: Place, *, schema: ShardSchema, pipeline: Pipeline, config: EmbedConfig, progress: Progress
) -> None:
    """Bring the vectors of a category pipeline's taxonomy up to date with shards that were just embedded.

    Other pipelines have no taxonomy; for them a damaged file is removed, so that the shard set is sound.

    Args:
        folder: the shard set's.
        schema: the shards'.
        config: what the shards were embedded with.
    """
    if pipeline.target == "category" and features_that_count(schema):
        model, revision = config.model, config.revision
        _zero_shot(folder, schema=schema, pipeline=pipeline, model=model, revision=revision, progress=progress)
        return
    files = shard_folder(folder)
    if files.has(PATHS_NAME) and _read(folder) is None:
        with hold_shards(files):
            files.remove(PATHS_NAME)


def stored_zero_shot(folder: Place, *, schema: ShardSchema, taxonomy: Taxonomy, name: str) -> ZeroShot | None:
    """What predicts from the vectors beside the shards; None if these are not of this taxonomy and the shards' model.

    A damaged file counts as none, with a warning.

    Args:
        folder: the shard set's.
        schema: the shards'.
        name: what to call the taxonomy.
    """
    paths = _read(folder)
    if paths is None or not features_that_count(schema):
        return None
    is_current = paths.fingerprint == schema.fingerprint and paths.are_of(taxonomy.paths)
    return ZeroShot.of(paths, schema=schema, taxonomy=name) if is_current else None


def _read(folder: Place) -> PathVectors | None:
    try:
        return read_path_vectors(folder)
    except ShardError as error:
        logger.warning("%s", error)
        return None


def _zero_shot(
    folder: Place, *, schema: ShardSchema, pipeline: Pipeline, model: str, revision: str | None, progress: Progress
) -> ZeroShot:
    # The only part of stage two that needs the towers.
    from prodemb.embed.paths import encode_paths
    from prodemb.towers.checkpoint import find_checkpoint

    check_features(schema)
    taxonomy, name = pipeline_taxonomy(pipeline)
    found = stored_zero_shot(folder, schema=schema, taxonomy=taxonomy, name=name)
    if found is not None:
        return found
    checkpoint = find_checkpoint(model, revision=revision, truncate_dim=pipeline.embed.truncate_dim)
    if checkpoint.fingerprint != schema.fingerprint:
        raise FingerprintError(
            f"{folder}: made by {schema.model} ({schema.fingerprint}), which is now "
            f"{checkpoint.fingerprint}; wanted the same model for the taxonomy's names: embed again"
        )
    with progress("Encoding the taxonomy"):
        paths = encode_paths(taxonomy, checkpoint=checkpoint, device=pipeline.embed.device)
    try:
        files = shard_folder(folder)
        with hold_shards(files):
            paths.write(files)
    except (BusyError, OutputError, StorageError) as error:
        logger.warning("%s; the taxonomy's vectors are not kept", error)
    return ZeroShot.of(paths, schema=schema, taxonomy=name)
