"""The file of labelled products: the same neighbours after reading, and damage is named in one line."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from prodemb.core.errors import HeadError
from prodemb.heads.fuser_files import write_arrays
from prodemb.heads.neighbours import Neighbours
from prodemb.heads.neighbours_file import NEIGHBOURS_NAME, read_neighbours, write_neighbours
from tests.small_heads import make_card, random_products

CARD = make_card("category")
Arrays = dict[str, np.ndarray]


@pytest.fixture
def neighbours(tmp_path: Path) -> Neighbours:
    """As they are written in the folder."""
    made = Neighbours.fit(random_products(CARD, num=40), labels=np.arange(40) % 9, rows=np.arange(40) * 3, seed=0)
    write_neighbours(tmp_path, made)
    return made


def test_neighbours_come_back_bit_by_bit(tmp_path: Path, neighbours: Neighbours) -> None:
    read = read_neighbours(tmp_path, head=CARD, num_labels=9)
    assert read.features == neighbours.features
    for name in ("mean", "scale", "components", "vectors", "labels", "rows"):
        ours, theirs = getattr(neighbours, name), getattr(read, name)
        assert (theirs.dtype, theirs.tolist()) == (ours.dtype, ours.tolist()), name
    products = random_products(CARD, num=9)
    for ours, theirs in zip(*(vars(each.nearest(products)).values() for each in (neighbours, read)), strict=True):
        assert np.array_equal(ours, theirs)


def test_some_of_the_head_s_features_are_enough(tmp_path: Path) -> None:
    products = random_products(CARD, num=20).of(("title", "image"))
    write_neighbours(tmp_path, Neighbours.fit(products, labels=np.zeros(20, np.int64), rows=np.arange(20), seed=0))
    assert read_neighbours(tmp_path, head=CARD, num_labels=1).features == ("title", "image")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: arrays | {"features": np.array([0, 99])}, "other features"),
        (lambda arrays: arrays | {"features": arrays["features"][::-1]}, "other features"),
        (lambda arrays: arrays | {"features": np.zeros(0, np.int64)}, "other features"),
        (lambda arrays: arrays | {"mean": arrays["mean"][1:]}, "other dimensions than the head's"),
        (lambda arrays: arrays | {"vectors": arrays["vectors"][:, 1:]}, "vectors of another length"),
        (lambda arrays: arrays | {"vectors": arrays["vectors"][:0]}, "vectors of another length"),
        (lambda arrays: arrays | {"rows": arrays["rows"][1:]}, "not one label a vector"),
        (lambda arrays: arrays | {"labels": arrays["labels"] + 1}, "labels of no class"),
        (lambda arrays: arrays | {"labels": arrays["labels"] - 1}, "labels of no class"),
        (lambda arrays: arrays | {"scale": arrays["scale"] * np.float32(np.nan)}, "wanted 'scale' with finite numbers"),
        (lambda arrays: {name: array for name, array in arrays.items() if name != "rows"}, "wanted 'rows'"),
    ],
)
@pytest.mark.usefixtures("neighbours")
def test_what_does_not_fit_is_refused(tmp_path: Path, change: Callable[[Arrays], Arrays], message: str) -> None:
    path = tmp_path / NEIGHBOURS_NAME
    write_arrays(path, change(load_file(path)))
    with pytest.raises(HeadError, match=rf"{NEIGHBOURS_NAME}: damaged: .*{message}.*; train again") as caught:
        read_neighbours(tmp_path, head=CARD, num_labels=9)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("neighbours")
def test_neighbours_by_vectors_of_another_head_are_refused(tmp_path: Path) -> None:
    with pytest.raises(HeadError, match="other dimensions than the head's"):
        read_neighbours(tmp_path, head=make_card("category", dims=(4,) * 7), num_labels=9)
