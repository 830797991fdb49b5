"""Lexical vectors in threads of their own, beside the towers."""

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from prodemb.shards.lexical import LexicalKind, lexical_vectors

_CHUNK_SIZE = 64
"""Products whose words are hashed together: their characters and hashes stay in the processor's cache."""


class LexicalPool:
    """Makes the lexical vectors of products; `with` ends its threads."""

    seconds: float
    """In all threads so far."""

    def __init__(self, kind: LexicalKind | None, *, num_threads: int) -> None:
        """Make vectors of this kind; None where none are needed."""
        self.dim = kind.dim if kind else 0
        self.seconds = 0.0
        self._threads = ThreadPoolExecutor(num_threads, thread_name_prefix="words")

    def __enter__(self) -> "LexicalPool":
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)

    def texts(self, texts: Sequence[tuple[str | None, ...]]) -> "Future[npt.NDArray[np.float16]]":
        """Start on n products, each with one text or None per field; the result is (n, dim) float16."""
        return self._threads.submit(self._vectors, texts)

    def _vectors(self, texts: Sequence[tuple[str | None, ...]]) -> npt.NDArray[np.float16]:
        started = time.perf_counter()
        parts = [
            lexical_vectors(list(zip(*texts[start : start + _CHUNK_SIZE], strict=True)), dim=self.dim)
            for start in range(0, len(texts), _CHUNK_SIZE)
        ]
        self.seconds += time.perf_counter() - started
        return np.concatenate(parts)
