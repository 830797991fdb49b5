"""A small catalog that fine-tuning can learn from: four kinds of product, told by a word and by a colour."""

import io
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

from prodemb.taxonomy.taxonomy import Taxonomy

WORDS = (("shoe", "sport"), ("mug", "kitchen"), ("lamp", "home"), ("watch", "steel"))
COLOURS = ((200, 40, 40), (40, 200, 40), (40, 40, 200), (200, 200, 40))
PATHS = {1: "sport", 2: "sport > shoe", 3: "home", 4: "home > mug", 5: "home > lamp", 6: "steel", 7: "steel > watch"}
TAXONOMY = Taxonomy(paths=PATHS, source="the test's taxonomy")
CATEGORIES = ("2", "4", "5", "7")
NUM_PRODUCTS = 120


def picture(kind: int, *, seed: int) -> bytes:
    """A picture in the colour of its kind, a little off."""
    noise = np.random.default_rng(seed).integers(-30, 30, (20, 20, 3))
    pixels = np.clip(np.array(COLOURS[kind]) + noise, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write_catalog(folder: Path, **replaced: list[object]) -> Path:
    """A catalog of four kinds of product, told by a word in the title and by the colour of the picture."""
    kinds = [i % 4 for i in range(NUM_PRODUCTS)]
    columns: dict[str, list[object]] = {
        "product_id": [f"p{i}" for i in range(NUM_PRODUCTS)],
        "title": [f"red {WORDS[kind][0]} {i % 10} {i // 10 % 10}" for i, kind in enumerate(kinds)],
        "description": [None if i % 3 else f"for the {WORDS[kind][1]}" for i, kind in enumerate(kinds)],
        "brand": [["Norvik", "Lumo", None][i % 3] for i in range(NUM_PRODUCTS)],
        "cat1": [WORDS[kind][1] if i % 2 else "" for i, kind in enumerate(kinds)],
        "image": [None if i % 9 == 4 else picture(kind, seed=i) for i, kind in enumerate(kinds)],
        "google_category_id": [CATEGORIES[kind] for kind in kinds],
    }
    path = folder / "catalog.parquet"
    pl.DataFrame(columns | replaced).write_parquet(path)
    return path
