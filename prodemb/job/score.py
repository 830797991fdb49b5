"""Scoring shards with the heads of pipelines."""

from collections.abc import Sequence
from pathlib import Path

from prodemb.category.zero_shot import ZeroShot
from prodemb.core.errors import HeadError
from prodemb.core.progress import Progress
from prodemb.heads.evaluation import is_better
from prodemb.heads.head import CARD_NAME, HeadCard, load_head
from prodemb.job.pipeline import Pipeline, agreed
from prodemb.score.predictor import Predictor, load_predictor
from prodemb.score.promises import read_head_answers
from prodemb.score.score import ScoreReport, score
from prodemb.shards.reader import ShardSet
from prodemb.storage.address import Address, Place, place
from prodemb.storage.desk import file_to_write


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
    """The folders of those of the pipelines' heads that have been trained, maybe none.

    A category pipeline may have two, one on the fine-tuned CLIP and one on CLIP as published: the better one counts.

    Raises:
        HeadError: it has two, and one is damaged.
    """
    folders = []
    for pipeline in pipelines:
        own, frozen = pipeline.head_folder, pipeline.frozen_head_folder
        candidates = (own, frozen) if pipeline.target == "category" else (own,)
        found = [folder for folder in candidates if (folder / CARD_NAME).is_file()]
        if len(found) == 2:
            tuned, published = (load_head(folder).card for folder in found)
            found = found if is_better(tuned.evaluation, published.evaluation) else found[::-1]
        folders += found[:1]
    return folders


def frozen_card(pipeline: Pipeline, *, tuned: HeadCard) -> HeadCard | None:
    """The card of the head on CLIP as published, to compare a fine-tuned one with; None if there is none."""
    folder = pipeline.frozen_head_folder
    if pipeline.target != "category" or not (folder / CARD_NAME).is_file():
        return None
    card = load_head(folder).card
    return card if card.fingerprint != tuned.fingerprint else None


def joint_scoring(brand: Pipeline, *, category: Pipeline) -> Pipeline:
    """The brand pipeline with what the category pipeline says of scoring categories.

    What counts for both targets may be said in either.

    Raises:
        ConfigError: the two say different things of it.
    """
    joint = agreed(
        brand,
        category,
        table="score",
        keys=("precision", "certainty", "keep_gold", "engine", "ray_address", "workers", "max_rows_per_file"),
        why="both are scored together",
    )
    return brand.replaced({"score": joint}, source="[score] of both pipelines")


def predictions_to_write(text: str | Path) -> Place:
    """Where predictions are written: a local path, the working copy of a file in a bucket, or a folder in one.

    Raises:
        BusyError, StorageError: as `prodemb.storage.desk.file_to_write`.
    """
    found = text if isinstance(text, Path) else place(text)
    return found if isinstance(found, Address) and found.suffix != ".parquet" else file_to_write(text)


def score_shards(
    shards: Sequence[ShardSet],
    *,
    out: Place,
    heads: Sequence[Path],
    pipeline: Pipeline,
    progress: Progress,
    zero_shot: ZeroShot | None = None,
    since: Path | None = None,
) -> ScoreReport:
    """Score the shards with the heads in these folders; with `since`, write only what differs from those predictions.

    Args:
        zero_shot: predicts categories in place of a head.

    Raises:
        HeadError: a folder holds no head.
    """
    predictors: list[Predictor] = [load_predictor(folder) for folder in heads]
    asked = pipeline.score.precision is not None
    answers = read_head_answers(heads, predictors=predictors) if asked else None
    if zero_shot is not None:
        predictors.append(zero_shot)
    with progress("Scoring") as on_progress:
        return score(
            shards,
            out,
            predictors=predictors,
            config=pipeline.score,
            device=pipeline.embed.device,
            answers=answers,
            since=since,
            on_progress=on_progress,
        )
