"""Training a pipeline's head, unless it was trained on just these shards and settings."""

import hashlib
import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prodemb import __version__
from prodemb.aliases.table import AliasTable
from prodemb.brand.store import load_fuser
from prodemb.core.device import choose_device
from prodemb.core.errors import HeadError
from prodemb.core.progress import Progress
from prodemb.heads.fit import Epoch
from prodemb.heads.head import CARD_NAME, TrainedHead, load_head, save_head
from prodemb.heads.train import load_labelled, train_head
from prodemb.job.pipeline import Pipeline
from prodemb.job.targets import BrandTarget, CategoryTarget
from prodemb.shards.format import has_manifest, read_manifest
from prodemb.shards.reader import ShardSet, open_shard_set

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TrainReport:
    """A head that is ready, and whether this run trained it."""

    head: TrainedHead
    folder: Path
    shards: Path
    seconds: float
    was_done: bool
    aliases: AliasTable | None = None
    """The alias table that brand labels came from."""


def train(pipeline: Pipeline, *, shards: Path, folder: Path, progress: Progress) -> TrainReport:
    """Train the pipeline's head on a shard set into `folder`, unless it was trained on just that."""
    started = time.perf_counter()
    shard_set = open_shard_set(shards)
    target: BrandTarget | CategoryTarget
    if pipeline.target == "brand":
        target = BrandTarget(pipeline, shard_set=shard_set, progress=progress)
    else:
        target = CategoryTarget(pipeline, shard_set=shard_set)
    inputs = _inputs(pipeline, shard_set=shard_set, others=target.made_from)
    head, was_done = _trained_before(folder, inputs=inputs), True
    if head is None:
        head, was_done = _trained(pipeline, shard_set=shard_set, target=target, folder=folder, progress=progress), False
        head = save_head(folder, head.with_card(inputs=inputs))
    seconds = time.perf_counter() - started
    return TrainReport(
        head=head, folder=folder, shards=shards, seconds=seconds, was_done=was_done, aliases=target.aliases
    )


def _trained(
    pipeline: Pipeline, *, shard_set: ShardSet, target: BrandTarget | CategoryTarget, folder: Path, progress: Progress
) -> TrainedHead:
    """A new head with its figures."""
    with progress("Reading labels and vectors"):
        device = choose_device(pipeline.embed.device)
        data = load_labelled(shard_set, labels=target.labels(), config=pipeline.train, device=device)
    with progress(f"Training the {pipeline.target} head") as on_progress:

        def on_epoch(epoch: Epoch) -> None:
            on_progress(epoch.index, epoch.num_epochs)

        head = train_head(
            data, config=pipeline.train, aggregate=pipeline.aggregate, head=pipeline.head, progress=on_epoch
        )
    return target.judged(head, data=data, folder=folder, progress=progress)


def _inputs(pipeline: Pipeline, *, shard_set: ShardSet, others: dict[str, Any]) -> str:
    """The hash of all that a head is made from."""
    made_from = {
        "prodemb": __version__,
        "shards": [record.sha256 for record in shard_set.manifest.shards],
        "settings": pipeline.model_dump(
            mode="json", include={"aggregate", "head", "train", "fuse"}, exclude={"train": {"memory_gb"}}
        ),
    }
    return hashlib.sha256(json.dumps(made_from | others, sort_keys=True).encode()).hexdigest()[:16]


def _trained_before(folder: Path, *, inputs: str) -> TrainedHead | None:
    """The head in the folder, if it is whole and was made from these inputs."""
    if not (folder / CARD_NAME).is_file():
        return None
    try:
        head = load_head(folder)
        if head.card.target == "brand":
            load_fuser(folder, card=head.card)
    except HeadError as error:
        logger.warning("%s", error)
        return None
    return head if head.card.inputs == inputs else None


def head_shards(pipeline: Pipeline) -> Path:
    """Where a head trains: the set named in [train]; for categories the fine-tuned one, if it is of the same catalog.

    Two sets are of the same catalog when their shards were made from the same rows.
    """
    if pipeline.train.shards is not None:
        return Path(pipeline.train.shards)
    published, tuned = Path(pipeline.embed.out), Path(pipeline.finetune.shards)
    if pipeline.target == "brand" or not has_manifest(tuned):
        return published
    if not has_manifest(published):
        return tuned
    rows = [[shard.rows_hash for shard in read_manifest(folder).shards] for folder in (published, tuned)]
    return tuned if rows[0] == rows[1] else published
