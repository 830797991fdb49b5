"""What a run would do, how long it would take here and what it needs on disk; nothing is written to the project."""

import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from prodemb.catalog.images import ImagesConfig
from prodemb.catalog.reader import Catalog
from prodemb.core.device import choose_device
from prodemb.core.errors import CatalogError, ShardError
from prodemb.core.files import nearest_folder
from prodemb.core.folders import check_apart
from prodemb.core.progress import ProgressCallback
from prodemb.embed.config import EmbedConfig
from prodemb.embed.embed import busy_seconds
from prodemb.embed.index import indexed
from prodemb.embed.pace import Round, measure_pace
from prodemb.embed.paths import node_texts
from prodemb.embed.plan import Plan, make_plan
from prodemb.embed.reuse import RetryPictures, Reuse
from prodemb.embed.worker import Timings
from prodemb.embed.workload import Workload, count_workload
from prodemb.shards.checked import Checked
from prodemb.shards.files import check_unlisted
from prodemb.shards.format import HASH_BYTES, has_manifest, read_manifest
from prodemb.shards.paths import read_path_vectors
from prodemb.taxonomy.taxonomy import Taxonomy
from prodemb.towers.checkpoint import find_checkpoint
from prodemb.towers.load import choose_dtype, load_towers
from prodemb.towers.reference import check_against_reference
from prodemb.towers.text_encoder import load_text_encoder

FASTER, SLOWER = 0.7, 1.5
"""How far a run may be from what a sample of it took: larger batches, other rows, a machine that warms up."""
FETCH_S = (0.1, 1.0)
"""Seconds that a server may take for a picture."""
TEXT_SHARE = 0.6
"""Bytes of a text in a shard, compressed, for a byte of it in the catalog."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a run has before it, in numbers; times are (least, most) seconds."""

    catalog: str
    model: str
    device: str
    dtype: str
    folder: Path
    num_shards: int
    """To be made."""
    workload: Workload
    num_names: int
    """Texts for the text tower that stand for the taxonomy's nodes."""
    sample: Round | None
    """What the time was measured on; None where nothing is to be done."""
    seconds: tuple[float, float]
    """All in all."""
    fetching: tuple[float, float]
    """For pictures on servers, which are assumed to take `FETCH_S` each."""
    bottleneck: str | None
    """The part of the work that takes longest."""
    num_bytes: int
    """On disk, for the shards to be made."""
    free_bytes: int
    """On the disk of the shard set."""


def estimate(
    config: EmbedConfig,
    *,
    catalog: Catalog,
    images: ImagesConfig,
    taxonomy: Taxonomy | None = None,
    on_progress: ProgressCallback | None = None,
    replace_set: bool = False,
    retry: RetryPictures = "none",
) -> Estimate:
    """Count what embedding a catalog would take, and measure a sample of it on this device.

    The counts are exact, from one pass that costs what reading the catalog costs. An earlier set is hashed as by a
    run, and its index lies in the system's folder for temporary files meanwhile. Nothing is fetched from servers.

    Args:
        taxonomy: whose nodes are encoded too where their vectors do not lie beside the shards.
        on_progress: called with the products counted and the products in all.
        replace_set: as `replace` of `prodemb.embed.embed.embed`, as is `retry`.

    Raises:
        CatalogError, ModelError, FingerprintError, ShardError, OutputError: what a run would raise before its first
            shard.
    """
    folder = Path(config.out)
    num_products = catalog.check_ids()
    if not num_products:
        raise CatalogError(f"{catalog.name}: found no product with an id of its own, wanted at least one")
    checkpoint = find_checkpoint(config.model, revision=config.revision, truncate_dim=config.truncate_dim)
    text_checkpoint = config.text_checkpoint()
    check_apart(folder, [file.path for file in catalog.files if isinstance(file.path, Path)])
    check_unlisted(folder)
    if has_manifest(folder):
        read_manifest(folder)  # a run replaces a damaged one, which is not for this function to do
    with tempfile.TemporaryDirectory(prefix="prodemb-") as temporary:
        plan = make_plan(
            config,
            catalog=catalog,
            images=images,
            checkpoint=checkpoint,
            text_checkpoint=text_checkpoint,
            num_products=num_products,
            checked=Checked(folder),
            replace_set=replace_set,
            retry=retry,
        )
        if plan.reuse is not None:
            plan = replace(plan, reuse=replace(plan.reuse, folder=Path(temporary) / "index"))
        with indexed(plan):
            reuse = Reuse(plan.reuse) if plan.reuse is not None and plan.todo else None
            workload, sample = count_workload(plan, reuse=reuse, on_progress=on_progress)
        measured, num_bytes, loading_s = None, 0, 0.0
        if plan.todo:
            started = time.perf_counter()
            towers = load_towers(checkpoint, device=config.device, dtype=config.dtype)
            check_against_reference(towers)
            text_encoder = None
            if text_checkpoint is not None:
                text_encoder = load_text_encoder(text_checkpoint, device=config.device, dtype=config.dtype)
            loading_s = time.perf_counter() - started
            measured = measure_pace(plan, towers=towers, sample=sample, text_encoder=text_encoder)
            dims = {"lexical": config.lexical_dim, "text": 0 if text_encoder is None else text_encoder.dim}
            num_bytes = _num_bytes(workload, dims=[dims.get(feature, towers.dim) for feature in config.features])
    device = choose_device(config.device)
    num_names = 0 if taxonomy is None else _num_names(taxonomy, folder=folder, fingerprint=checkpoint.fingerprint)
    timings = _scaled(measured, workload=workload, num_names=num_names)
    fetching = _fetching(workload, images=images)
    busy = busy_seconds(timings, num_workers=max(1, plan.num_workers)) | {"fetching pictures": sum(fetching) / 2}
    return Estimate(
        catalog=catalog.name,
        model=checkpoint.name,
        device=str(device),
        dtype=str(choose_dtype(config.dtype, device=device)).removeprefix("torch."),
        folder=folder,
        num_shards=len(plan.todo),
        workload=workload,
        num_names=num_names,
        sample=measured,
        seconds=_seconds(timings, measured=measured, plan=plan, loading_s=loading_s, fetching=fetching),
        fetching=fetching,
        bottleneck=max(busy, key=lambda part: busy[part]) if measured is not None else None,
        num_bytes=num_bytes,
        free_bytes=shutil.disk_usage(nearest_folder(folder)).free,
    )


