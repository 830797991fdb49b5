"""What a process of `decoders.py` does: reads pictures from its input and writes their pixels, under limits.

It ends when its input does, also while it decodes, so it never outlives the process that started it.
"""

import json
import os
import resource
import select
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from PIL import AvifImagePlugin

from prodemb.catalog.images import AbsentImage
from prodemb.core.text import silence_pillow
from prodemb.towers.decoders import REPLY, REQUEST
from prodemb.towers.unpack import decoded_whole


def main() -> None:
    """Serve requests until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started it
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    threading.Thread(target=_end_with_input, daemon=True).start()
    silence_pillow()
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    requests, replies = sys.stdin.buffer, sys.stdout.buffer
    while len(head := requests.read(REQUEST.size)) == REQUEST.size:
        size, num_bytes, seconds, factor = REQUEST.unpack(head)
        data = requests.read(size)
        _limit(num_bytes, seconds=seconds)
        _answer(data, factor=factor, replies=replies)


def _answer(data: bytes, *, factor: int, replies: BinaryIO) -> None:
    reply: dict[str, Any]
    try:
        pixels = decoded_whole(data, factor=factor)
        reply, body = {"shape": pixels.shape}, pixels.data.cast("B")
    except AbsentImage as absent:
        reply, body = {"reason": absent.reason, "detail": absent.detail}, memoryview(b"")
    packed = json.dumps(reply).encode()
    replies.write(REPLY.pack(len(packed)) + packed)
    replies.write(body)
    replies.flush()


def _limit(num_bytes: int, *, seconds: int) -> None:
    """Hold the next picture to memory and processor time beyond what is taken now, where the system can."""
    until = int(time.process_time()) + 1 + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (until, resource.getrlimit(resource.RLIMIT_CPU)[1]))
    with suppress(OSError, ValueError):  # macOS has no /proc, nor this limit
        taken = int(Path("/proc/self/statm").read_text().split()[5]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_DATA, (taken + num_bytes, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def _end_with_input() -> None:
    poll = select.poll()
    poll.register(sys.stdin.buffer.fileno(), 0)  # reports only that the other end is closed
    poll.poll()
    os._exit(1)


if __name__ == "__main__":
    main()
