"""Heads and their CLIP in memory: products in, predictions out."""

import logging
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import polars as pl
import pyarrow as pa

from prodemb.brand.predict import BrandPredictor
from prodemb.catalog.images import ImagesConfig
from prodemb.category.predict import CategoryPredictor
from prodemb.core.config import Config
from prodemb.core.device import choose_device
from prodemb.embed.config import EmbedConfig
from prodemb.heads.head import HeadCard
from prodemb.predict.encoder import Encoder, chunk_of, picture_errors
from prodemb.predict.explain import Explanation, explain_brand, explain_category
from prodemb.predict.heads import find_heads
from prodemb.predict.products import CatalogRows, Products, as_rows
from prodemb.predict.vectors import settings_for
from prodemb.score.columns import predictions_schema
from prodemb.score.predictor import load_predictor
from prodemb.score.promises import make_promises, read_head_answers
from prodemb.score.score import ScoreConfig, predictions_of, target_columns
from prodemb.shards.product_stream import Chunk
from prodemb.shards.reader import ShardSet
from prodemb.storage.address import Place, place

logger = logging.getLogger(__name__)

_ONE_AT_A_TIME = threading.Lock()
"""Held while products are embedded and scored: torch's number of threads, which both set, is the process's."""


class PredictorConfig(Config):
    """The tables of a pipeline file that predicting depends on."""

    embed: EmbedConfig = EmbedConfig()
    images: ImagesConfig = ImagesConfig()
    score: ScoreConfig = ScoreConfig()


