"""How much a server has taken on: what is beyond its bounds is sent away, and told when to come again if it may."""

from collections.abc import Iterator
from contextlib import contextmanager

from prodemb.serve.config import ServeConfig
from prodemb.serve.problem import RequestProblem

RETRY_AFTER_S = 1


class Load:
    """What all requests together hold; for one thread, the event loop's."""

    def __init__(self, config: ServeConfig) -> None:
        self.num_products = 0
        """That are being answered or wait."""
        self.num_bytes = 0
        """Of their bodies, and of the pictures that were fetched for them."""
        self._config = config

    @contextmanager
    def reserved(self) -> Iterator["Reservation"]:
        """What one request takes; all of it is given back at the end."""
        reservation = Reservation(self, max_bytes=self._config.max_waiting_bytes)
        try:
            yield reservation
        finally:
            self.num_products -= reservation.num_products
            self.num_bytes -= reservation.num_bytes

    def check(self, *, num_products: int, num_bytes: int) -> None:
        """Raise RequestProblem where so much more is too much. Products that come alone are taken."""
        config = self._config
        is_full = self.num_products and self.num_products + num_products > config.max_waiting
        if is_full or self.num_bytes + num_bytes > config.max_waiting_bytes:
            raise RequestProblem(
                503,
                f"busy: found {self.num_products:,} products that wait; wanted at most {config.max_waiting:,}, in "
                f"{config.max_waiting_bytes:,} bytes: come again later",
                headers={"Retry-After": str(RETRY_AFTER_S)},
            )


class Reservation:
    """What one request has taken."""

    def __init__(self, load: Load, *, max_bytes: int) -> None:
        """
        Args:
            max_bytes: what all requests may hold together.
        """
        self.num_products = self.num_bytes = 0
        self._load, self._max_bytes = load, max_bytes

    def would_hold(self, num_bytes: int) -> bool:
        """Whether there would be room for so many more bytes if no other request took any."""
        return self.num_bytes + num_bytes <= self._max_bytes

    def take(self, *, num_products: int = 0, num_bytes: int = 0) -> None:
        """Take more.

        Raises:
            RequestProblem: there is no room, now or ever.
        """
        if not self.would_hold(num_bytes):
            raise RequestProblem(413, f"body: found more than {self._max_bytes:,} bytes; wanted at most so many")
        self._load.check(num_products=num_products, num_bytes=num_bytes)
        self.num_products += num_products
        self.num_bytes += num_bytes
        self._load.num_products += num_products
        self._load.num_bytes += num_bytes
