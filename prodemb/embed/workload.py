"""What a run would do, counted in one pass over the catalog: a run's way to the towers, with nothing at its end."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, cast

import numpy as np
import pyarrow as pa

from prodemb.catalog.images import ImageLoader
from prodemb.catalog.urls import host_of
from prodemb.core.features import DERIVED, PRODUCT_COLUMNS, TEXT_FEATURES, Feature
from prodemb.core.progress import ProgressCallback
from prodemb.embed.plan import Plan, ShardTask
from prodemb.embed.reuse import Reuse
from prodemb.embed.shard import embed_shard
from prodemb.embed.windows import Window
from prodemb.embed.words import LexicalPool
from prodemb.shards.hashes import image_sources
from prodemb.towers.pool import TowerPool

SAMPLE_SIZE = 1024
"""Products that are kept for measuring, at most."""
NEIGHBOURS = 8
"""Of them stand side by side in the catalog, as variants of one product do."""
MAX_SAMPLE_BYTES = 200_000_000
"""Of their texts and pictures."""


@dataclass(kw_only=True)
class Workload:
    """What a run has before it. Contents that repeat within a shard count once, as they are encoded once."""

    num_products: int = 0
    """Of the catalog."""
    num_todo: int = 0
    """Products in the shards that are to be made."""
    present: dict[Feature, int] = field(default_factory=dict)
    """Products of the catalog with a text or a picture, by feature."""
    num_texts: int = 0
    """Texts for the text tower."""
    num_joined: int = 0
    """Texts for the text encoder."""
    num_words: int = 0
    """Products whose lexical vector is to be made."""
    num_local: int = 0
    """Pictures to read from files or from the catalog."""
    num_remote: int = 0
    """Pictures to fetch from servers."""
    hosts: Counter[str] = field(default_factory=Counter)
    """Those pictures by server."""
    num_images: int = 0
    """Pictures for the image tower, told apart by where they come from: those of equal bytes are seen later."""
    num_known: int = 0
    """Vectors that an earlier set has, or that contents of the same shard share."""
    text_bytes: int = 0
    """Of all texts in the shards that are to be made."""
    reading_s: float = 0.0
    """How long the rows of the catalog took to read."""


def count_workload(
    plan: Plan, *, reuse: Reuse | None, on_progress: ProgressCallback | None
) -> tuple[Workload, pa.Table]:
    """Count what the shards of a plan need, exactly and in the memory of one shard; reads the whole catalog.

    Args:
        reuse: the earlier set that shards may take vectors from.

    Returns:
        The counts; and some of the products to embed, spread over the catalog and shuffled, with their pictures.

    Raises:
        CatalogError: the catalog cannot be read.
    """
    counter = _Counter(plan, reuse=reuse, on_progress=on_progress)
    todo = {task.index: task for task in plan.todo}
    for index, windows in groupby(counter.windows(), key=lambda each: each[0] // plan.config.shard_size):
        if (task := todo.get(index)) is None:
            for _, rows in windows:
                counter.note(rows)
        else:
            counter.count(task, (rows for _, rows in windows))
    return counter.workload, counter.sample()


class _Counter:
    """One pass over the catalog."""

    def __init__(self, plan: Plan, *, reuse: Reuse | None, on_progress: ProgressCallback | None) -> None:
        self.workload = Workload(num_products=plan.num_products, num_todo=sum(t.stop - t.start for t in plan.todo))
        self._plan, self._reuse, self._on_progress = plan, reuse, on_progress
        self._features = plan.config.features
        self._stride = max(NEIGHBOURS, self.workload.num_todo * NEIGHBOURS // SAMPLE_SIZE)
        self._num_read = self._num_counted = self._sample_bytes = 0
        self._sample: list[pa.Table] = []

    def windows(self) -> Iterator[tuple[int, pa.Table]]:
        """The place of the first row and the rows of each window."""
        batches = self._plan.catalog.batches(self._plan.config.window_size(), columns=PRODUCT_COLUMNS)
        started = time.perf_counter()
        for rows in batches:
            self.workload.reading_s += time.perf_counter() - started
            yield self._num_read, rows
            self._num_read += rows.num_rows
            if self._on_progress is not None:
                self._on_progress(self._num_read, self._plan.num_products)
            started = time.perf_counter()

    def note(self, rows: pa.Table) -> None:
        """Count what rows hold."""
        for feature in self._features:
            if feature not in DERIVED:
                present = rows.num_rows - rows[feature].null_count
                self.workload.present[feature] = self.workload.present.get(feature, 0) + present

    def count(self, task: ShardTask, windows: Iterator[pa.Table]) -> None:
        """Count what a shard needs."""
        reuse = self._reuse if task.reuses else None
        texts, words = _NoTowers(), _NoWords(self._plan.config.lexical, num_threads=1)
        with words, ImageLoader(self._plan.images, root=self._plan.catalog.image_root) as loader:
            sources: set[bytes] = set()
            num_before = self._num_present()
            embed_shard(
                self._without_pictures(task, windows, loader=loader, reuse=reuse, sources=sources),
                pool=cast(TowerPool, texts),
                words=words,
                features=self._features,
                template=self._plan.config.text_template,
                reuse=reuse,
            )
        workload = self.workload
        workload.num_texts += texts.num_texts
        workload.num_joined += texts.num_joined
        workload.num_words += words.num_products
        workload.num_images += len(sources)
        workload.num_known += self._num_present() - num_before - texts.num_texts - len(sources)

    def sample(self) -> pa.Table:
        """The products that were kept, in an order in which any first ones are of the whole catalog."""
        order = np.random.default_rng(0).permutation(len(self._sample))
        return pa.concat_tables([self._sample[number] for number in order]) if self._sample else pa.table({})

    def _num_present(self) -> int:
        return sum(self.workload.present.values())

    def _without_pictures(
        self,
        task: ShardTask,
        windows: Iterator[pa.Table],
        *,
        loader: ImageLoader,
        reuse: Reuse | None,
        sources: set[bytes],
    ) -> Iterator[Window]:
        """The windows of a shard; pictures are counted here, as nothing is fetched."""
        for rows in windows:
            self.note(rows)
            self._keep_some(rows)
            self.workload.text_bytes += sum(rows[feature].nbytes for feature in TEXT_FEATURES)
            if "image" in self._features:
                cells = rows["image"].to_pylist()
                self._count_pictures(cells, loader=loader, reuse=reuse, sources=sources)
            yield Window(task, rows.drop_columns(["image"]), None)

    def _count_pictures(
        self, cells: Sequence[str | bytes | None], *, loader: ImageLoader, reuse: Reuse | None, sources: set[bytes]
    ) -> None:
        hashes = image_sources(cells, loader=loader)
        known = [None] * len(cells) if reuse is None else reuse.pictures(hashes)
        for cell, source, found in zip(cells, hashes, known, strict=True):
            if cell is None or found is not None:
                continue
            sources.add(source.tobytes())
            if (host := host_of(cell)) is None:
                self.workload.num_local += 1
            else:
                self.workload.num_remote += 1
                self.workload.hosts[host] += 1

    def _keep_some(self, rows: pa.Table) -> None:
        first = -self._num_counted % self._stride
        for start in range(first, rows.num_rows, self._stride):
            some = rows.slice(start, NEIGHBOURS).combine_chunks()
            self._sample_bytes += some.nbytes
            if self._sample_bytes <= MAX_SAMPLE_BYTES:
                self._sample.append(some)
        self._num_counted += rows.num_rows


class _Nothing:
    """The place of vectors."""

    def result(self) -> Any:
        """There are none: shards that are counted are never asked for theirs."""
        raise AssertionError("counted, not encoded")


class _NoTowers:
    """Takes the place of a pool of towers: counts the texts that it is given."""

    def __init__(self) -> None:
        self.towers = self.text_encoder = self
        self.dim = 0
        self.num_texts = self.num_joined = 0

    def texts(self, texts: Sequence[str]) -> _Nothing:
        """Count them."""
        self.num_texts += len(texts)
        return _Nothing()

    def joined(self, texts: Sequence[str]) -> _Nothing:
        """Count them."""
        self.num_joined += len(texts)
        return _Nothing()


class _NoWords(LexicalPool):
    """Counts the products whose words it is given."""

    num_products = 0

    def texts(self, texts: Sequence[tuple[str | None, ...]]) -> Any:
        """Count them."""
        self.num_products += len(texts)
        return _Nothing()
