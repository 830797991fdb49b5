"""The shipped pipeline files list every setting, and what their comments call the default is the default."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from prodemb.job.pipeline import Pipeline
from tests.docs.pages import ROOT
from tests.docs.settings import settings_of

PIPELINES = sorted((ROOT / "pipelines").glob("*.toml"))


def uncommented(path: Path) -> dict[str, Any]:
    """The values of a pipeline file with every commented setting switched on."""
    return tomllib.loads(re.sub(r"^# (?=\w+ = )", "", path.read_text(), flags=re.MULTILINE))


def commented(path: Path) -> Iterator[tuple[str, str, Any]]:
    """Table, key and value of each commented setting."""
    table, values = "", uncommented(path)
    for line in path.read_text().splitlines():
        if header := re.match(r"\[([\w.]+)\]", line):
            table = header[1]
        if setting := re.match(r"# (\w+) = ", line):
            inner = values
            for part in table.split("."):
                inner = inner[part]
            yield table, setting[1], inner[setting[1]]


def keys_of(values: dict[str, Any], *, config: type[BaseModel], table: str = "") -> Iterator[str]:
    """The names of all settings in `values`, as `table.key`."""
    for key, value in values.items():
        inner = settings_of(f"{table}.{key}".lstrip("."))
        if isinstance(inner, type) and isinstance(value, dict):
            yield from keys_of(value, config=inner, table=f"{table}.{key}".lstrip("."))
        else:
            yield f"{table}.{key}".lstrip(".")


def all_keys(config: type[BaseModel], *, table: str = "") -> Iterator[str]:
    """The names of all settings that there are."""
    for key in config.model_fields:
        name = f"{table}.{key}".lstrip(".")
        inner = settings_of(name)
        if isinstance(inner, type):
            yield from all_keys(inner, table=name)
        else:
            yield name


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.name)
def test_commented_settings_fit_and_show_the_defaults(path: Path) -> None:
    defaults = Pipeline(target="category").model_dump(mode="json")
    Pipeline.parse(uncommented(path), source=path.name)
    for table, key, value in commented(path):
        default: Any = defaults
        for part in (*table.split("."), key):
            default = default[part]
        # Where the default is to have none, the comment is an example.
        assert default in (None, {}, []) or value == default, f"{path.name}: [{table}] {key}: default {default!r}"


def test_together_they_list_every_setting() -> None:
    listed = {key for path in PIPELINES for key in keys_of(uncommented(path), config=Pipeline)}
    assert listed == set(all_keys(Pipeline))
