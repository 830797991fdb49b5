"""Generated catalogs whose supplied brands are as messy as partners make them; no name in them is a real brand's."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq

COLUMNS = ("product_id", "title", "brand", "cat1", "cat2", "brand_label")
ROWS_AT_ONCE = 50_000
SEED = 7
STARTS = "b br c ch cl d dr f fl g gr h j k kr l m n p pl pr qu r s sh st t th tr v w x y z".split()
MIDDLES = "a ai au e ea ee ei i ia ie io o oa oo ou u ue ui".split()
ENDS = ["", "", "", *"b ck d f g l ll m n nd ng r rd rt s sk ss t th tz x".split()]
SECOND_WORDS = (
    "electronics fashion jewels home foods sports lighting tools textiles footwear works craft beauty kids".split()
)
LEGAL = (" Ltd", " Inc.", " GmbH", " Pvt Ltd", " S.A.", " LLC", ", Inc", " Co., Ltd.", " B.V.", " SpA")
EXTRA = (
    "India",
    "Store",
    "Official",
    "Black",
    "Blue",
    "Women",
    "Men",
    "Kids",
    "Online",
    "Classic",
    "Red",
    "Technology",
)
MARKS = ("®", "™", " (R)", "(TM)")
JUNK = ("N/A", "Generic", "Red", "Slim Fit", "-", "unknown", "No Brand", "Regular", "Black", "Size 9", "null", "Other")
LETTERS = "abcdefghijklmnopqrstuvwxyz"
NUM_SELLERS, SELLER_PRODUCTS = 40, 30
NUM_DEPARTMENTS, NUM_THINGS = 30, 12


@dataclass(frozen=True, slots=True)
class Maker:
    """One generated brand: its clean name, what it makes, and how many products it has in all."""

    name: str
    department: int
    products: int


@dataclass(frozen=True, slots=True)
class Spelling:
    """One supplied string of a brand, and how many products carry it."""

    supplied: str
    maker: Maker
    products: int


def write_supplied(path: Path, *, num_strings: int, seed: int = SEED) -> int:
    """Write a Parquet catalog with `num_strings` different supplied brands, a brand's spellings side by side.

    Most brands are rare, as in real feeds: half of them have one product. A third of the strings are clean names; the
    others differ in case, marks, legal suffix, an added word, a line or a typo. Also: junk, and shops in the
    brand field of other makers' products. Three titles in four begin with the true brand.

    Returns:
        The number of products.
    """
    random = Random(seed)
    words = [_word(random, syllables=2) for _ in range(400)]
    schema = pa.schema([(name, pa.string()) for name in COLUMNS])
    rows = _rows(_spellings(num_strings, random=random), random=random, words=words)
    num_products = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(path, schema) as writer:
        while some := list(itertools.islice(rows, ROWS_AT_ONCE)):
            columns = [[f"p{num_products + row}" for row in range(len(some))], *map(list, zip(*some, strict=True))]
            writer.write_table(pa.table(dict(zip(COLUMNS, columns, strict=True)), schema=schema))
            num_products += len(some)
    return num_products


def _rows(
    spellings: Iterator[Spelling], *, random: Random, words: list[str]
) -> Iterator[tuple[str, str, str, str, str | None]]:
    """title, brand, cat1, cat2 and brand_label of every product."""
    popular: list[Maker] = []
    for spelling in spellings:
        if spelling.maker.products >= 20 and len(popular) < 2000:
            popular.append(spelling.maker)
        for _ in range(spelling.products):
            yield _product(spelling.maker, supplied=spelling.supplied, random=random, words=words)
    sellers = [f"{_word(random, syllables=2).title()} Retail {random.choice(('Hub', 'Point', ''))}" for _ in range(40)]
    for supplied in [*sellers, *JUNK]:
        for maker in random.choices(popular, k=SELLER_PRODUCTS) if popular else ():
            yield _product(maker, supplied=supplied.strip(), random=random, words=words)


def _product(maker: Maker, *, supplied: str, random: Random, words: list[str]) -> tuple[str, str, str, str, str | None]:
    thing = words[(maker.department * NUM_THINGS + random.randrange(NUM_THINGS)) % len(words)]
    opening = f"{maker.name} " if random.random() < 0.75 else ""
    title = f"{opening}{random.choice(words)} {thing} {random.choice(words)} {random.randrange(1000)}"
    return title, supplied, f"dept {maker.department}", f"dept {maker.department} {thing}", maker.name


def _spellings(num_strings: int, *, random: Random) -> Iterator[Spelling]:
    """Different supplied strings, brand by brand, until there are enough."""
    seen: set[str] = set()
    while len(seen) < num_strings:
        maker = _maker(random)
        line = _word(random, syllables=2).title()
        count = 1 if maker.products == 1 else min(maker.products, 2 + int(random.expovariate(1 / 3)))
        left = maker.products
        for number in range(count):
            supplied = maker.name if number == 0 else _messy(maker.name, line=line, random=random)
            if supplied in seen or len(seen) >= num_strings:
                continue
            seen.add(supplied)
            share = max(1, left // 2) if number < count - 1 else max(1, min(left, 3))
            left -= share
            yield Spelling(supplied, maker, share)


def _maker(random: Random) -> Maker:
    name = _word(random, syllables=random.choice((2, 2, 3))).title()
    if random.random() < 0.35:
        name += " " + (random.choice(SECOND_WORDS) if random.random() < 0.4 else _word(random, syllables=2)).title()
    products = min(400, int(random.paretovariate(0.9)))
    return Maker(name, random.randrange(NUM_DEPARTMENTS), products)


def _messy(name: str, *, line: str, random: Random) -> str:
    """A partner's way of writing a brand's name."""
    match random.randrange(8):
        case 0:
            return name.upper()
        case 1:
            return name.lower()
        case 2:
            return name + random.choice(LEGAL)
        case 3:
            return name + random.choice(MARKS)
        case 4:
            return f"{name} {random.choice(EXTRA)}"
        case 5:
            return f"{name} {line}"
        case _:
            return _typo(name, random=random)


def _typo(name: str, *, random: Random) -> str:
    """One letter lost, doubled, changed, or changed places; never the first."""
    index = random.randrange(1, len(name))
    before, letter, after = name[:index], name[index], name[index + 1 :]
    changed = (before + after, before + 2 * letter + after, before + random.choice(LETTERS) + after)
    swapped = before + after[:1] + letter + after[1:]
    return random.choice((*changed, swapped)).strip()


def _word(random: Random, *, syllables: int) -> str:
    parts = (random.choice(STARTS) + random.choice(MIDDLES) + random.choice(ENDS) for _ in range(syllables))
    return "".join(parts)
