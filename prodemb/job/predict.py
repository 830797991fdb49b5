"""Predicting another feed with heads that are trained: embedded with their own checkpoints into a cache, and scored."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prodemb.catalog.config import CatalogConfig
from prodemb.catalog.reader import open_catalog
from prodemb.core.errors import ShardError
from prodemb.core.progress import Progress
from prodemb.embed.embed import EmbedReport, embed
from prodemb.heads.head import HeadCard, load_head
from prodemb.job.given_labels import with_given_labels
from prodemb.job.pipeline import Pipeline
from prodemb.job.score import score_shards
from prodemb.predict.cache import set_of_feed
from prodemb.predict.comparison import FeedComparison, compare_feed
from prodemb.predict.explain import Explanation
from prodemb.predict.predictor import Predictor
from prodemb.predict.vectors import settings_for
from prodemb.score.bucket import predictions_to_read
from prodemb.score.score import ScoreReport, check_out
from prodemb.shards.format import has_manifest
from prodemb.shards.reader import open_shard_set
from prodemb.storage.address import Place, place


@dataclass(frozen=True, kw_only=True)
class PredictReport:
    """What came of predicting a feed."""

    score: ScoreReport
    embedded: Mapping[Path, EmbedReport]
    """By the folder of each shard set, one per model."""
    comparison: FeedComparison


def predict_feed(
    feed: CatalogConfig, out: Place, *, heads: Sequence[Path], pipeline: Pipeline, progress: Progress
) -> PredictReport:
    """Write the predictions for all products of a feed to `out`; nothing is trained.

    What an earlier call has encoded is taken from `[predict] cache`, an interrupted one goes on where it stopped, and
    `out` is left as it is where it was made from the same feed, heads and settings.

    Args:
        heads: their folders, at most one per target.
        pipeline: says how CLIP runs, how pictures are fetched and what the predictions hold.

    Raises:
        CatalogError: the feed cannot be read.
        HeadError: a folder holds no head, or two heads are of one target.
        ModelError: a head's checkpoint is not there.
        FingerprintError: it is no longer the one that the head was trained with.
        ConfigError: `out` cannot take predictions (`prodemb.score.score.check_out`).
        ImagesError, BusyError, OutputError, WorkerError: as in embedding and scoring.
    """
    check_out(out, config=pipeline.score)
    cards: list[HeadCard] = [load_head(folder).card for folder in heads]
    settings = settings_for(cards, embed=pipeline.embed)
    catalog = open_catalog(feed)
    embedded, folders = {}, {}
    for fingerprint, config in settings.items():
        folder = folders[fingerprint] = set_of_feed(Path(pipeline.predict.cache) / fingerprint, catalog=catalog)
        with progress(f"Embedding with {config.model}") as on_progress:
            embedded[folder] = embed(
                config.model_copy(update={"out": str(folder)}),
                catalog=catalog,
                images=pipeline.images,
                on_progress=on_progress,
                replace=True,  # other heads of the same model may read other features
            )
    shards = [open_shard_set(folder) for folder in embedded]
    report = score_shards(shards, out=out, heads=heads, pipeline=pipeline, progress=progress)
    manifests = {fingerprint: embedded[folder].manifest for fingerprint, folder in folders.items()}
    predictions = out if isinstance(out, Path) else predictions_to_read(str(out))
    return PredictReport(
        score=report, embedded=embedded, comparison=compare_feed(predictions, manifests=manifests, cards=cards)
    )


def explain_product(
    product: Mapping[str, Any], *, heads: Sequence[Path], pipelines: Sequence[Pipeline]
) -> tuple[dict[str, Any], tuple[Explanation, ...]]:
    """Predict one product, and say why; see `Predictor.explain`.

    Args:
        heads: their folders, at most one per target.
        pipelines: the first says how CLIP runs and what predictions hold; all, where labelled products may be found.
    """
    settings = pipelines[0].model_dump(mode="json", include={"embed", "images", "score"}, exclude_unset=True)
    named = [
        place(name) for each in pipelines for name in (each.train.shards, each.embed.out, each.finetune.shards) if name
    ]
    shards = []
    for folder in dict.fromkeys(named):
        if has_manifest(folder):
            with suppress(ShardError):
                shards.append(open_shard_set(folder))
    shards = with_given_labels(shards, pipelines=pipelines)
    return Predictor.load(heads, settings=settings).explain(product, shards=shards)
