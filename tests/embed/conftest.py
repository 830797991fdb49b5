"""Embedding the small catalog with the tiny CLIP, and killing that."""

import time
from collections.abc import Callable
from pathlib import Path

from prodemb.catalog.images import ImagesConfig
from prodemb.catalog.reader import CatalogConfig, open_catalog
from prodemb.embed.config import EmbedConfig
from prodemb.embed.embed import EmbedReport, embed
from prodemb.embed.estimate import Estimate, estimate
from prodemb.storage.address import Place
from tests.command_line import context
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


def killed_run(catalog: Path, out: Place, model: Path, *, when: Callable[[], bool], timeout_s: float = 300) -> bool:
    """`run` in a process of its own, which is killed as soon as `when` says so; whether that came before its end."""
    process = context().Process(target=run, args=(catalog, out, model))
    process.start()
    until = time.monotonic() + timeout_s
    while process.exitcode is None and not when():
        assert time.monotonic() < until
        time.sleep(0.005)
    is_killed = process.exitcode is None
    process.kill()
    process.join(10)
    return is_killed
