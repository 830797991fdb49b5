"""What is there for a project and whether it works: machine, checkpoints, shard sets, heads, disks."""

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from prodemb.catalog.files import find_files
from prodemb.core.device import DeviceName, choose_device
from prodemb.core.errors import ConfigError, NotFetchedError, ProdembError
from prodemb.core.files import nearest_folder
from prodemb.core.progress import Progress
from prodemb.embed.config import EmbedConfig
from prodemb.heads.head import CARD_NAME, HeadCard
from prodemb.job.embed import with_checkpoint
from prodemb.job.machine import Machine, look_at_machine
from prodemb.job.pipeline import Pipeline
from prodemb.job.sample import is_sample_missing
from prodemb.job.taxonomy import pipeline_taxonomy
from prodemb.score.predictor import load_predictor
from prodemb.score.score import match_shard_sets
from prodemb.shards.format import has_manifest
from prodemb.shards.reader import ShardSet, open_shard_set
from prodemb.storage.address import is_address
from prodemb.storage.desk import folder_to_read
from prodemb.towers.checkpoint import FINETUNE_REPORT, find_checkpoint
from prodemb.towers.load import load_towers
from prodemb.towers.reference import Comparison, NoReference, compare_with_reference
from prodemb.towers.text_checkpoint import find_text_checkpoint
from prodemb.towers.text_encoder import load_text_encoder
from prodemb.towers.text_reference import compare_text_encoder

LEAST_FREE_BYTES = 1_000_000_000
"""With less on a disk that outputs go to, hardly any run comes to its end."""


@dataclass(frozen=True, kw_only=True)
class CheckpointFound:
    """One checkpoint that pipelines or heads use."""

    model: str
    users: tuple[str, ...]
    """The pipelines by target, `[finetune]`, and the folders of heads."""
    is_here: bool = True
    """False where it may be one of the hub's, which is not in the cache, and no folder has this name."""
    fingerprint: str | None = None
    dim: int | None = None
    """Numbers in a vector."""
    comparison: Comparison | None = None
    """With transformers' own processor and model."""
    no_reference: str | None = None
    """Why there is nothing to compare with."""
    error: str | None = None
    """What is wrong with it."""


@dataclass(frozen=True, kw_only=True)
class ShardsFound:
    """The place of a shard set."""

    folder: Path
    num_products: int | None = None
    """None where there is no set."""
    model: str | None = None
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class HeadFound:
    """The place of a head."""

    folder: Path
    target: str
    card: HeadCard | None = None
    """None where there is no head, or a damaged one."""
    shards: Path | None = None
    """The shard set that it scores; None where no set is here yet, or none fits."""
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Disk:
    """A file system that outputs go to."""

    outputs: tuple[str, ...]
    free_bytes: int
    closed: tuple[str, ...]
    """Outputs in whose folder this user may not write."""


@dataclass(frozen=True, kw_only=True)
class Examination:
    """Everything that was looked at."""

    machine: Machine
    checkpoints: tuple[CheckpointFound, ...]
    shards: tuple[ShardsFound, ...]
    heads: tuple[HeadFound, ...]
    disks: tuple[Disk, ...]
    input_errors: tuple[str, ...]
    """Of catalogs and taxonomies."""
    setting_errors: tuple[str, ...] = ()
    """Of pipeline files, and of devices that are not there."""


