"""The files beside a head that hold what its answers are fused from: `fuser.json`, and those whose hashes it names."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
from pydantic import Field
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from prodemb.confidence.conditional_logit import ConditionalLogit
from prodemb.core.bounded import MAX_TENSOR_HEADER_BYTES, read_bytes, read_json, read_table
from prodemb.core.config import Config
from prodemb.core.errors import ConfigError, HeadError
from prodemb.core.files import replacing, sha256_of, write_json
from prodemb.core.text import one_line
from prodemb.heads.head import HeadCard

FUSER_NAME = "fuser.json"
_MAX_ARRAY_BYTES = 4 << 30

Weight = Annotated[float, Field(ge=-1e6, le=1e6)]
Arrays = Mapping[str, npt.NDArray[Any]]
"""By name."""


class FuserCard(Config):
    """`fuser.json`."""

    weights: dict[str, tuple[Weight, ...]]
    """By feature of a candidate: its weight, then what each context adds."""
    least_known: tuple[Annotated[float, Field(ge=0, le=1)], ...] = ()
    """For categories: see `CategoryPredictor`."""
    files: dict[str, str]
    """SHA-256 of each file that belongs to it, by name."""

    @property
    def model(self) -> ConditionalLogit:
        """The model of these weights."""
        return ConditionalLogit(weights=np.array([*self.weights.values()]).T)


def write_fuser_card(
    folder: Path,
    *,
    model: ConditionalLogit,
    features: Sequence[str],
    files: Sequence[str],
    least_known: Sequence[float],
) -> str:
    """Write `fuser.json` once the files that it names are there; return its hash, for the head's card.

    Args:
        features: the names of the features of a candidate.
        files: the names of the files.
        least_known: empty where the target has none.
    """
    weights = {name: tuple(column) for name, column in zip(features, model.weights.T.tolist(), strict=True)}
    card = FuserCard(
        weights=weights, least_known=tuple(least_known), files={name: sha256_of(folder / name) for name in files}
    )
    write_json(folder / FUSER_NAME, card.model_dump(mode="json"))
    return _hash_of(card)


def read_fuser_card(
    folder: Path, *, head: HeadCard, features: Sequence[str], num_contexts: int, files: Sequence[str]
) -> FuserCard:
    """Read `fuser.json`, and check that its files are those that it was written with.

    Args:
        head: the card of the head that it belongs to.
        features: the names of the features of a candidate.
        num_contexts: how many contexts they have weights in.
        files: the names of the files.

    Raises:
        HeadError: a file is missing, damaged, or belongs to another head or version.
    """
    path = folder / FUSER_NAME
    try:
        card = FuserCard.parse(read_json(path), source=str(path))
    except OSError:
        raise HeadError(f"{path}: missing, though the head beside it needs it; train again") from None
    except ConfigError as error:
        raise HeadError(f"{one_line(error)}; train again") from None
    except ValueError as error:
        raise HeadError(f"{path}: damaged: {one_line(error)}; train again") from None
    wanted = {FUSER_NAME: head.fuser_sha256} | {name: card.files.get(name, "") for name in files}
    found = {FUSER_NAME: _hash_of(card)} | {name: _sha256(folder / name) for name in files}
    for name, is_hash in found.items():
        if not is_hash or is_hash != wanted[name]:
            raise HeadError(
                f"{folder / name}: found {is_hash[:12] or 'nothing'}, wanted {wanted[name][:12] or 'none'}: altered, "
                "or its training was cut short; train again"
            )
    sizes = {len(own) for own in card.weights.values()}
    if list(card.weights) != list(features) or sizes != {1 + num_contexts}:
        raise HeadError(f"{path}: was made by another version of prodemb; train again")
    return card


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Write arrays as safetensors."""
    content: bytes = save_arrays({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def read_arrays(path: Path, *, dims: Mapping[str, int]) -> dict[str, npt.NDArray[Any]]:
    """Read arrays of finite numbers.

    Args:
        dims: how many dimensions each must have, by name.

    Raises:
        HeadError: the file is damaged, or lacks one of them.
    """
    try:
        arrays: dict[str, npt.NDArray[Any]] = load_arrays(
            read_bytes(path, max_bytes=_MAX_ARRAY_BYTES + MAX_TENSOR_HEADER_BYTES)
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise HeadError(f"{path}: damaged: {one_line(error)}; train again") from None
    for name, dim in dims.items():
        if name not in arrays or arrays[name].ndim != dim or not np.isfinite(arrays[name]).all():
            raise HeadError(f"{path}: damaged: wanted {name!r} with finite numbers in {dim} dimensions; train again")
    return arrays


def check(condition: bool, path: Path, what: str) -> None:
    """Raise HeadError unless what was read from a file holds together."""
    if not condition:
        raise HeadError(f"{path}: damaged: {what}; train again")


def write_frame(path: Path, frame: pl.DataFrame) -> None:
    """Write a table as Parquet."""
    with replacing(path) as temporary:
        frame.write_parquet(temporary)


def read_frame(path: Path, *, schema: pa.Schema) -> pl.DataFrame:
    """Read a table; no number is negative, and only in nullable columns a value may be missing.

    Raises:
        HeadError: it is damaged.
    """
    try:
        frame = pl.DataFrame(pl.from_arrow(read_table(path, schema=schema)))
    except (OSError, ValueError) as error:
        raise HeadError(f"{path}: damaged: {one_line(error)}; train again") from None
    required = [field.name for field in schema if not field.nullable]
    num_missing = sum(frame[name].null_count() for name in required)
    num_negative = sum(int((column < 0).sum()) for column in frame.select(pl.selectors.integer()).get_columns())
    check(not num_missing and not num_negative, path, "a value is missing or a number negative")
    return frame


def _hash_of(card: FuserCard) -> str:
    return hashlib.sha256(card.model_dump_json().encode()).hexdigest()


def _sha256(path: Path) -> str:
    """The file's hash; empty where it cannot be read."""
    try:
        return sha256_of(path)
    except (OSError, ValueError):
        return ""
