"""Stage one: a catalog in, a shard set out, one shard after another, going on where an earlier run stopped.

A set that is whole is not touched while a changed catalog is embedded: changed shards go to files of other names beside
it, `update.json` lists those that are done, and when all are, `manifest.json` is replaced. That is the moment of the
change: whoever opens the set has either the old or the new one, and a killed run loses neither. Who has opened the old
one holds its files open and reads it to the end, though their names go.
"""

import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from prodemb.catalog.budget import PictureCounts, check_budget
from prodemb.catalog.images import ImagesConfig
from prodemb.catalog.reader import Catalog
from prodemb.core.device import choose_device, num_devices
from prodemb.core.errors import CatalogError
from prodemb.core.files import writing_to
from prodemb.core.text import counted
from prodemb.embed.config import EmbedConfig
from prodemb.embed.plan import Plan, indexed, make_plan
from prodemb.embed.processes import make_shards_in_processes
from prodemb.embed.reuse import INDEX_FOLDER, PicturesAgain
from prodemb.embed.worker import Job, Listener, Spent, make_shards
from prodemb.shards.format import UPDATE_NAME, Changes, Manifest, ShardRecord, ShardSchema
from prodemb.towers.checkpoint import BUNDLED, Checkpoint, find_checkpoint

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Called with the products done and the products in all."""

LEAST_BUSY = 0.2
"""Part of a run's time that the part which bounds it works at least."""
LARGE_ON_CPU = 50_000
"""Products from which a run on the CPU is warned about."""
_PICTURES_ADVICE = "what is finished stays: put that right and embed again with --retry-failed"


@dataclass(frozen=True, kw_only=True)
class EmbedReport:
    """What a run did, and where its time went."""

    manifest: Manifest
    num_new: int
    """Products in the shards that this run made; the others' were done."""
    seconds: float
    spent: Spent
    """Of all workers and threads together."""
    num_workers: int
    device: str

    @property
    def bottleneck(self) -> str | None:
        """The part whose threads were the busiest; None where even they were idle most of the time."""
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
        busiest = max(busy, key=lambda part: busy[part])
        return busiest if busy[busiest] >= LEAST_BUSY * self.seconds else None


def embed(
    config: EmbedConfig,
    *,
    catalog: Catalog,
    images: ImagesConfig,
    progress: Progress | None = None,
    replace: bool = False,
    again: PicturesAgain = "none",
) -> EmbedReport:
    """Bring the shard set at `config.out` to the state of the catalog, encoding only contents that it has not.

    A shard stays as it is when its file has the recorded checksum and was made from the same rows. One whose rows
    changed takes the vectors of all contents that the set holds anywhere, and only the others go through the towers. A
    shard that is damaged is made again as at first.

    Args:
        replace: make the set anew if it holds vectors of another model or other features, in place of refusing; for
            the set of a checkpoint that was fine-tuned again.
        again: which pictures are fetched again though nothing says that they changed. A picture on a server counts as
            unchanged while its address is the same; "all" asks the server. Shards whose pictures an interrupted run
            has fetched again stay as they are, whatever the next one is asked for, where their rows are the same; of
            the others the pictures of the set in place count.

    Raises:
        CatalogError: the catalog cannot be read, or its product ids are not unique.
        ModelError: the checkpoint cannot be loaded.
        FingerprintError: the folder holds vectors of another model.
        ShardError: the folder holds other features, or another catalog's products.
        ImagesError: more pictures failed than `[images] max_failure_rate` allows.
        BusyError: another run writes to the folder.
        OutputError: the folder cannot be written to.
        WorkerError: one of several worker processes died.
    """
    started = time.perf_counter()
    folder = Path(config.out)
    num_products = catalog.check_ids()
    if not num_products:
        raise CatalogError(f"{catalog.name}: found no product with an id of its own, wanted at least one")
    checkpoint = find_checkpoint(config.model, revision=config.revision)
    with writing_to(folder):
        plan = make_plan(config, catalog=catalog, images=images, checkpoint=checkpoint, anew=replace, again=again)
        run = _Run(config, catalog=catalog, images=images, num_products=num_products, plan=plan, progress=progress)
        num_missing = run.num_shards - len(plan.done)
        num_workers = min(config.workers or num_devices(config.device), num_missing)
        if plan.schema is not None and not num_missing:
            run.started(plan.schema)
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
                taken=plan.taken,
                reuse=plan.reuse,
                reusing=plan.reusing,
            )
            with indexed(plan, catalog=catalog, folder=folder, checkpoint=checkpoint):
                spent = _make(job, plan=plan, listener=run)
        shutil.rmtree(folder / INDEX_FOLDER, ignore_errors=True)  # of a run that was killed behind its last shard
        return EmbedReport(
            manifest=run.finish(),
            num_new=run.num_new,
            seconds=time.perf_counter() - started,
            spent=spent,
            num_workers=max(1, num_workers),
            device=choose_device(config.device).type,
        )


