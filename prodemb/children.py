"""Processes that a command starts, and that must not outlive it."""

import multiprocessing
import os
from multiprocessing.connection import wait


def end_with_parent() -> None:
    """Leave at once when the process that started this one is gone: another run may take its folder then.

    For a thread of its own, in a process that `multiprocessing` has started.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
