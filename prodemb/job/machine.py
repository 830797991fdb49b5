"""What prodemb runs on: packages, processors and how fast they multiply, memory and limits."""

import os
import platform
import re
import resource
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import torch
from packaging.requirements import Requirement

from prodemb import __version__
from prodemb.core.device import (
    DeviceName,
    choose_device,
    cpu_instructions,
    fastest_dtype,
    measured_flops,
    num_devices,
)
from prodemb.towers.unpack import HAS_SIMPLEJPEG

_FOR_DEVELOPERS = frozenset({"bench", "dev", "open_clip"})
_EXTRA = re.compile(r'extra == "([\w-]+)"')
_DRIVER = Path("/proc/driver/nvidia/version")
_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


@dataclass(frozen=True, kw_only=True)
class Package:
    """A package that prodemb imports."""

    name: str
    version: str | None
    """None where it is not installed."""
    wanted: str
    """Which versions: `>=2.4`."""
    extra: str | None
    """What it comes with if it is not always needed: `prodemb[extra]`."""

    @property
    def fits(self) -> bool:
        """Whether it is installed in a version that is wanted."""
        return self.version is not None and Requirement(f"x{self.wanted}").specifier.contains(
            self.version, prereleases=True
        )


@dataclass(frozen=True, kw_only=True)
class Device:
    """A processor that the towers may run on."""

    name: str
    """As torch calls it."""
    model: str
    instructions: str
    """The sets of a CPU that make it fast; of a GPU its compute capability."""
    num_cores: int | None
    """That this process may use; None of a GPU."""
    memory: int | None
    """Bytes of a GPU."""
    flops: dict[str, float]
    """Operations a second in matrix products, by number format."""
    dtype: str
    """The number format that `auto` takes."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """This machine, as this process sees it."""

    prodemb: str
    python: str
    system: str
    packages: tuple[Package, ...]
    devices: tuple[Device, ...]
    cuda: str | None
    """The version of CUDA that torch was built for."""
    gpu_driver: str | None
    """NVIDIA's driver, whether or not torch can use it."""
    has_simplejpeg: bool
    """Else Pillow decodes JPEGs."""
    memory: int
    """Bytes, as far as this process may use them."""
    free_memory: int | None
    max_open_files: int | None
    """None where there is no limit."""


def look_at_machine(device: DeviceName) -> Machine:
    """Look at everything, and measure the device's speed for some tenths of a second.

    Raises:
        ConfigError: the device is not there.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    memory = _memory()
    free = _free_memory()
    return Machine(
        prodemb=__version__,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        packages=packages_of(_requirements()),
        devices=tuple(_look_at(choose_device(device, index=index)) for index in range(num_devices(device))),
        cuda=torch.version.cuda,
        gpu_driver=_gpu_driver(),
        has_simplejpeg=HAS_SIMPLEJPEG,
        memory=memory,
        free_memory=None if free is None else min(free, memory),
        max_open_files=None if hard == resource.RLIM_INFINITY else hard,
    )


def packages_of(requirements: Iterable[str]) -> tuple[Package, ...]:
    """The packages that a distribution requires, those of extras for developers left out.

    Args:
        requirements: as `importlib.metadata.requires` gives them.
    """
    found = []
    for requirement in map(Requirement, requirements):
        in_extra = _EXTRA.search(str(requirement.marker))
        extra = None if in_extra is None else in_extra[1]
        if extra in _FOR_DEVELOPERS:
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            version = None
        wanted = str(requirement.specifier)
        found.append(Package(name=requirement.name, version=version, wanted=wanted, extra=extra))
    return tuple(found)


def _requirements() -> list[str]:
    try:
        return metadata.requires("prodemb") or []
    except metadata.PackageNotFoundError:  # it runs from a folder
        return []


def _look_at(device: torch.device) -> Device:
    flops = {_name(dtype): measured_flops(device, dtype) for dtype in (torch.float32, torch.bfloat16)}
    chosen = _name(fastest_dtype(device))
    if device.type == "cuda":
        found = torch.cuda.get_device_properties(device)
        return Device(
            name=str(device),
            model=found.name,
            instructions=f"{found.major}.{found.minor}",
            num_cores=None,
            memory=found.total_memory,
            flops=flops,
            dtype=chosen,
        )
    return Device(
        name=str(device),
        model=_cpu_model(),
        instructions=", ".join(cpu_instructions()),
        num_cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        memory=None,
        flops=flops,
        dtype=chosen,
    )


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _cpu_model() -> str:
    return _field(Path("/proc/cpuinfo"), "model name") or platform.processor() or platform.machine()


def _gpu_driver() -> str | None:
    try:
        found = re.search(r"\d+\.\d+(\.\d+)?", _DRIVER.read_text())
    except OSError:
        return None
    return found[0] if found else "unknown"


def _memory() -> int:
    """Bytes of memory; a container's limit where it has one."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in _CGROUP_LIMITS:
        try:
            limits.append(int(path.read_text()))
        except (OSError, ValueError):  # there is none, or it says "max"
            continue
    return min(limits)


def _free_memory() -> int | None:
    """Bytes that processes may still take; None where the system does not say."""
    found = _field(Path("/proc/meminfo"), "MemAvailable")
    return None if found is None else int(found.split()[0]) * 1024


def _field(path: Path, name: str) -> str | None:
    """The first value of a field in a file of the kernel's: `name : value`."""
    try:
        text = path.read_text()
    except OSError:
        return None
    found = re.search(rf"^{name}\s*:\s*(.+)$", text, flags=re.MULTILINE)
    return None if found is None else found[1]
