"""A category pipeline on the small shop of `tests.finetune.shop`."""

from pathlib import Path
from typing import Any

from prodemb.job.pipeline import Pipeline
from tests.finetune.shop import PATHS, write_catalog


def make_pipeline(folder: Path, clip: Path, **tables: dict[str, Any]) -> Pipeline:
    """Its catalog, taxonomy, shards and head all lie in the folder."""
    (folder / "taxonomy.txt").write_text("".join(f"{node} - {path}\n" for node, path in PATHS.items()))
    values: dict[str, Any] = {
        "target": "category",
        "catalog": {"path": str(write_catalog(folder))},
        "embed": {"model": str(clip), "out": str(folder / "shards"), "lexical_dim": 64},
        "train": {"taxonomy": str(folder / "taxonomy.txt"), "out": str(folder / "head"), "epochs": 2},
    }
    for table, settings in tables.items():
        values[table] = values.get(table, {}) | settings
    return Pipeline.parse(values, source="test")
