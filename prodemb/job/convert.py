"""An open_clip checkpoint to a folder in Hugging Face's format, which stage one loads."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from prodemb import __version__
from prodemb.cards.readme import own_readme, warn_if_stale, write_readme
from prodemb.core.errors import ConfigError, ModelError
from prodemb.core.files import write_json
from prodemb.core.folders import replacing_folder
from prodemb.towers.checkpoint import OPEN_CLIP_CONFIG, as_folder, download, find_checkpoint
from prodemb.towers.load import load_towers
from prodemb.towers.open_clip import WEIGHTS, OpenClip, hugging_face_config, hugging_face_preprocessing, read_open_clip
from prodemb.towers.open_clip_tokenizer import write_tokenizer
from prodemb.towers.open_clip_weights import convert_weights, fit_shapes

OWN_FILES = ("config.json", "model.safetensors", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json")
"""What a converted checkpoint consists of."""

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "spiece.model", "tokenizer.model")


@dataclass(frozen=True, kw_only=True)
class ConvertReport:
    """What was converted."""

    folder: Path
    model_type: str
    """In transformers: clip, metaclip_2 or siglip."""
    num_tensors: int
    """Of the source; each is in the new folder."""
    dim: int
    """Numbers in a vector."""


def convert(source: str, out: Path, *, tokenizer: str | None = None, revision: str | None = None) -> ConvertReport:
    """Convert an open_clip checkpoint of CLIP or SigLIP shape.

    Args:
        source: a folder or a hub id.
        tokenizer: a folder or a hub id; by default the source's own files, else those of the tokenizer it names.
        revision: a branch, tag or commit of a hub id.

    Raises:
        ModelError: it is no such checkpoint, a weight has no place in transformers' model, or the result does not load.
        ConfigError: `out` is the source.
        OutputError: the folder cannot be written, or holds what prodemb did not make.
    """
    folder = Path(source) if Path(source).is_dir() else download(source, revision=revision, weights=WEIGHTS)
    if out.resolve() == folder.resolve():
        raise ConfigError(f"{out}: is the checkpoint to convert; wanted another folder")
    found = read_open_clip(folder)
    words = _tokenizer_folder(found, tokenizer=tokenizer)
    readme = own_readme(out)
    with replacing_folder(out, kind="checkpoint", own_files=(*OWN_FILES, *readme)) as new:
        num_tensors = _write_model(found, out=new)
        write_json(new / "preprocessor_config.json", hugging_face_preprocessing(found))
        write_tokenizer(found, tokenizer=words, out=new)
        checkpoint = find_checkpoint(str(new))
        towers = load_towers(checkpoint, device="cpu", dtype="float32")
        values = {
            "source": as_folder(source) if Path(source).is_dir() else source,
            "revision": revision,
            "model_type": found.kind,
            "dim": towers.dim,
            "fingerprint": checkpoint.fingerprint,
            "version": __version__,
        }
        if readme:
            write_readme(new, "converted", values)
        else:
            warn_if_stale(out, "converted", values)
    return ConvertReport(folder=out, model_type=found.kind, num_tensors=num_tensors, dim=towers.dim)


def _write_model(source: OpenClip, *, out: Path) -> int:
    """Write config.json and the weights; the number of tensors in the source."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file, save_file
    from transformers import AutoConfig, AutoModel

    try:
        tensors = load_file(source.weights)
    except SafetensorError as error:
        raise ModelError(f"{source.weights}: not a safetensors file: {error}") from None
    converted, unknown = convert_weights(tensors)
    if unknown:
        raise _misfit(source, "has", unknown, of="that no tower of transformers has")
    config = hugging_face_config(source, shapes={name: tuple(tensor.shape) for name, tensor in converted.items()})
    kind = config["model_type"]
    write_json(out / "config.json", config)
    with torch.device("meta"):
        try:
            built = AutoModel.from_config(AutoConfig.for_model(**config))
        except Exception as error:  # transformers raises anything on sizes that do not fit
            raise ModelError(f"{source.folder / OPEN_CLIP_CONFIG}: no model of its settings: {error}") from None
    wanted = built.state_dict()
    if kind != "siglip":
        converted.pop("logit_bias", None)  # of the loss alone; no vector depends on it
    converted = fit_shapes(converted, wanted=wanted)
    if missing := wanted.keys() - converted.keys():
        raise _misfit(source, "lacks", missing, of=f"that a {kind} of transformers has")
    if extra := [n for n, tensor in converted.items() if n not in wanted or tensor.shape != wanted[n].shape]:
        raise _misfit(source, "has", extra, of=f"that do not fit a {kind} of transformers")
    weights = {name: tensor.contiguous() for name, tensor in converted.items()}
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    return len(tensors)


def _misfit(source: OpenClip, verb: str, names: Collection[str], *, of: str) -> ModelError:
    first, *others = sorted(names)
    return ModelError(f"{source.weights}: {verb} {first!r} and {len(others)} more weights {of}; nothing was converted")


def _tokenizer_folder(source: OpenClip, *, tokenizer: str | None) -> Path:
    if tokenizer is None:
        if any((source.folder / name).is_file() for name in _TOKENIZER_FILES):
            return source.folder
        tokenizer = source.tokenizer
    return Path(tokenizer) if Path(tokenizer).is_dir() else download(tokenizer, weights=())
