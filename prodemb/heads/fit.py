"""Fitting a head's network to labelled products."""

import logging
import math

import torch
from pydantic import Field
from torch import Tensor

from prodemb.core.arrays import Indices
from prodemb.core.config import Config
from prodemb.core.device import fastest_dtype, few_threads
from prodemb.core.features import Feature
from prodemb.core.optim import adamw, warmup_cosine
from prodemb.core.progress import ProgressCallback
from prodemb.heads.examples import Examples, WindowedExamples
from prodemb.heads.network import Network

logger = logging.getLogger(__name__)

_FEWEST_EPOCHS, _MOST_EPOCHS = 3, 30
_SHOWN, _SHOWN_PER_CLASS = 240_000, 1_000
"""Products to train on, counting repeats, in all and per class, where that takes at most 30 epochs."""

_MIN_STEPS = 32
"""Steps per epoch at least; few products are divided into smaller batches."""


class FeatureDropout(Config):
    """`[train.feature_dropout]`: how often training hides a feature of a product, 0 to 1.

    The supplied values are hidden more often: otherwise the head learns to copy one partner and fails on the next.
    """

    title: float = Field(default=0.1, ge=0, lt=1)
    description: float = Field(default=0.1, ge=0, lt=1)
    brand: float = Field(default=0.3, ge=0, lt=1)
    cat1: float = Field(default=0.3, ge=0, lt=1)
    cat2: float = Field(default=0.3, ge=0, lt=1)
    cat3: float = Field(default=0.3, ge=0, lt=1)
    image: float = Field(default=0.1, ge=0, lt=1)
    lexical: float = Field(default=0.1, ge=0, lt=1)
    text: float = Field(default=0.1, ge=0, lt=1)
    alone: float = Field(default=0.2, ge=0, lt=1)
    """How often a product is shown with only one of its features, so that a category head can predict from a picture or
    a title alone. Not used for brands, which few features name."""

    def rates(self, features: tuple[Feature, ...]) -> Tensor:
        """(F,) float32, in the order of `features`."""
        return torch.tensor([getattr(self, feature) for feature in features], dtype=torch.float32)


