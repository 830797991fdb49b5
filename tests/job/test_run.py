"""The main job end to end on a small sample with the bundled CLIP, and again, when there is nothing left to do."""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from prodemb.cli.report.run import run_lines
from prodemb.core.errors import ConfigError, HeadError, ProdembError
from prodemb.core.progress import no_progress
from prodemb.job.pipeline import Pipeline, read_pipeline
from prodemb.job.run import StepFinished, StepSkipped, StepStarted, _check, run
from prodemb.job.score import own_heads
from prodemb.job.train import TrainReport
from prodemb.taxonomy.taxonomy import sample_taxonomy
from tests.command_line import prodemb
from tests.job.shop_pipeline import make_pipeline

BLOCKED = """
import sys


class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "transformers":
            raise ImportError("stage two must not load transformers")


sys.meta_path.insert(0, Blocker())
from prodemb.cli import main

main()
"""


def printed(result: subprocess.CompletedProcess[str]) -> str:
    """What a command printed that went well."""
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def started(*arguments: str, cwd: Path, program: str = "from prodemb.cli import main; main()") -> str:
    """What a command prints in a new Python process."""
    command = [sys.executable, "-c", program, *arguments]
    return printed(subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300))


def files(folder: Path) -> dict[str, tuple[int, int]]:
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != ".prodemb"]
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in paths}


@pytest.mark.slow
def test_init_and_run_on_one_s_own_catalog(tmp_path: Path) -> None:
    printed(prodemb("sample", "feed", "--products", "200", "--seed", "3", cwd=tmp_path))
    own = pl.read_parquet(tmp_path / "feed" / "catalog.parquet")
    renamed = own.rename({"product_id": "sku", "title": "name", "image": "picture", "brand": "manufacturer"})
    renamed.write_csv(tmp_path / "feed" / "own.csv")
    printed(prodemb("init", "feed/own.csv", cwd=tmp_path))
    pipeline = tmp_path / "pipelines" / "category.toml"
    quick = "\n[finetune]\nepochs = 1\n"
    text = pipeline.read_text()
    pipeline.write_text(
        text.replace("[finetune]\n", "[finetune]\nepochs = 1\n") if "[finetune]" in text else text + quick
    )
    for each in (tmp_path / "pipelines").iterdir():
        each.write_text(each.read_text().replace("[train]\n", "[train]\nepochs = 1\n"))

    shown = printed(prodemb("run", cwd=tmp_path))
    assert "== fine-tune CLIP on the categories" in shown
    closing = shown[shown.index("== done") :].splitlines()
    assert len(closing) <= 11
    (page,) = tmp_path.rglob("report.html")
    assert closing[-1] == f"report: {page.relative_to(tmp_path)} (open in a browser)"
    for part in ("prodemb, CLIP frozen", "prodemb, CLIP fine-tuned", "which scoring keeps", "a million products"):
        assert part in page.read_text()
    (out,) = tmp_path.rglob("out.parquet")
    frame = pl.read_parquet(out)
    assert frame["product_id"].to_list() == own["product_id"].to_list()
    assert frame.columns == [
        "product_id",
        "partner",
        "category_id",
        "category_path",
        "category_level",
        "category_confidence",
        "category_source",
        "category_known",
        "category_ancestors",
        "category_top",
        "brand",
        "brand_confidence",
        "brand_source",
        "brand_known",
        "brand_top",
    ]
    assert frame["category_path"].null_count() == 0

    before = files(tmp_path)
    again = printed(prodemb("run", cwd=tmp_path))
    assert "already up to date" in again
    assert "already trained" in again
    assert files(tmp_path) == before

    shards, head = str(next(tmp_path.rglob("shards"))), str(next(tmp_path.rglob("heads/brand")))
    scored = started("score", shards, "again.parquet", "--head", head, cwd=tmp_path, program=BLOCKED)
    assert "no category head" in scored
    assert pl.read_parquet(tmp_path / "again.parquet")["brand"].to_list() == frame["brand"].to_list()


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ('[embed]\nout = "shards/own"\nmodel = "./no-model"', r"'\./no-model', but there is no such folder"),
        ('[train]\ntaxonomy = "no.txt"', r"no\.txt: no such taxonomy file"),
    ],
)
def test_what_is_not_there_is_told_before_anything_is_done(
    make_catalog: Callable[[int], Path], tmp_path: Path, tables: str, message: str
) -> None:
    good = f"[catalog]\npath = {str(make_catalog(4))!r}\n"
    (tmp_path / "brand.toml").write_text(f'target = "brand"\n{good}')
    (tmp_path / "category.toml").write_text(f'target = "category"\n{good}{tables}')
    pipelines = [read_pipeline(tmp_path / f"{target}.toml") for target in ("brand", "category")]
    with pytest.raises(ProdembError, match=message):
        next(run(pipelines, finetune=False, progress=no_progress))


