"""Training a pipeline's head: once for the same inputs, and each long step is shown."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from prodemb.category.predict import CategoryPredictor
from prodemb.core.progress import ProgressCallback, no_progress
from prodemb.job.pipeline import Pipeline
from prodemb.job.train import TrainReport, train
from prodemb.job.zero_shot import has_category_labels
from prodemb.score.predictor import load_predictor
from prodemb.score.promises import read_head_answers
from tests.shard_sets import write_clustered_set


class Steps(list[str]):
    """The titles of the steps that were shown, and what each of them reported."""

    def __init__(self) -> None:
        self.reported: list[tuple[int, int | None]] = []

    @contextmanager
    def show(self, title: str) -> Iterator[ProgressCallback]:
        self.append(title)
        yield lambda done, total: self.reported.append((done, total))


def brand_pipeline(folder: Path, **score: Any) -> Pipeline:
    values: dict[str, Any] = {
        "target": "brand",
        "brands": {"aliases": str(folder / "aliases.csv")},
        "embed": {"device": "cpu"},
        "train": {"epochs": 2, "out": str(folder / "head"), "baselines": {"run": False}},
        "score": score,
    }
    return Pipeline.parse(values, source="test")


def test_a_brand_head_is_made_again_where_another_confidence_is_evaluated(tmp_path: Path) -> None:
    write_clustered_set(tmp_path / "shards")
    steps = Steps()

    def was_done(**score: Any) -> bool:
        pipeline = brand_pipeline(tmp_path, **score)
        return train(pipeline, shards=tmp_path / "shards", folder=pipeline.head_folder, progress=steps.show).was_done

    assert not was_done()
    assert steps[-9:] == [
        "Reading labels and vectors",
        *(f"Training the brand head, fold {fold} of 5" for fold in range(1, 6)),
        "Training the brand head without the test part",
        "Comparing with baselines",
        "Training the brand head on all labels",
    ]
    card = tmp_path / "head" / "README.md"
    shown = card.read_text()
    assert (
        "- catalog: `c`\n- labels: the catalog's own\n"
        "  - 600 labelled products; the head learned from 600 in 6 classes\n- model:" in shown
    )
    assert "| method | right | " in shown
    assert "| prodemb | 100.0% | " in shown
    assert shown.count("\n- `Brand ") == 6
    assert was_done()
    assert card.read_text() == shown
    card.write_text("# Mine")
    assert not was_done(min_brand_confidence=0.9)
    assert card.read_text() == "# Mine"
    assert was_done(min_brand_confidence=0.9)


def category_pipeline(folder: Path, **settings: Any) -> Pipeline:
    (folder / "taxonomy.txt").write_text("1 - Things\n2 - Things > Mugs\n3 - Things > Shoes\n4 - Lamps\n5 - Arts\n")
    values: dict[str, Any] = {
        "target": "category",
        "embed": {"device": "cpu"},
        "train": {"epochs": 1, "out": str(folder / "head"), "taxonomy": str(folder / "taxonomy.txt")} | settings,
    }
    return Pipeline.parse(values, source="test")


def test_the_card_counts_the_labels_of_a_file_and_is_brought_back_or_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shards = write_clustered_set(tmp_path / "shards", num=60, num_classes=2)
    own = shards.frame(["product_id", "google_category_id"]).head(50)
    given = ["1", *own["google_category_id"][1:47], "4", "5", "Mugz"]
    file = tmp_path / "labels.csv"
    pl.DataFrame({"product_id": own["product_id"], "category": given}).write_csv(file)
    pipeline = category_pipeline(tmp_path, labels=str(file), baselines={"run": False})

    def trained(**settings: Any) -> TrainReport:
        changed = pipeline.replaced({"train": settings}, source="test")
        caplog.clear()
        return train(changed, shards=shards.folder, folder=pipeline.head_folder, progress=no_progress)

    report = trained()
    assert report.labels is not None
    assert (report.labels.num_labels, report.head.card.num_train) == (49, 56)
    path = pipeline.head_folder / "README.md"
    card = path.read_text()
    assert (
        f"- labels: `{file}` for 49 products, for others the catalog's own\n"
        "  - 59 labelled products; the head learned from 56 in 2 classes\n"
        "  - 3 in 3 rare classes left out\n"
        "  - 1 more with a label that the taxonomy does not have\n"
        f"- taxonomy: `{pipeline.train.taxonomy}`\n" in card
    )
    assert "all labelled" not in card

    path.unlink()
    assert trained().was_done
    assert path.read_text() == card
    path.write_text(f"{card}A note.\n")
    assert trained().was_done
    assert "README.md" not in caplog.text
    for was_done in (False, True):
        assert trained(min_examples=3).was_done == was_done
        assert caplog.text.count("README.md: was edited, so it stays") == 1
    assert path.read_text() == f"{card}A note.\n"


def test_looking_for_gold_categories_is_shown(tmp_path: Path) -> None:
    write_clustered_set(tmp_path / "shards", num=60, shard_size=20)
    steps = Steps()
    assert has_category_labels(tmp_path / "shards", progress=steps.show)
    assert (steps, steps.reported) == (["Looking for gold categories"], [])


def test_a_category_head_is_kept_with_all_that_it_predicts_with(tmp_path: Path) -> None:
    shards = write_clustered_set(tmp_path / "shards", num=200, num_classes=3, partners=("alder", "borea"))
    pipeline = category_pipeline(tmp_path)
    steps = Steps()
    trained = train(pipeline, shards=shards.folder, folder=pipeline.head_folder, progress=steps.show)
    assert steps == [
        "Reading labels and vectors",
        *(f"Training the category head, fold {fold} of 5" for fold in range(1, 6)),
        "Training the category head without the test part",
        "Comparing with baselines",
        "Training without partner alder",
        "Training without partner borea",
        "Training the category head on all labels",
    ]
    card = trained.head.card
    assert card.num_train == 200
    assert card.evaluation is not None
    assert 0 < card.evaluation.num_out_of_fold < card.evaluation.num_learned < 200
    names = [condition.name for condition in card.evaluation.conditions]
    assert names[-2:] == ["new partner: alder", "new partner: borea"]
    predictor = load_predictor(pipeline.head_folder)
    assert isinstance(predictor, CategoryPredictor)
    assert predictor.voices.counts.sum() == 200
    answers = read_head_answers([pipeline.head_folder], predictors=[predictor])["category"]
    assert len(answers) == card.evaluation.num_learned
    again = train(pipeline, shards=shards.folder, folder=pipeline.head_folder, progress=steps.show)
    assert (again.was_done, again.head.card) == (True, card)
    (pipeline.head_folder / "words.safetensors").unlink()
    assert not train(pipeline, shards=shards.folder, folder=pipeline.head_folder, progress=steps.show).was_done
