"""Rendering of product pictures: a drawing, painted in the product's colour, photographed as partners do it."""

import io
import math
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from prodemb.sample.brands import Mark
from prodemb.sample.drawings import DRAWINGS

SIZE = 128
"""Pixels on a side of a finished picture."""

_CANVAS = 2 * SIZE
_BOX = 0.05
"""Share of pictures that show the parcel in place of the product."""
_COVERED = 0.15
"""Share of pictures with a badge or a bar over a part of the product."""

RGB = tuple[int, int, int]
Points = NDArray[np.float64]

_FIXED_PAINTS: dict[str, RGB] = {
    "dark": (44, 44, 50),
    "light": (242, 240, 235),
    "metal": (172, 176, 182),
    "wood": (164, 118, 74),
    "glass": (186, 212, 226),
    "gold": (212, 168, 72),
}


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a picture shows."""

    category: int
    colour: RGB
    """Of the product."""
    logo: tuple[Mark, RGB] | None
    """The brand's logo; None for a no-name."""


@dataclass(frozen=True, kw_only=True)
class _Shape:
    """One shape of a drawing: `points` is (n, 2), in -1 to 1; `width` is that of a line, or a logo's radius."""

    form: Literal["area", "line", "mark"]
    paint: str
    width: float
    points: Points


def render(look: Look, *, shape: Random, photo: Random) -> bytes:
    """The JPEG of a product, `SIZE` pixels square.

    `shape` decides what belongs to the product (which drawing, its proportions), `photo` what belongs to the picture
    (place, turn, background, light, noise, what covers it).
    """
    drawings = _drawings(look.category)
    drawing = drawings[0] if shape.random() < 0.6 else shape.choice(drawings)
    proportions = _proportions(shape)
    paints = _paints(_jitter(look.colour, by=22, rng=shape), shape=shape)
    image, behind = _background(photo)
    draw = ImageDraw.Draw(image)
    paints["back"] = behind
    _shadow(draw, behind=behind, photo=photo)
    if photo.random() < _BOX:
        drawing, paints = _parcel(), _paints(_jitter((190, 150, 104), by=14, rng=photo), shape=photo)
    _paint(draw, drawing, paints=paints, logo=look.logo, matrix=_pose(photo) @ proportions, shift=_shift(photo))
    if photo.random() < _COVERED:
        _cover(draw, photo=photo)
    return _expose(image.reduce(2), photo=photo)


@cache
def _drawings(category: int) -> tuple[tuple[_Shape, ...], ...]:
    return tuple(_read(text) for text in DRAWINGS[category].split("\n\n"))


@cache
def _parcel() -> tuple[_Shape, ...]:
    return _read(
        "poly main -.8,-.3 0,-.6 .8,-.3 .8,.5 0,.85 -.8,.5\npoly tint -.8,-.3 0,-.6 .8,-.3 0,0\n"
        "poly shade .8,-.3 .8,.5 0,.85 0,0\nline gold .12 -.4,-.45 .4,-.15\nmark -.4,.3 .18"
    )


def _read(text: str) -> tuple[_Shape, ...]:
    """A drawing out of its text; the language stands in `sample_drawings`."""
    return tuple(_read_shape(*line.split()) for line in text.strip().splitlines())


def _read_shape(operation: str, *words: str) -> _Shape:
    paint = words[0]
    pairs = [tuple(float(number) for number in word.split(",")) for word in words if "," in word]
    points = np.array(pairs, dtype=np.float64)
    match operation:
        case "poly":
            return _Shape(form="area", paint=paint, width=0, points=points)
        case "blob":
            return _Shape(form="area", paint=paint, width=0, points=_smooth(points, closed=True))
        case "oval":
            return _Shape(form="area", paint=paint, width=0, points=_ellipse(points))
        case "box":
            (left, top), (right, bottom) = pairs
            corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
            return _Shape(form="area", paint=paint, width=0, points=corners)
        case "line":
            return _Shape(form="line", paint=paint, width=float(words[1]), points=points)
        case "curve":
            return _Shape(form="line", paint=paint, width=float(words[1]), points=_smooth(points, closed=False))
        case "ring":
            outline = _ellipse(points)
            return _Shape(form="line", paint=paint, width=float(words[1]), points=np.vstack([outline, outline[:2]]))
        case "mark":
            return _Shape(form="mark", paint="", width=float(words[1]), points=points)
        case _:
            raise AssertionError(f"no such drawing operation: {operation}")


