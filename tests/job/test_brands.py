"""Bringing the alias file up to date."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from prodemb.aliases.config import BrandsConfig
from prodemb.core.progress import ProgressCallback
from prodemb.job.brands import update_aliases

Reported = dict[str, list[tuple[int, int | None]]]


def catalog(*brands: str) -> pa.Table:
    return pa.Table.from_pylist([{"brand": brand, "title": f"{brand} mug {n}"} for brand in brands for n in range(4)])


def update(path: Path, *batches: pa.Table, num_products: int | None = None) -> Reported:
    """Update the alias file; what each step reported."""
    reported: Reported = {}

    @contextmanager
    def record(title: str) -> Iterator[ProgressCallback]:
        steps = reported.setdefault(title, [])
        yield lambda done, total: steps.append((done, total))

    update_aliases(BrandsConfig(aliases=str(path)), batches=iter(batches), progress=record, num_products=num_products)
    return reported


def test_counting_and_deciding_brands_show_their_progress(tmp_path: Path) -> None:
    path = tmp_path / "aliases.csv"
    reported = update(path, catalog("Nokira"), catalog("Philco", "NOKIRA"), num_products=12)
    assert reported == {"Counting brands": [(4, 12), (12, 12)], "Deciding brands": [(2, 2)]}
    assert update(path, catalog("Nokira"))["Counting brands"] == [(4, None)]


@pytest.mark.parametrize("name", ["aliases.csv", "aliases.parquet"])
def test_the_same_catalog_leaves_the_alias_file_as_it_is(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    update(path, catalog("Nokira", "NOKIRA", "Philco", "n/a", "Philko"))
    first, changed = path.read_bytes(), path.stat().st_mtime_ns
    update(path, catalog("Nokira", "NOKIRA", "Philco", "n/a", "Philko"))
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (first, changed)


@pytest.mark.parametrize("name", ["aliases.csv", "aliases.parquet"])
def test_a_person_s_edits_and_comments_outlive_tomorrow(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    update(path, catalog("Nokira", "Philco"))
    frame = pl.read_csv(path) if path.suffix == ".csv" else pl.read_parquet(path)
    mine = pl.when(supplied="Philco").then(pl.lit("Mine")).otherwise("canonical")
    frame = frame.with_columns(canonical=mine).insert_column(1, pl.Series("comment", ["fine", "ours; since May"]))
    frame.write_csv(path) if path.suffix == ".csv" else frame.write_parquet(path)
    update(path, catalog("Bravio", "Nokira", "Philco"))
    later = pl.read_csv(path) if path.suffix == ".csv" else pl.read_parquet(path)
    assert later.columns == frame.columns
    assert later.select("supplied", "comment", "canonical").rows() == [
        ("Bravio", None, "Bravio"),
        ("Nokira", "fine", "Nokira"),
        ("Philco", "ours; since May", "Mine"),
    ]
