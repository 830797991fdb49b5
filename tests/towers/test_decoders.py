"""Processes that decode give the same pixels, and end: by their limits, at a run's end and with its process."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from prodemb.catalog.images import AbsentImage
from prodemb.towers import decode_cost, decoders
from prodemb.towers.decoders import DECODERS, Decoders
from prodemb.towers.image import ImagePreprocessor
from prodemb.towers.unpack import decoded_whole
from tests.fuzz.hostile_pictures import BUILDERS, whole

SQUARE = ImagePreprocessor(size=(32, 32), crop=None, mean=(0, 0, 0), std=(1, 1, 1))
SLOW = "png 8,000 x 8,000 16-bit rgba"
CROWD = """
import resource, sys
from concurrent.futures import ThreadPoolExecutor
from prodemb.towers.image import ImagePreprocessor
from tests.fuzz.hostile_pictures import BUILDERS, whole
square = ImagePreprocessor(size=(32, 32), crop=None, mean=(0, 0, 0), std=(1, 1, 1))
square.decode(whole("PNG"))
data = BUILDERS[sys.argv[1]]()
taken = int(open("/proc/self/statm").read().split()[5]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_DATA, (taken + int(sys.argv[2]), taken + int(sys.argv[2])))
def outcome(data):
    try:
        return square.decode(data).shape
    except Exception as error:
        return error.reason
with ThreadPoolExecutor(8) as threads:
    print(*sorted({str(found) for found in threads.map(outcome, [data] * 8)}))
"""


@pytest.fixture
def own() -> Iterator[Decoders]:
    DECODERS.end()  # what other tests of this process have left
    started = Decoders()
    yield started
    started.end()


def processes() -> list[int]:
    """Those that decode for this one."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError):  # a thread that has just ended
            found += [int(child) for child in (task / "children").read_text().split()]
    return [child for child in found if b"decoder_process" in Path(f"/proc/{child}/cmdline").read_bytes()]


def wait_until(condition: Callable[[], object], *, seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def is_alive(process: int) -> bool:
    stat = Path(f"/proc/{process}/stat")
    return stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "AVIF", "JPEG2000", "TIFF", "WEBP"])
@pytest.mark.parametrize("factor", [1, 2])
def test_the_pixels_are_the_same(own: Decoders, kind: str, factor: int) -> None:
    data = whole(kind, width=200, height=120)
    pixels = own.decode(data, factor=factor, num_bytes=1_000_000)
    np.testing.assert_array_equal(pixels, decoded_whole(data, factor=factor))


def test_the_reasons_are_the_same_and_the_process_stays(own: Decoders) -> None:
    for data, reason in ((b"x", "not a picture"), (whole("TIFF")[:200], "truncated"), (b"", "not a picture")):
        with pytest.raises(AbsentImage, match=reason):
            own.decode(data, factor=1, num_bytes=1000)
        (process,) = processes()
    own.decode(whole("PNG"), factor=1, num_bytes=1000)
    assert processes() == [process]


def test_it_finds_no_module_where_it_is_started(own: Decoders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "numpy.py").write_text("raise SystemExit")
    monkeypatch.chdir(tmp_path)
    assert own.decode(whole("PNG"), factor=1, num_bytes=1000).shape == (40, 48, 3)


def test_a_picture_that_takes_too_long_ends_its_process_alone(own: Decoders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoders, "CPU_SECONDS", 0)
    with pytest.raises(AbsentImage, match="too slow to decode: more than 0 s of processor time"):
        own.decode(BUILDERS[SLOW](), factor=1, num_bytes=1_000_000_000)
    assert not processes()
    assert own.decode(whole("PNG"), factor=1, num_bytes=1000).shape == (40, 48, 3)


def test_a_picture_that_takes_more_than_its_header_says_is_absent(own: Decoders) -> None:
    with pytest.raises(AbsentImage, match=r"too many pixels|broken picture"):
        own.decode(BUILDERS["png 8,000 x 8,000 of zeros"](), factor=1, num_bytes=1000)


def test_end_ends_what_is_being_decoded_and_what_waits(own: Decoders) -> None:
    data = BUILDERS[SLOW]()
    reasons: list[str] = []

    def decode() -> None:
        with pytest.raises(AbsentImage) as caught, own.taking(10**9):
            own.decode(data, factor=1, num_bytes=10**9)
        reasons.append(caught.value.reason)

    threads = [threading.Thread(target=decode) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_until(lambda: processes() and len(own._waiting) == 2)
    started = time.monotonic()
    own.end()
    for thread in threads:
        thread.join(10)
    assert time.monotonic() - started < 1
    assert sorted(reasons) == ["stopped", "stopped", "stopped"]
    assert not processes()
    assert own.decode(whole("PNG"), factor=1, num_bytes=1000).shape == (40, 48, 3)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_does_not_outlive_the_process_that_started_it(number: signal.Signals) -> None:
    program = (
        "from prodemb.towers.decoders import DECODERS; from tests.fuzz.hostile_pictures import BUILDERS;"
        f"data = BUILDERS[{SLOW!r}](); print('begun', flush=True);"
        "[DECODERS.decode(data, factor=1, num_bytes=10**9) for _ in range(9)]"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "begun\n"
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
        wait_until(lambda: children.read_text().split())
        (child,) = (int(each) for each in children.read_text().split())
        wait_until(lambda: b"decoder_process" in Path(f"/proc/{child}/cmdline").read_bytes())
        time.sleep(0.8)  # it decodes
        parent.send_signal(number)
    wait_until(lambda: not is_alive(child), seconds=2)


def test_large_pictures_take_turns_and_small_ones_do_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_cost, "LARGE_BYTES", 10_000)
    done = threading.Event()

    def second() -> None:
        SQUARE.decode(whole("PNG"))
        done.set()

    with DECODERS.taking(10**12):
        waiting = threading.Thread(target=second)
        waiting.start()
        assert not done.wait(0.2)
        SQUARE.decode(whole("BMP", width=30, height=30))
    assert done.wait(30)
    waiting.join()


def test_who_waits_first_goes_first() -> None:
    budget = Decoders(num_bytes=10)
    order: list[int] = []
    begun = threading.Semaphore(0)

    def take(number: int) -> None:
        begun.release()
        with budget.taking(number):
            order.append(number)

    with budget.taking(4):
        threads = []
        for number in (9, 1, 2):  # the last two would fit beside what is taken, but for the first
            threads.append(threading.Thread(target=take, args=(number,)))
            threads[-1].start()
            begun.acquire()
            wait_until(lambda: len(budget._waiting) == len(threads))
        assert order == []
    for thread in threads:
        thread.join(10)
    assert order == [9, 1, 2]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds a process's data")
@pytest.mark.parametrize(
    ("name", "expected"),
    [("avif that claims less", "broken picture"), ("jpeg 8,000 x 8,000 in three scans", "(3, 32, 32)")],
)
def test_eight_threads_of_one_bomb_in_bounded_memory(name: str, expected: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", CROWD, name, str(450 << 20)], capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == expected
