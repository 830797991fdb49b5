"""The head: a small network from a product's aggregate to its category or brand, and the folder it is kept in."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, ValidationError, model_validator
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from prodemb import __version__
from prodemb.core.config import Config
from prodemb.core.errors import HeadError
from prodemb.core.features import Feature
from prodemb.core.files import read_json, replacing, write_json
from prodemb.heads.aggregate import Aggregate, AggregateConfig
from prodemb.heads.labels import BrandLabel, CategoryLabel, Target
from prodemb.heads.loss import last_layer_loss
from prodemb.heads.metrics import BackOff, ByTau, Condition, Metrics
from prodemb.shards.lexical import LexicalKind

SCHEMA_VERSION = 1
WEIGHTS_NAME = "head.safetensors"
CARD_NAME = "head.json"

_LOGITS_AT_A_TIME = 1 << 24
"""How many logits are held at once in scoring; bounds memory whatever the number of classes."""


class HeadConfig(Config):
    """`[head]`: the layers between a product's aggregate and its classes."""

    hidden: tuple[int, ...] = (512,)
    """Widths of the hidden layers, first to last."""
    normalise_logits: bool = False
    """LayerNorm on the logits too."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of hidden values dropped in training."""

    @model_validator(mode="after")
    def _widths_are_positive(self) -> "HeadConfig":
        if any(width < 1 for width in self.hidden):
            raise ValueError(f"found hidden = {list(self.hidden)}, wanted widths of 1 or more")
        return self


