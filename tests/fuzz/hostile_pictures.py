"""Files meant to break what decodes pictures: small ones that unpack to much, and large ones that hold nothing."""

import io
import struct
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

KINDS = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF", "JPEG2000")
"""Formats of which every whole file here is cut and changed."""
LARGE = 15_000_000
"""Bytes of a file that is nothing but metadata; below the size limit of a download."""


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """A picture as a file of some kind."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@cache
def whole(kind: str, *, width: int = 48, height: int = 40) -> bytes:
    """A sound file of some kind."""
    rows, columns = np.mgrid[0:height, 0:width]
    pixels = np.stack([columns * 255 // width, rows * 255 // height, (rows + columns) * 3 % 256], axis=2)
    image = Image.fromarray(pixels.astype(np.uint8))
    ImageDraw.Draw(image).ellipse((width * 0.3, height * 0.3, width * 0.9, height * 0.9), fill=(20, 200, 90))
    return encoded(image, kind)


def png(width: int, height: int, *, kind: int = 2, depth: int = 8, zeros: int = 99, chunks: bytes = b"") -> bytes:
    """A PNG that claims a size and holds so many zeros; `chunks` stand before them."""
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    palette = png_chunk(b"PLTE", bytes(6)) if kind == 3 else b""
    data = png_chunk(b"IDAT", zeros_packed(zeros))
    return b"\x89PNG\r\n\x1a\n" + head + palette + chunks + data + png_chunk(b"IEND", b"")


def png_chunk(name: bytes, data: bytes) -> bytes:
    """One chunk with its checksum."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def zeros_packed(num_bytes: int) -> bytes:
    """So many zeros, deflated: one piece repeated, and the checksum of RFC 1950, which for zeros is their number."""
    packer = zlib.compressobj(9, wbits=-15)
    piece = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    last = packer.compress(bytes(num_bytes & 0xFFFFF)) + packer.flush()
    return b"\x78\xda" + piece * (num_bytes >> 20) + last + struct.pack(">HH", num_bytes % 65_521, 1)


def jpeg_with(segments: bytes) -> bytes:
    """A JPEG with more marker segments before its own."""
    data = whole("JPEG")
    return data[:2] + segments + data[2:]


def jpeg_segment(marker: int, data: bytes) -> bytes:
    """One marker segment."""
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def exif_bomb(num_entries: int, *, num_bytes: int, one_tag: bool = False) -> bytes:
    """An EXIF block whose every entry claims the whole block as its value."""
    entries = b"".join(
        struct.pack("<HHII", 0x0112 if one_tag else place, 7, num_bytes - 16, 8) for place in range(num_entries)
    )
    block = b"II*\0" + struct.pack("<IH", 8, num_entries) + entries + bytes(4)
    return b"Exif\0\0" + block + bytes(max(0, num_bytes - len(block)))


def tiff(tags: dict[int, tuple[int, int, int]], *, body: bytes = b"", more: int = 0) -> bytes:
    """A TIFF of one page: tag = (type, count, value or offset), its data at offset 8, `more` entries that claim all."""
    place = 8 + len(body) + len(body) % 2
    total = place + 6 + 12 * (len(tags) + more)
    entries = [struct.pack("<HHII", tag, *values) for tag, values in sorted(tags.items())]
    entries += [struct.pack("<HHII", 1_000 + number, 7, total - 16, 8) for number in range(more)]
    return b"".join(
        [struct.pack("<2sHI", b"II", 42, place), body, bytes(len(body) % 2), struct.pack("<H", len(entries)), *entries]
    ) + bytes(4)


def tiff_of(width: int, height: int, *, body: bytes, packing: int = 1, rows: int | None = None, **more: int) -> bytes:
    """A grey TIFF in one strip that claims a size."""
    tags = {256: (4, 1, width), 257: (4, 1, height), 258: (3, 1, 8), 259: (3, 1, packing), 262: (3, 1, 1)}
    tags |= {273: (4, 1, 8), 277: (3, 1, 1), 278: (4, 1, rows or height), 279: (4, 1, len(body))}
    return tiff(tags, body=body, **more)


