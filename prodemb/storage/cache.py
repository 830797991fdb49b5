"""The local cache of objects: each version of an object once, checked, bounded, safe with many processes.

An entry is a folder named by the hash of what it is a version of, with one file or folder in it under its own name, so
that formats are still told by endings. It is made under a lock of its own and renamed into place whole. Entries that
were used longest ago go when there is no room; never those that a living process has pinned: it keeps a file that is
locked for as long as it lives and names them.
"""

import fcntl
import hashlib
import os
import re
import secrets
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from prodemb.core.errors import ConfigError, StorageError
from prodemb.core.files import make_folder, naming
from prodemb.storage.address import Place
from prodemb.storage.names import name_copy
from prodemb.storage.objects import ObjectInfo, download, head

FOLDER_VARIABLE, GIGABYTES_VARIABLE = "PRODEMB_CACHE", "PRODEMB_CACHE_GB"
DEFAULT_GIGABYTES = 20.0

_HEX = re.compile(r"[0-9a-f]{64}")
_pins: dict[tuple[int, Path], tuple[int, set[str]]] = {}
"""Of this process and a cache: the descriptor of its file of pins, and what is pinned."""
_pins_lock = threading.Lock()


def cache_folder() -> Path:
    """The folder of the cache: `PRODEMB_CACHE`, else `prodemb/` in the system's place for caches of this user."""
    if chosen := os.environ.get(FOLDER_VARIABLE):
        return Path(chosen).expanduser().absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "prodemb"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "prodemb"


def max_bytes() -> int:
    """The bound of the cache: `PRODEMB_CACHE_GB` in 1e9 bytes.

    Raises:
        ConfigError: it is no positive number.
    """
    text = os.environ.get(GIGABYTES_VARIABLE) or str(DEFAULT_GIGABYTES)
    with suppress(ValueError, OverflowError):
        if (num_bytes := int(float(text) * 1e9)) > 0:
            return num_bytes
    raise ConfigError(f"{GIGABYTES_VARIABLE}: found {text!r}, wanted a positive number of gigabytes")


def fetched(place: Place, *, sha256: str | None = None, info: ObjectInfo | None = None, pin: bool = True) -> Path:
    """A local file with an object's bytes: from the cache, else downloaded and checked first. A path is itself.

    Args:
        sha256: of the object's bytes, where it is known; with it no request is made for what is in the cache.
        info: what `objects.head` or `objects.listing` said of it, which saves a request.
        pin: keep it for as long as this process lives. What is not pinned may go at any moment: open it at once, and
            ask again where it is gone. A file that is open or mapped can be read to its end.

    Raises:
        MissingObjectError, StorageError: as `objects.head` and `objects.download`.
        OutputError: the cache cannot be written.
    """
    if isinstance(place, Path):
        return place
    if sha256 is None and info is None:
        info = head(place)
    key = sha256 or _key_of(info)  # type: ignore[arg-type]

    def make(to: Path) -> None:
        download(info or head(place), to, sha256=sha256)

    return name_copy(entry(key, name=place.name or "object", make=make, pin=pin), place)


def entry(key: str, *, name: str, make: Callable[[Path], None], pin: bool = True) -> Path:
    """The file or folder of an entry; `make` writes it to the path it is given where it is not there yet.

    Args:
        key: hexadecimal digits that stand for its content.
        pin: as in `fetched`.

    Raises:
        StorageError: key or name are no such, as those of a damaged record may be.
    """
    if not _HEX.fullmatch(key) or "/" in name or name in ("", ".", ".."):
        raise StorageError(f"found {key[:80]!r} and {name[:80]!r}, wanted 64 hexadecimal digits and the name of a file")
    folder = cache_folder()
    path = folder / "entries" / key / name
    _make_private(folder, of=path)
    if pin:
        _pin(folder, key)
    if path.exists():
        with suppress(FileNotFoundError):
            os.utime(path.parent)
            return path
    make_folder(folder / "locks", of=path)
    with _locked(folder / "locks" / key), naming(path):
        if not path.exists():
            _make(path, make)
            _evict(folder, keep=key)
    return path


