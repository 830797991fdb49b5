"""The benchmark of gradient caching at its smallest: every figure is there."""

import pytest

from tests.bench.test_bench import bench


@pytest.mark.end_to_end
def test_memory_gives_every_figure() -> None:
    rows = bench("finetune_memory.py", "--batch-size", "64", "--chunk-sizes", "16", "--steps", "1")["rows"]
    assert list(rows) == ["whole batch", "16"]
    assert all(row["seconds"] > 0 and row["cpu_seconds"] > 0 and row["peak_mb"] >= 0 for row in rows.values())
