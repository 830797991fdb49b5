"""Out-of-fold answers of labelled products, and the file in a head's folder that keeps them."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from prodemb.core.arrays import Indices, sample_rows
from prodemb.core.bounded import opened_parquet
from prodemb.core.errors import HeadError
from prodemb.core.files import replacing, sha256_of

ANSWERS_NAME = "answers.parquet"
MAX_ANSWERS = 100_000
"""Answers that the file keeps at most; enough for a promise of a precision of 0.999."""
_MAX_LEVELS = 32


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What models that had not learned from them answered for n labelled products."""

    probabilities: npt.NDArray[np.float32]
    """(n, L) of the nodes on the way from the top to the answered node, falling from left to right, 0 where there is
    none; for brands L is 1."""
    correct: npt.NDArray[np.bool_]
    """(n, L) whether the node at that level is the truth or above it."""
    groups: npt.NDArray[np.uint64]
    """(n,) the product that each is a variant of; variants tend to be right or wrong together."""

    def __len__(self) -> int:
        return len(self.groups)

    def take(self, rows: Indices) -> "Answers":
        """Some of the answers.

        Args:
            rows: (m,) indices.
        """
        return Answers(probabilities=self.probabilities[rows], correct=self.correct[rows], groups=self.groups[rows])

    def above(self, least: float) -> "Answers":
        """The same with no answer where the probability is below `least`."""
        return replace(self, probabilities=np.where(self.probabilities < np.float32(least), 0, self.probabilities))

    def one_per_group(self) -> "Answers":
        """One answer of each group, whatever order they stand in: its hash picks, so the truth has no say in it."""
        # The truth comes last in the order, where it can tell only answers of the same probabilities apart.
        order = np.lexsort((*self.correct.T, *self.probabilities.T, self.groups))
        groups, first, counts = np.unique(self.groups[order], return_index=True, return_counts=True)
        picks = first + (_mixed(groups) % counts.astype(np.uint64)).astype(np.int64)
        return self.take(order[picks])


def write_answers(folder: Path, answers: Answers, *, seed: int = 0) -> str:
    """Write `answers.parquet` into a head's folder; return its SHA-256, for the head's card.

    Args:
        seed: what the random choice of `MAX_ANSWERS` starts from where there are more.
    """
    kept = answers.take(sample_rows(len(answers), at_most=MAX_ANSWERS, seed=seed))
    levels = kept.probabilities.shape[1]
    falling = np.minimum.accumulate(kept.probabilities.clip(0, 1), axis=1)  # sums can be a rounding error off
    columns = [
        pa.FixedSizeListArray.from_arrays(pa.array(falling.ravel(), pa.float32()), levels),
        pa.FixedSizeListArray.from_arrays(pa.array(kept.correct.ravel(), pa.bool_()), levels),
        pa.array(kept.groups, pa.uint64()),
    ]
    with replacing(folder / ANSWERS_NAME) as temporary:
        pq.write_table(pa.table(columns, schema=_schema(levels)), temporary, compression="zstd")
        return sha256_of(temporary)


def read_answers(folder: Path, sha256: str) -> Answers:
    """Read the answers that were saved with a head.

    Args:
        sha256: what the head's card says of the file.

    Raises:
        HeadError: the file is missing, damaged, or belongs to another head.
    """
    path = folder / ANSWERS_NAME
    try:
        found = sha256_of(path)
    except OSError as error:
        raise HeadError(f"{path}: not readable ({error.strerror}), though the head needs it; train again") from None
    if found != sha256:
        raise HeadError(
            f"{path}: found SHA-256 {found[:12]}..., wanted {sha256[:12] or 'none'}... as the head's card says: "
            "altered, or its training was cut short; train again"
        )
    try:
        with opened_parquet(path) as file:
            answers = _checked(file)
    except (OSError, ValueError) as error:  # pa.ArrowInvalid is a ValueError
        reason = f"{error}".splitlines()[0]
        raise HeadError(f"{path}: damaged: {reason}; train again") from None
    return answers


def _schema(levels: int) -> pa.Schema:
    return pa.schema(
        [
            pa.field("probabilities", pa.list_(pa.field("element", pa.float32()), levels), nullable=False),
            pa.field("correct", pa.list_(pa.field("element", pa.bool_()), levels), nullable=False),
            pa.field("group", pa.uint64(), nullable=False),
        ]
    )


def _checked(file: pq.ParquetFile) -> Answers:
    """The answers of an open file. Raises ValueError where it does not hold any that `write_answers` could write."""
    schema, num_rows = file.schema_arrow, file.metadata.num_rows
    kind = schema.field("probabilities").type if "probabilities" in schema.names else None
    levels = kind.list_size if isinstance(kind, pa.FixedSizeListType) else 0
    if not 1 <= levels <= _MAX_LEVELS or [(f.name, f.type) for f in schema] != [
        (f.name, f.type) for f in _schema(levels)
    ]:
        raise ValueError(f"found the columns {', '.join(map(str, schema))}, wanted {', '.join(map(str, _schema(1)))}")
    if num_rows > MAX_ANSWERS:
        raise ValueError(f"found {num_rows:,} rows, wanted {MAX_ANSWERS:,} at most")
    table = file.read()
    lists = [table[name].combine_chunks() for name in ("probabilities", "correct")]
    if any(column.null_count for column in [*lists, *(each.flatten() for each in lists), table["group"]]):
        raise ValueError("found nulls, wanted none")
    probabilities, correct = (each.flatten().to_numpy(zero_copy_only=False).reshape(-1, levels) for each in lists)
    # Comparisons with NaN are false, so this finds NaN too.
    if not ((probabilities >= 0) & (probabilities <= 1)).all() or not (np.diff(probabilities, axis=1) <= 0).all():
        raise ValueError("found probabilities that are none or rise along a row, wanted 0 to 1, falling")
    return Answers(probabilities=probabilities, correct=correct, groups=table["group"].to_numpy())


def _mixed(groups: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Group numbers well mixed, (n,) uint64; the split takes the same numbers modulo 100.

    Source: the finaliser of SplitMix64 (Steele et al., Fast splittable pseudorandom number generators, OOPSLA 2014).
    """
    mixed = (groups ^ (groups >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
