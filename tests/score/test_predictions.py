"""What a predictions file says of itself is believed only where it can be."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prodemb.core.errors import ConfigError
from prodemb.score.predictions import ScoreCounts, open_predictions, read_counts, write_predictions


def write(path: Path, counts: str | None) -> None:
    schema, metadata = pa.schema([("brand_source", pa.string())]), {"inputs_hash": "abc"}
    if counts is None:
        write_predictions(
            path, [], schema=schema, metadata=metadata, counts=lambda: ScoreCounts(unanswered={"brand": 3})
        )
        return
    with open_predictions(path, schema=schema, metadata=metadata) as writer:
        writer.add_key_value_metadata({b"prodemb_counts": counts})


def test_the_counts_of_the_same_inputs_come_back(tmp_path: Path) -> None:
    write(tmp_path / "out.parquet", None)
    assert read_counts(tmp_path / "out.parquet", inputs_hash="abc") == ScoreCounts(unanswered={"brand": 3})
    assert read_counts(tmp_path / "out.parquet", inputs_hash="abd") is None
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    assert read_counts(tmp_path / "other.parquet", inputs_hash="abc") is None


@pytest.mark.parametrize("counts", ["{", "[]", "{}", '{"unanswered": {"brand": "many"}}', "9" * 5000, "[" * 99_999])
def test_damaged_counts_are_one_line_that_names_the_file(tmp_path: Path, counts: str) -> None:
    write(tmp_path / "out.parquet", counts)
    with pytest.raises(ConfigError, match=r"out\.parquet: ") as caught:
        read_counts(tmp_path / "out.parquet", inputs_hash="abc")
    assert len(str(caught.value).splitlines()) == 1
