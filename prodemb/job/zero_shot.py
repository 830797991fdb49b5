"""Categories without training, by the taxonomy's names."""

from collections.abc import Sequence
from pathlib import Path

from prodemb.catalog.taxonomy import Taxonomy
from prodemb.category.zero_shot import ZeroShot
from prodemb.errors import FingerprintError
from prodemb.job.taxonomy import pipeline_taxonomy
from prodemb.job.watch import Watch
from prodemb.pipeline import Pipeline
from prodemb.shards.paths import PathVectors, read_path_vectors
from prodemb.shards.reader import ShardSet, open_shard_set
from prodemb.towers.checkpoint import find_checkpoint


def has_category_labels(shards: Path) -> bool:
    """Whether any product of the shard set carries a gold category."""
    return any(shard.frame(["google_category_id"]).to_series().count() for shard in open_shard_set(shards).shards())


def open_zero_shot(shards: Sequence[ShardSet], *, pipeline: Pipeline, watch: Watch) -> ZeroShot:
    """What answers categories of the first of these shard sets without training, by the pipeline's taxonomy.

    The vectors of the taxonomy's names lie beside the shards; where they do not, or are of another taxonomy, they are
    made with the shards' own model, which takes `transformers`.

    Raises:
        FingerprintError: the model of that name is no longer the one that made the shards.
    """
    taxonomy, name = pipeline_taxonomy(pipeline)
    first = shards[0]
    paths = read_path_vectors(first.folder)
    if paths is None or not are_current(paths, shard_set=first, taxonomy=taxonomy):
        # For everything but this, stage two works without the towers.
        from prodemb.paths import encode_paths

        checkpoint = find_checkpoint(first.schema.model, revision=pipeline.embed.revision)
        if checkpoint.fingerprint != first.schema.fingerprint:
            raise FingerprintError(
                f"{first.folder}: made by {first.schema.model} ({first.schema.fingerprint}), which now is "
                f"{checkpoint.fingerprint}; wanted the same model for the taxonomy's names: embed again"
            )
        with watch("Encoding the taxonomy"):
            paths = encode_paths(taxonomy, checkpoint=checkpoint, device=pipeline.embed.device)
        paths.write(first.folder)
    return ZeroShot.of(paths, schema=first.schema, taxonomy=name)


def are_current(paths: PathVectors | None, *, shard_set: ShardSet, taxonomy: Taxonomy) -> bool:
    """Whether these are the vectors of this taxonomy, made by the model of the shards."""
    same_model = paths is not None and paths.fingerprint == shard_set.schema.fingerprint
    return same_model and paths is not None and paths.are_of(taxonomy.paths)
