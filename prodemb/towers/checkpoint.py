"""Finding a checkpoint's folder, holding it to what prodemb loads, and its fingerprint. Loads no model."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from prodemb.bundled import CLIP_FOLDER
from prodemb.core.bounded import check_tensor_header, read_json
from prodemb.core.errors import ModelError, NotFetchedError
from prodemb.core.files import sha256_of
from prodemb.storage.address import is_place_address
from prodemb.storage.desk import folder_to_read

BUNDLED = "bundled"
"""The name of the tiny CLIP that ships with prodemb."""

PREPROCESSING_VERSION = 2
"""Raise it when prodemb's own cleaning, tokenising or picture decoding changes what a vector is."""

MAX_LAYERS = 1_000
MAX_NUMBER = 10_000_000
"""More than this is in no config.json of a dual encoder."""

MAX_SETTINGS_BYTES = 256 << 20
"""Most bytes of a tokenizer or any other settings file; SigLIP 2's tokenizer has 34 million."""

OPEN_CLIP_CONFIG = "open_clip_config.json"
"""What open_clip puts beside its weights."""

_INDEX = "model.safetensors.index.json"
WEIGHTS = ("model.safetensors", "model-*.safetensors", _INDEX)
_WEIGHTS_FILE = re.compile(r"[\w.-]+\.safetensors")
_TOWERS = ("text_config", "vision_config")
_SETTINGS = ("*.json", "*.txt", "*.model")
FINETUNE_REPORT = "finetune.json"
"""The report in a checkpoint folder that prodemb's fine-tuning wrote, and the mark that the folder is done."""
_NOT_SETTINGS = ("*.index.json", "trainer_state.json", "finetune*.json", "README*")


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A local folder in Hugging Face's format that holds a dual encoder."""

    name: str
    """As the user gave it: a path, a hub id, or `bundled`; with `./` before a folder that looks like a hub id."""
    folder: Path
    config: dict[str, Any]
    """The folder's config.json."""
    truncate_dim: int | None = None
    """Numbers that are kept of each vector, the first ones; all of them where it is None."""

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits over the bytes of weights, config, tokenizer and preprocessor files.

        The number format and device of a run do not count: bfloat16 and float32 vectors of one checkpoint may stand
        in one shard set (cosine above 0.999).
        """
        digest = hashlib.sha256(f"preprocessing {PREPROCESSING_VERSION}\n".encode())
        for path in self.files():
            digest.update(f"{path.name} {sha256_of(path)}\n".encode())
        if self.truncate_dim is not None:
            digest.update(f"truncated to {self.truncate_dim}\n".encode())
        return digest.hexdigest()[:16]

    @property
    def is_fine_tuned(self) -> bool:
        """Whether prodemb's fine-tuning wrote it."""
        return (self.folder / FINETUNE_REPORT).is_file()

    def files(self) -> list[Path]:
        """The files that decide what a vector is, by name."""
        return files_of(self.folder)


def find_checkpoint(
    model: str, *, revision: str | None = None, truncate_dim: int | None = None, fetch: bool = True
) -> Checkpoint:
    """The checkpoint called `model`: `bundled`, a folder, a bucket's too, or a hub id (downloaded once into Hugging
    Face's cache).

    Args:
        fetch: without it the hub is not asked, and only its cache counts.

    Raises:
        NotFetchedError: it is not in the cache, and is not to be fetched.
        ModelError: nothing is there, it has no safetensors weights, or it is not a dual encoder.
    """
    name, folder = (model, CLIP_FOLDER) if model == BUNDLED else locate(model, revision=revision, fetch=fetch)
    return Checkpoint(name=name, folder=folder, config=_read_config(folder, name=name), truncate_dim=truncate_dim)


