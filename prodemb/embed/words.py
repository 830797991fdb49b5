"""Lexical vectors in threads of their own, beside the towers."""

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from prodemb.shards.lexical import LexicalKind, lexical_vectors

_TEXTS_AT_A_TIME = 64
"""Products whose words are hashed together: their letters and hashes stay in the processor's cache."""


class LexicalPool:
    """Makes the lexical vectors of products; `with` ends its threads."""

    seconds: float
    """Spent in all threads so far."""

    def __init__(self, kind: LexicalKind | None, *, num_threads: int) -> None:
        """Make vectors of this kind; None where none will be asked for."""
        self.dim = kind.dim if kind else 0
        self.seconds = 0.0
        self._threads = ThreadPoolExecutor(num_threads, thread_name_prefix="words")

    def __enter__(self) -> "LexicalPool":
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)

    def texts(self, texts: Sequence[tuple[str | None, ...]]) -> "Future[npt.NDArray[np.float16]]":
        """Start on n products, each with one text or None a field; the result is (n, dim)."""
        return self._threads.submit(self._vectors, texts)

    def _vectors(self, texts: Sequence[tuple[str | None, ...]]) -> npt.NDArray[np.float16]:
        begun = time.perf_counter()
        parts = [
            lexical_vectors(list(zip(*texts[start : start + _TEXTS_AT_A_TIME], strict=True)), dim=self.dim)
            for start in range(0, len(texts), _TEXTS_AT_A_TIME)
        ]
        self.seconds += time.perf_counter() - begun
        return np.concatenate(parts)
