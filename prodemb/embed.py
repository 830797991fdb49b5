"""Stage one: a catalog in, a shard set out, one shard after another, going on where an earlier run stopped."""

import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, field_validator

from prodemb.catalog.images import ImageLoader, ImagesConfig
from prodemb.catalog.reader import Catalog
from prodemb.config import Config
from prodemb.device import DeviceName
from prodemb.encode import ShardEncoder, TowerSeconds
from prodemb.errors import FingerprintError, ShardError
from prodemb.features import FEATURES, Feature
from prodemb.feed import Feed, FeedSeconds, rows_hashes
from prodemb.files import writing_to
from prodemb.shards.format import (
    MAX_PRODUCTS,
    Manifest,
    ShardRecord,
    ShardSchema,
    has_manifest,
    read_manifest,
    shard_name,
)
from prodemb.shards.reader import ShardSet
from prodemb.shards.writer import write_shard
from prodemb.towers.checkpoint import BUNDLED, Checkpoint, find_checkpoint
from prodemb.towers.load import DtypeName, Towers, load_towers

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Called with the products done and the products in all."""

LARGE_ON_CPU = 50_000
"""Products from which a run on the CPU is warned about."""


class EmbedConfig(Config):
    """The TOML table [embed]: which CLIP, and how it runs."""

    model: str = BUNDLED
    """`bundled`, a checkpoint folder, or a Hugging Face hub id of a dual encoder (CLIP, SigLIP, SigLIP 2)."""
    revision: str | None = None
    """A branch, tag or commit of a hub id."""
    out: str = "shards/clip"
    """The shard set's folder."""
    features: tuple[Feature, ...] = FEATURES
    """What is encoded. The brand path needs no cat1-3, but strings that repeat cost next to nothing."""
    shard_size: int = Field(default=8192, ge=1, le=MAX_PRODUCTS)
    """Products a shard: what an interrupted run loses at most."""
    window: int = Field(default=512, ge=1)
    """Rows whose texts are sorted by length and batched together; lowered to a divisor of shard_size."""
    device: DeviceName = "auto"
    """`cpu`, `cuda` or `auto`."""
    dtype: DtypeName = "auto"
    """`float32`, `bfloat16` or `auto`: bfloat16 where the hardware multiplies it."""
    image_batch: int | None = Field(default=None, ge=1)
    """Pictures a batch; by default 64 on a CPU and 256 on CUDA."""
    text_tokens: int | None = Field(default=None, ge=1)
    """Padded tokens a text batch; by default 4,096 on a CPU and 32,768 on CUDA."""
    decode_workers: int | None = Field(default=None, ge=1)
    """Threads that fetch and decode pictures; by default one a core. Raise it where pictures are URLs."""

    def window_size(self) -> int:
        """The largest divisor of shard_size that is at most `window`: windows never cross a shard's end."""
        return next(size for size in range(min(self.window, self.shard_size), 0, -1) if self.shard_size % size == 0)

    @field_validator("features")
    @classmethod
    def _in_order(cls, features: tuple[Feature, ...]) -> tuple[Feature, ...]:
        if not features:
            raise ValueError("found no feature, wanted at least one")
        return tuple(feature for feature in FEATURES if feature in features)


@dataclass(frozen=True, kw_only=True)
class EmbedReport:
    """What a run did, and where its time went."""

    manifest: Manifest
    num_new: int
    """Products embedded by this run; the others' shards were done."""
    seconds: float
    reading: float
    decoding: float
    """Seconds of all decode workers together."""
    num_workers: int
    waiting: float
    """Seconds the towers waited for the feed."""
    text_tower: float
    image_tower: float
    writing: float
    num_texts: int
    """Distinct texts that went through the tower."""
    num_images: int
    device: str

    @property
    def bottleneck(self) -> str:
        """The part that the others waited for."""
        if self.waiting > 0.25 * max(self.seconds, 1e-9):
            return "decoding" if self.decoding / self.num_workers > self.reading else "reading"
        parts = {"text tower": self.text_tower, "image tower": self.image_tower, "writing": self.writing}
        return max(parts, key=lambda part: parts[part])


