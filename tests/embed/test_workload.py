"""What is counted of a run is what the run then does, and nothing is fetched for it."""

from pathlib import Path

import polars as pl
import pytest

from prodemb.embed.estimate import Estimate
from tests.conftest import jpeg
from tests.embed.conftest import MakeCatalog, estimated, run


@pytest.mark.parametrize("num_products", [1, 40])
def test_counts_are_those_of_the_run(
    num_products: int, make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path
) -> None:
    catalog, out = make_catalog(num_products), tmp_path / "shards"
    found = estimated(catalog, out, tiny_clip).workload
    report = run(catalog, out, tiny_clip)
    nulls = report.manifest.null_counts()
    assert (found.num_products, found.num_todo) == (num_products, num_products)
    for feature, present in found.present.items():
        assert present == num_products - nulls[feature].get("no value", 0)
    assert found.num_texts == report.timings.num_texts
    assert found.num_words == num_products
    assert (found.num_local, found.num_remote, found.hosts) == (num_products, 0, {})
    assert found.num_known == sum(found.present.values()) - found.num_texts - found.num_images


def test_the_same_picture_of_two_products_counts_once_where_its_path_is_the_same(
    tiny_clip: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(1))
    frame = pl.DataFrame({"product_id": ["1", "2", "3"], "title": ["red shoe"] * 3, "image": ["a.jpg", "a.jpg", None]})
    frame.write_parquet(tmp_path / "catalog.parquet")
    found = estimated(tmp_path / "catalog.parquet", tmp_path / "shards", tiny_clip).workload
    assert (found.num_images, found.num_local, found.num_texts, found.num_words) == (1, 2, 1, 1)
    assert found.num_known == 3  # two titles and a picture


def test_of_an_update_only_what_is_new_counts(make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path) -> None:
    catalog, out = make_catalog(40), tmp_path / "shards"
    run(catalog, out, tiny_clip)
    title = pl.when(product_id="p20").then(pl.lit("green hat")).otherwise("title")
    pl.read_parquet(catalog).with_columns(title=title).write_parquet(catalog)
    found = estimated(catalog, out, tiny_clip)
    assert found.num_shards == 1
    work = found.workload
    assert (work.num_products, work.num_todo) == (40, 16)
    assert (work.num_texts, work.num_images, work.num_words) == (1, 0, 1)
    report = run(catalog, out, tiny_clip)
    assert (report.timings.num_texts, report.timings.num_images) == (1, 0)


def test_pictures_on_servers_are_counted_by_host_and_not_fetched(tiny_clip: Path, tmp_path: Path) -> None:
    images = ["https://a.invalid/1.jpg", "https://a.invalid/2.jpg", "https://b.invalid/1.jpg", None]
    frame = pl.DataFrame({"product_id": ["1", "2", "3", "4"], "title": ["a", "b", "c", "d"], "image": images})
    frame.write_parquet(tmp_path / "catalog.parquet")
    found: Estimate = estimated(tmp_path / "catalog.parquet", tmp_path / "shards", tiny_clip)
    assert (found.workload.num_remote, found.workload.num_local) == (3, 0)
    assert found.workload.hosts == {"a.invalid": 2, "b.invalid": 1}
    assert found.sample is not None
    assert found.sample.timings.num_images == 3  # a picture of ours stands for each
