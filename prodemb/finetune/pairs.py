"""The loss of a fine-tuning step: which vectors of a batch are paired, and what each kind of pair counts."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from prodemb.finetune.config import FinetuneConfig
from prodemb.finetune.contrastive import Tree, contrastive_loss
from prodemb.finetune.inputs import Kind, StepInputs


class Pairs:
    """The loss over the pairs of a batch."""

    def __init__(self, config: FinetuneConfig, *, paths: list[str]) -> None:
        """
        Args:
            paths: the full path of each class.
        """
        self._config = config
        self._tree = Tree.from_paths(paths, credit=config.tree_credit) if config.tree_credit else None

    def loss(self, vectors: dict[Kind, Tensor], *, inputs: StepInputs, scale: Tensor) -> Tensor:
        """The weighted mean over the kinds of pairs that the batch has; in float32.

        Args:
            vectors: (k, d) of each kind of item in `inputs`.
        """
        config = self._config
        weights: dict[Kind, float] = {
            "texts": config.text_path,
            "fields": config.feature_path,
            "images": config.image_path,
        }
        losses = [
            (weight, self._against_paths(kind, vectors=vectors, inputs=inputs, scale=scale))
            for kind, weight in weights.items()
            if weight and kind in vectors
        ]
        if config.text_image and {"texts", "images"} <= vectors.keys():
            across = self._across(vectors, inputs=inputs, scale=scale)
            losses += [(config.text_image, across)] if across is not None else []
        total = sum(weight for weight, _ in losses)
        return torch.stack([weight / total * loss for weight, loss in losses]).sum() if losses else scale * 0

    def _against_paths(self, kind: Kind, *, vectors: dict[Kind, Tensor], inputs: StepInputs, scale: Tensor) -> Tensor:
        """Products against category paths: each path once where it may have several positives."""
        labels = inputs.labels[inputs.places[kind]]
        keys, key_labels = vectors["paths"], inputs.classes
        if self._config.loss != "soft":
            own = np.searchsorted(inputs.classes, labels)
            keys, key_labels = keys[torch.from_numpy(own).to(keys.device)], labels
        return self._between(vectors[kind], keys=keys, labels=labels, key_labels=key_labels, scale=scale)

    def _across(self, vectors: dict[Kind, Tensor], *, inputs: StepInputs, scale: Tensor) -> Tensor | None:
        """Product texts against pictures, of the products that have both."""
        texts, images = vectors["texts"], vectors["images"]
        both, of_texts, of_images = np.intersect1d(inputs.places["texts"], inputs.places["images"], return_indices=True)
        if len(both) < 2:
            return None
        queries = texts[torch.from_numpy(of_texts).to(texts.device)]
        keys = images[torch.from_numpy(of_images).to(images.device)]
        labels = inputs.labels[both]
        return self._between(queries, keys=keys, labels=labels, key_labels=labels, scale=scale)

    def _between(
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
            tree=self._tree,
        )
