"""A small catalog that fine-tuning can learn from, four kinds of product told by word and colour; and runs on it."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

from prodemb.catalog.images import ImagesConfig
from prodemb.catalog.reader import CatalogConfig, open_catalog
from prodemb.core.progress import ProgressCallback
from prodemb.finetune.finetune import FinetuneConfig, FinetuneReport, finetune
from prodemb.taxonomy.taxonomy import Taxonomy
from prodemb.towers.checkpoint import find_checkpoint
from prodemb.towers.load import load_towers

WORDS = (("shoe", "sport"), ("mug", "kitchen"), ("lamp", "home"), ("watch", "steel"))
COLOURS = ((200, 40, 40), (40, 200, 40), (40, 40, 200), (200, 200, 40))
PATHS = {1: "sport", 2: "sport > shoe", 3: "home", 4: "home > mug", 5: "home > lamp", 6: "steel", 7: "steel > watch"}
TAXONOMY = Taxonomy(paths=PATHS, source="the test's taxonomy")
CATEGORIES = ("2", "4", "5", "7")
NUM_PRODUCTS = 120

Settings = dict[str, Any]
"""Entries of the TOML table [finetune], which `FinetuneConfig.parse` checks."""

SMALL: Settings = {"epochs": 1, "wise_ft_alphas": [1.0], "learning_rate": 1e-3}
"""Settings of a short run that keeps the new weights as they are."""
ALL_AT_ONCE: Settings = {
    "trainable": "lora",
    "hard_negatives": 0.4,
    "tree_credit": 0.1,
    "mini_batch_size": 5,
    "template": ["{title}", "Brand: {brand}", "Category: {cat1}"],
}
"""All options together."""


def picture(kind: int, *, seed: int) -> bytes:
    """A picture in the colour of its kind, a little off."""
    noise = np.random.default_rng(seed).integers(-30, 30, (20, 20, 3))
    pixels = np.clip(np.array(COLOURS[kind]) + noise, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write_catalog(folder: Path, **replaced: Sequence[object]) -> Path:
    """A catalog of four kinds of product, told by a word in the title and by the colour of the picture."""
    kinds = [i % 4 for i in range(NUM_PRODUCTS)]
    columns: dict[str, Sequence[object]] = {
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


def run(
    catalog: Path,
    model: Path,
    out: Path,
    *,
    on_progress: ProgressCallback | None = None,
    overwrite: bool = False,
    images: ImagesConfig | None = None,
    split: str | None = None,
    **settings: Any,
) -> FinetuneReport:
    """Fine-tune `model` for two short epochs, or as the settings say; `split` is the catalog's column of that name."""
    values: Settings = {
        "out": str(out),
        "epochs": 2,
        "batch_size": 16,
        "learning_rate": 3e-3,
        "dtype": "float32",
        "save_steps": 2,
    }
    return finetune(
        FinetuneConfig.parse(values | settings, source="test"),
        catalog=open_catalog(CatalogConfig(path=str(catalog), split=split)),
        images=images or ImagesConfig(),
        taxonomy=TAXONOMY,
        checkpoint=find_checkpoint(str(model)),
        device="cpu",
        overwrite=overwrite,
        on_progress=on_progress,
    )


class Killed(BaseException):
    """Stands for the end of the process."""


def run_killed(step: int, catalog: Path, model: Path, out: Path, **settings: Any) -> None:
    """Start a run that is killed right after this step, before its state is saved."""

    def kill(done: int, _total: int | None) -> None:
        if done == step:
            raise Killed

    with pytest.raises(Killed):
        run(catalog, model, out, on_progress=kill, **settings)


def forbidden(_done: int, _total: int | None) -> None:
    """Progress of a run that must not train."""
    raise AssertionError("a step was made")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """A checkpoint's weights."""
    return dict(load_towers(find_checkpoint(str(folder)), device="cpu", dtype="float32").model.state_dict())


def assert_alike(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    """Weights are equal up to rounding.

    A key's bias has no influence on the softmax, so its gradient is nothing but rounding, which Adam blows up.
    """

    def telling(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {name: tensor for name, tensor in tensors.items() if not name.endswith("k_proj.bias")}

    torch.testing.assert_close(telling(found), telling(wanted), rtol=1e-3, atol=5e-5)


def files(folder: Path) -> dict[str, bytes]:
    """The contents of a folder's files by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
