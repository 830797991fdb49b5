"""Training the head of a pipeline; skipped where it was trained on the same shards and settings before."""

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prodemb import __version__
from prodemb.aliases.table import AliasTable
from prodemb.brand.store import FUSER_FILES
from prodemb.cards.readme import is_readme_settled, own_readme, warn_if_stale, write_readme
from prodemb.category.labels import CategoryLabels
from prodemb.category.store import VOICES_FILES
from prodemb.confidence.answers import ANSWERS_NAME
from prodemb.core.arrays import NO_ANSWER
from prodemb.core.device import choose_device
from prodemb.core.errors import HeadError
from prodemb.core.folders import replacing_folder
from prodemb.core.inputs import inputs_hash
from prodemb.core.progress import Progress
from prodemb.heads.head import CARD_NAME, WEIGHTS_NAME, HeadCard, TrainedHead, is_head
from prodemb.heads.labels import CategoryLabel, Labels
from prodemb.heads.train import LabelsT, TrainConfig, load_labelled
from prodemb.job.given_labels import LabelsRead, open_labelled
from prodemb.job.pipeline import Pipeline
from prodemb.job.targets import BrandTarget, CategoryTarget, HeadTarget
from prodemb.shards.format import has_manifest, read_manifest
from prodemb.shards.reader import ShardSet
from prodemb.storage.address import Place, place

logger = logging.getLogger(__name__)

HEAD_FILES = tuple(dict.fromkeys((CARD_NAME, WEIGHTS_NAME, ANSWERS_NAME, *FUSER_FILES, *VOICES_FILES)))
"""The files that heads consist of."""
_SHOWN_CLASSES = 20


@dataclass(frozen=True, kw_only=True)
class TrainReport:
    """A head that is ready, and whether this run trained it."""

    head: TrainedHead
    folder: Path
    shards: Place
    seconds: float
    was_done: bool
    aliases: AliasTable | None = None
    """The alias table that brand labels come from."""
    labels: LabelsRead | None = None
    """What `[train] labels` gave."""


def train(pipeline: Pipeline, *, shards: Place, folder: Path, progress: Progress) -> TrainReport:
    """Train the pipeline's head on a shard set into `folder`, unless the head there was trained on the same inputs."""
    started = time.perf_counter()
    shard_set, labels = open_labelled(shards, pipeline=pipeline)
    match pipeline.target:
        case "brand":
            brand = BrandTarget(pipeline, shard_set=shard_set, progress=progress)
            head, was_done = _train(
                pipeline, shard_set=shard_set, target=brand, given=labels, folder=folder, progress=progress
            )
            aliases = brand.aliases
        case "category":
            category = CategoryTarget(pipeline, shard_set=shard_set)
            head, was_done = _train(
                pipeline, shard_set=shard_set, target=category, given=labels, folder=folder, progress=progress
            )
            aliases = None
    seconds = time.perf_counter() - started
    return TrainReport(
        head=head,
        folder=folder,
        shards=shards,
        seconds=seconds,
        was_done=was_done,
        aliases=aliases,
        labels=labels,
    )


def _train(
    pipeline: Pipeline,
    *,
    shard_set: ShardSet,
    target: HeadTarget[LabelsT],
    given: LabelsRead | None,
    folder: Path,
    progress: Progress,
) -> tuple[TrainedHead, bool]:
    """The head, and whether it was trained before."""
    wanted = inputs_hash(
        prodemb_version=__version__,
        target=pipeline.target,
        shards=[record.sha256 for record in shard_set.manifest.shards],
        labels=shard_set.labels and shard_set.labels.inputs_hash,
        settings=pipeline.model_dump(
            mode="json",
            include={"aggregate", "head", "train", "fuse", "voices"},
            exclude={"train": {"memory_gb", "labels"}},
        ),
        **target.inputs,
    )

    def readme_values(card: HeadCard, labels: Labels) -> dict[str, Any]:
        origin = {"catalog": shard_set.manifest.catalog, "given": given, "taxonomy": target.taxonomy_name}
        return origin | _readme_values(card, labels, config=pipeline.train)

    trained = _trained_before(folder, target=target)
    if trained is not None and trained.card.inputs_hash == wanted:
        if not is_readme_settled(folder):
            values = readme_values(trained.card, target.labels())
            if own_readme(folder):
                write_readme(folder, "head", values)
            else:
                warn_if_stale(folder, "head", values)
        return trained, True
    readme = own_readme(folder)
    with replacing_folder(folder, kind="head", own_files=(*HEAD_FILES, *readme), is_own=is_head) as new:
        with progress("Reading labels and vectors"):
            device = choose_device(pipeline.embed.device)
            data = load_labelled(shard_set, labels=target.labels(), config=pipeline.train, device=device)
        head = target.train(data, new, inputs_hash=wanted, progress=progress)
        if readme:
            write_readme(new, "head", readme_values(head.card, data.labels))
        else:
            warn_if_stale(folder, "head", readme_values(head.card, data.labels))
        return head, False


def _readme_values(card: HeadCard, labels: Labels, *, config: TrainConfig) -> dict[str, Any]:
    """What the README of a head says of its labels.

    Args:
        labels: of all products, rare classes included.
    """
    names = [label.path if isinstance(label, CategoryLabel) else label.name for label in card.classes]
    counted = sorted(zip(names, card.class_counts, strict=True), key=lambda each: (-each[1], each[0]))
    learned = labels.frequent(labels.index != NO_ANSWER, min_count=config.min_examples, roll_up=config.roll_up)
    return {
        "card": card,
        "classes": counted[:_SHOWN_CLASSES],
        "num_labelled": labels.num_labelled,
        "num_rolled_up": learned.num_rolled_up if isinstance(learned, CategoryLabels) else 0,
        "num_rare_classes": learned.num_rare_classes,
        "num_rare_products": learned.num_rare_products,
        "num_unknown": sum(labels.unknown.values()) if isinstance(labels, CategoryLabels) else 0,
    }


def _trained_before(folder: Path, *, target: HeadTarget[LabelsT]) -> TrainedHead | None:
    """The head in the folder, if there is an undamaged one."""
    if not (folder / CARD_NAME).is_file():
        return None
    try:
        return target.load(folder)
    except HeadError as error:
        logger.warning("%s", error)
        return None


def head_shards(pipeline: Pipeline) -> Place:
    """Where a head trains: the set named in [train]; for categories the fine-tuned one, if it is of the same catalog.

    Two sets are of the same catalog when their shards were made from the same rows.
    """
    if pipeline.train.shards is not None:
        return place(pipeline.train.shards)
    published, tuned = place(pipeline.embed.out), place(pipeline.finetune.shards)
    if pipeline.target == "brand" or not has_manifest(tuned):
        return published
    if not has_manifest(published):
        return tuned
    rows = [[shard.rows_hash for shard in read_manifest(folder).shards] for folder in (published, tuned)]
    return tuned if rows[0] == rows[1] else published
