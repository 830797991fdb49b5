"""The main job as steps, each of which skips what an earlier run has finished."""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from prodemb import __version__
from prodemb.brands.alias_file import read_aliases, write_aliases
from prodemb.brands.aliases import AliasTable
from prodemb.brands.canonicalise import canonicalise
from prodemb.brands.config import BrandsConfig
from prodemb.brands.counts import count_supplied
from prodemb.catalog.reader import CatalogConfig, open_catalog
from prodemb.catalog.taxonomy import Taxonomy, read_taxonomy, sample_taxonomy
from prodemb.category.judge import compare_categories
from prodemb.category.zero_shot import ZeroShot
from prodemb.device import choose_device
from prodemb.embed.config import EmbedConfig
from prodemb.embed.embed import EmbedReport, embed
from prodemb.embed.reuse import PicturesAgain
from prodemb.errors import FingerprintError, HeadError, OutputError, TaxonomyError
from prodemb.features import TEXT_FEATURES, supplied_column
from prodemb.files import sha256_of
from prodemb.finetune.finetune import FinetuneReport, finetune
from prodemb.finetune.processes import is_first_process
from prodemb.fit import Epoch
from prodemb.fuse.fit import fit_fuser, knowing_all
from prodemb.fuse.judge import compare_brands
from prodemb.fuse.store import load_fuser, save_fuser
from prodemb.heads import CARD_NAME, HeadCard, TrainedHead, load_head, save_head
from prodemb.labels import brand_labels, category_labels
from prodemb.pipeline import Pipeline
from prodemb.sample.catalog import write_sample
from prodemb.score import ScoreReport, score
from prodemb.shards.format import has_manifest, read_manifest
from prodemb.shards.paths import PathVectors, read_path_vectors
from prodemb.shards.reader import ShardSet, open_shard_set
from prodemb.towers.checkpoint import find_checkpoint
from prodemb.train import load_labelled, train_head

logger = logging.getLogger(__name__)

Advance = Callable[[int, int | None], None]
"""Called with what is done and what there is in all; None where that is not known."""

Watch = Callable[[str], AbstractContextManager[Advance]]
"""Opens a progress display with this title."""

SAMPLE_PRODUCTS = 3000
SAMPLE_SEED = 5
SAMPLE_FOLDER = Path(CatalogConfig().path).parent


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


def ensure_sample(pipeline: Pipeline) -> bool:
    """Generate the sample catalog if the pipeline reads it and it is not there; whether it was generated."""
    if pipeline.catalog.path != CatalogConfig().path or Path(pipeline.catalog.path).exists():
        return False
    write_sample(SAMPLE_FOLDER, num_products=SAMPLE_PRODUCTS, seed=SAMPLE_SEED)
    return True


def embed_catalog(
    pipeline: Pipeline, *, watch: Watch, config: EmbedConfig | None = None, again: PicturesAgain = "none"
) -> EmbedReport:
    """Stage one of a pipeline.

    Args:
        config: in the place of the pipeline's own, as `with_checkpoint` gives it.
        again: which pictures are fetched again though nothing says that they changed.
    """
    catalog = open_catalog(pipeline.catalog)
    with watch("Embedding") as advance:
        return embed(config or pipeline.embed, catalog=catalog, images=pipeline.images, progress=advance, again=again)


def with_checkpoint(pipeline: Pipeline) -> EmbedConfig:
    """Stage one with the pipeline's fine-tuned checkpoint, into that checkpoint's own shard set."""
    tuned = {"model": pipeline.finetune.out, "revision": None, "out": pipeline.finetune.shards}
    return EmbedConfig.parse(pipeline.embed.model_dump() | tuned, source="[finetune]")


def update_aliases(
    config: BrandsConfig,
    *,
    batches: Iterator[pa.Table],
    watch: Watch,
    num_products: int | None = None,
    shards: ShardSet | None = None,
) -> AliasTable:
    """Bring the alias file at `config.aliases` up to date with a catalog's supplied brands.

    What the file says already stays, edited or not; only new strings are decided.

    Args:
        batches: the catalog's supplied values.
        num_products: how many products they hold, where that is known.
        shards: a shard set of the catalog; brands with like text vectors are looked at too.
    """
    path = Path(config.aliases)
    known = read_aliases(path) if path.exists() else None
    with watch("Counting brands") as advance:
        counted = count_supplied(_counted(batches, num_products, advance=advance), examples=config.examples)
    with watch("Deciding brands") as advance:
        vectors = None if shards is None else shards.text_vectors("brand")
        table = canonicalise(counted, config=config, known=known, vectors=vectors, progress=advance)
    if known is None or table.rows != known.rows:
        write_aliases(table, path)
    return table


