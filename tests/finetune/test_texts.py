"""Product texts with fields dropped, and paths cut to fit."""

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodemb.core.features import TEXT_FEATURES
from prodemb.core.template import Fields
from prodemb.finetune.texts import drop_fields, fitting_paths

FIELDS: Fields = {
    "title": "Red mug.",
    "description": "For coffee",
    "brand": "Acme",
    "cat1": "Home",
    "cat2": "Kitchen",
    "cat3": "Mugs",
}


@given(
    names=st.sets(st.sampled_from(TEXT_FEATURES)),
    seed=st.integers(0, 1000),
    dropout=st.floats(0, 0.99),
    category_dropout=st.floats(0, 1),
)
def test_some_field_always_stays(names: set[str], seed: int, dropout: float, category_dropout: float) -> None:
    fields: Fields = {feature: text for feature, text in FIELDS.items() if feature in names}
    kept = drop_fields(fields, rng=Random(seed), dropout=dropout, category_dropout=category_dropout)
    assert bool(kept) == bool(fields)
    assert kept.items() <= fields.items()


def test_categories_are_left_out_together_and_as_often_as_asked() -> None:
    rng = Random(0)
    drawn = [drop_fields(FIELDS, rng=rng, dropout=0.3, category_dropout=0.6) for _ in range(2000)]
    assert all(("cat1" in kept) == ("cat2" in kept) == ("cat3" in kept) for kept in drawn if len(kept) > 1)
    assert np.mean(["title" in kept for kept in drawn]) == pytest.approx(0.7, abs=0.04)
    assert np.mean(["cat1" in kept for kept in drawn]) == pytest.approx(0.4, abs=0.04)


def test_paths_lose_their_root_until_they_fit_and_never_their_leaf() -> None:
    paths = ["A > B", "Home > Kitchen > Mugs", "a b c d e f"]
    texts = fitting_paths(paths, num_tokens=lambda text: len(text.split()), most_tokens=3)
    assert texts == ["A > B", "Kitchen > Mugs", "a b c d e f"]
