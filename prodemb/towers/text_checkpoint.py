"""A text encoder in sentence-transformers' folder format: found, held to what prodemb computes, and its fingerprint.

`modules.json` lists what a text goes through: an encoder of transformers, pooling, and layers behind it. A folder
without it is an encoder alone, whose tokens are averaged, as sentence-transformers does. Loads no model.
Source: sbert.net, Creating Custom Models, Structure of Sentence Transformer Models.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from prodemb.core.bounded import read_json
from prodemb.core.errors import ModelError
from prodemb.core.files import sha256_of
from prodemb.towers.checkpoint import MAX_NUMBER, WEIGHTS, check_folder, check_sizes, files_of, locate

Pooling = Literal["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]
"""What makes one vector of those of the tokens; several are put side by side."""

LayerKind = Literal["Dense", "LayerNorm", "Normalize", "Dropout"]
"""What may stand behind the pooling; Dropout does nothing but in training."""

TEXT_ENCODING_VERSION = 1
"""Raise it when prodemb's own tokenising or pooling changes what a vector is."""

MAX_MODULES = 16
MAX_DIM = 65_536
"""Most numbers in a vector."""

_MODULES = "modules.json"
_TASK = "feature-extraction"
_TEXT = {"method": "forward", "method_output_name": "last_hidden_state"}

_KNOWN = ("Transformer", "Pooling", *get_args(LayerKind))
_FLAGS: dict[str, Pooling] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""How pooling is written down before sentence-transformers 5.5, in the order in which the vectors stand."""
_HARMLESS = {"torch_dtype", "dtype", "attn_implementation", "add_pooling_layer"}
"""Arguments for the model that change no vector."""
_MODULE_WEIGHTS = ("*/model.safetensors", "*/model-*.safetensors", "*/model.safetensors.index.json")


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One module behind the pooling."""

    kind: LayerKind
    folder: Path
    config: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class TextCheckpoint:
    """A local folder that holds a text encoder."""

    name: str
    """As the user gave it, as of `prodemb.towers.checkpoint.Checkpoint`."""
    folder: Path
    encoder: Path
    """The folder of the encoder, which may be the same."""
    config: dict[str, Any]
    """The encoder's config.json."""
    max_length: int | None = None
    """Tokens that are read of a text; where it is not said, what the tokenizer and the encoder take."""
    lowercase: bool = False
    prompt: str = ""
    """Stands before each text."""
    pooling: tuple[Pooling, ...] = ("mean",)
    pools_prompt: bool = True
    """Whether the prompt's tokens count in pooling."""
    pooling_folder: Path | None = None
    layers: tuple[Layer, ...] = ()

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits over the bytes of weights, config, tokenizer and modules; as a CLIP's."""
        digest = hashlib.sha256(f"text encoding {TEXT_ENCODING_VERSION}\n".encode())
        modules = [self.pooling_folder] if self.pooling_folder is not None else []
        modules += [layer.folder for layer in self.layers]
        for path in sorted({path for folder in (self.folder, self.encoder, *modules) for path in files_of(folder)}):
            digest.update(f"{path.relative_to(self.folder).as_posix()} {sha256_of(path)}\n".encode())
        return digest.hexdigest()[:16]


def find_text_checkpoint(model: str, *, revision: str | None = None, fetch: bool = True) -> TextCheckpoint:
    """The text encoder called `model`: a folder, or a hub id (downloaded once into Hugging Face's cache).

    Args:
        fetch: whether what the cache lacks is downloaded.

    Raises:
        NotFetchedError: the cache lacks it, and nothing is to be downloaded.
        ModelError: nothing is there, it has no safetensors weights, or a module that prodemb does not compute.
    """
    name, folder = locate(model, revision=revision, key="text_model", weights=(*WEIGHTS, *_MODULE_WEIGHTS), fetch=fetch)
    check_sizes(folder)
    if not (folder / _MODULES).is_file():
        return TextCheckpoint(name=name, folder=folder, **_encoder(folder))
    (_, encoder), (_, pooling), *layers = _modules(folder / _MODULES)
    return TextCheckpoint(
        name=name,
        folder=folder,
        **_encoder(encoder),
        prompt=_prompt(folder / "config_sentence_transformers.json"),
        pooling_folder=pooling,
        **_pooling(pooling / "config.json"),
        layers=tuple(_layer(kind, folder=each) for kind, each in layers),
    )


def _modules(path: Path) -> list[tuple[str, Path]]:
    """The kind and folder of each module of a modules.json: encoder, pooling, and what stands behind them."""
    entries = _read(path)
    if not isinstance(entries, list) or not 2 <= len(entries) <= MAX_MODULES:
        raise ModelError(f"{path}: wanted a list of 2 to {MAX_MODULES} modules")
    modules = [_module(entry, path=path) for entry in entries]
    kinds = [kind for kind, _ in modules]
    if kinds[:2] != ["Transformer", "Pooling"] or not {*kinds[2:]} <= {*get_args(LayerKind)}:
        raise ModelError(
            f"{path}: found the modules {', '.join(kinds)}; wanted Transformer, Pooling, and behind them any of "
            f"{', '.join(get_args(LayerKind))}"
        )
    return modules


