"""What every bench shares in speaking: its options, the rows that failed, its tables, its JSON and its exit status."""

import argparse
import datetime
import json
import os
import platform
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import torch
from measure import RowError

from prodemb import __version__
from prodemb.core.errors import ProdembError

PACKAGES = ("torch", "transformers", "sentence-transformers", "tokenizers", "pillow", "simplejpeg", "pyarrow", "numpy")
INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")

Name = TypeVar("Name", bound=str)
T = TypeVar("T")


@dataclass(frozen=True)
class Failure:
    """A row without figures."""

    reason: str
    """One line."""


class Report:
    """The tables and figures of one run, and what failed in it."""

    def __init__(self, command: Sequence[str]) -> None:
        self.machine = machine() | {"command": shlex.join(["python", *command])}
        self.failed: dict[str, str] = {}
        self._figures: dict[str, Any] = {}
        self._parts: list[str] = []

    def attempt(self, row: str, measure: Callable[[], T]) -> T | Failure:
        """The row's figures; where it fails, the reason, which ends the run with exit status 1 after the other rows."""
        try:
            return measure()
        except Exception as error:
            text = str(error) if isinstance(error, (RowError, ProdembError)) else f"{type(error).__name__}: {error}"
            return self.fail(row, text)

    def fail(self, row: str, reason: str) -> Failure:
        """A row that failed for this reason."""
        failure = Failure((reason.strip().splitlines() or ["no reason given"])[0])
        self.failed[row] = failure.reason
        print(f"{row}: FAILED: {failure.reason}", file=sys.stderr)
        return failure

    def add(self, text: str, **figures: object) -> None:
        """A paragraph or table to print, and the figures in it for the JSON."""
        self._parts.append(text)
        self._figures |= figures

    def as_text(self) -> str:
        """The machine, all tables, and a line for each failed row."""
        failed = "\n".join(f"FAILED {row}: {reason}" for row, reason in self.failed.items())
        return "\n\n".join(part for part in (headline(self.machine), *self._parts, failed) if part)

    def as_json(self) -> str:
        """The same as one object."""
        return json.dumps({"machine": self.machine, **self._figures, "failed": self.failed}, indent=2, default=asdict)


def options_parser(doc: str | None) -> argparse.ArgumentParser:
    """A parser with the options that every bench has."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    return parser


@contextmanager
def reporting(options: argparse.Namespace) -> Iterator[Report]:
    """The report of one run: printed at the end; exit status 1 where a row failed or an input cannot be read."""
    report = Report(sys.argv)
    try:
        yield report
    except ProdembError as error:
        sys.exit(f"{error}")
    text = report.as_text()
    print(report.as_json() if options.json else text)
    if report.failed:
        sys.exit(1)


def table(columns: Sequence[str], rows: Mapping[Name, T | Failure], *, cells: Callable[[T], Sequence[str]]) -> str:
    """Lines of aligned cells, one line per row: its name to the left, its cells to the right; or why it failed."""
    lines: dict[str, list[str] | Failure] = {
        name: row if isinstance(row, Failure) else [name, *cells(row)] for name, row in rows.items()
    }
    whole = [list(columns), *(line for line in lines.values() if not isinstance(line, Failure))]
    widths = [max(len(line[column]) for line in whole) for column in range(len(columns))]
    widths[0] = max([widths[0], *map(len, lines)])

    def aligned(line: Sequence[str]) -> str:
        numbers = [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        return "  ".join([line[0].ljust(widths[0]), *numbers]).rstrip()

    body = [
        f"{name.ljust(widths[0])}  FAILED: {line.reason}" if isinstance(line, Failure) else aligned(line)
        for name, line in lines.items()
    ]
    return "\n".join([aligned(columns), *body])


def figure(value: float | None, *, digits: int = 2) -> str:
    """A number for a table; a dash where there is none."""
    return "-" if value is None else f"{value:,.{digits}f}"


def machine() -> dict[str, object]:
    """The date, the processor, its load, memory and the versions."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _of_processor("model name") or platform.processor() or "unknown processor",
        "num_cores": os.cpu_count(),
        "instructions": [name for name in INSTRUCTIONS if name in _of_processor("flags").split()],
        "memory_gb": round(memory / 1e9),
        "load": round(os.getloadavg()[0], 1),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "num_threads": torch.get_num_threads(),
        "versions": {"prodemb": __version__, "python": platform.python_version()} | _versions(),
    }


def headline(about: dict[str, Any]) -> str:
    """`machine()` and the command in two lines."""
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    gpu = f", {about['gpu']}" if about["gpu"] else ""
    cores = f"{about['num_cores']} cores ({', '.join(about['instructions'])}), load {about['load']}"
    hardware = f"{about['system']}, {about['cpu']}, {cores}, {about['memory_gb']} GB{gpu}"
    return f"{about['command']}\n{about['date']}, {hardware}, {about['num_threads']} threads; {versions}"


def _of_processor(name: str) -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
