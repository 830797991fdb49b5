"""Encoding one shard: each distinct string and picture goes through its tower once."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from prodemb.features import Feature
from prodemb.feed import Feed, RowsHash, Window, content_hash
from prodemb.shards.writer import EncodedFeature
from prodemb.towers.load import Towers

NO_VALUE = "no value"
"""The reason of a vector that is absent because the catalog's cell is empty."""


@dataclass
class TowerSeconds:
    """Seconds in each tower, and how many distinct contents went through it."""

    text: float = 0.0
    image: float = 0.0
    num_texts: int = 0
    num_images: int = 0


class Distinct:
    """Vectors of the distinct contents of one shard, in the order in which they were first seen."""

    def __init__(self) -> None:
        self._places: dict[bytes, int] = {}
        self._vectors: list[npt.NDArray[np.float16]] = []

    def place(self, key: bytes) -> tuple[int, bool]:
        """The place of the content with this hash, and whether it is new."""
        known = len(self._places)
        place = self._places.setdefault(key, known)
        return place, place == known

    def add(self, vectors: npt.NDArray[np.float16]) -> None:
        """Append the vectors (n, dim) of the next n new contents."""
        self._vectors.append(vectors)

    def take(self, places: npt.NDArray[np.int64], *, dim: int) -> npt.NDArray[np.float16]:
        """The vectors at `places`, (n, dim); zeros where the place is -1."""
        # One array from here on: every feature takes from it.
        self._vectors = [np.concatenate([np.zeros((0, dim), dtype="<f2"), *self._vectors])]
        taken = np.zeros((len(places), dim), dtype="<f2")
        present = places >= 0
        taken[present] = self._vectors[0][places[present]]
        return taken


class ShardEncoder:
    """Takes the windows of one shard, one after another, and gives its encoded features.

    What a vector is depends on the shard's own rows alone: batches are formed inside a window, and what was encoded
    before is remembered inside the shard only.
    """

    def __init__(
        self,
        *,
        towers: Towers,
        features: Sequence[Feature],
        image_batch: int,
        text_tokens: int,
        seconds: TowerSeconds,
        rows_hash: RowsHash,
    ) -> None:
        self._towers = towers
        self._image_batch, self._text_tokens = image_batch, text_tokens
        self._seconds = seconds
        self._rows_hash = rows_hash
        self._rows: list[pa.Table] = []
        self._texts, self._images = Distinct(), Distinct()
        self._places: dict[Feature, list[int]] = {feature: [] for feature in features}
        self._hashes: dict[Feature, list[bytes | None]] = {feature: [] for feature in features}
        self._absent: dict[Feature, list[str | None]] = {feature: [] for feature in features}

    @property
    def rows(self) -> pa.Table:
        """The rows taken so far, without their pictures."""
        return pa.concat_tables(self._rows)

    @property
    def rows_hash(self) -> str:
        """The hash of the rows taken so far."""
        return self._rows_hash.hexdigest()

    def take(self, window: Window, *, feed: Feed) -> None:
        """Encode one window."""
        self._rows_hash.update(window.rows)
        self._rows.append(window.rows.drop_columns(["image"]))
        self._take_texts(window.rows)
        if "image" in self._places:
            self._take_images(window, feed=feed)

    def encoded(self) -> dict[Feature, EncodedFeature]:
        """The features of all rows taken."""
        return {
            feature: EncodedFeature(
                vectors=(self._images if feature == "image" else self._texts).take(
                    np.asarray(places, dtype=np.int64), dim=self._towers.dim
                ),
                absent=self._absent[feature],
                hashes=self._hashes[feature],
            )
            for feature, places in self._places.items()
        }

    def _record(self, feature: Feature, *, place: int, key: bytes | None, reason: str | None) -> None:
        self._places[feature].append(place)
        self._hashes[feature].append(key)
        self._absent[feature].append(reason)

    def _take_texts(self, rows: pa.Table) -> None:
        new: list[str] = []
        for feature in self._places:
            if feature == "image":
                continue
            for text in rows[feature].to_pylist():
                if text is None:
                    self._record(feature, place=-1, key=None, reason=NO_VALUE)
                    continue
                key = content_hash(text.encode())
                place, is_new = self._texts.place(key)
                if is_new:
                    new.append(text)
                self._record(feature, place=place, key=key, reason=None)
        if new:
            started = time.perf_counter()
            self._texts.add(self._towers.encode_texts(new, max_tokens=self._text_tokens))
            self._seconds.text += time.perf_counter() - started
            self._seconds.num_texts += len(new)

    def _take_images(self, window: Window, *, feed: Feed) -> None:
        assert window.pictures is not None
        batch: list[npt.NDArray[np.uint8]] = []
        for future in window.pictures:
            picture = feed.picture(future)
            if isinstance(picture, str):
                self._record("image", place=-1, key=None, reason=picture)
                continue
            place, is_new = self._images.place(picture.content_hash)
            self._record("image", place=place, key=picture.content_hash, reason=None)
            if is_new:
                batch.append(picture.pixels)
            if len(batch) == self._image_batch:
                self._encode_images(batch)
                batch = []
        if batch:
            self._encode_images(batch)

    def _encode_images(self, batch: list[npt.NDArray[np.uint8]]) -> None:
        started = time.perf_counter()
        self._images.add(self._towers.encode_images(np.stack(batch)))
        self._seconds.image += time.perf_counter() - started
        self._seconds.num_images += len(batch)