def _num_names(taxonomy: Taxonomy, *, folder: Path, fingerprint: str) -> int:
    try:
        paths = read_path_vectors(folder)
    except ShardError:  # a run makes a damaged file again
        paths = None
    if paths is not None and paths.fingerprint == fingerprint and paths.are_of(taxonomy.paths):
        return 0
    return sum(len(node_texts(path)) for path in taxonomy.paths.values())


def _scaled(measured: Round | None, *, workload: Workload, num_names: int = 0) -> Timings:
    """Seconds of threads for all of the work, from those for a sample of it."""
    if measured is None:
        return Timings()
    took = measured.timings
    return Timings(
        reading=workload.reading_s,
        decoding=_times(took.decoding, workload.num_local + workload.num_remote, of=measured.num_pictures),
        text_tower=_times(took.text_tower, workload.num_texts + num_names, of=took.num_texts),
        image_tower=_times(took.image_tower, workload.num_images, of=took.num_images),
        text_encoder=_times(took.text_encoder, workload.num_joined, of=took.num_joined),
        hashing=_times(took.hashing, workload.num_words, of=measured.num_words),
        num_texts=workload.num_texts,
        num_images=workload.num_images,
        num_joined=workload.num_joined,
        num_decode_threads=took.num_decode_threads,
        num_tower_threads=took.num_tower_threads,
    )


def _times(seconds: float, num: int, *, of: int) -> float:
    return seconds * num / of if of else 0.0


def _seconds(
    timings: Timings, *, measured: Round | None, plan: Plan, loading_s: float, fetching: tuple[float, float]
) -> tuple[float, float]:
    """Of the clock: the threads run side by side as they did for the sample, and several devices too."""
    if measured is None:
        return 0.0, 0.0
    side_by_side = measured.seconds / max(_threads(measured.timings), 1e-9)
    on_cpu = choose_device(plan.config.device).type == "cpu"
    work = _threads(timings) * side_by_side / (1 if on_cpu else max(1, plan.num_workers))
    least = FASTER * max(work, timings.reading)
    most = SLOWER * (work + timings.reading)
    return loading_s + max(least, fetching[0]), loading_s + max(most, fetching[1])


def _threads(timings: Timings) -> float:
    return timings.decoding + timings.text_tower + timings.image_tower + timings.text_encoder + timings.hashing


def _fetching(workload: Workload, *, images: ImagesConfig) -> tuple[float, float]:
    """Seconds until the host with most pictures has sent its last one.

    Hosts that have pictures left get as many threads each, by the rule of `FairQueue`: a share of those that the
    others leave.
    """
    rounds, num_sent, num_hosts = 0.0, 0, len(workload.hosts)
    for num_pictures in sorted(workload.hosts.values()):
        share = images.host_share / (1 + images.host_share * (num_hosts - 1))
        at_a_time = min(max(1.0, images.concurrency * share), images.concurrency / num_hosts)
        rounds += (num_pictures - num_sent) / at_a_time
        num_sent, num_hosts = num_pictures, num_hosts - 1
    return FETCH_S[0] * rounds, FETCH_S[1] * rounds


def _num_bytes(workload: Workload, *, dims: Sequence[int]) -> int:
    """Vectors and hashes as they lie in shards, present or not, and the texts.

    Args:
        dims: numbers in a vector of each feature.
    """
    per_product = 2 * sum(dims) + HASH_BYTES * (len(dims) + ("image" in workload.present))
    return workload.num_todo * per_product + int(TEXT_SHARE * workload.text_bytes)
