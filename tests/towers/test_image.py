"""Pictures of every kind become the pixels that the checkpoint's own preprocessing would have made."""

import io
import json
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from prodemb.catalog.images import AbsentImage
from prodemb.core.errors import ModelError
from prodemb.towers import decode_cost, unpack
from prodemb.towers.image import ImagePreprocessor

PROCESSORS = {
    "clip": CLIPImageProcessorPil(),
    "siglip": SiglipImageProcessorPil(),
    "tiny": CLIPImageProcessorPil(size={"shortest_edge": 64}, crop_size={"height": 64, "width": 64}),
}


def scene(width: int = 640, height: int = 480) -> Image.Image:
    """Something like a photo: gradients, edges and lettering, different in each corner."""
    rows, columns = np.mgrid[0:height, 0:width]
    pixels = np.stack([columns * 255 // width, rows * 255 // height, (rows + columns) // 3 % 256], axis=2)
    image = Image.fromarray(pixels.astype(np.uint8))
    draw = ImageDraw.Draw(image)
    draw.rectangle((width * 0.1, height * 0.1, width * 0.4, height * 0.3), fill=(250, 20, 20))
    draw.ellipse((width * 0.5, height * 0.5, width * 0.9, height * 0.9), fill=(20, 200, 90))
    draw.text((width * 0.3, height * 0.45), "prodemb", fill="white")
    return image


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def preprocessor(name: str, folder: Path) -> ImagePreprocessor:
    PROCESSORS[name].save_pretrained(folder)
    return ImagePreprocessor.from_folder(folder)


@pytest.fixture(scope="module")
def square() -> ImagePreprocessor:
    return ImagePreprocessor(size=(64, 64), crop=None, mean=(0, 0, 0), std=(1, 1, 1))


def reason(preprocessor: ImagePreprocessor, data: bytes) -> str:
    with pytest.raises(AbsentImage) as caught:
        preprocessor.decode(data)
    return caught.value.reason


def difference(ours: Any, theirs: Any) -> float:
    return float(np.abs(np.asarray(ours, dtype=float) - np.asarray(theirs, dtype=float)).mean())


@pytest.mark.parametrize("name", PROCESSORS)
@pytest.mark.parametrize("size", [(301, 777), (1000, 950), (60, 80), (700, 3)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_it_agrees_with_the_processor_of_the_checkpoint(
    tmp_path: Path, name: str, size: tuple[int, int], kind: str
) -> None:
    ours = preprocessor(name, tmp_path)
    data = encoded(scene(*size), kind)
    mean, std = np.array(ours.mean)[:, None, None], np.array(ours.std)[:, None, None]
    theirs = (PROCESSORS[name](Image.open(io.BytesIO(data)))["pixel_values"][0] * std + mean) / ours.rescale
    pixels = ours.decode(data)
    assert pixels.dtype == np.uint8
    assert pixels.shape == ours.shape
    # A strip of 700 x 3 is shown 75 times enlarged by a cut that falls between two pixels.
    assert difference(pixels, theirs) < (6 if min(size) == 3 else 1)


def test_simplejpeg_and_pillow_decode_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("simplejpeg")
    ours = preprocessor("clip", tmp_path)
    for image in (scene(1203, 901), scene(1203, 901).convert("L"), scene(77, 33)):
        data = encoded(image, "JPEG", progressive=True)
        monkeypatch.setattr(unpack, "HAS_SIMPLEJPEG", True)
        fast = ours.decode(data)
        monkeypatch.setattr(unpack, "HAS_SIMPLEJPEG", False)
        assert difference(fast, ours.decode(data)) < 0.5


@pytest.mark.parametrize(
    ("data", "tolerance"),
    [
        (encoded(scene(), "WEBP", lossless=True), 0.5),
        (encoded(scene(), "BMP"), 0.5),
        (encoded(scene(), "TIFF"), 0.5),
        (encoded(scene(), "GIF", save_all=True, append_images=[Image.new("RGB", (640, 480))]), 10),
        (encoded(scene(), "WEBP", lossless=True, save_all=True, append_images=[Image.new("RGB", (640, 480))]), 0.5),
        (encoded(scene(), "PNG", save_all=True, append_images=[Image.new("RGB", (640, 480))]), 0.5),
        (encoded(scene().quantize(200), "PNG"), 10),
        (encoded(scene().convert("RGBA"), "PNG"), 0.5),
        (encoded(scene().convert("CMYK"), "JPEG", quality=95), 3),
        (encoded(scene(), "JPEG", quality=95, progressive=True), 2),
    ],
)
def test_every_format_shows_the_same(square: ImagePreprocessor, data: bytes, tolerance: float) -> None:
    assert difference(square.decode(data), square.decode(encoded(scene(), "PNG"))) < tolerance


@pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8, 9])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_the_camera_may_be_held_in_any_way(square: ImagePreprocessor, orientation: int, kind: str) -> None:
    """Write the picture turned the other way; EXIF then turns it back."""
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    held = scene().transpose(undo[orientation]) if orientation in undo else scene()
    exif = Image.Exif()
    exif[unpack.ORIENTATION_TAG] = orientation
    upright = square.decode(encoded(held, kind, exif=exif))
    assert difference(upright, square.decode(encoded(scene(), "PNG"))) < 2


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_lies_on_white(square: ImagePreprocessor, mode: str) -> None:
    clear = Image.new("RGBA", (80, 80), (10, 20, 30, 0))
    data = encoded(clear.convert(mode), "PNG", **({"transparency": 0} if mode == "P" else {}))
    assert square.decode(data).min() == 255


def test_deep_greys_are_scaled(square: ImagePreprocessor) -> None:
    ramp = np.linspace(0, 65_535, 128 * 128).reshape(128, 128)
    shallow = square.decode(encoded(Image.fromarray((ramp / 257).astype(np.uint8)), "PNG"))
    for deep in (ramp.astype(np.uint16), ramp.astype(np.int32), (ramp / 65_535).astype(np.float32)):
        data = encoded(Image.fromarray(deep), "TIFF")
        assert difference(square.decode(data), shallow) < 1
    assert difference(square.decode(encoded(Image.fromarray(ramp.astype(np.uint16)), "PNG")), shallow) < 1


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(b"\0" * 99))]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in [*chunks, (b"IEND", b"")]
    )
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "not a picture"),
        (b"<html><body>404</body></html>", "not a picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
        (encoded(scene(), "JPEG")[:5000], "truncated"),
        (encoded(scene(), "JPEG", progressive=True)[:5000], "truncated"),
        (encoded(scene(), "PNG")[:5000], "truncated"),
        (encoded(scene(), "GIF")[:5000], "truncated"),
        (png_header(50_000, 50_000), "too many pixels"),
        (png_header(9_400, 9_400), "too many pixels"),
        (png_header(12_000, 12_000), "too many pixels"),
        (png_header(100, 100), "truncated"),
    ],
)
def test_what_is_no_picture_has_a_reason(square: ImagePreprocessor, data: bytes, expected: str) -> None:
    assert reason(square, data) == expected


