"""The network of a head: the vectors of a product, aggregated, to one logit per class."""

from collections.abc import Iterator, Sequence

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from prodemb.core.config import Config
from prodemb.core.features import Feature
from prodemb.heads.aggregate import Aggregate, AggregateConfig
from prodemb.heads.loss import last_layer_loss

MAX_LAYERS = 64
MAX_WIDTH = 65_536
"""Most hidden layers of a head, and most numbers in one."""

_LOGITS_AT_A_TIME = 1 << 24
"""How many logits are held at once in prediction; bounds memory whatever the number of classes."""

AT_A_TIME = 4096
"""Most products that are predicted at once."""
AT_A_TIME_ON_CPU = 1024
"""Of more, every layer's result is so large that the allocator takes new pages from the system each time."""


class HeadConfig(Config):
    """`[head]`: the layers between a product's aggregate and its classes."""

    hidden_layer_sizes: tuple[int, ...] = (512,)
    """Widths of the hidden layers, first to last."""
    normalise_logits: bool = False
    """LayerNorm on the logits too."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of hidden values dropped in training."""

    @model_validator(mode="after")
    def _layers_are_bounded(self) -> "HeadConfig":
        widths = self.hidden_layer_sizes
        if len(widths) > MAX_LAYERS or not all(1 <= width <= MAX_WIDTH for width in widths):
            shown = f"{list(widths[:8])}" if len(widths) <= 8 else f"{list(widths[:8])} and {len(widths) - 8} more"
            raise ValueError(
                f"found hidden_layer_sizes = {shown}, wanted at most {MAX_LAYERS} widths from 1 to {MAX_WIDTH:,}"
            )
        return self


class Head(nn.Module):
    """Fully connected layers, LayerNorm and tanh after each hidden one; returns logits, not probabilities."""

    def __init__(self, *, in_dim: int, num_classes: int, config: HeadConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = in_dim
        for hidden in config.hidden_layer_sizes:
            layers += [nn.Linear(width, hidden), nn.LayerNorm(hidden), nn.Tanh(), nn.Dropout(config.dropout)]
            width = hidden
        layers.append(nn.Linear(width, num_classes))
        if config.normalise_logits:
            layers.append(nn.LayerNorm(num_classes))
        self.layers = nn.Sequential(*layers)

    def forward(self, aggregates: Tensor) -> Tensor:
        """(n, in_dim) float to logits (n, num_classes)."""
        logits: Tensor = self.layers(aggregates)
        return logits

    def loss(self, aggregates: Tensor, *, labels: Tensor, label_smoothing: float) -> Tensor:
        """The mean cross-entropy of the logits, which are never all in memory.

        Args:
            aggregates: (n, in_dim) float.
            labels: (n,) int64.
            label_smoothing: the share of the target that is spread over all classes.
        """
        norm = self.layers[-1] if isinstance(self.layers[-1], nn.LayerNorm) else None
        linear = self.layers[-1 if norm is None else -2]
        assert isinstance(linear, nn.Linear)
        hidden = self.layers[: -1 if norm is None else -2](aggregates)
        return last_layer_loss(hidden, linear=linear, norm=norm, labels=labels, label_smoothing=label_smoothing)


class Network(nn.Module):
    """Aggregate and head as one module: the vectors (n, D) and presence (n, F) of n products to (n, num_classes)."""

    def __init__(
        self,
        features: Sequence[Feature],
        *,
        dims: Sequence[int],
        num_classes: int,
        aggregate: AggregateConfig,
        head: HeadConfig,
    ) -> None:
        """Random weights; the aggregate is not fitted yet.

        Args:
            features: the F features, in the fixed order.
            dims: how many numbers a vector of each has; they add up to D.

        Raises:
            ConfigError: vectors of several lengths cannot be averaged.
        """
        super().__init__()
        self.features = tuple(features)
        self.num_classes = num_classes
        self.aggregate = Aggregate(features, dims=dims, config=aggregate)
        self.head = Head(in_dim=self.aggregate.out_dim, num_classes=num_classes, config=head)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.aggregate.mean.device

    def forward(self, vectors: Tensor, present: Tensor) -> Tensor:
        """(n, D) and (n, F) to logits (n, num_classes) float32."""
        logits: Tensor = self.head(self.aggregate(vectors, present))
        return logits.float()

    def loss(self, vectors: Tensor, present: Tensor, *, labels: Tensor, label_smoothing: float) -> Tensor:
        """The mean cross-entropy of n products with labels (n,)."""
        return self.head.loss(self.aggregate(vectors, present), labels=labels, label_smoothing=label_smoothing)

    def batches(self, num_products: int) -> Iterator[slice]:
        """Rows to predict at a time, so that their logits take bounded memory; at least one slice, maybe empty."""
        most = AT_A_TIME_ON_CPU if self.device.type == "cpu" else AT_A_TIME
        size = max(1, min(most, _LOGITS_AT_A_TIME // self.num_classes))
        for start in range(0, max(1, num_products), size):
            yield slice(start, min(start + size, num_products))

    @torch.inference_mode()
    def predict_log_proba(self, vectors: Tensor, *, present: Tensor) -> Tensor:
        """The log probability of every class, (n, num_classes) float32, on the network's device.

        Args:
            vectors: (n, D) float16, of no more products than `batches` gives at a time.
            present: (n, F) bool.
        """
        return self._logits(vectors, present=present).log_softmax(1)

    @torch.inference_mode()
    def topk(self, vectors: Tensor, *, present: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The k most probable classes, best first, as `torch.topk` returns them.

        Args:
            vectors: (n, D) float16, the features' vectors side by side, on any device.
            present: (n, F) bool.
            k: how many classes; all of them where there are fewer.

        Returns:
            Probabilities (n, k) float32 and class indices (n, k) int64, on the CPU.
        """
        shape = (len(vectors), min(k, self.num_classes))
        # Made first: small tensors that are kept between large ones that are freed fragment the heap.
        probabilities, classes = torch.empty(shape), torch.empty(shape, dtype=torch.int64)
        for rows in self.batches(len(vectors)):
            logits = self._logits(vectors[rows], present=present[rows])
            best, classes[rows] = logits.topk(shape[1], dim=1)
            probabilities[rows] = (best - logits.logsumexp(1, keepdim=True)).exp()
        return probabilities, classes

    def _logits(self, vectors: Tensor, *, present: Tensor) -> Tensor:
        some, there = (part.to(self.device, non_blocking=True) for part in (vectors, present))
        logits: Tensor = self(some, there)
        return logits
