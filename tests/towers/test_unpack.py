"""Hostile pictures end in pixels or a reason, within bounds; and bands, turns and own EXIF reading change no pixel."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from prodemb.catalog.images import AbsentImage
from prodemb.towers import unpack
from prodemb.towers.decoders import Pixels
from prodemb.towers.image import ImagePreprocessor
from tests.fuzz.hostile_pictures import BUILDERS, encoded, jpeg_segment, jpeg_with, whole

SQUARE = ImagePreprocessor(size=(32, 32), crop=None, mean=(0, 0, 0), std=(1, 1, 1))

OUTCOMES = {
    "png 50,000 x 50,000": "too many pixels",
    "png 2^31 x 2^31": "too many pixels",
    "png 64,000,000 x 1": "too many pixels",
    "png 1 x 64,000,000": "too many pixels",
    "png of more zeros than pixels": None,
    "png text bomb": "broken picture",
    "png many text bombs": "broken picture",
    "png profile bomb": "broken picture",
    "png a million chunks": "too many parts",
    "png frames": None,
    "jpeg 65,500 x 65,500": "too many pixels",
    "jpeg many passes": "too many pixels",
    "jpeg many scans": "too many pixels",
    "jpeg scans behind a false header": "too many pixels",
    "jpeg exif bomb": None,
    "jpeg exif bomb in parts": None,
    "jpeg of markers": "too many parts",
    "jpeg of fill bytes": "too many parts",
    "jpeg of comments": None,
    "gif 65,535 x 65,535": "too many pixels",
    "gif a million frames": "broken picture",
    "gif of comments": "too many parts",
    "webp canvas 16,383 x 16,383": "too many pixels",
    "webp canvas 2^24": "too many pixels",
    "webp exif bomb": None,
    "tiff 2^31 x 2^31": "too many pixels",
    "tiff tile bomb": "broken picture",
    "tiff a circle of pages": "not a picture",
    "bmp 50,000 x 50,000": "too many pixels",
    "bmp runs without length": "too many parts",
    "bmp jumps": "too many pixels",
    "jpeg2000 that claims more": "broken picture",
    "ppm in words": "not a picture",
    "ico of a large png": "not a picture",
    "eps": "not a picture",
    "svg": "not a picture",
    "html": "not a picture",
    "pdf": "not a picture",
    "zeros": "not a picture",
    "nothing": "not a picture",
    "jpeg cut": "truncated",
    "png cut": "truncated",
    "gif cut": "truncated",
    "tiff cut": "truncated",
    "bmp cut": "truncated",
    "webp cut": "broken picture",
    "avif cut": "not a picture",
    "avif that claims less": "broken picture",
    "jpeg2000 cut": "broken picture",
}
"""What becomes of those that are quick; None for pixels. `tests/bench/picture_bounds.py` measures them all."""


def outcome(data: bytes) -> str | None:
    try:
        assert SQUARE.decode(data).shape == SQUARE.shape
    except AbsentImage as absent:
        return absent.reason
    return None


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("name", OUTCOMES)
def test_what_becomes_of_a_hostile_picture(name: str) -> None:
    assert outcome(BUILDERS[name]()) == OUTCOMES[name]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I", "F", "CMYK"])
def test_bands_show_the_same(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    colours = Image.open(io.BytesIO(whole("PNG", width=60, height=41)))
    colours.putalpha(Image.linear_gradient("L").resize(colours.size))
    image = colours.convert("L").convert("I").point(lambda grey: grey * 200) if mode == "I;16" else colours
    data = encoded(image.convert(mode), "TIFF")
    at_once = SQUARE.decode(data)
    monkeypatch.setattr(unpack, "BAND_PIXELS", 60 * 7)
    np.testing.assert_array_equal(SQUARE.decode(data), at_once)
    assert at_once.std() > 10


def exif_of(order: str, kind: int, *, orientation: int = 6) -> bytes:
    """An EXIF block with an orientation behind another entry."""
    value = struct.pack(f"{order}H2x" if kind == 3 else f"{order}I", orientation)
    entries = struct.pack(f"{order}HHII", 0x0100, 4, 1, 9) + struct.pack(f"{order}HHI", 0x0112, kind, 1) + value
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return b"Exif\0\0" + mark + struct.pack(f"{order}IH", 8, 2) + entries + bytes(4)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", [3, 4])
def test_exif_is_read_as_pillow_reads_it(order: str, kind: int) -> None:
    data = jpeg_with(jpeg_segment(0xE1, exif_of(order, kind)))
    with Image.open(io.BytesIO(data)) as image:
        assert image.getexif()[unpack.ORIENTATION_TAG] == 6
    plain = unpack_whole(whole("JPEG"))
    np.testing.assert_array_equal(unpack_whole(data), plain[::-1].transpose(1, 0, 2))


@pytest.mark.parametrize("mark", [b'tiff:Orientation="3"', b"<tiff:Orientation>3</tiff:Orientation>"])
def test_without_exif_orientation_xmp_says_how_the_camera_was_held(mark: bytes) -> None:
    exif = exif_of("<", 3).replace(struct.pack("<H", 0x0112), struct.pack("<H", 0x0113))
    xmp = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>" + mark + b"</x:xmpmeta>"
    data = jpeg_with(jpeg_segment(0xE1, exif) + jpeg_segment(0xE1, xmp))
    np.testing.assert_array_equal(unpack_whole(data), unpack_whole(whole("JPEG"))[::-1, ::-1])


def unpack_whole(data: bytes) -> Pixels:
    with unpack.unpacked(data, wanted=1000) as (pixels, _):
        return pixels.copy()
