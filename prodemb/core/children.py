"""Processes that a command starts, and that must not outlive it."""

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from logging.handlers import QueueHandler
from multiprocessing.connection import wait

from prodemb.core.text import silence_pillow

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)

Tell = Callable[[logging.LogRecord], None]
"""Sends a record of the log to the process that started this one, which gives it to `take_record`."""


def begin_child(tell: Tell) -> None:
    """What a process that `multiprocessing` has started does first.

    From then on it is as quiet about pictures as the command, what it logs stands in the log of the process that
    started it, and it leaves at once when that one is gone: another run may take its folder then.
    """
    log_to(tell)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def log_to(tell: Tell) -> None:
    """From here on this process is as quiet about pictures as the command, and what it logs is sent."""
    silence_pillow()
    logging.getLogger().addHandler(_Teller(tell))


def take_record(record: logging.LogRecord) -> None:
    """Log what a child has logged, as this process would have."""
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)


@contextmanager
def own_signals() -> Iterator[None]:
    """Take the signals back that a library takes from this process, such as torch's launcher and Ray."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


class _Teller(QueueHandler):
    """Sends records, which it makes such that they can be sent."""

    def __init__(self, tell: Tell) -> None:
        super().__init__(None)  # type: ignore[arg-type]  # enqueue needs no queue
        self._tell = tell

    def enqueue(self, record: logging.LogRecord) -> None:
        """Send a record."""
        self._tell(record)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
