"""Stage one: a catalog in, a shard set out, one shard after another, going on where an earlier run stopped.

A catalog row's way to its shard: `plan.py` says which shards are made, from which rows; `windows.py` reads their rows
and starts on their pictures, ahead of need; `shard.py` hands what is new to the towers; `prodemb.shards.writer` writes
the file; `run.py` records it.

A complete set is not touched while a changed catalog is embedded: changed shards go to files of other names beside it,
`update.json` lists those that are done, and when all are, `manifest.json` is replaced. That is the moment of the
change: whoever opens the set has either the old or the new one, and a killed run loses neither. Who has opened the old
one holds its files open and reads it to the end, though their names go.
"""

import logging
import time
from dataclasses import dataclass
from pathlib import Path

from prodemb.catalog.images import ImagesConfig
from prodemb.catalog.reader import Catalog
from prodemb.core.device import choose_device
from prodemb.core.errors import CatalogError
from prodemb.core.folders import check_apart, holding
from prodemb.core.progress import ProgressCallback
from prodemb.embed.config import EmbedConfig
from prodemb.embed.executors.executor import Executor, Outcome
from prodemb.embed.executors.local import LocalExecutor
from prodemb.embed.executors.processes import ProcessExecutor
from prodemb.embed.executors.ray import RayExecutor
from prodemb.embed.index import indexed
from prodemb.embed.plan import Plan, make_plan
from prodemb.embed.reuse import RetryPictures
from prodemb.embed.run import Run
from prodemb.embed.worker import Timings
from prodemb.shards.checked import Checked
from prodemb.shards.files import check_unlisted, holds_shards
from prodemb.shards.format import Manifest
from prodemb.towers.checkpoint import BUNDLED, find_checkpoint

logger = logging.getLogger(__name__)

MIN_BUSY = 0.2
"""Part of a run's time that its bottleneck works at least."""
LARGE_ON_CPU = 50_000
"""Products from which a run on the CPU is warned about."""


@dataclass(frozen=True, kw_only=True)
class EmbedReport:
    """What a run made, and where its time went."""

    manifest: Manifest
    num_new: int
    """Products in the shards that this run made; the others' were done."""
    seconds: float
    timings: Timings
    """Of all workers and threads together."""
    num_workers: int
    device: str

    @property
    def bottleneck(self) -> str | None:
        """The part whose threads were the busiest; None where even they were idle most of the time."""
        busy = busy_seconds(self.timings, num_workers=self.num_workers)
        busiest = max(busy, key=lambda part: busy[part])
        return busiest if busy[busiest] >= MIN_BUSY * self.seconds else None


def busy_seconds(timings: Timings, *, num_workers: int) -> dict[str, float]:
    """How long each part of the work keeps its threads busy, in seconds of the clock, by its name."""
    towers = {
        "image tower": timings.image_tower,
        "text tower": timings.text_tower,
        "text encoder": timings.text_encoder,
    }
    return {
        "decoding": timings.decoding / max(1, timings.num_decode_threads),
        "hashing words": timings.hashing / max(1, timings.num_decode_threads),
        "reading": timings.reading / num_workers,
        "writing": timings.writing / num_workers,
        max(towers, key=lambda part: towers[part]): sum(towers.values()) / max(1, timings.num_tower_threads),
    }


def embed(
    config: EmbedConfig,
    *,
    catalog: Catalog,
    images: ImagesConfig,
    on_progress: ProgressCallback | None = None,
    replace: bool = False,
    retry: RetryPictures = "none",
) -> EmbedReport:
    """Bring the shard set at `config.out` to the state of the catalog, encoding only contents that it has not.

    A shard stays as it is when its file has the recorded checksum and its inputs hash is the same: the same rows, model
    and features. One whose rows changed takes the vectors of all contents that the set holds anywhere, and only the
    others go through the towers. A shard that is damaged is made again as at first.

    Args:
        on_progress: called with the products done and the products in all.
        replace: make the set anew if it holds vectors of another model or other features, in place of refusing; for
            the set of a checkpoint that was fine-tuned again.
        retry: which pictures are fetched again though nothing says that they changed. A picture on a server counts as
            unchanged while its address is the same; "all" asks the server. Shards whose pictures an interrupted run
            has fetched again stay as they are, whatever the next one is asked for, where their rows are the same; of
            the others the pictures of the set in place count.

    Raises:
        CatalogError: the catalog cannot be read, or its product ids are not unique.
        ModelError: the checkpoint cannot be loaded.
        FingerprintError: the folder holds vectors of another model.
        ShardError: the folder holds other features, or another catalog's products.
        ImagesError: more pictures failed than `[images] max_failure_rate` allows, or one was not ready in time.
        BusyError: another run writes to the folder.
        OutputError: the folder cannot be written to, holds what prodemb did not make, or holds the catalog.
        WorkerError: one of several worker processes died, or too many of a cluster's workers, or there is no cluster.
    """
    started = time.perf_counter()
    folder = Path(config.out)
    num_products = catalog.check_ids()
    if not num_products:
        raise CatalogError(f"{catalog.name}: found no product with an id of its own, wanted at least one")
    checkpoint = find_checkpoint(config.model, revision=config.revision, truncate_dim=config.truncate_dim)
    text_checkpoint = config.text_checkpoint()
    check_apart(folder, [file.path for file in catalog.files if isinstance(file.path, Path)])
    with holding(folder, kind="shard set", is_own=holds_shards) as held:
        check_unlisted(folder)
        checked = Checked(folder)
        plan = make_plan(
            config,
            catalog=catalog,
            images=images,
            checkpoint=checkpoint,
            text_checkpoint=text_checkpoint,
            num_products=num_products,
            checked=checked,
            replace_set=replace,
            retry=retry,
        )
        run = Run(plan, held=held, checked=checked, on_progress=on_progress)
        try:
            outcome = _make_shards(plan, run=run)
        finally:
            run.keep()
        return EmbedReport(
            manifest=run.finish(),
            num_new=run.num_new,
            seconds=time.perf_counter() - started,
            timings=outcome.timings,
            num_workers=outcome.num_workers,
            device=outcome.device,
        )


def _make_shards(plan: Plan, *, run: Run) -> Outcome:
    """Make the shards that are not done, by one or several workers."""
    if not plan.todo and plan.schema is not None:
        run.on_start(plan.schema)
        config = plan.config
        device = config.device if config.engine == "ray" else choose_device(config.device).type
        return Outcome(timings=Timings(), num_workers=1, device=device)
    _warn_if_slow(plan)
    with indexed(plan):
        return _executor(plan).run(plan, callback=run)


def _executor(plan: Plan) -> Executor:
    config = plan.config
    if config.engine == "ray":
        return RayExecutor(config.ray_address)
    device = choose_device(config.device).type
    return ProcessExecutor(plan.num_workers, device=device) if plan.num_workers > 1 else LocalExecutor(device=device)


def _warn_if_slow(plan: Plan) -> None:
    if plan.config.engine == "ray":
        return
    on_cpu = choose_device(plan.config.device).type == "cpu"
    if on_cpu and plan.num_products > LARGE_ON_CPU and plan.checkpoint.name != BUNDLED:
        logger.warning("%s products on a CPU will take hours; on a CUDA device, minutes", f"{plan.num_products:,}")
