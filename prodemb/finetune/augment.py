"""Light random changes to product pictures, made on the device, so that fine-tuning does not learn them by heart."""

import torch
from torch import Tensor
from torch.nn import functional

ZOOM = (0.8, 1.1)
"""How much of the side is shown; above one, the border is repeated."""
SHIFT = 0.1
"""Largest shift, as a share of the side."""
COLOUR = 0.2
"""Largest change of brightness, contrast and saturation, as a share."""

_LUMA = (0.299, 0.587, 0.114)


def draw_amounts(num_pictures: int, *, generator: torch.Generator) -> Tensor:
    """How much each picture is to be changed, (num_pictures, 7) in [0, 1).

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
