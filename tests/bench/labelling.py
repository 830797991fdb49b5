"""How many labels are enough: top-1 accuracy by number of labels, picked by `prodemb label` and taken at random.

python tests/bench/labelling.py --shards shards/clip --taxonomy taxonomy.txt

The judge is logistic regression on the standardised vectors of all features side by side, which takes a second where
the whole of `prodemb train-category` takes minutes; with `--train` that one is measured too, for some of the rows, and
then the second of two rounds is picked by what the first one trained.
Test products, whole groups, are neither picked nor looked at. `--part tuning` leaves the test part out altogether
and measures on a third of the others: what picking was tuned on.
"""

import argparse
import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from prodemb.category.fit import cross_fit
from prodemb.category.labels import category_labels
from prodemb.category.predict import CategoryPredictor
from prodemb.core.arrays import NO_ANSWER, Floats, Indices
from prodemb.core.features import Feature
from prodemb.core.progress import no_progress
from prodemb.heads.labels import CategoryLabel
from prodemb.heads.split import TEST, folds_of, split_of
from prodemb.heads.train import load_labelled, shard_groups
from prodemb.job.pipeline import Pipeline
from prodemb.job.targets import CategoryTarget
from prodemb.label.pick import Confidences, pick
from prodemb.shards.product_set import ProductSet, read_products
from prodemb.shards.reader import ShardSet, open_shard_set
from prodemb.taxonomy.taxonomy import read_taxonomy, sample_taxonomy

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

NUM_LABELS = (25, 50, 100, 200, 400)
PARTS = ("tuning", "test")


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """A labelled catalog, parted."""

    shard_set: ShardSet
    taxonomy_file: str | None
    vectors: Floats
    """(n, D)."""
    classes: tuple[CategoryLabel, ...]
    labels: npt.NDArray[np.int64]
    """(n,) the class of each product; -1 where it has none."""
    pool: Indices
    """Rows of the products that may get a label."""
    held_out: Indices
    """Rows of those to be judged by."""
    epochs: int | None
    """Passes of the head that is trained; as in `[train]` where none are given."""


def open_catalog(shards: Path, *, taxonomy: Path | None, part: str, epochs: int | None) -> Catalog:
    shard_set = open_shard_set(shards)
    nodes = read_taxonomy(taxonomy) if taxonomy else sample_taxonomy()
    found = category_labels(shard_set, taxonomy=nodes, taxonomy_name=nodes.source)
    labels = found.index
    groups = shard_groups(shard_set)
    is_test = split_of(groups) == TEST
    held_out = is_test if part == "test" else ~is_test & (folds_of(groups, num_folds=3) == 0)
    has_label = labels != NO_ANSWER
    every = np.arange(shard_set.num_products)
    return Catalog(
        shard_set=shard_set,
        taxonomy_file=str(taxonomy) if taxonomy else None,
        vectors=standardised(read_products(shard_set, features=shard_set.schema.features, rows=every)),
        classes=found.classes,
        labels=labels.astype(np.int64),
        pool=np.flatnonzero(has_label & ~held_out & ~is_test),
        held_out=np.flatnonzero(has_label & held_out),
        epochs=epochs,
    )


def standardised(products: ProductSet) -> Floats:
    """Vectors of mean 0 and mean length 1 for each feature, side by side, zeros where absent, (n, D)."""
    blocks = []
    for column, feature in enumerate(products.features):
        there = products.present[:, column]
        block = products.of([feature]).vectors.astype(np.float32)
        if there.any():
            block -= block[there].mean(axis=0)
            block /= max(float(np.linalg.norm(block[there], axis=1).mean()), 1e-4)
        blocks.append(block * there[:, None])
    return np.concatenate(blocks, axis=1)


def picked(catalog: Catalog, *, num: int, seed: int) -> Indices:
    return pick(catalog.shard_set, num_products=num, rows=catalog.pool, labelled=np.zeros(0, np.int64), seed=seed)


def judge(catalog: Catalog, labelled: Indices) -> "LogisticRegression":
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=10.0, max_iter=200, tol=1e-3)
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # nearly as many classes as labels
        return model.fit(catalog.vectors[labelled], catalog.labels[labelled])


def accuracy(catalog: Catalog, labelled: Indices) -> float:
    """Top-1 accuracy on the products held out, of which some may be of classes without a label."""
    truth = catalog.labels[catalog.held_out]
    return float((judge(catalog, labelled).predict(catalog.vectors[catalog.held_out]) == truth).mean())


def in_rounds(catalog: Catalog, first: Indices, *, num: int, seed: int) -> Indices:
    """Those that are labelled first, and others that are picked by how unsure the judge then is."""
    model = judge(catalog, first)

    def confidences(products: ProductSet) -> Floats:
        return np.asarray(model.predict_proba(standardised(products)).max(axis=1), np.float32)

    return next_round(
        catalog, first, num=num, seed=seed, confidences=confidences, features=catalog.shard_set.schema.features
    )


def next_round(
    catalog: Catalog, first: Indices, *, num: int, seed: int, confidences: Confidences, features: Sequence[Feature]
) -> Indices:
    """Those that are labelled first, and others by these confidences, `num` in all."""
    rest = pick(
        catalog.shard_set,
        num_products=num - len(first),
        rows=np.setdiff1d(catalog.pool, first),
        labelled=np.sort(first),
        seed=seed,
        confidences=confidences,
        features=features,
    )
    return np.concatenate([first, rest])


