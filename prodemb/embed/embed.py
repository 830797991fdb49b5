"""Stage one: a catalog in, a shard set out, one shard after another, going on where an earlier run stopped."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from prodemb.catalog.images import ImageLoader, ImagesConfig
from prodemb.catalog.reader import Catalog
from prodemb.device import choose_device, num_devices
from prodemb.embed.config import EmbedConfig
from prodemb.embed.processes import make_shards_in_processes
from prodemb.embed.worker import Job, Spent, make_shards
from prodemb.errors import CatalogError, FingerprintError, ShardError
from prodemb.files import writing_to
from prodemb.hashes import rows_hashes
from prodemb.lexical import LexicalKind
from prodemb.shards.format import Manifest, ShardRecord, ShardSchema, has_manifest, read_manifest, shard_name
from prodemb.shards.reader import ShardSet
from prodemb.towers.checkpoint import BUNDLED, Checkpoint, find_checkpoint

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Called with the products done and the products in all."""

LARGE_ON_CPU = 50_000
"""Products from which a run on the CPU is warned about."""


@dataclass(frozen=True, kw_only=True)
class EmbedReport:
    """What a run did, and where its time went."""

    manifest: Manifest
    num_new: int
    """Products embedded by this run; the others' shards were done."""
    seconds: float
    spent: Spent
    """Of all workers and threads together."""
    num_workers: int
    device: str

    @property
    def bottleneck(self) -> str:
        """The part whose threads were the busiest."""
        spent = self.spent
        busy = {
            "decoding": spent.decoding / max(1, spent.num_decode_threads),
            "hashing words": spent.hashing / max(1, spent.num_decode_threads),
            "reading": spent.reading / self.num_workers,
            "writing": spent.writing / self.num_workers,
            "text tower" if spent.text_tower > spent.image_tower else "image tower": (
                (spent.text_tower + spent.image_tower) / max(1, spent.num_tower_threads)
            ),
        }
        return max(busy, key=lambda part: busy[part])


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
        WorkerError: one of several worker processes died.
    """
    started = time.perf_counter()
    folder = Path(config.out)
    num_products = catalog.check_ids()
    if not num_products:
        raise CatalogError(f"{catalog.name}: found no product with an id of its own, wanted at least one")
    checkpoint = find_checkpoint(config.model, revision=config.revision)
    with writing_to(folder):
        old = _old_manifest(folder, config=config, checkpoint=checkpoint, replace=replace)
        done: dict[int, ShardRecord] = {}
        if old is not None:
            done = _done_shards(old, config=config, catalog=catalog, images=images)
            if old.shards and not done and old.catalog != catalog.name and not replace:
                raise ShardError(
                    f"{folder}: holds {old.num_products:,} products of {old.catalog}, and none of {catalog.name}; "
                    "give another --out, or remove the folder"
                )
        run = _Run(config, catalog=catalog, num_products=num_products, done=done, progress=progress)
        num_missing = run.num_shards - len(done)
        num_workers = min(config.workers or num_devices(config.device), num_missing)
        if old is not None and not num_missing:
            run.started(old.shard_schema)
            spent = Spent()
        else:
            _warn_if_slow(config, checkpoint=checkpoint, num_products=num_products)
            job = Job(
                config=config,
                catalog=catalog,
                images=images,
                checkpoint=checkpoint,
                num_workers=num_workers,
                num_shards=run.num_shards,
            )
            is_done = [index in done for index in range(run.num_shards)]
            if num_workers == 1:
                spent = make_shards(job, place=0, is_mine=lambda index: not is_done[index], listener=run)
            else:
                spent = make_shards_in_processes(job, is_done=is_done, listener=run)
        return EmbedReport(
            manifest=run.finish(),
            num_new=run.num_new,
            seconds=time.perf_counter() - started,
            spent=spent,
            num_workers=max(1, num_workers),
            device=choose_device(config.device).type,
        )


class _Run:
    """The shards of one run: those that were done before, and those its workers make."""

    def __init__(
        self,
        config: EmbedConfig,
        *,
        catalog: Catalog,
        num_products: int,
        done: dict[int, ShardRecord],
        progress: Progress | None,
    ) -> None:
        self.num_shards = -(-num_products // config.shard_size)
        self.num_new = 0
        self._config, self._catalog, self._num_products = config, catalog, num_products
        self._folder = Path(config.out)
        self._left_out = catalog.left_out()
        self._records = dict(done)
        self._num_old = sum(record.num_products for record in done.values())
        self._progress = progress

    def started(self, schema: ShardSchema) -> None:
        """From here on the set is one of this schema."""
        self._schema = schema
        if len(self._records) < self.num_shards:
            self._write_manifest(complete=False)

    def encoded(self, num_products: int) -> None:
        """Show how far the run is."""
        self.num_new += num_products
        if self._progress is not None:
            self._progress(self._num_old + self.num_new, self._num_products)

    def written(self, index: int, record: ShardRecord) -> None:
        """Record a shard: from now on it exists."""
        self._records[index] = record
        self._write_manifest(complete=False)

    def finish(self) -> Manifest:
        """Mark the set complete, and remove shards that the catalog no longer reaches.

        Raises:
            CatalogError: the shards do not hold as many products as the catalog had.
        """
        num_made = sum(record.num_products for record in self._records.values())
        if num_made != self._num_products:
            raise CatalogError(
                f"{self._catalog.name}: changed while it was read: found {num_made:,} products, {self._num_products:,} "
                "when the run began; run again"
            )
        manifest = self._write_manifest(complete=True)
        recorded = {record.name for record in manifest.shards}
        for path in self._folder.glob("part-*.parquet"):
            if path.name not in recorded:
                path.unlink()
        return manifest

    def _write_manifest(self, *, complete: bool) -> Manifest:
        manifest = Manifest(
            shard_schema=self._schema,
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
    wanted = (checkpoint.fingerprint, config.features, config.lexical)
    if replace and (found.fingerprint, found.features, found.lexical) != wanted:
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
    if found.lexical != config.lexical and found.lexical is not None:
        raise ShardError(
            f"{folder}: holds lexical vectors of {found.lexical.dim:,} numbers (version {found.lexical.version}), but "
            f"this run wants {config.lexical_dim:,} (version {LexicalKind().version}); give another --out, or remove "
            "the folder"
        )
    return old


def _done_shards(
    old: Manifest, *, config: EmbedConfig, catalog: Catalog, images: ImagesConfig
) -> dict[int, ShardRecord]:
    """The recorded shards that need not be made again, by their place."""
    folder = Path(config.out)
    with ImageLoader(images, root=catalog.image_root) as loader:
        hashes = rows_hashes(
            catalog,
            loader=loader if "image" in config.features else None,
            shard_size=config.shard_size,
            window=config.window_size(),
        )
    damaged = set(ShardSet(folder, manifest=old).verify())
    if damaged:
        logger.warning("%s: %d shards differ from their checksum and are made again", folder, len(damaged))
    by_name = {record.name: record for record in old.shards if record.name not in damaged}
    places = {place: by_name.get(shard_name(place)) for place in range(len(hashes))}
    return {p: record for p, record in places.items() if record is not None and record.rows_hash == hashes[p]}


def _warn_if_slow(config: EmbedConfig, *, checkpoint: Checkpoint, num_products: int) -> None:
    on_cpu = choose_device(config.device).type == "cpu"
    if on_cpu and num_products > LARGE_ON_CPU and checkpoint.name != BUNDLED:
        logger.warning("%s products on a CPU will take hours; on a CUDA device, minutes", f"{num_products:,}")
