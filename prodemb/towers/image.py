"""From a picture's bytes to the pixels that a vision tower takes, as the checkpoint's own preprocessing makes them.

Three measurements shape it (ViT-B/32's 224 pixels, one core, 40 photos; `tests/bench` makes them). A JPEG is decoded at
half, a quarter or an eighth of its size while that is still larger than the size wanted. It is decoded into a buffer
that its thread keeps: fresh memory for each picture costs a third of the decoding, in page faults. And torch's uint8
bicubic kernel resizes 600 to 224 pixels in 0.5 ms where Pillow takes 4, with the same result (mean difference 0.002
grey levels); its result is channels-first, as the towers take it, so nothing is turned around.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from PIL import Image

from prodemb.core.bounded import read_json
from prodemb.core.errors import ModelError
from prodemb.core.files import write_json
from prodemb.towers.decoders import Pixels
from prodemb.towers.unpack import unpacked

MAX_ASPECT = 4
"""Of a more elongated picture only the middle is resized; the centre crop takes no more than that anyway."""
MAX_EDGE = 4_096
"""Pixels that no vision tower takes more of."""
BICUBIC = Image.Resampling.BICUBIC


@dataclass(frozen=True, kw_only=True)
class ImagePreprocessor:
    """What a checkpoint's vision tower expects of a picture."""

    size: int | tuple[int, int]
    """Where an int: the length that the shorter side gets (CLIP). Else (height, width), whatever the shape (SigLIP)."""
    crop: tuple[int, int] | None
    """(height, width) cut from the middle after resizing."""
    resample: int = BICUBIC
    """Pillow's number of the filter."""
    mean: tuple[float, float, float]
    """Taken off each channel after `rescale`, on the device."""
    std: tuple[float, float, float]
    """What each channel is divided by after that."""
    rescale: float = 1 / 255
    """What a grey level is multiplied with first."""

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """Read Hugging Face's `processor_config.json` (its table image_processor) or `preprocessor_config.json`.

        Raises:
            ModelError: neither is there, or they ask for something that is not done here.
        """
        for name in ("processor_config.json", "preprocessor_config.json"):
            path = folder / name
            if not path.is_file():
                continue
            try:
                values = read_json(path)
                values = values.get("image_processor") if name == "processor_config.json" else values
                if values is not None:
                    return cls._parse(values)
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
                raise ModelError(f"{path}: not a usable picture preprocessing: {error}") from error
        raise ModelError(f"{folder}: no preprocessor_config.json, so how to prepare pictures is unknown")

    @classmethod
    def _parse(cls, values: dict[str, Any]) -> Self:
        kind = str(values.get("image_processor_type") or values.get("feature_extractor_type") or "")
        for key in ("do_pad", "do_image_splitting", "rescale_offset", "max_num_patches"):
            if values.get(key):
                raise ValueError(f"{key} = {values[key]!r} is not supported")
        if not values.get("do_resize", True):
            raise ValueError("do_resize = false is not supported, as pictures have many sizes")
        is_cropped = values.get("do_center_crop", "crop_size" in values or kind.startswith("CLIP"))
        size = _size(values["size"], square=not is_cropped or kind.startswith("Flava"))
        crop = _crop(values.get("crop_size", size)) if is_cropped else None
        shorter = size if isinstance(size, int) else min(size)
        if crop and max(crop) > shorter:
            raise ValueError(f"crop_size {crop} is more than size {size} leaves")
        if not 0 < shorter <= MAX_EDGE or not all(0 < edge <= MAX_EDGE for edge in crop or ()):
            raise ValueError(f"found size {size} and crop {crop}, wanted 1 to {MAX_EDGE:,} pixels")
        normalises = values.get("do_normalize", True)
        return cls(
            size=size,
            crop=crop,
            resample=Image.Resampling(int(values.get("resample", BICUBIC))),
            mean=channels(values["image_mean"]) if normalises else (0.0, 0.0, 0.0),
            std=channels(values["image_std"]) if normalises else (1.0, 1.0, 1.0),
            rescale=float(values.get("rescale_factor", 1 / 255)) if values.get("do_rescale", True) else 1.0,
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """(3, height, width) of what `decode` gives."""
        height, width = self.crop or ((self.size, self.size) if isinstance(self.size, int) else self.size)
        return 3, height, width

    @property
    def wanted(self) -> int:
        """Pixels of the side that a JPEG must keep when it is decoded at a fraction of its size."""
        return max(self.shape)

    def grey(self) -> Pixels:
        """A grey picture of `shape`, to try the tower with."""
        return np.full(self.shape, 127, dtype=np.uint8)

    def with_image_size(self, edge: int) -> Self:
        """The same for a vision tower that takes `edge` pixels a side."""
        _, height, width = self.shape
        if isinstance(self.size, int):
            return replace(self, size=round(self.size * edge / min(height, width)), crop=(edge, edge))
        size = (round(self.size[0] * edge / height), round(self.size[1] * edge / width))
        return replace(self, size=size, crop=self.crop and (edge, edge))

    def write_size(self, folder: Path) -> None:
        """Put these sizes into the preprocessing that `folder` holds already."""
        for name in ("processor_config.json", "preprocessor_config.json"):
            path = folder / name
            values = read_json(path) if path.is_file() else None
            table = values.get("image_processor") if values and name == "processor_config.json" else values
            if table is not None:
                table["size"] = {"shortest_edge": self.size} if isinstance(self.size, int) else _edges(self.size)
                if self.crop:
                    table["crop_size"] = _edges(self.crop)
                write_json(path, values)

    def decode(self, data: bytes) -> Pixels:
        """The picture in a file's bytes: upright, transparency on white, resized and cropped; `shape` uint8.

        May be called from many threads; it spends its time outside Python's lock.

        Raises:
            AbsentImage: the bytes are not a picture, are cut off, or are too large when unpacked.
        """
        with unpacked(data, wanted=self.wanted) as (pixels, full):
            return self._fitted(pixels, full=full)

    def _fitted(self, pixels: Pixels, *, full: tuple[int, int]) -> Pixels:
        """Resize and crop (h, w, 3) to a fresh array of `shape`; `full` is (height, width) before JPEG's scaling."""
        if isinstance(self.size, int):
            shorter = min(full)
            tall, wide = (min(edge, MAX_ASPECT * shorter) for edge in full)
            pixels = _middle(pixels, share=(tall / full[0], wide / full[1]))
            wanted = (int(self.size * tall / shorter), int(self.size * wide / shorter))
        else:
            wanted = self.size
        planes = resized(pixels, wanted, resample=self.resample)
        return np.ascontiguousarray(_centre(planes, self.shape[1:]))


def _edges(size: tuple[int, int]) -> dict[str, int]:
    return {"height": size[0], "width": size[1]}


def _size(value: Any, *, square: bool) -> int | tuple[int, int]:
    match value:
        case int():
            return (value, value) if square else value
        case {"shortest_edge": int(edge), **rest} if not rest and not square:
            return edge
        case {"height": int(height), "width": int(width), **rest} if not rest:
            return height, width
    raise ValueError(f"size = {value!r} does not give all pictures one shape")


def _crop(value: Any) -> tuple[int, int]:
    match value:
        case int():
            return value, value
        case {"height": int(height), "width": int(width)} | (int(height), int(width)):
            return height, width
    raise ValueError(f"crop_size = {value!r} has no height and width")


def channels(values: Any) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def _middle(pixels: Pixels, *, share: tuple[float, float]) -> Pixels:
    """The middle of a picture, `share` of its height and width."""
    if share == (1.0, 1.0):
        return pixels
    height, width, _ = pixels.shape
    middle = _centre(pixels.transpose(2, 0, 1), (max(1, round(height * share[0])), max(1, round(width * share[1]))))
    return middle.transpose(1, 2, 0)


def _centre(planes: Pixels, size: tuple[int, ...]) -> Pixels:
    """(3, *size) cut from the middle; where it cannot be exact, nearer to the top left, as Hugging Face does."""
    height, width = size
    top, left = (planes.shape[1] - height) // 2, (planes.shape[2] - width) // 2
    return planes[:, top : top + height, left : left + width]


def resized(pixels: Pixels, size: tuple[int, int], *, resample: int) -> Pixels:
    """(h, w, 3) to a fresh array (3, *size), as Pillow resizes, by torch where it has the filter."""
    if pixels.shape[:2] == size:
        return pixels.transpose(2, 0, 1).copy()
    mode = {Image.Resampling.BICUBIC: "bicubic", Image.Resampling.BILINEAR: "bilinear"}.get(Image.Resampling(resample))
    if mode is None:
        resized = Image.fromarray(pixels).resize((size[1], size[0]), Image.Resampling(resample))
        return np.asarray(resized).transpose(2, 0, 1)
    import torch  # here, so that reading a checkpoint's preprocessing stays cheap

    channels_first = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    return torch.nn.functional.interpolate(channels_first, size=size, mode=mode, antialias=True)[0].numpy()