def train(pipeline: Pipeline, *, shards: Path, folder: Path, watch: Watch) -> TrainReport:
    """Train the pipeline's head on a shard set into `folder`, unless it was trained on just that."""
    started = time.perf_counter()
    shard_set = open_shard_set(shards)
    aliases = None
    made_from: dict[str, Any] = {
        "prodemb": __version__,
        "shards": [record.sha256 for record in shard_set.manifest.shards],
        "settings": pipeline.model_dump(mode="json", include={"aggregate", "head", "train", "fuse"}),
    }
    if pipeline.target == "brand":
        aliases = update_aliases(
            pipeline.brands,
            batches=_supplied(shard_set),
            watch=watch,
            num_products=shard_set.num_products,
            shards=shard_set,
        )
        made_from["aliases"] = sha256_of(Path(pipeline.brands.aliases))
    else:
        files = (pipeline.train.taxonomy, pipeline.train.label_taxonomy)
        made_from["tau"] = pipeline.score.tau
        made_from["taxonomy"] = [sha256_of(_existing(file)) for file in files if file is not None]
    inputs = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:16]

    done = _trained_before(folder, inputs=inputs)
    if done is not None:
        seconds = time.perf_counter() - started
        return TrainReport(head=done, folder=folder, shards=shards, seconds=seconds, was_done=True, aliases=aliases)

    if aliases is not None:
        labels = brand_labels(shard_set, canonical_of=aliases.canonical_of, corrected=aliases.corrected)
    else:
        taxonomy, name = _taxonomy(pipeline)
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
            paths = read_path_vectors(shards)
            known = _are_current(paths, shard_set=shard_set, taxonomy=taxonomy)
            zero_shot = ZeroShot.of(paths, schema=shard_set.schema) if paths is not None and known else None
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


def finetune_category(pipeline: Pipeline, *, watch: Watch) -> FinetuneReport:
    """Fine-tune the pipeline's CLIP on its catalog's categories, unless that was done on just these.

    In processes that a launcher has started only the first one (`is_first_process`) shows progress; what comes after
    is its work alone.
    """
    taxonomy, _ = _taxonomy(pipeline)
    catalog = open_catalog(pipeline.catalog)
    catalog.check_ids()
    with watch("Fine-tuning CLIP") as advance:
        return finetune(
            pipeline.finetune,
            catalog=catalog,
            images=pipeline.images,
            taxonomy=taxonomy,
            checkpoint=find_checkpoint(pipeline.embed.model, revision=pipeline.embed.revision),
            device=pipeline.embed.device,
            progress=advance if is_first_process() else None,
        )


def regenerate_shards(pipeline: Pipeline, *, watch: Watch) -> EmbedReport:
    """Bring the fine-tuned checkpoint's own shard set to the state of the catalog, or make it anew for a new one."""
    config = with_checkpoint(pipeline)
    catalog = open_catalog(pipeline.catalog)
    with watch("Regenerating the shards") as advance:
        return embed(config, catalog=catalog, images=pipeline.images, progress=advance, replace=True)


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


def own_heads(pipelines: Sequence[Pipeline]) -> list[Path]:
    """The folders of those of the pipelines' heads that have been trained.

    Raises:
        HeadError: none has.
    """
    trained = trained_heads(pipelines)
    if not trained:
        looked = ", ".join(str(pipeline.head_folder) for pipeline in pipelines)
        raise HeadError(f"no head in {looked}; run `prodemb train-brand` or `prodemb finetune-category` first")
    return trained


def trained_heads(pipelines: Sequence[Pipeline]) -> list[Path]:
    """The folders of those of the pipelines' heads that have been trained, maybe none."""
    return [pipeline.head_folder for pipeline in pipelines if (pipeline.head_folder / CARD_NAME).is_file()]


def frozen_card(pipeline: Pipeline, *, tuned: HeadCard) -> HeadCard | None:
    """The card of the head on CLIP as published, to compare a fine-tuned one with; None if there is none."""
    folder = pipeline.frozen_head_folder
    if pipeline.target != "category" or not (folder / CARD_NAME).is_file():
        return None
    card = load_head(folder).card
    return card if card.fingerprint != tuned.fingerprint else None


def has_category_labels(shards: Path) -> bool:
    """Whether any product of the shard set carries a gold category."""
    return any(shard.frame(["google_category_id"]).to_series().count() for shard in open_shard_set(shards).shards())


