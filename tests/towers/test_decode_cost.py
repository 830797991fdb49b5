"""What a header says that decoding takes, and that no file hides passes from it."""

import io

import pytest
from PIL import Image

from prodemb.catalog.images import AbsentImage
from prodemb.towers.decode_cost import LEAST_PER_SCAN, Cost, decode_cost
from tests.fuzz.hostile_pictures import BUILDERS, baseline_scans, encoded, jpeg_segment, whole


def cost(data: bytes, *, factor: int = 1) -> Cost:
    with Image.open(io.BytesIO(data)) as image:
        return decode_cost(image, data, factor=factor)


def photo(width: int, height: int, kind: str = "JPEG", **options: object) -> bytes:
    return encoded(Image.new("RGB", (width, height), "grey"), kind, **options)


@pytest.mark.parametrize("kind", ["JPEG", "MPO", "PNG", "GIF", "WEBP", "BMP"])
def test_usual_pictures_are_small(kind: str) -> None:
    assert cost(photo(1500, 1500, kind)).is_small
    assert cost(photo(1500, 1500, kind)).pixels_passed == 1500 * 1500


@pytest.mark.parametrize("kind", ["AVIF", "JPEG2000", "TIFF"])
def test_what_no_header_bounds_is_never_small(kind: str) -> None:
    assert not cost(whole(kind)).is_small


def test_a_jpeg_of_many_passes_is_held_whole_at_any_fraction() -> None:
    once, often = photo(4000, 3000), photo(4000, 3000, progressive=True)
    assert cost(once, factor=8).num_bytes == 12_000_000 * 8 // 64
    assert cost(often, factor=8).num_bytes == 12_000_000 * (8 / 64 + 6)
    assert cost(often, factor=8).is_large
    assert cost(often, factor=8).pixels_passed == 12_000_000 * often.count(b"\xff\xda")


def test_a_preview_in_the_header_is_no_pass() -> None:
    preview = jpeg_segment(0xE1, b"Exif\0\0" + whole("JPEG"))
    data = photo(600, 600)
    assert cost(data[:2] + preview + data[2:]).pixels_passed == 600 * 600


@pytest.mark.parametrize("before", [b"", b"\xff" * 7, jpeg_segment(0xFE, b"\xff\xda\0\x0c\x03"), b"\xff\xd0"])
def test_no_header_hides_passes(before: bytes) -> None:
    data = baseline_scans(64, 64, num_scans=20, before=before)
    assert cost(data).pixels_passed >= 23 * LEAST_PER_SCAN


@pytest.mark.parametrize("name", ["jpeg many scans", "jpeg scans behind a false header", "jpeg many passes"])
def test_more_passes_than_any_encoder_makes_are_refused(name: str) -> None:
    with pytest.raises(AbsentImage, match=r"too many pixels: .* in [0-9,]+ passes"):
        cost(BUILDERS[name]())
