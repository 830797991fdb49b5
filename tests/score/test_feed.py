"""The supplemental feed: only certain answers, every cell read back as written, and none that runs as a formula."""

import csv
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodemb.core.errors import ConfigError, OutputError
from prodemb.score.columns import predictions_schema
from prodemb.score.feed import HEADER, MIN_CONFIDENCE, FeedReport, write_feed
from prodemb.score.predictions import open_predictions
from tests.shard_sets import write_random_set
from tests.small_heads import make_head, score_with

Row = tuple[str, int | None, float | None, str | None, float | None]
"""Product id, category, its confidence, brand, its confidence."""


def write_predictions(path: Path, *row_groups: list[Row]) -> Path:
    schema = predictions_schema()
    with open_predictions(path, schema=schema, metadata={"inputs_hash": "1"}) as writer:
        for rows in row_groups:
            names = ("product_id", "category_id", "category_confidence", "brand", "brand_confidence")
            records = [dict(zip(names, row, strict=True)) for row in rows]
            writer.write_table(pa.Table.from_pylist(records, schema=schema))
    return path


def read_feed(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file, delimiter="\t"))


def feed_of(tmp_path: Path, *row_groups: list[Row], **options: Any) -> tuple[list[list[str]], FeedReport]:
    out = tmp_path / "supplement.tsv"
    report = write_feed(write_predictions(tmp_path / "out.parquet", *row_groups), out, **options)
    header, *rows = read_feed(out)
    assert header == [*HEADER]
    return rows, report


def test_each_answer_is_written_by_its_own_confidence(tmp_path: Path) -> None:
    rows, report = feed_of(
        tmp_path,
        [("both", 187, 0.9, "Nike", 0.95), ("category", 187, 0.99, "Nike", 0.89), ("brand", 187, 0.5, "Nike", 0.9)],
        [("neither", 187, 0.8, "Nike", 0.8), ("none", None, None, None, None), ("nan", 5, float("nan"), None, None)],
    )
    assert rows == [["both", "187", "Nike"], ["category", "187", ""], ["brand", "", "Nike"]]
    assert (report.num_written, report.num_categories, report.num_brands, report.num_left_out) == (3, 2, 2, 3)
    assert report.num_changed_ids == 0


def test_the_least_confidence_can_be_set(tmp_path: Path) -> None:
    products: list[Row] = [("a", 187, 0.3, "Nike", 0.2)]
    assert feed_of(tmp_path, products, min_confidence=0.3)[0] == [["a", "187", ""]]
    assert feed_of(tmp_path, products, min_confidence=0)[0] == [["a", "187", "Nike"]]
    assert feed_of(tmp_path, products, min_confidence=1)[0] == []
    for bad in (-0.1, 1.1, float("nan")):
        with pytest.raises(ConfigError, match="wanted a number from 0 to 1"):
            feed_of(tmp_path, products, min_confidence=bad)


def test_unknown_and_unbranded_are_no_brands(tmp_path: Path) -> None:
    rows, report = feed_of(tmp_path, [("a", 187, 1.0, "UNBRANDED", 1.0), ("b", None, None, "UNKNOWN", 1.0)])
    assert rows == [["a", "187", ""]]
    assert (report.num_brands, report.num_left_out) == (0, 1)


def test_cells_are_safe_and_changed_ids_are_counted(tmp_path: Path) -> None:
    rows, report = feed_of(
        tmp_path,
        [
            ("-1", 1, 1.0, "=cmd()", 1.0),
            (" @x", 1, 1.0, "\t=A1\r\nB", 1.0),
            ("a\tb", 1, 1.0, 'The "Best"', 1.0),
            ("'s", 1, 1.0, "'t Lab", 1.0),
            (" 007 ", 1, 1.0, "Ø\u2028Æ", 1.0),
        ],
    )
    assert rows == [
        ["'-1", "1", "'=cmd()"],
        ["' @x", "1", "'=A1 B"],
        ["a b", "1", 'The "Best"'],
        ["'s", "1", "'t Lab"],
        [" 007 ", "1", "Ø Æ"],
    ]
    assert report.num_changed_ids == 3


