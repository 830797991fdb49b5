"""Tiny folders as open_clip saves them, with random weights."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from tests.conftest import WORDS

CLIP_CONFIG: dict[str, Any] = {
    "model_cfg": {
        "embed_dim": 24,
        "vision_cfg": {"image_size": 16, "layers": 2, "width": 32, "patch_size": 8, "head_width": 16},
        "text_cfg": {"context_length": 16, "vocab_size": 70, "width": 32, "heads": 2, "layers": 2},
    },
    "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
}
SIGLIP_CONFIG: dict[str, Any] = {
    "model_cfg": {
        "embed_dim": 48,
        "init_logit_bias": -10,
        "custom_text": True,
        "vision_cfg": {
            "image_size": 224,
            "timm_model_name": "vit_base_patch16_siglip_224",
            "timm_model_pretrained": False,
            "timm_pool": "map",
            "timm_proj": "none",
        },
        "text_cfg": {
            "context_length": 16,
            "vocab_size": 70,
            "hf_tokenizer_name": "timm/ViT-B-16-SigLIP",
            "tokenizer_kwargs": {"clean": "canonicalize"},
            "width": 48,
            "heads": 12,
            "layers": 2,
            "no_causal_mask": True,
            "proj_bias": True,
            "pool_type": "last",
            "norm_kwargs": {"eps": 1e-6},
        },
    },
    "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "resize_mode": "squash"},
}


def write_open_clip(folder: Path, *, config: dict[str, Any]) -> Path:
    """A checkpoint of either of the settings above, with a tokenizer of the tests' words."""
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    torch.manual_seed(0)
    is_siglip = "timm_model_name" in config["model_cfg"]["vision_cfg"]
    shapes = siglip_shapes() if is_siglip else clip_shapes()
    save_file(
        {name: torch.randn(shape) * 0.2 for name, shape in shapes.items()}, folder / "open_clip_model.safetensors"
    )
    _tokenizer().save_pretrained(folder)
    return folder


def clip_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes of open_clip's CLIP with its own vision tower."""
    vision = {
        "class_embedding": (32,),
        "positional_embedding": (5, 32),
        "proj": (32, 24),
        "conv1.weight": (32, 3, 8, 8),
    }
    vision |= _norm("ln_pre", 32) | _norm("ln_post", 32) | _blocks(32)
    text = {"positional_embedding": (16, 32), "text_projection": (32, 24), "token_embedding.weight": (70, 32)}
    return {f"visual.{name}": shape for name, shape in vision.items()} | {
        **text,
        **_norm("ln_final", 32),
        **_blocks(32),
        "logit_scale": (),
    }


def siglip_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes of open_clip's SigLIP with a trunk of timm's."""
    trunk: dict[str, tuple[int, ...]] = {"pos_embed": (1, 196, 48)}
    trunk |= _linear("patch_embed.proj", 48, 3, 16, 16) | _norm("norm", 48)
    for layer in range(2):
        trunk |= _norm(f"blocks.{layer}.norm1", 48) | _norm(f"blocks.{layer}.norm2", 48)
        trunk |= _linear(f"blocks.{layer}.attn.qkv", 144, 48) | _linear(f"blocks.{layer}.attn.proj", 48, 48)
        trunk |= _linear(f"blocks.{layer}.mlp.fc1", 96, 48) | _linear(f"blocks.{layer}.mlp.fc2", 48, 96)
    pool: dict[str, tuple[int, ...]] = {"latent": (1, 1, 48)}
    pool |= _linear("q", 48, 48) | _linear("kv", 96, 48) | _linear("proj", 48, 48) | _norm("norm", 48)
    pool |= _linear("mlp.fc1", 96, 48) | _linear("mlp.fc2", 48, 96)
    trunk |= {f"attn_pool.{name}": shape for name, shape in pool.items()}
    text: dict[str, tuple[int, ...]] = {"positional_embedding": (16, 48), "token_embedding.weight": (70, 48)}
    text |= _norm("ln_final", 48) | _linear("text_projection", 48, 48) | _blocks(48)
    named = {f"visual.trunk.{name}": shape for name, shape in trunk.items()}
    return named | {f"text.{name}": shape for name, shape in text.items()} | {"logit_scale": (), "logit_bias": ()}


def _blocks(width: int) -> dict[str, tuple[int, ...]]:
    blocks: dict[str, tuple[int, ...]] = {}
    for layer in range(2):
        prefix = f"transformer.resblocks.{layer}"
        blocks |= _norm(f"{prefix}.ln_1", width) | _norm(f"{prefix}.ln_2", width)
        blocks |= {f"{prefix}.attn.in_proj_weight": (3 * width, width), f"{prefix}.attn.in_proj_bias": (3 * width,)}
        blocks |= _linear(f"{prefix}.attn.out_proj", width, width)
        blocks |= _linear(f"{prefix}.mlp.c_fc", 2 * width, width) | _linear(f"{prefix}.mlp.c_proj", width, 2 * width)
    return blocks


def _norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _linear(name: str, *shape: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def _tokenizer() -> PreTrainedTokenizerFast:
    words = ["<pad>", "<unk>", *(word.lower() for word in WORDS)]
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys(words))} | {"<end>": 69}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A <end>", special_tokens=[("<end>", 69)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", eos_token="<end>", model_max_length=16
    )
