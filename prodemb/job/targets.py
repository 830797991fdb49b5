"""What differs between training a predictor of brands and one of categories: labels, inputs, evaluation and files."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Generic, Protocol

from prodemb.aliases.table import AliasTable
from prodemb.brand.evaluate import evaluate_brands
from prodemb.brand.fit import Recipe as BrandRecipe
from prodemb.brand.fit import cross_fit as cross_fit_brands
from prodemb.brand.labels import BrandLabels, brand_labels
from prodemb.brand.new_partners import judge_new_partners as judge_brands_of_new_partners
from prodemb.brand.store import load_fuser, save_fuser
from prodemb.category.evaluate import evaluate_categories
from prodemb.category.fit import Recipe as CategoryRecipe
from prodemb.category.fit import cross_fit as cross_fit_categories
from prodemb.category.labels import CategoryLabels, category_labels
from prodemb.category.new_partners import judge_new_partners as judge_categories_of_new_partners
from prodemb.category.nodes import Nodes
from prodemb.category.store import load_voices, save_voices
from prodemb.category.voices.names import Names
from prodemb.confidence.answers import write_answers
from prodemb.core.files import sha256_of
from prodemb.core.progress import Progress
from prodemb.heads.head import TrainedHead, load_head, save_head
from prodemb.heads.labels import CategoryLabel
from prodemb.heads.train import Labelled, LabelsT
from prodemb.job.brands import supplied_batches, update_aliases
from prodemb.job.pipeline import Pipeline
from prodemb.job.taxonomy import existing_taxonomy, pipeline_taxonomy
from prodemb.job.zero_shot import stored_zero_shot
from prodemb.shards.reader import ShardSet
from prodemb.storage.desk import file_to_read


class HeadTarget(Protocol, Generic[LabelsT]):
    """Everything that training needs to know of one target."""

    aliases: AliasTable | None
    """The alias table that labels come from, if any."""
    taxonomy_name: str | None
    """How to call the taxonomy whose nodes labels are, if any."""
    inputs: dict[str, Any]
    """What the head depends on besides shards and settings, for `inputs_hash`."""

    def labels(self) -> LabelsT:
        """The labels of all products of the shard set."""

    def train(self, data: Labelled[LabelsT], folder: Path, *, inputs_hash: str, progress: Progress) -> TrainedHead:
        """Train, evaluate and write a head's folder; return the head as it was written.

        What is learned of confidence comes from out-of-fold answers, the figures from a predictor that has not seen
        the test part; the one that is written has learned from all labels.
        """

    def load(self, folder: Path) -> TrainedHead:
        """Read a head that `train` wrote.

        Raises:
            HeadError: it is damaged or incomplete.
        """


class BrandTarget:
    """Brands: labels from gold labels and the alias file, which is brought up to date first; a fuser with the head."""

    taxonomy_name: str | None = None

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
            "aliases": sha256_of(file_to_read(pipeline.brands.aliases)),
            "min_brand_confidence": pipeline.score.min_brand_confidence,
        }

    def labels(self) -> BrandLabels:
        """See `HeadTarget`."""
        aliases = self._aliases
        return brand_labels(self._shard_set, canonical_of=aliases.canonical_of, corrected=aliases.corrected)

    def train(self, data: Labelled[BrandLabels], folder: Path, *, inputs_hash: str, progress: Progress) -> TrainedHead:
        """See `HeadTarget`."""
        pipeline, recipe = self._pipeline, brand_recipe(self._pipeline, aliases=self._aliases)
        fitted = cross_fit_brands(data, recipe=recipe, progress=progress)
        title = "Training the brand head without the test part"
        measured = recipe.fit(data, data.outside_test, gold=fitted.gold, title=title, progress=progress)
        with progress("Comparing with baselines"):
            evaluation = evaluate_brands(
                data,
                predictor=fitted.weighing(measured),
                fitted=fitted,
                train=pipeline.train,
                config=pipeline.fuse,
                min_confidence=pipeline.score.min_brand_confidence,
            )
        evaluation = evaluation.with_conditions(
            judge_brands_of_new_partners(
                data,
                recipe=recipe,
                fitted=fitted,
                min_confidence=pipeline.score.min_brand_confidence,
                progress=progress,
            )
        )
        title = "Training the brand head on all labels"
        final = fitted.weighing(recipe.fit(data, data.everything, gold=fitted.gold, title=title, progress=progress))
        return save_head(
            folder,
            final.head.with_evaluation(evaluation, gold_answers=fitted.gold),
            inputs_hash=inputs_hash,
            fuser_sha256=save_fuser(folder, final.fuser),
            answers_sha256=write_answers(folder, fitted.answers(data)),
        )

    def load(self, folder: Path) -> TrainedHead:
        """See `HeadTarget`."""
        head = load_head(folder)
        load_fuser(folder, card=head.card)
        return head


def brand_recipe(pipeline: Pipeline, *, aliases: AliasTable) -> BrandRecipe:
    """What a brand predictor is trained by."""
    return BrandRecipe(
        train=pipeline.train,
        aggregate=pipeline.aggregate,
        head=pipeline.head,
        fuse=pipeline.fuse,
        aliases=aliases,
    )


class CategoryTarget:
    """Categories: gold labels in the pipeline's taxonomy; zero-shot beside the head where its vectors are there."""

    aliases: AliasTable | None = None

    def __init__(self, pipeline: Pipeline, *, shard_set: ShardSet) -> None:
        self._pipeline, self._shard_set = pipeline, shard_set
        self._taxonomy, self._name = pipeline_taxonomy(pipeline)
        self.taxonomy_name: str | None = self._name
        self._zero_shot = stored_zero_shot(
            shard_set.folder, schema=shard_set.schema, taxonomy=self._taxonomy, name=self._name
        )
        files = (pipeline.train.taxonomy, pipeline.train.label_taxonomy)
        self.inputs: dict[str, Any] = {
            "taxonomy": [sha256_of(existing_taxonomy(file)) for file in files if file is not None],
            "mapping": None if pipeline.train.mapping is None else sha256_of(file_to_read(pipeline.train.mapping)),
            "zero_shot": None if self._zero_shot is None else self._zero_shot.card.weights_sha256,
        }

    def labels(self) -> CategoryLabels:
        """See `HeadTarget`."""
        return category_labels(self._shard_set, taxonomy=self._taxonomy, taxonomy_name=self._name)

    def recipe(self) -> CategoryRecipe:
        """What a predictor is trained by."""
        pipeline = self._pipeline
        return CategoryRecipe(
            train=pipeline.train,
            aggregate=pipeline.aggregate,
            head=pipeline.head,
            voices=pipeline.voices,
            nodes=Nodes([CategoryLabel(id=node, path=path) for node, path in self._taxonomy.paths.items()]),
            names=Names(paths=tuple(self._taxonomy.paths.values())),
            tower=None if self._zero_shot is None else self._zero_shot.tower,
        )

    def train(
        self, data: Labelled[CategoryLabels], folder: Path, *, inputs_hash: str, progress: Progress
    ) -> TrainedHead:
        """See `HeadTarget`."""
        pipeline, recipe = self._pipeline, self.recipe()
        fitted = cross_fit_categories(data, recipe=recipe, progress=progress)
        title = "Training the category head without the test part"
        measured = recipe.fit_voices(data, data.outside_test, title=title, progress=progress)
        with progress("Comparing with baselines"):
            evaluation = evaluate_categories(
                data,
                predictor=fitted.predictor(measured),
                fitted=fitted,
                train=pipeline.train,
                zero_shot=self._zero_shot,
            )
        evaluation = evaluation.with_conditions(
            judge_categories_of_new_partners(data, recipe=recipe, fitted=fitted, progress=progress)
        )
        title = "Training the category head on all labels"
        voices = recipe.fit_voices(data, data.everything, title=title, progress=progress)
        final = replace(fitted.predictor(voices), gold=data.labels.resolved)
        return save_head(
            folder,
            final.head.with_evaluation(evaluation),
            inputs_hash=inputs_hash,
            fuser_sha256=save_voices(folder, final),
            answers_sha256=write_answers(folder, fitted.answers(data, nodes=recipe.nodes)),
        )

    def load(self, folder: Path) -> TrainedHead:
        """See `HeadTarget`."""
        head = load_head(folder)
        load_voices(folder, head=head)
        return head
