"""What 10 million, 100 million and a billion products take, worked out from figures that were measured.

    python tests/bench/on_paper.py                                     the tables of docs/scale.md
    python tests/bench/on_paper.py --products-per-s 3000 --gpu-hour 2  with the rate measured and the price paid

Nothing is run here. What was measured stands in `Measured`, each with the bench that measured it; what is assumed, in
`Assumed`; prices, with date and source, in `Prices`. No GPU has run prodemb: how many products one takes in a second is
arithmetic (floating-point operations of ViT-B/32 for a product, the card's published peak, an assumed share of it, and
the processor time that a product takes beside the towers), until `--products-per-s` replaces it.
"""

import argparse
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from report import options_parser, reporting

from prodemb.core.features import FEATURES
from prodemb.embed.estimate import TEXT_SHARE
from prodemb.shards.add_object import num_requests
from prodemb.shards.format import HASH_BYTES, MAX_PRODUCTS, MAX_SHARDS
from prodemb.storage.objects import PART_BYTES

SIZES = (10_000_000, 100_000_000, 1_000_000_000)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """On 2 virtual cores of an AMD EPYC with AVX-512 and bfloat16 (machine C of RESULTS.md)."""

    cpu_products_per_s: float = 38.9
    """`stage_one.py`, ViT-B/32 in bfloat16, six texts and a photo, nearly quiet, on 2 cores."""
    beside_towers_ms: float = 0.2
    """Processor time of a product beside towers and decoding: `stage_one.py`, bundled CLIP, 3,000 products: 1.7 less
    0.6 of the towers and 0.9 of decoding pictures of 128 pixels."""
    photo_ms: float = 3.0
    """`decode.py`, machine A: a photo of 1,200 pixels, on one core."""
    record_bytes: float = 723
    """`catalog_index.py`: of the manifest, for a shard."""
    row_bytes: float = 20
    """`catalog_index.py`: memory of the command for a row whose id is checked."""
    base_mb: float = 381
    """`catalog_index.py`: memory of the command before."""
    ids_per_s: float = 650_000
    """`catalog_index.py`, loaded: rows whose ids and titles are read and checked."""
    hashed_per_s: float = 870_000
    """`catalog_index.py`, loaded: rows that an update or a resumed run hashes."""


@dataclass(frozen=True, kw_only=True)
class Assumed:
    """What a product is like, and how well a GPU is used."""

    title_tokens: int = 16
    description_tokens: int = 77
    """As many as CLIP reads. Brands and categories repeat within a shard and are encoded once."""
    text_bytes: int = 400
    """Of all texts of a product."""
    picture_bytes: int = 100_000
    utilisation: float = 0.25
    """Share of a card's peak that the towers reach."""
    server_s: float = 0.3
    """That a server takes for a picture."""
    at_a_time: int = 32
    """Pictures that are fetched at a time, by all workers together: the default of `[images] concurrency`."""
    index_bytes: int = 24
    """Of a key in the index of an update (`prodemb.shards.keys`)."""
    index_keys: int = 6
    """Of a product: title, description, picture, where that came from, words, id."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """A GPU as a cloud rents it."""

    name: str
    peak_tflops: float
    """Dense bfloat16, by NVIDIA's data sheet."""
    cores: int
    """Virtual cores of its machine, for each card."""
    usd_per_hour: float
    """On demand, of AWS in us-east-1, read on 2026-11-09."""


CARDS = (
    Card(name="A100 40 GB (p4d.24xlarge)", peak_tflops=312, cores=12, usd_per_hour=2.74),
    Card(name="H100 80 GB (p5.48xlarge)", peak_tflops=989, cores=24, usd_per_hour=6.88),
)


@dataclass(frozen=True, kw_only=True)
class Prices:
    """US dollars of S3 Standard in us-east-1: storage by a copy of the list of 2022-07-07, requests as generally known.

    No page of today was at hand, so look them up.
    """

    gb_month: float = 0.023
    """Of the first 50 TB; 0.021 beyond 500 TB."""
    thousand_puts: float = 0.005
    """And LISTs, copies and parts of uploads."""
    thousand_gets: float = 0.0004


