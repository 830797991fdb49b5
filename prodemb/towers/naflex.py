"""Pictures for SigLIP 2 NaFlex: at their own shape, in as many whole patches as fit, up to a fixed number.

Source: Tschannen et al. 2025, SigLIP 2, arXiv 2502.14786, section 2.4.2; transformers' `Siglip2ImageProcessor`.
"""

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from prodemb.towers.decoders import Pixels
from prodemb.towers.image import MAX_EDGE, ImagePreprocessor, channels, resized

MAX_PATCHES = 4_096
_EPSILON = 1e-5
"""To which the scale of a picture is sought."""


@dataclass(frozen=True, kw_only=True)
class NaflexPreprocessor(ImagePreprocessor):
    """What the vision tower expects of a picture.

    A picture is an array (1 + max_patches, patch * patch * 3) uint8: its height and width in patches, two bytes each,
    in the first row, then its patches, row by row, and zeros.
    """

    patch: int
    """Pixels of a patch's side."""
    max_patches: int

    @classmethod
    def _parse(cls, values: dict[str, Any]) -> Self:
        patch, max_patches = int(values.get("patch_size", 16)), int(values.get("max_num_patches", 256))
        if not (2 <= patch <= MAX_EDGE and 1 <= max_patches <= MAX_PATCHES):
            raise ValueError(f"found {max_patches:,} patches of {patch:,} pixels, wanted at most {MAX_PATCHES:,}")
        if not all(values.get(key, True) for key in ("do_resize", "do_rescale", "do_normalize")):
            raise ValueError("do_resize, do_rescale or do_normalize = false is not supported")
        return cls(
            size=patch * math.isqrt(max_patches),
            crop=None,
            resample=Image.Resampling(int(values.get("resample", Image.Resampling.BILINEAR))),
            mean=channels(values.get("image_mean", (0.5, 0.5, 0.5))),
            std=channels(values.get("image_std", (0.5, 0.5, 0.5))),
            rescale=float(values.get("rescale_factor", 1 / 255)),
            patch=patch,
            max_patches=max_patches,
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """(1 + max_patches, patch * patch * 3) of what `decode` gives."""
        return 1 + self.max_patches, self.patch * self.patch * 3

    @property
    def wanted(self) -> int:
        """Pixels that the shorter side gets at most."""
        assert isinstance(self.size, int)
        return self.size

    def grey(self) -> Pixels:
        """A grey square, to try the tower with."""
        return self._as_patches(np.full((3, self.wanted, self.wanted), 127, dtype=np.uint8))

    def _fitted(self, pixels: Pixels, *, full: tuple[int, int]) -> Pixels:
        return self._as_patches(resized(pixels, self._size_of(full), resample=self.resample))

    def _as_patches(self, planes: Pixels) -> Pixels:
        """(3, h, w), multiples of a patch, to an array of `shape`."""
        height, width = (edge // self.patch for edge in planes.shape[1:])
        out = np.zeros(self.shape, dtype=np.uint8)
        out[0, :4] = *divmod(height, 256), *divmod(width, 256)
        grid = planes.reshape(3, height, self.patch, width, self.patch).transpose(1, 3, 2, 4, 0)
        out[1 : 1 + height * width] = grid.reshape(height * width, -1)
        return out

    def _size_of(self, full: tuple[int, int]) -> tuple[int, int]:
        """(height, width) in pixels that a picture gets: the largest of its shape with `max_patches`."""

        def patches_at(scale: float) -> tuple[int, int]:
            height, width = (max(1, math.ceil(edge * scale / self.patch)) for edge in full)
            return height, width

        low, high = _EPSILON / 10, 100.0
        while high - low >= _EPSILON:
            scale = (low + high) / 2
            low, high = (scale, high) if math.prod(patches_at(scale)) <= self.max_patches else (low, scale)
        height, width = patches_at(low)
        return height * self.patch, width * self.patch


def patch_inputs(pictures: Tensor) -> dict[str, Tensor]:
    """Arrays of `NaflexPreprocessor`, (n, 1 + p, d) uint8, as what the model takes."""
    patches = pictures[:, 1:]
    shapes = pictures[:, 0, :4].long().reshape(-1, 2, 2) @ torch.tensor([256, 1], device=pictures.device)
    places = torch.arange(patches.shape[1], device=pictures.device)
    mask = (places[None] < shapes.prod(1, keepdim=True)).int()
    return {"pixel_values": patches, "pixel_attention_mask": mask, "spatial_shapes": shapes}


def per_channel(values: tuple[float, float, float], *, patch: int) -> npt.NDArray[np.float32]:
    """(patch * patch * 3,) a number of each channel, as the pixels of a patch lie."""
    return np.tile(np.asarray(values, dtype=np.float32), patch * patch)