def open_zero_shot(shards: Sequence[ShardSet], *, pipeline: Pipeline, watch: Watch) -> ZeroShot:
    """What answers categories of the first of these shard sets without training, by the pipeline's taxonomy.

    The vectors of the taxonomy's names lie beside the shards; where they do not, or are of another taxonomy, they are
    made with the shards' own model, which takes `transformers`, and kept there if they can be.

    Raises:
        FingerprintError: the model of that name is no longer the one that made the shards.
    """
    taxonomy, _ = _taxonomy(pipeline)
    first = shards[0]
    paths = read_path_vectors(first.folder)
    if paths is None or not _are_current(paths, shard_set=first, taxonomy=taxonomy):
        # For everything but this, stage two works without the towers.
        from prodemb.paths import encode_paths

        checkpoint = find_checkpoint(first.schema.model, revision=pipeline.embed.revision)
        if checkpoint.fingerprint != first.schema.fingerprint:
            raise FingerprintError(
                f"{first.folder}: made by {first.schema.model} ({first.schema.fingerprint}), which now is "
                f"{checkpoint.fingerprint}; wanted the same model for the taxonomy's names: embed again"
            )
        with watch("Encoding the taxonomy"):
            paths = encode_paths(taxonomy, checkpoint=checkpoint, device=pipeline.embed.device)
        try:
            paths.write(first.folder)
        except OutputError as error:
            logger.warning("%s; the taxonomy's names are encoded again the next time", error)
    return ZeroShot.of(paths, schema=first.schema)


def _are_current(paths: PathVectors | None, *, shard_set: ShardSet, taxonomy: Taxonomy) -> bool:
    """Whether these are the vectors of this taxonomy, made by the model of the shards."""
    same_model = paths is not None and paths.fingerprint == shard_set.schema.fingerprint
    return same_model and paths is not None and paths.are_of(taxonomy.paths)


def joint_scoring(brand: Pipeline, *, category: Pipeline) -> Pipeline:
    """The brand pipeline with what the category pipeline says of scoring categories."""
    of_categories = category.score.model_dump(mode="json", include={"tau", "category_precision"})
    return brand.replaced({"score": of_categories}, source="[score] of the category pipeline")


def score_shards(
    shards: Sequence[ShardSet],
    *,
    out: Path,
    heads: Sequence[Path],
    pipeline: Pipeline,
    watch: Watch,
    zero_shot: ZeroShot | None = None,
    since: Path | None = None,
) -> ScoreReport:
    """Score the shards with the heads in these folders; with `since`, write only what is other than there.

    Args:
        zero_shot: what answers categories in the place of a head.

    Raises:
        HeadError: a folder holds no head.
    """
    found = [load_head(folder) for folder in heads]
    fusers = [
        load_fuser(folder, card=head.card)
        for folder, head in zip(heads, found, strict=True)
        if head.card.target == "brand"
    ]
    with watch("Scoring") as advance:
        device = choose_device(pipeline.embed.device)
        return score(
            shards,
            out,
            heads=found if zero_shot is None else [*found, zero_shot],
            fuser=fusers[0] if fusers else None,
            config=pipeline.score,
            device=device,
            since=since,
            progress=advance,
        )


def _counted(batches: Iterator[pa.Table], num_products: int | None, *, advance: Advance) -> Iterator[pa.Table]:
    """The batches as they are; tells how many products have passed."""
    done = 0
    for batch in batches:
        yield batch
        done += batch.num_rows
        advance(done, num_products)


def _supplied(shard_set: ShardSet) -> Iterator[pa.Table]:
    """The supplied values of a shard set under their catalog names, shard by shard."""
    names = {supplied_column(feature): feature for feature in TEXT_FEATURES if feature != "description"}
    for shard in shard_set.shards():
        yield shard.frame(list(names)).rename(dict(names)).to_arrow()


def _taxonomy(pipeline: Pipeline) -> tuple[Taxonomy, str]:
    """The pipeline's taxonomy, which knows the one that labels are written in, and how to call it."""
    own, other = pipeline.train.taxonomy, pipeline.train.label_taxonomy
    taxonomy = sample_taxonomy() if own is None else read_taxonomy(_existing(own))
    of_labels = None if other is None else read_taxonomy(_existing(other))
    return replace(taxonomy, of_labels=of_labels), own or "the part of the taxonomy that prodemb carries"


def _existing(taxonomy: str) -> Path:
    path = Path(taxonomy)
    if not path.is_file():
        raise TaxonomyError(
            f"{path}: no such taxonomy file; `prodemb taxonomy {path}` fetches Google's, or correct [train] taxonomy"
        )
    return path
