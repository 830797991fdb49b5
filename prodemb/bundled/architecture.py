"""The shape of the tiny CLIP and its weights before any training."""

import torch
from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast

from prodemb.bundled.tokenizer import MAX_TOKENS, VOCABULARY

IMAGE_SIZE = 64
"""Pixels on a side that the vision tower sees."""

PATCH_SIZE = 16
"""Pixels on a side of a patch, 16 patches a picture."""

DIM = 128
"""Numbers in a vector."""

_TEXT_WIDTH, _VISION_WIDTH, _LAYERS, _HEADS = 128, 144, 4, 4
_POSITION_DIMS = 36
"""Dimensions of a patch's hidden state that at first only encode its position; as many as a head is wide."""
_SHARPNESS = 6.0
"""How sharply a head looks at its patch at first."""


def build_model(tokenizer: PreTrainedTokenizerFast) -> CLIPModel:
    """An untrained tiny CLIP: 64 pixels in patches of 16, 4 + 4 layers, 32 tokens, 128 numbers."""
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
    _aim_heads(model)
    return model


@torch.no_grad()
def _aim_heads(model: CLIPModel) -> None:
    """Let each of the vision tower's 4 × 4 heads look at one of the 4 × 4 patches to begin with.

    A picture's vector then starts as a projection of its pixels, which a linear model already learns from; from
    transformers' own weights the same tower needs several times the pictures. That attention can go by position
    alone is shown by Cordonnier et al. 2020, On the Relationship between Self-Attention and Convolutional Layers.
    """
    vision = model.vision_model
    embeddings = vision.embeddings
    num_patches = (IMAGE_SIZE // PATCH_SIZE) ** 2
    assert num_patches == _LAYERS * _HEADS
    content = embeddings.patch_embedding.weight[_POSITION_DIMS:]
    content.normal_(std=2 * content[0].numel() ** -0.5)
    embeddings.patch_embedding.weight[:_POSITION_DIMS] = 0
    embeddings.class_embedding[:_POSITION_DIMS] = 0
    embeddings.position_embedding.weight.zero_()
    embeddings.position_embedding.weight[1:, :num_patches] = 10 * torch.eye(num_patches)
    for layer, block in enumerate(vision.encoder.layers):
        attention = block.self_attn
        head_width = _VISION_WIDTH // _HEADS
        attention.k_proj.weight.zero_()
        attention.q_proj.weight.mul_(0.1)
        for head in range(_HEADS):
            start = head * head_width
            attention.k_proj.weight[start : start + _POSITION_DIMS, :_POSITION_DIMS] = torch.eye(_POSITION_DIMS)
            attention.q_proj.bias[start + layer * _HEADS + head] = _SHARPNESS
        attention.v_proj.weight.normal_(std=_VISION_WIDTH**-0.5)
        attention.out_proj.weight.normal_(std=_VISION_WIDTH**-0.5)
        attention.out_proj.weight[:_POSITION_DIMS] = 0
