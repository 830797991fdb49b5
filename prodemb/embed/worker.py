"""One worker of stage one: reads ahead, runs the towers of one device and writes, shard after shard."""

import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import astuple, dataclass
from itertools import groupby
from typing import Protocol

from prodemb.catalog.budget import PictureCounts
from prodemb.catalog.images import ImageLoader, ImagesConfig
from prodemb.embed.config import EmbedConfig
from prodemb.embed.pictures import PictureFetcher
from prodemb.embed.plan import Plan, ShardTask
from prodemb.embed.prefetch import Prefetcher
from prodemb.embed.reuse import Reuse
from prodemb.embed.shard import PendingShard, embed_shard
from prodemb.embed.windows import Window, WindowReader
from prodemb.embed.words import LexicalPool
from prodemb.shards.format import ShardRecord, ShardSchema
from prodemb.shards.text import TextKind
from prodemb.shards.writer import write_shard
from prodemb.towers.load import load_towers
from prodemb.towers.pool import TowerPool
from prodemb.towers.reference import check_against_reference
from prodemb.towers.text_encoder import TextEncoder, load_text_encoder
from prodemb.towers.text_reference import check_text_encoder
from prodemb.workers.job import Seat

WINDOWS_AHEAD = 4
"""Windows that may wait, read and their pictures being fetched, for the towers; also those of the next shards."""


@dataclass(frozen=True)
class Timings:
    """Where the time of one or more workers went, in seconds of their threads."""

    reading: float = 0.0
    decoding: float = 0.0
    text_tower: float = 0.0
    image_tower: float = 0.0
    hashing: float = 0.0
    """Of words, into lexical vectors."""
    writing: float = 0.0
    text_encoder: float = 0.0
    """In the one beside CLIP."""
    num_texts: int = 0
    """Distinct texts that went through the tower."""
    num_joined: int = 0
    """Distinct texts that went through the text encoder."""
    num_images: int = 0
    num_decode_threads: int = 0
    num_tower_threads: int = 0

    def __add__(self, other: "Timings") -> "Timings":
        return Timings(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))


class Callback(Protocol):
    """Called as a worker goes on."""

    def on_start(self, schema: ShardSchema) -> None:
        """The towers are loaded; no shard is written yet."""

    def on_window(self, index: int, num_products: int, pictures: PictureCounts) -> None:
        """So many more products of a shard went to the towers, and so many pictures were tried for them."""

    def on_shard(self, index: int, record: ShardRecord) -> None:
        """The file of a shard is complete. Called from another thread than the others."""


