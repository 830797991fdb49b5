"""What a run has to do: which shards stay, which are made, and which vectors of the set in place they may take."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from prodemb.catalog.images import ImageLoader, ImagesConfig
from prodemb.catalog.reader import Catalog
from prodemb.core.errors import FingerprintError, ShardError, VersionError
from prodemb.core.text import counted
from prodemb.embed.config import EmbedConfig
from prodemb.embed.reuse import INDEX_FOLDER, PicturesAgain, Reuse, ReusePlan, Source, write_index
from prodemb.shards.checked import Checked
from prodemb.shards.format import (
    HASH_BYTES,
    MANIFEST_NAME,
    NO_VALUE,
    UPDATE_NAME,
    Manifest,
    ShardRecord,
    ShardSchema,
    encoder,
    has_manifest,
    read_manifest,
    shard_place,
)
from prodemb.shards.hashes import content_hash, rows_hashes
from prodemb.shards.lexical import LexicalKind
from prodemb.shards.rebuild import rebuilt_manifest
from prodemb.shards.verify import damaged_shards
from prodemb.towers.checkpoint import Checkpoint

logger = logging.getLogger(__name__)

LEAST_SHARED = 0.1
"""Part of the products that an earlier set and a catalog of another name must share, or they are two catalogs."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run over a catalog of n shards."""

    old: Manifest | None = None
    """The set in place."""
    schema: ShardSchema | None = None
    """Of the shards that are done: the set's own, or that of an update under way."""
    done: dict[int, ShardRecord]
    """Shards that need not be made, by their place."""
    checked: Checked
    """Which files were hashed, and what they were then."""
    num_lost: int = 0
    """Products of the set in place that stood in damaged shards of which other rows are to be made now."""
    journal: str = MANIFEST_NAME
    """The manifest that lists what is done while the run goes on: the set's own, or that of an update."""
    taken: frozenset[str] = frozenset()
    """Files of the set in place, which stand until the update is whole."""
    reuse: ReusePlan | None = None
    """The set in place, where it is to be looked at for vectors."""
    reusing: tuple[bool, ...] = ()
    """(n,) whether a shard may take vectors from there: not where it only replaces a damaged file."""


def make_plan(
    config: EmbedConfig,
    *,
    catalog: Catalog,
    images: ImagesConfig,
    checkpoint: Checkpoint,
    anew: bool,
    again: PicturesAgain,
) -> Plan:
    """Hold the folder against the catalog.

    The plan depends on the set in place, the catalog and the settings alone, but for the shards that an interrupted run
    has made already, so that the same run comes out however often it is interrupted.

    Args:
        anew: replace a set of another model or other features, in place of refusing.
        again: which pictures are fetched again.

    Raises:
        FingerprintError: the set in place was made by another model.
        ShardError: it has features that this run does not want, or is of another schema version.
    """
    folder = Path(config.out)
    old = _in_place(folder)
    if old is None:
        return Plan(done={}, checked=Checked(folder))
    if not anew:
        _check_like(old, config=config, checkpoint=checkpoint, folder=folder)
    hashes = _rows_hashes(config, catalog=catalog, images=images)
    checked = Checked(folder)
    damaged = damaged_shards(folder, manifest=old, checked=checked)
    if damaged:
        logger.warning("%s: damaged and made again: %s", folder, counted(len(damaged), "shard"))
    recorded = {place: record for record in old.shards if (place := shard_place(record.name)) is not None}
    whole = {place: record for place, record in recorded.items() if record.name not in damaged}
    is_same = _is_same(old, config=config, checkpoint=checkpoint)
    fitting = {
        place for place, record in recorded.items() if is_same and hashes[place : place + 1] == [record.rows_hash]
    }
    kept = {place: whole[place] for place in fitting if place in whole and not _fetches(whole[place], again=again)}
    if not old.complete and kept.keys() == whole.keys():
        return Plan(old=old, schema=old.shard_schema, done=kept, checked=checked)
    features = tuple(f for f in config.features if _is_reusable(old, f, config=config, checkpoint=checkpoint))
    reusing = tuple(place not in fitting or place in whole for place in range(len(hashes)))
    is_repair = len(hashes) == len(recorded) and not any(reusing[p] for p in range(len(hashes)) if p not in kept)
    reuse = ReusePlan(
        folder=folder / INDEX_FOLDER,
        sources=tuple(Source(folder=folder, record=whole[place]) for place in sorted(whole)),
        features=features,
        again=again,
    )
    plan = Plan(
        old=old,
        schema=old.shard_schema,
        done=kept,
        checked=checked,
        num_lost=sum(recorded[place].num_products for place in recorded.keys() - whole.keys() - fitting),
        journal=UPDATE_NAME,
        taken=frozenset(record.name for record in whole.values()),
        reuse=reuse if whole and features and not is_repair else None,
        reusing=reusing,
    )
    journal = _journal(plan, config=config, checkpoint=checkpoint)
    if journal is None:
        return plan
    made = _journalled(journal, plan=plan, folder=folder, hashes=hashes)
    refreshed = made.keys() & kept.keys()
    if refreshed:
        logger.warning(
            "%s: takes %s whose pictures an interrupted run had fetched again; the others keep theirs",
            *(folder, counted(len(refreshed), "shard")),
        )
    return replace(plan, done=kept | made, schema=journal.shard_schema)


