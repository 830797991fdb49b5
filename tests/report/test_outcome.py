"""What came out: the tree, brands, sources and confidences, counted from predictions."""

from pathlib import Path

import polars as pl
import pytest

from prodemb.core.errors import ConfigError
from prodemb.report import outcome as module
from prodemb.report.outcome import outcome, read_predictions
from prodemb.report.summary import BrandCount, Confusion, Node
from tests.report.test_gallery import predictions

PATH = Path("out.parquet")


def test_categories_are_a_tree_with_counts_and_mean_confidences() -> None:
    frame = predictions(
        category=["A > B", "A > B", "A", "C", None, "A > D"],
        category_source=["head", "gold", "head", "gold", None, "words"],
        category_confidence=[0.5, 1.0, 0.75, 1.0, None, 0.25],
    )
    found = outcome(frame, path=PATH, targets=("category",))
    inner = (
        Node(name="B", num_products=2, num_own=2, confidence=0.5),
        Node(name="D", num_products=1, num_own=1, confidence=0.25),
    )
    assert found.tree == (
        Node(name="A", num_products=4, num_own=1, confidence=0.5, children=inner),
        Node(name="C", num_products=1, num_own=1, confidence=None),
    )
    assert (found.num_categories, found.num_categories_left_out) == (4, 0)
    (target,) = found.targets
    assert (target.num_answered, target.num_unanswered) == (5, 1)
    assert target.sources == {"head": 2, "gold": 2, "words": 1}
    assert {band: count for band, count in target.bands.items() if count} == {
        "0.70 and more": 1,
        "0.50 and more": 1,
        "below 0.50": 1,
    }


def test_small_categories_are_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_NODES", 3)
    frame = predictions(category=["A > B"] * 3 + ["A > C"] * 2 + ["A > D", "E > F"])
    found = outcome(frame, path=PATH, targets=("category",))
    (node,) = found.tree
    assert (node.name, node.num_products, node.num_left_out) == ("A", 6, 1)
    assert [child.name for child in node.children] == ["B", "C"]
    assert found.num_categories_left_out == 3


def test_brands_are_counted_without_those_that_are_none() -> None:
    frame = predictions(
        brand=["X", "Y", "X", "UNBRANDED", None],
        brand_source=["head", "title", "head", "head", None],
        brand_confidence=[0.5, 0.5, 1.0, 0.5, None],
    )
    found = outcome(frame, path=PATH, targets=("brand",))
    assert found.brands == (
        BrandCount(name="X", num_products=2, confidence=0.75),
        BrandCount(name="Y", num_products=1, confidence=0.5),
    )
    assert (found.num_brands, found.num_unbranded) == (2, 1)


def test_labels_that_the_head_contradicts_are_counted_in_pairs() -> None:
    frame = predictions(brand_label=["X", "X", "X", None], brand_first=["Z", "Z", "X", "Q"])
    (found,) = outcome(frame, path=PATH, targets=("brand",)).confusions
    assert found == Confusion(target="brand", label="X", answer="Z", num_products=2)


def test_other_files_are_no_predictions(tmp_path: Path) -> None:
    pl.DataFrame({"product_id": ["a"]}).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(ConfigError, match=r"a\.parquet: holds no predictions"):
        read_predictions(tmp_path / "a.parquet")