def test_a_head_with_too_few_labels_keeps_its_seconds_to_itself(tiny_clip: Path, tmp_path: Path) -> None:
    pl.DataFrame({"product_id": range(8), "title": "mug"}).write_csv(tmp_path / "catalog.csv")
    values: dict[str, Any] = {
        "catalog": {"path": str(tmp_path / "catalog.csv")},
        "brands": {"aliases": str(tmp_path / "aliases.csv")},
        "embed": {"model": str(tiny_clip), "out": str(tmp_path / "shards"), "features": ["title"], "device": "cpu"},
        "score": {"out": str(tmp_path / "out.parquet")},
    }
    pipelines = [Pipeline.parse(values | {"target": target}, source="test") for target in ("brand", "category")]
    started = time.perf_counter()
    events = list(run(pipelines, finetune=False, progress=no_progress))
    ended = [event for event in events if not isinstance(event, StepStarted)]
    assert [event.step.name for event in ended] == ["embed", "train-brand", "train-category", "score", "report"]
    _, brand, category, score, _ = ended
    assert isinstance(brand, StepSkipped)
    assert str(brand.error).startswith("brand head: found 0 classes")
    assert brand.taxonomy is None
    assert isinstance(category, StepSkipped)
    assert category.error is None
    assert (category.taxonomy, category.num_nodes) == (sample_taxonomy().source, len(sample_taxonomy().paths))
    assert isinstance(score, StepFinished)
    assert sum(event.seconds for event in ended) < time.perf_counter() - started
    shown = [*run_lines(events)]
    assert len(shown) - shown.index("\n== done") <= 11
    assert "the brand columns are null: no head was trained, see above" in shown
    assert not any("prodemb train-brand" in line for line in shown)


def test_a_job_without_any_head_ends_with_what_was_missing(tiny_clip: Path, tmp_path: Path) -> None:
    pl.DataFrame({"product_id": range(8), "title": "mug"}).write_csv(tmp_path / "catalog.csv")
    values: dict[str, Any] = {
        "target": "brand",
        "catalog": {"path": str(tmp_path / "catalog.csv")},
        "brands": {"aliases": str(tmp_path / "aliases.csv")},
        "embed": {"model": str(tiny_clip), "out": str(tmp_path / "shards"), "features": ["title"], "device": "cpu"},
        "score": {"out": str(tmp_path / "out.parquet")},
    }
    with pytest.raises(HeadError, match=r"out\.parquet: not written, .*: brand head: found 0 classes .*, wanted 2"):
        list(run([Pipeline.parse(values, source="test")], finetune=False, progress=no_progress))
    assert not (tmp_path / "out.parquet").exists()


def test_without_fine_tuning_a_fine_tuned_head_stays(tiny_clip: Path, tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path, tiny_clip, score={"out": str(tmp_path / "out.parquet")})

    def trained() -> TrainReport:
        events = run([pipeline], finetune=False, progress=no_progress)
        reports = [event.report for event in events if isinstance(event, StepFinished)]
        (report,) = (report for report in reports if isinstance(report, TrainReport))
        return report

    trained()
    assert own_heads([pipeline]) == [tmp_path / "head-frozen"]
    shutil.copytree(tmp_path / "head-frozen", tmp_path / "head")
    before = files(tmp_path / "head")
    pipeline = make_pipeline(tmp_path, tiny_clip, train={"epochs": 3}, score={"out": str(tmp_path / "out.parquet")})
    assert not trained().was_done
    assert files(tmp_path / "head") == before
    # None is clearly better, so the head on CLIP as published counts.
    assert own_heads([pipeline]) == [tmp_path / "head-frozen"]


def test_a_catalog_without_gold_labels_gets_zero_shot_categories(tmp_path: Path) -> None:
    printed(prodemb("sample", "sample", "--products", "120", cwd=tmp_path))
    catalog = tmp_path / "sample" / "catalog.parquet"
    pl.read_parquet(catalog).drop("google_category_id", "brand_label").write_parquet(catalog)
    (tmp_path / "category.toml").write_text('target = "category"\n')
    shown = printed(prodemb("run", "category.toml", cwd=tmp_path))
    assert "no product has a google_category_id" in shown
    named = r"the part of the taxonomy that prodemb carries \(\d+ nodes\)"
    assert re.search(rf"no product has a google_category_id.*{named}", shown)
    assert re.search(rf"categories are zero-shot.*{named}", shown)
    frame = pl.read_parquet(tmp_path / "out.parquet")
    assert frame["category_id"].null_count() < 5
    assert frame["brand"].null_count() == 120

    answers = started("score", "shards", "again.parquet", "--zero-shot", cwd=tmp_path, program=BLOCKED)
    assert "categories are zero-shot" in answers
    assert pl.read_parquet(tmp_path / "again.parquet").equals(frame)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"catalog": {"path": "other.csv"}}, r'\[catalog\] path: found "sample/catalog.parquet" in the brand pipeline'),
        ({"catalog": {"columns": {"title": "name"}}}, r"\[catalog\] columns: found \{\} in the brand pipeline"),
        ({"images": {"max_bytes": 5}}, r"\[images\] max_bytes: found .* in the brand pipeline and 5 in the category"),
        ({"embed": {"shard_size": 64}}, r"\[embed\] shard_size: found .* they share the catalog and its shards"),
    ],
)
def test_pipelines_that_disagree_about_what_they_share_are_refused(settings: dict[str, Any], message: str) -> None:
    pipelines = [Pipeline(target="brand"), Pipeline(target="category").replaced(settings, source="test")]
    with pytest.raises(ConfigError, match=message):
        next(run(pipelines, finetune=False, progress=no_progress))


def test_pipelines_may_differ_in_what_each_has_of_its_own() -> None:
    own = {"embed": {"out": "shards/other", "shard_size": 64}}
    _check([Pipeline(target="brand"), Pipeline(target="category").replaced(own, source="test")])