class Predictor:
    """Trained heads with the CLIP that they were trained on, ready to answer.

    >>> import prodemb
    >>> predictor = prodemb.Predictor.load("heads/")
    >>> predictor.predict([{"title": "Nike running shoe", "cat1": "Shoes"}]).height
    1

    Answers are those of `embed` and `score`, bit by bit on a CPU where the products come in the same shards: in the
    same order, `[embed] shard_size` at a time. The last bits of a vector depend on what is encoded beside it, so a
    product alone may get a confidence that differs a little, by less than 0.01 as a rule.

    Several threads may share a predictor: one call of all predictors runs at a time, and uses all cores.
    """

    def __init__(
        self,
        predictors: Mapping[Path, BrandPredictor | CategoryPredictor],
        *,
        config: PredictorConfig,
        image_root: Place,
    ) -> None:
        """Use `Predictor.load`."""
        self._predictors, self._config = list(predictors.values()), config
        answers = read_head_answers([*predictors], predictors=self._predictors) if config.score.precision else {}
        promises = make_promises(
            self._predictors,
            answers=answers,
            precision=config.score.precision,
            certainty=config.score.certainty,
            min_brand_confidence=config.score.min_brand_confidence,
        )
        device = choose_device(config.embed.device)
        self._targets = [
            target_columns(each.to(device), config=config.score, promise=promises.get(each.card.target))
            for each in self._predictors
        ]
        settings = settings_for([each.card for each in self._predictors], embed=config.embed)
        self._encoders = {
            fingerprint: Encoder(own, images=config.images, image_root=image_root)
            for fingerprint, own in settings.items()
        }

    @classmethod
    def load(
        cls,
        heads: str | Path | Sequence[str | Path],
        *,
        device: Literal["auto", "cpu", "cuda"] | None = None,
        image_root: str | Path | None = None,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Self:
        """Load heads and their checkpoints.

        Args:
            heads: the folder of a head, a folder of such folders, or several of either. Of several heads for one
                target the better one by out-of-fold answers is taken.
            device: where to run; by default CUDA where there is a GPU.
            image_root: the folder that picture paths start from and must not leave, but for
                `{"images": {"allow_outside_root": True}}`; by default the current one.
            settings: further ones, of the tables `embed`, `images` and `score`, such as
                `{"score": {"precision": 0.95}}`.

        Raises:
            HeadError: there is no head, or one is damaged.
            ModelError: a head's checkpoint is not there, or cannot be loaded.
            FingerprintError: it is no longer the one that the head was trained with.
            ConfigError: a setting does not fit.
        """
        tables = {table: dict(values) for table, values in (settings or {}).items()}
        if device is not None:
            tables["embed"] = tables.get("embed", {}) | {"device": device}
        config = PredictorConfig.parse(tables, source="Predictor.load")
        predictors = {folder: load_predictor(folder) for folder in find_heads(heads)}
        return cls(predictors, config=config, image_root=Path.cwd() if image_root is None else place(str(image_root)))

    @property
    def cards(self) -> tuple[HeadCard, ...]:
        """Of the heads."""
        return tuple(each.card for each in self._predictors)

    def predict(
        self,
        products: Products,
        *,
        columns: Mapping[str, str] | None = None,
        category_separator: str | None = None,
    ) -> pl.DataFrame:
        """Predict a category and a brand for each of n products.

        Args:
            products: a polars or pandas frame, or dicts, under the standard names: title, description, brand, cat1,
                cat2, cat3, image, and product_id, partner, google_category_id and brand_label where there are any.
                Missing values are None. A picture is a path or an address (a text, let in by `[images]`), a
                `pathlib.Path` anywhere, the bytes of a file, or PIL's. Pictures that cannot be used are warned about.
            columns: standard column name -> the products' own, for columns with other names.
            category_separator: what separates the levels where cat1 holds a whole path, such as ">".

        Returns:
            n rows in the order of the products, with the columns of the predictions file (docs/predictions.md).

        Raises:
            CatalogError: the products have none of these columns, or are none.
            ConfigError: `columns` does not fit.
            ModelError: a tower failed.
        """
        rows = as_rows(
            products, columns=columns or {}, category_separator=category_separator, images=self._config.images
        )
        predictions, errors = self.predict_rows(rows)
        _warn_of_pictures(errors)
        return pl.DataFrame(pl.from_arrow(predictions))

    def predict_rows(self, rows: CatalogRows) -> tuple[pa.Table, list[str | None]]:
        """Predict n products that are catalog rows already, as `predict` does.

        Returns:
            n rows of `prodemb.score.columns.predictions_schema`, and (n,) why a product's picture cannot be used.

        Raises:
            ModelError: a tower failed.
        """
        size, schema = self._config.embed.shard_size, predictions_schema()
        parts, errors = [schema.empty_table()], list[str | None]()
        with _ONE_AT_A_TIME:
            for start in range(0, len(rows), size):
                chunks, reasons = self._chunks(rows.slice(start, size))
                parts.append(predictions_of(chunks, targets=self._targets).cast(schema))
                errors += reasons
        return pa.concat_tables(parts), errors

    def explain(
        self, product: Mapping[str, Any], *, shards: Sequence[ShardSet] = ()
    ) -> tuple[dict[str, Any], tuple[Explanation, ...]]:
        """Predict one product, and say why.

        Args:
            product: as for `predict`.
            shards: those that the heads were trained on, for the titles of labelled products, where they are there.

        Returns:
            The columns of the predictions file by name, and the likeliest answers for each target.

        Raises:
            CatalogError, ConfigError, ModelError: as `predict`.
        """
        rows = as_rows([product], columns={}, category_separator=None, images=self._config.images)
        with _ONE_AT_A_TIME:
            chunks, errors = self._chunks(rows)
            (prediction,) = predictions_of(chunks, targets=self._targets).to_pylist()
            explanations = tuple(
                explain_brand(each, chunk.products, shards=shards)
                if isinstance(each, BrandPredictor)
                else explain_category(each, chunk.products, shards=shards)
                for each, chunk in zip(self._predictors, chunks, strict=True)
            )
        _warn_of_pictures(errors)
        return prediction, explanations

    def _chunks(self, rows: CatalogRows) -> tuple[list[Chunk], list[str | None]]:
        """At most `[embed] shard_size` products, at least one, as each head reads them, and what of their pictures."""
        embedded = {fingerprint: encoder.encode(rows) for fingerprint, encoder in self._encoders.items()}
        errors = zip(*map(picture_errors, embedded.values()), strict=True)
        chunks = [
            chunk_of(
                embedded[each.card.fingerprint],
                features=each.card.features,
                joined=() if each.card.text is None else each.card.text.features,
            )
            for each in self._predictors
        ]
        return chunks, [next(filter(None, reasons), None) for reasons in errors]


def _warn_of_pictures(errors: Iterable[str | None]) -> None:
    reasons = Counter(filter(None, errors))
    if reasons:
        listed = ", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common())
        logger.warning("pictures that cannot be used: %s", listed)
