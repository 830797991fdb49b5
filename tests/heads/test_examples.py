"""Examples: whole or in windows, training sees each product once a pass, with its own vectors, presence and label."""

from collections.abc import Iterable
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import numpy.typing as npt
import pytest
import torch

from prodemb.core.errors import ShardError
from prodemb.core.features import Feature
from prodemb.heads.examples import Chosen, Examples, WindowedExamples, load_examples
from prodemb.shards.product_set import load_presence, load_vectors
from prodemb.shards.reader import ShardSet
from tests.shard_sets import write_clustered_set

FEATURES: tuple[Feature, ...] = ("title", "image")
BYTES_EACH = 2 * 16 * len(FEATURES)
ROWS: npt.NDArray[np.int32] = np.flatnonzero(np.arange(2000) % 3 != 0).astype(np.int32)
PLACES: npt.NDArray[np.int32] = np.arange(len(ROWS), dtype=np.int32)


@pytest.fixture(scope="module")
def shard_set(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    return write_clustered_set(tmp_path_factory.mktemp("shards"), num=2000, features=FEATURES, shard_size=300)


def load(shard_set: ShardSet, *, room: int) -> Examples | WindowedExamples:
    """The examples, of which so many fit; each one's label is its place."""
    memory_gb = (room + 0.5) * BYTES_EACH / 1e9
    device = torch.device("cpu")
    return load_examples(shard_set, features=FEATURES, rows=ROWS, labels=PLACES, device=device, memory_gb=memory_gb)


@pytest.fixture
def windowed(shard_set: ShardSet, monkeypatch: pytest.MonkeyPatch) -> WindowedExamples:
    """Windows of two blocks."""
    monkeypatch.setattr("prodemb.heads.examples._LEAST_WINDOW", 256)
    examples = load(shard_set, room=1024)
    assert isinstance(examples, WindowedExamples)
    return examples


def shown(batches: Iterable[Chosen], *, shard_set: ShardSet) -> tuple[list[int], torch.Tensor]:
    """The sizes of the batches and the labels, which are places, once vectors and presence are found to be theirs."""
    vectors = load_vectors(shard_set, features=FEATURES, rows=ROWS)
    present = load_presence(shard_set, features=FEATURES, rows=ROWS)
    found = []
    for some, rows in batches:
        labels = some.labels[rows]
        assert np.array_equal(some.vectors[rows].numpy(), vectors[labels])
        assert np.array_equal(some.present[rows].numpy(), present[labels])
        found.append(labels)
    return [len(labels) for labels in found], torch.cat(found) if found else torch.empty(0)


def test_what_fits_is_loaded_whole(shard_set: ShardSet) -> None:
    examples = load(shard_set, room=len(ROWS))
    assert isinstance(examples, Examples)
    sizes, labels = shown(examples.batches(PLACES, batch_size=400), shard_set=shard_set)
    assert sizes == [400, 400, 400, 133]
    assert len(sizes) == examples.num_batches(len(PLACES), batch_size=400)
    assert labels.sort().values.tolist() == PLACES.tolist() != labels.tolist()
    assert isinstance(load(shard_set, room=len(ROWS) - 1), WindowedExamples)


def test_windows_shuffle_and_show_each_product_once(shard_set: ShardSet, windowed: WindowedExamples) -> None:
    torch.manual_seed(0)
    places = PLACES[1:]
    sizes, labels = shown(windowed.batches(places, batch_size=200), shard_set=shard_set)
    assert labels.sort().values.tolist() == places.tolist() != labels.tolist()
    # Three windows: of two whole blocks, and one with the last block, which has 52 products.
    assert set(sizes) <= {154, 170, 171}
    assert len(sizes) == 8 <= windowed.num_batches(len(places), batch_size=200) <= 9
    first = {*labels[:512].tolist()}
    again = shown(windowed.batches(places, batch_size=200), shard_set=shard_set)[1]
    assert first != {*again[:512].tolist()}


def test_a_sample_is_one_window(
    shard_set: ShardSet, windowed: WindowedExamples, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Mock(wraps=load_vectors)
    monkeypatch.setattr("prodemb.heads.examples.load_vectors", load)
    some, rows = windowed.sample(PLACES)
    assert len(rows) == len(some.labels) in {512, 256 + 53}
    assert load.call_count == 1


def test_a_window_has_several_batches_however_little_memory_there_is(shard_set: ShardSet) -> None:
    examples = load(shard_set, room=1)
    assert isinstance(examples, WindowedExamples)
    assert examples.window == 8192


def test_a_shard_that_cannot_be_read_ends_the_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prodemb.heads.examples._LEAST_WINDOW", 256)
    examples = load(write_clustered_set(tmp_path, num=2000, features=FEATURES, shard_size=300), room=600)
    batches = examples.batches(PLACES, batch_size=256)
    next(batches)

    def unreadable(*_given: object, **_named: object) -> npt.NDArray[np.float16]:
        raise ShardError("part-00004.parquet: not readable")

    monkeypatch.setattr("prodemb.heads.examples.load_vectors", unreadable)
    with pytest.raises(ShardError, match="part-00004"):
        list(batches)