def tiled_tiff(width: int, height: int, *, tile: int, body: bytes) -> bytes:
    """A small grey deflated TIFF in one tile that is far larger than the picture."""
    tags = {256: (4, 1, width), 257: (4, 1, height), 258: (3, 1, 8), 259: (3, 1, 8), 262: (3, 1, 1), 277: (3, 1, 1)}
    tags |= {322: (4, 1, tile), 323: (4, 1, tile), 324: (4, 1, 8), 325: (4, 1, len(body))}
    return tiff(tags, body=body)


def gif(width: int, height: int, *, extensions: bytes = b"", frames: int = 1) -> bytes:
    """A GIF that claims a size, with next to no data in its frames, which are as large."""
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    frame = b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x44\x01\x00"
    return head + extensions + frame * frames + b";"


def bmp_rle(width: int, height: int, *, codes: bytes) -> bytes:
    """An 8-bit BMP with run-length codes, which Pillow unpacks in Python."""
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(codes), 0, 0, 2, 0) + bytes(8)
    return b"BM" + struct.pack("<IHHI", 14 + len(head) + len(codes), 0, 0, 14 + len(head)) + head + codes


def many_scans(width: int, height: int, *, num_scans: int) -> bytes:
    """A progressive JPEG whose last pass is repeated."""
    data = encoded(Image.new("RGB", (width, height), "grey"), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * num_scans + data[-2:]


def baseline_scans(width: int, height: int, *, num_scans: int, before: bytes = b"") -> bytes:
    """A baseline JPEG of a component a scan, all empty, and more of the first component; `before` is its header's."""
    data = encoded(Image.new("RGB", (width, height)), "JPEG")
    scans = [jpeg_segment(0xDA, bytes((1, number, 0 if number == 1 else 0x11, 0, 63, 0))) for number in (1, 2, 3)]
    head = data[: data.index(b"\xff\xda")]
    return head[:2] + before + head[2:] + b"".join(scans) + scans[0] * num_scans + b"\xff\xd9"


def webp_claiming(width: int, height: int) -> bytes:
    """An extended WebP with a canvas of a size, and one small frame."""
    frame = whole("WEBP")[12:]
    canvas = (
        b"VP8X" + struct.pack("<IB3x", 10, 0) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    )
    return b"RIFF" + struct.pack("<I", 4 + len(canvas) + len(frame)) + b"WEBP" + canvas + frame


def webp_with(name: bytes, data: bytes) -> bytes:
    """A WebP with a chunk of metadata."""
    frame = whole("WEBP")[12:]
    flags = {b"EXIF": 8, b"XMP ": 4, b"ICCP": 32}[name]
    canvas = b"VP8X" + struct.pack("<IB3x", 10, flags) + (47).to_bytes(3, "little") + (39).to_bytes(3, "little")
    extra = name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)
    parts = canvas + (extra + frame if name == b"ICCP" else frame + extra)
    return b"RIFF" + struct.pack("<I", 4 + len(parts)) + b"WEBP" + parts


def patched(data: bytes, before: bytes, after: bytes) -> bytes:
    """A file with some bytes replaced by as many others."""
    assert before in data, before
    assert len(before) == len(after), (before, after)
    return data.replace(before, after)


def _grey(width: int, height: int, mode: str = "L") -> Image.Image:
    return Image.new(mode, (width, height))


