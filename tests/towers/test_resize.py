"""Another picture size: positions in between, everything else as it was, and a checkpoint that loads like any other."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel

from prodemb.core.errors import ConfigError
from prodemb.towers.checkpoint import find_checkpoint
from prodemb.towers.image import ImagePreprocessor
from prodemb.towers.load import Towers, load_towers, save_checkpoint
from prodemb.towers.resize import with_image_size


def load(folder: Path) -> Towers:
    return load_towers(find_checkpoint(str(folder)), device="cpu", dtype="float32")


def test_positions_are_those_that_transformers_interpolates(tiny_clip: Path) -> None:
    towers = load(tiny_clip)
    _, edge, _ = towers.image.shape
    pixels = torch.randint(0, 256, (3, 3, 2 * edge, 2 * edge), dtype=torch.uint8)
    values = (pixels.float() * towers.image.rescale - towers._mean) / towers._std
    model = AutoModel.from_pretrained(tiny_clip, attn_implementation="sdpa")
    with torch.inference_mode():
        wanted = model.get_image_features(pixel_values=values, interpolate_pos_encoding=True).pooler_output
    larger = with_image_size(towers, image_size=2 * edge, source="test")
    found = larger.image_vectors(pixels).detach()
    assert torch.allclose(found, torch.nn.functional.normalize(wanted, dim=-1), atol=1e-5)


def test_the_same_size_changes_nothing(tiny_clip: Path) -> None:
    towers = load(tiny_clip)
    before = {name: value.clone() for name, value in towers.model.state_dict().items()}
    same = with_image_size(towers, image_size=towers.image.shape[1], source="test")
    assert same.image == towers.image
    for name, value in same.model.state_dict().items():
        assert torch.allclose(value, before[name], atol=1e-6), name


def test_a_resized_checkpoint_loads_like_any_other(tiny_clip: Path, tmp_path: Path) -> None:
    towers = load(tiny_clip)
    _, edge, _ = towers.image.shape
    larger = with_image_size(towers, image_size=2 * edge, source="test")
    save_checkpoint(larger, tmp_path)
    again = load(tmp_path)
    assert ImagePreprocessor.from_folder(tmp_path) == larger.image == again.image
    assert again.image.shape == (3, 2 * edge, 2 * edge)
    assert again.image_tokens == 4 * (towers.image_tokens - 1) + 1
    pixels = torch.randint(0, 256, (2, 3, 2 * edge, 2 * edge), dtype=torch.uint8)
    assert torch.allclose(again.image_vectors(pixels), larger.image_vectors(pixels).detach(), atol=1e-6)
    assert np.isfinite(again.image_vectors(pixels).numpy()).all()


def test_a_size_that_no_grid_has_is_refused(tiny_clip: Path) -> None:
    with pytest.raises(ConfigError, match=r"\[finetune\] image_size: found 17, wanted a multiple of \d+"):
        with_image_size(load(tiny_clip), image_size=17, source="[finetune] image_size")


def test_a_shorter_side_keeps_its_share() -> None:
    clip = ImagePreprocessor(size=256, crop=(224, 224), mean=(0, 0, 0), std=(1, 1, 1))
    assert (clip.with_image_size(336).size, clip.with_image_size(336).crop) == (384, (336, 336))
    siglip = ImagePreprocessor(size=(224, 224), crop=None, mean=(0, 0, 0), std=(1, 1, 1))
    assert (siglip.with_image_size(256).size, siglip.with_image_size(256).crop) == ((256, 256), None)
