"""Which vectors a feed goes on from: those of its own name, else of the feed that it shares most products with."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from prodemb.catalog.config import CatalogConfig
from prodemb.catalog.reader import Catalog, open_catalog
from prodemb.predict.cache import set_of_feed
from prodemb.shards.format import MANIFEST_NAME, read_manifest
from tests.shard_sets import write_columns


def feed_of(path: Path, titles: Sequence[str]) -> Catalog:
    path.parent.mkdir(exist_ok=True)
    pl.DataFrame({"product_id": [f"p{i}" for i in range(len(titles))], "title": titles}).write_csv(path)
    return open_catalog(CatalogConfig(path=str(path)))


MUGS, LAMPS = ([f"{what} {i}" for i in range(20)] for what in ("mug", "lamp"))


def test_a_new_feed_gets_a_folder_called_like_it(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    feed = feed_of(tmp_path / "new feed (1).csv", MUGS)
    assert set_of_feed(cache, catalog=feed) == cache / "new-feed-1"
    write_columns(cache / "new-feed-1", title=LAMPS)
    assert set_of_feed(cache, catalog=feed) == cache / "new-feed-1-2"


def test_a_feed_goes_on_from_the_one_it_shares_most_products_with(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    write_columns(cache / "few", title=[*MUGS[:4], *LAMPS[4:]])
    write_columns(cache / "most", title=[*MUGS[:15], *LAMPS[15:]])
    write_columns(cache / "none", title=LAMPS)
    feed = feed_of(tmp_path / "tomorrow.csv", MUGS)
    assert set_of_feed(cache, catalog=feed) == cache / "most"
    assert set_of_feed(cache, catalog=feed_of(tmp_path / "other.csv", ["a", "b"])) == cache / "other"


def test_the_same_path_comes_first_also_where_embedding_was_interrupted(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    feed = feed_of(tmp_path / "feed.csv", MUGS)
    write_columns(cache / "alike", title=MUGS)
    write_columns(cache / "own", title=LAMPS)
    unfinished = read_manifest(cache / "own").model_copy(update={"catalog": feed.name, "complete": False})
    unfinished.write(cache / "own")
    assert set_of_feed(cache, catalog=feed) == cache / "own"


def test_a_damaged_set_is_left_alone(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    write_columns(cache / "feed", title=MUGS)
    (cache / "feed" / MANIFEST_NAME).write_text("{")
    assert set_of_feed(cache, catalog=feed_of(tmp_path / "feed.csv", MUGS)) == cache / "feed-2"
