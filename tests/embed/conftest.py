"""Embedding the small catalog with the tiny CLIP, and killing that."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from prodemb.catalog.images import ImagesConfig
from prodemb.catalog.reader import CatalogConfig, open_catalog
from prodemb.embed.config import EmbedConfig
from prodemb.embed.embed import EmbedReport, embed
from prodemb.embed.estimate import Estimate, estimate
from prodemb.storage.address import Place
from tests.object_store import bucket, object_store, running_store

__all__ = ["bucket", "object_store", "running_store"]

MakeCatalog = Callable[[int], Path]


def config_for(out: Place, model: Path, **settings: object) -> EmbedConfig:
    return EmbedConfig.parse(
        {"model": str(model), "out": str(out), "shard_size": 16, "window": 8, "dtype": "float32", **settings},
        source="test",
    )


def run(catalog: Path, out: Place, model: Path, **settings: object) -> EmbedReport:
    config = config_for(out, model, **settings)
    return embed(config, catalog=open_catalog(CatalogConfig(path=str(catalog))), images=ImagesConfig())


def estimated(catalog: Path, out: Place, model: Path, **settings: object) -> Estimate:
    config = config_for(out, model, **settings)
    return estimate(config, catalog=open_catalog(CatalogConfig(path=str(catalog))), images=ImagesConfig())


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}


RUN = """
import sys
from pathlib import Path
from prodemb.storage.address import place
from tests.embed.conftest import run
run(Path(sys.argv[1]), place(sys.argv[2]), Path(sys.argv[3]))
"""


def killed_run(catalog: Path, out: Place, model: Path, *, when: Callable[[], bool], timeout_s: float = 300) -> bool:
    """`run` in a process of its own, which is killed as soon as `when` says so; whether that came before its end."""
    command = [sys.executable, "-c", RUN, *map(str, (catalog, out, model))]
    process = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})
    until = time.monotonic() + timeout_s
    while process.poll() is None and not when():
        assert time.monotonic() < until
        time.sleep(0.005)
    is_killed = process.poll() is None
    process.kill()
    process.wait(10)
    return is_killed
