"""Each bench in a tiny form, with each of its models and modes: every figure is there and above zero."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from prodemb.sample.catalog import write_sample
from prodemb.taxonomy.taxonomy import sample_taxonomy
from tests.audit.conftest import write_catalog as write_audited_set
from tests.audit.conftest import write_taxonomy as write_audited_taxonomy
from tests.bench.conftest import BENCH, RunBench
from tests.predict.heads import write_heads
from tests.shard_sets import write_branded_set, write_clustered_set
from tests.text_encoders import write_encoder

pytestmark = pytest.mark.slow
TINY = "vit-b-32-tiny"
"""The files, preprocessing and code path of --model vit-b-32, in a small tower."""
HAS_PEER = importlib.util.find_spec("sentence_transformers") is not None


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample(tmp_path_factory.mktemp("sample"), num_products=12, seed=1)


def test_stage_one_measures_each_row(run_bench: RunBench, catalog: Path) -> None:
    rows = ["towers", "embed", "transformers", *(["sentence-transformers"] if HAS_PEER else [])]
    options = ["--catalog", str(catalog), "--limit", "0", "--dtype", "float32", "--repeat", "1", "--rows", *rows]
    figures = run_bench("stage_one", "--model", TINY, *options)
    model = figures["models"][TINY]
    assert (model["num_products"], model["recorded"]["dtype"]) == (12, "float32")
    assert 0 < model["recorded"]["num_tokens"] <= model["recorded"]["num_padded_tokens"]
    assert model["recorded"]["num_pictures"] > 0
    assert list(model["rows"]) == rows
    for name, row in model["rows"].items():
        assert min(row["products_per_s"], row["cpu_ms"], row["peak_mb"]) > 0, name
        assert len(row["seconds"]) == 1, name
        assert list(row["ratios"]) == rows
        assert all(ratio > 0 for ratio in row["ratios"].values()), name
        assert row["ratios"][name] == 1


def test_convert_compares_with_open_clip(run_bench: RunBench) -> None:
    pytest.importorskip("open_clip", exc_type=ImportError)
    (figures,) = run_bench("convert", "--shape", "ViT-B-32")["shapes"].values()
    assert min(figures["texts"], figures["pictures"]) > 0.99999


def test_stage_one_in_bfloat16_without_pictures(run_bench: RunBench) -> None:
    options = ["--limit", "8", "--rows", "embed", "--repeat", "2", "--device", "cpu", "--dtype", "bfloat16"]
    model = run_bench("stage_one", "--model", "bundled", "--text-only", *options)["models"]["bundled"]
    assert (model["num_products"], model["recorded"]["dtype"]) == (8, "bfloat16")
    assert model["recorded"]["num_pictures"] == 0
    assert len(model["rows"]["embed"]["seconds"]) == 2


def test_a_stage_one_row_that_fails_is_printed_as_failed(
    run_bench: RunBench, catalog: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sentence_transformers.py").write_text("raise ImportError('broken on purpose')\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(BENCH.parent.parent)]))
    options = ["--model", "bundled", "--catalog", str(catalog), "--repeat", "1", "--text-only"]
    figures = run_bench("stage_one", *options, "--rows", "sentence-transformers", status=1)
    reason = "ImportError: broken on purpose"
    assert figures["failed"] == {"bundled: sentence-transformers": reason}
    assert figures["models"]["bundled"]["rows"] == {"sentence-transformers": {"reason": reason}}


@pytest.mark.parametrize("model", ["bundled", TINY])
def test_decoding(run_bench: RunBench, catalog: Path, model: str) -> None:
    options = ["--photos", str(catalog.parent / "images")] if model == TINY else []
    options += ["--pictures", "2", "--edges", "600", "--tasks", "2", "--repeat", "1", "--workers", "1"]
    edges = run_bench("decode", "--model", model, *options)["edges"]
    assert list(edges) == ["600"]
    assert min(edges["600"].values()) > 0
    assert edges["600"]["worst_cosine"] > 0.99


@pytest.mark.parametrize("model", ["bundled", TINY])
def test_precision(run_bench: RunBench, catalog: Path, model: str) -> None:
    given = ["--catalog", str(catalog)] if model == TINY else []
    towers = run_bench("precision", "--model", model, *given, "--limit", "6")["towers"]
    assert towers.keys() == {"text", "image"}
    assert all(tower["worst_cosine"] > 0.99 and tower["num_contents"] > 1 for tower in towers.values())


def test_shards(run_bench: RunBench) -> None:
    rates = run_bench("shards", "--products", "4096", "--dim", "32", "--repeat", "1")["rates"]
    assert len(rates) == 9
    assert all(min(rate["gb_per_s"], rate["to_copy"], rate["to_new_copy"]) > 0 for rate in rates.values())
    assert [name for name, rate in rates.items() if rate["to_fixed_size_list"]] == ["write shards", "copy from shards"]


def test_each_step_is_measured_as_catalogs_grow(run_bench: RunBench, tmp_path: Path) -> None:
    """On synthetic shards, which are kept; vectors are trained on in windows."""
    options = ["--sizes", "200", "--epochs", "1", "--folder", str(tmp_path), "--memory-gb", "0.00001"]
    taxonomy = tmp_path / "taxonomy.txt"
    taxonomy.write_text("".join(f"{node} - {path}\n" for node, path in sample_taxonomy().paths.items()))
    options += ["--taxonomy", str(taxonomy), "--categories", "20"]
    steps = run_bench("scale", *options)["steps"]
    assert list(steps) == ["train-category, 200", "train-brand, 200", "score, 200"]
    assert all(min(step["seconds"], step["cpu_seconds"], step["peak_mb"]) > 0 for step in steps.values())
    assert (tmp_path / "200" / "shards" / "manifest.json").exists()
    card = json.loads((tmp_path / "200" / "heads" / "category" / "head.json").read_text())
    assert 10 < len(card["classes"]) <= 20


def test_embed_is_measured_as_catalogs_grow(run_bench: RunBench) -> None:
    steps = run_bench("scale", "--embed", "--sizes", "100", "--steps", "embed")["steps"]
    assert list(steps) == ["embed, 100"]


def test_a_step_that_fails_is_printed_as_failed(run_bench: RunBench, tmp_path: Path) -> None:
    (tmp_path / "100" / "shards").mkdir(parents=True)
    figures = run_bench("scale", "--sizes", "100", "--folder", str(tmp_path), "--steps", "score", status=1)
    assert figures["steps"]["score, 100"]["reason"] == figures["failed"]["score, 100"]
    assert "its process ended with status" in figures["failed"]["score, 100"]


def test_head_training(run_bench: RunBench) -> None:
    sizes = ["--products", "1024", "--classes", "20", "--memory-classes", "30", "--batch-size", "128", "--steps", "1"]
    figures = run_bench("head_training", *sizes)
    assert all(min(step.values()) > 0 for step in figures["step"].values())
    assert list(figures["loops"]) == ["32", "64", "128"]
    assert all(min(loop.values()) > 0 for loop in figures["loops"].values())
    assert list(figures["memory"]) == ["chunked", "whole"]
    for memory in figures["memory"].values():
        assert memory["products_per_s"] > 0
        assert memory["peak_mb"] >= memory["before_mb"] > 0


@pytest.mark.parametrize("mode", [[], ["--full"]], ids=["both methods", "full"])
def test_the_category_head_beside_logistic_regression(run_bench: RunBench, mode: list[str]) -> None:
    sizes = ["--products", "1000", "--classes", "8", "--dim", "8", "--epochs", "4"]
    figures = run_bench("category_head", *sizes, *mode)
    assert list(figures["methods"]) == ["prodemb head", *([] if mode else ["logistic regression"])]
    assert all(method["seconds"] > 0 and 0.1 < method["top1"] <= 1 for method in figures["methods"].values())
    assert min(figures["scoring_s"], figures["peak_mb"]) > 0


def test_brands_are_timed(run_bench: RunBench) -> None:
    (size,) = run_bench("brands", "--strings", "200")["sizes"].values()
    assert min(size["num_strings"], size["num_products"], size["seconds"], size["peak_mb"]) > 0
    assert size["steps"].keys() == {"Counting brands", "Deciding brands"}
    assert size["scores"]["strings"]["made"] > 0


def test_brands_are_evaluated_against_gold(run_bench: RunBench, tmp_path: Path) -> None:
    catalog = tmp_path / "gold.csv"
    rows = [("Nike", "Nike"), ("NIKE", "Nike"), ("Nike", ""), ("nike", "Nike"), ("Puma", "Nike"), ("PUMA", "Puma")]
    lines = [f"p{number},{brand} cap,{brand},{gold}" for number, (brand, gold) in enumerate(rows)]
    catalog.write_text("\n".join(["product_id,title,brand,truth", *lines]) + "\n")
    scores = run_bench("brands", "--catalog", str(catalog), "--gold", "truth")["scores"]
    whole, own = scores["all strings"], scores["without foreign strings"]
    assert (whole["num_strings"], whole["made"], whole["wanted"], whole["correct"]) == (5, 4, 6, 3)
    assert (own["num_strings"], own["made"], own["wanted"], own["correct"]) == (4, 3, 3, 3)


def test_what_each_source_adds_to_the_brand(run_bench: RunBench, tmp_path: Path) -> None:
    shards, aliases, pipeline = tmp_path / "shards", tmp_path / "aliases.csv", tmp_path / "brand.toml"
    write_branded_set(shards, num=450)
    aliases.write_text("supplied,canonical\nNorvik,Norvik\nNORVIK Ltd,Norvik\n")
    tables = {"embed": f'out = "{shards}"', "brands": f'aliases = "{aliases}"', "train": "epochs = 1"}
    pipeline.write_text('target = "brand"\n' + "".join(f"[{name}]\n{line}\n" for name, line in tables.items()))
    figures = run_bench("brand_evidence", "--pipeline", str(pipeline))["figures"]
    assert list(figures)[:3] == [
        "head on CLIP",
        "  with neighbours and the supplied brand (CLIP)",
        "  and the title (CLIP)",
    ]
    for rates in figures.values():
        assert list(rates) == ["as supplied", "unseen spellings", "brand withheld", "wrong brand supplied"]
        assert all(0 <= rate <= 1 for rate in rates.values())


def test_what_a_text_encoder_adds(run_bench: RunBench, tmp_path: Path) -> None:
    catalog = write_sample(tmp_path, num_products=120, seed=1)
    encoder = write_encoder(tmp_path / "encoder")
    options = ["--catalog", str(catalog), "--text-model", str(encoder), "--templates", "title, description"]
    figures = run_bench("text_feature", *options, "--epochs", "1", "--test")["figures"]
    assert list(figures) == ["category", "brand"]
    for target, ways in figures.items():
        assert list(ways) == ["without text", "text of title, description"]
        for rates in ways.values():
            first = "all features" if target == "category" else "as supplied"
            assert {first, f"test: {first}"} <= {*rates}
            assert all(0 <= rate <= 1 for rate in rates.values())


def test_reading_beside_other_readers(run_bench: RunBench) -> None:
    rows = run_bench("reading", "--rows", "2000")["rows"]
    assert list(rows)[::2] == ["csv prodemb", "jsonl prodemb", "xml prodemb"]
    assert all(min(row["rows_per_second"], row["rows_per_cpu_second"], row["peak_mb"]) > 0 for row in rows.values())


def test_tomorrows_catalog(run_bench: RunBench) -> None:
    found = run_bench("incremental", "--products", "40", "--repeat", "1", "--share", "0.1")
    assert found["same_rows"]
    assert found["num_changed"] == 5
    assert list(found["costs"]) == ["full", "price changed", "update", "full, changed catalog"]
    assert found["costs"]["price changed"]["num_texts"] == 0
    assert found["tower_ratio"] > 0


def test_tomorrows_catalog_of_a_parquet_file(run_bench: RunBench, catalog: Path, tmp_path: Path) -> None:
    shutil.copytree(catalog.parent, tmp_path / "sample")
    path = str(tmp_path / "sample" / catalog.name)
    found = run_bench("incremental", "--catalog", path, "--limit", "10", "--repeat", "1", "--share", "0.5")
    assert (found["num_changed"], found["same_rows"]) == (5, True)


def test_ray_beside_processes(run_bench: RunBench, catalog: Path) -> None:
    pytest.importorskip("ray")
    options = ["--catalog", str(catalog), "--workers", "1", "--shard-size", "4", "--repeat", "1"]
    found = run_bench("cluster", *options)
    assert found["num_products"] == 12
    assert list(found["rows"]) == ["local, 1", "ray, 1"]
    assert all(min(row["products_per_s"], *row["start_s"]) > 0 for row in found["rows"].values())
    assert list(found["lost"]) == ["1"]


def test_ray_while_machines_are_lost(warm_python: Path) -> None:
    """In a process of its own, which imports Ray when it has set what Ray is to be silent about."""
    pytest.importorskip("ray")
    options = ["--kills", "20", "--products", "3000", "--shard-size", "256", "--json"]
    command = [str(warm_python), str(BENCH / "cluster.py"), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=BENCH.parent.parent)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["num_products"], found["num_shards"]) == (3000, 12)
    assert found["num_kills"] > 0
    assert list(found["rows"]) == ["local, 2", "ray, 2"]
    assert all(min(row["products_per_s"], *row["start_s"]) > 0 for row in found["rows"].values())


def test_what_a_large_catalog_costs_before_its_first_shard(run_bench: RunBench) -> None:
    sizes = ["--rows", "2000", "--repeats", "3", "--row-group", "500", "--shard-size", "100", "--hashed", "1000"]
    found = run_bench("catalog_index", *sizes)
    steps = found["steps"]
    assert list(steps) == ["open", "check ids", "plan", "first rows", "rows hashes", "manifest"]
    assert all(min(step["seconds"], step["peak_mb"]) > 0 for step in steps.values())
    assert steps["check ids"]["figures"]["num_products"] == 1997
    assert steps["plan"]["figures"]["num_shards"] == 20
    assert steps["first rows"]["said"] == "product 1,800: p1800"


def test_a_billion_products_on_paper_are_those_of_the_docs(run_bench: RunBench) -> None:
    found = run_bench("on_paper")
    page = (BENCH.parents[1] / "docs" / "scale.md").read_text()
    assert found["rates"] in page
    assert found["table"] in page
    assert f"{found['gflop']:.1f} GFLOP" in page
    assert f"A product takes {found['product_bytes']:,} bytes" in page
    million = run_bench("on_paper", "--products-per-s", "1000", "--gpu-hour", "3.6")["plans"]["100,000,000"]
    assert million["num_shards"] == 12_208
    assert [*million["towers_hours"].values()] == [pytest.approx(27.78, abs=0.01)] * 2
    assert [*million["usd"].values()] == [pytest.approx(100)] * 2


def test_serving(run_bench: RunBench, catalog: Path, tiny_clip: Path, tmp_path: Path) -> None:
    heads = write_heads(tmp_path / "heads", tiny_clip)
    options = ["--heads", *map(str, heads), "--catalog", str(catalog), "--products", "6", "--requests-of", "4"]
    rows = run_bench("serving", *options, "--repeat", "1")["rows"]
    ways = ["requests of 1, one at a time", "requests of 1, 6 at a time", "requests of 4, 2 at a time"]
    assert list(rows) == ["Predictor.predict", *ways]
    assert all(min(row["products_per_s"], row["cpu_ms"]) > 0 for row in rows.values())
    assert all(0 < rows[way]["p50_ms"] <= rows[way]["p95_ms"] for way in ways)


def test_gradient_caching(run_bench: RunBench) -> None:
    rows = run_bench("finetune_memory", "--batch-size", "8", "--mini-batch-sizes", "4", "--steps", "1")["rows"]
    assert list(rows) == ["whole batch", "4"]
    assert all(row["seconds"] > 0 and row["cpu_seconds"] > 0 and row["peak_mb"] >= 0 for row in rows.values())


@pytest.mark.parametrize(
    ("losses", "trained"),
    [(["plain", "masked", "soft", "soft + tree credit"], ["LoRA"]), (["soft"], ["all", "last 2 blocks"])],
    ids=["each loss", "each part"],
)
def test_fine_tuning_in_each_way(run_bench: RunBench, losses: list[str], trained: list[str]) -> None:
    options = ["--limit", "40", "--epochs", "1", "--head-epochs", "1", "--losses", *losses, "--trained", *trained]
    rows = run_bench("finetune_ablation", *options)["rows"]
    assert list(rows) == ["frozen", *(f"{loss}, {part}" for loss in losses for part in trained)]
    assert all(0 <= row[name] <= 1 for row in rows.values() for name in ("title", "picture", "all", "head"))


def test_planted_label_errors(run_bench: RunBench) -> None:
    labels = run_bench("audit", "--products", "600", "--classes", "5", "40")["labels"]
    assert list(labels) == ["5 classes", "40 classes"]
    for rows in labels.values():
        assert list(rows) == ["prodemb"]
        assert min(rows["prodemb"][name] for name in ("num_found", "precision_at_top", "recall", "seconds")) > 0


def test_accuracy_by_number_of_labels(run_bench: RunBench, tmp_path: Path) -> None:
    write_clustered_set(tmp_path / "shards", num=200, num_classes=4)
    (tmp_path / "taxonomy.txt").write_text("1 - Things\n2 - Things > Mugs\n3 - Things > Shoes\n4 - Lamps\n5 - Arts\n")
    options = ["--taxonomy", str(tmp_path / "taxonomy.txt"), "--num-labels", "8", "40", "--seeds", "1"]
    options += ["--epochs", "4"]
    figures = run_bench(
        "labelling", "--shards", str(tmp_path / "shards"), *options, "--train", "picked:24", "picked in two rounds:24"
    )
    (catalog,) = figures["catalogs"].values()
    assert list(catalog["curves"]) == ["picked", "picked in two rounds", "random"]
    for curve in catalog["curves"].values():
        assert list(curve) == ["8", "40"]
        assert 0.25 < curve["8"]["low"] <= curve["8"]["top1"] <= curve["8"]["high"] <= 1
    assert min(catalog["trained"].values()) > 0.25


def test_errors_planted_among_the_labels_of_shards(run_bench: RunBench, tmp_path: Path) -> None:
    write_audited_set(tmp_path / "shards")
    taxonomy = write_audited_taxonomy(tmp_path)
    options = ["--epochs", "2", "--taxonomy", str(taxonomy)]
    (rows,) = run_bench("audit", "--shards", str(tmp_path / "shards"), *options)["labels"].values()
    assert 0 < rows["prodemb"]["recall"] <= 1
    brands = run_bench("audit", "--brands", str(tmp_path / "shards"), *options)["brands"]
    assert brands["num_wrong"] > 0
    assert brands["precision_at_top"] > 0.5


def test_hostile_pictures_are_bounded() -> None:
    """In a process of its own, since it forks."""
    command = [sys.executable, str(BENCH / "picture_bounds.py"), "gif cut", "png text", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=BENCH.parent.parent)
    assert done.returncode == 0, done.stderr
    pictures = json.loads(done.stdout)["pictures"]
    assert pictures["gif cut"]["outcome"] == "truncated"
    assert len(pictures) > 1
