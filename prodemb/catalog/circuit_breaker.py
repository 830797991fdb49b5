"""A circuit breaker by host: a server that keeps failing is not asked for a while, so that it cannot stall a run."""

import math
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
    silent_s: float = 0.0
    """For how long these pictures were waited for, of the time in which the host gave nothing."""
    open_until: float = 0.0
    """Until when it is not asked, in seconds of `time.monotonic`."""


class CircuitBreaker:
    """Counts failures by host; thread-safe (Nygard, Release It!, 2007)."""

    def __init__(self, *, max_failures: int, max_silent_s: float, reset_s: float) -> None:
        """
        Args:
            max_failures: failed pictures in a row after which a host is not asked for `reset_s` seconds.
            max_silent_s: or that they were waited for, all together.
        """
        self._max_failures, self._max_silent_s, self._reset_s = max_failures, max_silent_s, reset_s
        self._failures: dict[str, _Failures] = {}
        self._answered: dict[str, float] = {}
        """When each host last answered, in seconds of `time.monotonic`."""
        self._lock = threading.Lock()

    def allows(self, host: str) -> bool:
        """Whether to ask a host. After the reset time one picture tries it; the others wait for its outcome."""
        with self._lock:
            failures = self._failures.get(host)
            if failures is None or not self._is_open(failures):
                return True
            now = time.monotonic()
            if now < failures.open_until:
                return False
            failures.open_until = now + self._reset_s
            return True

    def answers(self, host: str) -> bool:
        """Whether a host has answered, and the last picture that it was asked for did not fail."""
        with self._lock:
            return host in self._answered and host not in self._failures

    def record_success(self, host: str) -> None:
        """A host has given a picture, or a final answer that it has none."""
        with self._lock:
            self._answered[host] = time.monotonic()
            self._failures.pop(host, None)

    def record_failure(self, host: str, *, waited_s: float) -> None:
        """A host has not given a picture after all attempts, in which it was waited for so long."""
        with self._lock:
            now = time.monotonic()
            failures = self._failures.setdefault(host, _Failures())
            failures.count += 1
            failures.silent_s += min(waited_s, now - self._answered.get(host, -math.inf))
            if self._is_open(failures):
                failures.open_until = now + self._reset_s

    def _is_open(self, failures: _Failures) -> bool:
        return failures.count >= self._max_failures or failures.silent_s >= self._max_silent_s


def retry_after_s(value: str) -> float:
    """Seconds that a Retry-After header (RFC 9110, 10.2.3) asks to wait; 0 where it cannot be read."""
    if value.isascii() and value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value).astimezone(UTC) - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError):
        return 0.0
