"""The files beside a head: read as they were written, and what is altered, missing or damaged is named in one line."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodemb.confidence.conditional_logit import ConditionalLogit
from prodemb.core.errors import HeadError
from prodemb.heads.fuser_files import (
    FUSER_NAME,
    FuserCard,
    check,
    read_arrays,
    read_frame,
    read_fuser_card,
    write_arrays,
    write_frame,
    write_fuser_card,
)
from prodemb.heads.head import HeadCard
from tests.small_heads import make_card

MODEL = ConditionalLogit(weights=np.array([[1.0, 0.1, -3.0], [0.0, 1 / 3, 5e-9]]))
FEATURES = ("a", "b", "c")
SCHEMA = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),
        pa.field("also", pa.string()),
        pa.field("count", pa.int64(), nullable=False),
    ]
)


def write(folder: Path) -> HeadCard:
    """A fuser's card and its one file; the card of its head."""
    write_arrays(folder / "own.safetensors", {"x": np.arange(3)})
    sha256 = write_fuser_card(
        folder, model=MODEL, features=FEATURES, files=["own.safetensors"], least_known=(0.25, 0.0)
    )
    return make_card("category", fuser_sha256=sha256)


def read(folder: Path, head: HeadCard) -> FuserCard:
    return read_fuser_card(folder, head=head, features=FEATURES, num_contexts=1, files=["own.safetensors"])


def test_weights_come_back_bit_by_bit(tmp_path: Path) -> None:
    card = read(tmp_path, write(tmp_path))
    assert np.array_equal(card.model.weights, MODEL.weights)
    assert card.least_known == (0.25, 0.0)
    values = json.loads((tmp_path / FUSER_NAME).read_text())
    assert values["weights"]["b"] == [0.1, 1 / 3]
    assert list(values["files"]) == ["own.safetensors"]


def test_what_is_missing_or_altered_is_named(tmp_path: Path) -> None:
    head, path = write(tmp_path), tmp_path / "own.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(HeadError, match=r"own\.safetensors: found \w{12}, wanted \w{12}: altered, or its training"):
        read(tmp_path, head)
    path.unlink()
    with pytest.raises(HeadError, match=r"own\.safetensors: found nothing, wanted \w{12}: .*; train again"):
        read(tmp_path, head)
    (tmp_path / FUSER_NAME).unlink()
    with pytest.raises(HeadError, match=r"fuser\.json: missing, though the head beside it needs it"):
        read(tmp_path, head)


def test_the_card_of_another_head_or_version_is_refused(tmp_path: Path) -> None:
    head = write(tmp_path)
    with pytest.raises(HeadError, match=r"fuser\.json: found \w{12}, wanted 000000000000"):
        read(tmp_path, head.model_copy(update={"fuser_sha256": "0" * 64}))
    for features, num_contexts in ((("a", "b"), 1), (("b", "a", "c"), 1), (FEATURES, 0), (FEATURES, 2)):
        with pytest.raises(HeadError, match=r"fuser\.json: was made by another version of prodemb"):
            read_fuser_card(
                tmp_path, head=head, features=features, num_contexts=num_contexts, files=["own.safetensors"]
            )
    with pytest.raises(HeadError, match=r"other\.parquet: found nothing, wanted none: altered"):
        read_fuser_card(tmp_path, head=head, features=FEATURES, num_contexts=1, files=["other.parquet"])


@given(
    st.one_of(
        st.binary(max_size=60),
        st.text(max_size=60).map(str.encode),
        st.dictionaries(st.text(), st.floats()).map(lambda found: json.dumps(found).encode()),
    )
)
def test_any_card_is_a_card_or_one_line(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("head")
    (folder / FUSER_NAME).write_bytes(content)
    with pytest.raises(HeadError, match=r"fuser\.json: .*train again") as caught:
        read(folder, make_card("category"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\xff" * 50, (10**9).to_bytes(8, "little") + b"{}"])
def test_arrays_that_are_none_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "own.safetensors"
    path.write_bytes(content)
    with pytest.raises(HeadError, match=r"own\.safetensors: damaged: .*; train again"):
        read_arrays(path, dims={"x": 1})


def test_arrays_must_have_their_dimensions_and_finite_numbers(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    arrays = {"x": np.arange(6).reshape(2, 3).T, "y": np.array([1.0, np.inf])}
    write_arrays(path, arrays)
    assert np.array_equal(read_arrays(path, dims={"x": 2})["x"], arrays["x"])
    for dims in ({"x": 1}, {"y": 1}, {"z": 1}):
        with pytest.raises(HeadError, match=f"damaged: wanted '{next(iter(dims))}' with finite numbers in 1 dim"):
            read_arrays(path, dims=dims)


@pytest.mark.parametrize("num", [0, 3])
def test_tables_come_back_as_they_were(tmp_path: Path, num: int) -> None:
    frame = pl.DataFrame({"name": ["a", "b", ""], "also": ["x", None, "y"], "count": [0, 1, 2**40]}).head(num)
    write_frame(tmp_path / "own.parquet", frame)
    assert read_frame(tmp_path / "own.parquet", schema=SCHEMA).equals(frame)


def test_a_table_without_numbers_is_read_too(tmp_path: Path) -> None:
    frame = pl.DataFrame({"name": ["a", "b"]})
    write_frame(tmp_path / "own.parquet", frame)
    assert read_frame(tmp_path / "own.parquet", schema=pa.schema(list(SCHEMA)[:1])).equals(frame)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pl.DataFrame({"name": ["a"], "also": ["x"], "count": [-1]}), "a value is missing or a number negative"),
        (pl.DataFrame({"name": [None], "also": ["x"], "count": [1]}, schema_overrides={"name": pl.String}), "null"),
        (pl.DataFrame({"name": ["a"], "count": [1]}), "wanted also 'also'"),
        (pl.DataFrame({"name": ["a"], "also": ["x"], "count": ["many"]}), "damaged"),
    ],
)
def test_tables_that_do_not_fit_are_refused(tmp_path: Path, frame: pl.DataFrame, message: str) -> None:
    frame.write_parquet(tmp_path / "own.parquet")
    with pytest.raises(HeadError, match=rf"own\.parquet: .*{message}.*; train again") as caught:
        read_frame(tmp_path / "own.parquet", schema=SCHEMA)
    assert "\n" not in str(caught.value)


def test_what_does_not_hold_together_is_named(tmp_path: Path) -> None:
    check(True, tmp_path, "nothing")
    with pytest.raises(HeadError, match=r"damaged: names no node; train again"):
        check(False, tmp_path, "names no node")
