"""Unpacking a picture's file to red, green and blue, in memory and time that no file can choose.

A header that claims too much is refused before any memory is taken, and a file of endless small pieces after so many
reads. What is large, makes many passes, or has a decoder that no header bounds is decoded in another process, under
limits (`decoders.py`). `tests/bench/picture_bounds.py` measures what is left.
"""

import importlib.util
import io
import re
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from prodemb.catalog.images import AbsentImage
from prodemb.towers.decode_cost import decode_cost
from prodemb.towers.decoders import DECODERS, Pixels

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000")
"""What is decoded. Others are excluded on purpose: some of Pillow's decoders start other programs or run in Python."""
MAX_READS = 250_000
"""How often a file may be read from. A valid one of 20 MB takes 10,000; one of nothing but markers, millions."""
BAND_PIXELS = 4_000_000
"""Larger pictures are turned to red, green and blue in bands of about so many pixels."""
OVERSAMPLE = 1.3
"""A JPEG is decoded smaller only while it stays this many times the size wanted ..."""
LEAST_EDGE = 224
"""... and its shorter side this long. Against the reference's pixels the vectors of 40 photos of 600 to 1200 pixels
then have a mean cosine above 0.9998 at 64 pixels (trained weights) and at 224 (random ones). With the first rule alone
it is 0.9990 to 0.9994 at 64 pixels, and with 1.0 in place of 1.3 it falls to 0.9987."""
SCRATCH_BYTES = 12_000_000
"""A decoded picture of at most this size (2,000 x 2,000 pixels) lies in its thread's buffer."""
ORIENTATION_TAG = 0x0112
SIDEWAYS = (5, 6, 7, 8)
"""EXIF orientations in which height and width change places."""
IN_XMP = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')
HAS_SIMPLEJPEG = importlib.util.find_spec("simplejpeg") is not None

_scratch = threading.local()


@contextmanager
def unpacked(data: bytes, *, wanted: int) -> Iterator[tuple[Pixels, tuple[int, int]]]:
    """The picture in a file's bytes, upright, transparency on white, and (height, width) of the file's own picture.

    A JPEG may come at a fraction of its size, while that is large enough for a side of `wanted`. The pixels are the
    caller's until the block ends: they may lie in a buffer of this thread.

    Raises:
        AbsentImage: the bytes are not a picture, are cut off, or are too large when unpacked; also where that shows
            only in what the caller does with the pixels.
    """
    with _naming_reasons(), Image.open(_Frugal(data), formats=FORMATS) as image:
        full = image.size
        orientation = _orientation(image)
        factor = _factor(image, wanted=max(OVERSAMPLE * wanted, LEAST_EDGE))
        cost = decode_cost(image, data, factor=factor)
        with DECODERS.taking(cost.num_bytes) if cost.is_large else nullcontext():
            if cost.is_small:
                pixels = _decoded(image, data, factor=factor)
            else:
                pixels = DECODERS.decode(data, factor=factor, num_bytes=cost.num_bytes)
            pixels = _upright(pixels, orientation)
            height, width = full if orientation in SIDEWAYS else full[::-1]
            yield pixels, (height, width) if factor > 1 else pixels.shape[:2]


def decoded_whole(data: bytes, *, factor: int) -> Pixels:
    """The pixels of a picture's file as they lie in it, transparency on white; (h / factor, w / factor, 3), rounded up.

    Raises:
        AbsentImage: as `unpacked`.
    """
    with _naming_reasons(), Image.open(_Frugal(data), formats=FORMATS) as image:
        return _decoded(image, data, factor=factor)


@contextmanager
def _naming_reasons() -> Iterator[None]:
    """Make an AbsentImage of whatever is raised: Pillow's decoders raise anything on hostile input."""
    try:
        yield
    except AbsentImage:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError) as error:
        raise AbsentImage("too many pixels", detail=str(error)) from error
    except Exception as error:
        raise AbsentImage(_reason(error), detail=f"{type(error).__name__}: {error}") from error


class _Frugal(io.BytesIO):
    """A file in memory that is not read from for ever: Pillow reads headers piece by piece, holding Python's lock."""

    num_reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.num_reads += 1
        if self.num_reads > MAX_READS:
            raise AbsentImage("too many parts", detail=f"more than {MAX_READS:,} reads")
        return super().read(size)