@contextmanager
def indexed(plan: Plan, *, catalog: Catalog, folder: Path, checkpoint: Checkpoint) -> Iterator[None]:
    """Have the index of the set in place at hand, where there are shards to make with it.

    A set of another model goes, whatever catalog it is of; of the same model it must hold products of this catalog.

    Raises:
        ShardError: the set in place is of another catalog.
    """
    shutil.rmtree(folder / INDEX_FOLDER, ignore_errors=True)  # of a killed run
    if plan.reuse is None or len(plan.done) == len(plan.reusing):
        yield
        return
    try:
        write_index(plan.reuse)
        old = plan.old
        stays = old is not None and old.shard_schema.fingerprint == checkpoint.fingerprint
        if old is not None and stays and not plan.done and old.catalog != catalog.name:
            _check_shared(old, Reuse(plan.reuse), catalog=catalog, folder=folder)
        yield
    finally:
        shutil.rmtree(folder / INDEX_FOLDER, ignore_errors=True)


def _in_place(folder: Path) -> Manifest | None:
    """The manifest of the set in place; where it is damaged, one made anew from the shards."""
    if not has_manifest(folder):
        return None
    try:
        return read_manifest(folder)
    except ShardError as error:
        if isinstance(error, VersionError):
            raise
        rebuilt = rebuilt_manifest(folder)
        num_found = 0 if rebuilt is None else len(rebuilt.shards)
        logger.warning("%s; made anew from what is whole, %s", error, counted(num_found, "shard"))
        if rebuilt is not None:
            rebuilt.write(folder)
        return rebuilt


def _rows_hashes(config: EmbedConfig, *, catalog: Catalog, images: ImagesConfig) -> list[str]:
    with ImageLoader(images, root=catalog.image_root) as loader:
        return rows_hashes(
            catalog,
            loader=loader if "image" in config.features else None,
            shard_size=config.shard_size,
            window=config.window_size(),
        )


def _is_same(old: Manifest, *, config: EmbedConfig, checkpoint: Checkpoint) -> bool:
    schema = old.shard_schema
    wanted = (checkpoint.fingerprint, config.features, config.lexical)
    return (schema.fingerprint, schema.features, schema.lexical) == wanted


def _is_reusable(old: Manifest, feature: str, *, config: EmbedConfig, checkpoint: Checkpoint) -> bool:
    """Whether the vectors of a feature were made as this run would make them."""
    schema = old.shard_schema
    return any(
        known == feature
        and schema.encoder_of(known) == encoder(known, fingerprint=checkpoint.fingerprint, lexical=config.lexical)
        for known in schema.features
    )


def _fetches(record: ShardRecord, *, again: PicturesAgain) -> bool:
    """Whether some of a shard's pictures are to be fetched again."""
    if again == "all":
        return True
    return again == "absent" and any(reason != NO_VALUE for reason in record.null_counts.get("image", {}))


def _journal(plan: Plan, *, config: EmbedConfig, checkpoint: Checkpoint) -> Manifest | None:
    """The journal of an interrupted update of the same set to what this run makes; None where there is none."""
    assert plan.old is not None
    try:
        journal = read_manifest(Path(config.out), name=UPDATE_NAME)
    except ShardError:
        return None
    of_this_set = journal.base_checksum == plan.old.checksum()
    return journal if of_this_set and _is_same(journal, config=config, checkpoint=checkpoint) else None


def _journalled(journal: Manifest, *, plan: Plan, folder: Path, hashes: list[str]) -> dict[int, ShardRecord]:
    """The shards that an interrupted update has made, as far as the catalog still wants them."""
    made = tuple(record for record in journal.shards if record.name not in plan.taken)
    written = journal.model_copy(update={"shards": made})
    damaged = damaged_shards(folder, manifest=written, checked=plan.checked)
    places = {shard_place(record.name): record for record in made if record.name not in damaged}
    return {
        place: places[place]
        for place, rows_hash in enumerate(hashes)
        if place in places and places[place].rows_hash == rows_hash
    }


def _check_like(old: Manifest, *, config: EmbedConfig, checkpoint: Checkpoint, folder: Path) -> None:
    """Raise where the set in place is another than this run makes; a feature more is welcome."""
    found = old.shard_schema
    if found.fingerprint != checkpoint.fingerprint:
        raise FingerprintError(
            f"{folder}: holds vectors of {found.model} ({found.fingerprint}), but this run's model is "
            f"{checkpoint.name} ({checkpoint.fingerprint}); give another --out, or remove the folder"
        )
    if not set(found.features) <= set(config.features):
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


def _check_shared(old: Manifest, reuse: Reuse, *, catalog: Catalog, folder: Path) -> None:
    """Raise where hardly any product of the catalog is in the set in place, under the same id and with its title."""
    shared = num_products = 0
    for rows in catalog.batches(8192, columns=["product_id", "title"]):
        titles = b"".join(
            bytes(HASH_BYTES) if title is None else content_hash(title.encode()) for title in rows["title"].to_pylist()
        )
        hashes = np.frombuffer(titles, dtype=np.uint8).reshape(-1, HASH_BYTES)
        product_ids = pl.Series(pa.chunked_array(rows["product_id"]).cast(pa.string()))
        shared += reuse.num_shared(product_ids, titles=hashes)
        num_products += rows.num_rows
    if shared < LEAST_SHARED * min(num_products, old.num_products):
        found = f"{shared:,}" if shared else "none"
        raise ShardError(
            f"{folder}: holds {counted(old.num_products, 'product')} of {old.catalog}, and {found} of {catalog.name}; "
            "give another --out, or remove the folder"
        )
