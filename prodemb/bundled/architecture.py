"""The shape of the tiny CLIP and its weights before any training."""

import math

import torch
from torch import Tensor
from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast

from prodemb.bundled.tokenizer import MAX_TOKENS, VOCABULARY

IMAGE_SIZE = 60
"""Pixels on a side that the vision tower sees."""

PATCH_SIZE = 12
"""Pixels on a side of a patch, 25 patches a picture."""

DIM = 128
"""Numbers in a vector."""

_TEXT_WIDTH, _VISION_WIDTH, _LAYERS, _HEADS = 128, 144, 4, 4
_PATCH_GAIN = 2.0
_POSITION_SCALE = 0.7


def build_model(tokenizer: PreTrainedTokenizerFast) -> CLIPModel:
    """An untrained tiny CLIP: 60 pixels in patches of 12, 4 + 4 layers, 32 tokens, 128 numbers.

    A picture's patches start with sine and cosine positions (Vaswani et al. 2017), which a small tower learns much
    sooner from than from transformers' near-zero ones.
    """
    config = CLIPConfig(
        text_config={
            "vocab_size": VOCABULARY,
            "hidden_size": _TEXT_WIDTH,
            "intermediate_size": 4 * _TEXT_WIDTH,
            "num_hidden_layers": _LAYERS,
            "num_attention_heads": _HEADS,
            "max_position_embeddings": MAX_TOKENS,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "projection_dim": DIM,
        },
        vision_config={
            "hidden_size": _VISION_WIDTH,
            "intermediate_size": 4 * _VISION_WIDTH,
            "num_hidden_layers": _LAYERS,
            "num_attention_heads": _HEADS,
            "image_size": IMAGE_SIZE,
            "patch_size": PATCH_SIZE,
            "projection_dim": DIM,
        },
        projection_dim=DIM,
    )
    model = CLIPModel(config)
    with torch.no_grad():
        embeddings = model.vision_model.embeddings
        embeddings.patch_embedding.weight.mul_(_PATCH_GAIN)
        embeddings.position_embedding.weight[1:] = _positions(IMAGE_SIZE // PATCH_SIZE, width=_VISION_WIDTH)
    return model


def _positions(side: int, *, width: int) -> Tensor:
    """Sines and cosines of a patch's place, from a quarter of a wave across the picture to two: (side², width)."""
    y, x = torch.meshgrid(torch.arange(side) / side, torch.arange(side) / side, indexing="ij")
    waves = torch.linspace(0.5, 4, width // 4) * math.pi
    places = [function(axis.reshape(-1, 1) * waves) for axis in (x, y) for function in (torch.sin, torch.cos)]
    return torch.cat(places, dim=1) * _POSITION_SCALE
