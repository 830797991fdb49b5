"""Untrained heads in folders, on the vectors of a checkpoint that is there."""

from pathlib import Path
from typing import Any

from prodemb.core.features import BRAND_FEATURES, FEATURES
from prodemb.heads.labels import Target
from prodemb.towers.checkpoint import find_checkpoint
from tests.small_heads import make_head, save_predictor

DIM = 24
"""Of `tests.conftest.make_clip`."""


def write_heads(folder: Path, clip: Path, **entries: Any) -> list[Path]:
    """A category head and a brand head, at `folder/category` and `folder/brand`."""
    folder.mkdir()
    targets: tuple[Target, ...] = ("category", "brand")
    for target in targets:
        num = len(FEATURES if target == "category" else BRAND_FEATURES)
        own: dict[str, Any] = {"model": str(clip), "num_train": 10, "present_counts": (5,) * num}
        fingerprint = find_checkpoint(str(clip)).fingerprint
        save_predictor(folder / target, make_head(target, dim=DIM, fingerprint=fingerprint, **own | entries))
    return [folder / target for target in targets]
