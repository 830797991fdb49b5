"""Class-balanced batches, with hard negatives, and the paths of a step."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodemb.finetune.batches import (
    epoch_batches,
    num_batches,
    step_classes,
)


@given(
    index=st.lists(st.integers(0, 5), min_size=2, max_size=60),
    batch_size=st.integers(2, 20),
    sampling_alpha=st.floats(0, 1),
    epoch=st.integers(0, 9),
)
def test_batches_are_of_the_wanted_number_and_size(
    index: list[int], batch_size: int, sampling_alpha: float, epoch: int
) -> None:
    batches = epoch_batches(np.array(index), batch_size=batch_size, sampling_alpha=sampling_alpha, seed=0, epoch=epoch)
    assert len(batches) == num_batches(len(index), batch_size=batch_size)
    assert all(0 < len(batch) <= batch_size + 3 for batch in batches)
    drawn = np.concatenate(batches)
    assert drawn.min() >= 0
    assert drawn.max() < len(index)
    assert abs(len(drawn) - len(index)) <= 6


def test_a_natural_mix_shows_every_product_once() -> None:
    index = np.repeat([0, 1, 2], [50, 30, 20])
    drawn = np.concatenate(epoch_batches(index, batch_size=16, sampling_alpha=1.0, seed=3, epoch=0))
    assert sorted(drawn.tolist()) == list(range(100))


def test_rare_categories_come_more_often_and_their_products_take_turns() -> None:
    index = np.repeat([0, 1], [900, 100])
    drawn = np.concatenate(epoch_batches(index, batch_size=64, sampling_alpha=0.5, seed=0, epoch=0))
    times = np.bincount(drawn, minlength=1000)
    assert times[:900].sum() == pytest.approx(750, abs=1)
    assert set(times[900:]) == {2, 3}
    assert set(times[:900]) == {0, 1}


def test_batches_depend_on_seed_and_epoch_alone() -> None:
    index = np.arange(40) % 4

    def order(seed: int, epoch: int) -> list[int]:
        return np.concatenate(epoch_batches(index, batch_size=8, sampling_alpha=0.5, seed=seed, epoch=epoch)).tolist()

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 2)
    assert order(0, 1) != order(1, 1)


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
    plain = epoch_batches(classes, batch_size=batch_size, sampling_alpha=0.5, seed=seed, epoch=2)
    grouped = epoch_batches(
        classes, batch_size=batch_size, sampling_alpha=0.5, seed=seed, epoch=2, near=near, hard=hard
    )
    assert [len(batch) for batch in grouped] == [len(batch) for batch in plain]
    assert sorted(np.concatenate(grouped).tolist()) == sorted(np.concatenate(plain).tolist())


def test_half_of_a_batch_is_of_classes_near_to_the_other_half() -> None:
    index = np.arange(1600) % 16
    near = (np.arange(16) ^ 1)[:, None]
    batches = epoch_batches(index, batch_size=8, sampling_alpha=1.0, seed=0, epoch=0, near=near, hard=0.5)
    paired = [len(set((index[batch] // 2).tolist())) for batch in batches]
    plain = epoch_batches(index, batch_size=8, sampling_alpha=1.0, seed=0, epoch=0)
    assert np.mean(paired) < 4.2 < 5 < np.mean([len(set((index[batch] // 2).tolist())) for batch in plain])
