"""A circuit breaker by host: a server that keeps failing is not asked for a while, so that it cannot stall a run."""

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


@dataclass
class _Failures:
    """Of a host that has failed."""

    count: int = 0
    """Pictures in a row."""
    open_until: float = 0.0
    """Until when it is not asked, in seconds of `time.monotonic`."""


class CircuitBreaker:
    """Counts failures by host; thread-safe (Nygard, Release It!, 2007)."""

    def __init__(self, *, max_failures: int, reset_s: float) -> None:
        """After `max_failures` failed pictures in a row a host is not asked for `reset_s` seconds."""
        self._max_failures, self._reset_s = max_failures, reset_s
        self._failures: dict[str, _Failures] = {}
        self._lock = threading.Lock()

    def allows(self, host: str) -> bool:
        """Whether to ask a host. After the reset time one picture tries it; the others wait for its outcome."""
        with self._lock:
            failures = self._failures.get(host)
            if failures is None or failures.count < self._max_failures:
                return True
            now = time.monotonic()
            if now < failures.open_until:
                return False
            failures.open_until = now + self._reset_s
            return True

    def record_success(self, host: str) -> None:
        """A host has given a picture, or a final answer that it has none."""
        with self._lock:
            self._failures.pop(host, None)

    def record_failure(self, host: str) -> None:
        """A host has not given a picture after all attempts."""
        with self._lock:
            failures = self._failures.setdefault(host, _Failures())
            failures.count += 1
            if failures.count >= self._max_failures:
                failures.open_until = time.monotonic() + self._reset_s


def retry_after_s(value: str) -> float:
    """Seconds that a Retry-After header (RFC 9110, 10.2.3) asks to wait; 0 where it cannot be read."""
    if value.isascii() and value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value).astimezone(UTC) - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError):
        return 0.0
