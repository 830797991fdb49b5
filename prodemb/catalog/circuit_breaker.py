"""Picture servers that do not answer are left alone for a while, so that one of them cannot hold up a whole run."""

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


@dataclass
class _Trouble:
    """A host that has failed."""

    num_failures: int = 0
    """Pictures in a row."""
    rests_until: float = 0.0
    """In seconds of `time.monotonic`."""


class Hosts:
    """Counts failures by host; one object serves many threads (a circuit breaker; Nygard, Release It!, 2007)."""

    def __init__(self, *, max_failures: int, rest_s: float) -> None:
        """A host that fails `max_failures` pictures in a row rests for `rest_s` seconds."""
        self._max_failures, self._rest_s = max_failures, rest_s
        self._troubles: dict[str, _Trouble] = {}
        self._lock = threading.Lock()

    def may_ask(self, host: str) -> bool:
        """Whether to ask a host. After its rest one picture tries it; the others wait for what becomes of that."""
        with self._lock:
            trouble = self._troubles.get(host)
            if trouble is None or trouble.num_failures < self._max_failures:
                return True
            now = time.monotonic()
            if now < trouble.rests_until:
                return False
            trouble.rests_until = now + self._rest_s
            return True

    def answered(self, host: str) -> None:
        """A host has given a picture, or has said for good that it has none."""
        with self._lock:
            self._troubles.pop(host, None)

    def failed(self, host: str) -> None:
        """A host has not given a picture, however often it was asked."""
        with self._lock:
            trouble = self._troubles.setdefault(host, _Trouble())
            trouble.num_failures += 1
            if trouble.num_failures >= self._max_failures:
                trouble.rests_until = time.monotonic() + self._rest_s


def retry_after_s(value: str) -> float:
    """Seconds that a Retry-After header (RFC 9110, 10.2.3) asks to wait; 0 where it cannot be read."""
    if value.isascii() and value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value).astimezone(UTC) - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError):
        return 0.0
