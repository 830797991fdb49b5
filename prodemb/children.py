"""Processes that a command starts, and that must not outlive it."""

import multiprocessing
import os
import threading
from multiprocessing.connection import wait

from prodemb.screen import silence_pillow


def begin_child() -> None:
    """What a process that `multiprocessing` has started does first.

    From then on it is as quiet about pictures as the command, and leaves at once when the process that started it is
    gone: another run may take its folder then.
    """
    silence_pillow()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
