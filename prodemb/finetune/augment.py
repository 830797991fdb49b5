"""Random changes to training pictures: flip, zoom, shift and tint on the device, and patches that are dropped."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

ZOOM = (0.8, 1.1)
"""How much of the side is shown; above one, the border is repeated."""
SHIFT = 0.1
"""Largest shift, as a share of the side."""
COLOUR = 0.2
"""Largest change of brightness, contrast and saturation, as a share."""

_LUMA = (0.299, 0.587, 0.114)


def draw_amounts(num_pictures: int, *, generator: torch.Generator) -> Tensor:
    """Random amounts by which each picture is to be changed, (num_pictures, 7) in [0, 1).

    Args:
        generator: a generator on the CPU, so that the amounts are the same on every device.
    """
    return torch.rand(num_pictures, 7, generator=generator)


def augment(pixels: Tensor, *, amounts: Tensor) -> Tensor:
    """Flip, zoom, shift and tint each picture by its own amounts.

    Args:
        pixels: (n, 3, h, w) uint8, on any device.
        amounts: (n, 7) as `draw_amounts` gives them.

    Returns:
        (n, 3, h, w) uint8, on the same device.
    """
    num = len(pixels)
    amounts = amounts.to(pixels.device)
    values = pixels.float()
    moved = functional.grid_sample(
        values,
        functional.affine_grid(_affine(amounts[:, :4]), list(values.shape), align_corners=False),
        padding_mode="border",
        align_corners=False,
    )
    brightness, contrast, saturation = (1 + COLOUR * (2 * amounts[:, 4:] - 1)).view(num, 3, 1, 1, 1).unbind(1)
    luma = (moved * torch.tensor(_LUMA, device=moved.device).view(1, 3, 1, 1)).sum(1, keepdim=True)
    tinted = luma + (moved - luma) * saturation
    mean = luma.mean(dim=(2, 3), keepdim=True)
    tinted = (mean + (tinted - mean) * contrast) * brightness
    return tinted.round().clamp(0, 255).byte()


def _affine(amounts: Tensor) -> Tensor:
    """Random numbers (n, 4) in [0, 1) as flip, zoom and shift: matrices (n, 2, 3)."""
    flip = torch.where(amounts[:, 0] < 0.5, -1.0, 1.0)
    zoom = ZOOM[0] + (ZOOM[1] - ZOOM[0]) * amounts[:, 1]
    shifts = 2 * SHIFT * (2 * amounts[:, 2:] - 1)
    zeros = torch.zeros_like(zoom)
    across = torch.stack([zoom * flip, zeros, shifts[:, 0]], dim=1)
    down = torch.stack([zeros, zoom, shifts[:, 1]], dim=1)
    return torch.stack([across, down], dim=1)


def choose_patches(model: nn.Module, *, num_pictures: int, dropout: float, generator: torch.Generator) -> Tensor | None:
    """The patches of each picture that are kept, at random, when the share `dropout` of them is dropped.

    Source: Li et al. 2023, Scaling Language-Image Pre-training via Masking (FLIP), arXiv 2212.00794.

    Args:
        model: a dual encoder. Where it has no `vision_model.embeddings`, as CLIP and SigLIP have, no patch is dropped.
        generator: a generator on the CPU, so that the choice is the same on every device.

    Returns:
        (num_pictures, k) int64, the numbers of the kept patches, ascending; None for all of them.
    """
    embeddings = dict(model.named_modules()).get("vision_model.embeddings")
    if embeddings is None or not dropout:
        return None
    num_patches = int(embeddings.num_patches)
    num_kept = max(1, round(num_patches * (1 - dropout)))
    chosen = torch.rand(num_pictures, num_patches, generator=generator).argsort(dim=1)[:, :num_kept]
    return chosen.sort(dim=1).values


@contextmanager
def dropping_patches(model: nn.Module, patches: Tensor | None) -> Iterator[None]:
    """Inside the block, only these patches of the pictures go through the vision tower.

    Args:
        patches: (n, k) as `choose_patches` gives them, for the n pictures that are encoded within.
    """
    if patches is None:
        yield
        return
    embeddings = model.get_submodule("vision_model.embeddings")
    num_leading = 1 if hasattr(embeddings, "class_embedding") else 0

    def keep_some(_module: nn.Module, _inputs: Any, tokens: Tensor) -> Tensor:
        leading = torch.arange(num_leading).expand(len(patches), num_leading)
        indices = torch.cat([leading, patches + num_leading], dim=1).to(tokens.device)
        return tokens.gather(1, indices[:, :, None].expand(-1, -1, tokens.shape[2]))

    handle = embeddings.register_forward_hook(keep_some)
    try:
        yield
    finally:
        handle.remove()
