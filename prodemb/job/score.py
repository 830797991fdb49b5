"""Scoring shards with the heads of pipelines."""

from collections.abc import Sequence
from pathlib import Path

from prodemb.brand.store import load_fuser
from prodemb.category.zero_shot import ZeroShot
from prodemb.core.device import choose_device
from prodemb.core.errors import HeadError
from prodemb.core.progress import Progress
from prodemb.heads.head import CARD_NAME, HeadCard, load_head
from prodemb.job.pipeline import Pipeline
from prodemb.score.score import ScoreReport, score
from prodemb.shards.reader import ShardSet


def own_heads(pipelines: Sequence[Pipeline]) -> list[Path]:
    """The folders of the pipelines' heads, of those that have been trained.

    Raises:
        HeadError: none has been trained.
    """
    trained = trained_heads(pipelines)
    if not trained:
        looked = ", ".join(str(pipeline.head_folder) for pipeline in pipelines)
        raise HeadError(f"no head in {looked}; run `prodemb train-brand` or `prodemb finetune-category` first")
    return trained


def trained_heads(pipelines: Sequence[Pipeline]) -> list[Path]:
    """The folders of the pipelines' heads, of those that have been trained; possibly none.

    For a category pipeline without a head on the fine-tuned CLIP it is the one on CLIP as published, which
    `prodemb run --no-finetune` trains.
    """
    folders = []
    for pipeline in pipelines:
        own, frozen = pipeline.head_folder, pipeline.frozen_head_folder
        candidates = (own, frozen) if pipeline.target == "category" else (own,)
        folders += [folder for folder in candidates if (folder / CARD_NAME).is_file()][:1]
    return folders


def frozen_card(pipeline: Pipeline, *, tuned: HeadCard) -> HeadCard | None:
    """The card of the head on CLIP as published, to compare a fine-tuned one with; None if there is none."""
    folder = pipeline.frozen_head_folder
    if pipeline.target != "category" or not (folder / CARD_NAME).is_file():
        return None
    card = load_head(folder).card
    return card if card.fingerprint != tuned.fingerprint else None


def joint_scoring(brand: Pipeline, *, category: Pipeline) -> Pipeline:
    """The brand pipeline with the category pipeline's settings for scoring categories."""
    of_categories = category.score.model_dump(mode="json", include={"tau", "category_precision"})
    return brand.replaced({"score": of_categories}, source="[score] of the category pipeline")


def score_shards(
    shards: Sequence[ShardSet],
    *,
    out: Path,
    heads: Sequence[Path],
    pipeline: Pipeline,
    progress: Progress,
    zero_shot: ZeroShot | None = None,
    since: Path | None = None,
) -> ScoreReport:
    """Score the shards with the heads in these folders.

    Args:
        zero_shot: predicts categories in place of a head.
        since: earlier predictions of all products; only what was added, changed or removed since is written.

    Raises:
        HeadError: a folder holds no head.
    """
    found = [load_head(folder) for folder in heads]
    fusers = [
        load_fuser(folder, card=head.card)
        for folder, head in zip(heads, found, strict=True)
        if head.card.target == "brand"
    ]
    with progress("Scoring") as on_progress:
        device = choose_device(pipeline.embed.device)
        return score(
            shards,
            out,
            heads=found if zero_shot is None else [*found, zero_shot],
            fuser=fusers[0] if fusers else None,
            config=pipeline.score,
            device=device,
            since=since,
            progress=on_progress,
        )
