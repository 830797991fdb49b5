"""Each shard's windows come in order, pictures beside their rows, and what goes wrong is passed on."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from prodemb.catalog.images import ImageLoader, ImagesConfig
from prodemb.catalog.reader import Catalog, CatalogConfig, open_catalog
from prodemb.core.errors import CatalogError
from prodemb.embed.pictures import PICTURES_PER_TASK, PictureFetcher
from prodemb.embed.plan import ShardTask
from prodemb.embed.prefetch import Prefetcher
from prodemb.embed.windows import Picture, Window, WindowReader
from prodemb.towers.image import ImagePreprocessor
from tests.conftest import jpeg
from tests.embed.conftest import MakeCatalog

PREPROCESSOR = ImagePreprocessor(size=(16, 16), crop=None, mean=(0, 0, 0), std=(1, 1, 1))
SHARD_SIZE = 16


def tasks(num_products: int) -> list[ShardTask]:
    starts = range(0, num_products, SHARD_SIZE)
    return [
        ShardTask(index=index, start=start, stop=min(start + SHARD_SIZE, num_products))
        for index, start in enumerate(starts)
    ]


@contextmanager
def reading(
    catalog: Catalog, todo: Sequence[ShardTask], *, window: int = 8, num_products: int = 70
) -> Iterator[Iterator[Window]]:
    with (
        ImageLoader(ImagesConfig(), root=catalog.image_root) as loader,
        PictureFetcher(loader, num_workers=2) as fetcher,
    ):
        reader = WindowReader(
            catalog,
            window=window,
            num_products=num_products,
            fetcher=fetcher,
            preprocessor=PREPROCESSOR,
            reuse=None,
        )
        with Prefetcher(reader.windows(todo), ahead=4, source=catalog.name) as windows:
            yield iter(windows)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_only_the_rows_of_the_wanted_shards_come(make_catalog: MakeCatalog, tmp_path: Path, suffix: str) -> None:
    path = make_catalog(70)
    if suffix == ".csv":
        pl.read_parquet(path).write_csv(path := tmp_path / "catalog.csv")
    wanted = [tasks(70)[index] for index in (1, 4, 2)]
    with reading(open_catalog(CatalogConfig(path=str(path))), wanted) as windows:
        found = [(window.task.index, window.rows["product_id"].to_pylist()) for window in windows]
    assert [index for index, _ in found] == [1, 1, 4, 2, 2]
    rows = [f"p{row}" for row in [*range(16, 32), *range(64, 70), *range(32, 48)]]
    assert [product for _, products in found for product in products] == rows


@pytest.mark.parametrize("window", [1, 2, 8, 16])
def test_pictures_stand_beside_their_rows(make_catalog: MakeCatalog, window: int) -> None:
    num = 3 * PICTURES_PER_TASK + 5
    catalog = open_catalog(CatalogConfig(path=str(make_catalog(num))))
    with reading(catalog, tasks(num), window=window, num_products=num) as windows:
        pictures = [picture for window in windows for picture in window.pictures]
    assert len(pictures) == num
    for row, picture in enumerate(pictures):
        if row % 7 == 3:
            assert picture == "file not found"
        else:
            assert isinstance(picture, Picture)
            np.testing.assert_array_equal(picture.pixels, PREPROCESSOR.decode(jpeg(row % 11)))


def test_a_catalog_that_breaks_off_is_an_error(make_catalog: MakeCatalog) -> None:
    path = make_catalog(70)
    catalog = open_catalog(CatalogConfig(path=str(path)))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(CatalogError, match=r"catalog\.parquet"), reading(catalog, tasks(70)) as windows:
        list(windows)


@pytest.mark.parametrize(("num_products", "message"), [(64, "grew"), (68, "grew"), (75, "found 70 products, 75 when")])
def test_a_catalog_that_changes_meanwhile_is_an_error(
    make_catalog: MakeCatalog, num_products: int, message: str
) -> None:
    catalog = open_catalog(CatalogConfig(path=str(make_catalog(70))))
    with (
        pytest.raises(CatalogError, match=message),
        reading(catalog, tasks(num_products), num_products=num_products) as windows,
    ):
        list(windows)


def test_leaving_early_waits_for_nobody(make_catalog: MakeCatalog) -> None:
    catalog = open_catalog(CatalogConfig(path=str(make_catalog(200))))
    with reading(catalog, tasks(200), window=2, num_products=200) as windows:
        next(windows)
