"""The feed gives each shard's windows in order, pictures beside their rows, and passes on what goes wrong."""

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from prodemb.catalog.images import ImageLoader, ImagesConfig
from prodemb.catalog.reader import Catalog, CatalogConfig, open_catalog
from prodemb.core.errors import CatalogError
from prodemb.embed.feed import PICTURES_A_TASK, Feed, Picture
from prodemb.towers.image import ImagePreprocessor
from tests.conftest import jpeg
from tests.picture_server import PictureServer, running_server

MakeCatalog = Callable[[int], Path]
PREPROCESSOR = ImagePreprocessor(size=(16, 16), crop=None, mean=(0, 0, 0), std=(1, 1, 1))


def feed(
    catalog: Catalog,
    *,
    is_mine: Callable[[int], bool] = lambda _: True,
    window: int = 8,
    num_shards: int = 99,
    loader: ImageLoader | None = None,
) -> Feed:
    return Feed(
        catalog,
        loader=loader or ImageLoader(ImagesConfig(), root=catalog.image_root),
        preprocessor=PREPROCESSOR,
        shard_size=16,
        window=window,
        num_workers=2,
        num_shards=num_shards,
        is_mine=is_mine,
        reuse_for=lambda _: None,
    )


def test_each_shard_is_asked_for_once_and_only_those_wanted_come(make_catalog: MakeCatalog) -> None:
    catalog = open_catalog(CatalogConfig(path=str(make_catalog(70))))
    asked: list[int] = []

    def is_mine(shard: int) -> bool:
        asked.append(shard)
        return shard in (1, 4)

    with feed(catalog, is_mine=is_mine) as opened:
        windows = [(window.shard, window.rows["product_id"].to_pylist()) for window in opened]
    assert asked == [0, 1, 2, 3, 4]
    assert [shard for shard, _ in windows] == [1, 1, 4]
    wanted = [f"p{place}" for place in [*range(16, 32), *range(64, 70)]]
    assert [product for _, products in windows for product in products] == wanted


@pytest.mark.parametrize("window", [1, 2, 8, 16])
def test_pictures_stand_beside_their_rows(make_catalog: MakeCatalog, window: int) -> None:
    num = 3 * PICTURES_A_TASK + 5
    catalog = open_catalog(CatalogConfig(path=str(make_catalog(num))))
    with feed(catalog, window=window) as opened:
        pictures = [picture for window in opened for picture in opened.pictures(window)]
    assert len(pictures) == num
    for place, picture in enumerate(pictures):
        if place % 7 == 3:
            assert picture == "file not found"
        else:
            assert isinstance(picture, Picture)
            np.testing.assert_array_equal(picture.pixels, PREPROCESSOR.decode(jpeg(place % 11)))
    assert opened.seconds.decoding > 0


def test_a_catalog_that_breaks_off_is_an_error(make_catalog: MakeCatalog, tmp_path: Path) -> None:
    path = make_catalog(70)
    catalog = open_catalog(CatalogConfig(path=str(path)))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(CatalogError, match=r"catalog\.parquet"), feed(catalog) as opened:
        list(opened)


def test_a_catalog_that_grows_meanwhile_is_an_error(make_catalog: MakeCatalog) -> None:
    catalog = open_catalog(CatalogConfig(path=str(make_catalog(70))))
    with pytest.raises(CatalogError, match="grew while it was read"), feed(catalog, num_shards=4) as opened:
        list(opened)


def test_leaving_early_waits_for_nobody(make_catalog: MakeCatalog) -> None:
    catalog = open_catalog(CatalogConfig(path=str(make_catalog(200))))
    with feed(catalog, window=2) as opened:
        next(iter(opened))


def test_a_host_that_does_not_answer_holds_up_no_other(tmp_path: Path) -> None:
    with running_server() as slow:
        fast = slow.replace("127.0.0.1", "localhost")
        addresses = [f"{slow}/held/{n}" if n % 4 < 2 else f"{fast}/jpeg/{n}" for n in range(24)]
        asked = PictureServer.asked
        asked.clear()
        pl.DataFrame({"product_id": range(24), "title": "x", "image": addresses}).write_csv(tmp_path / "catalog.csv")
        catalog = open_catalog(CatalogConfig(path=str(tmp_path / "catalog.csv")))
        images = ImagesConfig(concurrency=4, host_share=0.5, allow_private_hosts=True)
        PictureServer.gate.clear()
        try:
            with ImageLoader(images, root=tmp_path) as loader, feed(catalog, loader=loader) as opened:
                until = time.monotonic() + 10
                while not all(asked[f"/jpeg/{n}"] for n in range(24) if n % 4 >= 2) and time.monotonic() < until:
                    time.sleep(0.01)
                assert {path: count for path, count in asked.items() if path.startswith("/jpeg/")} == {
                    f"/jpeg/{n}": 1 for n in range(24) if n % 4 >= 2
                }
                assert {path for path in asked if path.startswith("/held/")} == {"/held/0", "/held/1"}
                PictureServer.gate.set()
                pictures = [picture for window in opened for picture in opened.pictures(window)]
        finally:
            PictureServer.gate.set()
    for number, picture in enumerate(pictures):
        assert isinstance(picture, Picture)
        np.testing.assert_array_equal(picture.pixels, PREPROCESSOR.decode(jpeg(number)))


class SlowCatalog(Catalog):
    """A catalog whose seventh batch takes its time."""

    def batches(self, num_rows: int, *, columns: Iterable[str] | None = None) -> Iterator[pa.Table]:
        for number, rows in enumerate(super().batches(num_rows, columns=columns)):
            time.sleep(0.2 if number == 6 else 0)
            yield rows


def test_a_reader_that_was_kept_waiting_is_not_taken_for_stuck(
    make_catalog: MakeCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    clock = SimpleNamespace(monotonic=lambda: now, perf_counter=time.perf_counter)
    monkeypatch.setattr("prodemb.embed.feed.time", clock)
    monkeypatch.setattr("prodemb.embed.feed.POLL_SECONDS", 0.02)
    plain = open_catalog(CatalogConfig(path=str(make_catalog(70))))
    with feed(SlowCatalog(plain.config, plan=plain.plan)) as opened:
        windows = iter(opened)
        next(windows)
        now = 10_000.0  # the reader has read all that may wait, and the towers took their time
        assert sum(window.rows.num_rows for window in windows) == 62
