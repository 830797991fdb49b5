"""Small text encoders with random weights, in sentence-transformers' folder format."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModel

from tests.conftest import NUM_TOKENS, WORDS, make_clip

DIM = 12
MODELS = "sentence_transformers.models"
SIZES: dict[str, Any] = {
    "hidden_size": DIM,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "vocab_size": len(WORDS) + 5,
    "max_position_embeddings": 32,
    "pad_token_id": 0,
}


def write_encoder(
    folder: Path,
    *,
    kind: str = "bert",
    pooling: dict[str, Any] | None = None,
    layers: Sequence[tuple[str, dict[str, Any]]] = (("Normalize", {}),),
    reading: dict[str, Any] | None = None,
    prompts: dict[str, Any] | None = None,
    seed: int = 0,
    **sizes: Any,
) -> Path:
    """A text encoder with the words and the tokenizer of the tiny CLIP.

    Args:
        kind: transformers' model type.
        pooling: its config.json, but for the dimension; mean by default.
        layers: the modules behind it, with their config.json; those with sizes get random weights.
        reading: sentence_bert_config.json.
        prompts: config_sentence_transformers.json.
        sizes: other entries of the encoder's config.json.
    """
    make_clip(folder)
    for name in ("config.json", "model.safetensors", "preprocessor_config.json"):
        (folder / name).unlink()
    torch.manual_seed(seed)
    model = AutoModel.from_config(AutoConfig.for_model(kind, **SIZES | sizes))
    with torch.no_grad():
        for weights in model.parameters():
            if weights.ndim > 1:
                weights.normal_(std=weights[0].numel() ** -0.5)
    model.save_pretrained(folder)
    modules = [("Transformer", ""), ("Pooling", "1_Pooling")]
    write(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": DIM} | (pooling or {}))
    for number, (name, config) in enumerate(layers, start=2):
        modules.append((name, f"{number}_{name}"))
        write(folder / modules[-1][1] / "config.json", config)
        shapes: dict[str, tuple[int, ...]] = {}
        if name == "Dense":
            size = (config["out_features"], config["in_features"])
            shapes = {"linear.weight": size, "linear.bias": size[:1]}
            shapes |= {"residual.weight": size} if config.get("use_residual") else {}
        elif name == "LayerNorm":
            shapes = {"norm.weight": (config["dimension"],), "norm.bias": (config["dimension"],)}
        if shapes:
            tensors = {key: torch.randn(shape) for key, shape in shapes.items()}
            save_file(tensors, folder / modules[-1][1] / "model.safetensors")
    entries = [
        {"idx": number, "name": str(number), "path": path, "type": f"{MODELS}.{name}"}
        for number, (name, path) in enumerate(modules)
    ]
    write(folder / "modules.json", entries)
    write(folder / "sentence_bert_config.json", {"max_seq_length": NUM_TOKENS} | (reading or {}))
    write(folder / "config_sentence_transformers.json", prompts or {})
    return folder


def write(path: Path, values: Any) -> None:
    """A JSON file, in a folder that need not be there."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(values))
