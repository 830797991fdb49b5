"""What decoding a picture takes, told from its header: bytes, and passes over its pixels."""

import re
from dataclasses import dataclass

from PIL import Image

from prodemb.catalog.images import AbsentImage

MAX_PIXELS = 64_000_000
"""Larger pictures are refused by their header, before any memory is taken for them."""
MAX_SIDE = 65_535
"""So are longer ones: each row costs memory of its own."""
USUAL_SCANS = 32
"""Passes a JPEG may make over `MAX_PIXELS`; encoders make about ten, a bomb makes thousands."""
LEAST_PER_SCAN = 16_384
"""Pixels that a pass counts as at least, for the tables that each makes anew."""
LARGE_BYTES = 64_000_000
"""What a picture that is decoded beside any number of others may take."""
LONG_PIXELS = 160_000_000
"""Pixels of all passes together, of one that is decoded where it cannot be ended: about a second."""
BYTES_PER_PIXEL = {"JPEG2000": 20, "WEBP": 12, "AVIF": 12}
"""Measured with `tests/bench/picture_bounds.py`, rounded up; libwebp's and libavif's own pictures, 32-bit planes."""
OTHER_BYTES_PER_PIXEL = 8
"""Pillow's picture, and ours of red, green and blue."""
COEFFICIENT_BYTES = 2
"""A JPEG of several scans is held as the coefficients of each component, at full size whatever size is wanted."""
START_OF_SCAN = b"\xff\xda"
SEGMENT = re.compile(rb"\xff[\xc0-\xcf\xdb-\xef\xfe]")
"""Marks of a JPEG behind which the length of a segment stands."""
BOUNDLESS = ("AVIF", "JPEG2000", "TIFF")
"""Formats whose decoders may take far more than the header says."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one picture takes to decode."""

    num_bytes: int
    """At its peak, where the header tells the truth."""
    pixels_passed: int
    """Pixels times the scans of the file."""
    is_bounded: bool
    """Whether the decoder takes no more than the header says."""

    @property
    def is_large(self) -> bool:
        """Whether it may not be decoded beside any number of others."""
        return self.num_bytes > LARGE_BYTES

    @property
    def is_small(self) -> bool:
        """Whether it may be decoded where it can neither be ended nor held to its memory."""
        return self.is_bounded and not self.is_large and self.pixels_passed <= LONG_PIXELS


def decode_cost(image: Image.Image, data: bytes, *, factor: int) -> Cost:
    """The cost of an opened picture of which nothing is decoded yet, at 1 / `factor` of its size.

    Raises:
        AbsentImage: it is more than is decoded at all.
    """
    num_pixels = image.width * image.height
    if num_pixels > MAX_PIXELS or max(image.size) > MAX_SIDE:
        raise AbsentImage("too many pixels", detail=f"{image.width} x {image.height}")
    num_scans = _num_scans(image, data)
    passed = num_scans * max(num_pixels, LEAST_PER_SCAN)
    if passed > USUAL_SCANS * MAX_PIXELS:
        raise AbsentImage("too many pixels", detail=f"{image.width} x {image.height} in {num_scans:,} passes")
    num_bytes = num_pixels * BYTES_PER_PIXEL.get(image.format or "", OTHER_BYTES_PER_PIXEL) // factor**2
    if num_scans > 1:
        num_bytes += num_pixels * len(image.getbands()) * COEFFICIENT_BYTES
    return Cost(num_bytes=num_bytes, pixels_passed=passed, is_bounded=image.format not in BOUNDLESS)


def _num_scans(image: Image.Image, data: bytes) -> int:
    """Passes that a JPEG's decoder makes over it, or more; 1 of other formats.

    A baseline file whose first scan has all components is decoded from that one alone; of others every mark of a scan
    counts, also one that is data of something else.
    """
    if image.format not in ("JPEG", "MPO"):
        return 1
    if "progressive" not in image.info and _first_scan(data) == len(image.getbands()):
        return 1
    return data.count(START_OF_SCAN)


def _first_scan(data: bytes) -> int:
    """Number of components in a JPEG's first scan (ISO/IEC 10918-1, B.2.3); 0 where segments do not lead to one."""
    place = 2
    while (mark := data[place : place + 2]) != START_OF_SCAN:
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        if not SEGMENT.fullmatch(mark) or length < 2:
            return 0
        place += 2 + length
    return data[place + 4] if len(data) > place + 4 else 0
