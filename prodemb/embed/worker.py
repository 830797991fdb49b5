"""One worker of stage one: a feed, the towers of one device and a writer make shard after shard."""

import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Protocol

import torch

from prodemb.catalog.budget import PictureCounts
from prodemb.catalog.images import ImageLoader, ImagesConfig
from prodemb.catalog.reader import Catalog
from prodemb.embed.config import EmbedConfig
from prodemb.embed.encode import ShardEncoder
from prodemb.embed.feed import Feed
from prodemb.embed.reuse import Reuse, ReusePlan
from prodemb.embed.words import LexicalPool
from prodemb.shards.format import ShardRecord, ShardSchema
from prodemb.shards.writer import write_shard
from prodemb.towers.checkpoint import Checkpoint
from prodemb.towers.load import load_towers
from prodemb.towers.pool import TowerPool


@dataclass(frozen=True, kw_only=True)
class Job:
    """What each worker of a run is told."""

    config: EmbedConfig
    catalog: Catalog
    images: ImagesConfig
    checkpoint: Checkpoint
    num_workers: int
    num_shards: int
    """Of the whole catalog."""
    taken: frozenset[str] = frozenset()
    """Files that must stay as they are until the run is done."""
    reuse: ReusePlan | None = None
    """The earlier set whose vectors may be taken."""
    reusing: tuple[bool, ...] = ()
    """Whether they may, for each shard of the catalog."""


@dataclass(frozen=True)
class Spent:
    """Where the time of one or more workers went, in seconds of its threads."""

    reading: float = 0.0
    decoding: float = 0.0
    text_tower: float = 0.0
    image_tower: float = 0.0
    hashing: float = 0.0
    """Of words, into lexical vectors."""
    writing: float = 0.0
    num_texts: int = 0
    """Distinct texts that went through the tower."""
    num_images: int = 0
    num_decode_threads: int = 0
    num_tower_threads: int = 0

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))


class Listener(Protocol):
    """Who is told how the work goes on."""

    def started(self, schema: ShardSchema) -> None:
        """The towers are loaded; no shard is written yet."""

    def encoded(self, num_products: int, pictures: PictureCounts) -> None:
        """So many more products went to the towers, and so many pictures were tried for them."""

    def written(self, index: int, record: ShardRecord) -> None:
        """A shard's file is whole. Called from another thread than the others."""


def make_shards(job: Job, *, place: int, is_mine: Callable[[int], bool], listener: Listener) -> Spent:
    """Make those shards of the catalog for which `is_mine` says so; it is asked once a shard, in their order.

    A shard's file is a function of its rows, the checkpoint, the number format, `batch_tokens` and the earlier set, if
    any: on a CPU any worker makes the same.

    Args:
        place: this worker's number, which decides its device.

    Raises:
        CatalogError: the catalog cannot be read.
        ModelError: the checkpoint cannot be loaded, or a tower fails.
    """
    config = job.config
    if job.num_workers > 1:
        torch.set_num_threads(max(1, torch.get_num_threads() // job.num_workers))
    towers = load_towers(job.checkpoint, device=config.device, index=place, dtype=config.dtype)
    schema = ShardSchema(
        fingerprint=job.checkpoint.fingerprint,
        model=job.checkpoint.name,
        dim=towers.dim,
        lexical=config.lexical,
        features=config.features,
    )
    listener.started(schema)
    reuse = Reuse(job.reuse) if job.reuse is not None else None

    def reuse_for(shard: int) -> Reuse | None:
        return reuse if reuse is not None and job.reusing[shard] else None

    num_decode_threads = max(1, (config.decode_workers or os.cpu_count() or 1) // job.num_workers)
    with (
        ImageLoader(_share(job.images, num_workers=job.num_workers), root=job.catalog.image_root) as loader,
        TowerPool(towers, batch_tokens=config.batch_tokens, pictures_at_most=config.window_size()) as pool,
        Feed(
            job.catalog,
            loader=loader if "image" in config.features else None,
            preprocessor=towers.image,
            shard_size=config.shard_size,
            window=config.window_size(),
            num_workers=num_decode_threads,
            num_shards=job.num_shards,
            is_mine=is_mine,
            reuse_for=reuse_for,
        ) as feed,
        LexicalPool(config.lexical, num_threads=num_decode_threads) as words,
        _ShardWriter(Path(config.out), schema=schema, taken=job.taken, listener=listener) as writer,
    ):
        current, encoder = -1, None
        for window in feed:
            if window.shard != current:
                if encoder is not None:
                    writer.write(current, encoder)
                current = window.shard
                encoder = ShardEncoder(
                    pool=pool,
                    words=words,
                    features=config.features,
                    rows_hash=window.rows_hash,
                    reuse=reuse_for(current),
                )
            assert encoder is not None
            encoder.take(window, feed=feed)
            writer.check()
            counts, feed.counts = feed.counts, PictureCounts()
            listener.encoded(window.rows.num_rows, counts)
        if encoder is not None:
            writer.write(current, encoder)
        writer.wait()
    return Spent(
        reading=feed.seconds.reading,
        decoding=feed.seconds.decoding,
        text_tower=pool.seconds.text,
        image_tower=pool.seconds.image,
        hashing=words.seconds,
        writing=writer.seconds,
        num_texts=pool.seconds.num_texts,
        num_images=pool.seconds.num_images,
        num_decode_threads=num_decode_threads,
        num_tower_threads=pool.num_threads,
    )


def _share(images: ImagesConfig, *, num_workers: int) -> ImagesConfig:
    """What one of several workers may fetch at a time."""
    return images.model_copy(update={"concurrency": max(1, images.concurrency // num_workers)})


class _ShardWriter:
    """Writes each finished shard in a thread of its own while the next one is being encoded."""

    def __init__(self, folder: Path, *, schema: ShardSchema, taken: frozenset[str], listener: Listener) -> None:
        self.seconds = 0.0
        self._folder, self._schema, self._taken, self._listener = folder, schema, taken, listener
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="write")
        self._writing: Future[None] | None = None

    def __enter__(self) -> "_ShardWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)

    def write(self, index: int, encoder: ShardEncoder) -> None:
        """Start writing a shard, once the one before it is written: at most two are in memory."""
        self.wait()
        self._writing = self._thread.submit(self._write, index, encoder)

    def check(self) -> None:
        """Raise what went wrong in writing, without waiting."""
        if self._writing is not None and self._writing.done():
            self._writing.result()

    def wait(self) -> None:
        """Wait for the shard that is being written."""
        if self._writing is not None:
            self._writing.result()

    def _write(self, index: int, encoder: ShardEncoder) -> None:
        encoded = encoder.encoded()
        begun = time.perf_counter()
        record = write_shard(
            self._folder,
            index=index,
            schema=self._schema,
            rows=encoder.rows,
            encoded=encoded,
            rows_hash=encoder.rows_hash,
            image_sources=encoder.image_sources,
            taken=self._taken,
            changes=encoder.changes(encoded),
        )
        self._listener.written(index, record)
        self.seconds += time.perf_counter() - begun
