"""Encoding one shard: each distinct string and picture goes through its tower once."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from prodemb.core.features import LEXICAL_TEXTS, TEXT_FEATURES, Feature
from prodemb.embed.feed import Feed, Window
from prodemb.embed.reuse import Reuse, Space, StoredVectors, space_of
from prodemb.embed.words import LexicalPool
from prodemb.shards.format import HASH_BYTES, NO_VALUE, Changes
from prodemb.shards.hashes import RowsHash, content_hash
from prodemb.shards.keys import NOT_FOUND
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

    def __init__(self, space: Space, *, dim: int, reuse: Reuse | None) -> None:
        """
        Args:
            space: where an earlier set is asked for contents.
            reuse: that set, if any.
        """
        self._space, self._dim, self._reuse = space, dim, reuse
        self._places: dict[bytes, int] = {}
        self._parts: list[tuple[Places, Pending]] = []
        self._stored: list[Places] = []

    def place(self, key: bytes) -> tuple[int, bool]:
        """The place of the content with this hash, and whether it is new."""
        known = len(self._places)
        place = self._places.setdefault(key, known)
        return place, place == known

    def take(self, keys: Sequence[bytes]) -> tuple[Places, list[int]]:
        """Take in contents by their hashes: the place of each, and which of them have to be encoded, each once."""
        found = [self.place(key) for key in keys]
        places = np.array([place for place, _ in found], dtype=np.int64)
        wanted = np.flatnonzero([is_new for _, is_new in found])
        stored = self.take_stored(places[wanted], [keys[index] for index in wanted.tolist()])
        return places, wanted[~stored].tolist()

    def take_stored(self, places: Places, keys: Sequence[bytes]) -> npt.NDArray[np.bool_]:
        """Take the vectors of new contents from the earlier set; which of them it has."""
        if self._reuse is None or not len(keys):
            return np.zeros(len(keys), dtype=bool)
        pointers = self._reuse.find(self._space, keys)
        stored: npt.NDArray[np.bool_] = pointers != NOT_FOUND
        if stored.any():
            self._parts.append((places[stored], StoredVectors(self._reuse, pointers[stored])))
            self._stored.append(places[stored])
        return stored

    def add(self, places: Places, encoding: Pending) -> None:
        """Take in the vectors of the contents at these places, which may still be in the making."""
        self._parts.append((places, encoding))

    def contents(self) -> tuple[npt.NDArray[np.float16], pa.Array]:
        """Wait for the vectors, (n + 1, dim), and give the hashes too, n + 1; last, at `ABSENT`, stand zeros and null.

        Raises:
            ModelError: a tower failed.
        """
        vectors = np.zeros((len(self._places) + 1, self._dim), dtype="<f2")
        for places, part in self._parts:
            vectors[places] = part.result()
        return vectors, pa.array([*self._places, None], pa.binary(HASH_BYTES))

    def is_stored(self) -> npt.NDArray[np.bool_]:
        """Which contents came from the earlier set, (n + 1,)."""
        stored = np.zeros(len(self._places) + 1, dtype=bool)
        stored[np.concatenate([np.zeros(0, np.int64), *self._stored])] = True
        return stored


class ShardEncoder:
    """Takes the windows of one shard, one after another, and gives its encoded features.

    What a vector is depends on the shard's own rows, and on the earlier set that it is given: batches are formed inside
    a window, and what was encoded before is remembered inside the shard only.
    """

    def __init__(
        self,
        *,
        pool: TowerPool,
        words: LexicalPool,
        features: Sequence[Feature],
        rows_hash: RowsHash,
        reuse: Reuse | None = None,
    ) -> None:
        self._pool, self._words = pool, words
        self._rows_hash, self._reuse = rows_hash, reuse
        self._rows: list[pa.Table] = []
        self._texts = Distinct("texts", dim=pool.towers.dim, reuse=reuse)
        self._images = Distinct("image", dim=pool.towers.dim, reuse=reuse)
        self._lexical = Distinct("lexical", dim=words.dim, reuse=reuse)
        self._places: dict[Feature, list[Places]] = {feature: [] for feature in features}
        self._no_picture: list[str | None] = []
        self._sources: list[npt.NDArray[np.uint8]] = []

    @property
    def rows(self) -> pa.Table:
        """The rows taken so far, without their pictures."""
        return pa.concat_tables(self._rows)

    @property
    def rows_hash(self) -> str:
        """The hash of the rows taken so far."""
        return self._rows_hash.hexdigest()

    @property
    def image_sources(self) -> pa.Array | None:
        """Where the pictures of the rows taken so far come from; None where there is no such feature."""
        if "image" not in self._places:
            return None
        sources = np.concatenate(self._sources)
        column = pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(HASH_BYTES), len(sources), [None, pa.py_buffer(sources)]
        )
        return pc.if_else(pa.array(sources.any(axis=1)), column, pa.scalar(None, column.type))

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
        made = {feature: self._made(feature) for feature in self._places}
        contents = {distinct: distinct.contents() for distinct in set(made.values())}
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

    def changes(self, encoded: Mapping[Feature, EncodedFeature]) -> Changes | None:
        """How the rows taken differ from the earlier set, and whose vectors were made anew; None without such a set."""
        if self._reuse is None:
            return None
        num_reused = num_present = 0
        for feature, parts in self._places.items():
            places = np.concatenate(parts)
            num_present += int((places != ABSENT).sum())
            num_reused += int(self._made(feature).is_stored()[places].sum())
        product_ids = pl.Series(pa.chunked_array(self.rows["product_id"]).cast(pa.string()))
        hashes = {feature: _plain(encoded[feature].hashes) for feature in self._reuse.features}
        counted = {"vectors_reused": num_reused, "vectors_encoded": num_present - num_reused}
        return self._reuse.changes(product_ids, hashes=hashes).model_copy(update=counted)

    def _made(self, feature: Feature) -> Distinct:
        return {"texts": self._texts, "image": self._images, "lexical": self._lexical}[space_of(feature)]

    def _take_texts(self, rows: pa.Table) -> None:
        columns = {
            feature: rows[feature].combine_chunks().dictionary_encode()
            for feature in self._places
            if feature in TEXT_FEATURES
        }
        texts = [text for column in columns.values() for text in column.dictionary.to_pylist()]
        places, wanted = self._texts.take([content_hash(text.encode()) for text in texts])
        start = 0
        for feature, column in columns.items():
            end = start + len(column.dictionary)
            known = np.append(places[start:end], ABSENT)
            self._places[feature].append(known[pc.fill_null(column.indices, len(known) - 1).to_numpy()])
            start = end
        if wanted:
            self._texts.add(places[wanted], self._pool.texts([texts[index] for index in wanted]))

    def _take_words(self, rows: pa.Table) -> None:
        products = list(zip(*(rows[feature].to_pylist() for feature in LEXICAL_TEXTS), strict=True))
        there = [row for row, texts in enumerate(products) if any(texts)]
        found, wanted = self._lexical.take(
            [content_hash("\0".join(text or "" for text in products[row]).encode()) for row in there]
        )
        if wanted:
            self._lexical.add(found[wanted], self._words.texts([products[there[index]] for index in wanted]))
        self._places["lexical"].append(_spread(found, rows=there, num_rows=len(products)))

    def _take_images(self, window: Window, *, feed: Feed) -> None:
        places: list[int] = []
        batch: list[tuple[int, npt.NDArray[np.uint8]]] = []
        stored: list[tuple[int, bytes]] = []
        for picture in feed.pictures(window):
            if isinstance(picture, str):
                places.append(ABSENT)
                self._no_picture.append(picture)
                continue
            place, is_new = self._images.place(picture.content_hash)
            places.append(place)
            self._no_picture.append(None)
            if not is_new:
                continue
            if picture.pixels is None:
                stored.append((place, picture.content_hash))
            else:
                batch.append((place, picture.pixels))
            if len(batch) >= self._pool.pictures_a_batch:
                self._encode_images(batch)
                batch = []
        if batch:
            self._encode_images(batch)
        self._images.take_stored(np.array([place for place, _ in stored], np.int64), [key for _, key in stored])
        self._places["image"].append(np.asarray(places, dtype=np.int64))
        self._sources.append(window.sources)

    def _encode_images(self, batch: Sequence[tuple[int, npt.NDArray[np.uint8]]]) -> None:
        encoding = self._pool.images([pixels for _, pixels in batch])
        self._images.add(np.array([place for place, _ in batch]), encoding)


def _no_value(places: Places) -> pa.Array:
    """`NO_VALUE` where there is no content, else null."""
    return pc.if_else(pa.array(places == ABSENT), NO_VALUE, pa.scalar(None, pa.string()))


def _spread(found: Places, *, rows: Sequence[int], num_rows: int) -> Places:
    """The places of the contents of some rows, `ABSENT` for the others."""
    places = np.full(num_rows, ABSENT, dtype=np.int64)
    places[np.asarray(rows, dtype=np.int64)] = found
    return places


def _plain(hashes: pa.Array) -> npt.NDArray[np.uint8]:
    """Fixed-size hashes as an array (n, 16), zeros where null."""
    column = hashes.fill_null(bytes(HASH_BYTES))
    flat = np.frombuffer(column.buffers()[1], dtype=np.uint8)
    return flat[column.offset * HASH_BYTES :][: len(column) * HASH_BYTES].reshape(-1, HASH_BYTES)