def _make_private(folder: Path, *, of: Path) -> None:
    """Make the cache's folder, which only this user may look into."""
    if not folder.is_dir():
        make_folder(folder, of=of)
        folder.chmod(0o700)


def _make(path: Path, make: Callable[[Path], None]) -> None:
    """Make an entry beside its place and move it there."""
    make_folder(path.parent.parent, of=path)
    shutil.rmtree(path.parent, ignore_errors=True)
    for leftover in path.parent.parent.glob(f".{path.parent.name}.*"):  # of a killed process: the lock is ours
        shutil.rmtree(leftover, ignore_errors=True)
    temporary = path.parent.with_name(f".{path.parent.name}.{secrets.token_hex(8)}")
    temporary.mkdir()
    try:
        make(temporary / path.name)
        temporary.replace(path.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _key_of(info: ObjectInfo) -> str:
    """What a version of an object is kept by; a listing may leave out quotes and S3's version id."""
    version = (info.version.etag or info.version.generation or "").strip('"')
    text = "\n".join(map(str, (info.address, version, info.num_bytes, info.modified.replace(microsecond=0))))
    return hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file, which another process or thread may hold for as long as a download takes."""
    while True:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), path.stat()):
                    yield
                    return
        finally:
            os.close(descriptor)


def _pin(folder: Path, key: str) -> None:
    """Name an entry in this process's file of pins, which is locked as long as the process lives."""
    with _pins_lock:
        owner = (os.getpid(), folder)
        if owner not in _pins:
            path = folder / "pins" / f"{os.getpid()}-{secrets.token_hex(8)}"
            make_folder(path.parent, of=path)
            with naming(path):
                descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC | os.O_APPEND, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            _pins[owner] = (descriptor, set())
        descriptor, keys = _pins[owner]
        if key not in keys:
            os.write(descriptor, f"{key}\n".encode())
            keys.add(key)


def _pinned(folder: Path) -> set[str]:
    """What living processes have pinned; the files of dead ones are removed."""
    keys: set[str] = set()
    own = {os.fstat(descriptor).st_ino for (pid, _), (descriptor, _) in _pins.items() if pid == os.getpid()}
    for path in (folder / "pins").iterdir() if (folder / "pins").is_dir() else ():
        with suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                if os.fstat(descriptor).st_ino not in own:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if os.fstat(descriptor).st_size:  # an empty one may be about to be locked
                        path.unlink()
                    continue
            except BlockingIOError:
                pass
            finally:
                os.close(descriptor)
            keys.update(path.read_text().split())
    return keys


def _evict(folder: Path, *, keep: str) -> None:
    """Remove entries, those that were used longest ago first, until the rest is within the bound."""
    entries = []
    for path in (folder / "entries").iterdir():
        with suppress(FileNotFoundError):
            entries.append((path.stat().st_mtime_ns, num_bytes_in(path), path))
    total, bound = sum(num_bytes for _, num_bytes, _ in entries), max_bytes()
    if total <= bound:
        return
    pinned = _pinned(folder) | {keep}
    for _, num_bytes, path in sorted(entries):
        key = path.name.split(".")[1] if path.name.startswith(".") else path.name
        if key not in pinned and total > bound and _remove(folder, key, path):
            total -= num_bytes


def _remove(folder: Path, key: str, path: Path) -> bool:
    """Remove an entry, unless somebody makes it now."""
    lock = folder / "locks" / key
    descriptor = os.open(lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if key in _pinned(folder):
            return False
        gone = path.with_name(f".{key}.{secrets.token_hex(8)}")
        path.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
        lock.unlink(missing_ok=True)
    except (BlockingIOError, FileNotFoundError):
        return False
    finally:
        os.close(descriptor)
    return True


def num_bytes_in(folder: Path) -> int:
    """Bytes of all files below a folder."""
    total = 0
    for entry_ in os.scandir(folder):
        total += num_bytes_in(Path(entry_.path)) if entry_.is_dir(follow_symlinks=False) else entry_.stat().st_size
    return total


def discard(key: str) -> None:
    """Remove an entry that was found damaged, unless somebody has pinned it or makes it now."""
    _remove(cache_folder(), key, cache_folder() / "entries" / key)
