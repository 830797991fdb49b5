"""What a run has to do: which shards stay, which are made from which rows, and which vectors it may reuse."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from prodemb.catalog.images import ImageLoader, ImagesConfig
from prodemb.catalog.reader import Catalog
from prodemb.core.device import num_devices
from prodemb.core.errors import ConfigError, FingerprintError, ShardError, VersionError
from prodemb.core.features import Feature
from prodemb.core.files import temporary_name
from prodemb.core.text import counted
from prodemb.embed.config import EmbedConfig
from prodemb.embed.reuse import RetryPictures, ReusePlan, Source
from prodemb.shards.checked import Checked
from prodemb.shards.format import (
    MANIFEST_NAME,
    MAX_PRODUCTS,
    MAX_SHARDS,
    NO_VALUE,
    UPDATE_NAME,
    Manifest,
    ShardRecord,
    ShardSchema,
    encoder,
    has_manifest,
    read_manifest,
    shard_index,
    shard_inputs_hash,
)
from prodemb.shards.hashes import rows_hashes
from prodemb.shards.lexical import LexicalKind
from prodemb.shards.rebuild import rebuilt_manifest
from prodemb.shards.text import text_encoder
from prodemb.shards.verify import damaged_shards
from prodemb.towers.checkpoint import Checkpoint
from prodemb.towers.text_checkpoint import TextCheckpoint

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ShardTask:
    """One shard to make."""

    index: int
    """Of the shard in the set."""
    start: int
    stop: int
    """Its products are those of the catalog from `start` to before `stop`."""
    reuses: bool = False
    """Whether it may take vectors from the earlier set."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run: everything that decides what comes out of it, for the run and for each of its workers."""

    config: EmbedConfig
    catalog: Catalog
    images: ImagesConfig
    checkpoint: Checkpoint
    text_checkpoint: TextCheckpoint | None = None
    """What makes the text vectors, if any."""
    num_products: int
    """Of the catalog."""
    todo: tuple[ShardTask, ...]
    """The shards to make, in catalog order."""
    done: dict[int, ShardRecord]
    """The shards that need not be made, by their index."""
    old: Manifest | None = None
    """The set in place."""
    schema: ShardSchema | None = None
    """Of the shards that are done: the set's own, or that of an update under way."""
    num_lost: int = 0
    """Products of the set in place that were in damaged shards of which other rows are to be made now."""
    journal: str = MANIFEST_NAME
    """The manifest that lists what is done while the run goes on: the set's own, or that of an update."""
    reserved: frozenset[str] = frozenset()
    """Files of the set in place, which stay until the update is complete."""
    reuse: ReusePlan | None = None
    """The earlier set to take vectors from."""

    @property
    def text_encoder(self) -> str | None:
        """The `prodemb.shards.text.text_encoder` of the run; None without text vectors."""
        if self.text_checkpoint is None:
            return None
        return text_encoder(self.text_checkpoint.fingerprint, template=self.config.text_template)

    @property
    def folder(self) -> Path:
        """Of the shard set."""
        return Path(self.config.out)

    @property
    def num_workers(self) -> int:
        """Processes that make shards side by side where one machine does; 0 where there is nothing to make."""
        return min(self.config.workers or num_devices(self.config.device), len(self.todo))

    def for_worker(self) -> "Plan":
        """The same without the lists of all shards, which a worker on another machine need not have."""
        return replace(self, todo=(), done={}, old=None)


