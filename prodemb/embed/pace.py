"""How fast this device embeds: a few products of a catalog through stage one, timed, with nothing written."""

import io
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from prodemb.catalog.budget import PictureCounts
from prodemb.catalog.images import ImageLoader
from prodemb.catalog.urls import host_of
from prodemb.core.features import LEXICAL_TEXTS
from prodemb.embed.pictures import PictureFetcher
from prodemb.embed.plan import Plan, ShardTask
from prodemb.embed.shard import embed_shard
from prodemb.embed.windows import Window, fresh_window
from prodemb.embed.words import LexicalPool
from prodemb.embed.worker import Timings
from prodemb.towers.load import Towers
from prodemb.towers.pool import TowerPool
from prodemb.towers.reference import built_in_picture
from prodemb.towers.text_encoder import TextEncoder

FIRST_ROUND = 8
"""Products; each round has twice as many as the one before, up to a window."""
BUDGET_S = 10.0
"""No round begins that is likely to end later than this."""
STAND_IN_SIZE = (800, 600)
"""Pixels of the JPEG that stands for each picture on a server."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """Some products embedded, and what that took."""

    num_products: int
    num_pictures: int
    """Decoded; those of equal bytes went through the tower once."""
    num_words: int
    """Products with a lexical vector."""
    seconds: float
    """Of the clock."""
    timings: Timings
    """Of threads."""
    failed: Mapping[str, int] = field(default_factory=dict)
    """Pictures that could not be used, by reason."""


def measure_pace(
    plan: Plan, *, towers: Towers, sample: pa.Table, text_encoder: TextEncoder | None = None
) -> Round | None:
    """Embed more and more of some products; the largest round that the time was enough for, None without products.

    Nothing is fetched from servers: one JPEG stands for each picture there.

    Args:
        sample: products with their pictures, in any order.

    Raises:
        ModelError: a tower failed.
        ImagesError: a picture was not ready in time.
    """
    config = plan.config
    num_threads = config.decode_workers or os.cpu_count() or 1
    largest: Round | None = None
    started = time.perf_counter()
    with (
        ImageLoader(plan.images, root=plan.catalog.image_root) as loader,
        TowerPool(
            towers,
            batch_tokens=config.batch_tokens,
            max_pictures=config.window_size(),
            text_encoder=text_encoder,
        ) as pool,
    ):
        for rows in _rounds(sample, largest=config.window_size()):
            if largest is not None and time.perf_counter() - started + 2 * largest.seconds > BUDGET_S:
                break
            begun, before = time.perf_counter(), _spent(pool)
            with (
                PictureFetcher(loader, num_workers=num_threads) as fetcher,
                LexicalPool(config.lexical, num_threads=num_threads) as words,
            ):
                window = _window(rows, plan=plan, fetcher=fetcher, towers=towers)
                embed_shard(
                    [window], pool=pool, words=words, features=config.features, template=config.text_template
                ).result()
            text, image, encoder, num_texts, num_images, num_joined = (
                now - then for now, then in zip(_spent(pool), before, strict=True)
            )
            pictures = PictureCounts() if window.pictures is None else window.pictures.fetched.counts
            largest = Round(
                num_products=rows.num_rows,
                num_pictures=pictures.num_tried - pictures.failed.total(),
                num_words=rows.num_rows - _num_without_words(rows) if config.lexical is not None else 0,
                seconds=time.perf_counter() - begun,
                timings=Timings(
                    decoding=fetcher.seconds,
                    text_tower=text,
                    image_tower=image,
                    text_encoder=encoder,
                    hashing=words.seconds,
                    num_texts=int(num_texts),
                    num_images=int(num_images),
                    num_joined=int(num_joined),
                    num_decode_threads=num_threads,
                    num_tower_threads=pool.num_threads,
                ),
                failed=_by_reason(pictures),
            )
    return largest


def _spent(pool: TowerPool) -> tuple[float, ...]:
    spent = pool.seconds
    return spent.text, spent.image, spent.encoder, spent.num_texts, spent.num_images, spent.num_joined


def _rounds(sample: pa.Table, *, largest: int) -> Iterator[pa.Table]:
    """Slices of twice as many products each time; all that there are, if they are few."""
    start, size = 0, min(FIRST_ROUND, sample.num_rows)
    while size and start + size <= sample.num_rows:
        yield sample.slice(start, size).combine_chunks()
        start, size = start + size, min(2 * size, largest)


def _window(rows: pa.Table, *, plan: Plan, fetcher: PictureFetcher, towers: Towers) -> Window:
    task = ShardTask(index=0, start=0, stop=rows.num_rows)
    texts = rows.drop_columns(["image"])
    if "image" not in plan.config.features:
        return Window(task, texts, None)
    cells = rows["image"].to_pylist()
    picture = _stand_in() if any(cell is not None and host_of(cell) is not None for cell in cells) else b""
    # What follows a JPEG's end is not read, and makes each a picture of its own.
    cells = [
        cell if cell is None or host_of(cell) is None else picture + number.to_bytes(4)
        for number, cell in enumerate(cells)
    ]
    return fresh_window(
        task, texts, cells=cells, errors=[None] * len(cells), fetcher=fetcher, preprocessor=towers.image
    )


def _stand_in() -> bytes:
    file = io.BytesIO()
    Image.fromarray(built_in_picture()).resize(STAND_IN_SIZE).save(file, "JPEG", quality=90)
    return file.getvalue()


def _by_reason(pictures: PictureCounts) -> Counter[str]:
    found: Counter[str] = Counter()
    for (_, reason), count in pictures.failed.items():
        found[reason] += count
    return found


def _num_without_words(rows: pa.Table) -> int:
    title, description = (pc.is_null(rows[feature]) for feature in LEXICAL_TEXTS)
    return int(pc.sum(pc.and_(title, description)).as_py() or 0)
