"""One fine-tuning step: the vectors of a batch's texts, pictures and category paths, and the loss over their pairs."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from random import Random

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from prodemb.device import fastest_dtype
from prodemb.finetune.augment import augment
from prodemb.finetune.batches import Fields, drop_fields, join_fields, step_classes
from prodemb.finetune.config import FinetuneConfig
from prodemb.finetune.contrastive import bounded_scale, contrastive_loss
from prodemb.finetune.data import Pictures, Products
from prodemb.finetune.patches import seeing_patches
from prodemb.towers.load import Towers


@dataclass(frozen=True)
class Side:
    """Vectors of those products of a batch that have the input."""

    vectors: Tensor
    """(k, d) float32, L2-normalised."""
    places: npt.NDArray[np.int64]
    """(k,) the products' places in the batch, ascending."""


@dataclass(frozen=True, kw_only=True)
class StepVectors:
    """What the towers make of a batch; None where nothing of the kind is there or wanted."""

    labels: npt.NDArray[np.int64]
    """(n,) the class of each product of the batch."""
    classes: npt.NDArray[np.int64]
    """(c,) the classes whose paths are encoded, ascending; the batch's own are among them."""
    paths: Tensor
    """(c, d) float32"""
    texts: Side | None
    """All fields joined, some left out."""
    fields: Side | None
    """One field of each product."""
    images: Side | None


class Step:
    """Makes vectors and loss of a batch. Everything random in it depends on the seed and the step's number alone."""

    def __init__(
        self, config: FinetuneConfig, *, towers: Towers, products: Products, pictures: Pictures, paths: list[str]
    ) -> None:
        """
        Args:
            paths: the text of each class.
        """
        self._config, self._towers = config, towers
        self._products, self._pictures = products, pictures
        self._path_tokens = towers.text.tokenize(paths)
        self._half = fastest_dtype(towers.device) == torch.bfloat16

    def vectors(self, rows: npt.NDArray[np.int64], *, step: int) -> StepVectors:
        """Run the products at `rows` through the towers, with gradients."""
        config = self._config
        labels = self._products.index[rows]
        rng = np.random.default_rng([config.seed, step])
        classes = step_classes(labels, num_classes=len(self._path_tokens), most=config.paths_per_step, rng=rng)
        joined, single = self._texts(rows, step=step)
        with self._autocast():
            return StepVectors(
                labels=labels,
                classes=classes,
                paths=self._of_tokens([self._path_tokens[place] for place in classes]),
                texts=self._of_texts(joined) if config.text_path or config.text_image else None,
                fields=self._of_texts(single) if config.feature_path else None,
                images=self._of_images(rows, step=step) if config.image_path or config.text_image else None,
            )

    def loss(self, vectors: StepVectors, *, log_scale: Tensor) -> Tensor:
        """The weighted mean over the kinds of pairs that the batch has; in float32."""
        config = self._config
        scale = bounded_scale(log_scale, largest=config.max_scale)
        sides = (
            (config.text_path, vectors.texts),
            (config.feature_path, vectors.fields),
            (config.image_path, vectors.images),
        )
        losses = [
            (weight, self._against_paths(side, vectors=vectors, scale=scale))
            for weight, side in sides
            if weight and side is not None
        ]
        if config.text_image and vectors.texts is not None and vectors.images is not None:
            across = self._against_images(vectors.texts, images=vectors.images, labels=vectors.labels, scale=scale)
            losses += [(config.text_image, across)] if across is not None else []
        total = sum(weight for weight, _ in losses)
        return torch.stack([weight / total * loss for weight, loss in losses]).sum() if losses else scale * 0

    def _against_paths(self, side: Side, *, vectors: StepVectors, scale: Tensor) -> Tensor:
        """Products against category paths: each path once where it may have several positives."""
        labels = vectors.labels[side.places]
        keys, key_labels = vectors.paths, vectors.classes
        if self._config.loss != "soft":
            own = np.searchsorted(vectors.classes, labels)
            keys, key_labels = vectors.paths[torch.from_numpy(own).to(keys.device)], labels
        return self._pairs(side.vectors, keys=keys, labels=labels, key_labels=key_labels, scale=scale)

    def _against_images(
        self, texts: Side, *, images: Side, labels: npt.NDArray[np.int64], scale: Tensor
    ) -> Tensor | None:
        """Product texts against pictures, of the products that have both."""
        both, of_texts, of_images = np.intersect1d(texts.places, images.places, return_indices=True)
        if len(both) < 2:
            return None
        device = texts.vectors.device
        queries = texts.vectors[torch.from_numpy(of_texts).to(device)]
        keys = images.vectors[torch.from_numpy(of_images).to(device)]
        return self._pairs(queries, keys=keys, labels=labels[both], key_labels=labels[both], scale=scale)

    def _pairs(
        self,
        queries: Tensor,
        *,
        keys: Tensor,
        labels: npt.NDArray[np.int64],
        key_labels: npt.NDArray[np.int64],
        scale: Tensor,
    ) -> Tensor:
        return contrastive_loss(
            queries,
            keys=keys,
            query_labels=torch.from_numpy(labels).to(queries.device),
            key_labels=torch.from_numpy(key_labels).to(queries.device),
            kind=self._config.loss,
            scale=scale,
        )

    def _autocast(self) -> AbstractContextManager[object]:
        return torch.autocast(self._towers.device.type, dtype=torch.bfloat16, enabled=self._half)

    def _texts(self, rows: npt.NDArray[np.int64], *, step: int) -> tuple[list[str], list[str]]:
        """For each product its joined text and one of its fields; empty strings where it has no text."""
        config = self._config
        rng = Random(f"{config.seed} {step}")
        joined, single = [], []
        for row in self._products.texts.take(rows).select(config.text_features).to_pylist():
            fields: Fields = {feature: text for feature, text in row.items() if text}
            kept = drop_fields(fields, rng=rng, dropout=config.field_dropout, category_dropout=config.category_dropout)
            joined.append(join_fields(kept))
            single.append(rng.choice(list(fields.values())) if fields else "")
        return joined, single

    def _of_texts(self, texts: list[str]) -> Side | None:
        places = np.flatnonzero([bool(text) for text in texts])
        if not len(places):
            return None
        return Side(self._of_tokens(self._towers.text.tokenize([texts[place] for place in places])), places)

    def _of_tokens(self, token_lists: list[list[int]]) -> Tensor:
        token_ids, mask = self._towers.text.pad(token_lists)
        device = self._towers.device
        vectors = self._towers.text_vectors(token_ids.to(device), None if mask is None else mask.to(device))
        return vectors.float()

    def _of_images(self, rows: npt.NDArray[np.int64], *, step: int) -> Side | None:
        places = np.flatnonzero(self._pictures.present[rows])
        if not len(places):
            return None
        pixels = torch.from_numpy(self._pictures.pixels[rows[places]]).to(self._towers.device)
        generator = torch.Generator().manual_seed(self._config.seed * 1_000_003 + step)
        if self._config.augment:
            pixels = augment(pixels, generator=generator)
        with seeing_patches(self._towers.model, share=self._config.seen_patches, generator=generator):
            return Side(self._towers.image_vectors(pixels).float(), places)
