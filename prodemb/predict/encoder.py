"""One CLIP, loaded and kept: products to the vectors that embedding them would write."""

import os
from collections.abc import Iterator

import numpy as np
import polars as pl

from prodemb.catalog.images import ImageLoader, ImagesConfig
from prodemb.core.features import GOLD_LABELS, PARTNER, TEXT_FEATURES, Feature, raw_column
from prodemb.embed.config import EmbedConfig
from prodemb.embed.pictures import PictureFetcher
from prodemb.embed.plan import ShardTask
from prodemb.embed.prefetch import Prefetcher
from prodemb.embed.shard import EmbeddedShard, embed_shard
from prodemb.embed.windows import Window, fresh_window
from prodemb.embed.words import LexicalPool
from prodemb.embed.worker import WINDOWS_AHEAD
from prodemb.predict.products import CatalogRows
from prodemb.shards.format import NO_VALUE
from prodemb.shards.product_set import ProductSet
from prodemb.shards.product_stream import Chunk
from prodemb.storage.address import Place
from prodemb.towers.checkpoint import find_checkpoint
from prodemb.towers.load import load_towers
from prodemb.towers.pool import TowerPool
from prodemb.towers.text_encoder import load_text_encoder


class Encoder:
    """A loaded checkpoint."""

    def __init__(self, config: EmbedConfig, *, images: ImagesConfig, image_root: Place) -> None:
        """Load it.

        Args:
            config: which model, and which features are encoded.
            image_root: the folder that picture paths start from.

        Raises:
            ModelError: the checkpoint cannot be loaded.
        """
        checkpoint = find_checkpoint(config.model, revision=config.revision, truncate_dim=config.truncate_dim)
        self._config, self._images, self._image_root = config, images, image_root
        self._towers = load_towers(checkpoint, device=config.device, dtype=config.dtype)
        self._text_encoder = None
        if (text_checkpoint := config.text_checkpoint()) is not None:
            self._text_encoder = load_text_encoder(text_checkpoint, device=config.device, dtype=config.dtype)
        self._batch_tokens = config.batch_tokens

    def encode(self, products: CatalogRows) -> EmbeddedShard:
        """What a shard of n products would hold, at least one and at most `[embed] shard_size`.

        On a CPU the vectors are bit by bit those that embedding a catalog of the same products makes.

        Raises:
            ModelError: a tower failed.
            ImagesError: a picture was not ready in time.
        """
        config = self._config
        num_threads = config.decode_workers or os.cpu_count() or 1
        with (
            ImageLoader(self._images, root=self._image_root) as loader,
            TowerPool(
                self._towers,
                batch_tokens=self._batch_tokens,
                max_pictures=config.window_size(),
                text_encoder=self._text_encoder,
            ) as pool,
            PictureFetcher(loader, num_workers=num_threads) as fetcher,
            LexicalPool(config.lexical, num_threads=num_threads) as words,
            Prefetcher(self._windows(products, fetcher=fetcher), ahead=WINDOWS_AHEAD, source="products") as windows,
        ):
            self._batch_tokens = pool.batch_tokens
            return embed_shard(
                windows, pool=pool, words=words, features=config.features, template=config.text_template
            ).result()

    def _windows(self, products: CatalogRows, *, fetcher: PictureFetcher) -> Iterator[Window]:
        size, task = self._config.window_size(), ShardTask(index=0, start=0, stop=len(products))
        for start in range(0, len(products), size):
            rows = products.rows.slice(start, size)
            if "image" not in self._config.features:
                yield Window(task, rows, None)
                continue
            yield fresh_window(
                task,
                rows,
                cells=products.pictures[start : start + size],
                errors=[products.errors.get(row) for row in range(start, start + rows.num_rows)],
                fetcher=fetcher,
                preprocessor=self._towers.image,
            )


def picture_errors(embedded: EmbeddedShard) -> list[str | None]:
    """(n,) why a product's picture cannot be used; None where it can, where there is none, and where none are read."""
    if "image" not in embedded.encoded:
        return [None] * embedded.rows.num_rows
    return [None if reason == NO_VALUE else reason for reason in embedded.encoded["image"].absent.to_pylist()]


def chunk_of(embedded: EmbeddedShard, *, features: tuple[Feature, ...], joined: tuple[Feature, ...] = ()) -> Chunk:
    """Embedded products as scoring reads them from a shard.

    Args:
        features: whose vectors are read, some of the encoded ones.
        joined: the fields that the text vectors are made of.
    """
    encoded = [embedded.encoded[feature] for feature in features]
    rows = pl.DataFrame(pl.from_arrow(embedded.rows))
    return Chunk(
        product_ids=rows["product_id"],
        partners=rows[PARTNER],
        gold=rows.select(GOLD_LABELS),
        products=ProductSet(
            features=features,
            dims=tuple(each.vectors.shape[1] for each in encoded),
            vectors=np.concatenate([each.vectors for each in encoded], axis=1),
            present=np.stack([each.absent.is_null().to_numpy(zero_copy_only=False) for each in encoded], axis=1),
            supplied=rows.select(PARTNER, *(pl.col(feature).alias(raw_column(feature)) for feature in TEXT_FEATURES)),
            joined=joined,
        ),
    )
