"""Showing a vision tower only some of a picture's patches while it trains, which costs that much less."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


def choose_patches(model: nn.Module, *, num_pictures: int, share: float, generator: torch.Generator) -> Tensor | None:
    """Each picture's own random `share` of its patches.

    Source: Li et al. 2023, Scaling Language-Image Pre-training via Masking (FLIP), arXiv 2212.00794.

    Args:
        model: a dual encoder. Where it has no `vision_model.embeddings`, as CLIP and SigLIP have, all patches are seen.
        generator: a generator on the CPU, so that the choice is the same on every device.

    Returns:
        (num_pictures, k) int64, the places of the patches among them all, ascending; None for all of them.
    """
    embeddings = dict(model.named_modules()).get("vision_model.embeddings")
    if embeddings is None or share >= 1:
        return None
    num_patches = int(embeddings.num_patches)
    num_kept = max(1, round(num_patches * share))
    chosen = torch.rand(num_pictures, num_patches, generator=generator).argsort(dim=1)[:, :num_kept]
    return chosen.sort(dim=1).values


@contextmanager
def seeing_patches(model: nn.Module, patches: Tensor | None) -> Iterator[None]:
    """Within, only these patches of the pictures go through the vision tower's blocks.

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
        places = torch.cat([leading, patches + num_leading], dim=1).to(tokens.device)
        return tokens.gather(1, places[:, :, None].expand(-1, -1, tokens.shape[2]))

    handle = embeddings.register_forward_hook(keep_some)
    try:
        yield
    finally:
        handle.remove()
