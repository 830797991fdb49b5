"""Another picture size for a loaded dual encoder: more or fewer patches, at positions between those it knows."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from prodemb.core.errors import ConfigError, ModelError
from prodemb.towers.load import Towers


def with_image_size(towers: Towers, *, image_size: int, source: str) -> Towers:
    """Let the vision tower take pictures of `image_size` pixels a side; the model is changed in place.

    Its position embeddings are interpolated (Dosovitskiy et al. 2021, arXiv 2010.11929, section 3.2), all other weights
    stay, so it wants some training at the new size.

    Args:
        source: the setting that asks for it, for errors.

    Raises:
        ConfigError: the size is no multiple of a patch's side.
        ModelError: the vision tower is none of a grid of patches, as CLIP's and SigLIP's are.
    """
    model: Any = towers.model
    embeddings = dict(model.named_modules()).get("vision_model.embeddings")
    if embeddings is None or not isinstance(getattr(embeddings, "position_embedding", None), nn.Embedding):
        raise ModelError(f"{towers.checkpoint.name}: {source}: found a vision tower whose picture size cannot change")
    patch = int(embeddings.patch_size)
    if image_size % patch:
        raise ConfigError(f"{source}: found {image_size}, wanted a multiple of {patch}, the side of a patch")
    old: nn.Embedding = embeddings.position_embedding
    num_leading = 1 if hasattr(embeddings, "class_embedding") else 0
    positions = _interpolated(old.weight.detach(), side=image_size // patch, num_leading=num_leading)
    new = nn.Embedding(len(positions), positions.shape[1], _weight=positions)
    embeddings.position_embedding = new.requires_grad_(old.weight.requires_grad)
    embeddings.position_ids = torch.arange(len(positions), device=positions.device)[None]
    embeddings.image_size, embeddings.num_positions = image_size, len(positions)
    embeddings.num_patches = len(positions) - num_leading
    model.config.vision_config.image_size = image_size
    return Towers(
        checkpoint=towers.checkpoint,
        model=model,
        text=towers.text,
        image=towers.image.with_image_size(image_size),
        device=towers.device,
        dtype=towers.dtype,
    )


def _interpolated(positions: Tensor, *, side: int, num_leading: int) -> Tensor:
    """Embeddings (num_leading + g * g, width) of a grid of patches as such of a grid of `side` * `side`."""
    leading, grid = positions[:num_leading], positions[num_leading:]
    old = math.isqrt(len(grid))
    planes = grid.reshape(1, old, old, -1).permute(0, 3, 1, 2).float()
    finer = nn.functional.interpolate(planes, size=(side, side), mode="bicubic", align_corners=False)
    return torch.cat([leading, finer.permute(0, 2, 3, 1).reshape(side * side, -1).to(grid.dtype)])