def locate(
    model: str, *, revision: str | None, key: str = "model", weights: Sequence[str] = WEIGHTS, fetch: bool = True
) -> tuple[str, Path]:
    """The name and folder of the checkpoint called `model`: a folder, or a hub id, which is fetched.

    Args:
        key: the setting that holds it, for errors.
        weights: as in `download`, as is `fetch`.

    Raises:
        ModelError: nothing is there.
    """
    if is_place_address(model):
        return model, _folder_at(model, key=key)
    if Path(model).is_dir():
        return as_folder(model), Path(model)
    if _looks_like_a_path(model):
        raise ModelError(
            f"{key}: found {model!r}, but there is no such folder ({Path(model).absolute()}); wanted a "
            "checkpoint folder or hub id"
        )
    return model, download(model, revision=revision, key=key, weights=weights, fetch=fetch)


def _folder_at(model: str, *, key: str) -> Path:
    """The folder of a checkpoint in a bucket, fetched to the cache where it is not there yet."""
    folder = folder_to_read(model)
    if not folder.is_dir():
        raise ModelError(f"{key}: found {model!r}, but there is no such folder; wanted that of a checkpoint")
    return folder


def as_folder(model: str) -> str:
    """The name of a folder as one that is no hub id, nor `bundled`: with `./` before it where it looks like one."""
    return model if _looks_like_a_path(model) or is_place_address(model) else f"./{model}"


def files_of(folder: Path) -> list[Path]:
    """The weights and settings in a folder of transformers' format, by name."""
    found = {path for pattern in (*WEIGHTS, *_SETTINGS) for path in folder.glob(pattern)}
    ignored = {path for pattern in _NOT_SETTINGS for path in folder.glob(pattern)}
    return sorted(found - ignored)


def _looks_like_a_path(model: str) -> bool:
    return model.startswith((".", "/", "~")) or model.endswith("/") or model.count("/") > 1 or "\\" in model


def download(
    model: str,
    *,
    revision: str | None = None,
    key: str = "model",
    weights: Sequence[str] = WEIGHTS,
    fetch: bool = True,
) -> Path:
    """Fetch a hub repository's safetensors weights and settings; nothing that is code or pickle.

    Args:
        key: the setting that holds its id, for errors.
        weights: the names of weights to fetch, with `*` for any letters.
        fetch: without it the hub is not asked.

    Raises:
        NotFetchedError: it is not in the cache, and is not to be fetched.
        ModelError: there is no such repository, or it cannot be reached.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    at = f" at revision {revision!r}" if revision else ""
    try:
        patterns = [*weights, *_SETTINGS]
        folder = Path(snapshot_download(model, revision=revision, allow_patterns=patterns, local_files_only=not fetch))
    except HFValidationError:
        raise ModelError(f"{key}: found {model!r}; wanted a folder, or a hub id 'owner/name'") from None
    except LocalEntryNotFoundError:
        if not fetch:
            raise NotFetchedError(f"{key}: {model!r}{at} is no folder here, and not in the hub's cache") from None
        raise ModelError(
            f"{key}: {model!r}{at} is no folder in {Path.cwd()}, and the Hugging Face hub cannot be reached; "
            "wanted a checkpoint folder, or a hub id and a network"
        ) from None
    except RepositoryNotFoundError:
        raise ModelError(
            f"{key}: {model!r}{at} is no folder in {Path.cwd()}, and the Hugging Face hub shows no such repository; "
            "wanted a checkpoint folder or hub id"
        ) from None
    except (HfHubHTTPError, OSError) as error:
        first_line = str(error).strip().splitlines()[0]
        raise ModelError(f"{key}: cannot fetch {model!r}{at} from the Hugging Face hub: {first_line}") from None
    if not fetch and not any(True for pattern in weights for _ in folder.glob(pattern)):
        raise NotFetchedError(f"{key}: {model!r}{at} is not wholly in the hub's cache")
    return folder


def _read_config(folder: Path, *, name: str) -> dict[str, Any]:
    """The folder's config.json, once the folder is known to be a dual encoder with safetensors weights."""
    path = folder / "config.json"
    try:
        config = read_json(path)
    except FileNotFoundError:
        _refuse_open_clip(folder, name=name)
        raise ModelError(f"{folder}: no config.json; wanted a checkpoint folder in Hugging Face's format") from None
    except (ValueError, OSError) as error:
        raise ModelError(f"{path}: not JSON ({error})") from None
    if isinstance(config, dict) and config.get("model_type") == "flava":
        config["vision_config"] = config.get("image_config")
    if not isinstance(config, dict) or not all(isinstance(config.get(tower), dict) for tower in _TOWERS):
        _refuse_open_clip(folder, name=name)
        kind = config.get("model_type", "unknown") if isinstance(config, dict) else "unknown"
        raise ModelError(
            f"{folder}: found a model of type {kind!r}, which is not a dual encoder; "
            "wanted a text and a vision tower with one space, such as CLIP or SigLIP"
        )
    check_folder(folder, config=config)
    return config


