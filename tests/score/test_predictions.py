"""What a predictions file says of itself is believed only where it can be."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prodemb.confidence.promise import Promise
from prodemb.core.errors import ConfigError
from prodemb.score.predictions import LevelCounts, ScoreCounts, open_predictions, read_counts, write_predictions


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


def test_counts_of_parts_add_up_whatever_their_depth() -> None:
    promise = Promise(precision=0.9, certainty=0.9, num_labels=400, threshold=0.8, num_answered=9, num_correct=9)
    one = ScoreCounts(
        unanswered={"brand": 1, "category": 2},
        backed_off=3,
        promises={"category": promise},
        levels=(LevelCounts(before=4, after=5),),
        gold={"brand": 6, "category": 0},
        unresolved_gold=7,
    )
    two = one.model_copy(update={"levels": (LevelCounts(before=1, after=2), LevelCounts(before=3, after=0))})
    assert sum((one, two), ScoreCounts(unanswered={})) == ScoreCounts(
        unanswered={"brand": 2, "category": 4},
        backed_off=6,
        promises={"category": promise},
        levels=(LevelCounts(before=5, after=7), LevelCounts(before=3, after=0)),
        gold={"brand": 12, "category": 0},
        unresolved_gold=14,
    )