def test_a_jpeg_of_too_many_passes_is_refused(square: ImagePreprocessor, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(scene(), "JPEG", progressive=True)
    square.decode(data)
    last_scan = data.rindex(b"\xff\xda")
    bomb = data[:last_scan] + data[last_scan:-2] * 5000 + data[-2:]
    monkeypatch.setattr(decode_cost, "MAX_PIXELS", 1_000_000)
    assert reason(square, bomb) == "too many pixels"


@settings(deadline=None)
@given(data=st.data())
def test_any_bytes_end_in_pixels_or_a_reason(square: ImagePreprocessor, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"]))
    whole = bytearray(encoded(scene(40, 30), kind))
    for place in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=20)):
        whole[place] = data.draw(st.integers(0, 255))
    with suppress(AbsentImage):
        assert square.decode(bytes(whole)).shape == square.shape


def test_threads_get_the_same_pixels(square: ImagePreprocessor) -> None:
    files = [encoded(scene(300 + 10 * n, 200), kind) for n in range(8) for kind in ("JPEG", "PNG")]
    with ThreadPoolExecutor(8) as threads:
        for ours, again in zip(threads.map(square.decode, files), map(square.decode, files), strict=True):
            np.testing.assert_array_equal(ours, again)


@pytest.mark.parametrize("nested", [True, False])
def test_the_folder_says_how(tmp_path: Path, nested: bool) -> None:
    PROCESSORS["clip"].save_pretrained(tmp_path)
    if nested:
        values = json.loads((tmp_path / "preprocessor_config.json").read_text())
        (tmp_path / "preprocessor_config.json").unlink()
        (tmp_path / "processor_config.json").write_text(json.dumps({"image_processor": values}))
    else:
        (tmp_path / "processor_config.json").write_text(json.dumps({"processor_class": "CLIPProcessor"}))
    ours = ImagePreprocessor.from_folder(tmp_path)
    assert (ours.size, ours.crop, ours.resample) == (224, (224, 224), 3)
    assert ours.mean == pytest.approx((0.48145466, 0.4578275, 0.40821073))
    assert ours.rescale == pytest.approx(1 / 255)


def test_old_folders_give_numbers_for_sizes(tmp_path: Path) -> None:
    old = {"feature_extractor_type": "CLIPFeatureExtractor", "do_center_crop": True, "crop_size": 224, "size": 224}
    values = {**old, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(values))
    assert ImagePreprocessor.from_folder(tmp_path).shape == (3, 224, 224)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"size": {"shortest_edge": 224, "longest_edge": 500}}, "size"),
        ({"do_resize": False}, "do_resize"),
        ({"do_pad": True}, "do_pad"),
        ({"crop_size": {"height": 500, "width": 500}}, "crop_size"),
        ({"image_mean": [1]}, "not enough values"),
        ({"size": None}, "size"),
    ],
)
def test_what_is_not_supported_is_named(tmp_path: Path, change: dict[str, Any], named: str) -> None:
    PROCESSORS["clip"].save_pretrained(tmp_path)
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ModelError, match=named) as caught:
        ImagePreprocessor.from_folder(tmp_path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [None, "{", "[]", '"text"'])
def test_a_folder_without_preprocessing_is_named(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "preprocessor_config.json").write_text(content)
    with pytest.raises(ModelError, match=str(tmp_path)):
        ImagePreprocessor.from_folder(tmp_path)
