"""A pipeline: all settings of one target, from catalog to predictions, as one TOML file holds them."""

import difflib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import model_validator

from prodemb.aliases.config import BrandsConfig
from prodemb.audit.config import AuditConfig
from prodemb.brand.fit import FuseConfig
from prodemb.catalog.images import ImagesConfig
from prodemb.catalog.reader import CatalogConfig
from prodemb.category.config import VoicesConfig
from prodemb.core.bounded import read_toml
from prodemb.core.config import Config
from prodemb.core.errors import ConfigError
from prodemb.embed.config import EmbedConfig
from prodemb.finetune.finetune import FinetuneConfig
from prodemb.heads.aggregate import AggregateConfig
from prodemb.heads.labels import Target
from prodemb.heads.network import HeadConfig
from prodemb.heads.train import TrainConfig
from prodemb.label.config import LabelConfig
from prodemb.predict.config import PredictConfig
from prodemb.score.score import ScoreConfig
from prodemb.serve.config import ServeConfig
from prodemb.storage.address import is_place_address, place
from prodemb.storage.desk import folder_to_read

PIPELINES = Path("pipelines")
"""Where a project keeps its pipeline files."""

_FILES = frozenset({"out", "cache", "shards", "aliases", "model", "labels", "taxonomy", "label_taxonomy", "mapping"})
"""Keys, in any table, that name a file or a folder."""
_MAY_BE_IN_BUCKET = frozenset(
    {
        *(("embed", "model"), ("brands", "aliases"), ("finetune", "out"), ("score", "out")),
        *(("train", key) for key in ("out", "labels", "taxonomy", "label_taxonomy", "mapping")),
    }
)
"""Tables and keys of those that may be addresses of a bucket."""

Values = Mapping[str, Mapping[str, Any]]
"""Settings by table and key."""


class Pipeline(Config):
    """One table per part; each part's defaults are in its own config class."""

    target: Target
    """What the head answers: `brand` or `category`."""
    catalog: CatalogConfig = CatalogConfig()
    images: ImagesConfig = ImagesConfig()
    embed: EmbedConfig = EmbedConfig()
    brands: BrandsConfig = BrandsConfig()
    aggregate: AggregateConfig = AggregateConfig()
    head: HeadConfig = HeadConfig()
    train: TrainConfig = TrainConfig()
    fuse: FuseConfig = FuseConfig()
    voices: VoicesConfig = VoicesConfig()
    finetune: FinetuneConfig = FinetuneConfig()
    score: ScoreConfig = ScoreConfig()
    audit: AuditConfig = AuditConfig()
    predict: PredictConfig = PredictConfig()
    label: LabelConfig = LabelConfig()
    serve: ServeConfig = ServeConfig()

    @model_validator(mode="after")
    def _originals_stay(self) -> Self:
        if Path(self.finetune.shards) == Path(self.embed.out):
            raise ValueError(
                f"[finetune] shards and [embed] out are both {self.embed.out!r}; wanted two folders, so that "
                "the original shards are kept"
            )
        return self

    @model_validator(mode="after")
    def _files_are_here(self) -> Self:
        for table, settings in self.model_dump(exclude={"target", "catalog"}).items():
            for key in _FILES & settings.keys():
                if "://" in str(settings[key]):
                    _check_address(str(settings[key]), table=table, key=key)
        return self

    @property
    def head_folder(self) -> Path:
        """The folder of the head that scoring uses; without one, a category pipeline's `frozen_head_folder`."""
        return folder_to_read(self.head_name)

    @property
    def frozen_head_folder(self) -> Path:
        """The folder of the category head that `run` trains on CLIP as published, beside the fine-tuned one."""
        return folder_to_read(self.frozen_head_name)

    @property
    def head_name(self) -> str:
        """The folder of the head as it is set: a path or an address."""
        return (self.train.out or f"heads/{self.target}").rstrip("/")

    @property
    def frozen_head_name(self) -> str:
        """The same of `frozen_head_folder`."""
        return f"{self.head_name}-frozen"

    def replaced(self, values: Values, *, source: str) -> "Pipeline":
        """This pipeline with some settings replaced; values that are None are ignored.

        Raises:
            ConfigError: a value does not fit.
        """
        merged: dict[str, Any] = self.model_dump(mode="json", exclude_unset=True) | {"target": self.target}
        for table, settings in values.items():
            given = {key: value for key, value in settings.items() if value is not None}
            if given:
                merged[table] = merged.get(table, {}) | given
        return Pipeline.parse(merged, source=source)


def read_pipeline(path: Path) -> Pipeline:
    """Read a pipeline file.

    Raises:
        ConfigError: there is no such file, it is not TOML, or a key or value does not fit; the line names it.
    """
    try:
        values = read_toml(path)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such pipeline file{_close_files(path)}") from None
    except ValueError as error:
        raise ConfigError(f"{path}: not a TOML file: {error}") from None
    return Pipeline.parse(values, source=str(path))


def own_pipeline(target: Target) -> Pipeline:
    """The project's pipeline for a target: `pipelines/<target>.toml` if there is one, else all defaults.

    Raises:
        ConfigError: the file exists but cannot be used, or is for the other target.
    """
    path = PIPELINES / f"{target}.toml"
    if not path.is_file():
        return Pipeline(target=target)
    pipeline = read_pipeline(path)
    if pipeline.target != target:
        raise ConfigError(f"{path}: target: found {pipeline.target!r}, wanted {target!r}")
    return pipeline


def agreed(brand: Pipeline, category: Pipeline, *, table: str, keys: Collection[str], why: str) -> dict[str, Any]:
    """What the pipelines say of these settings of a table: those that either sets.

    Args:
        why: what there is one of, so that they must agree.

    Raises:
        ConfigError: they say different things of one.
    """
    found: dict[str, Any] = {}
    for key in keys:
        tables = [getattr(each, table) for each in (brand, category)]
        said = [getattr(each, key) for each in tables if key in each.model_fields_set]
        if said and said[0] != said[-1]:
            raise ConfigError(
                f"[{table}] {key}: found {said[0]} in the brand pipeline and {said[1]} in the category pipeline; "
                f"wanted one value, since {why}"
            )
        if said:
            found[key] = said[0]
    return found


def _check_address(text: str, *, table: str, key: str) -> None:
    """Raise ValueError for a setting that is no address of a bucket, or of one that may not be; it is not shown."""
    named = [f"[{each}] {name}" for each, name in sorted(_MAY_BE_IN_BUCKET)]
    if not is_place_address(text):  # it may hold a password or a signature
        raise ValueError(f"[{table}] {key}: found a URL, wanted a local path")
    if (table, key) not in _MAY_BE_IN_BUCKET:
        raise ValueError(
            f"[{table}] {key}: found an address, wanted a local path; addresses may stand in [catalog] path and "
            f"image_root, {', '.join(named)}"
        )
    try:
        place(text)
    except ConfigError as error:
        raise ValueError(f"[{table}] {key}: {error}") from None


def _close_files(path: Path) -> str:
    """A hint at files nearby."""
    folder = path.parent if path.parent.is_dir() else PIPELINES
    found = folder.glob("*.toml") if folder.is_dir() else ()
    names = sorted(str(p) for p in found if p.name != "pyproject.toml")
    if not names:
        return "; `prodemb init CATALOG` writes one for your own catalog"
    close = difflib.get_close_matches(str(path), names, n=1, cutoff=0.4)
    return f"; did you mean {close[0]}?" if close else f"; found {', '.join(names)}"
