"""Finding checkpoints: what is refused and why, and what the fingerprint sees."""

import json
import os
import shutil
from pathlib import Path

import pytest

from prodemb.core.errors import ModelError, NotFetchedError
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
    with pytest.raises(
        ModelError, match=rf"found './nowhere', but there is no such folder \({Path.cwd()}/nowhere\); wanted"
    ):
        find_checkpoint("./nowhere")


def test_a_folder_s_name_is_never_taken_for_a_hub_id_elsewhere(
    tiny_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_clip, tmp_path / "checkpoints" / "category")
    monkeypatch.chdir(tmp_path)
    name = find_checkpoint("checkpoints/category").name
    assert name == "./checkpoints/category"
    assert find_checkpoint(name).name == name
    monkeypatch.chdir("/")
    with pytest.raises(
        ModelError,
        match=r"found './checkpoints/category', but there is no such folder \(/checkpoints/category\); wanted",
    ):
        find_checkpoint(name)


def test_a_name_that_is_no_hub_id() -> None:
    with pytest.raises(ModelError, match="wanted"):
        find_checkpoint("no such model!")


def test_what_is_not_to_be_fetched_comes_from_the_hub_s_cache(
    tiny_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(NotFetchedError, match="'shop/clip' is no folder here, and not in the hub's cache"):
        find_checkpoint("shop/clip", fetch=False)
    commit = "0123456789" * 4
    cached = tmp_path / "models--shop--clip"
    shutil.copytree(tiny_clip, cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    assert find_checkpoint("shop/clip", fetch=False).folder == cached / "snapshots" / commit
    (cached / "snapshots" / commit / "model.safetensors").unlink()
    with pytest.raises(NotFetchedError, match="not wholly in the hub's cache"):
        find_checkpoint("shop/clip", fetch=False)


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


@pytest.mark.parametrize("name", ["tokenizer.json", "model.safetensors", "config.json"])
def test_a_pipe_in_the_place_of_a_file_is_refused_at_once(tiny_clip: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(tiny_clip, tmp_path, dirs_exist_ok=True)
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with pytest.raises(ModelError, match=name):
        find_checkpoint(str(tmp_path))


def test_damaged_config(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelError, match="not JSON"):
        find_checkpoint(str(tmp_path))


@pytest.mark.parametrize(
    ("index", "said"),
    [
        (
            '{"weight_map": {"a": "../../../etc/passwd"}}',
            "'../../../etc/passwd', wanted safetensors files of this folder",
        ),
        ('{"weight_map": {"a": "../other/model.safetensors"}}', "wanted safetensors files of this folder"),
        ('{"weight_map": {"a": "pytorch_model.bin"}}', "'pytorch_model.bin', wanted safetensors files"),
        ('{"weight_map": {"a": 5}}', "found the weights 5"),
        ('{"weight_map": []}', "not an index of weights"),
        ("[]", "not an index of weights"),
        ("[" * 100_000, "not an index of weights"),
    ],
)
def test_an_index_names_safetensors_files_of_its_folder_alone(
    tiny_clip: Path, tmp_path: Path, index: str, said: str
) -> None:
    """transformers would unpickle any other file, wherever it lies."""
    folder = shutil.copytree(tiny_clip, tmp_path / "copy")
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    (folder / "model.safetensors.index.json").write_text(index)
    with pytest.raises(ModelError) as caught:
        find_checkpoint(str(folder))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"num_hidden_layers": 10**9}, "num_hidden_layers: found 1,000,000,000, wanted at most 1,000"),
        ({"vocab_size": 10**12}, "vocab_size: found 1,000,000,000,000"),
        ({"_attn_implementation": "someone/kernel"}, "'someone/kernel', which is code to be fetched"),
    ],
)
def test_settings_that_cost_or_fetch_something_before_the_weights_are_seen(
    tiny_clip: Path, tmp_path: Path, change: dict[str, object], said: str
) -> None:
    shutil.copy(tiny_clip / "model.safetensors", tmp_path)
    config = json.loads((tiny_clip / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"text_config": config["text_config"] | change}))
    with pytest.raises(ModelError) as caught:
        find_checkpoint(str(tmp_path))
    assert said in str(caught.value)
