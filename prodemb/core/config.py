"""The base of every part's config: keyword-only, frozen, no unknown keys, errors in one line."""

import difflib
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from prodemb.core.errors import ConfigError

_MOST_SHOWN = 3
_LONGEST_SHOWN = 200


class Config(BaseModel):
    """A frozen table of settings. Every default stands here, in the part that owns it, and nowhere else."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True, allow_inf_nan=False
    )

    @classmethod
    def parse(cls, values: dict[str, Any], *, source: str) -> Self:
        """Build the config from plain values.

        Raises:
            ConfigError: a key is unknown or a value does not fit; the message names `source`, key, value and want.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            details = error.errors()
            more = f"; and {len(details) - _MOST_SHOWN} more" if len(details) > _MOST_SHOWN else ""
            shown = "; ".join(_explain(cls, detail, source=source) for detail in details[:_MOST_SHOWN])
            raise ConfigError(shown + more) from None


def _explain(config: type[BaseModel], detail: Any, *, source: str) -> str:
    """One pydantic error as `source: [table] key: what was found, what is wanted`."""
    *tables, key = (str(part) for part in detail["loc"]) if detail["loc"] else ("",)
    where = f"{source}: [{'.'.join(tables)}] {key}" if tables else f"{source}: {key}".removesuffix(": ")
    if detail["type"] == "extra_forbidden":
        known = _fields_at(config, tables)
        close = difflib.get_close_matches(key, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known here: {', '.join(known)}"
        return f"{where}: no such key; {hint}"
    if detail["type"] == "missing":
        return f"{where}: found nothing, wanted a value"
    wanted = str(detail["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    found = "" if detail["type"] == "value_error" else f"found {_shown(detail['input'])}, "
    return f"{where}: {found}wanted {wanted}" if detail["type"] != "value_error" else f"{where}: {wanted}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def _fields_at(config: type[BaseModel], tables: list[str]) -> list[str]:
    """The keys that the table at the path `tables` may hold."""
    for table in tables:
        field = config.model_fields.get(table)
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        config = inner
    return list(config.model_fields)