def _module(entry: Any, *, path: Path) -> tuple[str, Path]:
    name, where = (str(entry.get(key, "")) if isinstance(entry, dict) else "" for key in ("type", "path"))
    kind = name.rpartition(".")[2]
    if not name.startswith("sentence_transformers.") or kind not in _KNOWN:
        raise ModelError(f"{path}: found the module {name!r}; wanted sentence-transformers' own {', '.join(_KNOWN)}")
    if not re.fullmatch(r"(\w[\w.-]*)?/?", where):
        raise ModelError(f"{path}: {kind}: found the path {where!r}, wanted a folder beside it")
    return kind, path.parent / where


def _encoder(folder: Path) -> dict[str, Any]:
    """The encoder's folder, its config, and how it reads texts."""
    config = _table(folder / "config.json")
    check_folder(folder, config=config)
    path = next((path for path in sorted(folder.glob("sentence_*_config.json")) if path.is_file()), None)
    values = {} if path is None else _table(path)
    max_length, modality = values.get("max_seq_length"), values.get("modality_config") or {"text": _TEXT}
    if max_length is not None and not (isinstance(max_length, int) and 0 < max_length <= MAX_NUMBER):
        raise ModelError(f"{path}: max_seq_length: found {max_length!r}, wanted a number of tokens")
    if (
        values.get("transformer_task", _TASK) != _TASK
        or not isinstance(modality, dict)
        or modality.get("text") != _TEXT
    ):
        raise ModelError(f"{path}: found an encoder that is not asked for its tokens' last vectors; wanted {_TASK!r}")
    for key, own in values.items():
        if key.endswith(("_args", "_kwargs")) and own and not (isinstance(own, dict) and {*own} <= _HARMLESS):
            raise ModelError(f"{path}: {key}: found {own!r}, wanted none: it is not known what that changes")
    lowercase = bool(values.get("do_lower_case", False))
    return {"encoder": folder, "config": config, "max_length": max_length, "lowercase": lowercase}


def _pooling(path: Path) -> dict[str, Any]:
    values = _table(path)
    modes = values.get("pooling_mode") or [mode for flag, mode in _FLAGS.items() if values.get(flag)] or ["mean"]
    modes = [modes] if isinstance(modes, str) else modes
    if not isinstance(modes, list) or not all(mode in get_args(Pooling) for mode in modes):
        raise ModelError(f"{path}: pooling_mode: found {modes!r}, wanted any of {', '.join(get_args(Pooling))}")
    return {"pooling": tuple(modes), "pools_prompt": bool(values.get("include_prompt", True))}


def _prompt(path: Path) -> str:
    """What stands before a text where nobody says which prompt to take."""
    values = _table(path) if path.is_file() else {}
    name, prompts = values.get("default_prompt_name"), values.get("prompts") or {}
    if name is None:
        return ""
    if not isinstance(prompts, dict) or not isinstance(prompts.get(name), str):
        raise ModelError(f"{path}: default_prompt_name: found {name!r}, wanted one of the prompts")
    return str(prompts[name])


def _layer(kind: str, *, folder: Path) -> Layer:
    config = {} if kind in ("Normalize", "Dropout") else _table(folder / "config.json")
    for key in ("in_features", "out_features", "dimension"):
        size = config.get(key, 1)
        if not (isinstance(size, int) and 0 < size <= MAX_DIM):
            raise ModelError(f"{folder / 'config.json'}: {key}: found {size!r}, wanted 1 to {MAX_DIM:,} numbers")
    for key in ("module_input_name", "module_output_name"):
        if config.get(key) not in (None, "sentence_embedding"):
            raise ModelError(f"{folder / 'config.json'}: {key}: found {config[key]!r}, wanted 'sentence_embedding'")
    if config:
        check_sizes(folder)
        if not (folder / "model.safetensors").is_file():
            raise ModelError(f"{folder}: no model.safetensors; only safetensors weights are read")
    return Layer(kind=next(each for each in get_args(LayerKind) if each == kind), folder=folder, config=config)


def _table(path: Path) -> dict[str, Any]:
    values = _read(path)
    if not isinstance(values, dict):
        raise ModelError(f"{path}: wanted a JSON object")
    return values


def _read(path: Path) -> Any:
    try:
        return read_json(path)
    except OSError:
        raise ModelError(
            f"{path.parent}: no {path.name}; wanted a text encoder in sentence-transformers' or transformers' format"
        ) from None
    except ValueError as error:
        raise ModelError(f"{path}: not JSON ({error})") from None