def embed_shards(plan: Plan, *, tasks: Iterable[ShardTask], seat: Seat, callback: Callback) -> Timings:
    """Make shards, reading the next ones ahead while the towers work.

    The file of a shard is a function of its rows, the checkpoint, the number format, `batch_tokens` and the earlier
    set, if any: on a CPU any worker makes the same.

    Args:
        tasks: of `plan.todo`; taken one by one, as they are read.
        seat: the first one holds the towers to transformers' own model.

    Raises:
        CatalogError: the catalog cannot be read, or has changed.
        ModelError: the checkpoint cannot be loaded, its vectors are not transformers' own, or a tower failed.
        ImagesError: a picture was not ready in time.
    """
    config, catalog = plan.config, plan.catalog
    seat.take_cores()
    towers = load_towers(plan.checkpoint, device=config.device, index=seat.device, dtype=config.dtype)
    if seat.rank == 0:
        check_against_reference(towers)
    text_encoder = None
    if plan.text_checkpoint is not None:
        text_encoder = load_text_encoder(
            plan.text_checkpoint, device=config.device, index=seat.device, dtype=config.dtype
        )
        if seat.rank == 0:
            check_text_encoder(text_encoder)
    schema = ShardSchema(
        fingerprint=plan.checkpoint.fingerprint,
        model=plan.checkpoint.name,
        dim=towers.dim,
        lexical=config.lexical,
        text=None if text_encoder is None else text_kind(text_encoder, config=config),
        features=config.features,
        fine_tuned=plan.checkpoint.is_fine_tuned,
    )
    callback.on_start(schema)
    reuse = Reuse(plan.reuse) if plan.reuse is not None else None
    num_threads = _num_decode_threads(config, seat=seat)
    with (
        ImageLoader(_own_share(plan.images, seat=seat), root=catalog.image_root) as loader,
        TowerPool(
            towers,
            batch_tokens=config.batch_tokens,
            max_pictures=config.window_size(),
            text_encoder=text_encoder,
        ) as pool,
        PictureFetcher(loader, num_workers=num_threads) as fetcher,
        LexicalPool(config.lexical, num_threads=num_threads) as words,
        _ShardWriter(plan, schema=schema, callback=callback) as writer,
    ):
        reader = WindowReader(
            catalog,
            window=config.window_size(),
            num_products=plan.num_products,
            fetcher=fetcher if "image" in config.features else None,
            preprocessor=towers.image,
            reuse=reuse,
        )

        def reported(windows: Iterable[Window]) -> Iterator[Window]:
            """The windows; each is reported when the next one is asked for."""
            for window in windows:
                yield window
                writer.check()
                counts = PictureCounts() if window.pictures is None else window.pictures.fetched.counts
                callback.on_window(window.task.index, window.rows.num_rows, counts)

        with Prefetcher(reader.windows(tasks), ahead=WINDOWS_AHEAD, source=catalog.name) as prefetched:
            for task, windows in groupby(prefetched, key=lambda window: window.task):
                shard = embed_shard(
                    reported(windows),
                    pool=pool,
                    words=words,
                    features=config.features,
                    template=config.text_template,
                    reuse=reuse if task.reuses else None,
                )
                writer.write(task.index, shard)
        writer.wait()
    return Timings(
        reading=reader.seconds,
        decoding=fetcher.seconds,
        text_tower=pool.seconds.text,
        image_tower=pool.seconds.image,
        text_encoder=pool.seconds.encoder,
        num_joined=pool.seconds.num_joined,
        hashing=words.seconds,
        writing=writer.seconds,
        num_texts=pool.seconds.num_texts,
        num_images=pool.seconds.num_images,
        num_decode_threads=num_threads,
        num_tower_threads=pool.num_threads,
    )


def _num_decode_threads(config: EmbedConfig, *, seat: Seat) -> int:
    """Pictures that a worker decodes at a time."""
    if config.decode_workers is None and seat.num_cores is not None:
        return seat.num_cores
    return max(1, (config.decode_workers or os.cpu_count() or 1) // seat.num_workers)


def _own_share(images: ImagesConfig, *, seat: Seat) -> ImagesConfig:
    """What a worker may fetch at a time."""
    return images.model_copy(update={"concurrency": max(1, images.concurrency // seat.num_workers)})


def text_kind(text_encoder: TextEncoder, *, config: EmbedConfig) -> TextKind:
    """What the text vectors of a run are."""
    return TextKind(
        fingerprint=text_encoder.checkpoint.fingerprint,
        model=text_encoder.checkpoint.name,
        template=config.text_template,
        dim=text_encoder.dim,
    )


class _ShardWriter:
    """Writes each shard in a thread of its own while the next one is being embedded."""

    def __init__(self, plan: Plan, *, schema: ShardSchema, callback: Callback) -> None:
        self.seconds = 0.0
        self._plan, self._schema, self._callback = plan, schema, callback
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="write")
        self._writing: Future[None] | None = None

    def __enter__(self) -> "_ShardWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)

    def write(self, index: int, shard: PendingShard) -> None:
        """Start to write a shard, once the one before it is written: at most two are in memory."""
        self.wait()
        self._writing = self._thread.submit(self._write, index, shard)

    def check(self) -> None:
        """Raise what went wrong in writing, without waiting."""
        if self._writing is not None and self._writing.done():
            self._writing.result()

    def wait(self) -> None:
        """Wait for the shard that is being written."""
        if self._writing is not None:
            self._writing.result()

    def _write(self, index: int, shard: PendingShard) -> None:
        embedded = shard.result()
        started = time.perf_counter()
        record = write_shard(
            self._plan.folder,
            index=index,
            schema=self._schema,
            rows=embedded.rows,
            encoded=embedded.encoded,
            rows_hash=embedded.rows_hash,
            image_sources=embedded.image_sources,
            reserved=self._plan.reserved,
            changes=embedded.changes,
        )
        self._callback.on_shard(index, record)
        self.seconds += time.perf_counter() - started