def embed(
    config: EmbedConfig,
    *,
    catalog: Catalog,
    images: ImagesConfig,
    progress: Progress | None = None,
    replace: bool = False,
) -> EmbedReport:
    """Bring the shard set at `config.out` to the state of the catalog, making only the shards that are not done.

    A shard is done when the manifest lists it, its file has the recorded checksum, and it was made from the same rows.

    Args:
        replace: make the set anew if it holds vectors of another model or other features, in place of refusing; for
            the set of a checkpoint that was fine-tuned again.

    Raises:
        CatalogError: the catalog cannot be read, or its product ids are not unique.
        ModelError: the checkpoint cannot be loaded.
        FingerprintError: the folder holds vectors of another model.
        ShardError: the folder holds other features, or another catalog's products.
        BusyError: another run writes to the folder.
    """
    started = time.perf_counter()
    folder = Path(config.out)
    num_products = catalog.check_ids()
    checkpoint = find_checkpoint(config.model, revision=config.revision)
    with writing_to(folder), ImageLoader(images, root=catalog.image_root) as loader:
        picture_loader = loader if "image" in config.features else None
        old = _old_manifest(folder, config=config, checkpoint=checkpoint, replace=replace)
        done: dict[int, ShardRecord] = {}
        if old is not None:
            hashes = rows_hashes(
                catalog, loader=picture_loader, shard_size=config.shard_size, window=config.window_size()
            )
            done = _done_shards(old, folder=folder, hashes=hashes)
            if old.shards and not done and old.catalog != catalog.name and not replace:
                raise ShardError(
                    f"{folder}: holds {old.num_products:,} products of {old.catalog}, and none of {catalog.name}; "
                    "give another --out, or remove the folder"
                )
        run = _Run(config, catalog=catalog, num_products=num_products, done=done, started=started)
        if old is not None and len(done) == run.num_shards:
            return run.finish(old.shard_schema)
        towers = load_towers(checkpoint, device=config.device, dtype=config.dtype)
        _warn_if_slow(towers, num_products=num_products)
        schema = ShardSchema(
            fingerprint=checkpoint.fingerprint, model=checkpoint.name, dim=towers.dim, features=config.features
        )
        feed = Feed(
            catalog,
            loader=picture_loader,
            preprocessor=towers.image,
            shard_size=config.shard_size,
            window=config.window_size(),
            num_workers=run.num_workers,
            skip=frozenset(done),
        )
        run.make_shards(schema, feed=feed, towers=towers, progress=progress)
        return run.finish(schema)


