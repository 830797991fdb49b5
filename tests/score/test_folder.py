"""A folder of predictions: the rows of one file, whoever reads it, and nothing half done."""

from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from prodemb.core.errors import ConfigError, OutputError
from prodemb.report.outcome import read_predictions
from prodemb.score.config import ScoreConfig
from prodemb.score.feed import write_feed
from prodemb.score.folder import prediction_files
from prodemb.score.record import METADATA_NAME, RECORD_NAME, UNFINISHED
from prodemb.score.score import check_out
from tests.shard_sets import write_random_set
from tests.small_heads import make_head, score_with

SIZES = [20, 20, 30, 20, 10]


def scored(tmp_path: Path, *, max_rows_per_file: int = 40) -> tuple[pa.Table, Path]:
    """The predictions of one file, and the folder of the same ones."""
    shards, heads = write_random_set(tmp_path / "shards", sizes=SIZES), (make_head("category"), make_head("brand"))
    score_with([shards], tmp_path / "out.parquet", *heads)
    score_with([shards], tmp_path / "out", *heads, max_rows_per_file=max_rows_per_file)
    return pq.read_table(tmp_path / "out.parquet"), tmp_path / "out"


def test_every_reader_sees_the_rows_of_one_file_in_order(tmp_path: Path) -> None:
    one, out = scored(tmp_path)
    assert sorted(path.name for path in out.iterdir()) == [
        ".prodemb",
        METADATA_NAME,
        RECORD_NAME,
        *(f"part-0000{i}.parquet" for i in range(3)),
    ]
    assert [pq.read_metadata(path).num_rows for path in prediction_files(out)] == [40, 30, 30]
    assert pq.read_metadata(out / METADATA_NAME).num_row_groups == len(SIZES)
    assert pq.read_table(out).equals(one)
    assert ds.dataset(out).to_table().equals(one)
    assert ds.parquet_dataset(out / METADATA_NAME).to_table().equals(one)
    frame = pl.DataFrame(pl.from_arrow(one))
    assert pl.read_parquet(out / "*.parquet").equals(frame)
    assert pl.scan_parquet(out / "*.parquet").collect().equals(frame)
    found = duckdb.connect().sql(f"from '{out}/*.parquet'")
    assert found is not None
    assert pl.DataFrame(found.to_arrow_table()).equals(frame)
    parts = pa.concat_tables([pq.read_table(path) for path in prediction_files(out)])
    assert parts.equals(one)


@pytest.mark.parametrize(("most", "rows"), [(1, SIZES), (50, [40, 50, 10]), (10**6, [100])])
def test_files_are_of_whole_shards(tmp_path: Path, most: int, rows: list[int]) -> None:
    _, out = scored(tmp_path, max_rows_per_file=most)
    assert [pq.read_metadata(path).num_rows for path in prediction_files(out)] == rows


def test_feeds_reports_and_differences_read_folders(tmp_path: Path) -> None:
    one, out = scored(tmp_path)
    from_file = write_feed(tmp_path / "out.parquet", tmp_path / "one.tsv", min_confidence=0.1)
    from_folder = write_feed(out, tmp_path / "two.tsv", min_confidence=0.1)
    assert (tmp_path / "one.tsv").read_bytes() == (tmp_path / "two.tsv").read_bytes()
    assert from_file.num_written == from_folder.num_written > 0
    assert read_predictions(out).equals(read_predictions(tmp_path / "out.parquet"))

    shards = write_random_set(tmp_path / "less", sizes=[20, 20])
    heads = make_head("category"), make_head("brand")
    changes = [
        score_with([shards], tmp_path / f"{since.name}.changes.parquet", *heads, since=since).counts.changes
        for since in (out, tmp_path / "out.parquet")
    ]
    assert changes[0] == changes[1]
    assert changes[0] is not None
    assert changes[0]["removed"] == 60
    assert one.num_rows == 100


def test_what_is_not_complete_is_not_read(tmp_path: Path) -> None:
    _, out = scored(tmp_path)
    part = out / "part-00001.parquet"
    kept = part.read_bytes()
    part.write_bytes(kept[:-9])
    with pytest.raises(ConfigError, match=r"part-00001\.parquet: found no whole file, wanted 30 rows; score again"):
        prediction_files(out)
    part.write_bytes((out / "part-00000.parquet").read_bytes())
    with pytest.raises(ConfigError, match=r"part-00001\.parquet: found 40 rows, wanted 30 rows"):
        write_feed(out, tmp_path / "feed.tsv")
    part.write_bytes(kept)
    (out / RECORD_NAME).unlink()
    with pytest.raises(ConfigError, match=r"out: unfinished predictions; run the same command again"):
        write_feed(out, tmp_path / "feed.tsv")
    (out / RECORD_NAME).write_text("{}")
    with pytest.raises(ConfigError, match=rf"{RECORD_NAME}.*remove it and score again"):
        prediction_files(out)
    with pytest.raises(ConfigError, match="holds no predictions"):
        prediction_files(tmp_path / "shards")


def test_where_predictions_cannot_be_is_said_beforehand(tmp_path: Path) -> None:
    _, out = scored(tmp_path)
    one, ray, two = ScoreConfig(), ScoreConfig(engine="ray"), ScoreConfig(workers=2)
    for path, config, message in (
        (tmp_path / "new.csv", one, r"wanted a name that ends in \.parquet, or one without '\.csv'"),
        (tmp_path / "shards", one, "it is a shard set"),
        (tmp_path / "shards" / "out", one, "its folder is a shard set"),
        (out / "more.parquet", one, "its folder is one of predictions"),
        (tmp_path / "new.parquet", ray, r"\[score\] engine: found 'ray', and .* is one file; .*such as .*new$"),
        (tmp_path / "new.parquet", two, r"\[score\] workers: found 2, and"),
    ):
        with pytest.raises(ConfigError, match=message):
            check_out(path, config=config)
    check_out(tmp_path / "new", config=ray)
    with pytest.raises(ConfigError, match="what has changed is written to one file"):
        check_out(tmp_path / "new", config=one, since=out)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").touch()
    with pytest.raises(OutputError, match=r"mine: holds what prodemb did not make \(letter\.txt\)"):
        score_with([write_random_set(tmp_path / "b")], tmp_path / "mine", make_head("brand"))
    assert not (out / UNFINISHED).exists()
