"""Encoding one shard: each distinct string and picture goes through its tower once."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from prodemb.embed.feed import NO_VALUE, Feed, Window
from prodemb.embed.words import LexicalPool
from prodemb.features import LEXICAL_TEXTS, TEXT_FEATURES, Feature
from prodemb.hashes import RowsHash, content_hash
from prodemb.shards.format import HASH_BYTES
from prodemb.shards.writer import EncodedFeature
from prodemb.towers.pool import TowerPool

ABSENT = -1
"""The place of a content that there is not: the one behind the last."""

Places = npt.NDArray[np.int64]


class Pending(Protocol):
    """Vectors in the making."""

    def result(self) -> npt.NDArray[np.float16]:
        """Wait for them, (n, dim)."""


class Distinct:
    """Hashes and vectors of the distinct contents of one shard, in the order in which they were first seen."""

    def __init__(self, *, dim: int) -> None:
        self._dim = dim
        self._places: dict[bytes, int] = {}
        self._encodings: list[Pending] = []

    def place(self, key: bytes) -> tuple[int, bool]:
        """The place of the content with this hash, and whether it is new."""
        known = len(self._places)
        place = self._places.setdefault(key, known)
        return place, place == known

    def add(self, encoding: Pending) -> None:
        """Take in the vectors of the next new contents, which may still be in the making."""
        self._encodings.append(encoding)

    def contents(self) -> tuple[npt.NDArray[np.float16], pa.Array]:
        """Wait for the vectors, (n + 1, dim), and give the hashes too, n + 1; last, at `ABSENT`, stand zeros and null.

        Raises:
            ModelError: a tower failed.
        """
        vectors = np.concatenate([*(e.result() for e in self._encodings), np.zeros((1, self._dim), dtype="<f2")])
        return vectors, pa.array([*self._places, None], pa.binary(HASH_BYTES))


class ShardEncoder:
    """Takes the windows of one shard, one after another, and gives its encoded features.

    What a vector is depends on the shard's own rows alone: batches are formed inside a window, and what was encoded
    before is remembered inside the shard only.
    """

    def __init__(
        self, *, pool: TowerPool, words: LexicalPool, features: Sequence[Feature], rows_hash: RowsHash
    ) -> None:
        self._pool, self._words = pool, words
        self._rows_hash = rows_hash
        self._rows: list[pa.Table] = []
        dim = pool.towers.dim
        self._texts, self._images, self._lexical = Distinct(dim=dim), Distinct(dim=dim), Distinct(dim=words.dim)
        self._places: dict[Feature, list[Places]] = {feature: [] for feature in features}
        self._no_picture: list[str | None] = []

    @property
    def rows(self) -> pa.Table:
        """The rows taken so far, without their pictures."""
        return pa.concat_tables(self._rows)

    @property
    def rows_hash(self) -> str:
        """The hash of the rows taken so far."""
        return self._rows_hash.hexdigest()

    def take(self, window: Window, *, feed: Feed) -> None:
        """Hand one window's new contents to the towers."""
        self._rows.append(window.rows.drop_columns(["image"]))
        self._take_texts(window.rows)
        if "image" in self._places:
            self._take_images(window, feed=feed)
        if "lexical" in self._places:
            self._take_words(window.rows)

    def encoded(self) -> dict[Feature, EncodedFeature]:
        """Wait for the features of all rows taken.

        Raises:
            ModelError: a tower failed.
        """
        made = dict.fromkeys(TEXT_FEATURES, self._texts)
        made |= {"image": self._images, "lexical": self._lexical}
        contents = {distinct: distinct.contents() for distinct in {made[feature] for feature in self._places}}
        features = {}
        for feature, parts in self._places.items():
            vectors, hashes = contents[made[feature]]
            places = np.concatenate(parts)
            features[feature] = EncodedFeature(
                vectors=vectors[places],
                absent=pa.array(self._no_picture, pa.string()) if feature == "image" else _no_value(places),
                hashes=hashes.take(pa.array(np.where(places == ABSENT, len(hashes) - 1, places))),
            )
        return features

    def _take_texts(self, rows: pa.Table) -> None:
        new: list[str] = []
        for feature, parts in self._places.items():
            if feature not in TEXT_FEATURES:
                continue
            column = rows[feature].combine_chunks().dictionary_encode()
            known = np.empty(len(column.dictionary) + 1, dtype=np.int64)
            known[-1] = ABSENT
            for number, text in enumerate(column.dictionary.to_pylist()):
                known[number], is_new = self._texts.place(content_hash(text.encode()))
                if is_new:
                    new.append(text)
            parts.append(known[pc.fill_null(column.indices, len(known) - 1).to_numpy()])
        if new:
            self._texts.add(self._pool.texts(new))

    def _take_words(self, rows: pa.Table) -> None:
        places: list[int] = []
        new: list[tuple[str | None, ...]] = []
        for texts in zip(*(rows[feature].to_pylist() for feature in LEXICAL_TEXTS), strict=True):
            if not any(texts):
                places.append(ABSENT)
                continue
            place, is_new = self._lexical.place(content_hash("\0".join(text or "" for text in texts).encode()))
            places.append(place)
            if is_new:
                new.append(texts)
        if new:
            self._lexical.add(self._words.texts(new))
        self._places["lexical"].append(np.asarray(places, dtype=np.int64))

    def _take_images(self, window: Window, *, feed: Feed) -> None:
        places: list[int] = []
        batch: list[npt.NDArray[np.uint8]] = []
        for picture in feed.pictures(window):
            if isinstance(picture, str):
                places.append(ABSENT)
                self._no_picture.append(picture)
                continue
            place, is_new = self._images.place(picture.content_hash)
            places.append(place)
            self._no_picture.append(None)
            if is_new:
                batch.append(picture.pixels)
            if len(batch) >= self._pool.pictures_a_batch:
                self._images.add(self._pool.images(batch))
                batch = []
        if batch:
            self._images.add(self._pool.images(batch))
        self._places["image"].append(np.asarray(places, dtype=np.int64))


def _no_value(places: Places) -> pa.Array:
    """`NO_VALUE` where there is no content, else null."""
    return pc.if_else(pa.array(places == ABSENT), NO_VALUE, pa.scalar(None, pa.string()))
