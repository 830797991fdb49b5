"""Vectors beside transformers' own processor and model: equal for each kind, an error where preprocessing differs."""

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from prodemb.core.errors import ModelError
from prodemb.towers.checkpoint import find_checkpoint
from prodemb.towers.load import DtypeName, Towers, load_towers
from prodemb.towers.reference import (
    NoReference,
    check_against_reference,
    compare_with_reference,
)
from prodemb.towers.text import TextPreprocessor
from tests.towers.test_kinds import KINDS, write_checkpoint


def load(model: str | Path, *, dtype: DtypeName = "float32", truncate_dim: int | None = None) -> Towers:
    return load_towers(find_checkpoint(str(model), truncate_dim=truncate_dim), device="cpu", dtype=dtype)


def altered(towers: Towers, *, text: TextPreprocessor | None = None, **image: Any) -> Towers:
    """The towers as they would be if the preprocessing had been read otherwise."""
    return Towers(
        checkpoint=towers.checkpoint,
        model=towers.model,
        text=text or towers.text,
        image=replace(towers.image, **image),
        device=towers.device,
        dtype=towers.dtype,
    )


@pytest.fixture(scope="module")
def bundled() -> Towers:
    return load("bundled")


@pytest.fixture(scope="module")
def siglip(tiny_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint("siglip", clip=tiny_clip, folder=tmp_path_factory.mktemp("kinds") / "siglip")


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_each_kind_of_checkpoint_agrees(kind: str, tiny_clip: Path, tmp_path: Path) -> None:
    folder = write_checkpoint(kind, clip=tiny_clip, folder=tmp_path / kind)
    check_against_reference(load(folder))
    check_against_reference(load(folder, dtype="bfloat16"))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_bundled_checkpoint_agrees(dtype: DtypeName) -> None:
    comparison = compare_with_reference(load("bundled", dtype=dtype))
    assert len(comparison.texts) == 3
    assert comparison.image is not None
    assert min(*comparison.texts.values(), comparison.image) > 0.9999


def test_of_truncated_vectors_the_first_numbers_are_compared() -> None:
    check_against_reference(load("bundled", truncate_dim=32))


@pytest.mark.parametrize(
    "image",
    [
        {"mean": (0.5, 0.5, 0.5)},
        {"std": (0.5, 0.5, 0.5)},
        {"mean": (0.40821073, 0.4578275, 0.48145466)},
        {"resample": 2},
        {"rescale": 1.0},
        {"size": 64, "crop": (64, 64)},
    ],
    ids=lambda image: ",".join(image),
)
def test_pictures_prepared_otherwise_are_an_error_that_names_the_tower(bundled: Towers, image: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=r"^bundled: image tower: found a cosine of -?0\.\d+ .* a picture .*0\.999"):
        check_against_reference(altered(bundled, **image))


def test_texts_cut_too_early_are_an_error(bundled: Towers) -> None:
    text = replace(bundled.text, max_length=bundled.text.max_length - 8)
    with pytest.raises(ModelError, match=r"text tower: found a cosine of 0\.\d+ "):
        check_against_reference(altered(bundled, text=text))


def test_texts_padded_on_the_other_side_are_an_error(siglip: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(siglip, tmp_path / "left")
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"padding_side": "left"}))
    with pytest.raises(ModelError, match=r"text tower: .* of a (short text|text of other scripts) "):
        check_against_reference(load(folder))


def test_vectors_that_are_not_numbers_are_an_error(bundled: Towers) -> None:
    broken = altered(bundled)
    broken._std = torch.full_like(broken._std, torch.nan)
    with pytest.raises(ModelError, match="image tower: found a cosine of nan"):
        check_against_reference(broken)


def test_without_a_processor_of_its_own_there_is_a_warning(
    bundled: Towers, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = shutil.copytree(bundled.checkpoint.folder, tmp_path / "odd")
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"image_processor_type": "OddImageProcessor"}))
    towers = load(folder)
    with pytest.raises(NoReference):
        compare_with_reference(towers)
    with caplog.at_level(logging.WARNING):
        check_against_reference(towers)
    assert "were not compared with transformers' own" in caplog.text