class FitConfig(Config):
    """How a network is fitted; part of `[train]`."""

    epochs: int | None = Field(default=None, ge=1)
    """Passes over the labelled products; by default enough for 240,000 products and 1,000 per class, from 3 to 30: many
    products need few passes."""
    batch_size: int = Field(default=1024, ge=1)
    """Products per step at most; fewer where an epoch would have less than 32 steps."""
    learning_rate: float = Field(default=6e-3, gt=0)
    """The highest of AdamW's learning rates, after warmup, for steps of 1,024 products; for b products it is
    sqrt(b / 1024) of that (Malladi et al., On the SDEs and scaling rules for adaptive gradient algorithms, NeurIPS
    2022). From there it falls to 0 as a cosine."""
    weight_decay: float = Field(default=0.3, ge=0)
    """Of the matrices; biases and norms have none."""
    warmup_steps: float = Field(default=0.1, ge=0, lt=1)
    """The share of all steps in which the learning rate rises."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """The share of the target that is spread over all classes."""
    feature_dropout: FeatureDropout = FeatureDropout()
    """How often each feature is hidden."""
    memory_gb: float = Field(default=8.0, gt=0)
    """Memory for the vectors of labelled products on the device, in 10^9 bytes. Where they take more, they are read
    from the shards in windows of half of that, and an epoch goes through the windows in random order."""
    seed: int = 0
    """Seed of all random numbers; on a CPU the same seed gives the same head, with the same windows or none."""

    def num_epochs(self, num_train: int, *, num_classes: int) -> int:
        """Passes over `num_train` products."""
        if self.epochs is not None:
            return self.epochs
        wanted = max(_SHOWN, _SHOWN_PER_CLASS * num_classes)
        return min(_MOST_EPOCHS, max(_FEWEST_EPOCHS, math.ceil(wanted / max(1, num_train))))


def fit(
    network: Network,
    examples: Examples | WindowedExamples,
    *,
    learned: Indices,
    alone: float,
    config: FitConfig,
    on_progress: ProgressCallback | None = None,
) -> int:
    """Fit a network in place and leave it ready for inference, with the weights after the last epoch.

    Nothing is held out to stop early by: the learning rate falls to 0, and what more epochs would change is within
    what another seed changes.

    Args:
        network: on the device of `examples`, with random weights.
        learned: (m,) indices into `examples` to learn from.
        alone: how often a product is shown with one feature alone.
        on_progress: called with the epochs done and their number, after each.

    Returns:
        How many epochs that took.
    """
    device = examples.device
    _fit_aggregate(network, examples, indices=learned)
    batch_size = max(1, min(config.batch_size, len(learned) // _MIN_STEPS))
    optimizer = adamw(
        network.parameters(),
        learning_rate=config.learning_rate * math.sqrt(batch_size / 1024),
        weight_decay=config.weight_decay,
        fused=True,
    )
    num_epochs = config.num_epochs(len(learned), num_classes=network.num_classes)
    num_steps = num_epochs * examples.num_batches(len(learned), batch_size=batch_size)
    num_warmup = int(config.warmup_steps * num_steps)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: warmup_cosine(step, num_steps=num_steps, num_warmup=num_warmup)
    )
    rates = config.feature_dropout.rates(network.features).to(device)
    network.train()
    with few_threads(batch_size * sum(weight.numel() for weight in network.parameters())):
        for epoch in range(1, num_epochs + 1):
            loss = torch.zeros((), device=device)
            for some, batch in examples.batches(learned, batch_size=batch_size):
                loss += len(batch) * train_step(
                    network,
                    some,
                    batch=batch,
                    rates=rates,
                    alone=alone,
                    optimizer=optimizer,
                    label_smoothing=config.label_smoothing,
                )
                schedule.step()
            logger.debug("epoch %d: loss %.4f", epoch, float(loss) / len(learned))
            if on_progress:
                on_progress(epoch, num_epochs)
    network.eval()
    return num_epochs


def _fit_aggregate(network: Network, examples: Examples | WindowedExamples, *, indices: Indices) -> None:
    some, rows = examples.sample(indices)
    network.aggregate.fit(some.vectors, present=some.present, rows=rows)


def hide_features(present: Tensor, *, rates: Tensor, alone: float) -> Tensor:
    """Hide whole features at random, but never all that a product has.

    Args:
        present: (n, F) bool.
        rates: (F,) how often each feature is hidden.
        alone: how often all but one are hidden.

    Returns:
        (n, F) bool, which features are left.
    """
    left = present & (torch.rand(present.shape, device=present.device) >= rates)
    left = torch.where(left.any(1, keepdim=True), left, present)
    if not alone:
        return left
    drawn = torch.rand(present.shape, device=present.device) * present
    one = present & (drawn == drawn.amax(1, keepdim=True))
    return torch.where(torch.rand(len(present), 1, device=present.device) < alone, one, left)


def train_step(
    network: Network,
    examples: Examples,
    *,
    batch: Tensor,
    rates: Tensor,
    alone: float,
    optimizer: torch.optim.Optimizer,
    label_smoothing: float,
) -> Tensor:
    """One optimizer step on a batch.

    Args:
        batch: (b,) int64, indices into `examples`.
        rates: (F,) how often each feature is hidden.
        alone: how often all but one are hidden.

    Returns:
        The mean loss, on the device.
    """
    dtype = fastest_dtype(batch.device)
    optimizer.zero_grad(set_to_none=True)  # first: computing the loss already sets the new gradients
    present = hide_features(examples.present[batch], rates=rates, alone=alone)
    vectors, labels = examples.vectors.index_select(0, batch), examples.labels[batch]
    with torch.autocast(batch.device.type, dtype=dtype, enabled=dtype != torch.float32):
        loss = network.loss(vectors, present, labels=labels, label_smoothing=label_smoothing)
    torch.autograd.backward(loss)
    optimizer.step()
    return loss.detach()
