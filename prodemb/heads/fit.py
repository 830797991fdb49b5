"""Fitting a head's network to labelled products."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor, nn

from prodemb.core.arrays import Indices
from prodemb.core.config import Config
from prodemb.core.device import fastest_dtype
from prodemb.core.features import Feature
from prodemb.core.optim import adamw, warmup_cosine
from prodemb.heads.examples import Examples, WindowedExamples
from prodemb.heads.head import TrainedHead
from prodemb.heads.loss import ROWS_AT_A_TIME

_FEWEST_EPOCHS, _MOST_EPOCHS = 3, 30
_SHOWN, _SHOWN_A_CLASS = 240_000, 1_000
"""Products that training shows, repeated ones too, and how many a class, where that is not more than 30 epochs."""

_MIN_STEPS = 32
"""Steps an epoch that a small training part is cut into, by smaller batches."""


class FeatureDropout(Config):
    """`[train.feature_dropout]`: how often training hides a feature of a product, 0 to 1.

    The supplied values are hidden more often, or the head learns to copy the partner and fails on the next one.
    """

    title: float = Field(default=0.1, ge=0, lt=1)
    description: float = Field(default=0.1, ge=0, lt=1)
    brand: float = Field(default=0.3, ge=0, lt=1)
    cat1: float = Field(default=0.3, ge=0, lt=1)
    cat2: float = Field(default=0.3, ge=0, lt=1)
    cat3: float = Field(default=0.3, ge=0, lt=1)
    image: float = Field(default=0.1, ge=0, lt=1)
    lexical: float = Field(default=0.1, ge=0, lt=1)
    alone: float = Field(default=0.2, ge=0, lt=1)
    """How often a product shows one feature alone, any of those it has, so that a head of categories can do with a
    picture or a title. Of no use for brands, which few features name."""

    def rates(self, features: tuple[Feature, ...]) -> Tensor:
        """(F,) float32, in the order of `features`."""
        return torch.tensor([getattr(self, feature) for feature in features], dtype=torch.float32)


class FitConfig(Config):
    """How a network is fitted; part of `[train]`."""

    epochs: int | None = Field(default=None, ge=1)
    """Passes over the training part at most; by default as many as show 240,000 products and 1,000 a class, from 3 to
    30: many products need few passes."""
    batch_size: int = Field(default=1024, ge=1)
    """Products a step at most; fewer where a pass would have less than 32 steps."""
    learning_rate: float = Field(default=6e-3, gt=0)
    """The highest of AdamW's learning rates, after warm-up, for steps of 1,024 products; for b products it is
    sqrt(b / 1024) of that (Malladi et al., On the SDEs and scaling rules for adaptive gradient algorithms, NeurIPS
    2022). From there it falls to 0 as a cosine."""
    weight_decay: float = Field(default=0.3, ge=0)
    """Of the matrices; biases and norms have none."""
    warmup_steps: float = Field(default=0.1, ge=0, lt=1)
    """The share of all steps in which the learning rate rises."""
    patience: int = Field(default=10, ge=1)
    """Stop after so many epochs in which neither validation top-1 nor validation loss got better."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """The share of the target that is spread over all classes."""
    feature_dropout: FeatureDropout = FeatureDropout()
    """How often each feature is hidden."""
    memory_gb: float = Field(default=8.0, gt=0)
    """What the vectors of labelled products may take on the device, in 10^9 bytes. Where they take more, they are read
    from the shards in windows of half of that, and a pass goes through the windows in random order."""
    seed: int = 0
    """Of everything random; on a CPU the same seed gives the same head, where windows are the same or none."""

    def num_epochs(self, num_train: int, *, num_classes: int) -> int:
        """Passes over `num_train` products at most."""
        if self.epochs is not None:
            return self.epochs
        wanted = max(_SHOWN, _SHOWN_A_CLASS * num_classes)
        return min(_MOST_EPOCHS, max(_FEWEST_EPOCHS, math.ceil(wanted / max(1, num_train))))


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """How fitting stands after one pass."""

    index: int
    """From 1."""
    num_epochs: int
    """How many there will be at most."""
    loss: float
    """Mean over the pass."""
    validation_top1: float | None
    """None where the validation part is empty."""


Progress = Callable[[Epoch], None]


class Network(nn.Module):
    """A head's aggregate and layers as one: vectors to logits."""

    def __init__(self, trained: TrainedHead) -> None:
        super().__init__()
        self.aggregate = trained.aggregate
        self.head = trained.head

    def forward(self, vectors: Tensor, present: Tensor) -> Tensor:
        """(n, D) and (n, F) to logits (n, num_classes) float32."""
        logits: Tensor = self.head(self.aggregate(vectors, present))
        return logits.float()

    def loss(self, vectors: Tensor, present: Tensor, *, labels: Tensor, label_smoothing: float) -> Tensor:
        """The mean cross-entropy of n products with labels (n,)."""
        return self.head.loss(self.aggregate(vectors, present), labels=labels, label_smoothing=label_smoothing)


