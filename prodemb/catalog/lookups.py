"""Looking up the addresses of a host within a time limit, which the system's own look-up does not take."""

import socket
import threading
from concurrent.futures import Future, wait

import httpx

MAX_LOOKUPS = 256
"""Look-ups that may hang at a time; each has a thread."""


class UnknownHost(httpx.ConnectError):
    """The name has no address."""


class LookupTimeout(httpx.ConnectTimeout):
    """It could not be learned in time whether the name has an address."""


class Lookups:
    """Looks names up in threads of its own; those who ask for the same name at the same time share one look-up."""

    def __init__(self) -> None:
        self._running: dict[tuple[str, int], Future[list[str]]] = {}
        self._lock = threading.Lock()

    def addresses(self, host: str, port: int, *, timeout: float) -> list[str]:
        """The addresses of a host, each once, in the order in which to try them.

        A look-up that takes longer goes on, and whoever asks again meanwhile waits for the same one.

        Args:
            timeout: in seconds.

        Raises:
            UnknownHost: it has none.
            LookupTimeout: there is no answer yet, or too many look-ups already wait for one.
        """
        found = self._started(host, port)
        if found is None or not wait([found], timeout).done:
            raise LookupTimeout(host)
        try:
            return found.result()
        except (OSError, UnicodeError) as error:
            raise UnknownHost(host) from error

    def _started(self, host: str, port: int) -> Future[list[str]] | None:
        with self._lock:
            found = self._running.get((host, port))
            if found is None and len(self._running) < MAX_LOOKUPS:
                found = Future()
                # A daemon: the end of a run does not wait for it.
                threading.Thread(target=self._look_up, args=(host, port, found), name="lookup", daemon=True).start()
                self._running[host, port] = found
            return found

    def _look_up(self, host: str, port: int, found: Future[list[str]]) -> None:
        try:
            entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.set_result(list(dict.fromkeys(str(entry[4][0]) for entry in entries)))
        except Exception as error:
            found.set_exception(error)
        with self._lock:
            del self._running[host, port]
