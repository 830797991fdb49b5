"""Class-balanced batches, product texts with fields left out, and category paths cut to fit."""

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodemb.core.features import TEXT_FEATURES
from prodemb.finetune.batches import (
    drop_fields,
    epoch_batches,
    fitting_paths,
    num_batches,
    step_classes,
)
from prodemb.finetune.template import Fields

FIELDS: Fields = {
    "title": "Red mug.",
    "description": "For coffee",
    "brand": "Acme",
    "cat1": "Home",
    "cat2": "Kitchen",
    "cat3": "Mugs",
}


@given(
    index=st.lists(st.integers(0, 5), min_size=2, max_size=60),
    batch_size=st.integers(2, 20),
    balance=st.floats(0, 1),
    epoch=st.integers(0, 9),
)
def test_batches_are_of_the_wanted_number_and_size(
    index: list[int], batch_size: int, balance: float, epoch: int
) -> None:
    batches = epoch_batches(np.array(index), batch_size=batch_size, balance=balance, seed=0, epoch=epoch)
    assert len(batches) == num_batches(len(index), batch_size=batch_size)
    assert all(0 < len(batch) <= batch_size + 3 for batch in batches)
    drawn = np.concatenate(batches)
    assert drawn.min() >= 0
    assert drawn.max() < len(index)
    assert abs(len(drawn) - len(index)) <= 6


def test_a_natural_mix_shows_every_product_once() -> None:
    index = np.repeat([0, 1, 2], [50, 30, 20])
    drawn = np.concatenate(epoch_batches(index, batch_size=16, balance=1.0, seed=3, epoch=0))
    assert sorted(drawn.tolist()) == list(range(100))


def test_rare_categories_come_more_often_and_their_products_take_turns() -> None:
    index = np.repeat([0, 1], [900, 100])
    drawn = np.concatenate(epoch_batches(index, batch_size=64, balance=0.5, seed=0, epoch=0))
    times = np.bincount(drawn, minlength=1000)
    assert times[:900].sum() == pytest.approx(750, abs=1)
    assert set(times[900:]) == {2, 3}
    assert set(times[:900]) == {0, 1}


def test_batches_depend_on_seed_and_epoch_alone() -> None:
    index = np.arange(40) % 4

    def order(seed: int, epoch: int) -> list[int]:
        return np.concatenate(epoch_batches(index, batch_size=8, balance=0.5, seed=seed, epoch=epoch)).tolist()

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 2)
    assert order(0, 1) != order(1, 1)


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


@given(st.lists(st.integers(0, 9), min_size=1, max_size=12), st.integers(1, 12))
def test_a_steps_classes_hold_the_batchs_own_and_fill_up(labels: list[int], most: int) -> None:
    classes = step_classes(np.array(labels), num_classes=10, most=most, rng=np.random.default_rng(0)).tolist()
    assert classes == sorted(set(classes))
    assert set(labels) <= set(classes) <= set(range(10))
    assert len(classes) == max(len(set(labels)), min(most, 10))


@given(
    index=st.lists(st.integers(0, 7), min_size=2, max_size=60),
    batch_size=st.integers(2, 20),
    hard=st.floats(0.01, 0.99),
    seed=st.integers(0, 99),
)
def test_near_classes_change_who_stands_together_and_not_who_is_drawn(
    index: list[int], batch_size: int, hard: float, seed: int
) -> None:
    classes = np.array(index)
    near = np.random.default_rng(seed).integers(-1, 8, (8, 3))
    plain = epoch_batches(classes, batch_size=batch_size, balance=0.5, seed=seed, epoch=2)
    grouped = epoch_batches(classes, batch_size=batch_size, balance=0.5, seed=seed, epoch=2, near=near, hard=hard)
    assert [len(batch) for batch in grouped] == [len(batch) for batch in plain]
    assert sorted(np.concatenate(grouped).tolist()) == sorted(np.concatenate(plain).tolist())


def test_half_of_a_batch_is_of_classes_near_to_the_other_half() -> None:
    index = np.arange(1600) % 16
    near = (np.arange(16) ^ 1)[:, None]
    batches = epoch_batches(index, batch_size=8, balance=1.0, seed=0, epoch=0, near=near, hard=0.5)
    paired = [len(set((index[batch] // 2).tolist())) for batch in batches]
    plain = epoch_batches(index, batch_size=8, balance=1.0, seed=0, epoch=0)
    assert np.mean(paired) < 4.2 < 5 < np.mean([len(set((index[batch] // 2).tolist())) for batch in plain])