def fit(
    trained: TrainedHead,
    examples: Examples | WindowedExamples,
    *,
    train: Indices,
    validation: Indices,
    config: FitConfig,
    progress: Progress | None = None,
) -> int:
    """Fit the head in place, to its best weights; return how many epochs that took.

    Best is by validation top-1, then by validation loss; without validation products, the last weights are kept.

    Args:
        trained: a head on the device of `examples`, as `TrainedHead.untrained` makes it.
        train: (m,) places in `examples` to learn from.
        validation: (v,) places in `examples` that decide when to stop.
    """
    device = examples.device
    _fit_aggregate(trained, examples, places=train)
    network = Network(trained)
    batch_size = max(1, min(config.batch_size, len(train) // _MIN_STEPS))
    optimizer = adamw(
        network.parameters(),
        learning_rate=config.learning_rate * math.sqrt(batch_size / 1024),
        weight_decay=config.weight_decay,
        fused=True,
    )
    num_epochs = config.num_epochs(len(train), num_classes=len(trained.card.labels))
    num_steps = num_epochs * examples.num_batches(len(train), batch_size=batch_size)
    num_warmup = int(config.warmup_steps * num_steps)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: warmup_cosine(step, num_steps=num_steps, num_warmup=num_warmup)
    )
    rates = config.feature_dropout.rates(trained.card.features).to(device)
    alone = config.feature_dropout.alone if trained.card.target == "category" else 0.0
    best, best_weights = (-1.0, -math.inf), {name: value.clone() for name, value in network.state_dict().items()}
    best_loss, epoch, improved = math.inf, 0, 0
    while epoch < num_epochs and epoch - improved < config.patience:
        epoch += 1
        network.train()
        loss = torch.zeros((), device=device)
        for some, batch in examples.batches(train, batch_size=batch_size):
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
        del some  # a window, in whose place validation reads its own
        network.eval()
        top1, validation_loss = _validate(network, examples, places=validation)
        if not len(validation) or (top1, -validation_loss) > best:
            best, improved = (top1, -validation_loss), epoch
            _copy_weights(network, into=best_weights)
        if validation_loss < best_loss:
            best_loss, improved = validation_loss, epoch
        if progress:
            shown = top1 if len(validation) else None
            progress(Epoch(index=epoch, num_epochs=num_epochs, loss=float(loss) / len(train), validation_top1=shown))
    network.load_state_dict(best_weights)
    return epoch


def _fit_aggregate(trained: TrainedHead, examples: Examples | WindowedExamples, *, places: Indices) -> None:
    some, rows = examples.sample(places)
    trained.aggregate.fit(some.vectors, present=some.present, rows=rows)


def hide_features(present: Tensor, *, rates: Tensor, alone: float) -> Tensor:
    """Hide whole features at random, (n, F) bool, but never all that a product has.

    Args:
        present: (n, F) bool.
        rates: (F,) how often each feature is hidden.
        alone: how often all but one are.
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
    """One step on the products at the places `batch`; the mean loss, which stays on the device.

    Args:
        batch: (b,) int64.
        rates: (F,) how often each feature is hidden.
        alone: how often all but one are.
    """
    dtype = fastest_dtype(batch.device)
    optimizer.zero_grad(set_to_none=True)  # first, for the loss makes the new gradients
    present = hide_features(examples.present[batch], rates=rates, alone=alone)
    vectors, labels = examples.vectors.index_select(0, batch), examples.labels[batch]
    with torch.autocast(batch.device.type, dtype=dtype, enabled=dtype != torch.float32):
        loss = network.loss(vectors, present, labels=labels, label_smoothing=label_smoothing)
    torch.autograd.backward(loss)
    optimizer.step()
    return loss.detach()


@torch.inference_mode()
def _validate(network: Network, examples: Examples | WindowedExamples, *, places: Indices) -> tuple[float, float]:
    """Top-1 and mean loss on the products at these places; zeros where there are none."""
    num_right, loss = 0.0, 0.0
    for some, batch in examples.in_order(places, batch_size=ROWS_AT_A_TIME):
        logits, labels = network(some.vectors[batch], some.present[batch]), some.labels[batch]
        num_right += float((logits.argmax(1) == labels).sum())
        loss += float(nn.functional.cross_entropy(logits, labels, reduction="sum"))
    return num_right / max(1, len(places)), loss / max(1, len(places))


def _copy_weights(network: nn.Module, *, into: dict[str, Tensor]) -> None:
    """In place, for heads of many classes are large."""
    for name, value in network.state_dict().items():
        into[name].copy_(value)
