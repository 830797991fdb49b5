"""Folders of text encoders: what is refused and why, before any model is built, and what the fingerprint sees."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from prodemb.core.errors import ModelError
from prodemb.towers.text_checkpoint import find_text_checkpoint
from tests.text_encoders import MODELS, write, write_encoder

TRANSFORMER = {"path": "", "type": f"{MODELS}.Transformer"}
POOLING = {"path": "1_Pooling", "type": f"{MODELS}.Pooling"}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoder") / "tiny", prompts={"prompts": {"query": "red "}})


@pytest.fixture
def folder(encoder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(encoder, tmp_path / "encoder")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("1_Pooling/config.json", {"pooling_mode": "cls"}),
        ("sentence_bert_config.json", {"max_seq_length": 7}),
        ("config_sentence_transformers.json", {"prompts": {"query": "red "}, "default_prompt_name": "query"}),
        ("modules.json", [TRANSFORMER, POOLING]),
    ],
)
def test_the_fingerprint_sees_all_that_makes_a_vector_but_not_the_place(
    encoder: Path, folder: Path, name: str, values: Any
) -> None:
    original = find_text_checkpoint(str(encoder)).fingerprint
    (folder / "README.md").write_text("notes")
    assert find_text_checkpoint(str(folder)).fingerprint == original
    write(folder / name, values)
    assert find_text_checkpoint(str(folder)).fingerprint != original


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("modules.json", {}, "wanted a list of 2 to 16 modules"),
        ("modules.json", [TRANSFORMER], "wanted a list of 2 to 16 modules"),
        ("modules.json", [TRANSFORMER, POOLING] * 9, "wanted a list of 2 to 16 modules"),
        ("modules.json", [POOLING, TRANSFORMER], "found the modules Pooling, Transformer; wanted Transformer, Pooling"),
        ("modules.json", [TRANSFORMER, {"path": "", "type": f"{MODELS}.WordWeights"}], "WordWeights'; wanted"),
        ("modules.json", [TRANSFORMER, {"path": "", "type": "someone.Pooling"}], "found the module 'someone.Pooling'"),
        ("modules.json", [TRANSFORMER, "Pooling"], "found the module ''"),
        ("modules.json", [TRANSFORMER, POOLING | {"path": "../other"}], "found the path '../other', wanted a folder"),
        ("modules.json", [TRANSFORMER, POOLING | {"path": "/etc"}], "found the path '/etc', wanted a folder"),
        ("modules.json", [TRANSFORMER, POOLING | {"path": "9_Pooling"}], "9_Pooling: no config.json"),
        ("1_Pooling/config.json", {"pooling_mode": "attention"}, r"found ['attention'], wanted any of cls, max"),
        ("1_Pooling/config.json", [], "wanted a JSON object"),
        ("sentence_bert_config.json", {"max_seq_length": 10**12}, "max_seq_length: found 1000000000000, wanted"),
        ("sentence_bert_config.json", {"transformer_task": "fill-mask"}, "wanted 'feature-extraction'"),
        ("sentence_bert_config.json", {"model_kwargs": {"revision": "x"}}, "model_kwargs: found {'revision': 'x'}"),
        ("config_sentence_transformers.json", {"default_prompt_name": "q"}, "default_prompt_name: found 'q', wanted"),
        (
            "config.json",
            {"model_type": "bert", "num_hidden_layers": 10**9},
            "found 1,000,000,000, wanted at most 1,000",
        ),
        ("config.json", {"model_type": "bert", "vocab_size": 10**12}, "vocab_size: found 1,000,000,000,000"),
    ],
)
def test_what_prodemb_does_not_compute_is_refused_by_name(folder: Path, name: str, values: Any, said: str) -> None:
    write(folder / name, values)
    with pytest.raises(ModelError) as caught:
        find_text_checkpoint(str(folder))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["tokenizer.json", "model.safetensors", "config.json", "1_Pooling/config.json"])
def test_a_pipe_in_the_place_of_a_file_is_refused_at_once(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(ModelError, match=name):
        find_text_checkpoint(str(folder))


def test_pickled_weights_are_not_read(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="only safetensors weights are read"):
        find_text_checkpoint(str(folder))


def test_pickled_weights_of_a_layer_are_not_read(tmp_path: Path) -> None:
    layer = {"in_features": 12, "out_features": 7, "activation_function": "torch.nn.modules.linear.Identity"}
    folder = write_encoder(tmp_path / "encoder", layers=[("Dense", layer)])
    write(folder / "2_Dense" / "config.json", layer | {"in_features": 10**9})
    with pytest.raises(ModelError, match="in_features: found 1000000000, wanted 1 to 65,536 numbers"):
        find_text_checkpoint(str(folder))
    write(folder / "2_Dense" / "config.json", layer)
    (folder / "2_Dense" / "model.safetensors").rename(folder / "2_Dense" / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"2_Dense: no model.safetensors; only safetensors weights are read"):
        find_text_checkpoint(str(folder))


def test_a_folder_that_is_not_there_or_holds_no_encoder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"text_model: found './nowhere', but there is no such folder"):
        find_text_checkpoint("./nowhere")
    with pytest.raises(ModelError, match=r"no config.json; wanted a text encoder"):
        find_text_checkpoint(str(tmp_path))
