"""What differs between training a head of brands and one of categories: labels, inputs, evaluation and files."""

from pathlib import Path
from typing import Any, Generic, Protocol

from prodemb.aliases.table import AliasTable
from prodemb.brand.evaluate import evaluate_brands
from prodemb.brand.fit import fit_fuser, with_all_labels
from prodemb.brand.labels import BrandLabels, brand_labels
from prodemb.brand.store import load_fuser, save_fuser
from prodemb.category.evaluate import evaluate_categories
from prodemb.category.labels import CategoryLabels, category_labels
from prodemb.core.files import sha256_of
from prodemb.core.progress import Progress
from prodemb.heads.head import TrainedHead, load_head, save_head
from prodemb.heads.train import Labelled, LabelsT
from prodemb.job.brands import supplied_batches, update_aliases
from prodemb.job.pipeline import Pipeline
from prodemb.job.taxonomy import existing_taxonomy, pipeline_taxonomy
from prodemb.job.zero_shot import stored_zero_shot
from prodemb.shards.reader import ShardSet


class HeadTarget(Protocol, Generic[LabelsT]):
    """Everything that training needs to know of one target."""

    aliases: AliasTable | None
    """The alias table that labels come from, if any."""
    inputs: dict[str, Any]
    """What the head depends on besides shards and settings, for `inputs_hash`."""

    def labels(self) -> LabelsT:
        """The labels of all products of the shard set."""

    def save(
        self, folder: Path, head: TrainedHead, *, data: Labelled[LabelsT], inputs_hash: str, progress: Progress
    ) -> TrainedHead:
        """Evaluate a trained head and write its folder; return the head as it was written."""

    def load(self, folder: Path) -> TrainedHead:
        """Read a head that `save` wrote.

        Raises:
            HeadError: it is damaged or incomplete.
        """


class BrandTarget:
    """Brands: labels from gold labels and the alias file, which is brought up to date first; a fuser with the head."""

    def __init__(self, pipeline: Pipeline, *, shard_set: ShardSet, progress: Progress) -> None:
        self._pipeline, self._shard_set = pipeline, shard_set
        self._aliases = update_aliases(
            pipeline.brands,
            batches=supplied_batches(shard_set),
            progress=progress,
            num_products=shard_set.num_products,
            shards=shard_set,
        )
        self.aliases: AliasTable | None = self._aliases
        self.inputs: dict[str, Any] = {
            "aliases": sha256_of(Path(pipeline.brands.aliases)),
            "min_brand_confidence": pipeline.score.min_brand_confidence,
        }

    def labels(self) -> BrandLabels:
        """See `HeadTarget`."""
        aliases = self._aliases
        return brand_labels(self._shard_set, canonical_of=aliases.canonical_of, corrected=aliases.corrected)

    def save(
        self, folder: Path, head: TrainedHead, *, data: Labelled[BrandLabels], inputs_hash: str, progress: Progress
    ) -> TrainedHead:
        """See `HeadTarget`."""
        pipeline = self._pipeline
        with progress("Fusing supplied brand, title and head"):
            fuser = fit_fuser(data, head=head, aliases=self._aliases, config=pipeline.fuse)
        with progress("Comparing with baselines"):
            evaluation = evaluate_brands(
                data,
                head=head,
                fuser=fuser,
                train=pipeline.train,
                config=pipeline.fuse,
                min_confidence=pipeline.score.min_brand_confidence,
            )
        fuser_sha256 = save_fuser(folder, with_all_labels(fuser, data=data))
        evaluated = head.with_evaluation(evaluation)
        return save_head(folder, evaluated, inputs_hash=inputs_hash, fuser_sha256=fuser_sha256)

    def load(self, folder: Path) -> TrainedHead:
        """See `HeadTarget`."""
        head = load_head(folder)
        load_fuser(folder, card=head.card)
        return head


class CategoryTarget:
    """Categories: gold labels in the pipeline's taxonomy; zero-shot beside the head where its vectors are there."""

    aliases: AliasTable | None = None

    def __init__(self, pipeline: Pipeline, *, shard_set: ShardSet) -> None:
        self._pipeline, self._shard_set = pipeline, shard_set
        self._taxonomy, self._name = pipeline_taxonomy(pipeline)
        self._zero_shot = stored_zero_shot(
            shard_set.folder, schema=shard_set.schema, taxonomy=self._taxonomy, name=self._name
        )
        files = (pipeline.train.taxonomy, pipeline.train.label_taxonomy)
        self.inputs: dict[str, Any] = {
            "tau": pipeline.score.tau,
            "taxonomy": [sha256_of(existing_taxonomy(file)) for file in files if file is not None],
            "mapping": None if pipeline.train.mapping is None else sha256_of(Path(pipeline.train.mapping)),
            "zero_shot": None if self._zero_shot is None else self._zero_shot.card.weights_sha256,
        }

    def labels(self) -> CategoryLabels:
        """See `HeadTarget`."""
        return category_labels(self._shard_set, taxonomy=self._taxonomy, taxonomy_name=self._name)

    def save(
        self, folder: Path, head: TrainedHead, *, data: Labelled[CategoryLabels], inputs_hash: str, progress: Progress
    ) -> TrainedHead:
        """See `HeadTarget`."""
        pipeline = self._pipeline
        with progress("Comparing with baselines"):
            evaluation = evaluate_categories(
                data, head=head, train=pipeline.train, tau=pipeline.score.tau, zero_shot=self._zero_shot
            )
        return save_head(folder, head.with_evaluation(evaluation), inputs_hash=inputs_hash)

    def load(self, folder: Path) -> TrainedHead:
        """See `HeadTarget`."""
        return load_head(folder)