def _factor(image: Image.Image, *, wanted: float) -> int:
    """How many times smaller to decode: only a JPEG can be, and its shorter side stays at least `wanted`."""
    if image.format not in ("JPEG", "MPO") or image.mode not in ("RGB", "L"):
        return 1
    return next((factor for factor in (8, 4, 2) if min(image.size) // factor >= wanted), 1)


def _decoded(image: Image.Image, data: bytes, *, factor: int) -> Pixels:
    """(h / factor, w / factor, 3), rounded up."""
    if image.format in ("JPEG", "MPO") and image.mode in ("RGB", "L"):
        if HAS_SIMPLEJPEG and (pixels := _turbo(data, image.size, factor=factor)) is not None:
            return pixels
        image.draft(image.mode, (image.width // factor, image.height // factor))
    return _flat(image)


def _turbo(data: bytes, size: tuple[int, int], *, factor: int) -> Pixels | None:
    """Decode by libjpeg-turbo into this thread's buffer; None for a damaged file, which is left to Pillow."""
    import simplejpeg

    width, height = (-(-edge // factor) for edge in size)
    buffer = None
    if 3 * width * height <= SCRATCH_BYTES:
        if not hasattr(_scratch, "buffer"):
            _scratch.buffer = np.empty(SCRATCH_BYTES, dtype=np.uint8)
        buffer = _scratch.buffer
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(data, "RGB", min_height=height, min_width=width, buffer=buffer)
    except ValueError:
        return None
    return pixels


def _flat(image: Image.Image) -> Pixels:
    """Load any Pillow mode as (h, w, 3) uint8: deep greys scaled, transparency laid on white."""
    image.load()
    is_deep = image.mode == "F" or image.mode.startswith("I")
    highest = max(float(np.nanmax(np.asarray(band), initial=0)) for band in _bands(image)) if is_deep else 0.0
    pixels = np.empty((image.height, image.width, 3), dtype=np.uint8)
    top = 0
    for band in _bands(image):
        into = pixels[top : top + band.height]
        if is_deep:
            into[:] = _eight_bit(np.asarray(band), highest=highest)[:, :, None]
        else:
            into[:] = np.asarray(_on_white(band))
        top += band.height
    return pixels


def _bands(image: Image.Image) -> Iterator[Image.Image]:
    """The picture from top to bottom in pieces of at most `BAND_PIXELS`, or one row."""
    num_rows = max(1, BAND_PIXELS // image.width)
    if image.height <= num_rows:
        yield image
        return
    for top in range(0, image.height, num_rows):
        yield image.crop((0, top, image.width, min(image.height, top + num_rows)))


def _on_white(image: Image.Image) -> Image.Image:
    if "A" in image.getbands() or "a" in image.getbands() or image.info.get("transparency") is not None:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return image if image.mode == "RGB" else image.convert("RGB")


def _eight_bit(grey: npt.NDArray[Any], *, highest: float) -> Pixels:
    """Grey levels of 16 or 32 bits, or floats, as 8 bits; (h, w). `highest` is the whole picture's."""
    if np.issubdtype(grey.dtype, np.floating):
        scale = 255.0 if highest <= 1 else 1.0 if highest <= 255 else 255 / 65_535
    else:
        scale = 255 / 65_535 if grey.dtype.itemsize == 2 or highest > 255 else 1.0
    return np.clip(np.nan_to_num(grey * scale), 0, 255).astype(np.uint8)


def _orientation(image: Image.Image) -> int:
    """EXIF's number for how the camera was held; 1 is upright, also where EXIF cannot be read."""
    if "exif" not in image.info or image.format == "TIFF":  # Pillow turns TIFF itself
        return 1
    found = _in_exif(image.info["exif"])
    if found is None and (in_xmp := IN_XMP.search(image.info.get("xmp") or b"")):
        return int(in_xmp[1])
    return 1 if found is None else found


def _in_exif(exif: bytes) -> int | None:
    """The orientation in the first directory of an EXIF block (TIFF 6.0, section 2), which is all that is read of it.

    Pillow's own reader takes every entry apart, of which a hostile block has many.
    """
    block = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    try:
        (start,) = struct.unpack_from(f"{order}I", block, 4)
        (num_entries,) = struct.unpack_from(f"{order}H", block, start)
        entries = block[start + 2 : start + 2 + 12 * num_entries]
        for tag, kind, count, value in struct.iter_unpack(f"{order}HHI4s", entries[: len(entries) // 12 * 12]):
            if tag == ORIENTATION_TAG and count == 1 and kind in (3, 4):
                return int(struct.unpack_from(f"{order}{'H' if kind == 3 else 'I'}", value)[0])
    except struct.error:
        return None
    return None


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    """Undo what EXIF 2.3, table 6 says of the camera."""
    match orientation:
        case 2:
            turned = pixels[:, ::-1]
        case 3:
            turned = pixels[::-1, ::-1]
        case 4:
            turned = pixels[::-1]
        case 5:
            turned = pixels.transpose(1, 0, 2)
        case 6:
            turned = pixels[::-1].transpose(1, 0, 2)
        case 7:
            turned = pixels[::-1, ::-1].transpose(1, 0, 2)
        case 8:
            turned = pixels[:, ::-1].transpose(1, 0, 2)
        case _:
            return pixels
    return np.ascontiguousarray(turned)


def _reason(error: Exception) -> str:
    message = str(error).lower()
    if isinstance(error, zlib.error | EOFError) or "truncated" in message or "not enough" in message:
        return "truncated"
    return "not a picture" if isinstance(error, UnidentifiedImageError) else "broken picture"
