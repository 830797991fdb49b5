"""What a run would do, how long it would take, here or on a cluster, and what it needs on disk; nothing is kept."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from prodemb.catalog.images import ImagesConfig
from prodemb.catalog.reader import Catalog
from prodemb.core.errors import CatalogError, ShardError
from prodemb.core.progress import ProgressCallback
from prodemb.embed.config import EmbedConfig
from prodemb.embed.embed import busy_seconds
from prodemb.embed.executors.pace import ClusterUse, Pace, pace_here, pace_on_ray
from prodemb.embed.index import indexed
from prodemb.embed.pace import Round
from prodemb.embed.paths import node_texts
from prodemb.embed.plan import make_plan
from prodemb.embed.reuse import RetryPictures, Reuse
from prodemb.embed.worker import Timings
from prodemb.embed.workload import Workload, count_workload
from prodemb.shards.add_object import num_requests
from prodemb.shards.checked import Checked
from prodemb.shards.files import check_outside, check_unlisted
from prodemb.shards.folder import ShardFolder, shard_folder
from prodemb.shards.format import HASH_BYTES, has_manifest, read_manifest
from prodemb.shards.paths import read_path_vectors
from prodemb.storage.address import Place, place
from prodemb.taxonomy.taxonomy import Taxonomy
from prodemb.towers.checkpoint import find_checkpoint

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
    """As set, where nothing is to be done; so is the number format."""
    dtype: str
    folder: Place
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
    free_bytes: int | None
    """On the disk of the shard set; None where it lies on none."""
    cluster: ClusterUse | None = None
    """What a run would have of a Ray cluster; None where it is made on this machine."""
    host: str | None = None
    """The machine of the cluster that the sample was measured on."""

    @property
    def products_per_s(self) -> tuple[float, float]:
        """The least and the most."""
        least, most = self.seconds
        return (self.workload.num_todo / most, self.workload.num_todo / least) if least else (0.0, 0.0)

    @property
    def num_requests(self) -> int:
        """To write the shards to a bucket."""
        return self.num_shards * num_requests(-(-self.num_bytes // max(1, self.num_shards)))

    @property
    def gpu_hours(self) -> tuple[float, float]:
        """Of all GPUs of the cluster together, the least and the most; 0 where none works."""
        num_gpus = 0 if self.cluster is None else self.cluster.num_workers * self.cluster.num_gpus
        least, most = self.seconds
        return least * num_gpus / 3600, most * num_gpus / 3600


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
    folder = shard_folder(place(config.out))
    num_products = catalog.check_ids()
    if not num_products:
        raise CatalogError(f"{catalog.name}: found no product with an id of its own, wanted at least one")
    checkpoint = find_checkpoint(config.model, revision=config.revision, truncate_dim=config.truncate_dim)
    text_checkpoint = config.text_checkpoint()
    check_outside(folder, [file.path for file in catalog.files])
    check_unlisted(folder)
    if has_manifest(folder):
        read_manifest(folder)  # a run replaces a damaged one, which is not for this function to do
    with tempfile.TemporaryDirectory(prefix="prodemb-") as temporary:
        plan = make_plan(
            config,
            folder=folder,
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
        pace, cluster, num_bytes = None, None, 0
        if plan.todo and config.engine == "ray":
            pace, cluster = pace_on_ray(plan, sample=sample)
        elif plan.todo:
            pace = pace_here(plan, sample=sample)
        if pace is not None:
            dims = {"lexical": config.lexical_dim, "text": pace.text_dim}
            num_bytes = _num_bytes(workload, dims=[dims.get(feature, pace.dim) for feature in config.features])
    num_names = 0 if taxonomy is None else _num_names(taxonomy, folder=folder, fingerprint=checkpoint.fingerprint)
    measured = None if pace is None else pace.sample
    if cluster is not None:
        num_workers, shares_cores = cluster.num_workers, False
    else:
        num_workers, shares_cores = max(1, plan.num_workers), pace is not None and pace.device == "cpu"
    timings = _scaled(measured, workload=workload, num_names=num_names, num_alike=1 if cluster is None else num_workers)
    fetching = _fetching(workload, images=images)
    busy = busy_seconds(timings, num_workers=num_workers) | {"fetching pictures": sum(fetching) / 2}
    return Estimate(
        catalog=catalog.name,
        model=checkpoint.name,
        device=config.device if pace is None else pace.device,
        dtype=config.dtype if pace is None else pace.dtype,
        folder=folder.place,
        num_shards=len(plan.todo),
        workload=workload,
        num_names=num_names,
        sample=measured,
        seconds=_seconds(timings, pace=pace, num_alike=1 if shares_cores else num_workers, fetching=fetching),
        fetching=fetching,
        bottleneck=max(busy, key=lambda part: busy[part]) if measured is not None else None,
        num_bytes=num_bytes,
        free_bytes=folder.free_bytes(),
        cluster=cluster,
        host=None if pace is None or cluster is None else pace.host,
    )


def _num_names(taxonomy: Taxonomy, *, folder: ShardFolder, fingerprint: str) -> int:
    try:
        paths = read_path_vectors(folder)
    except ShardError:  # a run makes a damaged file again
        paths = None
    if paths is not None and paths.fingerprint == fingerprint and paths.are_of(taxonomy.paths):
        return 0
    return sum(len(node_texts(path)) for path in taxonomy.paths.values())


def _scaled(measured: Round | None, *, workload: Workload, num_names: int = 0, num_alike: int = 1) -> Timings:
    """Seconds of threads for all of the work, from those for a sample of it.

    Args:
        num_alike: workers like the one that was measured, each with threads of its own.
    """
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
        num_decode_threads=num_alike * took.num_decode_threads,
        num_tower_threads=num_alike * took.num_tower_threads,
    )


def _times(seconds: float, num: int, *, of: int) -> float:
    return seconds * num / of if of else 0.0


def _seconds(
    timings: Timings, *, pace: Pace | None, num_alike: int, fetching: tuple[float, float]
) -> tuple[float, float]:
    """Of the clock: the threads run side by side as they did for the sample, and so do workers.

    Args:
        num_alike: workers as fast as the one that was measured; 1 where several share the cores that it had.
    """
    if pace is None or pace.sample is None:
        return 0.0, 0.0
    side_by_side = pace.sample.seconds / max(_threads(pace.sample.timings), 1e-9)
    work = _threads(timings) * side_by_side / num_alike
    least = FASTER * max(work, timings.reading / num_alike)
    most = SLOWER * (work + timings.reading)
    return pace.loading_s + max(least, fetching[0]), pace.loading_s + max(most, fetching[1])


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
