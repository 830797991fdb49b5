"""Examples: the labelled products that training reads, all on the device or window by window from the shards."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from prodemb.core.arrays import Indices
from prodemb.core.features import Feature
from prodemb.shards.product_set import load_presence, load_vectors
from prodemb.shards.reader import ShardSet

_BLOCK = 256
"""Consecutive products of a shard that a window takes together, so that a disk is read sequentially."""

_LEAST_WINDOW = 8192
"""Products per window at least, however little memory there may be, so that it has several batches."""

Chosen = tuple["Examples", Tensor]
"""Examples on the device, and (m,) int64 the indices of the chosen ones."""


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Labelled products on one device."""

    vectors: Tensor
    """(n, D) float16, the features' vectors concatenated."""
    present: Tensor
    """(n, F) bool."""
    labels: Tensor
    """(n,) int64."""

    @property
    def device(self) -> torch.device:
        return self.vectors.device

    def with_labels(self, labels: Indices) -> "Examples":
        """The same products with other labels, (n,)."""
        return replace(self, labels=torch.from_numpy(labels).to(self.device, torch.int64))

    def sample(self, indices: Indices) -> Chosen:
        """Enough of these products to estimate statistics from."""
        return self, self._on_device(indices)

    def num_batches(self, num_products: int, *, batch_size: int) -> int:
        """How many batches `batches` makes of so many products."""
        return -(-num_products // batch_size)

    def batches(self, indices: Indices, *, batch_size: int) -> Iterator[Chosen]:
        """These products, each once, in random order."""
        rows = self._on_device(indices)
        for batch in torch.split(rows[torch.randperm(len(rows), device=self.device)], batch_size):
            yield self, batch

    def _on_device(self, indices: Indices) -> Tensor:
        return torch.from_numpy(indices).to(self.device, torch.int64)


@dataclass(frozen=True, kw_only=True)
class WindowedExamples:
    """Labelled products whose vectors stay in the shards: two windows of them are in memory at a time.

    A window is made of blocks of consecutive products from all shards, drawn again for each pass and shuffled within,
    so it is representative although a disk reads it sequentially. The next one is read while one is used.
    """

    shard_set: ShardSet
    features: tuple[Feature, ...]
    rows: Indices
    """(n,) rows of the shard set, ascending."""
    present: npt.NDArray[np.bool_]
    """(n, F)."""
    labels: Indices
    """(n,)."""
    device: torch.device
    window: int
    """Products per window, rounded down to whole blocks."""

    def with_labels(self, labels: Indices) -> "WindowedExamples":
        """The same products with other labels, (n,)."""
        return replace(self, labels=labels)

    def sample(self, indices: Indices) -> Chosen:
        """One window of these products."""
        blocks = _blocks(indices)
        some = np.sort(torch.randperm(len(blocks))[: self._blocks_per_window].numpy())
        examples = self._read(np.concatenate([blocks[block] for block in some]))
        return examples, torch.arange(len(examples.labels), device=self.device)

    def num_batches(self, num_products: int, *, batch_size: int) -> int:
        """How many batches `batches` makes of so many products, or one or two more."""
        windows, rest = divmod(-(-num_products // _BLOCK), self._blocks_per_window)
        return windows * -(-self._blocks_per_window * _BLOCK // batch_size) + -(-rest * _BLOCK // batch_size)

    def batches(self, indices: Indices, *, batch_size: int) -> Iterator[Chosen]:
        """These products, each once, in random order; the batches of a window differ in size by at most one."""
        blocks, size = _blocks(indices), self._blocks_per_window
        order = torch.randperm(len(blocks)).tolist()
        windows = [sorted(order[start : start + size]) for start in range(0, len(order), size)]
        for examples in self._each([np.concatenate([blocks[block] for block in window]) for window in windows]):
            rows = torch.randperm(len(examples.labels), device=self.device)
            for batch in torch.tensor_split(rows, -(-len(rows) // batch_size)):
                yield examples, batch

    def whole(self) -> Examples:
        """All of the products in memory."""
        return self._read(np.arange(len(self.rows)))

    @property
    def _blocks_per_window(self) -> int:
        return max(1, self.window // _BLOCK)

    def _each(self, windows: list[Indices]) -> Iterator[Examples]:
        with ThreadPoolExecutor(1) as reader:
            coming = [reader.submit(self._read, indices) for indices in windows[:1]]
            for number in range(len(windows)):
                read = coming.pop().result()
                coming = [reader.submit(self._read, indices) for indices in windows[number + 1 : number + 2]]
                yield read
                del read  # before the next one is in memory

    def _read(self, indices: Indices) -> Examples:
        vectors = load_vectors(self.shard_set, features=self.features, rows=self.rows[indices])
        return Examples(
            vectors=torch.from_numpy(vectors).to(self.device),
            present=torch.from_numpy(self.present[indices]).to(self.device),
            labels=torch.from_numpy(self.labels[indices]).to(self.device, torch.int64),
        )


def _blocks(indices: Indices) -> list[Indices]:
    return [indices[start : start + _BLOCK] for start in range(0, len(indices), _BLOCK)]


def load_examples(
    shard_set: ShardSet,
    *,
    features: tuple[Feature, ...],
    rows: Indices,
    labels: Indices,
    device: torch.device,
    memory_gb: float,
) -> Examples | WindowedExamples:
    """The vectors of some products with their labels: on the device if they fit into `memory_gb`, else in windows.

    Args:
        rows: (n,) rows of the shard set, ascending.
        labels: (n,).
        memory_gb: what vectors may take on the device, in 10^9 bytes.
    """
    room = int(memory_gb * 1e9 / (2 * sum(shard_set.schema.dim_of(feature) for feature in features)))
    windowed = WindowedExamples(
        shard_set=shard_set,
        features=features,
        rows=rows,
        present=load_presence(shard_set, features=features, rows=rows),
        labels=labels,
        device=device,
        window=max(_LEAST_WINDOW, room // 2),
    )
    return windowed if len(rows) > room else windowed.whole()