def examine(
    pipelines: Sequence[Pipeline],
    *,
    device: DeviceName,
    fetch: bool,
    progress: Progress,
    setting_errors: Sequence[str] = (),
) -> Examination:
    """Look at the machine and at everything that pipelines name; what is wrong is part of the result, not raised.

    Each checkpoint is loaded, and held to transformers' own processor and model.

    Args:
        device: where checkpoints are loaded; the CPU if it is not there.
        fetch: whether checkpoints of the hub that are not in its cache are downloaded.
        setting_errors: of other pipelines, which cannot be read.
    """
    missing = dict.fromkeys(_device_errors({device, *(pipeline.embed.device for pipeline in pipelines)}))
    if any(_device_errors({device})):
        device = "cpu"
    with progress("Looking at the machine"):
        machine = look_at_machine(device)
    with progress("Opening shards and heads"):
        sets, shards = _open_sets(pipelines)
        heads = tuple(_look_at_heads(pipelines, sets=sets))
    wanted = _wanted_checkpoints(pipelines, heads=heads)
    checkpoints = []
    with progress("Checking checkpoints") as on_progress:
        for number, (config, users) in enumerate(wanted):
            on_progress(number, len(wanted))
            checkpoints.append(_look_at_checkpoint(config, users=users, device=device, fetch=fetch))
        checkpoints += _look_at_text_encoders(pipelines, device=device, fetch=fetch)
    return Examination(
        machine=machine,
        checkpoints=tuple(checkpoints),
        shards=shards,
        heads=heads,
        disks=tuple(_disks(pipelines)),
        input_errors=tuple(dict.fromkeys(_input_errors(pipelines))),
        setting_errors=(*setting_errors, *missing),
    )


def _device_errors(names: Iterable[DeviceName]) -> Iterator[str]:
    for name in names:
        try:
            choose_device(name)
        except ConfigError as error:
            yield str(error)


def _input_errors(pipelines: Iterable[Pipeline]) -> Iterator[str]:
    for pipeline in pipelines:
        try:
            if not is_sample_missing(pipeline):
                find_files(pipeline.catalog.path)
        except ProdembError as error:
            yield str(error)
        try:
            if pipeline.target == "category":
                pipeline_taxonomy(pipeline)
        except ProdembError as error:
            yield str(error)


def _open_sets(pipelines: Iterable[Pipeline]) -> tuple[list[ShardSet], tuple[ShardsFound, ...]]:
    sets, found = [], []
    for folder in dict.fromkeys(_shard_folders(pipelines)):
        if not has_manifest(folder):
            found.append(ShardsFound(folder=folder))
            continue
        try:
            sets.append(open_shard_set(folder))
        except ProdembError as error:
            found.append(ShardsFound(folder=folder, error=str(error)))
        else:
            found.append(ShardsFound(folder=folder, num_products=sets[-1].num_products, model=sets[-1].schema.model))
    return sets, tuple(found)


def _shard_folders(pipelines: Iterable[Pipeline]) -> Iterator[Path]:
    for pipeline in pipelines:
        yield Path(pipeline.embed.out)
        if pipeline.target == "category" and has_manifest(tuned := Path(pipeline.finetune.shards)):
            yield tuned


def _look_at_heads(pipelines: Iterable[Pipeline], *, sets: Sequence[ShardSet]) -> Iterator[HeadFound]:
    for pipeline in pipelines:
        folders = [pipeline.head_folder]
        if pipeline.target == "category" and (pipeline.frozen_head_folder / CARD_NAME).is_file():
            folders.append(pipeline.frozen_head_folder)
        for folder in folders:
            found = HeadFound(folder=folder, target=pipeline.target)
            if (folder / CARD_NAME).is_file():
                found = _look_at_head(found, sets=sets)
            yield found


def _look_at_head(place: HeadFound, *, sets: Sequence[ShardSet]) -> HeadFound:
    try:
        predictor = load_predictor(place.folder)
        place = replace(place, card=predictor.card)
        if sets:
            (fitting,) = match_shard_sets([predictor], shard_sets=sets)
            place = replace(place, shards=fitting.folder)
    except ProdembError as error:
        place = replace(place, error=str(error))
    return place


