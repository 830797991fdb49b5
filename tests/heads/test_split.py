"""The split depends on what a product is alone: not on row order, spelling of its title, or other products."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from prodemb.heads.split import TEST, TRAIN, VALIDATION, Groups, folds_of, groups_of, held_out_by, num_folds, split_of

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def groups(titles: Sequence[str | None], ids: list[str] | None = None) -> Groups:
    ids = ids or [str(i) for i in range(len(titles))]
    return groups_of(pl.Series(titles, dtype=pl.String), pl.Series(ids, dtype=pl.String))


def split(titles: Sequence[str | None], ids: list[str] | None = None) -> list[int]:
    return split_of(groups(titles, ids)).tolist()


def test_the_parts_are_the_same_forever() -> None:
    titles = ["Nike Air Zoom", "Mug", None, "Größe 42", "कुर्ता", "12", "Mug 3", "Sari"]
    assert split(titles) == [0, 0, 2, 1, 0, 0, 0, 0]


def test_what_the_catalog_holds_out_is_the_test_part_and_the_rest_is_learned_from() -> None:
    titles = ["Nike Air Zoom", "Mug", None, "Größe 42", "Mug"]
    own = held_out_by(pl.Series(["train", "test", None, "train", "train"], dtype=pl.String))
    assert own is not None
    assert split_of(groups(titles), held_out=own).tolist() == [TRAIN, TEST, TRAIN, VALIDATION, TRAIN]
    assert held_out_by(pl.Series([None, None], dtype=pl.String)) is None


def test_the_shares_are_80_10_10() -> None:
    parts = split([f"Mug {i}" for i in range(20_000)])
    shares = np.bincount(parts) / 20_000
    assert np.allclose(shares, [0.8, 0.1, 0.1], atol=0.01)
    assert (TRAIN, VALIDATION, TEST) == (0, 1, 2)


def test_products_of_one_title_stay_together() -> None:
    spellings = ["Nike Air-Zoom 42!", "NIKE air zoom 42", "  nike  AIR zoom, 42", "Nike Air Zoom 42"]
    for number in range(40):
        assert len(set(split([f"{text} {number}" for text in spellings]))) == 1


def test_variants_of_one_product_stay_together() -> None:
    variants = ["Puma Men White T-shirt", "puma men t-shirt, black XL", "T-Shirt Puma men doré", "Puma men T-shirt"]
    for number in range(40):
        assert len(set(split([f"{text} {number}" for text in variants]))) == 1
    apart = [
        f"{whom} {kind} {number}" for whom in ("Men", "Women") for kind in ("shirt", "mug") for number in range(50)
    ]
    assert len(set(split(apart))) == 3


def test_titles_of_colours_alone_are_not_one_product() -> None:
    colours = ["red", "noir", "blue", "white", "or", "gelb", "teal", "mauve", "navy", "beige", "lilac", "gold", "XL"]
    assert len(set(split([f"{one} {two}" for one in colours for two in colours]))) == 3


def test_without_a_title_the_id_decides() -> None:
    ids = [f"p{i}" for i in range(300)]
    without = split([None] * 300, ids)
    assert without == split(["", " - "] * 150, ids)
    assert set(without) == {TRAIN, VALIDATION, TEST}


@given(st.lists(st.tuples(st.none() | TEXT, TEXT), max_size=30), st.randoms())
def test_row_order_does_not_matter(rows: list[tuple[str | None, str]], random: object) -> None:
    parts = split([title for title, _ in rows], [product_id for _, product_id in rows])
    order = list(range(len(rows)))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = split([rows[i][0] for i in order], [rows[i][1] for i in order])
    assert shuffled == [parts[i] for i in order]


def test_no_products_have_no_parts() -> None:
    assert split([]) == []


def test_folds_are_about_even_in_every_part_and_the_same_forever() -> None:
    own = groups([f"Mug {i}" for i in range(20_000)])
    folds, parts = folds_of(own, num_folds=5), split_of(own)
    for part in (TRAIN, VALIDATION, TEST):
        shares = np.bincount(folds[parts == part]) / (parts == part).sum()
        assert np.allclose(shares, 0.2, atol=0.04)
    assert folds_of(groups(["Nike Air Zoom", "Mug", None, "Größe 42"]), num_folds=5).tolist() == [4, 3, 1, 0]


def test_variants_of_one_product_are_in_one_fold() -> None:
    own = groups(["Puma Men White T-shirt", "puma men t-shirt, black XL", "Puma men T-shirt"])
    assert len(set(own.tolist())) == 1


def test_few_products_have_more_folds() -> None:
    assert [num_folds(num) for num in (0, 5_000, 5_001, 50_000, 50_001)] == [5, 5, 3, 3, 2]
