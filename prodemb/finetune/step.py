"""One training step: which inputs are encoded for a batch, and the gradients of the loss over its pairs."""

from functools import partial
from random import Random

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from prodemb.core.template import Fields, Template
from prodemb.finetune.augment import choose_patches, draw_amounts
from prodemb.finetune.batches import step_classes
from prodemb.finetune.config import FinetuneConfig
from prodemb.finetune.contrastive import PairLoss, bounded_scale
from prodemb.finetune.data import LabelledProducts, Pictures
from prodemb.finetune.gradient_cache import backpropagate
from prodemb.finetune.inputs import ImageItems, InputKind, Items, StepInputs, TextItems
from prodemb.finetune.processes import Processes
from prodemb.finetune.texts import drop_fields
from prodemb.towers.load import Towers, choose_dtype


class Step:
    """Computes the gradients of a batch. Everything random in it depends only on the seed and the step's number."""

    def __init__(
        self,
        config: FinetuneConfig,
        *,
        towers: Towers,
        products: LabelledProducts,
        pictures: Pictures,
        paths: list[str],
        processes: Processes,
    ) -> None:
        """
        Args:
            paths: the text of each class.
        """
        self._config, self._towers, self._processes = config, towers, processes
        self._products, self._pictures = products, pictures
        self._template = Template(config.template)
        self._path_tokens = towers.text.tokenize(paths)
        self._pairs = PairLoss(config, paths=[label.path for label in products.classes])
        # Machines may differ in what is fastest.
        self._half = processes.from_first(choose_dtype(config.dtype, device=towers.device) == torch.bfloat16)

    def backpropagate(self, rows: npt.NDArray[np.int64], *, step: int, log_scale: Tensor) -> float:
        """Add the gradients of the loss on the products at `rows`; returns the loss."""
        inputs = self.draw(rows, step=step)
        # The gradients of all processes are summed, and each of them would have the scale's whole gradient.
        own_scale = log_scale if self._processes.is_first else log_scale.detach()

        def loss_of(vectors: dict[InputKind, Tensor]) -> Tensor:
            scale = bounded_scale(own_scale, largest=self._config.max_scale)
            return self._pairs.loss(vectors, inputs=inputs, scale=scale)

        return backpropagate(
            {kind: partial(self._encode, items, kind=kind, step=step) for kind, items in inputs.items.items()},
            counts={kind: len(items) for kind, items in inputs.items.items()},
            mini_batch_size=self._config.mini_batch_size,
            nothing=torch.empty(0, self._towers.dim, device=self._towers.device),
            loss_of=loss_of,
            processes=self._processes,
        )

    def draw(self, rows: npt.NDArray[np.int64], *, step: int) -> StepInputs:
        """Draw the inputs of the towers for the products at `rows`."""
        config = self._config
        labels = self._products.index[rows]
        rng = np.random.default_rng([config.seed, step])
        classes = step_classes(labels, num_classes=len(self._path_tokens), most=config.paths_per_step, rng=rng)
        items: dict[InputKind, Items] = {
            "paths": TextItems(token_lists=[self._path_tokens[label] for label in classes])
        }
        batch_rows: dict[InputKind, npt.NDArray[np.int64]] = {}
        joined, single = self._texts(rows, step=step)
        wanted: dict[InputKind, list[str]] = {}
        if config.text_path or config.text_image:
            wanted["texts"] = joined
        if config.feature_path:
            wanted["fields"] = single
        for kind, texts in wanted.items():
            present = np.flatnonzero([bool(text) for text in texts])
            if len(present):
                tokens = self._towers.text.tokenize([texts[row] for row in present])
                items[kind], batch_rows[kind] = TextItems(token_lists=tokens), present
        present = np.flatnonzero(self._pictures.present[rows])
        if len(present) and (config.image_path or config.text_image):
            items["images"], batch_rows["images"] = self._images(rows[present], step=step), present
        return StepInputs(labels=labels, classes=classes, items=items, batch_rows=batch_rows)

    def _encode(self, items: Items, part: slice, *, kind: InputKind, step: int) -> Tensor:
        """Vectors of some items, (k, d) float32; a model's own dropout is the same each time they are made."""
        devices = [self._towers.device] if self._towers.device.type == "cuda" else []
        with (
            torch.random.fork_rng(devices),
            torch.autocast(self._towers.device.type, dtype=torch.bfloat16, enabled=self._half),
        ):
            torch.manual_seed(Random(f"{self._config.seed} {step} {kind} {part.start}").getrandbits(63))
            return items.encode(self._towers, part)

    def _texts(self, rows: npt.NDArray[np.int64], *, step: int) -> tuple[list[str], list[str]]:
        """For each product its joined text and one of its fields; empty strings where it has no text."""
        config = self._config
        rng = Random(f"{config.seed} {step}")
        joined, single = [], []
        for row in self._products.texts.take(rows).select(self._template.features).to_pylist():
            fields: Fields = {feature: text for feature, text in row.items() if text}
            kept = drop_fields(fields, rng=rng, dropout=config.field_dropout, category_dropout=config.category_dropout)
            joined.append(self._template.join(kept))
            single.append(rng.choice(list(fields.values())) if fields else "")
        return joined, single

    def _images(self, rows: npt.NDArray[np.int64], *, step: int) -> ImageItems:
        generator = torch.Generator().manual_seed(self._config.seed * 1_000_003 + step)
        amounts = draw_amounts(len(rows), generator=generator) if self._config.augment else None
        patches = choose_patches(
            self._towers.model, num_pictures=len(rows), dropout=self._config.patch_dropout, generator=generator
        )
        return ImageItems(pictures=self._pictures, rows=rows, amounts=amounts, patches=patches)
