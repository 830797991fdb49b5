"""What a sample product is in truth: its kind, brand, model, colour and the like, before any partner describes it."""

import itertools
from dataclasses import dataclass
from random import Random

from prodemb.sample.brands import MAKERS, Brand
from prodemb.sample.kinds import KINDS, Kind


@dataclass(frozen=True, kw_only=True)
class Colour:
    """A colour a product comes in."""

    english: str
    french: str
    rgb: tuple[int, int, int]


COLOURS = (
    Colour(english="black", french="noir", rgb=(38, 38, 42)),
    Colour(english="white", french="blanc", rgb=(240, 238, 232)),
    Colour(english="blue", french="bleu", rgb=(44, 96, 200)),
    Colour(english="red", french="rouge", rgb=(206, 40, 48)),
    Colour(english="grey", french="gris", rgb=(132, 136, 142)),
    Colour(english="green", french="vert", rgb=(50, 140, 74)),
    Colour(english="navy", french="marine", rgb=(28, 40, 92)),
    Colour(english="brown", french="marron", rgb=(120, 76, 44)),
    Colour(english="beige", french="beige", rgb=(214, 192, 156)),
    Colour(english="pink", french="rose", rgb=(238, 140, 172)),
    Colour(english="yellow", french="jaune", rgb=(240, 200, 48)),
    Colour(english="orange", french="orange", rgb=(238, 130, 40)),
    Colour(english="purple", french="violet", rgb=(120, 66, 160)),
    Colour(english="turquoise", french="turquoise", rgb=(48, 178, 178)),
    Colour(english="burgundy", french="bordeaux", rgb=(112, 26, 50)),
    Colour(english="olive", french="olive", rgb=(110, 116, 52)),
)

AUDIENCES = (("Women", "femme"), ("Men", "homme"), ("Kids", "enfant"), ("Unisex", "mixte"))
"""For whom clothing is, English and French."""

_CATEGORY_TAIL = 1.0
_BRAND_TAIL = 1.0
_UNBRANDED = 0.03


def _tail(count: int, *, exponent: float) -> list[float]:
    """Cumulative weights of a long tail (Zipf's law, its head flattened by three)."""
    return list(itertools.accumulate(1 / (rank + 4) ** exponent for rank in range(count)))


_BY_SALES = sorted(KINDS, key=lambda kind: kind.category * 1905 % 997)
"""Kinds, the most sold first: an order that has nothing to do with the branch."""

_KIND_WEIGHTS = _tail(len(_BY_SALES), exponent=_CATEGORY_TAIL)


@dataclass(frozen=True, kw_only=True)
class Item:
    """A product as its maker knows it."""

    kind: Kind
    brand: Brand | None
    """None where it is a no-name."""
    line: str | None
    model: str
    number: int
    colour: Colour
    material: str
    audience: tuple[str, str] | None
    size: str | None
    seed: str
    """What its picture's shape is drawn from."""


def make_item(seed: str) -> Item:
    """The item of a seed; category and brand follow long tails."""
    rng = Random(seed)
    kind = rng.choices(_BY_SALES, cum_weights=_KIND_WEIGHTS)[0]
    makers = MAKERS[kind.category]
    brand = rng.choices(makers, cum_weights=_tail(len(makers), exponent=_BRAND_TAIL))[0]
    model, line = rng.choice(brand.models_of(kind)), rng.choice(brand.lines) if brand.lines else None
    return Item(
        kind=kind,
        brand=None if rng.random() < _UNBRANDED else brand,
        line=line if rng.random() < 0.35 else None,
        model=model,
        number=rng.choice((2, 3, 5, 10, 12, 20, 40, 100, 150, 200, 300, 450, 500, 700, 900, 1000)),
        colour=rng.choice(COLOURS),
        material=rng.choice(kind.materials),
        audience=rng.choice(AUDIENCES) if kind.worn else None,
        size=rng.choice(("XS", "S", "M", "L", "XL", "38", "40", "42")) if kind.worn else None,
        seed=seed,
    )
