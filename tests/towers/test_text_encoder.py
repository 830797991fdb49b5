"""Text encoders: their vectors are those of sentence-transformers, whatever the pooling, prompts and layers."""

import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer

from prodemb.core.errors import ModelError
from prodemb.towers.text_checkpoint import Pooling, find_text_checkpoint
from prodemb.towers.text_encoder import TextEncoder, load_text_encoder, pool
from tests.text_encoders import DIM, write, write_encoder

TEXTS = ["red shoe", "a mug for the kitchen with 3 4 5", "RED Blue green", "blue " * 40, "x"]
PROMPT = {"prompts": {"p": "red blue "}, "default_prompt_name": "p"}
TANH, IDENTITY = "torch.nn.modules.activation.Tanh", "torch.nn.modules.linear.Identity"
DENSE = {"in_features": DIM, "out_features": 7, "bias": True, "activation_function": TANH}
CASES: dict[str, dict[str, Any]] = {mode: {"pooling": {"pooling_mode": mode}} for mode in get_args(Pooling)} | {
    "flags": {"pooling": {"pooling_mode_cls_token": True, "pooling_mode_max_tokens": True}},
    "dense": {"layers": [("Dense", DENSE), ("Normalize", {})]},
    "residual": {
        "layers": [
            ("Dense", DENSE | {"activation_function": IDENTITY, "use_residual": True}),
            ("LayerNorm", {"dimension": 7}),
            ("Dropout", {"dropout": 0.5}),
        ]
    },
    "prompt": {"prompts": PROMPT},
    "prompt not pooled": {"prompts": PROMPT, "pooling": {"pooling_mode": ["cls", "mean"], "include_prompt": False}},
    "lower case": {"reading": {"do_lower_case": True, "max_seq_length": 9}},
    "roberta": {"kind": "roberta", "reading": {"max_seq_length": None}, "max_position_embeddings": 17},
    "qwen3": {"kind": "qwen3", "num_key_value_heads": 1, "head_dim": 6, "pooling": {"pooling_mode": "lasttoken"}},
}


def load(folder: Path) -> TextEncoder:
    return load_text_encoder(find_text_checkpoint(str(folder)), device="cpu", dtype="float32")


@torch.inference_mode()
def encode(encoder: TextEncoder, texts: list[str]) -> torch.Tensor:
    return encoder.text_vectors(*encoder.text.pad(encoder.text.tokenize(texts)))


@pytest.mark.parametrize("case", CASES)
def test_vectors_are_those_of_sentence_transformers(case: str, tmp_path: Path) -> None:
    reference = pytest.importorskip("sentence_transformers")
    folder = write_encoder(tmp_path / "encoder", **CASES[case])
    found = encode(load(folder), TEXTS).numpy()
    wanted = reference.SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    assert found.shape == wanted.shape
    assert (found * wanted).sum(axis=1).min() > 0.9999


@pytest.mark.parametrize("case", CASES)
def test_a_text_has_one_vector_whatever_it_is_batched_with(case: str, tmp_path: Path) -> None:
    encoder = load(write_encoder(tmp_path / "encoder", **CASES[case]))
    together = encode(encoder, TEXTS)
    alone = torch.cat([encode(encoder, [text]) for text in TEXTS])
    assert together.shape == (len(TEXTS), encoder.dim)
    assert torch.allclose(together, alone, atol=1e-5)
    assert torch.allclose(together.norm(dim=1), torch.ones(len(TEXTS)))


@torch.inference_mode()
def test_a_plain_encoder_is_averaged_over_its_tokens(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "encoder")
    for name in ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"):
        (folder / name).unlink()
    tokens = AutoTokenizer.from_pretrained(folder)(["red shoe for men"], return_tensors="pt")
    mean = AutoModel.from_pretrained(folder).eval()(**tokens).last_hidden_state.mean(1)
    wanted = torch.nn.functional.normalize(mean, dim=-1)
    assert torch.allclose(encode(load(folder), ["red shoe for men"]), wanted, atol=1e-6)


@pytest.mark.parametrize(
    ("mode", "skipped", "wanted"),
    [
        ("cls", 0, [1, 8]),
        ("cls", 1, [2, 4]),
        ("lasttoken", 0, [6, 0]),
        ("max", 0, [6, 8]),
        ("mean", 0, [3, 4]),
        ("mean", 1, [4, 2]),
        ("mean_sqrt_len_tokens", 0, [9 / 3**0.5, 12 / 3**0.5]),
        ("weightedmean", 0, [(1 + 4 + 18) / 6, (8 + 8) / 6]),
    ],
)
def test_pooling_counts_neither_padding_nor_a_prompt_left_out(mode: Pooling, skipped: int, wanted: list[float]) -> None:
    tokens = torch.tensor([[[1.0, 8.0], [2.0, 4.0], [6.0, 0.0], [99.0, 99.0]]])
    pooled = pool(tokens, torch.tensor([[1, 1, 1, 0]]), modes=(mode,), skipped=skipped)
    assert torch.allclose(pooled, torch.tensor([wanted], dtype=torch.float32))


def test_texts_begin_with_the_prompt_and_end_at_the_limit(tmp_path: Path) -> None:
    encoder = load(write_encoder(tmp_path / "encoder", prompts=PROMPT, reading={"max_seq_length": 6}))
    (tokens,) = encoder.text.tokenize(["shoe mug lamp"])
    assert encoder.text.tokenizer.convert_ids_to_tokens(tokens) == ["<start>", "red", "blue", "shoe", "mug", "<end>"]


def test_weights_that_are_missing_not_numbers_or_of_another_size(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "encoder", layers=[("Dense", DENSE)])
    weights = folder / "model.safetensors"
    tensors = load_file(weights)
    name = "encoder.layer.0.output.dense.weight"
    save_file(tensors | {name: torch.full_like(tensors[name], torch.nan)}, weights, metadata={"format": "pt"})
    with pytest.raises(ModelError, match="not finite"):
        load(folder)
    save_file({key: value for key, value in tensors.items() if key != name}, weights, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=rf"its weights lack '{name}' and 0 more"):
        load(folder)
    save_file(tensors, weights, metadata={"format": "pt"})
    write(folder / "2_Dense" / "config.json", DENSE | {"out_features": 9})
    with pytest.raises(ModelError, match=r"2_Dense: its weights have other names or sizes than its config.json says"):
        load(folder)
    write(folder / "2_Dense" / "config.json", DENSE | {"activation_function": "os.system"})
    with pytest.raises(ModelError, match=r"activation_function: found 'os.system', wanted any of Identity, Tanh"):
        load(folder)


def test_settings_of_a_far_larger_model_than_the_weights_are_refused(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "encoder")
    write(folder / "config.json", json.loads((folder / "config.json").read_text()) | {"vocab_size": 1_000_000})
    with pytest.raises(ModelError, match=r"config.json: found a model of [\d,]+ numbers, wanted one of the"):
        load(folder)
