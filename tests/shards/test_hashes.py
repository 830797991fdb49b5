"""What a picture's source and a shard's rows hash to: other where something may have changed, else the same."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from prodemb.catalog.images import ImageLoader, ImagesConfig
from prodemb.catalog.reader import CatalogConfig, open_catalog
from prodemb.shards.hashes import image_sources, rows_hashes


def sources(folder: Path, *cells: str | bytes | None, **settings: bool) -> list[bytes]:
    with ImageLoader(ImagesConfig.parse(settings, source="test"), root=folder) as loader:
        return [row.tobytes() for row in image_sources(cells, loader=loader)]


def test_a_local_picture_is_known_by_path_size_and_time(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"one")
    (tmp_path / "b.jpg").write_bytes(b"one")
    (before, other, nothing, none) = sources(tmp_path, "a.jpg", "b.jpg", "c.jpg", None)
    assert len({before, other, nothing, none}) == 4
    assert none == bytes(16)
    assert sources(tmp_path, "a.jpg") == [before]
    os.utime(tmp_path / "a.jpg", (1, 1))
    assert sources(tmp_path, "a.jpg") != [before]
    (tmp_path / "c.jpg").write_bytes(b"three")
    assert sources(tmp_path, "c.jpg") != [nothing]


def test_a_picture_on_a_server_is_known_by_its_address_and_one_in_the_catalog_by_its_bytes(tmp_path: Path) -> None:
    address = "http://example.com/a.jpg"
    assert sources(tmp_path, address, b"a") == sources(tmp_path, address, b"a")
    assert sources(tmp_path, address, b"a") != sources(tmp_path, address, b"b")
    assert sources(tmp_path, address) != sources(tmp_path, address, allow_private_hosts=True)
    assert sources(tmp_path, "\ud800.jpg")


@pytest.mark.parametrize("window", [1, 8, 16])
def test_the_window_makes_no_difference_and_another_row_does(
    make_catalog: Callable[[int], Path], tmp_path: Path, window: int
) -> None:
    catalog = open_catalog(CatalogConfig(path=str(make_catalog(40))))
    with ImageLoader(ImagesConfig(), root=tmp_path) as loader:
        found = rows_hashes(catalog, loader=loader, shard_size=16, window=window)
        (tmp_path / "images" / "20.jpg").write_bytes(b"another")
        later = rows_hashes(catalog, loader=loader, shard_size=16, window=window)
    assert [one == two for one, two in zip(found, later, strict=True)] == [True, False, True]


def test_another_partner_makes_other_rows(tmp_path: Path) -> None:
    for file, product in (("alder.csv", "1"), ("borea.csv", "2")):
        (tmp_path / file).write_text(f"product_id,title\n{product},Mug\n")

    def found() -> list[str]:
        return rows_hashes(open_catalog(CatalogConfig(path=str(tmp_path))), loader=None, shard_size=1, window=1)

    before = found()
    (tmp_path / "borea.csv").rename(tmp_path / "cedar.csv")
    assert [one == two for one, two in zip(before, found(), strict=True)] == [True, False]