class Head(nn.Module):
    """Fully connected layers, LayerNorm and tanh after each hidden one; the softmax stands outside."""

    def __init__(self, *, in_dim: int, num_classes: int, config: HeadConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = in_dim
        for hidden in config.hidden:
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
        """The mean cross-entropy of the logits, which never exist whole.

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


class Baseline(Config):
    """One simple method on the same split and the same products as the head."""

    name: str
    metrics: Metrics | None
    """None where the method was left out."""
    seconds: float
    note: str | None = None
    """Why it was left out, or what was made smaller for it."""


class HeadCard(Config):
    """`head.json`: everything about a head but its weights, for people and for scoring."""

    schema_version: int = SCHEMA_VERSION
    prodemb_version: str = __version__
    target: Target
    fingerprint: str
    """The model whose vectors it was trained on."""
    model: str
    """That model's name, for people."""
    features: tuple[Feature, ...]
    """The features it reads, in order."""
    dims: tuple[int, ...]
    """Numbers in a vector of each."""
    lexical: LexicalKind | None = None
    """What makes the lexical vectors that it reads; None where it reads none."""
    aggregate: AggregateConfig
    head: HeadConfig
    num_train: int
    """Products it learned from."""
    num_validation: int
    """Products that decided when to stop."""
    coverage: float | None
    """Share of labelled test products whose class is one of `labels`; the metrics are over these."""
    gold: bool = True
    """Whether the metrics are against gold labels; else against supplied brands, which the brand feature gives away."""
    metrics: Metrics | None = None
    """On the test part; None where that holds no product with a known class."""
    baselines: tuple[Baseline, ...] = ()
    """Simple methods on the same products."""
    conditions: tuple[Condition, ...] = ()
    """Everything side by side on all test products whose truth is known, of these classes or not."""
    nodes: Metrics | None = None
    """For categories: the figures on all of those against the nodes that they are labelled with, rolled up or not."""
    by_tau: tuple[ByTau, ...] = ()
    """For categories: the same with some strengths of logit adjustment."""
    back_off: tuple[BackOff, ...] = ()
    """For categories: back-off on the validation part, by threshold, from which scoring chooses."""
    back_off_test: tuple[BackOff, ...] = ()
    """And at the same thresholds on the test part."""
    tau: float = 0.0
    """For categories: the strength of logit adjustment that `back_off` was measured with."""
    fused: Metrics | None = None
    """For brands: the figures of the fused answer on all of those."""
    fused_known: Metrics | None = None
    """And on those of a class that the head has, as `metrics` is."""
    epochs: int = 0
    """Passes over the training part until it stopped."""
    seconds: float = 0
    """How long the training took, without the baselines."""
    inputs: str = ""
    """Hash of all it was made from, by which a later run sees that nothing has changed; empty where nobody gave one."""
    weights_sha256: str = ""
    """Of `head.safetensors`."""
    fuser_sha256: str = ""
    """For brands: of what is fused with the head's answers, `fuser.json` and the files that it names."""
    labels: tuple[CategoryLabel, ...] | tuple[BrandLabel, ...]
    """The classes, in the order of the logits."""
    ancestors: tuple[CategoryLabel, ...] = ()
    """For categories: the nodes above these that are no class themselves, which a doubtful product may be answered
    with."""
    examples: tuple[int, ...] = ()
    """For categories: the training products of each class, from which logit adjustment takes the priors."""


@dataclass(frozen=True, kw_only=True)
class TrainedHead:
    """A head ready to answer: its card, its aggregate and its network."""

    card: HeadCard
    aggregate: Aggregate
    head: Head

    @classmethod
    def untrained(cls, card: HeadCard) -> "TrainedHead":
        """The networks that a card describes, with weights not yet set."""
        aggregate = Aggregate(card.features, dims=card.dims, config=card.aggregate)
        head = Head(in_dim=aggregate.out_dim, num_classes=len(card.labels), config=card.head)
        return cls(card=card, aggregate=aggregate, head=head)

    def to(self, device: torch.device) -> "TrainedHead":
        """The same head with its weights on `device`, ready to answer."""
        self.aggregate.to(device).eval()
        self.head.to(device).eval()
        return self

    def with_card(self, **update: Any) -> "TrainedHead":
        """The same head with some entries of its card replaced."""
        assert update.keys() <= HeadCard.model_fields.keys(), update
        return replace(self, card=self.card.model_copy(update=update))

    @torch.inference_mode()
    def top(self, vectors: Tensor, *, present: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The k most probable classes, best first.

        Args:
            vectors: (n, D) float16, those of `card.features` side by side, on any device.
            present: (n, F) bool.
            k: how many; fewer come back where there are fewer classes.

        Returns:
            Probabilities (n, k) float32 and class indices (n, k) int64, on the CPU.
        """
        shape = (len(vectors), min(k, len(self.card.labels)))
        # Made first, for small tensors that are kept from between large ones that are freed split the heap.
        probabilities, classes = torch.empty(shape), torch.empty(shape, dtype=torch.int64)
        for rows in self.batches(len(vectors)):
            logits = self._logits(vectors[rows], present=present[rows])
            best, classes[rows] = logits.topk(shape[1], dim=1)
            probabilities[rows] = (best - logits.logsumexp(1, keepdim=True)).exp()
        return probabilities, classes

    def answer(self, vectors: npt.NDArray[np.float16], *, present: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """The most probable class of each product, (n,), -1 for those without a vector; see `top`."""
        _, classes = self.top(torch.from_numpy(vectors), present=torch.from_numpy(present), k=1)
        return np.where(present.any(axis=1), classes[:, 0].numpy(), -1)

    @torch.inference_mode()
    def log_probabilities(self, vectors: Tensor, *, present: Tensor) -> Tensor:
        """The log probability of every class, (n, num_classes) float32, on the head's device.

        Args:
            vectors: (n, D) float16, no more of them than `batches` gives at a time.
            present: (n, F) bool.
        """
        return self._logits(vectors, present=present).log_softmax(1)

    def batches(self, num_products: int) -> Iterator[slice]:
        """Rows to answer at a time, so that their logits take bounded memory; at least one, which may be empty."""
        size = max(1, min(4096, _LOGITS_AT_A_TIME // len(self.card.labels)))
        for start in range(0, max(1, num_products), size):
            yield slice(start, min(start + size, num_products))

    def _logits(self, vectors: Tensor, *, present: Tensor) -> Tensor:
        device = self.aggregate.mean.device
        some, there = (part.to(device, non_blocking=True) for part in (vectors, present))
        logits: Tensor = self.head(self.aggregate(some, there))
        return logits.float()


def save_head(folder: Path, head: TrainedHead) -> TrainedHead:
    """Write the head's folder, weights first; return the head as `load_head` will give it.

    A run killed in between leaves a card that names other weights, which `load_head` refuses.
    """
    tensors = {
        f"{part}.{name}": value.contiguous().cpu()
        for part, module in (("aggregate", head.aggregate), ("head", head.head))
        for name, value in module.state_dict().items()
    }
    content: bytes = save_tensors(tensors)
    with replacing(folder / WEIGHTS_NAME) as temporary:
        temporary.write_bytes(content)
    card = head.card.model_copy(update={"weights_sha256": hashlib.sha256(content).hexdigest()})
    write_json(folder / CARD_NAME, card.model_dump(mode="json"))
    return replace(head, card=card)


def load_head(folder: Path) -> TrainedHead:
    """Read a head's folder; neither taxonomy nor catalog nor checkpoint is needed.

    Raises:
        HeadError: the folder is none, is damaged, or its files do not belong together.
    """
    card = _read_card(folder)
    path = folder / WEIGHTS_NAME
    try:
        content = path.read_bytes()
    except OSError as error:
        raise HeadError(
            f"{path}: not readable ({error.strerror}), though {CARD_NAME} stands here; train again"
        ) from None
    found = hashlib.sha256(content).hexdigest()
    if found != card.weights_sha256:
        raise HeadError(
            f"{path}: found SHA-256 {found[:12]}..., wanted {card.weights_sha256[:12]}... as {CARD_NAME} says: "
            "altered, or its training was cut short; train again"
        )
    head = TrainedHead.untrained(card)
    try:
        tensors: dict[str, Tensor] = load_tensors(content)
        for part, module in (("aggregate", head.aggregate), ("head", head.head)):
            own = {
                name.removeprefix(f"{part}."): value for name, value in tensors.items() if name.startswith(f"{part}.")
            }
            module.load_state_dict(own)
    except (SafetensorError, RuntimeError) as error:
        raise HeadError(f"{path}: does not fit {CARD_NAME} ({_first_line(error)}); train again") from None
    return head.to(torch.device("cpu"))


def _read_card(folder: Path) -> HeadCard:
    path = folder / CARD_NAME
    try:
        values: Any = read_json(path)
        version = values["schema_version"]
        if version != SCHEMA_VERSION:
            raise HeadError(f"{path}: found schema_version {version!r}, wanted {SCHEMA_VERSION}; train again")
        return HeadCard.model_validate(values)
    except OSError:
        raise HeadError(
            f"{folder}: no {CARD_NAME} here, so this is no head; run `prodemb train-brand` or `prodemb train-category`"
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise HeadError(f"{path}: damaged: {where}: {first['msg']}; train again") from None
    except (ValueError, KeyError, TypeError) as error:
        raise HeadError(f"{path}: damaged: {_first_line(error)}; train again") from None


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
