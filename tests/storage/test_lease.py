import subprocess
import sys
import time

import pytest

from prodemb.core.errors import BusyError, StorageError
from prodemb.storage import lease as lease_module
from prodemb.storage.address import Address
from prodemb.storage.lease import holder, leased
from prodemb.storage.objects import listing, put_bytes, read
from tests.object_store import ObjectStore, failing

HOLD = """
import sys, time
from prodemb.storage.address import place
from prodemb.storage.lease import leased
with leased(place(sys.argv[1]), what="the set", seconds=float(sys.argv[2])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process has nothing that tells it from those of other machines."""
    monkeypatch.setattr(lease_module, "_process", lambda pid: "")
    monkeypatch.setattr(lease_module, "MARGIN_SECONDS", 0.5)


def test_a_lease_is_held_by_one_and_then_by_the_next(bucket: Address) -> None:
    address = bucket / "set/lease.json"
    with leased(address, what="s3://the/set") as lease:
        lease.check()
        with pytest.raises(BusyError, match=r"s3://the/set: another run is writing it: process \d+ of .* since 20"):
            leased(address, what="s3://the/set").__enter__()
        assert holder(address) is not None
    assert holder(address) is None
    with leased(address, what="s3://the/set"):
        pass
    assert [info.address.name for info in listing(bucket)] == ["lease.json"]


def test_of_two_that_take_a_released_lease_one_gets_it(bucket: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    address = bucket / "lease.json"
    with leased(address, what="it"):
        pass
    real = lease_module._expired

    def raced(address: Address, *, what: str) -> object:
        found = real(address, what=what)
        put_bytes(address, read(address).content + b" ")  # the other one is faster
        return found

    monkeypatch.setattr(lease_module, "_expired", raced)
    with pytest.raises(BusyError, match="at the same time"):
        leased(address, what="it").__enter__()


def test_a_killed_process_of_this_machine_holds_nothing_any_more(bucket: Address) -> None:
    address = bucket / "lease.json"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(address), "60"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(BusyError, match=f"process {process.pid} "):
            leased(address, what="it").__enter__()
        process.kill()
    with leased(address, what="it"):
        pass


@pytest.mark.usefixtures("elsewhere")
def test_a_killed_process_of_another_machine_holds_it_until_it_expires(bucket: Address) -> None:
    address = bucket / "lease.json"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(address), "1"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(1.2)  # it is renewed
        with pytest.raises(BusyError, match=r"if it was killed, try again in \d s"):
            leased(address, what="it").__enter__()
        process.kill()
    time.sleep(2.6)
    with leased(address, what="it"):
        pass


@pytest.mark.usefixtures("elsewhere")
def test_the_clocks_of_the_machines_do_not_matter(bucket: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    address = bucket / "lease.json"
    with leased(address, what="it", seconds=30):
        monkeypatch.setattr(time, "time", lambda: 4e9)
        with pytest.raises(BusyError, match="try again in 3"):
            leased(address, what="it", seconds=30).__enter__()


@pytest.mark.usefixtures("elsewhere")
def test_who_cannot_renew_a_lease_stops_before_it_can_be_taken(bucket: Address, object_store: ObjectStore) -> None:
    address = bucket / "lease.json"
    with leased(address, what="it", seconds=0.8) as lease:
        object_store.rules.append(failing(10_000, status=403, method="PUT"))
        lease.check()
        time.sleep(1.0)
        with pytest.raises(BusyError, match=r"lease\.json: the lease of this run is lost: it could not be renewed for"):
            lease.check()
        object_store.rules.clear()
        time.sleep(2.4)
        with leased(address, what="it"), pytest.raises(BusyError):
            lease.check()


def test_a_lease_that_is_stolen_is_noticed_and_not_released(bucket: Address) -> None:
    address = bucket / "lease.json"
    with leased(address, what="it", seconds=4) as lease:
        other = read(address).content.replace(lease._owner.id.encode(), b"0" * 32)
        put_bytes(address, other)
        until = time.monotonic() + 3
        while lease._lost is None and time.monotonic() < until:
            time.sleep(0.02)
        with pytest.raises(BusyError, match="lost: it is held by process"):
            lease.check()
    assert read(address).content == other


def test_another_object_is_no_lease(bucket: Address) -> None:
    put_bytes(bucket / "lease.json", b'{"id": 1}')
    with pytest.raises(StorageError, match="wanted a lease that prodemb wrote"):
        leased(bucket / "lease.json", what="it").__enter__()


def test_of_many_that_begin_at_once_one_gets_it(bucket: Address) -> None:
    command = [sys.executable, "-c", HOLD, str(bucket / "lease.json"), "60"]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) for _ in range(3)]
    try:
        told = []
        for process in processes:
            assert process.stdout is not None
            told.append(process.stdout.readline())
        assert sorted(told) == [b"", b"", b"held\n"]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