def make_plan(
    config: EmbedConfig,
    *,
    catalog: Catalog,
    images: ImagesConfig,
    checkpoint: Checkpoint,
    num_products: int,
    checked: Checked,
    replace_set: bool,
    retry: RetryPictures,
    text_checkpoint: TextCheckpoint | None = None,
) -> Plan:
    """Compare the folder with the catalog.

    The plan depends on the set in place, the catalog and the settings alone, but for the shards that an interrupted run
    has made already, so that the same set comes out however often a run is interrupted.

    Args:
        num_products: of the catalog.
        checked: takes in the shards whose checksum is right.
        replace_set: replace a set of another model or other features, in place of refusing.
        retry: which pictures are fetched again.
        text_checkpoint: what makes the text vectors, if any.

    Raises:
        ConfigError: the catalog would have more shards than a set can hold.
        FingerprintError: the set in place was made by another model.
        ShardError: it has features that this run does not want, or is of another schema version.
    """
    folder, size = Path(config.out), config.shard_size
    _check_num_shards(num_products, shard_size=size)
    old = _in_place(folder)
    plan = Plan(
        config=config,
        catalog=catalog,
        images=images,
        checkpoint=checkpoint,
        text_checkpoint=text_checkpoint,
        num_products=num_products,
        todo=tuple(
            ShardTask(index=index, start=start, stop=min(start + size, num_products))
            for index, start in enumerate(range(0, num_products, size))
        ),
        done={},
        old=old,
    )
    if old is None:
        return plan
    if not replace_set:
        _check_settings(old, plan=plan)
    inputs = _inputs_hashes(plan)
    damaged = damaged_shards(folder, manifest=old, checked=checked)
    if damaged:
        logger.warning("%s: damaged and made again: %s", folder, counted(len(damaged), "shard"))
    recorded = _by_index(old.shards)
    whole = {index: record for index, record in recorded.items() if record.name not in damaged}
    current = {
        index for index in recorded.keys() & inputs.keys() if _inputs_hash(old, recorded[index]) == inputs[index]
    }
    kept = {i: whole[i] for i in sorted(current & whole.keys()) if not _retries(whole[i], retry=retry)}
    plan = replace(plan, schema=old.shard_schema)
    if not old.complete and kept.keys() == whole.keys():
        return _with_done(plan, kept)
    # A damaged shard of the same rows is made as at first, so that a repaired set is what it was.
    repaired = current - whole.keys()
    is_repair = len(inputs) == len(recorded) and inputs.keys() - kept.keys() <= repaired
    features = tuple(feature for feature in config.features if _is_reusable(old, feature, plan=plan))
    sources = tuple(Source(folder=folder, record=whole[index]) for index in sorted(whole))
    reuse = ReusePlan(folder=folder / temporary_name("index"), sources=sources, features=features, retry=retry)
    plan = replace(
        plan,
        todo=tuple(replace(task, reuses=task.index not in repaired) for task in plan.todo),
        num_lost=sum(recorded[index].num_products for index in recorded.keys() - whole.keys() - current),
        journal=UPDATE_NAME,
        reserved=frozenset(record.name for record in whole.values()),
        reuse=reuse if sources and features and not is_repair else None,
    )
    journal = _journal(plan)
    made = {} if journal is None else _journalled(journal, plan=plan, inputs=inputs, checked=checked)
    if refreshed := made.keys() & kept.keys():
        logger.warning(
            "%s: takes %s whose pictures an interrupted run had fetched again; the others keep theirs",
            *(folder, counted(len(refreshed), "shard")),
        )
    if journal is not None and made:
        plan = replace(plan, schema=journal.shard_schema)
    return _with_done(plan, kept | made)


