"""Predictors of a few categories and brands, of products some of which are mislabelled or sent with a wrong value."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prodemb.heads.labels import Target
from prodemb.job.pipeline import Pipeline
from tests.shard_sets import write_shards

NODES = ("Apparel", "Apparel > Shoes", "Apparel > Hats", "Apparel > Hats > Caps", "Food", "Food > Bread", "Food > Tea")
LEAVES = (2, 4, 6, 7)
"""Google ids: Shoes, Caps, Bread, Tea."""
WORDS = ("shoe runner", "cap brim", "bread loaf", "tea leaf")
CATEGORIES = ("Footwear", "Headwear", "Bakery", "Drinks")
NUM = 480
WRONG_GOLD, WRONG_CATEGORY, WRONG_BRAND = np.arange(0, 12), np.arange(20, 28), np.arange(40, 52)
UNLABELLED = np.arange(60, 100)
"""Some of these are sent with wrong values too: those at 60 to 69."""


def write_catalog(folder: Path) -> None:
    """480 products of four categories and five brands in one shard set; two partners."""
    random = np.random.default_rng(5)
    kind, brand = random.integers(0, 4, NUM), random.integers(0, 5, NUM)
    points, marks = random.standard_normal((4, 16)), random.standard_normal((5, 16))
    title = points[kind] + marks[brand] + 0.3 * random.standard_normal((NUM, 16))
    image = points[kind] + 0.3 * random.standard_normal((NUM, 16))
    labelled, sent_kind, sent_brand = kind.copy(), kind.copy(), brand.copy()
    labelled[WRONG_GOLD] = (kind[WRONG_GOLD] + 1 + WRONG_GOLD % 3) % 4
    for rows in (WRONG_CATEGORY, np.arange(60, 70)):
        sent_kind[rows] = (kind[rows] + 2) % 4
    for rows in (WRONG_BRAND, np.arange(60, 70)):
        sent_brand[rows] = (brand[rows] + 1) % 5
    fillers = [f"{start}{end}" for start in ("bel", "cor", "dun", "fer", "gal") for end in ("ane", "iro", "ust", "yle")]
    extra = random.choice(fillers, (NUM, 2))
    names = ("Norvik", "Lumora", "Acmeo", "Zeddar", "Quillon")
    is_labelled = ~np.isin(np.arange(NUM), UNLABELLED)
    columns: dict[str, list[str | None]] = {
        "title": [
            f"{names[b]} {WORDS[k]} {words[0]} {words[1]}" for b, k, words in zip(brand, kind, extra, strict=True)
        ],
        "brand": [names[b] for b in sent_brand],
        "cat1": [CATEGORIES[k] for k in sent_kind],
        "google_category_id": [
            str(LEAVES[k]) if there else None for k, there in zip(labelled, is_labelled, strict=True)
        ],
        "brand_label": [names[b] if there else None for b, there in zip(brand, is_labelled, strict=True)],
        "partner": ["one" if number % 2 else "two" for number in range(NUM)],
    }
    write_shards(folder, vectors={"title": title, "image": image}, columns=columns, sizes=[300, 180])


def write_taxonomy(folder: Path) -> Path:
    """The file of the catalog's taxonomy."""
    lines = [f"{number} - {path}" for number, path in enumerate(NODES, start=1)]
    path = folder / "taxonomy.txt"
    path.write_text("\n".join(["# Google_Product_Taxonomy_Version: 2021-09-21", *lines]) + "\n")
    return path


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with shards, a taxonomy and both trained heads."""
    from prodemb.core.progress import no_progress
    from prodemb.job.train import train

    folder = tmp_path_factory.mktemp("project")
    write_catalog(folder / "shards")
    write_taxonomy(folder)
    for target in ("brand", "category"):
        pipeline = pipeline_of(folder, target)
        train(pipeline, shards=folder / "shards", folder=pipeline.head_folder, progress=no_progress)
    return folder


def pipeline_of(folder: Path, target: Target, **tables: Mapping[str, Any]) -> Pipeline:
    """The settings of a target in the project; training takes a second."""
    values: dict[str, Any] = {
        "target": target,
        "embed": {"device": "cpu"},
        "brands": {"aliases": str(folder / "aliases.csv")},
        "head": {"hidden_layer_sizes": [16]},
        "train": {
            "out": str(folder / "heads" / target),
            "taxonomy": str(folder / "taxonomy.txt"),
            "epochs": 3,
            "baselines": {"run": False},
        },
    }
    return Pipeline.parse(values | tables, source="test")