def check_folder(folder: Path, *, config: dict[str, Any]) -> None:
    """Hold a folder in transformers' format to what is safe to load, before transformers sees it.

    Args:
        config: the folder's config.json.

    Raises:
        ModelError: it has no safetensors weights, absurd settings, or files that are none.
    """
    if not any(True for pattern in WEIGHTS[:2] for _ in folder.glob(pattern)):
        raise ModelError(
            f"{folder}: no model.safetensors; only safetensors weights are read (for a hub id, try a revision that "
            "has them, such as 'refs/pr/1', or save the model once with save_pretrained)"
        )
    _refuse_absurd(config, path=folder / "config.json")
    check_sizes(folder)
    _check_index(folder / _INDEX)


def _refuse_open_clip(folder: Path, *, name: str) -> None:
    """Raise ModelError where the folder is an open_clip checkpoint, which transformers does not load."""
    if (folder / OPEN_CLIP_CONFIG).is_file():
        out = f"checkpoints/{Path(name).name}"
        raise ModelError(
            f"{name}: found an open_clip checkpoint ({OPEN_CLIP_CONFIG}), wanted Hugging Face's format; convert it "
            f'once with `prodemb convert {name} {out}`, and use model = "{out}"'
        )


def _refuse_absurd(config: dict[str, Any], *, path: Path) -> None:
    """Refuse code that would be fetched, and numbers of which a model would be built before the weights are seen."""
    towers = {key: values for key, values in config.items() if isinstance(values, dict)}
    for tower, values in {"": config, **towers}.items():
        for key, value in values.items():
            if key.endswith("attn_implementation") and "/" in str(value):
                raise ModelError(f"{path}: {key}: found {value!r}, which is code to be fetched; wanted none")
            limit = MAX_LAYERS if key.endswith(("layers", "n_layer")) else MAX_NUMBER
            if isinstance(value, int) and value > limit:
                raise ModelError(f"{path}: {tower} {key}: found {value:,}, wanted at most {limit:,}")


def check_sizes(folder: Path) -> None:
    """Refuse files that would take long to read, or forever, before transformers reads them."""
    for pattern in _SETTINGS:
        for path in folder.glob(pattern):
            if not path.is_file() or path.stat().st_size > MAX_SETTINGS_BYTES:
                raise ModelError(f"{path}: wanted a regular file of at most {MAX_SETTINGS_BYTES:,} bytes")
    for path in folder.glob("*.safetensors"):
        try:
            check_tensor_header(path)
        except ValueError as error:
            raise ModelError(f"{path}: not a safetensors file: {error}") from None


def _check_index(path: Path) -> None:
    """Hold an index of several weight files to names of safetensors files in its own folder.

    transformers opens whatever it names, and unpickles what does not end in .safetensors.
    """
    if not path.is_file():
        return
    try:
        names = set(read_json(path)["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ModelError(f"{path}: not an index of weights: no table 'weight_map' of file names") from None
    for name in names:
        if not (isinstance(name, str) and _WEIGHTS_FILE.fullmatch(name)):
            raise ModelError(f"{path}: found the weights {name!r}, wanted safetensors files of this folder")
