"""Training a pipeline's head, unless it was trained on just these shards and settings."""

import hashlib
import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prodemb import __version__
from prodemb.brands.aliases import AliasTable
from prodemb.category.judge import compare_categories
from prodemb.device import choose_device
from prodemb.errors import HeadError
from prodemb.files import sha256_of
from prodemb.fit import Epoch
from prodemb.fuse.fit import fit_fuser, knowing_all
from prodemb.fuse.judge import compare_brands
from prodemb.fuse.store import load_fuser, save_fuser
from prodemb.heads import CARD_NAME, TrainedHead, load_head, save_head
from prodemb.job.brands import supplied_batches, update_aliases
from prodemb.job.taxonomy import existing_taxonomy, pipeline_taxonomy
from prodemb.job.watch import Watch
from prodemb.job.zero_shot import stored_zero_shot
from prodemb.labels import brand_labels, category_labels
from prodemb.pipeline import Pipeline
from prodemb.shards.format import has_manifest, read_manifest
from prodemb.shards.reader import open_shard_set
from prodemb.train import load_labelled, train_head

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


def train(pipeline: Pipeline, *, shards: Path, folder: Path, watch: Watch) -> TrainReport:
    """Train the pipeline's head on a shard set into `folder`, unless it was trained on just that."""
    started = time.perf_counter()
    shard_set = open_shard_set(shards)
    aliases = None
    made_from: dict[str, Any] = {
        "prodemb": __version__,
        "shards": [record.sha256 for record in shard_set.manifest.shards],
        "settings": pipeline.model_dump(
            mode="json", include={"aggregate", "head", "train", "fuse"}, exclude={"train": {"memory_gb"}}
        ),
    }
    if pipeline.target == "brand":
        aliases = update_aliases(
            pipeline.brands,
            batches=supplied_batches(shard_set),
            watch=watch,
            num_products=shard_set.num_products,
            shards=shard_set,
        )
        made_from["aliases"] = sha256_of(Path(pipeline.brands.aliases))
        made_from["min_brand_confidence"] = pipeline.score.min_brand_confidence
    else:
        files = (pipeline.train.taxonomy, pipeline.train.label_taxonomy)
        made_from["tau"] = pipeline.score.tau
        made_from["taxonomy"] = [sha256_of(existing_taxonomy(file)) for file in files if file is not None]
        taxonomy, name = pipeline_taxonomy(pipeline)
        zero_shot = stored_zero_shot(shards, schema=shard_set.schema, taxonomy=taxonomy, name=name)
        made_from["zero_shot"] = None if zero_shot is None else zero_shot.card.weights_sha256
    inputs = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:16]

    done = _trained_before(folder, inputs=inputs)
    if done is not None:
        seconds = time.perf_counter() - started
        return TrainReport(head=done, folder=folder, shards=shards, seconds=seconds, was_done=True, aliases=aliases)

    with watch("Reading labels and vectors"):
        if aliases is not None:
            labels = brand_labels(shard_set, canonical_of=aliases.canonical_of, corrected=aliases.corrected)
        else:
            labels = category_labels(shard_set, taxonomy=taxonomy, taxonomy_name=name)
        device = choose_device(pipeline.embed.device)
        data = load_labelled(shard_set, labels=labels, config=pipeline.train, device=device)
    with watch(f"Training the {pipeline.target} head") as advance:

        def on_epoch(epoch: Epoch) -> None:
            advance(epoch.index, epoch.num_epochs)

        head = train_head(
            data, config=pipeline.train, aggregate=pipeline.aggregate, head=pipeline.head, progress=on_epoch
        )
    if aliases is None:
        with watch("Comparing with baselines"):
            found = compare_categories(
                data, head=head, train=pipeline.train, tau=pipeline.score.tau, zero_shot=zero_shot
            )
        head = head.with_card(**found)
    else:
        with watch("Fusing supplied brand, title and head"):
            fuser = fit_fuser(data, head=head, aliases=aliases, config=pipeline.fuse)
        with watch("Comparing with baselines"):
            found = compare_brands(
                data,
                head=head,
                fuser=fuser,
                train=pipeline.train,
                config=pipeline.fuse,
                min_confidence=pipeline.score.min_brand_confidence,
            )
        head = head.with_card(**found, fuser_sha256=save_fuser(folder, knowing_all(fuser, data=data)))
    saved = save_head(folder, head.with_card(inputs=inputs))
    seconds = time.perf_counter() - started
    return TrainReport(head=saved, folder=folder, shards=shards, seconds=seconds, was_done=False, aliases=aliases)


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
