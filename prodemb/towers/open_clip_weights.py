"""The weights of an open_clip checkpoint under the names that transformers gives them."""

import re
from collections.abc import Iterator, Mapping

import torch

Tensors = Mapping[str, torch.Tensor]

_TEXT = {
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
    "text_projection.weight": "text_model.head.weight",
    "text_projection.bias": "text_model.head.bias",
}
_VISION = {
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.ln_pre.weight": "vision_model.pre_layrnorm.weight",
    "visual.ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "visual.ln_post.weight": "vision_model.post_layernorm.weight",
    "visual.ln_post.bias": "vision_model.post_layernorm.bias",
    "visual.trunk.cls_token": "vision_model.embeddings.class_embedding",
    "visual.trunk.pos_embed": "vision_model.embeddings.position_embedding.weight",
    "visual.trunk.patch_embed.proj.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.trunk.patch_embed.proj.bias": "vision_model.embeddings.patch_embedding.bias",
    "visual.trunk.norm_pre.weight": "vision_model.pre_layrnorm.weight",
    "visual.trunk.norm_pre.bias": "vision_model.pre_layrnorm.bias",
    "visual.trunk.norm.weight": "vision_model.post_layernorm.weight",
    "visual.trunk.norm.bias": "vision_model.post_layernorm.bias",
    "visual.trunk.attn_pool.latent": "vision_model.head.probe",
    "visual.trunk.attn_pool.proj.weight": "vision_model.head.attention.out_proj.weight",
    "visual.trunk.attn_pool.proj.bias": "vision_model.head.attention.out_proj.bias",
    "visual.trunk.attn_pool.norm.weight": "vision_model.head.layernorm.weight",
    "visual.trunk.attn_pool.norm.bias": "vision_model.head.layernorm.bias",
    "visual.trunk.attn_pool.mlp.fc1.weight": "vision_model.head.mlp.fc1.weight",
    "visual.trunk.attn_pool.mlp.fc1.bias": "vision_model.head.mlp.fc1.bias",
    "visual.trunk.attn_pool.mlp.fc2.weight": "vision_model.head.mlp.fc2.weight",
    "visual.trunk.attn_pool.mlp.fc2.bias": "vision_model.head.mlp.fc2.bias",
    "visual.head.proj.weight": "visual_projection.weight",
}
_SAME = _TEXT | _VISION | {"logit_scale": "logit_scale", "logit_bias": "logit_bias"}
_TURNED = {"text_projection": "text_projection.weight", "visual.proj": "visual_projection.weight"}
"""Matrices that open_clip multiplies from the other side."""
_BLOCK = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "norm1": "layer_norm1",
    "norm2": "layer_norm2",
    "attn.proj": "self_attn.out_proj",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}
_BLOCK_NAME = re.compile(
    r"(?P<tower>transformer\.resblocks|visual\.transformer\.resblocks|visual\.trunk\.blocks)\.(?P<layer>\d+)"
    r"\.(?P<part>[\w.]+?)[._](?P<kind>weight|bias)"
)
_POOL_PART = re.compile(r"visual\.trunk\.attn_pool\.(q|kv)\.(?P<kind>weight|bias)")


def convert_weights(tensors: Tensors) -> tuple[dict[str, torch.Tensor], list[str]]:
    """Weights by their names in transformers, and the names of those that have none there."""
    converted: dict[str, torch.Tensor] = {}
    unknown = []
    plain = dict(_plain_names(tensors))
    for name, tensor in plain.items():
        if name in _SAME:
            converted[_SAME[name]] = tensor
        elif name in _TURNED:
            converted[_TURNED[name]] = tensor.T
        elif found := _BLOCK_NAME.fullmatch(name):
            tower = "vision_model" if found["tower"].startswith("visual") else "text_model"
            prefix = f"{tower}.encoder.layers.{found['layer']}"
            if found["part"] in ("attn.in_proj", "attn.qkv") and len(tensor) % 3 == 0:
                parts = zip("qkv", tensor.chunk(3), strict=True)
                converted |= {f"{prefix}.self_attn.{part}_proj.{found['kind']}": chunk for part, chunk in parts}
            elif found["part"] in _BLOCK:
                converted[f"{prefix}.{_BLOCK[found['part']]}.{found['kind']}"] = tensor
            else:
                unknown.append(name)
        elif found := _POOL_PART.fullmatch(name):
            names = [f"visual.trunk.attn_pool.{part}.{found['kind']}" for part in ("q", "kv")]
            if all(part in plain for part in names):
                joined = torch.cat([plain[part] for part in names])
                converted[f"vision_model.head.attention.in_proj_{found['kind']}"] = joined
            else:
                unknown.append(name)
        else:
            unknown.append(name)
    return converted, unknown


def fit_shapes(converted: Tensors, *, wanted: Tensors) -> dict[str, torch.Tensor]:
    """The weights with the axes of length one that transformers has and open_clip has not, or the other way round."""
    return {
        name: tensor.reshape(wanted[name].shape)
        if name in wanted and _squeezed(tensor) == _squeezed(wanted[name])
        else tensor
        for name, tensor in converted.items()
    }


def _squeezed(tensor: torch.Tensor) -> list[int]:
    return [edge for edge in tensor.shape if edge != 1]


def _plain_names(tensors: Tensors) -> Iterator[tuple[str, torch.Tensor]]:
    """Without the prefix of a wrapper around the whole model, nor that of a text tower that is a module of its own."""
    prefix = "model." if all(name.startswith("model.") for name in tensors) else ""
    for name, tensor in tensors.items():
        yield name.removeprefix(prefix).removeprefix("text."), tensor
