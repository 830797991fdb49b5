"""Leases: objects that say who works on a place of a bucket, so that nobody else does, and that expire.

A bucket has no locks. A lease is an object that is created only where there is none, and written again every now and
then, each time under the condition that nobody else wrote it. How old it is, is judged by the store's clock alone: the
store dates each object, and a small object written now (a probe) tells its time. So the clocks of the machines do not
matter. Who holds a lease counts from before each renewal, with a clock that nobody sets and that goes on while the
machine sleeps, and so stops working (`Lease.check`) before anyone can take the lease over, which is when the store's
dates of lease and probe lie further apart than the lease lasts and `MARGIN_SECONDS`, for the store's own clocks.
Somebody on the same machine need not wait: there it is seen whether the process is alive.

Between a `check` and what follows it, time passes all the same: what must not be written by two is written under a
condition besides (`objects.put_bytes`).
"""

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path

from prodemb.core.bounded import parse_json
from prodemb.core.errors import BusyError, ConflictError, MissingObjectError, StorageError
from prodemb.storage.address import Address
from prodemb.storage.objects import Version, delete, head, put_bytes, read

SECONDS = 60.0
"""How long a lease lasts that is not renewed."""
MARGIN_SECONDS = 5.0
"""How far clocks of one store may be apart; its dates are whole seconds."""
_MAX_BYTES = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Owner:
    """Who holds a lease, as its object says."""

    id: str
    host: str
    pid: int
    process: str
    """Tells a process from all others of all machines, empty where the system has no way to."""
    since: str
    """By the owner's clock, for people."""
    seconds: float
    """How long it lasts after each renewal."""
    renewed: int = 0
    """How often it was; so that no two of its objects are equal, for equal ones may have the same ETag."""
    released: bool = False

    def __str__(self) -> str:
        return f"process {self.pid} of {self.host} since {self.since}"


class Lease:
    """A lease that is held."""

    def __init__(self, address: Address, owner: Owner, *, version: Version, start: float) -> None:
        self._address, self._owner, self._version = address, owner, version
        self._until = start + owner.seconds
        self._lost: str | None = None

    @property
    def id(self) -> str:
        """Its owner's, which no other run has."""
        return self._owner.id

    def check(self) -> None:
        """Raise BusyError where the lease is lost: another run took it over, or it could not be renewed in time."""
        if self._lost is None and _now() >= self._until:
            self._lost = f"it could not be renewed for {self._owner.seconds:.0f} s"
        if self._lost is not None:
            raise BusyError(f"{self._address}: the lease of this run is lost: {self._lost}; run again")

    def _renew(self, *, released: bool = False) -> None:
        """Write the object anew; where that cannot be done now it is left as it is."""
        self._owner = owner = replace(self._owner, renewed=self._owner.renewed + 1, released=released)
        start = _now()
        try:
            self._version = put_bytes(self._address, _as_bytes(owner), if_match=self._version)
            self._until = start + owner.seconds
        except ConflictError:
            self._lost = f"it is held by {holder(self._address) or 'nobody'}"
        except StorageError:
            pass  # `check` counts the time

    def _keep(self, ended: threading.Event) -> None:
        while self._lost is None and not ended.wait(self._owner.seconds / 4):
            self._renew()

    def _release(self) -> None:
        if self._lost is None:
            self._renew(released=True)


@contextmanager
def leased(address: Address, *, what: str, seconds: float = SECONDS) -> Iterator[Lease]:
    """Hold a lease. Its object stays, marked as released: a store cannot delete it under a condition.

    Args:
        address: the lease's object.
        what: what is refused to a second run, for its message, such as the address of a shard set.
        seconds: how long it lasts when it is not renewed any more, as by a killed process on another machine.

    Raises:
        BusyError: another run holds it.
    """
    owner = Owner(
        id=secrets.token_hex(16),
        host=socket.gethostname(),
        pid=os.getpid(),
        process=_process(os.getpid()),
        since=datetime.now(UTC).isoformat(sep=" ", timespec="seconds"),
        seconds=seconds,
    )
    lease = _acquire(address, owner, what=what)
    ended = threading.Event()
    thread = threading.Thread(target=lease._keep, args=(ended,), daemon=True, name="lease")
    thread.start()
    try:
        yield lease
    finally:
        ended.set()
        thread.join(timeout=seconds / 4)
        if not thread.is_alive():  # it waits for a store that does not answer
            lease._release()


def holder(address: Address) -> Owner | None:
    """Who holds a lease, alive or not; None where nobody does."""
    try:
        owner = _parse(address, read(address, max_bytes=_MAX_BYTES).content)
    except MissingObjectError:
        return None
    return None if owner.released else owner


def _acquire(address: Address, owner: Owner, *, what: str) -> Lease:
    start = _now()
    try:
        try:
            version = put_bytes(address, _as_bytes(owner), create=True)
        except ConflictError:
            old = _expired(address, what=what)
            start = _now()
            version = put_bytes(address, _as_bytes(owner), create=old is None, if_match=old)
    except ConflictError:
        raise BusyError(f"{what}: another run began to write it at the same time; wait for it") from None
    return Lease(address, owner, version=version, start=start)


def _expired(address: Address, *, what: str) -> Version | None:
    """The version of a lease that may be taken over, None where it is gone; raises BusyError where it is held."""
    try:
        content, info = read(address, max_bytes=_MAX_BYTES)
    except MissingObjectError:
        return None
    owner = _parse(address, content)
    if owner.released or _is_dead(owner):
        return info.version
    left = owner.seconds + MARGIN_SECONDS - (_store_time(address) - info.modified).total_seconds()
    if left > 0:
        raise BusyError(
            f"{what}: another run is writing it: {owner}; wait for it; if it was killed, try again in {left:.0f} s"
        )
    return info.version


def _store_time(address: Address) -> datetime:
    """The time by the store's clock."""
    probe = address.parent / f"{address.name}.{secrets.token_hex(8)}.probe"
    put_bytes(probe, b"")
    try:
        return head(probe).modified
    finally:
        with suppress(StorageError):
            delete(probe)


def _now() -> float:
    """Seconds of a clock that nobody sets, which goes on while the machine sleeps where the system has such a one."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def _process(pid: int) -> str:
    """What tells a process from all others: the machine's boot, the namespace its number is of, and when it began."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = os.stat("/proc/self/ns/pid").st_ino  # noqa: PTH116
        began = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
    return f"{boot} {namespace} {pid} {began}"


def _is_dead(owner: Owner) -> bool:
    """Whether the owner was a process of this machine, in the same namespace, and is no more."""
    own = _process(os.getpid()).split()[:2]
    return bool(own) and owner.process.split()[:2] == own and _process(owner.pid) != owner.process


def _as_bytes(owner: Owner) -> bytes:
    return (json.dumps(asdict(owner), indent=2) + "\n").encode()


def _parse(address: Address, content: bytes) -> Owner:
    try:
        values = parse_json(content)
        owner = Owner(**{field.name: values[field.name] for field in fields(Owner)})
        if not all(isinstance(value, str) for value in (owner.id, owner.host, owner.process, owner.since)):
            raise ValueError
        return replace(owner, pid=int(owner.pid), seconds=float(owner.seconds))
    except (ValueError, TypeError, KeyError):
        raise StorageError(
            f"{address}: found something else, wanted a lease that prodemb wrote; delete it if no run is active"
        ) from None