def _ellipse(centre_and_radii: Points) -> Points:
    angles = np.linspace(0, 2 * math.pi, 28, endpoint=False)
    centre, radii = centre_and_radii
    outline: Points = centre + radii * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return outline


def _smooth(points: Points, *, closed: bool) -> Points:
    """A Catmull-Rom curve through the points, five steps between two of them."""
    ends = (points[-1:], points[:2]) if closed else (points[:1], points[-1:])
    knots = np.vstack([ends[0], points, ends[1]])
    before, start, end, after = (knots[place : len(knots) - 3 + place, None] for place in range(4))
    t = np.linspace(0, 1, 5, endpoint=False)[None, :, None]
    curve = 0.5 * (
        2 * start
        + (end - before) * t
        + (2 * before - 5 * start + 4 * end - after) * t**2
        + (3 * start - before - 3 * end + after) * t**3
    )
    flat: Points = curve.reshape(-1, 2)
    return flat if closed else np.vstack([flat, points[-1:]])


def _paints(colour: RGB, *, shape: Random) -> dict[str, RGB]:
    second = shape.choice(((235, 225, 205), (60, 64, 80), (196, 72, 60), (70, 120, 150), (222, 178, 70)))
    return {
        **_FIXED_PAINTS,
        "main": colour,
        "shade": _mixed(colour, (0, 0, 0), 0.28),
        "tint": _mixed(colour, (255, 255, 255), 0.35),
        "second": _jitter(second, by=20, rng=shape),
    }


def _proportions(shape: Random) -> Points:
    """How this product departs from the drawing: (2, 2)."""
    wide, skew = shape.uniform(0.87, 1.13), shape.uniform(-0.06, 0.06)
    mirror = shape.choice((1, 1, 1, -1))
    return np.array([[wide * mirror, skew], [0, 1.9 - wide * 0.9]])


def _pose(photo: Random) -> Points:
    """Size and turn of the product in the picture: (2, 2), to canvas pixels."""
    turn = math.radians(photo.gauss(0, 4) if photo.random() < 0.93 else photo.uniform(-60, 60))
    size = photo.triangular(0.28, 0.46, 0.42) * _CANVAS
    return size * np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])


def _shift(photo: Random) -> Points:
    return np.array([photo.gauss(0.5, 0.02), photo.gauss(0.5, 0.02)]) * _CANVAS


def _paint(
    draw: ImageDraw.ImageDraw,
    drawing: tuple[_Shape, ...],
    *,
    paints: dict[str, RGB],
    logo: tuple[Mark, RGB] | None,
    matrix: Points,
    shift: Points,
) -> None:
    """Draw all shapes of a drawing, its points brought to the canvas by `matrix` and `shift`."""
    placed = np.vstack([shape.points for shape in drawing]) @ matrix.T + shift
    scale = math.sqrt(abs(float(np.linalg.det(matrix))))
    start = 0
    for shape in drawing:
        points = placed[start : start + len(shape.points)].ravel().tolist()
        start += len(shape.points)
        match shape.form:
            case "area":
                draw.polygon(points, fill=paints[shape.paint])
            case "line":
                draw.line(points, fill=paints[shape.paint], width=max(1, round(shape.width * scale)), joint="curve")
            case "mark":
                if logo:
                    _draw_logo(draw, logo, x=points[0], y=points[1], radius=shape.width * scale)


def _draw_logo(draw: ImageDraw.ImageDraw, logo: tuple[Mark, RGB], *, x: float, y: float, radius: float) -> None:
    mark, colour = logo
    r = radius
    around = (x - r, y - r, x + r, y + r)
    match mark:
        case "disc":
            draw.ellipse(around, fill=colour)
        case "ring":
            draw.ellipse(around, outline=colour, width=max(2, round(r / 2.5)))
        case "square":
            draw.rectangle(around, fill=colour)
        case "bar":
            draw.rectangle((x - 1.4 * r, y - r / 2.5, x + 1.4 * r, y + r / 2.5), fill=colour)
        case "triangle":
            draw.polygon((x, y - r, x + r, y + r, x - r, y + r), fill=colour)
        case "diamond":
            draw.polygon((x, y - r, x + r, y, x, y + r, x - r, y), fill=colour)
        case "cross":
            draw.rectangle((x - r, y - r / 3, x + r, y + r / 3), fill=colour)
            draw.rectangle((x - r / 3, y - r, x + r / 3, y + r), fill=colour)
        case "wave":
            points = (x - r, y, x - r / 2, y - r / 1.5, x, y, x + r / 2, y + r / 1.5, x + r, y)
            draw.line(points, fill=colour, width=max(2, round(r / 2.5)), joint="curve")