def tower_gflop(*, layers: int, width: int, tokens: int) -> float:
    """10^9 floating-point operations of a transformer for one content: its matrices and attention.

    A layer has 12 width^2 weights (four in attention, eight in the perceptron), each a multiplication and an addition
    for each token; attention multiplies two (tokens, width) matrices twice.
    """
    return layers * (24 * tokens * width**2 + 4 * tokens**2 * width) / 1e9


def product_gflop(assumed: Assumed) -> float:
    """Of ViT-B/32 for a picture of 224 pixels (49 patches and the class token), a title and a description."""
    patches = 2 * 49 * (3 * 32 * 32) * 768 / 1e9
    picture = tower_gflop(layers=12, width=768, tokens=50) + patches
    texts = (assumed.title_tokens, assumed.description_tokens)
    return picture + sum(tower_gflop(layers=12, width=512, tokens=tokens) for tokens in texts)


def products_per_s(card: Card, *, measured: Measured, assumed: Assumed) -> tuple[float, float]:
    """Of one card: what its towers would do, and what its machine's cores can prepare for them."""
    towers = card.peak_tflops * 1e3 * assumed.utilisation / product_gflop(assumed)
    return towers, card.cores * 1e3 / (measured.beside_towers_ms + measured.photo_ms)


def product_bytes(assumed: Assumed, *, dim: int, lexical_dim: int) -> int:
    """On disk: float16 vectors and hashes, present or not, and the texts."""
    dims = [dim] * len(FEATURES) + ([lexical_dim] if lexical_dim else [])
    return 2 * sum(dims) + HASH_BYTES * (len(dims) + 1) + int(TEXT_SHARE * assumed.text_bytes)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One size of catalog."""

    num_products: int
    shard_size: int
    num_shards: int
    towers_hours: Mapping[str, float]
    """Of one card."""
    usd: Mapping[str, float]
    fetch_hours: float
    fetch_tb: float
    stored_tb: float
    usd_month: float
    num_puts: int
    num_gets: int
    usd_requests: float
    usd_picture_gets: float
    """Where each picture is an object of its own."""
    manifest_mb: float
    driver_gb: float
    ids_min: float
    hashing_min: float
    index_gb: float


def usd_per_hour(card: Card, *, options: argparse.Namespace) -> float:
    """What an hour of a card costs: what is paid, else the list price."""
    return float(options.gpu_hour or card.usd_per_hour)


def plan(num_products: int, *, options: argparse.Namespace) -> Plan:
    """All that is worked out for a catalog."""
    measured, assumed, prices = Measured(), Assumed(), Prices()
    shard_size = MAX_PRODUCTS if num_products > 8192 * MAX_SHARDS else 8192
    num_shards = -(-num_products // shard_size)
    per_product = product_bytes(assumed, dim=options.dim, lexical_dim=options.lexical_dim)
    hours, usd = {}, {}
    for card in CARDS:
        rate = options.products_per_s or min(products_per_s(card, measured=measured, assumed=assumed))
        hours[card.name] = num_products / rate / 3600
        usd[card.name] = hours[card.name] * usd_per_hour(card, options=options)
    stored_gb = num_products * per_product / 1e9
    shard_bytes = shard_size * per_product
    num_puts = num_shards * num_requests(shard_bytes)
    num_gets = num_shards * (-(-shard_bytes // PART_BYTES) + 1)
    return Plan(
        num_products=num_products,
        shard_size=shard_size,
        num_shards=num_shards,
        towers_hours=hours,
        usd=usd,
        fetch_hours=num_products * assumed.server_s / assumed.at_a_time / 3600,
        fetch_tb=num_products * assumed.picture_bytes / 1e12,
        stored_tb=stored_gb / 1e3,
        usd_month=stored_gb * prices.gb_month,
        num_puts=num_puts,
        num_gets=num_gets,
        usd_requests=(num_puts * prices.thousand_puts + num_gets * prices.thousand_gets) / 1e3,
        usd_picture_gets=num_products * prices.thousand_gets / 1e3,
        manifest_mb=num_shards * measured.record_bytes / 1e6,
        driver_gb=measured.base_mb / 1e3 + num_products * measured.row_bytes / 1e9,
        ids_min=num_products / measured.ids_per_s / 60,
        hashing_min=num_products / measured.hashed_per_s / 60,
        index_gb=num_products * assumed.index_bytes * assumed.index_keys / 1e9,
    )


def number(value: float) -> str:
    """Two digits that count."""
    if value >= 100:
        return f"{float(f'{value:.2g}'):,.0f}"
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"


def markdown(plans: list[Plan], *, options: argparse.Namespace) -> str:
    """The table of all sizes, as it stands in docs/scale.md."""
    rows: dict[str, list[str]] = {
        "shards, of so many products": [f"{p.num_shards:,} of {p.shard_size:,}" for p in plans]
    }
    for card in CARDS:
        rows[f"hours of one {card.name}"] = [number(p.towers_hours[card.name]) for p in plans]
        rows[f"dollars for one {card.name}, at {usd_per_hour(card, options=options):g} an hour"] = [
            number(p.usd[card.name]) for p in plans
        ]
    rows |= {
        "pictures, TB": [number(p.fetch_tb) for p in plans],
        "days to fetch them from servers, 32 at a time": [number(p.fetch_hours / 24) for p in plans],
        "dollars to get them from a bucket, an object each": [number(p.usd_picture_gets) for p in plans],
        "shards, TB": [number(p.stored_tb) for p in plans],
        "dollars a month to store them": [number(p.usd_month) for p in plans],
        "requests to write them to a bucket": [f"{p.num_puts:,}" for p in plans],
        "requests to read them once": [f"{p.num_gets:,}" for p in plans],
        "dollars for both": [number(p.usd_requests) for p in plans],
        "manifest, MB": [number(p.manifest_mb) for p in plans],
        "memory of the command, GB": [number(p.driver_gb) for p in plans],
        "minutes to check the ids, one core": [number(p.ids_min) for p in plans],
        "minutes to hash the rows of an update, one core": [number(p.hashing_min) for p in plans],
        "index of an update on the command's disk, GB": [number(p.index_gb) for p in plans],
    }
    head = ["products", *(f"{p.num_products:,}" for p in plans)]
    lines = [head, ["---"] * len(head), *([name, *cells] for name, cells in rows.items())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def rates(*, measured: Measured, assumed: Assumed) -> str:
    """The table of cards, as it stands in docs/scale.md."""
    head = ["", "towers, products/s", "cores, products/s", "counted with"]
    lines = [head, ["---"] * len(head)]
    for card in CARDS:
        found = products_per_s(card, measured=measured, assumed=assumed)
        lines.append([card.name, *(number(each) for each in (*found, min(found)))])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    parser = options_parser(__doc__)
    parser.add_argument("--products-per-s", type=float, help="of one GPU, in place of what is worked out")
    parser.add_argument("--gpu-hour", type=float, help="what an hour of a GPU costs, in place of the list price")
    parser.add_argument("--dim", type=int, default=512, help="numbers in a vector of CLIP's [512, ViT-B/32]")
    parser.add_argument("--lexical-dim", type=int, default=1024, help="and in a lexical one; 0 for none [1024]")
    options = parser.parse_args()
    measured, assumed = Measured(), Assumed()
    with reporting(options) as report:
        plans = [plan(size, options=options) for size in SIZES]
        gflop = product_gflop(assumed)
        per_product = product_bytes(assumed, dim=options.dim, lexical_dim=options.lexical_dim)
        report.add(
            f"{gflop:.1f} GFLOP and {per_product:,} bytes a product; on 2 cores {measured.cpu_products_per_s} a second "
            f"were {gflop * measured.cpu_products_per_s:,.0f} GFLOP/s of such ones",
            gflop=gflop,
            product_bytes=per_product,
        )
        cards, sizes = rates(measured=measured, assumed=assumed), markdown(plans, options=options)
        report.add(cards, rates=cards)
        report.add(sizes, table=sizes, plans={f"{each.num_products:,}": asdict(each) for each in plans})


if __name__ == "__main__":
    main()