class _Run:
    """The shards of one run: those that were done before, and those it makes."""

    def __init__(
        self, config: EmbedConfig, *, catalog: Catalog, num_products: int, done: dict[int, ShardRecord], started: float
    ) -> None:
        self.num_workers = config.decode_workers or os.cpu_count() or 1
        self.num_shards = -(-num_products // config.shard_size)
        self._config, self._catalog, self._num_products = config, catalog, num_products
        self._folder = Path(config.out)
        self._left_out = catalog.left_out()
        self._records = dict(done)
        self._num_old = sum(record.num_products for record in done.values())
        self._started, self._writing = started, 0.0
        self._in_towers, self._in_feed = TowerSeconds(), FeedSeconds()
        self._device = "none"

    def make_shards(self, schema: ShardSchema, *, feed: Feed, towers: Towers, progress: Progress | None) -> None:
        """Encode window after window; write each finished shard while the next one is being encoded."""
        self._device, self._in_feed = str(towers.device), feed.seconds
        self._write_manifest(schema, complete=False)
        current, encoder = -1, self._encoder(towers, feed=feed)
        num_done = self._num_old
        with feed, ThreadPoolExecutor(1, thread_name_prefix="write") as writer:
            writing: Future[None] | None = None
            for window in feed:
                if window.shard != current:
                    if current >= 0:
                        writing = self._hand_over(writer, writing, schema, current, encoder)
                    current, encoder = window.shard, self._encoder(towers, feed=feed)
                encoder.take(window, feed=feed)
                num_done += window.rows.num_rows
                if progress is not None:
                    progress(num_done, self._num_products)
            if current >= 0:
                writing = self._hand_over(writer, writing, schema, current, encoder)
            if writing is not None:
                writing.result()

    def finish(self, schema: ShardSchema) -> EmbedReport:
        """Mark the set complete, remove shards that the catalog no longer reaches, and report."""
        manifest = self._write_manifest(schema, complete=True)
        recorded = {record.name for record in manifest.shards}
        for path in self._folder.glob("part-*.parquet"):
            if path.name not in recorded:
                path.unlink()
        return EmbedReport(
            manifest=manifest,
            num_new=manifest.num_products - self._num_old,
            seconds=time.perf_counter() - self._started,
            reading=self._in_feed.reading,
            decoding=self._in_feed.decoding,
            num_workers=self.num_workers,
            waiting=self._in_feed.waiting,
            text_tower=self._in_towers.text,
            image_tower=self._in_towers.image,
            writing=self._writing,
            num_texts=self._in_towers.num_texts,
            num_images=self._in_towers.num_images,
            device=self._device,
        )

    def _encoder(self, towers: Towers, *, feed: Feed) -> ShardEncoder:
        on_cpu = towers.device.type == "cpu"
        return ShardEncoder(
            towers=towers,
            features=self._config.features,
            image_batch=self._config.image_batch or (64 if on_cpu else 256),
            text_tokens=self._config.text_tokens or (4_096 if on_cpu else 32_768),
            seconds=self._in_towers,
            rows_hash=feed.rows_hash(),
        )

    def _hand_over(
        self,
        writer: ThreadPoolExecutor,
        writing: "Future[None] | None",
        schema: ShardSchema,
        index: int,
        encoder: ShardEncoder,
    ) -> "Future[None]":
        """Start writing a finished shard, once the one before it is written: at most two are in memory."""
        if writing is not None:
            writing.result()
        return writer.submit(self._write, schema, index, encoder)

    def _write(self, schema: ShardSchema, index: int, encoder: ShardEncoder) -> None:
        begun = time.perf_counter()
        self._records[index] = write_shard(
            self._folder,
            index=index,
            schema=schema,
            rows=encoder.rows,
            encoded=encoder.encoded(),
            rows_hash=encoder.rows_hash,
        )
        self._write_manifest(schema, complete=False)
        self._writing += time.perf_counter() - begun

    def _write_manifest(self, schema: ShardSchema, *, complete: bool) -> Manifest:
        manifest = Manifest(
            shard_schema=schema,
            catalog=self._catalog.name,
            left_out=self._left_out,
            shard_size=self._config.shard_size,
            complete=complete,
            shards=tuple(self._records[index] for index in sorted(self._records)),
        )
        if not (complete and has_manifest(self._folder) and read_manifest(self._folder) == manifest):
            manifest.write(self._folder)
        return manifest


def _old_manifest(folder: Path, *, config: EmbedConfig, checkpoint: Checkpoint, replace: bool) -> Manifest | None:
    """The manifest of an earlier run, held against this one; None where there is none, or it may be replaced.

    Raises:
        FingerprintError: it was made by another model.
        ShardError: it has other features, or is damaged.
    """
    if not has_manifest(folder):
        return None
    old = read_manifest(folder)
    found = old.shard_schema
    if replace and (found.fingerprint, found.features) != (checkpoint.fingerprint, config.features):
        return None
    if found.fingerprint != checkpoint.fingerprint:
        raise FingerprintError(
            f"{folder}: holds vectors of {found.model} ({found.fingerprint}), but this run's model is "
            f"{checkpoint.name} ({checkpoint.fingerprint}); give another --out, or remove the folder"
        )
    if found.features != config.features:
        raise ShardError(
            f"{folder}: holds the features {', '.join(found.features)}, but this run wants "
            f"{', '.join(config.features)}; give another --out, or remove the folder"
        )
    return old


def _done_shards(old: Manifest, *, folder: Path, hashes: list[str]) -> dict[int, ShardRecord]:
    """The recorded shards that need not be made again, by their place."""
    damaged = set(ShardSet(folder, manifest=old).verify())
    if damaged:
        logger.warning("%s: %d shards differ from their checksum and are made again", folder, len(damaged))
    by_name = {record.name: record for record in old.shards if record.name not in damaged}
    places = {place: by_name.get(shard_name(place)) for place in range(len(hashes))}
    return {p: record for p, record in places.items() if record is not None and record.rows_hash == hashes[p]}


def _warn_if_slow(towers: Towers, *, num_products: int) -> None:
    if towers.device.type == "cpu" and num_products > LARGE_ON_CPU and towers.checkpoint.name != BUNDLED:
        logger.warning("%s products on a CPU will take hours; on a CUDA device, minutes", f"{num_products:,}")
