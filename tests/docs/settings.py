"""The settings of a pipeline by table and key, as docs and pipeline files name them."""

import re
from typing import Any

from pydantic import BaseModel

from prodemb.job.pipeline import Pipeline

RENAMES = {
    "mode": ("aggregate", "kind"),
    "hidden_layer_sizes": ("head", "hidden"),
    "mini_batch_size": ("finetune", "chunk_size"),
    "patch_dropout": ("finetune", "seen_patches"),
    "save_steps": ("finetune", "save_every"),
    "wise_ft_alphas": ("finetune", "interpolation"),
    "trainable": ("finetune", "trained"),
    "sampling_alpha": ("finetune", "balance"),
}
"""Keys that docs already call by their next name, with their table and the name of today; to go with the renaming."""


def by_names_of_today(text: str) -> str:
    """A pipeline file with the keys that its config classes have today."""
    for name, (table, today) in RENAMES.items():
        if not _has(table, name):
            text = re.sub(rf"^((?:# )?){name}(?= = )", rf"\g<1>{today}", text, flags=re.MULTILINE)
    return text


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
    return _has(table, key) or (key in RENAMES and _has(*RENAMES[key]))


def _has(table: str, key: str) -> bool:
    config = settings_of(table)
    return config == {} or (isinstance(config, type) and key in config.model_fields)
