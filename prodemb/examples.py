"""Examples: the labelled products that training reads, whole on the device or window by window from the shards."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from prodemb.features import Feature
from prodemb.metrics import Indices
from prodemb.product_set import load_vectors
from prodemb.shards.reader import ShardSet

_BLOCK = 256
"""Neighbours of a shard that a window takes together, so that a disk is read in long pieces."""

Some = tuple["Examples", Tensor]
"""Examples, and (m,) int64 the places in them that are meant."""


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Labelled products on one device."""

    vectors: Tensor
    """(n, D) float16, the features' side by side."""
    present: Tensor
    """(n, F) bool."""
    labels: Tensor
    """(n,) int64."""

    @property
    def device(self) -> torch.device:
        return self.vectors.device

    def sample(self, places: Indices) -> Some:
        """Enough of the products at these places to say what all of them are like."""
        return self, self._on_device(places)

    def shuffled(self, places: Indices) -> Iterator[Some]:
        """The products at these places, each once, in random order."""
        rows = self._on_device(places)
        yield self, rows[torch.randperm(len(rows), device=self.device)]

    def in_order(self, places: Indices) -> Iterator[Some]:
        """The products at these places."""
        yield self, self._on_device(places)

    def _on_device(self, places: Indices) -> Tensor:
        return torch.from_numpy(places).to(self.device, torch.int64)


@dataclass(frozen=True, kw_only=True)
class MappedExamples:
    """Labelled products whose vectors stay in the shards: two windows of them are in memory at a time.

    A window is made of blocks of neighbours from all over the shards, drawn anew for each pass and shuffled within, so
    it looks like the whole although a disk reads it in long pieces. The next one is read while one is used.
    """

    shard_set: ShardSet
    features: tuple[Feature, ...]
    rows: Indices
    """(n,) places in the shard set, ascending."""
    labels: Indices
    """(n,)."""
    device: torch.device
    window: int
    """Products a window, rounded down to whole blocks."""

    def sample(self, places: Indices) -> Some:
        """One window of the products at these places."""
        return next(self.shuffled(places))

    def shuffled(self, places: Indices) -> Iterator[Some]:
        """The products at these places, each once, in random order."""
        blocks = [places[start : start + _BLOCK] for start in range(0, len(places), _BLOCK)]
        order = torch.randperm(len(blocks)).tolist()
        size = max(1, self.window // _BLOCK)
        windows = [sorted(order[start : start + size]) for start in range(0, len(order), size)]
        for examples in self._read([np.concatenate([blocks[block] for block in window]) for window in windows]):
            yield examples, torch.randperm(len(examples.labels), device=self.device)

    def in_order(self, places: Indices) -> Iterator[Some]:
        """The products at these places."""
        size = max(_BLOCK, self.window)
        for examples in self._read([places[start : start + size] for start in range(0, len(places), size)]):
            yield examples, torch.arange(len(examples.labels), device=self.device)

    def whole(self) -> Examples:
        """All of the products at once."""
        return self._window(np.arange(len(self.rows)))

    def _read(self, windows: list[Indices]) -> Iterator[Examples]:
        with ThreadPoolExecutor(1) as reader:
            coming = [reader.submit(self._window, places) for places in windows[:1]]
            for number in range(len(windows)):
                read = coming.pop().result()
                coming = [reader.submit(self._window, places) for places in windows[number + 1 : number + 2]]
                yield read
                del read  # before the next one is there

    def _window(self, places: Indices) -> Examples:
        vectors, present = load_vectors(self.shard_set, features=self.features, rows=self.rows[places])
        return Examples(
            vectors=torch.from_numpy(vectors).to(self.device),
            present=torch.from_numpy(present).to(self.device),
            labels=torch.from_numpy(self.labels[places]).to(self.device, torch.int64),
        )


def load_examples(
    shard_set: ShardSet,
    *,
    features: tuple[Feature, ...],
    rows: Indices,
    labels: Indices,
    device: torch.device,
    memory_gb: float,
) -> Examples | MappedExamples:
    """The vectors of some products with their labels: on the device if they fit into `memory_gb`, else in windows.

    Args:
        rows: (n,) places in the shard set, ascending.
        labels: (n,).
        memory_gb: what vectors may take on the device, in 10^9 bytes.
    """
    bytes_each = 2 * sum(shard_set.schema.dim_of(feature) for feature in features)
    room = int(memory_gb * 1e9 / bytes_each)
    mapped = MappedExamples(
        shard_set=shard_set, features=features, rows=rows, labels=labels, device=device, window=room // 2
    )
    return mapped if len(rows) > room else mapped.whole()
