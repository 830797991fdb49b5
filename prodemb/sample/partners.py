"""The partners of the sample, each with its habits, and the listing that a partner makes of an item."""

import itertools
from dataclasses import dataclass
from random import Random
from typing import Literal

from prodemb.sample.brands import BRANDS, Brand
from prodemb.sample.items import Item
from prodemb.sample.kinds import DEPARTMENTS, KINDS, Kind
from prodemb.sample.texts import describe, misspell, title_of

BrandStyle = Literal["plain", "shouting", "omitted", "legal", "line", "messy"]
CategoryStyle = Literal["plain", "department", "french", "promotional", "branded", "messy"]


@dataclass(frozen=True, kw_only=True)
class Partner:
    """How one partner writes its feed. Numbers are shares between 0 and 1."""

    name: str
    share: float
    """Of all products."""
    brands: BrandStyle = "plain"
    categories: CategoryStyle = "plain"
    french: float = 0.0
    """Titles and descriptions in French."""
    vague: float = 0.3
    """Titles that name a model but not the kind of product."""
    nameless: float = 0.25
    """Titles without the brand."""
    wrong_brand: float = 0.0
    wrong_category: float = 0.1
    typos: float = 0.0
    no_description: float = 0.15
    no_picture: float = 0.02


PARTNERS = (
    Partner(name="Harbor Lane", share=0.2, wrong_category=0.08, vague=0.25),
    Partner(name="MEGAMART", share=0.15, brands="shouting", categories="department", wrong_category=0.05, nameless=0.1),
    Partner(name="Quiet Shelf", share=0.13, brands="omitted", wrong_category=0.15, vague=0.35, nameless=0.4),
    Partner(name="Belle Vitrine", share=0.14, categories="french", french=0.7, no_description=0.2),
    Partner(name="Mixed Bag", share=0.12, wrong_brand=0.35, wrong_category=0.6, vague=0.35),
    Partner(name="Legalis Trade", share=0.1, brands="legal", categories="promotional", no_picture=0.05),
    Partner(name="Tagline", share=0.08, brands="line", categories="branded", no_description=0.4),
    Partner(name="bazaar4u", share=0.08, brands="messy", categories="messy", typos=0.4, vague=0.35, no_picture=0.06),
)
"""All partners; their shares sum to one."""

_SHARES = list(itertools.accumulate(partner.share for partner in PARTNERS))

LEGAL_FORMS = (" GmbH", " Ltd.", " Inc.", " S.A.", " Co.", " AG", " SARL", " Pvt Ltd", "®", "™", ", Inc", " LLC")
"""What the legal partner puts behind a brand."""

JUNK_BRANDS = ("N/A", "Generic", "Slim Fit", "Red", "Regular", "unknown", "-", "No Brand", "Black", "Other", "Standard")
"""What stands in the brand field and is none."""

_PROMOTIONS = ("New Arrivals", "Best Sellers", "Sale", "Season's Picks", "Gifts under 50", "Top Rated", "Last Chance")
_CATCH_ALLS = ("Other", "Misc", "Various", "all products", "Uncategorised", "stuff")


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What a partner sends of an item: the supplied values."""

    title: str
    description: str | None
    brand: str | None
    cat1: str | None
    cat2: str | None
    cat3: str | None


def pick_partner(rng: Random) -> Partner:
    """A partner, by its share."""
    return rng.choices(PARTNERS, cum_weights=_SHARES)[0]


def list_item(item: Item, *, partner: Partner, rng: Random) -> Listing:
    """The listing that `partner` makes of `item`."""
    french = rng.random() < partner.french
    vague = rng.random() < partner.vague
    title = title_of(item, named=rng.random() >= partner.nameless, vague=vague, french=french, rng=rng)
    if partner.brands == "shouting" and rng.random() < 0.4:
        title = title.upper()
    if rng.random() < partner.typos:
        title = misspell(title, rng=rng)
    described = rng.random() >= partner.no_description * (2 if vague else 1)
    cat1, cat2, cat3 = _categories(item, title=title, partner=partner, rng=rng)
    return Listing(
        title=title,
        description=describe(item, vague=vague, french=french, rng=rng) if described else None,
        brand=_brand(item, partner=partner, rng=rng),
        cat1=cat1,
        cat2=cat2,
        cat3=cat3,
    )


def _brand(item: Item, *, partner: Partner, rng: Random) -> str | None:
    """The brand field."""
    brand = item.brand
    if rng.random() < partner.wrong_brand:
        brand = rng.choice(BRANDS)
    if brand is None:
        return rng.choice((None, *JUNK_BRANDS))
    if rng.random() < 0.06:
        return None
    match partner.brands:
        case "plain":
            return brand.name
        case "shouting":
            return brand.name.upper()
        case "omitted":
            return None
        case "legal":
            return brand.name + rng.choice(LEGAL_FORMS) if rng.random() < 0.6 else brand.name
        case "line":
            return f"{brand.name} {rng.choice(brand.lines)}" if brand.lines else rng.choice((brand.name, *brand.short))
        case "messy":
            return _messy_brand(brand, rng=rng)


def _messy_brand(brand: Brand, *, rng: Random) -> str:
    if rng.random() < 0.4:
        return rng.choice(JUNK_BRANDS)
    spelling = rng.choice((brand.name, brand.name.lower(), *brand.short))
    return misspell(spelling, rng=rng) if rng.random() < 0.3 else spelling


def _categories(item: Item, *, title: str, partner: Partner, rng: Random) -> tuple[str | None, str | None, str | None]:
    """The three category fields, of another kind where the partner is wrong."""
    kind = _another_kind(item.kind, rng=rng) if rng.random() < partner.wrong_category else item.kind
    department = DEPARTMENTS[kind.department]
    match partner.categories:
        case "plain":
            deep = rng.random()
            cat2, cat3 = kind.aisle[0] if deep < 0.85 else None, kind.shelf[0] if deep < 0.45 else None
            return rng.choice(department.english), cat2, cat3
        case "department":
            return department.english[0].upper(), None, None
        case "french":
            deep = rng.random()
            cat2, cat3 = kind.aisle[1] if deep < 0.8 else None, kind.shelf[1] if deep < 0.4 else None
            return rng.choice(department.french), cat2, cat3
        case "promotional":
            return "All Products", rng.choice(_PROMOTIONS), rng.choice((None, department.english[-1], kind.aisle[0]))
        case "branded":
            name = item.brand.name if item.brand else "More"
            return department.english[-1], f"{name} {kind.aisle[0]}", title if rng.random() < 0.5 else None
        case "messy":
            words = (*_CATCH_ALLS, department.english[0].lower(), misspell(kind.shelf[0], rng=rng))
            return rng.choice((None, *words)), rng.choice((None, *words)), None


def _another_kind(kind: Kind, *, rng: Random) -> Kind:
    """A kind that is not `kind`, half of the time of the same department."""
    near = [other for other in KINDS if other.department == kind.department and other is not kind]
    while (other := rng.choice(near if near and rng.random() < 0.5 else KINDS)) is kind:
        pass
    return other
