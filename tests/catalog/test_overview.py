"""A catalog read through: what is told of it, and what is written."""

import subprocess
from pathlib import Path

import polars as pl
import pytest

from prodemb.catalog.overview import Overview, read_through
from prodemb.catalog.reader import CatalogConfig, open_catalog
from prodemb.core.errors import CatalogError
from tests.conftest import jpeg

CHECK = Path(__file__).parents[3] / "shared/feeds/check.py"


def overview_of(path: Path, out: Path | None = None) -> Overview:
    return read_through(open_catalog(CatalogConfig(path=str(path), bad_ids="drop")), out=out)


def write_feed(folder: Path) -> Path:
    (folder / "pics").mkdir(parents=True)
    (folder / "pics" / "1.jpg").write_bytes(jpeg(1))
    feed = folder / "feed.csv"
    feed.write_text(
        "sku,name,maker,photo,price\n1,Blue &amp; green mug,Acme,pics/1.jpg,5\n2,Red pan,Acme,pics/2.jpg,6\n2,,,,\n"
    )
    return feed


def test_what_is_told(tmp_path: Path) -> None:
    found = overview_of(write_feed(tmp_path))
    (file,) = found.files
    assert (file.format, file.delimiter, file.header_row, file.num_rows) == ("csv", ",", 1, 3)
    assert file.unused == ("price",)
    assert [(use.standard, use.own) for use in found.columns] == [
        ("product_id", "sku"),
        ("title", "name"),
        ("brand", "maker"),
        ("image", "photo"),
    ]
    assert found.columns[1].samples == ("Blue & green mug", "Red pan")
    assert (found.num_rows, found.num_products, found.num_titled, found.num_pictured) == (3, 2, 2, 2)
    assert [(each.reason, each.count, each.example, each.is_lost) for each in found.left_out] == [
        ("another row of a product", 1, "feed.csv row 4", False)
    ]
    assert (found.num_pictures_looked_for, found.num_pictures_missing) == (2, 1)
    assert found.warnings == ("1 of 2 pictures looked for are not there",)


def test_what_is_written_is_a_catalog(tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    overview_of(write_feed(tmp_path / "shop"), out=out)
    written = pl.read_parquet(out)
    assert written["product_id"].to_list() == ["1", "2"]
    assert written["image"][0] == str(tmp_path / "shop" / "pics" / "1.jpg")
    assert written["partner"].to_list() == [None, None]
    again = open_catalog(CatalogConfig(path=str(out)))
    assert not again.plan.guesses
    (table,) = again.batches(10, columns=["title", "partner"])
    assert table.to_pylist()[0] == {"title": "Blue & green mug", "partner": None}


def test_losses_are_told_first(tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl"
    path.write_text('{"id": 1, "title": "Blue mug", "brand": "Acme"}\n{"id": 2, "ti\n{"id": 3, "brand": "Acme"}\n' * 1)
    found = overview_of(path)
    assert found.lost_rate == pytest.approx(1 / 3)
    assert found.warnings[0] == "1 of 3 rows are lost (33.3%)"
    assert found.advice
    with pytest.raises(CatalogError, match=r"1 of 3 rows are lost"):
        open_catalog(CatalogConfig(path=str(path))).check_ids()


def test_a_catalog_is_not_written_over_itself(tmp_path: Path) -> None:
    feed = write_feed(tmp_path)
    with pytest.raises(CatalogError, match="is a file of the catalog"):
        overview_of(feed, out=feed)


def test_batches_may_begin_and_end_anywhere(tmp_path: Path) -> None:
    rows = "".join(f"{n},Mug {n},https://x.y/{n}.jpg\n{n},,\n" for n in range(50))
    (tmp_path / "a.csv").write_text(f"id,title,image\n{rows}")
    (tmp_path / "b.csv").write_text("id,title,image\nx,Pan,\nx,,https://x.y/x.jpg\n")
    catalog = open_catalog(CatalogConfig(path=str(tmp_path)))
    whole = [row for table in catalog.batches(7) for row in table.to_pylist()]
    assert len(whole) == catalog.check_ids() == 51
    assert whole[-1]["image"] == "https://x.y/x.jpg"
    for start, stop in ((0, 51), (3, 9), (49, None), (51, None), (10, 10)):
        found = [row for table in catalog.batches(7, start=start, stop=stop) for row in table.to_pylist()]
        assert found == whole[start:stop]


@pytest.mark.slow
@pytest.mark.skipif(not CHECK.exists(), reason="the shared feeds are not here")
def test_the_shared_feeds_are_read_right(warm_python: Path, tmp_path: Path) -> None:
    command = tmp_path / "prodemb"
    command.write_text(f'#!/bin/sh\nexec {warm_python} -m prodemb.cli "$@"\n')
    command.chmod(0o755)
    arguments = [str(warm_python), str(CHECK), "--prodemb", str(command)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
