"""The settings of a pipeline by table and key, as docs and pipeline files name them."""

from typing import Any

from pydantic import BaseModel

from prodemb.job.pipeline import Pipeline


def settings_of(table: str) -> type[BaseModel] | dict[str, Any] | None:
    """The config class of a table such as `train.baselines`; an empty dictionary for a table of free keys."""
    config: type[BaseModel] = Pipeline
    for part in table.split("."):
        field = config.model_fields.get(part)
        if field is None:
            return None
        if not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            return {} if isinstance(field.get_default(call_default_factory=True), dict) else None
        config = field.annotation
    return config


def has_key(table: str, key: str) -> bool:
    """Whether a table has a key."""
    config = settings_of(table)
    return config == {} or (isinstance(config, type) and key in config.model_fields)
