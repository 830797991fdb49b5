"""The lexical vector: hashed words and letters of a product's title and description, projected to a few numbers.

It holds words that a CLIP text tower was never trained on, needs no GPU, and is the same on every machine.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field

from prodemb.core.config import Config

Hashes = npt.NDArray[np.uint64]

_BLANK = np.uint32(ord(" "))
_LETTERS = (3, 4, 5)
"""Lengths of the runs of letters that are counted, inside words and with their ends."""
_LONGEST = 2000
"""Characters of a text that are read."""
_HASHES = 4
"""Numbers of a vector that one word or run of letters changes, each by 1 or -1."""
_PRIME = np.uint64(0x100000001B3)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class LexicalKind(Config):
    """What makes one lexical vector comparable with another."""

    version: int = 1
    dim: int = Field(default=1024, ge=64, le=8192)
    """Numbers in a vector; a power of two from 64 to 8,192."""


def lexical_vectors(texts: Sequence[Sequence[str | None]], *, dim: int) -> npt.NDArray[np.float16]:
    """A vector for each of n products, (n, dim) float16, of length 1 or 0.

    Of each text, words and pairs of words make one vector and runs of 3 to 5 letters another; each of them has the
    same weight. An n-gram adds 1 or -1 to four numbers that its hash gives, which is a sparse random projection of its
    counts (Li et al., Very sparse random projections, KDD 2006). There is no inverse document frequency, so a vector
    depends on its product alone.

    Args:
        texts: one sequence of n strings per field, such as title and description; None where there is none.
    """
    total = np.zeros((len(texts[0]), dim), dtype=np.float32)
    for field in texts:
        there = np.flatnonzero([bool(text) for text in field])
        if len(there):
            codes, owners = _codes([field[row] for row in there.tolist()])
            total[there] += _normalised(_sketch(*_letters(codes, owners), num=len(there), dim=dim))
            total[there] += _normalised(_sketch(*_words(codes, owners), num=len(there), dim=dim))
    return _normalised(total).astype("<f2")


def _codes(texts: Sequence[str | None]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """The folded characters of all texts, a blank before and behind each word and text, and whose they are."""
    column = pl.Series(texts, dtype=pl.String).fill_null("").str.slice(0, _LONGEST)
    folded = column.str.normalize("NFKC").str.to_lowercase().str.replace_all(r"[^\p{L}\p{M}\p{N}]+", " ")
    padded = " " + folded.str.strip_chars(" ") + " "
    codes = np.frombuffer("".join(padded).encode("utf-32-le"), dtype="<u4")
    return codes, np.repeat(np.arange(len(padded)), padded.str.len_chars().to_numpy())


def _letters(codes: npt.NDArray[np.uint32], owners: npt.NDArray[np.int64]) -> tuple[Hashes, npt.NDArray[np.int64]]:
    """The hash of each run of letters that has no blank inside, and whose it is."""
    blanks = np.concatenate([[0], np.cumsum(codes == _BLANK)])
    hashes, whose = [], []
    rolling = codes.astype(np.uint64)
    for length in range(2, _LETTERS[-1] + 1):
        rolling = rolling[:-1] * _PRIME + codes[length - 1 :]
        if length in _LETTERS:
            inside = np.flatnonzero(blanks[length - 1 : length - 1 + len(rolling)] == blanks[1 : 1 + len(rolling)])
            hashes.append(rolling[inside] + np.uint64(length))
            whose.append(owners[inside])
    return np.concatenate(hashes), np.concatenate(whose)


def _words(codes: npt.NDArray[np.uint32], owners: npt.NDArray[np.int64]) -> tuple[Hashes, npt.NDArray[np.int64]]:
    """The hash of each word and of each two neighbours, and whose they are."""
    solid = codes != _BLANK
    starts = np.flatnonzero(solid & ~np.concatenate([[False], solid[:-1]]))
    if not len(starts):
        return np.zeros(0, np.uint64), np.zeros(0, np.int64)
    begins = np.zeros(len(codes), dtype=np.int64)
    begins[starts] = starts
    offsets = np.arange(len(codes)) - np.maximum.accumulate(begins)
    spelled = np.where(solid, _mixed(codes.astype(np.uint64) + offsets.astype(np.uint64) * _GOLDEN), np.uint64(0))
    words, whose = np.add.reduceat(spelled, starts), owners[starts]
    neighbours = np.flatnonzero(whose[:-1] == whose[1:])
    pairs = words[neighbours] * _PRIME + words[neighbours + 1]
    return np.concatenate([words, pairs]), np.concatenate([whose, whose[neighbours]])


def _sketch(hashes: Hashes, owners: npt.NDArray[np.int64], *, num: int, dim: int) -> npt.NDArray[np.float32]:
    """Signed counts of the hashes of each of `num` products, (num, dim)."""
    bits = dim.bit_length() - 1
    shifts = np.arange(_HASHES, dtype=np.uint64)[:, None] * np.uint64(bits + 1)
    parts = _mixed(hashes) >> shifts
    signs = 1.0 - 2.0 * ((parts >> np.uint64(bits)) & np.uint64(1))
    positions = (parts & np.uint64(dim - 1)).astype(np.int64) + owners * dim
    counts = np.bincount(positions.ravel(), weights=signs.ravel(), minlength=num * dim)
    return counts.reshape(num, dim).astype(np.float32)


def _mixed(hashes: Hashes) -> Hashes:
    """Numbers whose bits all depend on all bits of the hashes (splitmix64)."""
    mixed = hashes + _GOLDEN
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIX[0]
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX[1]
    return mixed ^ (mixed >> np.uint64(31))


def _normalised(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Rows of length 1, or of zeros."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-9), dtype=np.float32)