def trained(catalog: Catalog, labelled: Indices) -> CategoryPredictor:
    """The predictor that `prodemb train-category` would write with these labels."""
    settings = {"taxonomy": catalog.taxonomy_file, "epochs": catalog.epochs}
    pipeline = Pipeline.parse({"target": "category", "train": settings}, source="bench")
    target = CategoryTarget(pipeline, shard_set=catalog.shard_set)
    every = target.labels()
    index = np.full_like(every.index, NO_ANSWER)
    index[labelled] = every.index[labelled]
    labels = replace(every, index=index, gold=index >= 0)
    data = load_labelled(catalog.shard_set, labels=labels, config=pipeline.train, device=torch.device("cpu"))
    recipe = target.recipe()
    fitted = cross_fit(data, recipe=recipe, progress=no_progress)
    return fitted.predictor(recipe.fit_voices(data, data.everything, title="", progress=no_progress))


def trained_accuracy(catalog: Catalog, labelled: Indices) -> float:
    """The top-1 accuracy of that predictor."""
    predictor = trained(catalog, labelled)
    products = read_products(catalog.shard_set, features=predictor.card.features, rows=catalog.held_out)
    first = predictor.predict(products, k=1).first
    return float((first == predictor.nodes.of(catalog.classes)[catalog.labels[catalog.held_out]]).mean())


def in_rounds_of_its_own(catalog: Catalog, first: Indices, *, num: int, seed: int) -> Indices:
    """As `in_rounds`, by how unsure the predictor then is that `prodemb train-category` writes: as people label."""
    predictor = trained(catalog, first)
    return next_round(
        catalog,
        first,
        num=num,
        seed=seed,
        confidences=lambda products: predictor.predict(products, k=1).probabilities[:, 0],
        features=predictor.card.features,
    )


def figures_of(catalog: Catalog, *, num_labels: Sequence[int], seeds: int, train: Sequence[str]) -> dict[str, Any]:
    # The most helpful stand first, so that fewer of them are the first ones of more.
    ranked = [picked(catalog, num=max(num_labels), seed=seed) for seed in range(seeds)]
    ways: dict[str, Callable[[int, int], Indices]] = {
        "picked": lambda num, seed: ranked[seed][:num],
        "picked in two rounds": lambda num, seed: in_rounds(catalog, ranked[seed][: num // 2], num=num, seed=seed),
        "random": lambda num, seed: np.random.default_rng(seed).permutation(catalog.pool)[:num],
    }
    curves: dict[str, dict[str, Any]] = {}
    for way, choose in ways.items():
        curves[way] = {}
        for num in num_labels:
            chosen = [choose(num, seed) for seed in range(seeds)]
            runs = [accuracy(catalog, rows) for rows in chosen]
            classes = [len(np.unique(catalog.labels[rows])) for rows in chosen]
            curves[way][str(num)] = {
                "top1": median(runs),
                "low": min(runs),
                "high": max(runs),
                "classes": median(classes),
            }
    ways["picked in two rounds"] = lambda num, seed: in_rounds_of_its_own(
        catalog, ranked[seed][: num // 2], num=num, seed=seed
    )
    judged = {}
    for asked in train:
        way, wanted = asked.split(":")
        judged[asked] = median(trained_accuracy(catalog, ways[way](int(wanted), seed)) for seed in range(seeds))
    return {"pool": len(catalog.pool), "held_out": len(catalog.held_out), "curves": curves, "trained": judged}


def table(figures: dict[str, Any]) -> str:
    lines = []
    for name, catalog in figures["catalogs"].items():
        curves = catalog["curves"]
        lines.append(f"{name}: {catalog['pool']:,} to pick from, {catalog['held_out']:,} held out")
        lines.append("| labels | " + " | ".join(next(iter(curves.values()))) + " |")
        for way, curve in curves.items():
            cells = [f"{100 * at['top1']:.1f} ({100 * at['low']:.1f}-{100 * at['high']:.1f})" for at in curve.values()]
            lines.append(f"| {way} | " + " | ".join(cells) + " |")
        lines += [f"prodemb train-category, {asked}: {100 * top1:.1f}" for asked, top1 in catalog["trained"].items()]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=Path, nargs="+", required=True, help="shard sets of labelled catalogs")
    parser.add_argument("--taxonomy", type=Path, help="default: the part that prodemb carries")
    parser.add_argument("--num-labels", type=int, nargs="+", default=NUM_LABELS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--part", choices=PARTS, default="test", help="what is held out")
    parser.add_argument("--train", nargs="*", default=[], metavar="WAY:LABELS", help="such as picked:200 random:400")
    parser.add_argument("--epochs", type=int, help="passes of the head [as in [train]]")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures: dict[str, Any] = {"catalogs": {}}
    for shards in options.shards:
        catalog = open_catalog(shards, taxonomy=options.taxonomy, part=options.part, epochs=options.epochs)
        figures["catalogs"][str(shards)] = figures_of(
            catalog, num_labels=options.num_labels, seeds=options.seeds, train=options.train
        )
    print(json.dumps(figures) if options.json else table(figures))


if __name__ == "__main__":
    main()
