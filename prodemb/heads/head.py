"""A trained head: its card, its network, and the folder that both are kept in."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from prodemb import __version__
from prodemb.core.arrays import NO_ANSWER
from prodemb.core.bounded import MAX_TENSOR_HEADER_BYTES, read_bytes, read_json
from prodemb.core.config import Config
from prodemb.core.errors import HeadError
from prodemb.core.features import ALL_FEATURES, Feature
from prodemb.core.files import replacing, write_json
from prodemb.heads.aggregate import AggregateConfig
from prodemb.heads.evaluation import BrandEvaluation, CategoryEvaluation
from prodemb.heads.labels import BrandLabel, CategoryLabel, Target
from prodemb.heads.network import HeadConfig, Network
from prodemb.shards.lexical import LexicalKind
from prodemb.shards.text import MAX_DIM, TextKind

SCHEMA_VERSION = 3
WEIGHTS_NAME = "head.safetensors"
CARD_NAME = "head.json"


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
    text: TextKind | None = None
    """What makes the text vectors that it reads; None where it reads none."""
    aggregate: AggregateConfig
    head: HeadConfig
    num_train: int
    """Labelled products that it learned from: all with a class."""
    present_counts: tuple[int, ...] = ()
    """How many of these have each of `features`, to compare other products with. Empty where not known."""
    epochs: int = 0
    """Passes over these."""
    date: str = ""
    """The day on which it was trained, in UTC; empty where not known."""
    seconds: float = 0
    """How long training it took, without the heads of the folds and the evaluation."""
    gold: bool = True
    """Whether the figures on test products are against gold labels; else against supplied brands, which the brand
    feature gives away."""
    evaluation: CategoryEvaluation | BrandEvaluation | None = Field(default=None, discriminator="target")
    """Figures beside the baselines, of the same head trained without the test part; None before it is evaluated."""
    inputs_hash: str = ""
    """Of everything it was trained on (`prodemb.core.inputs`); empty where it is not known."""
    weights_sha256: str = ""
    """Of `head.safetensors`; empty before the head is saved."""
    fuser_sha256: str = ""
    """Of `fuser.json`, which names the checksums of the files beside it."""
    gold_answers: bool = True
    """Whether the out-of-fold answers were held against gold labels. Else they are of products whose label is the
    supplied brand, and say nothing of products without one."""
    answers_sha256: str = ""
    """Of `answers.parquet`, the out-of-fold answers that precision is promised by; empty where there are none."""
    classes: tuple[CategoryLabel, ...] | tuple[BrandLabel, ...]
    """In the order of the logits."""
    ancestors: tuple[CategoryLabel, ...] = ()
    """For categories: the nodes above the classes that are no class themselves, which back-off may answer with."""
    class_counts: tuple[int, ...] = ()
    """Products of each class that it learned from; empty where not known."""


@dataclass(frozen=True, kw_only=True)
class TrainedHead:
    """A head ready to predict."""

    card: HeadCard
    network: Network

    @classmethod
    def untrained(cls, card: HeadCard) -> "TrainedHead":
        """The head that a card describes, with random weights."""
        network = Network(
            card.features, dims=card.dims, num_classes=len(card.classes), aggregate=card.aggregate, head=card.head
        )
        return cls(card=card, network=network)

    def to(self, device: torch.device) -> "TrainedHead":
        """Move the weights to `device`, in place, and switch to inference."""
        self.network.to(device).eval()
        return self

    def with_evaluation(
        self, evaluation: CategoryEvaluation | BrandEvaluation, *, gold_answers: bool = True
    ) -> "TrainedHead":
        """The same head with these figures on its card, and whether its out-of-fold answers are against gold labels."""
        assert evaluation.target == self.card.target, (evaluation.target, self.card.target)
        updates = {"evaluation": evaluation, "gold_answers": gold_answers}
        return replace(self, card=self.card.model_copy(update=updates))

    def predict(self, vectors: npt.NDArray[np.float16], *, present: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """The most probable class of each product.

        Args:
            vectors: (n, D) float16, the vectors of `card.features` side by side.
            present: (n, F) bool.

        Returns:
            (n,) indices into `card.classes`; -1 for products without a vector.
        """
        _, classes = self.network.topk(torch.from_numpy(vectors), present=torch.from_numpy(present), k=1)
        return np.where(present.any(axis=1), classes[:, 0].numpy(), NO_ANSWER)


def save_head(
    folder: Path, head: TrainedHead, *, inputs_hash: str = "", fuser_sha256: str = "", answers_sha256: str = ""
) -> TrainedHead:
    """Write the head's folder, weights first; return the head as `load_head` would.

    A run killed in between leaves a card that names other weights, which `load_head` refuses.

    Args:
        inputs_hash: of everything that the head was trained on.
        fuser_sha256: of the fuser that was saved beside it.
        answers_sha256: of the out-of-fold answers that were saved beside it.
    """
    content: bytes = save_tensors({name: value.contiguous().cpu() for name, value in head.network.state_dict().items()})
    with replacing(folder / WEIGHTS_NAME) as temporary:
        temporary.write_bytes(content)
    hashes = {
        "inputs_hash": inputs_hash,
        "weights_sha256": hashlib.sha256(content).hexdigest(),
        "fuser_sha256": fuser_sha256,
        "answers_sha256": answers_sha256,
    }
    card = head.card.model_copy(update=hashes)
    write_json(folder / CARD_NAME, card.model_dump(mode="json"))
    return replace(head, card=card)


def is_head(folder: Path) -> bool:
    """Whether a folder holds a head, of this version or another."""
    try:
        values = read_json(folder / CARD_NAME)
    except (OSError, ValueError):
        return False
    return isinstance(values, dict) and {"schema_version", "target", "weights_sha256"} <= values.keys()


def load_head(folder: Path) -> TrainedHead:
    """Read a head's folder; neither taxonomy nor catalog nor checkpoint is needed.

    Raises:
        HeadError: there is no head, it is damaged or of another schema version, or its files do not belong together.
    """
    card = _read_card(folder)
    path = folder / WEIGHTS_NAME
    wanted = _num_bytes(card)
    try:
        content = read_bytes(path, max_bytes=wanted + MAX_TENSOR_HEADER_BYTES)
    except OSError as error:
        raise HeadError(f"{path}: not readable ({error.strerror}), though {CARD_NAME} is here; train again") from None
    except ValueError as error:
        raise HeadError(f"{path}: does not fit {CARD_NAME} ({error}); train again") from None
    found = hashlib.sha256(content).hexdigest()
    if found != card.weights_sha256:
        raise HeadError(
            f"{path}: found SHA-256 {found[:12]}..., wanted {card.weights_sha256[:12]}... as {CARD_NAME} says: "
            "altered, or its training was cut short; train again"
        )
    if len(content) < wanted:
        raise HeadError(
            f"{path}: does not fit {CARD_NAME} (found {len(content):,} bytes, wanted {wanted:,} or more); train again"
        )
    head = TrainedHead.untrained(card)
    try:
        tensors: dict[str, Tensor] = load_tensors(content)
        head.network.load_state_dict(tensors)
    except (SafetensorError, RuntimeError) as error:
        raise HeadError(f"{path}: does not fit {CARD_NAME} ({_first_line(error)}); train again") from None
    if not _answers(head.to(torch.device("cpu"))):
        raise HeadError(f"{path}: holds numbers that are not finite, or too large to compute with; train again")
    return head


def _num_bytes(card: HeadCard) -> int:
    """The bytes of the weights of the head that a card describes, found without making it."""
    with torch.device("meta"):
        network = TrainedHead.untrained(card).network
    return sum(tensor.nbytes for tensor in network.state_dict().values())


@torch.inference_mode()
def _answers(head: TrainedHead) -> bool:
    """Whether all weights are finite, and so is the answer for a product of zeros."""
    network, card = head.network, head.card
    zeros, present = torch.zeros(1, sum(card.dims)), torch.ones(1, len(card.dims), dtype=torch.bool)
    return all(bool(torch.isfinite(t).all()) for t in (*network.state_dict().values(), network(zeros, present)))


def _read_card(folder: Path) -> HeadCard:
    path = folder / CARD_NAME
    try:
        values: Any = read_json(path)
        version = values["schema_version"]
        if version != SCHEMA_VERSION:
            raise HeadError(f"{path}: found schema_version {version!r}, wanted {SCHEMA_VERSION}; train again")
        card = HeadCard.model_validate(values)
        _check_parts(card)
        return card
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


def _check_parts(card: HeadCard) -> None:
    """Raise ValueError where the parts of a card do not belong together, or are larger than any head's."""
    if not card.features or list(card.features) != sorted(set(card.features), key=ALL_FEATURES.index):
        raise ValueError(f"features: found {list(card.features)}, wanted one or more, each once and in order")
    if len(card.dims) != len(card.features) or not all(1 <= dim <= MAX_DIM for dim in card.dims):
        raise ValueError(f"dims: found {list(card.dims)[:9]}, wanted a number from 1 to {MAX_DIM:,} for each feature")
    for feature, kind in (("lexical", card.lexical), ("text", card.text)):
        if (feature in card.features) != (kind is not None):
            raise ValueError(f"{feature}: found the feature or its kind without the other")
    is_kind = CategoryLabel if card.target == "category" else BrandLabel
    if not card.classes or not all(isinstance(label, is_kind) for label in card.classes):
        raise ValueError(f"classes: wanted one or more, each of a {card.target}")
    if len(card.class_counts) not in (0, len(card.classes)) or any(count < 0 for count in card.class_counts):
        raise ValueError("class_counts: wanted a number for each class, or none")
    if len(card.present_counts) not in (0, len(card.features)) or any(count < 0 for count in card.present_counts):
        raise ValueError("present_counts: wanted a number for each feature, or none")


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
