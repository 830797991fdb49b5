"""Pictures come in the order they were asked for, a slow host holds up no other, and failures are counted."""

import socket
import time
from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
import pytest

from prodemb.catalog.images import ImageLoader, ImagesConfig
from prodemb.core.errors import ImagesError
from prodemb.embed import pictures
from prodemb.embed.pictures import PICTURES_PER_TASK, PictureFetcher
from prodemb.towers.image import ImagePreprocessor
from tests.conftest import jpeg
from tests.fuzz.hostile_pictures import BUILDERS
from tests.picture_server import PictureServer, running_server

PREPROCESSOR = ImagePreprocessor(size=(16, 16), crop=None, mean=(0, 0, 0), std=(1, 1, 1))


def test_each_picture_or_its_error_comes_in_order_and_is_counted(tmp_path: Path) -> None:
    num = 3 * PICTURES_PER_TASK + 2
    (tmp_path / "broken.jpg").write_bytes(b"broken")
    cells = [jpeg(i) if i % 3 else "broken.jpg" if i % 2 else "missing.jpg" for i in range(num)]
    with ImageLoader(ImagesConfig(), root=tmp_path) as loader, PictureFetcher(loader, num_workers=2) as fetcher:
        batch = fetcher.fetch(cells, PREPROCESSOR.decode)
        pictures = list(batch)
        assert list(fetcher.fetch([], PREPROCESSOR.decode)) == []
    for i, picture in enumerate(pictures):
        if i % 3:
            np.testing.assert_array_equal(picture, PREPROCESSOR.decode(jpeg(i)))
        else:
            assert picture == ("not a picture" if i % 2 else "file not found")
    assert batch.counts.num_tried == num
    assert dict(batch.counts.failed) == {("folder .", "not a picture"): 2, ("folder .", "file not found"): 3}
    assert fetcher.seconds > 0


def test_an_error_nobody_thought_of_fails_one_picture() -> None:
    def decode(data: bytes) -> int:
        return {b"a": 1}[data]

    with ImageLoader(ImagesConfig(), root=Path()) as loader, PictureFetcher(loader, num_workers=1) as fetcher:
        assert list(fetcher.fetch([b"a", b"b", b"a"], decode)) == [1, "cannot be loaded (KeyError)", 1]


def test_a_picture_that_does_not_come_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "PATIENCE_SECONDS", 0.05)
    images = ImagesConfig(deadline_s=0.01)

    def decode(data: bytes) -> None:
        time.sleep(0.5)

    with (
        ImageLoader(images, root=Path()) as loader,
        PictureFetcher(loader, num_workers=1) as fetcher,
        pytest.raises(ImagesError, match="a picture was not ready after 0 s: the catalog itself"),
    ):
        list(fetcher.fetch([b"a"], decode))


def test_a_host_that_does_not_answer_holds_up_no_other(tmp_path: Path) -> None:
    with running_server() as slow:
        fast = slow.replace("127.0.0.1", "localhost")
        cells = [f"{slow}/held/{n}" if n % 4 < 2 else f"{fast}/jpeg/{n}" for n in range(24)]
        asked = PictureServer.asked
        asked.clear()
        images = ImagesConfig(concurrency=4, host_share=0.5, allow_private_hosts=True)
        PictureServer.gate.clear()
        try:
            with ImageLoader(images, root=tmp_path) as loader, PictureFetcher(loader, num_workers=2) as fetcher:
                batch = fetcher.fetch(cells, PREPROCESSOR.decode)
                until = time.monotonic() + 10
                while not all(asked[f"/jpeg/{n}"] for n in range(24) if n % 4 >= 2) and time.monotonic() < until:
                    time.sleep(0.01)
                assert {path: count for path, count in asked.items() if path.startswith("/jpeg/")} == {
                    f"/jpeg/{n}": 1 for n in range(24) if n % 4 >= 2
                }
                assert {path for path in asked if path.startswith("/held/")} == {"/held/0"}
                PictureServer.gate.set()
                pictures = list(batch)
        finally:
            PictureServer.gate.set()
    for number, picture in enumerate(pictures):
        np.testing.assert_array_equal(picture, PREPROCESSOR.decode(jpeg(number)))


def test_hosts_that_hang_cost_a_deadline_or_so_and_no_other_s_pictures(tmp_path: Path) -> None:
    deadline_s, num_hosts = 0.5, 64
    with ExitStack() as stack:
        silent = [stack.enter_context(socket.create_server((f"127.1.{n}.1", 0))) for n in range(num_hosts)]
        hosts = ["http://{}:{}".format(*each.getsockname()) for each in silent]
        fast = stack.enter_context(running_server())
        cells = [f"{host}/{n}.jpg" for host in hosts for n in range(10)] + [f"{fast}/jpeg/{n}" for n in range(10)]
        images = ImagesConfig(deadline_s=deadline_s, allow_private_hosts=True)
        loader = stack.enter_context(ImageLoader(images, root=tmp_path))
        fetcher = stack.enter_context(PictureFetcher(loader, num_workers=2))
        started = time.monotonic()
        results = list(fetcher.fetch(cells, PREPROCESSOR.decode))
        seconds = time.monotonic() - started
    assert Counter(each for each in results if isinstance(each, str)) == {
        "timed out": num_hosts,
        "host does not answer": 9 * num_hosts,
    }
    assert not any(isinstance(each, str) for each in results[-10:])
    # 32 at a time: two deadlines.
    assert seconds < 4 * deadline_s


def test_a_run_that_ends_early_ends_what_is_being_decoded(tmp_path: Path) -> None:
    data = BUILDERS["png 8,000 x 8,000 16-bit rgba"]()
    started = 0.0
    with (
        suppress(KeyboardInterrupt),
        ImageLoader(ImagesConfig(), root=tmp_path) as loader,
        PictureFetcher(loader, num_workers=2) as fetcher,
    ):
        batch = fetcher.fetch([data] * 20, PREPROCESSOR.decode)
        time.sleep(1)
        started = time.monotonic()
        raise KeyboardInterrupt
    assert [task.result(timeout=5) for task in batch._tasks if not task.cancelled()]
    assert time.monotonic() - started < 1


def test_pictures_that_are_slow_one_by_one_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "PATIENCE_SECONDS", 0.4)
    with (
        ImageLoader(ImagesConfig(deadline_s=0.01), root=Path()) as loader,
        PictureFetcher(loader, num_workers=1) as fetcher,
    ):
        assert list(fetcher.fetch([b"a"] * 8, lambda data: time.sleep(0.2))) == [None] * 8