TEXTS = st.text(st.characters(codec="utf-8"), max_size=8) | st.text("=+-@＝ \t\r\n\"'\ufeffa", max_size=6)
LEAST = float(np.float32(MIN_CONFIDENCE))
SPACE = re.compile(r"[\s\x00-\x1f\x7f-\x9f]")
CONFIDENCES = st.none() | st.floats(0, 1, width=32) | st.just(LEAST)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(TEXTS, st.none() | st.integers(1, 600_000), CONFIDENCES, st.none() | TEXTS, CONFIDENCES)))
def test_every_cell_reads_back_and_none_begins_a_formula(products: list[Row]) -> None:
    with TemporaryDirectory() as folder:
        rows, report = feed_of(Path(folder), products)
    assert (len(rows), report.num_left_out) == (report.num_written, len(products) - len(rows))
    expected = [product for product in products if has_category(product) or has_brand(product)]
    for row, product in zip(rows, expected, strict=True):
        product_id, category, brand = row
        assert spelled(product_id) == spelled(product[0])
        assert category == (str(product[1]) if has_category(product) else "")
        assert spelled(brand) == (spelled(product[3] or "") if has_brand(product) else "")
        assert not any(re.match(r"[\s\ufeff]*[=+\-@＝＋－＠]|[\t\r\n]", cell) for cell in row)
        assert not any(re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", cell) for cell in row)


def has_category(product: Row) -> bool:
    return product[1] is not None and (product[2] or 0.0) >= LEAST


def has_brand(product: Row) -> bool:
    return bool(SPACE.sub("", product[3] or "")) and (product[4] or 0.0) >= LEAST


def spelled(text: str) -> str:
    """The characters that must be kept: neither space nor control characters, nor apostrophes in front."""
    return SPACE.sub("", text).lstrip("'")


def test_what_prodemb_score_writes_is_read(tmp_path: Path) -> None:
    out, feed = tmp_path / "out.parquet", tmp_path / "supplement.tsv"
    shards = write_random_set(tmp_path / "shards")
    score_with([shards], out, make_head("category"), make_head("brand"))
    report = write_feed(out, feed, min_confidence=0)
    assert (report.num_written, report.num_left_out) == (99, 1)
    score_with([shards], tmp_path / "changes.parquet", make_head("brand"), since=out)
    with pytest.raises(ConfigError, match="only what had changed"):
        write_feed(tmp_path / "changes.parquet", feed)


def test_what_is_no_predictions_is_refused(tmp_path: Path) -> None:
    shards = write_random_set(tmp_path / "shards")
    (tmp_path / "text.parquet").write_text("id\n")
    shard = tmp_path / "shards" / shards.manifest.shards[0].name
    for path, message in [
        (tmp_path / "nothing.parquet", "no such file"),
        (tmp_path / "text.parquet", "cannot be read as predictions"),
        (shard, "other columns or origin"),
    ]:
        with pytest.raises(ConfigError, match=message):
            write_feed(path, tmp_path / "supplement.tsv")
    assert not (tmp_path / "supplement.tsv").exists()


def test_only_an_earlier_feed_is_replaced(tmp_path: Path) -> None:
    predictions, out = write_predictions(tmp_path / "out.parquet", [("a", 187, 1.0, None, None)]), tmp_path / "f.tsv"
    for text in ("", "id\tbrand\na\tNike\n", "id\tgoogle_product_category\tbrand\ttitle\n"):
        out.write_text(text)
        with pytest.raises(ConfigError, match="is no feed and is not replaced"):
            write_feed(predictions, out)
        assert out.read_text() == text
    out.write_bytes(b"id\tgoogle_product_category\tbrand\r\nold\t1\t\r\n")
    write_feed(predictions, out)
    assert out.read_text() == "id\tgoogle_product_category\tbrand\na\t187\t\n"
    with pytest.raises(ConfigError, match="is no feed"):
        write_feed(predictions, predictions)
    with pytest.raises(OutputError, match="no regular file"):
        write_feed(predictions, tmp_path)