def _make(job: Job, *, plan: Plan, listener: Listener) -> Spent:
    """Make the shards that are not done, by one or several workers."""
    is_done = [index in plan.done for index in range(job.num_shards)]
    if job.num_workers == 1:
        return make_shards(job, place=0, is_mine=lambda index: not is_done[index], listener=listener)
    return make_shards_in_processes(job, is_done=is_done, listener=listener)


class _Run:
    """The shards of one run: those that were done before, and those its workers make."""

    def __init__(
        self,
        config: EmbedConfig,
        *,
        catalog: Catalog,
        images: ImagesConfig,
        num_products: int,
        plan: Plan,
        progress: Progress | None,
    ) -> None:
        self.num_shards = -(-num_products // config.shard_size)
        self.num_new = 0
        self._config, self._catalog, self._images, self._num_products = config, catalog, images, num_products
        self._folder = Path(config.out)
        self._skipped_rows = catalog.num_skipped()
        self._num_rows = num_products + sum(self._skipped_rows.values())
        self._plan = plan
        self._records = dict(plan.done)
        self._num_old = sum(record.num_products for record in plan.done.values())
        self._pictures = PictureCounts()
        self._progress = progress

    def started(self, schema: ShardSchema) -> None:
        """From here on the set is one of this schema."""
        self._schema = schema
        if len(self._records) < self.num_shards:
            self._write_journal()

    def encoded(self, num_products: int, pictures: PictureCounts) -> None:
        """Show how far the run is, and end it once too many pictures failed."""
        self.num_new += num_products
        self._pictures += pictures
        check_budget(self._pictures, images=self._images, advice=_PICTURES_ADVICE)
        if self._progress is not None:
            self._progress(self._num_old + self.num_new, self._num_products)

    def written(self, index: int, record: ShardRecord) -> None:
        """Record a shard: from now on it exists."""
        self._plan.checked.note(record)
        self._records[index] = record
        self._write_journal()

    def finish(self) -> Manifest:
        """Put the set in place, and remove shards that it does not hold.

        Raises:
            CatalogError: the shards do not hold as many products as the catalog had.
        """
        num_made = sum(record.num_products for record in self._records.values())
        if num_made + sum(self._skipped_rows.values()) != self._num_rows:
            raise CatalogError(
                f"{self._catalog.name}: changed while it was read: found {counted(num_made, 'product')}, "
                f"{self._num_products:,} when the run began; run again"
            )
        manifest = self._manifest(complete=True)
        if self._plan.old != manifest:
            manifest.write(self._folder)
        (self._folder / UPDATE_NAME).unlink(missing_ok=True)
        recorded = {record.name for record in manifest.shards}
        for path in self._folder.glob("part-*.parquet"):
            if path.name not in recorded:
                path.unlink()
        self._plan.checked.remember(manifest.shards)
        return manifest

    def _write_journal(self) -> None:
        self._manifest(complete=False).write(self._folder, name=self._plan.journal)

    def _manifest(self, *, complete: bool) -> Manifest:
        records = [self._records[index] for index in sorted(self._records)]
        old, is_update = self._plan.old, self._plan.journal == UPDATE_NAME
        if complete:
            records = [record.model_copy(update={"changes": None}) for record in records]
        return Manifest(
            shard_schema=self._schema,
            catalog=self._catalog.name,
            num_rows=self._num_rows,
            skipped_rows=self._skipped_rows,
            shard_size=self._config.shard_size,
            complete=complete,
            shards=tuple(records),
            changes=self._changes() if complete else None,
            base_checksum=old.checksum() if old is not None and is_update and not complete else None,
        )

    def _changes(self) -> Changes | None:
        """What is other than in the set before; what that set says itself where nothing is."""
        old = self._plan.old
        if old is not None and old.complete and list(old.shards) == [self._records[i] for i in sorted(self._records)]:
            return old.changes
        if old is None or self._plan.reuse is None:
            return None
        total = Changes()
        for place, record in self._records.items():
            if record.changes is not None:
                total += record.changes
                continue
            there = _num_vectors(record)
            is_kept = record in old.shards and place in self._plan.done
            made = {"vectors_reused": there} if is_kept else {"vectors_encoded": there}
            total += Changes(unchanged=record.num_products, **made)
        unknown = min(self._plan.num_lost, total.added)
        num_known = old.num_products - self._plan.num_lost
        return total.model_copy(
            update={
                "added": total.added - unknown,
                "unknown": unknown,
                "removed": max(0, num_known - total.changed - total.unchanged),
            }
        )


def _num_vectors(record: ShardRecord) -> int:
    """Vectors in a shard that are not absent."""
    return sum(record.num_products - sum(reasons.values()) for reasons in record.null_counts.values())


def _warn_if_slow(config: EmbedConfig, *, checkpoint: Checkpoint, num_products: int) -> None:
    on_cpu = choose_device(config.device).type == "cpu"
    if on_cpu and num_products > LARGE_ON_CPU and checkpoint.name != BUNDLED:
        logger.warning("%s products on a CPU will take hours; on a CUDA device, minutes", f"{num_products:,}")