def _check_num_shards(num_products: int, *, shard_size: int) -> None:
    num_shards = -(-num_products // shard_size)
    if num_shards <= MAX_SHARDS:
        return
    least = -(-num_products // MAX_SHARDS)
    wanted = f"{least:,} or more" if least <= MAX_PRODUCTS else "fewer products, in a set for each part of the catalog"
    raise ConfigError(
        f"[embed] shard_size: found {shard_size:,}, with which {num_products:,} products are {num_shards:,} shards, "
        f"and a set holds {MAX_SHARDS:,} at most; wanted {wanted}"
    )


def _with_done(plan: Plan, done: dict[int, ShardRecord]) -> Plan:
    return replace(plan, done=done, todo=tuple(task for task in plan.todo if task.index not in done))


def _by_index(records: tuple[ShardRecord, ...]) -> dict[int, ShardRecord]:
    return {index: record for record in records if (index := shard_index(record.name)) is not None}


def _in_place(folder: Path) -> Manifest | None:
    """The manifest of the set in place; where it is damaged, one rebuilt from the shards."""
    if not has_manifest(folder):
        return None
    try:
        return read_manifest(folder)
    except ShardError as error:
        if isinstance(error, VersionError):
            raise
        rebuilt = rebuilt_manifest(folder)
        num_found = 0 if rebuilt is None else len(rebuilt.shards)
        logger.warning("%s; rebuilt from what is whole, %s", error, counted(num_found, "shard"))
        if rebuilt is not None:
            rebuilt.write(folder)
        return rebuilt


def _inputs_hashes(plan: Plan) -> dict[int, str]:
    """The inputs hash that each shard of the catalog is to have, by its index; reads the whole catalog."""
    config = plan.config
    with ImageLoader(plan.images, root=plan.catalog.image_root) as loader:
        rows = rows_hashes(
            plan.catalog,
            loader=loader if "image" in config.features else None,
            shard_size=config.shard_size,
            window=config.window_size(),
        )
    return {
        index: shard_inputs_hash(
            rows_hash,
            fingerprint=plan.checkpoint.fingerprint,
            features=config.features,
            lexical=config.lexical,
            text=plan.text_encoder,
        )
        for index, rows_hash in enumerate(rows)
    }


def _inputs_hash(manifest: Manifest, record: ShardRecord) -> str:
    """Of a recorded shard."""
    return manifest.shard_schema.inputs_hash(record.rows_hash)


def _is_reusable(old: Manifest, feature: Feature, *, plan: Plan) -> bool:
    """Whether the vectors of a feature were made as this run would make them."""
    schema = old.shard_schema
    own = encoder(feature, fingerprint=plan.checkpoint.fingerprint, lexical=plan.config.lexical, text=plan.text_encoder)
    return feature in schema.features and schema.encoder_of(feature) == own


def _retries(record: ShardRecord, *, retry: RetryPictures) -> bool:
    """Whether some of a shard's pictures are to be fetched again."""
    if retry == "all":
        return True
    return retry == "failed" and any(reason != NO_VALUE for reason in record.null_counts.get("image", {}))


def _journal(plan: Plan) -> Manifest | None:
    """The journal of an interrupted update of the same set; None where there is none."""
    assert plan.old is not None
    try:
        journal = read_manifest(plan.folder, name=UPDATE_NAME)
    except ShardError:
        return None
    return journal if journal.base_checksum == plan.old.checksum() else None


def _journalled(journal: Manifest, *, plan: Plan, inputs: dict[int, str], checked: Checked) -> dict[int, ShardRecord]:
    """The shards that an interrupted update has made, as far as this run would make the same."""
    made = tuple(record for record in journal.shards if record.name not in plan.reserved)
    damaged = damaged_shards(plan.folder, manifest=journal.model_copy(update={"shards": made}), checked=checked)
    return {
        index: record
        for index, record in _by_index(made).items()
        if record.name not in damaged and _inputs_hash(journal, record) == inputs.get(index)
    }


def _check_settings(old: Manifest, *, plan: Plan) -> None:
    """Raise where the set in place is of another model or has other features; an additional feature is welcome.

    So is another text encoder: its vectors replace the old ones, and CLIP's stay.
    """
    config, checkpoint = plan.config, plan.checkpoint
    folder, found = config.out, old.shard_schema
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
    if found.text is not None and plan.text_checkpoint is not None and found.text.encoder != plan.text_encoder:
        logger.warning(
            "%s: its text vectors, of %s (%s) and %s, are replaced by those of %s (%s) and %s; the others stay",
            *(folder, found.text.model, found.text.fingerprint, list(found.text.template)),
            *(plan.text_checkpoint.name, plan.text_checkpoint.fingerprint, list(config.text_template)),
        )