BUILDERS: dict[str, Callable[[], bytes]] = {
    "png 50,000 x 50,000": lambda: png(50_000, 50_000),
    "png 2^31 x 2^31": lambda: png(2**31 - 1, 2**31 - 1),
    "png 8,000 x 8,000 of zeros": lambda: png(8000, 8000, zeros=8000 * 24_001),
    "png 8,000 x 8,000 16-bit rgba": lambda: png(8000, 8000, kind=6, depth=16, zeros=8000 * 64_001),
    "png 8,000 x 8,000 16-bit grey": lambda: png(8000, 8000, kind=0, depth=16, zeros=8000 * 16_001),
    "png 8,000 x 8,000 palette": lambda: png(8000, 8000, kind=3, depth=1, zeros=8000 * 1_001),
    "png 64,000,000 x 1": lambda: png(64_000_000, 1, kind=0, zeros=64_000_001),
    "png 1 x 64,000,000": lambda: png(1, 64_000_000, kind=0, zeros=128_000_000),
    "png of more zeros than pixels": lambda: png(100, 100, zeros=2_000_000_000),
    "png text bomb": lambda: png(10, 10, zeros=310, chunks=png_chunk(b"zTXt", b"a\0\0" + zeros_packed(500_000_000))),
    "png many text bombs": lambda: png(
        10, 10, zeros=310, chunks=png_chunk(b"zTXt", b"a\0\0" + zeros_packed(900_000)) * 5000
    ),
    "png profile bomb": lambda: png(10, 10, zeros=310, chunks=png_chunk(b"iCCP", b"a\0\0" + zeros_packed(500_000_000))),
    "png a million chunks": lambda: png(10, 10, zeros=310, chunks=png_chunk(b"abCd", b"") * (LARGE // 12)),
    "png exif bomb": lambda: png(10, 10, zeros=310, chunks=png_chunk(b"eXIf", exif_bomb(65_000, num_bytes=LARGE)[6:])),
    "png frames": lambda: encoded(_grey(500, 500), "PNG", save_all=True, append_images=[_grey(500, 500)] * 300),
    "jpeg 65,500 x 65,500": lambda: patched(
        whole("JPEG"), struct.pack(">HH", 40, 48), struct.pack(">HH", 65_500, 65_500)
    ),
    "jpeg 8,000 x 8,000 progressive": lambda: encoded(Image.new("RGB", (8000, 8000)), "JPEG", progressive=True),
    "jpeg 8,000 x 8,000 cmyk": lambda: encoded(Image.new("CMYK", (8000, 8000)), "JPEG"),
    "jpeg 65,500 x 970": lambda: encoded(Image.new("RGB", (65_500, 970)), "JPEG"),
    "jpeg many passes": lambda: many_scans(2000, 2000, num_scans=2000),
    "jpeg many passes, small": lambda: many_scans(64, 64, num_scans=100_000),
    "jpeg a pass too few to refuse": lambda: many_scans(4000, 4000, num_scans=118),
    "jpeg many scans": lambda: baseline_scans(8000, 8000, num_scans=200_000),
    "jpeg many scans, small": lambda: baseline_scans(64, 64, num_scans=100_000),
    "jpeg scans behind a false header": lambda: baseline_scans(
        8000, 8000, num_scans=200_000, before=b"\xff" + jpeg_segment(0xFE, bytes(0xFEFC) + b"\xff\xda\0\x0c\x03")
    ),
    "jpeg 8,000 x 8,000 in three scans": lambda: baseline_scans(8000, 8000, num_scans=29),
    "jpeg exif bomb": lambda: jpeg_with(jpeg_segment(0xE1, exif_bomb(5_000, num_bytes=65_000))),
    "jpeg exif bomb in parts": lambda: jpeg_with(
        jpeg_segment(0xE1, exif_bomb(5_000, num_bytes=65_000)) + jpeg_segment(0xE1, b"Exif\0\0" + bytes(65_000)) * 220
    ),
    "jpeg of markers": lambda: jpeg_with(b"\xff\xe5\x00\x02" * (LARGE // 4)),
    "jpeg of fill bytes": lambda: jpeg_with(b"\xff" * LARGE),
    "jpeg of comments": lambda: jpeg_with(jpeg_segment(0xFE, bytes(60_000)) * 250),
    "jpeg of quantisation tables": lambda: jpeg_with(jpeg_segment(0xDB, (b"\0" + bytes(64)) * 1000) * 230),
    "gif 65,535 x 65,535": lambda: gif(65_535, 65_535),
    "gif 8,000 x 8,000": lambda: gif(8000, 8000),
    "gif a million frames": lambda: gif(8, 8, frames=1_000_000),
    "gif one comment": lambda: gif(8, 8, extensions=b"!\xfe" + (b"\xff" + b"x" * 255) * (LARGE // 256) + b"\0"),
    "gif of comments": lambda: gif(8, 8, extensions=b"!\xfe\x01x\0" * (LARGE // 5)),
    "webp canvas 16,383 x 16,383": lambda: webp_claiming(16_383, 16_383),
    "webp canvas 2^24": lambda: webp_claiming(2**24, 255),
    "webp 8,000 x 8,000": lambda: encoded(Image.new("RGB", (8000, 8000)), "WEBP"),
    "webp exif bomb": lambda: webp_with(b"EXIF", exif_bomb(65_000, num_bytes=LARGE)),
    "webp frames": lambda: encoded(
        _grey(500, 500, "RGB"), "WEBP", save_all=True, append_images=[Image.effect_noise((500, 500), 9)] * 60
    ),
    "tiff 2^31 x 2^31": lambda: tiff_of(2**31 - 1, 2**31 - 1, body=bytes(99)),
    "tiff 8,000 x 8,000 deflated": lambda: tiff_of(8000, 8000, body=zeros_packed(64_000_000), packing=8),
    "tiff 8,000 x 8,000 floats": lambda: encoded(
        Image.new("F", (8000, 8000)), "TIFF", compression="tiff_adobe_deflate"
    ),
    "tiff 8,000 x 8,000 32-bit": lambda: encoded(
        Image.new("I", (8000, 8000)), "TIFF", compression="tiff_adobe_deflate"
    ),
    "tiff strip bomb": lambda: tiff_of(100, 100, body=zeros_packed(2_000_000_000), packing=8, rows=2**31 - 1),
    "tiff tile bomb": lambda: tiled_tiff(100, 100, tile=60_000, body=zeros_packed(2_000_000_000)),
    "tiff tags that claim all": lambda: tiff_of(40, 48, body=bytes(LARGE), more=60_000),
    "tiff a circle of pages": lambda: tiff({256: (4, 1, 9)})[:-4] + struct.pack("<I", 8),
    "bmp 50,000 x 50,000": lambda: bmp_rle(50_000, 50_000, codes=b""),
    "bmp runs without length": lambda: bmp_rle(800, 800, codes=b"\0\0" * (LARGE // 2)),
    "bmp jumps": lambda: bmp_rle(64_000_000, 1, codes=b"\0\2\xff\xff" * 1000),
    "bmp 4 runs a pixel": lambda: bmp_rle(8000, 8000, codes=b"\1\1" * (LARGE // 2)),
    "avif 8,000 x 8,000": lambda: encoded(Image.new("RGB", (8000, 8000)), "AVIF", speed=10),
    "avif that claims less": lambda: patched(
        encoded(Image.new("RGB", (8000, 8000)), "AVIF", speed=10),
        struct.pack(">II", 8000, 8000),
        struct.pack(">II", 80, 80),
    ),
    "jpeg2000 that claims more": lambda: patched(
        whole("JPEG2000"), struct.pack(">II", 48, 40), struct.pack(">II", 60_000, 60_000)
    ),
    "jpeg2000 8,000 x 8,000": lambda: encoded(Image.new("RGB", (8000, 8000)), "JPEG2000"),
    "ppm in words": lambda: b"P3 2000 2000 255\n" + b"1 " * (LARGE // 2),
    "ico of a large png": lambda: (
        b"\0\0\1\0\1\0" + struct.pack("<BBBBHHII", 0, 0, 0, 0, 1, 32, 99, 22) + png(50_000, 50_000)
    ),
    "eps": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n",
    "svg": lambda: b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
    "html": lambda: b"<!doctype html><html><body>not found</body></html>",
    "pdf": lambda: b"%PDF-1.7\n1 0 obj << >> endobj\ntrailer << /Root 1 0 R >>\n%%EOF",
    "zeros": lambda: bytes(LARGE),
    "nothing": lambda: b"",
    "spaces": lambda: b" " * LARGE,
} | {f"{kind.lower()} cut": lambda kind=kind: whole(kind)[: len(whole(kind)) // 2] for kind in KINDS}
"""By name, what makes each file."""
