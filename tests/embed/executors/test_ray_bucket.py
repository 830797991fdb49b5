"""Ray with the shard set in a bucket: machines need not share a file system."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from prodemb.catalog.images import ImagesConfig
from prodemb.core.errors import WorkerError
from prodemb.embed.config import EmbedConfig
from prodemb.embed.embed import EmbedReport, embed
from prodemb.storage.address import Address, Place
from prodemb.storage.objects import listing, upload
from prodemb.workers import ray as engine
from tests.embed.conftest import MakeCatalog, contents
from tests.embed.executors.odd_catalog import OddCatalog
from tests.embed.executors.test_ray import dies_with_a_word
from tests.embed.test_bucket import objects
from tests.object_store import ObjectStore
from tests.ray_cluster import two_nodes

FEATURES = ("title", "brand", "lexical")


@pytest.fixture(scope="module")
def elsewhere(warm_python: Path, running_store: ObjectStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A cluster whose machines keep what they fetch in another place than this one."""
    cache = tmp_path_factory.mktemp("elsewhere") / "cache"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in running_store.environment(cache).items():
            patch.setenv(name, value)
        with two_nodes(warm_python):
            yield cache


def nothing(_folder: object) -> None:
    """All goes well."""


def embed_by(catalog: Address, out: Place, *, happens: Callable[[Any], None] = nothing, **settings: Any) -> EmbedReport:
    values = {"model": "bundled", "out": str(out), "shard_size": 16, "window": 8, "dtype": "float32"}
    config = EmbedConfig.parse({**values, "features": FEATURES, **settings}, source="test")
    return embed(config, catalog=OddCatalog(catalog, happens=happens, home=os.getpid()), images=ImagesConfig())


@pytest.mark.slow
def test_machines_that_share_nothing_but_the_bucket_make_the_files_of_one_process(
    elsewhere: Path,
    make_catalog: MakeCatalog,
    tmp_path: Path,
    bucket: Address,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    local, catalog, one, two = make_catalog(60), bucket / "feed" / "catalog.parquet", tmp_path / "one", bucket / "two"
    upload(local, catalog)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    embed_by(catalog, one)
    report = embed_by(catalog, two, engine="ray", workers=2)
    assert (report.num_workers, report.num_new) == (2, 60)
    assert objects(two) == contents(one)

    frame = pl.read_parquet(local)
    frame.with_columns(
        pl.when(pl.col("product_id") == "p20").then(pl.lit("red sofa")).otherwise("title").alias("title")
    ).write_parquet(local)
    upload(local, catalog)
    embed_by(catalog, one)
    updated = embed_by(catalog, two, engine="ray", workers=2)
    assert updated.manifest.changes is not None
    assert (updated.manifest.changes.changed, updated.num_new) == (1, 16)
    assert objects(two) == contents(one)
    assert not list(listing(two / ".temporary"))
    assert any((elsewhere / "entries").iterdir())  # the workers' own


@pytest.mark.slow
def test_last_words_are_asked_of_the_machine(
    elsewhere: Path, make_catalog: MakeCatalog, bucket: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(make_catalog(100), catalog := bucket / "catalog.parquet")
    monkeypatch.setattr(engine, "RETRIES", 1)
    words = r"prodemb worker \d on .* died: its worker process has died: the dog ate row 48; 2 workers died over shard"
    with pytest.raises(WorkerError, match=words):
        embed_by(catalog, bucket / "shards", happens=dies_with_a_word, engine="ray", workers=2)
