"""The benchmarks of fine-tuning at their smallest: every figure is there."""

import pytest

from tests.test_bench import bench


@pytest.mark.end_to_end
def test_memory_gives_every_figure() -> None:
    rows = bench("finetune_memory.py", "--batch-size", "64", "--chunk-sizes", "16", "--steps", "1")["rows"]
    assert list(rows) == ["whole batch", "16"]
    assert all(row["seconds"] > 0 and row["cpu_seconds"] > 0 and row["peak_mb"] >= 0 for row in rows.values())


@pytest.mark.end_to_end
def test_ablation_gives_every_figure() -> None:
    arguments = ("--limit", "150", "--epochs", "1", "--losses", "soft + tree credit", "--trained", "LoRA")
    rows = bench("finetune_ablation.py", *arguments)["rows"]
    assert list(rows) == ["frozen", "soft + tree credit, LoRA"]
    for row in rows.values():
        assert all(0 <= row[probe] <= 1 for probe in ("title", "picture", "all", "head"))
    assert rows["soft + tree credit, LoRA"]["minutes"] > 0
    assert rows["frozen"]["minutes"] is None
