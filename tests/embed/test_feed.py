"""The feed gives each shard's windows in order, pictures beside their rows, and passes on what goes wrong."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from prodemb.catalog.images import ImageLoader, ImagesConfig
from prodemb.catalog.reader import Catalog, CatalogConfig, open_catalog
from prodemb.embed.feed import PICTURES_A_TASK, Feed, Picture
from prodemb.errors import CatalogError
from prodemb.towers.image import ImagePreprocessor
from tests.conftest import jpeg

MakeCatalog = Callable[[int], Path]
PREPROCESSOR = ImagePreprocessor(size=(16, 16), crop=None, mean=(0, 0, 0), std=(1, 1, 1))


def feed(
    catalog: Catalog, *, is_mine: Callable[[int], bool] = lambda _: True, window: int = 8, num_shards: int = 99
) -> Feed:
    loader = ImageLoader(ImagesConfig(), root=catalog.image_root)
    return Feed(
        catalog,
        loader=loader,
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
