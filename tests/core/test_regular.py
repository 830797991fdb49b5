"""Only regular files are opened, nothing is waited for, and no link leads out of a folder, even one made meanwhile."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from prodemb.core.regular import NotRegularError, open_regular


def test_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a").write_bytes(b"x" * 100)
    with open_regular(tmp_path / "deep" / "a", beneath=tmp_path) as file:
        assert file.read() == b"x" * 100


@pytest.mark.parametrize("kind", ["pipe", "folder", "socket", "device", "root"])
@pytest.mark.parametrize("is_beneath", [False, True])
def test_nothing_else_is_opened(tmp_path: Path, kind: str, is_beneath: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / kind
    root = tmp_path
    with socket.socket(socket.AF_UNIX) as server:
        match kind:
            case "pipe":
                os.mkfifo(path)
            case "folder":
                path.mkdir()
            case "socket":
                monkeypatch.chdir(tmp_path)  # the names of sockets are short
                server.bind(kind)
            case "device":
                path = root = Path("/dev/zero")
                root = Path("/dev")
            case _:
                path = tmp_path
        with pytest.raises(NotRegularError, match="is no regular file"):
            open_regular(path, beneath=root if is_beneath else None)


def test_links_are_followed_only_where_they_may_be(tmp_path: Path) -> None:
    (tmp_path / "root" / "deep").mkdir(parents=True)
    (tmp_path / "root" / "deep" / "a").write_bytes(b"inside")
    (tmp_path / "root" / "file").symlink_to("deep/a")
    (tmp_path / "root" / "folder").symlink_to("deep")
    for name in ("file", "folder/a"):
        with open_regular(tmp_path / "root" / name) as file:
            assert file.read() == b"inside"
        with pytest.raises(OSError, match=r"symbolic links|Not a directory"):
            open_regular(tmp_path / "root" / name, beneath=tmp_path / "root")


@contextmanager
def swapping(path: Path, *, inside: Path, outside: Path) -> Iterator[None]:
    """A name that is now a file, now a link to another one."""
    stopped = threading.Event()

    def swap() -> None:
        while not stopped.is_set():
            for make, target in ((os.link, inside), (os.symlink, outside)):
                make(target, path.parent / "new")
                (path.parent / "new").replace(path)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def test_what_becomes_a_link_meanwhile_leads_nowhere(tmp_path: Path) -> None:
    root, inside, outside = tmp_path / "root", tmp_path / "root" / "inside", tmp_path / "outside"
    root.mkdir()
    for file in (inside, outside):
        file.write_text(file.name)
    num_read = 0
    with swapping(root / "name", inside=inside, outside=outside):
        for _ in range(3000):
            with suppress(OSError), open_regular(root / "name", beneath=root) as opened:
                assert opened.read() == b"inside"
                num_read += 1
    assert num_read > 100


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    (tmp_path / "deep" / "deeper").mkdir(parents=True)
    os.mkfifo(tmp_path / "deep" / "deeper" / "pipe")
    before = len([*Path("/dev/fd").iterdir()])
    for name in ("deep/deeper/pipe", "deep/none/a", "none", "deep/deeper"):
        with pytest.raises(OSError, match=r"regular|No such"):
            open_regular(tmp_path / name, beneath=tmp_path)
    assert len([*Path("/dev/fd").iterdir()]) == before
