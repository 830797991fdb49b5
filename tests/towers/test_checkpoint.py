"""Finding checkpoints: what is refused and why, and what the fingerprint sees."""

import json
import shutil
from pathlib import Path

import pytest

from prodemb.errors import ModelError
from prodemb.towers.checkpoint import find_checkpoint


def test_the_fingerprint_sees_weights_and_preprocessing_but_not_the_place(tiny_clip: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_clip, tmp_path / "copy")
    original = find_checkpoint(str(tiny_clip)).fingerprint
    assert find_checkpoint(str(copy)).fingerprint == original
    (copy / "README.md").write_text("notes")
    (copy / "finetune.json").write_text("{}")
    assert find_checkpoint(str(copy)).fingerprint == original
    settings = json.loads((copy / "preprocessor_config.json").read_text())
    (copy / "preprocessor_config.json").write_text(json.dumps(settings | {"resample": 2}))
    assert find_checkpoint(str(copy)).fingerprint != original


def test_a_folder_that_is_not_there() -> None:
    with pytest.raises(ModelError, match=r"found './nowhere', but there is no such folder"):
        find_checkpoint("./nowhere")


def test_a_name_that_is_no_hub_id() -> None:
    with pytest.raises(ModelError, match="wanted"):
        find_checkpoint("no such model!")


def test_a_folder_without_config(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no config\.json"):
        find_checkpoint(str(tmp_path))


def test_a_model_that_is_no_dual_encoder(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ModelError, match="type 'bert', which is not a dual encoder"):
        find_checkpoint(str(tmp_path))


def test_pickled_weights_are_not_read(tiny_clip: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_clip / "config.json", tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(ModelError, match="only safetensors weights are read"):
        find_checkpoint(str(tmp_path))


def test_damaged_config(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelError, match="not JSON"):
        find_checkpoint(str(tmp_path))
