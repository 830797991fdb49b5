"""The manner that a command speaks in, decided in one place: for a person, quietly, or as JSON lines."""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from prodemb.core.errors import ConfigError

Manner = Literal["human", "quiet", "json"]

_PANEL = "Output"
_ADDRESS = re.compile(r"(s3|gs|az|file):/", re.IGNORECASE)
_chosen: list[Manner] = []
"""That of the command that is running; empty where none is."""


def manner() -> Manner:
    """How to speak now."""
    return _chosen[-1] if _chosen else "human"


@contextmanager
def speaking() -> Iterator[None]:
    """Run a command: it speaks to a person until an option says otherwise, which is forgotten at its end."""
    _chosen.append("human")
    try:
        yield
    finally:
        _chosen.clear()


def expect(arguments: Sequence[str]) -> None:
    """Speak JSON, where an argument asks for it, before arguments are parsed: also of what is wrong with these."""
    if "--log-json" in arguments:
        _choose("json")


def _choose(wanted: Manner) -> None:
    if not _chosen:
        return  # arguments are parsed, but nothing is run
    if _chosen[-1] not in ("human", wanted):
        raise typer.BadParameter("found both --quiet and --log-json, wanted one of them")
    _chosen[-1] = wanted


def _choose_quiet(is_given: bool) -> None:
    if is_given:
        _choose("quiet")


def _choose_json(is_given: bool) -> None:
    if is_given:
        _choose("json")


QuietOption = Annotated[
    bool,
    typer.Option(
        "--quiet",
        callback=_choose_quiet,
        help="Print only what was asked for, warnings and errors.",
        rich_help_panel=_PANEL,
    ),
]
JsonOption = Annotated[
    bool,
    typer.Option(
        "--log-json",
        callback=_choose_json,
        help="Print one JSON object per line and event on stdout, and nothing else.",
        rich_help_panel=_PANEL,
    ),
]


def _check_local(values: Mapping[str, object]) -> None:
    """Raise ConfigError for an address where a command takes a local path alone; paths lose one of its slashes."""
    for name, value in values.items():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, Path) and _ADDRESS.match(str(each)):
                raise ConfigError(f"{name}: found an address, wanted a local path: this command takes no address here")


def with_manners(command: Callable[..., None]) -> Callable[..., None]:
    """A command that takes the options of this module behind its own."""

    options = {"quiet": QuietOption, "log_json": JsonOption}

    @wraps(command)
    def spoken(**values: Any) -> None:
        own = {name: value for name, value in values.items() if name not in options}
        _check_local(own)
        from prodemb.storage.desk import at_desk  # not loaded for `--help`

        with at_desk():
            command(**own)

    signature = inspect.signature(command)
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=annotation)
        for name, annotation in options.items()
    ]
    spoken.__annotations__ = command.__annotations__ | options
    spoken.__signature__ = signature.replace(parameters=[*signature.parameters.values(), *added])  # type: ignore[attr-defined]
    return spoken
