"""Decoding pictures that may take long or much, in processes that can be ended and that the system holds to limits.

Each process decodes one picture after another (`decoder_process.py`). What all of them take together has a budget, and
who comes first goes first.
"""

import atexit
import json
import os
import signal
import struct
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

import numpy as np
import numpy.typing as npt

from prodemb.catalog.images import AbsentImage

Pixels = npt.NDArray[np.uint8]

MAX_PROCESSES = 4
TOTAL_BYTES = 512_000_000
"""What such pictures may take together by their headers; one that takes more is decoded while no other one is."""
CPU_SECONDS = 20
"""Processor time for one picture. The largest one that is let in takes a few seconds."""
WALL_SECONDS = 300.0
"""Time for one picture on a machine that is busy with other things."""
SPARE_BYTES = 128_000_000
"""What a picture may take beyond its header's claim and half of that again."""
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": str(1 << 20)}
"""Of each process. glibc then gives back at once what a picture has taken, so that the next one's limit is as low."""
REQUEST = struct.Struct("<QQII")
"""Bytes of the file that follows, bytes and seconds that may be taken, and how many times smaller to decode."""
REPLY = struct.Struct("<I")
"""Bytes of the JSON that follows: a reason and a detail, or the shape of the pixels behind it."""


class Decoders:
    """Processes that decode, started when they are needed; may be used from many threads."""

    def __init__(self, *, num_bytes: int = TOTAL_BYTES) -> None:
        self._total = self._left = num_bytes
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()
        self._idle: list[subprocess.Popen[bytes]] = []
        self._busy: set[subprocess.Popen[bytes]] = set()
        self._ended = threading.Event()

    @contextmanager
    def taking(self, num_bytes: int) -> Iterator[None]:
        """Hold so many bytes of the budget, or all of it where it is smaller, once they are left.

        Raises:
            AbsentImage: `end` was called meanwhile.
        """
        num_bytes = min(num_bytes, self._total)
        turn = object()
        with self._changed:
            ended = self._ended
            self._waiting.append(turn)
            self._changed.wait_for(lambda: self._waiting[0] is turn and self._left >= num_bytes)
            self._waiting.popleft()
            self._left -= num_bytes
            self._changed.notify_all()
        try:
            if ended.is_set():
                raise AbsentImage("stopped")
            yield
        finally:
            with self._changed:
                self._left += num_bytes
                self._changed.notify_all()

    def decode(self, data: bytes, *, factor: int, num_bytes: int) -> Pixels:
        """The pixels of a picture's file at 1 / `factor` of its size, (h, w, 3), transparency on white.

        Args:
            num_bytes: what its header says that it takes.

        Raises:
            AbsentImage: it cannot be decoded, or takes too long or too much.
        """
        process, ended = self._process()
        timer = threading.Timer(WALL_SECONDS, process.kill)
        timer.daemon = True
        timer.start()
        is_sound = False
        try:
            answer = _ask(process, data, factor=factor, num_bytes=num_bytes + num_bytes // 2 + SPARE_BYTES)
            is_sound = True
        except (OSError, EOFError):
            raise AbsentImage("stopped") if ended.is_set() else _end_of(process) from None
        finally:
            timer.cancel()
            self._give_back(process, is_sound=is_sound)
        if isinstance(answer, AbsentImage):
            raise answer
        return answer

    def end(self) -> None:
        """End all processes at once; pictures that are being decoded or wait for it are absent. Later ones are not."""
        with self._changed:
            self._ended.set()
            self._ended = threading.Event()
            for process in self._busy:
                process.kill()
            idle, self._idle = self._idle, []
        for process in idle:
            _close(process)

    def _process(self) -> tuple[subprocess.Popen[bytes], threading.Event]:
        """One that has nothing to do, and what tells that it is being ended."""
        with self._changed:
            ended = self._ended
            self._changed.wait_for(lambda: self._idle or len(self._busy) < MAX_PROCESSES)
            if ended.is_set():
                raise AbsentImage("stopped")
            process = self._idle.pop() if self._idle else _started()
            self._busy.add(process)
        return process, ended

    def _give_back(self, process: subprocess.Popen[bytes], *, is_sound: bool) -> None:
        with self._changed:
            self._busy.remove(process)
            if is_sound:
                self._idle.append(process)
            self._changed.notify_all()
        if not is_sound:
            _close(process)


DECODERS = Decoders()
"""This process's own."""
atexit.register(DECODERS.end)


def _started() -> subprocess.Popen[bytes]:
    """A new process, which finds modules where this one does, and never in the folder that it is started from."""
    paths = os.pathsep.join(path or os.getcwd() for path in sys.path)  # noqa: PTH109
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "prodemb.towers.decoder_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **ENVIRONMENT, "PYTHONPATH": paths},
        )
    except OSError as error:
        raise AbsentImage("no process to decode in", detail=str(error.strerror)) from error


def _ask(process: subprocess.Popen[bytes], data: bytes, *, factor: int, num_bytes: int) -> Pixels | AbsentImage:
    """Send a request and read its reply. Raises OSError or EOFError where the process ends meanwhile."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(REQUEST.pack(len(data), num_bytes, CPU_SECONDS, factor))
    process.stdin.write(data)
    process.stdin.flush()
    read = partial(_exactly, process)
    reply = json.loads(read(REPLY.unpack(read(REPLY.size))[0]))
    if "reason" in reply:
        return AbsentImage(reply["reason"], detail=reply["detail"])
    pixels = np.empty(reply["shape"], dtype=np.uint8)
    if process.stdout.readinto(pixels.data.cast("B")) != pixels.nbytes:  # type: ignore[attr-defined]
        raise EOFError
    return pixels


def _exactly(process: subprocess.Popen[bytes], num_bytes: int) -> bytes:
    assert process.stdout is not None
    data = process.stdout.read(num_bytes)
    if len(data) != num_bytes:
        raise EOFError
    return data


def _end_of(process: subprocess.Popen[bytes]) -> AbsentImage:
    """Why there is no picture where its process has ended."""
    process.kill()
    match -process.wait():
        case signal.SIGXCPU:
            return AbsentImage("too slow to decode", detail=f"more than {CPU_SECONDS} s of processor time")
        case signal.SIGKILL:
            return AbsentImage("too much to decode", detail=f"out of memory, or more than {WALL_SECONDS:.0f} s")
        case number:
            return AbsentImage("broken picture", detail=f"its decoder ended with status {-number}")


def _close(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    with suppress(BrokenPipeError), process:  # waits for it, and closes the pipes
        pass
