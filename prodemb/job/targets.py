"""What is particular to training a head of brands, and a head of categories: its labels, its inputs, its figures."""

from pathlib import Path
from typing import Any

from prodemb.brand.fit import fit_fuser, knowing_all
from prodemb.brand.judge import compare_brands
from prodemb.brand.store import save_fuser
from prodemb.category.judge import compare_categories
from prodemb.core.files import sha256_of
from prodemb.core.progress import Progress
from prodemb.heads.head import TrainedHead
from prodemb.heads.labels import Labels, brand_labels, category_labels
from prodemb.heads.train import Labelled
from prodemb.job.brands import supplied_batches, update_aliases
from prodemb.job.pipeline import Pipeline
from prodemb.job.taxonomy import existing_taxonomy, pipeline_taxonomy
from prodemb.job.zero_shot import stored_zero_shot
from prodemb.shards.reader import ShardSet


class BrandTarget:
    """Brands: labels by the alias file, which is brought up to date first; a fuser beside the head."""

    def __init__(self, pipeline: Pipeline, *, shard_set: ShardSet, progress: Progress) -> None:
        self._pipeline, self._shard_set = pipeline, shard_set
        self.aliases = update_aliases(
            pipeline.brands,
            batches=supplied_batches(shard_set),
            progress=progress,
            num_products=shard_set.num_products,
            shards=shard_set,
        )
        self.made_from: dict[str, Any] = {
            "aliases": sha256_of(Path(pipeline.brands.aliases)),
            "min_brand_confidence": pipeline.score.min_brand_confidence,
        }
        """What the head is made from besides shards and settings, for its hash of inputs."""

    def labels(self) -> Labels:
        """Of all products of the shard set."""
        aliases = self.aliases
        return brand_labels(self._shard_set, canonical_of=aliases.canonical_of, corrected=aliases.corrected)

    def judged(self, head: TrainedHead, *, data: Labelled, folder: Path, progress: Progress) -> TrainedHead:
        """The head with its figures; what is fused with its answers is written to the folder."""
        pipeline = self._pipeline
        with progress("Fusing supplied brand, title and head"):
            fuser = fit_fuser(data, head=head, aliases=self.aliases, config=pipeline.fuse)
        with progress("Comparing with baselines"):
            found = compare_brands(
                data,
                head=head,
                fuser=fuser,
                train=pipeline.train,
                config=pipeline.fuse,
                min_confidence=pipeline.score.min_brand_confidence,
            )
        return head.with_card(**found, fuser_sha256=save_fuser(folder, knowing_all(fuser, data=data)))


class CategoryTarget:
    """Categories: gold labels by the pipeline's taxonomy; zero-shot beside the head where its vectors are there."""

    aliases = None

    def __init__(self, pipeline: Pipeline, *, shard_set: ShardSet) -> None:
        self._pipeline, self._shard_set = pipeline, shard_set
        self._taxonomy, self._name = pipeline_taxonomy(pipeline)
        self._zero_shot = stored_zero_shot(
            shard_set.folder, schema=shard_set.schema, taxonomy=self._taxonomy, name=self._name
        )
        files = (pipeline.train.taxonomy, pipeline.train.label_taxonomy)
        self.made_from: dict[str, Any] = {
            "tau": pipeline.score.tau,
            "taxonomy": [sha256_of(existing_taxonomy(file)) for file in files if file is not None],
            "zero_shot": None if self._zero_shot is None else self._zero_shot.card.weights_sha256,
        }
        """What the head is made from besides shards and settings, for its hash of inputs."""

    def labels(self) -> Labels:
        """Of all products of the shard set."""
        return category_labels(self._shard_set, taxonomy=self._taxonomy, taxonomy_name=self._name)

    def judged(self, head: TrainedHead, *, data: Labelled, folder: Path, progress: Progress) -> TrainedHead:
        """The head with its figures."""
        pipeline = self._pipeline
        with progress("Comparing with baselines"):
            found = compare_categories(
                data, head=head, train=pipeline.train, tau=pipeline.score.tau, zero_shot=self._zero_shot
            )
        return head.with_card(**found)