def _wanted_checkpoints(
    pipelines: Sequence[Pipeline], *, heads: Sequence[HeadFound]
) -> list[tuple[EmbedConfig, tuple[str, ...]]]:
    """The settings of each checkpoint, and who uses it."""
    found: dict[tuple[object, ...], tuple[EmbedConfig, list[str]]] = {}

    def add(config: EmbedConfig, user: str) -> None:
        key = config.model, config.revision, config.truncate_dim, config.dtype
        found.setdefault(key, (config, []))[1].append(user)

    for pipeline in pipelines:
        add(pipeline.embed, pipeline.target)
        own = [pipeline.embed]
        if pipeline.target == "category" and (folder_to_read(pipeline.finetune.out) / FINETUNE_REPORT).is_file():
            own.append(with_checkpoint(pipeline))
            add(own[-1], "[finetune]")
        for head in heads:
            if head.target == pipeline.target and head.card is not None:
                model = head.card.model
                config = next((each for each in own if each.model == model), None)
                add(config or pipeline.embed.model_copy(update={"model": model, "revision": None}), str(head.folder))
    return [(config, tuple(dict.fromkeys(users))) for config, users in found.values()]


def _look_at_checkpoint(
    config: EmbedConfig, *, users: tuple[str, ...], device: DeviceName, fetch: bool
) -> CheckpointFound:
    found = CheckpointFound(model=config.model, users=users)
    try:
        checkpoint = find_checkpoint(
            config.model, revision=config.revision, truncate_dim=config.truncate_dim, fetch=fetch
        )
        found = replace(found, fingerprint=checkpoint.fingerprint)
        towers = load_towers(checkpoint, device=device, dtype=config.dtype)
        found = replace(found, dim=towers.dim)
        comparison = compare_with_reference(towers)
        found = replace(found, comparison=comparison)
        comparison.check(checkpoint.name)
    except NotFetchedError:
        return replace(found, is_here=False)
    except NoReference as reason:
        return replace(found, no_reference=str(reason))
    except ProdembError as error:
        return replace(found, error=str(error))
    return found


def _look_at_text_encoders(
    pipelines: Iterable[Pipeline], *, device: DeviceName, fetch: bool
) -> Iterator[CheckpointFound]:
    """Each `[embed] text_model`, loaded and held to the reference."""
    users: dict[tuple[str, str | None], list[Pipeline]] = {}
    for pipeline in pipelines:
        if pipeline.embed.text_model is not None:
            users.setdefault((pipeline.embed.text_model, pipeline.embed.text_model_revision), []).append(pipeline)
    for (model, revision), own in users.items():
        found = CheckpointFound(model=model, users=tuple(f"{pipeline.target}'s text" for pipeline in own))
        try:
            checkpoint = find_text_checkpoint(model, revision=revision, fetch=fetch)
            encoder = load_text_encoder(checkpoint, device=device, dtype=own[0].embed.dtype)
            found = replace(found, fingerprint=checkpoint.fingerprint, dim=encoder.dim)
            found = replace(found, comparison=(comparison := compare_text_encoder(encoder)))
            comparison.check(checkpoint.name)
        except NotFetchedError:
            found = replace(found, is_here=False)
        except NoReference as reason:
            found = replace(found, no_reference=str(reason))
        except ProdembError as error:
            found = replace(found, error=str(error))
        yield found


def _disks(pipelines: Iterable[Pipeline]) -> Iterator[Disk]:
    """The file systems of all outputs, in their order."""
    by_device: dict[int, list[str]] = {}
    for output in dict.fromkeys(output for output in _outputs(pipelines) if not is_address(output)):
        by_device.setdefault(nearest_folder(Path(output)).stat().st_dev, []).append(output)
    for outputs in by_device.values():
        folders = {output: nearest_folder(Path(output)) for output in outputs}
        yield Disk(
            outputs=tuple(outputs),
            free_bytes=min(shutil.disk_usage(folder).free for folder in folders.values()),
            closed=tuple(output for output, folder in folders.items() if not os.access(folder, os.W_OK | os.X_OK)),
        )


def _outputs(pipelines: Iterable[Pipeline]) -> Iterator[str]:
    for pipeline in pipelines:
        yield pipeline.embed.out
        if pipeline.target == "category":
            yield from (pipeline.finetune.out, pipeline.finetune.shards)
        else:
            yield pipeline.brands.aliases
        yield from (pipeline.head_name, pipeline.score.out)
