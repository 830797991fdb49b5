"""Embedding one shard: from its catalog rows, the towers and an earlier set, to what its file holds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from prodemb.core.features import LEXICAL_TEXTS, TEXT_FEATURES, Feature
from prodemb.core.template import Template
from prodemb.embed.distinct import ABSENT, DistinctContents, Indices
from prodemb.embed.reuse import Hashes, Reuse, Space, space_of
from prodemb.embed.windows import Window, WindowPictures
from prodemb.embed.words import LexicalPool
from prodemb.shards.format import HASH_BYTES, NO_VALUE, Changes
from prodemb.shards.hashes import RowsHash, content_hash
from prodemb.shards.writer import EncodedFeature
from prodemb.towers.pool import TowerPool


@dataclass(frozen=True, kw_only=True)
class EmbeddedShard:
    """What the file of a shard holds; `prodemb.shards.writer.write_shard` writes it."""

    rows: pa.Table
    """Without their pictures."""
    rows_hash: str
    encoded: Mapping[Feature, EncodedFeature]
    image_sources: pa.Array | None
    """Where the pictures come from; None where they are no feature."""
    changes: Changes | None
    """Against the earlier set; None without one."""


def embed_shard(
    windows: Iterable[Window],
    *,
    pool: TowerPool,
    words: LexicalPool,
    features: Sequence[Feature],
    template: Sequence[str] = (),
    reuse: Reuse | None = None,
) -> "PendingShard":
    """Hand the new contents of one shard to the towers.

    It needs nothing but its arguments, and on a CPU its result is a function of them, whoever calls it: batches are
    formed inside a window, and what was encoded before is remembered inside the shard only. It returns when the last
    batch is queued, so that the next shard can follow while the towers work on this one.

    Args:
        windows: the shard's rows, as `prodemb.embed.windows.WindowReader` reads them.
        words: makes the lexical vectors.
        template: joins the fields for the pool's text encoder, where text vectors are a feature.
        reuse: an earlier set, whose vectors are taken where it has them.

    Raises:
        ModelError: a tower failed.
        ImagesError: a picture was not ready in time.
    """
    shard = PendingShard(pool=pool, words=words, features=features, template=Template(template), reuse=reuse)
    for window in windows:
        shard.add(window)
    return shard


class PendingShard:
    """A shard whose vectors may still be in the making."""

    def __init__(
        self,
        *,
        pool: TowerPool,
        words: LexicalPool,
        features: Sequence[Feature],
        template: Template,
        reuse: Reuse | None,
    ) -> None:
        """Use `embed_shard`."""
        self._pool, self._words, self._template, self._reuse = pool, words, template, reuse
        self._rows_hash = RowsHash()
        self._rows: list[pa.Table] = []
        self._texts = DistinctContents("texts", dim=pool.towers.dim, reuse=reuse)
        self._images = DistinctContents("image", dim=pool.towers.dim, reuse=reuse)
        self._lexical = DistinctContents("lexical", dim=words.dim, reuse=reuse)
        joined_dim = 0 if pool.text_encoder is None else pool.text_encoder.dim
        self._joined = DistinctContents("joined", dim=joined_dim, reuse=reuse)
        self._indices: dict[Feature, list[Indices]] = {feature: [] for feature in features}
        self._picture_errors: list[str | None] = []
        self._sources: list[Hashes] = []

    def add(self, window: Window) -> None:
        """Hand the new contents of the next window to the towers."""
        sources = None if window.pictures is None else window.pictures.sources
        self._rows.append(window.rows)
        self._rows_hash.update(window.rows, sources=sources)
        self._add_texts(window.rows)
        if window.pictures is not None:
            self._add_pictures(window.pictures)
        if "lexical" in self._indices:
            self._add_words(window.rows)
        if "text" in self._indices:
            self._add_joined(window.rows)

    def result(self) -> EmbeddedShard:
        """Wait for the vectors.

        Raises:
            ModelError: a tower failed.
        """
        rows, encoded = pa.concat_tables(self._rows), self._encoded()
        return EmbeddedShard(
            rows=rows,
            rows_hash=self._rows_hash.hexdigest(),
            encoded=encoded,
            image_sources=_nullable(np.concatenate(self._sources)) if self._sources else None,
            changes=None if self._reuse is None else self._changes(self._reuse, rows=rows, encoded=encoded),
        )

    def _encoded(self) -> dict[Feature, EncodedFeature]:
        distinct = {feature: self._distinct(feature) for feature in self._indices}
        contents = {each: each.contents() for each in set(distinct.values())}
        encoded = {}
        for feature, parts in self._indices.items():
            vectors, hashes = contents[distinct[feature]]
            indices = np.concatenate(parts)
            encoded[feature] = EncodedFeature(
                vectors=vectors[indices],
                absent=pa.array(self._picture_errors, pa.string()) if feature == "image" else _no_value(indices),
                hashes=hashes.take(pa.array(np.where(indices == ABSENT, len(hashes) - 1, indices))),
            )
        return encoded

    def _changes(self, reuse: Reuse, *, rows: pa.Table, encoded: Mapping[Feature, EncodedFeature]) -> Changes:
        """How the rows differ from the earlier set, and how many vectors were taken from it."""
        num_reused = num_present = 0
        for feature, parts in self._indices.items():
            indices = np.concatenate(parts)
            num_present += int((indices != ABSENT).sum())
            num_reused += int(self._distinct(feature).is_stored()[indices].sum())
        product_ids = pl.Series(pa.chunked_array(rows["product_id"]).cast(pa.string()))
        hashes = {feature: _as_array(encoded[feature].hashes) for feature in reuse.features}
        counts = {"vectors_reused": num_reused, "vectors_encoded": num_present - num_reused}
        return reuse.changes(product_ids, hashes=hashes).model_copy(update=counts)

    def _distinct(self, feature: Feature) -> DistinctContents:
        spaces: dict[Space, DistinctContents] = {
            "texts": self._texts,
            "image": self._images,
            "lexical": self._lexical,
            "joined": self._joined,
        }
        return spaces[space_of(feature)]

    def _add_texts(self, rows: pa.Table) -> None:
        columns = {
            feature: rows[feature].combine_chunks().dictionary_encode()
            for feature in self._indices
            if feature in TEXT_FEATURES
        }
        texts = [text for column in columns.values() for text in column.dictionary.to_pylist()]
        indices, wanted = self._texts.add([content_hash(text.encode()) for text in texts])
        start = 0
        for feature, column in columns.items():
            end = start + len(column.dictionary)
            known = np.append(indices[start:end], ABSENT)
            self._indices[feature].append(known[pc.fill_null(column.indices, len(known) - 1).to_numpy()])
            start = end
        if wanted:
            self._texts.add_vectors(indices[wanted], self._pool.texts([texts[position] for position in wanted]))

    def _add_words(self, rows: pa.Table) -> None:
        products = list(zip(*(rows[feature].to_pylist() for feature in LEXICAL_TEXTS), strict=True))
        present = [row for row, texts in enumerate(products) if any(texts)]
        found, wanted = self._lexical.add(
            [content_hash("\0".join(text or "" for text in products[row]).encode()) for row in present]
        )
        if wanted:
            vectors = self._words.texts([products[present[position]] for position in wanted])
            self._lexical.add_vectors(found[wanted], vectors)
        self._indices["lexical"].append(_at(present, found, num=len(products)))

    def _add_joined(self, rows: pa.Table) -> None:
        fields = self._template.features
        products = zip(*(rows[field].to_pylist() for field in fields), strict=True)
        texts = [
            self._template.join({field: text for field, text in zip(fields, product, strict=True) if text})
            for product in products
        ]
        present = [row for row, text in enumerate(texts) if text]
        found, wanted = self._joined.add([content_hash(texts[row].encode()) for row in present])
        if wanted:
            vectors = self._pool.joined([texts[present[position]] for position in wanted])
            self._joined.add_vectors(found[wanted], vectors)
        self._indices["text"].append(_at(present, found, num=len(texts)))

    def _add_pictures(self, pictures: WindowPictures) -> None:
        indices: list[int] = []
        batch: list[tuple[int, npt.NDArray[np.uint8]]] = []
        stored: list[tuple[int, bytes]] = []
        for picture in pictures:
            if isinstance(picture, str):
                indices.append(ABSENT)
                self._picture_errors.append(picture)
                continue
            index, is_new = self._images.index(picture.content_hash)
            indices.append(index)
            self._picture_errors.append(None)
            if not is_new:
                continue
            if picture.pixels is None:
                stored.append((index, picture.content_hash))
            else:
                batch.append((index, picture.pixels))
            if len(batch) >= self._pool.pictures_per_batch:
                self._encode_pictures(batch)
                batch = []
        if batch:
            self._encode_pictures(batch)
        self._images.reuse(np.array([index for index, _ in stored], np.int64), [key for _, key in stored])
        self._indices["image"].append(np.asarray(indices, dtype=np.int64))
        self._sources.append(pictures.sources)

    def _encode_pictures(self, batch: Sequence[tuple[int, npt.NDArray[np.uint8]]]) -> None:
        vectors = self._pool.images([pixels for _, pixels in batch])
        self._images.add_vectors(np.array([index for index, _ in batch]), vectors)


def _at(rows: Sequence[int], found: Indices, *, num: int) -> Indices:
    """The content of each of `num` products, of which only those at `rows` have one."""
    indices = np.full(num, ABSENT, dtype=np.int64)
    indices[np.asarray(rows, dtype=np.int64)] = found
    return indices


def _no_value(indices: Indices) -> pa.Array:
    """`NO_VALUE` where there is no content, else null."""
    return pc.if_else(pa.array(indices == ABSENT), NO_VALUE, pa.scalar(None, pa.string()))


def _nullable(hashes: Hashes) -> pa.Array:
    """Hashes (n, 16) as a column, null where they are zeros."""
    column = pa.FixedSizeBinaryArray.from_buffers(pa.binary(HASH_BYTES), len(hashes), [None, pa.py_buffer(hashes)])
    return pc.if_else(pa.array(hashes.any(axis=1)), column, pa.scalar(None, column.type))


def _as_array(hashes: pa.Array) -> Hashes:
    """Fixed-size hashes as an array (n, 16), zeros where null."""
    column = hashes.fill_null(bytes(HASH_BYTES))
    flat = np.frombuffer(column.buffers()[1], dtype=np.uint8)
    return flat[column.offset * HASH_BYTES :][: len(column) * HASH_BYTES].reshape(-1, HASH_BYTES)
