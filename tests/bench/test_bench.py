"""The benchmarks as `make bench` runs them, at their smallest: every figure is there and above zero."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.shard_sets import write_branded_set

BENCH = Path(__file__).parent


def bench(script: str, *arguments: str) -> dict[str, Any]:
    """Run a benchmark and return its JSON."""
    result = subprocess.run(
        [sys.executable, str(BENCH / script), *arguments, "--json"],
        cwd=BENCH.parent.parent,
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert result.returncode == 0, result.stderr
    figures: dict[str, Any] = json.loads(result.stdout)
    return figures


@pytest.mark.end_to_end
def test_stage_one_gives_every_figure() -> None:
    figures = bench("stage_one.py", "--quick")
    has_peer = importlib.util.find_spec("sentence_transformers") is not None
    assert figures["failed"].keys() == (set() if has_peer else {"bundled: peer"})

    (model,) = figures["models"]
    assert model["num_products"] == 24
    assert 0 < model["towers"]["num_tokens"] <= model["towers"]["num_padded_tokens"]
    assert model["towers"]["num_pictures"] > 0
    assert list(model["rows"]) == ["ceiling", "embed", "naive", *(["peer"] if has_peer else [])]
    for name, row in model["rows"].items():
        assert row["products_per_s"] > 0, name
        assert row["peak_mb"] > 0, name
        assert len(row["seconds"]) == 1, name
        ratios = {other: row[f"to_{other}"] for other in model["rows"] if other != "embed"}
        assert all(ratio > 0 for ratio in ratios.values()), name
        assert ratios.get(name, 1) == 1, name

    assert [edge["edge"] for edge in model["decode"]] == [600, 800, 1000, 1200]
    for edge in model["decode"]:
        assert min(edge.values()) > 0
        assert edge["worst_cosine"] > 0.99
    assert {tower["tower"] for tower in model["precision"]} == {"text", "image"}
    assert all(tower["worst_cosine"] > 0.99 for tower in model["precision"])
    assert len(figures["shards"]) == 7
    assert all(rate["gb_per_s"] > 0 and rate["to_copy"] > 0 for rate in figures["shards"])


@pytest.mark.end_to_end
def test_memory_is_measured_for_each_size() -> None:
    figures = bench("stage_one_memory.py", "--sizes", "50")
    (size,) = figures["sizes"]
    assert size["num_products"] == 50
    assert min(size["peak_mb"], size["products_per_s"]) > 0
    assert figures["peak_ratio"] == 1


@pytest.mark.end_to_end
def test_training_gives_every_figure() -> None:
    figures = bench("head_training.py", "--quick")
    assert min(figures["step"].values()) > 0
    assert [loop["batch_size"] for loop in figures["loops"]] == [32, 64, 256]
    assert all(min(loop.values()) > 0 for loop in figures["loops"])
    assert [memory["loss"] for memory in figures["memory"]] == ["chunked", "whole"]
    for memory in figures["memory"]:
        assert memory["products_per_s"] > 0
        assert memory["peak_mb"] >= memory["before_mb"] > 0
    assert [load["rows"] for load in figures["load"]] == ["all", "four in five"]
    assert all(min(load["gb_per_s"], load["to_copy"], load["to_new_copy"]) > 0 for load in figures["load"])


@pytest.mark.end_to_end
def test_brands_are_timed_and_held_against_gold(tmp_path: Path) -> None:
    figures = bench("brands.py", "--strings", "300")
    (size,) = figures["sizes"]
    assert min(size["num_strings"], size["num_products"], size["seconds"], size["peak_mb"]) > 0
    assert size["steps"].keys() == {"Counting brands", "Deciding brands"}
    assert size["scores"]["strings"]["made"] > 0

    catalog = tmp_path / "gold.csv"
    rows = [("Nike", "Nike"), ("NIKE", "Nike"), ("Nike", ""), ("nike", "Nike"), ("Puma", "Nike"), ("PUMA", "Puma")]
    lines = [f"p{place},{brand} cap,{brand},{gold}" for place, (brand, gold) in enumerate(rows)]
    catalog.write_text("\n".join(["product_id,title,brand,truth", *lines]) + "\n")
    scores = bench("brands.py", "--catalog", str(catalog), "--gold", "truth")
    whole, own = scores["all strings"], scores["without foreign strings"]
    assert (whole["num_strings"], whole["made"], whole["wanted"], whole["right"]) == (5, 4, 6, 3)
    assert (own["num_strings"], own["made"], own["wanted"], own["right"]) == (4, 3, 3, 3)


@pytest.mark.end_to_end
def test_what_each_source_adds_to_the_brand(tmp_path: Path) -> None:
    shards, aliases, pipeline = tmp_path / "shards", tmp_path / "aliases.csv", tmp_path / "brand.toml"
    write_branded_set(shards)
    aliases.write_text("supplied,canonical\nNorvik,Norvik\nNORVIK Ltd,Norvik\n")
    tables = {"embed": f'out = "{shards}"', "brands": f'aliases = "{aliases}"', "train": "epochs = 2"}
    pipeline.write_text('target = "brand"\n' + "".join(f"[{name}]\n{line}\n" for name, line in tables.items()))
    figures = bench("brand_evidence.py", "--pipeline", str(pipeline), "--json")["figures"]
    assert list(figures)[:3] == ["head on CLIP", "  and the supplied brand (CLIP)", "  and the title (CLIP)"]
    for rates in figures.values():
        assert list(rates) == ["as supplied", "unseen spellings", "brand withheld", "wrong brand supplied"]
        assert all(0 <= rate <= 1 for rate in rates.values())


@pytest.mark.end_to_end
def test_the_category_head_is_set_against_logistic_regression() -> None:
    figures = bench("category_head.py", "--quick")
    assert [method["method"] for method in figures["methods"]] == ["prodemb head", "logistic regression"]
    assert all(method["seconds"] > 0 and 0.1 < method["top1"] <= 1 for method in figures["methods"])
    assert figures["scoring_s"] > 0
    assert figures["peak_mb"] > 0


@pytest.mark.end_to_end
def test_reading_is_timed_beside_other_readers() -> None:
    rates = bench("reading.py", "--rows", "2000")["rates"]
    assert [rate["reader"] for rate in rates][::2] == ["csv prodemb", "jsonl prodemb", "xml prodemb"]
    assert all(min(rate["rows_per_second"], rate["rows_per_cpu_second"], rate["peak_mb"]) > 0 for rate in rates)
