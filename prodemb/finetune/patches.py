"""Showing a vision tower only some of a picture's patches while it trains, which costs that much less."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


@contextmanager
def seeing_patches(model: nn.Module, *, share: float, generator: torch.Generator) -> Iterator[None]:
    """Within, each picture's own random `share` of its patches goes through the vision tower's blocks.

    Source: Li et al. 2023, Scaling Language-Image Pre-training via Masking (FLIP), arXiv 2212.00794.

    Args:
        model: a dual encoder. Where it has no `vision_model.embeddings`, as CLIP and SigLIP have, all patches are seen.
        generator: a generator on the CPU, so that the choice is the same on every device.
    """
    embeddings = dict(model.named_modules()).get("vision_model.embeddings")
    if embeddings is None or share >= 1:
        yield
        return
    num_leading = 1 if hasattr(embeddings, "class_embedding") else 0

    def keep_some(_module: nn.Module, _inputs: Any, tokens: Tensor) -> Tensor:
        num_pictures, num_tokens, width = tokens.shape
        num_patches = num_tokens - num_leading
        num_kept = max(1, round(num_patches * share))
        chosen = torch.rand(num_pictures, num_patches, generator=generator).argsort(dim=1)[:, :num_kept] + num_leading
        leading = torch.arange(num_leading).expand(num_pictures, num_leading)
        places = torch.cat([leading, chosen.sort(dim=1).values], dim=1).to(tokens.device)
        return tokens.gather(1, places[:, :, None].expand(-1, -1, width))

    handle = embeddings.register_forward_hook(keep_some)
    try:
        yield
    finally:
        handle.remove()
