"""The machine that figures are from, and figures as a plain-text table."""

import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from prodemb import __version__

PACKAGES = ("torch", "transformers", "sentence-transformers", "tokenizers", "pillow", "simplejpeg", "pyarrow", "numpy")


def machine() -> dict[str, object]:
    """Processor, threads and versions."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "num_threads": torch.get_num_threads(),
        "versions": {"prodemb": __version__, "python": platform.python_version()} | _versions(),
    }


def headline(about: dict[str, object]) -> str:
    """`machine()` in one line."""
    versions = about["versions"]
    assert isinstance(versions, dict)
    names = ", ".join(f"{name} {number}" for name, number in versions.items())
    gpu = f", {about['gpu']}" if about["gpu"] else ""
    return f"{about['system']}, {about['cpu']}{gpu}, {about['num_threads']} threads; {names}"


def table(columns: Sequence[str], *, rows: Sequence[Sequence[str]]) -> str:
    """Lines of aligned cells: the first column to the left, the others to the right."""
    widths = [max(len(row[place]) for row in (columns, *rows)) for place in range(len(columns))]
    lines = []
    for row in (columns, *rows):
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def figure(value: float | None, *, digits: int = 2) -> str:
    """A number for a table; a dash where there is none."""
    return "-" if value is None else f"{value:,.{digits}f}"


def _cpu() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown processor"


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