def _background(photo: Random) -> tuple[Image.Image, RGB]:
    """The canvas, and the colour right behind the product."""
    kind = photo.random()
    if kind < 0.75:
        behind = _jitter((247, 247, 247), by=8, rng=photo)
        return Image.new("RGB", (_CANVAS, _CANVAS), behind), behind
    behind = (photo.randrange(150, 240), photo.randrange(150, 240), photo.randrange(150, 240))
    image = Image.new("RGB", (_CANVAS, _CANVAS), behind)
    draw = ImageDraw.Draw(image)
    if kind < 0.82:
        horizon = photo.uniform(0.55, 0.8) * _CANVAS
        draw.rectangle((0, horizon, _CANVAS, _CANVAS), fill=_mixed(behind, (90, 70, 50), photo.uniform(0.2, 0.6)))
    elif kind < 0.87:
        stripe, step = _mixed(behind, (255, 255, 255), 0.25), photo.randrange(16, 48)
        for x in range(0, _CANVAS, 2 * step):
            draw.rectangle((x, 0, x + step, _CANVAS), fill=stripe)
    elif kind < 0.92:
        for _ in range(6):
            x, y, r = photo.randrange(_CANVAS), photo.randrange(_CANVAS), photo.randrange(12, 60)
            draw.ellipse((x - r, y - r, x + r, y + r), fill=_jitter(behind, by=40, rng=photo))
    return image, behind


def _shadow(draw: ImageDraw.ImageDraw, *, behind: RGB, photo: Random) -> None:
    if photo.random() < 0.5:
        wide, y = photo.uniform(0.2, 0.4) * _CANVAS, photo.uniform(0.78, 0.9) * _CANVAS
        dark = _mixed(behind, (0, 0, 0), 0.15)
        draw.ellipse((_CANVAS / 2 - wide, y - 10, _CANVAS / 2 + wide, y + 10), fill=dark)


def _cover(draw: ImageDraw.ImageDraw, *, photo: Random) -> None:
    """A sale badge in a corner, or a bar across."""
    colour = photo.choice(((220, 30, 40), (250, 200, 0), (20, 20, 20), (255, 255, 255), (0, 120, 200)))
    if photo.random() < 0.6:
        r = photo.uniform(0.1, 0.18) * _CANVAS
        x, y = (photo.choice((0.22, 0.78)) * _CANVAS for _ in range(2))
        draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)
    else:
        y, height = photo.uniform(0.1, 0.9) * _CANVAS, photo.uniform(0.05, 0.12) * _CANVAS
        draw.rectangle((0, y, _CANVAS, y + height), fill=colour)


@cache
def _grain() -> NDArray[np.int16]:
    """Film grain, larger than a picture, so that each takes another part of it."""
    return np.random.default_rng(0).normal(0, 10, (2 * SIZE, 2 * SIZE, 3)).astype(np.int16)


def _expose(image: Image.Image, *, photo: Random) -> bytes:
    """Light, grain and JPEG."""
    x, y = photo.randrange(SIZE), photo.randrange(SIZE)
    light, strength = photo.randrange(-16, 17), photo.choice((0, 0, 1, 1, 2))
    pixels = np.asarray(image).astype(np.int16)
    pixels += _grain()[y : y + SIZE, x : x + SIZE] * strength + light
    exposed = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    buffer = io.BytesIO()
    exposed.save(buffer, "JPEG", quality=photo.randrange(60, 90))
    return buffer.getvalue()


def _mixed(colour: RGB, other: RGB, share: float) -> RGB:
    red, green, blue = (round(here * (1 - share) + there * share) for here, there in zip(colour, other, strict=True))
    return red, green, blue


def _jitter(colour: RGB, *, by: int, rng: Random) -> RGB:
    red, green, blue = (min(255, max(0, part + rng.randint(-by, by))) for part in colour)
    return red, green, blue
