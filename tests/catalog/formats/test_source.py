"""Batches are bounded in rows and bytes, cut where asked, and the same on each pass."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prodemb.catalog.formats import open_source, source
from prodemb.catalog.formats.source import unique_names
from prodemb.core.errors import CatalogError


@pytest.fixture(params=["csv", "jsonl", "xml", "parquet"])
def feed(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A hundred rows in each format."""
    path = tmp_path / f"feed.{request.param}"
    rows = [(str(number), f"Mug {number}") for number in range(100)]
    match request.param:
        case "csv":
            path.write_text("id,title\n" + "".join(f"{id},{title}\n" for id, title in rows))
        case "jsonl":
            path.write_text("".join(f'{{"id": "{id}", "title": "{title}"}}\n' for id, title in rows))
        case "xml":
            path.write_text(
                "<all>" + "".join(f"<one><id>{id}</id><title>{title}</title></one>" for id, title in rows) + "</all>"
            )
        case _:
            table = pa.table({"id": [row[0] for row in rows], "title": [row[1] for row in rows]})
            pq.write_table(table, path, row_group_size=20)
    return path


@pytest.mark.parametrize(("start", "stop"), [(0, None), (0, 10), (37, 61), (99, None), (100, None), (5, 5), (0, 1)])
@pytest.mark.parametrize("max_rows", [1, 7, 8192])
def test_rows_from_start_to_stop(feed: Path, start: int, stop: int | None, max_rows: int) -> None:
    opened = open_source(feed)
    batches = list(opened.batches(max_rows=max_rows, start=start, stop=stop))
    ids = [id for batch in batches for id in batch.table["id"].to_pylist()]
    assert ids == [str(number) for number in range(100)][start:stop]
    assert all(len(batch.rows) == batch.table.num_rows <= max_rows for batch in batches)
    offset = 2 if feed.suffix == ".csv" else 1
    assert [row for batch in batches for row in batch.rows] == [int(id) + offset for id in ids]


def test_columns_are_chosen_in_any_order_or_none(feed: Path) -> None:
    opened = open_source(feed)
    assert opened.columns == ("id", "title")
    (batch,) = opened.batches(columns=["title"])
    assert batch.table.column_names == ["title"]
    assert sum(len(batch.rows) for batch in opened.batches(columns=[])) == 100
    (batch,) = opened.batches(columns=["title", "id"], stop=1)
    assert batch.table.to_pylist() == [{"title": "Mug 0", "id": "0"}]


def test_batches_are_bounded_in_bytes(feed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "BATCH_BYTES", 300)
    batches = list(open_source(feed).batches())
    assert all(batch.table.nbytes <= 700 for batch in batches)
    assert np.concatenate([batch.rows for batch in batches]).size == 100


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,title\n1,a\n")
    with pytest.raises(CatalogError, match=r"a\.csv: found no column 'brand'; columns there: id, title"):
        list(open_source(path).batches(columns=["brand"]))


def test_names_are_trimmed_and_made_unique() -> None:
    assert unique_names([" id ", "", "title", "title", "id", ""]) == (
        "id",
        "column_2",
        "title",
        "title_2",
        "id_2",
        "column_6",
    )
