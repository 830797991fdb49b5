"""Brand labels: gold before supplied, one spelling per brand; what is left out is counted and named."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from prodemb.brand.labels import BrandLabels, brand_labels
from prodemb.core.errors import HeadError
from tests.shard_sets import write_columns


def brands(folder: Path, *, gold: list[str | None], supplied: list[str | None]) -> BrandLabels:
    def canonical_of(column: pl.Series) -> pl.Series:
        return column.replace_strict({"NIKE Inc": "Nike", "Nike": "Nike", "puma": "PUMA", "Lee": "Lee"}, default=None)

    return brand_labels(write_columns(folder, brand_label=gold, brand=supplied), canonical_of=canonical_of)


def names(labels: BrandLabels) -> list[str | None]:
    return [labels.names[i] if i >= 0 else None for i in labels.index]


def test_gold_brands_win_over_supplied_ones(tmp_path: Path) -> None:
    labels = brands(
        tmp_path, gold=["Nike", None, None, "Lee Cooper", " "], supplied=["puma", "NIKE Inc", "junk", "Lee", "puma"]
    )
    assert names(labels) == ["Nike", "Nike", None, "Lee Cooper", "PUMA"]
    assert labels.gold.tolist() == [True, False, False, True, False]


def test_one_brand_has_one_spelling_gold_first(tmp_path: Path) -> None:
    labels = brands(
        tmp_path,
        gold=["Puma", "PUMA", "Puma", None, "T-Mobile", "T mobile", "T-Mobile", "!!"],
        supplied=["puma", None, "puma", "puma", None, None, None, None],
    )
    assert names(labels) == ["Puma"] * 4 + ["T-Mobile"] * 3 + [None]


def test_catalogs_without_gold_or_without_supplied_brands(tmp_path: Path) -> None:
    without_gold = brands(tmp_path / "a", gold=[None, None], supplied=["Lee", "puma"])
    assert (names(without_gold), bool(without_gold.gold.any())) == (["Lee", "PUMA"], False)
    without_supplied = brands(tmp_path / "b", gold=["Lee", "Puma"], supplied=[None, None])
    assert names(without_supplied) == ["Lee", "Puma"]


def test_rare_classes_are_left_out_and_counted(tmp_path: Path) -> None:
    labels = brands(
        tmp_path,
        gold=["Lee", "Lee", "Puma", "Puma", "Bose", "Bose", "Boss", None],
        supplied=["Lee", None, "puma", None, None, None, None, "NIKE Inc"],
    )
    learned = np.array([True, True, True, True, True, False, True, False])
    kept = labels.frequent(learned, min_count=2, roll_up=True)
    assert names(kept) == ["Lee", "Lee", "Puma", "Puma", None, None, None, None]
    assert (kept.num_rare_classes, kept.num_rare_products, kept.num_labelled) == (3, 4, 4)
    with pytest.raises(HeadError, match=r"found 0 classes with 3 or more .*8 of 8 products have a label, in 5 classes"):
        labels.frequent(learned, min_count=3, roll_up=True)
