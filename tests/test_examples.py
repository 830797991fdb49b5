"""Examples: whole or in windows, training sees each product once a pass, with its own vectors, presence and label."""

from pathlib import Path

import numpy as np
import pytest
import torch

from prodemb.errors import ShardError
from prodemb.examples import Examples, MappedExamples, load_examples
from prodemb.metrics import Indices
from prodemb.product_set import load_vectors
from prodemb.shards.reader import ShardSet
from tests.test_train import make_set

FEATURES = ("title", "image")
BYTES_EACH = 2 * 16 * len(FEATURES)
ROWS = np.flatnonzero(np.arange(2000) % 3 != 0)


@pytest.fixture(scope="module")
def shard_set(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    return make_set(tmp_path_factory.mktemp("shards"), num=2000, features=FEATURES, shard_size=300)


def load(shard_set: ShardSet, *, room: int) -> Examples | MappedExamples:
    """The examples, of which so many fit; each one's label is its place."""
    return load_examples(
        shard_set,
        features=FEATURES,
        rows=ROWS,
        labels=np.arange(len(ROWS)),
        device=torch.device("cpu"),
        memory_gb=(room + 0.5) * BYTES_EACH / 1e9,
    )


def seen(examples: Examples | MappedExamples, places: Indices, *, shuffled: bool) -> list[torch.Tensor]:
    """The labels of each window, which are places, once its vectors and presence are found to be theirs."""
    assert isinstance(examples, MappedExamples)
    vectors, present = load_vectors(examples.shard_set, features=FEATURES, rows=ROWS)
    found = []
    for some, rows in examples.shuffled(places) if shuffled else examples.in_order(places):
        labels = some.labels[rows]
        assert np.array_equal(some.vectors[rows].numpy(), vectors[labels])
        assert np.array_equal(some.present[rows].numpy(), present[labels])
        found.append(labels)
    return found


def test_what_fits_is_loaded_whole(shard_set: ShardSet) -> None:
    examples = load(shard_set, room=len(ROWS))
    assert isinstance(examples, Examples)
    vectors, present = load_vectors(shard_set, features=FEATURES, rows=ROWS)
    assert np.array_equal(examples.vectors.numpy(), vectors)
    assert np.array_equal(examples.present.numpy(), present)
    assert isinstance(load(shard_set, room=len(ROWS) - 1), MappedExamples)


def test_windows_shuffle_and_show_each_product_once(shard_set: ShardSet) -> None:
    examples, places = load(shard_set, room=1024), np.arange(1, len(ROWS))
    torch.manual_seed(0)
    windows = seen(examples, places, shuffled=True)
    assert sorted(len(window) for window in windows) == [(len(places) - 1) % 256 + 1 + 256, 512, 512]
    shown = torch.cat(windows)
    assert torch.equal(shown.sort().values, torch.from_numpy(places))
    assert not torch.equal(shown, torch.from_numpy(places))
    # A window reaches over the whole set, and another pass has other windows.
    again = seen(examples, places, shuffled=True)
    assert any({*window.tolist()} != {*other.tolist()} for window, other in zip(windows, again, strict=True))


def test_in_order_they_stay_in_order(shard_set: ShardSet) -> None:
    places = np.arange(0, len(ROWS), 2)
    windows = seen(load(shard_set, room=600), places, shuffled=False)
    assert len(windows) == 3
    assert torch.equal(torch.cat(windows), torch.from_numpy(places))
    assert seen(load(shard_set, room=600), places[:0], shuffled=False) == []


def test_a_sample_is_one_window(shard_set: ShardSet) -> None:
    some, rows = load(shard_set, room=1024).sample(np.arange(len(ROWS)))
    assert len(rows) == len(some.labels) == 512


def test_a_shard_that_is_altered_ends_the_pass(tmp_path: Path) -> None:
    examples = load(make_set(tmp_path, num=2000, features=FEATURES, shard_size=300), room=600)
    windows = examples.shuffled(np.arange(len(ROWS)))
    next(windows)
    with (tmp_path / "part-00004.parquet").open("rb+") as file:
        file.write(b"R1AP")
    with pytest.raises(ShardError, match="part-00004"):
        list(windows)
