"""Checkpoints as open_clip saves them, and the same in Hugging Face's format: settings, preprocessing and tokenizer.

Two kinds are read: CLIP (a class token, causal text) and SigLIP (pooling by attention, text that sees all of itself),
either with open_clip's own vision tower or with timm's. Sizes are read from the weights; what the weights cannot say
(heads, activations, pooling) from `open_clip_config.json`, of which every setting is known or refused.
Source: open_clip 3.3 (`model.py`, `timm_model.py`, `tokenizer.py`) and timm 1.0 (`vision_transformer.py`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from prodemb.core.bounded import check_tensor_header, read_json
from prodemb.core.errors import ModelError
from prodemb.towers.checkpoint import OPEN_CLIP_CONFIG

WEIGHTS = ("open_clip_model.safetensors", "model.safetensors")
"""As open_clip names its weights, and as those do who wrap them for transformers."""

CLIP_TOKENIZER = "openai/clip-vit-base-patch32"
"""Where a checkpoint names no tokenizer, it is CLIP's own."""

Kind = Literal["clip", "metaclip_2", "siglip"]
"""A model type of transformers. MetaCLIP 2 is CLIP that pools at the first end token, whatever its id."""

_HARMLESS = {"output_tokens", "attn_pooler_queries", "attn_pooler_heads", "patch_dropout", "pad_id"}
_HARMLESS |= {"timm_model_pretrained", "timm_drop", "timm_drop_path", "timm_proj_bias"}
_HARMLESS |= {"hf_model_pretrained", "hf_proj_type", "hf_pooler_type"}
_READ = {"layers", "width", "heads", "head_width", "mlp_ratio", "patch_size", "image_size", "context_length"}
_READ |= {"vocab_size", "act_kwargs", "norm_kwargs", "hf_tokenizer_name", "tokenizer_kwargs", "eos_id", "proj_bias"}
_READ |= {"timm_model_name", "timm_pool", "timm_proj", "pool_type", "no_causal_mask"}
_AT_REST = {"block_type": "default", "pos_embed_type": "learnable", "proj_type": "linear"}
"""Settings that are read with one value alone; any other must be false or null."""

_TIMM_SIGLIP = re.compile(r"vit_(?P<size>\w+)_patch(?P<patch>\d+)_siglip_(?P<edge>\d+)")
_TIMM_CLIP = re.compile(r"vit_(?P<size>\w+)_patch(?P<patch>\d+)_clip_(?P<quick>quickgelu_)?(?P<edge>\d+)")
_TIMM_TANH = re.compile(r"vit_(base_patch32|large_patch16_siglip_512|so400m_patch16|giantopt)")
"""timm's SigLIP towers that compute GELU by the tangent."""
_TIMM_HEADS = {"xsmall": 4, "small": 6, "medium": 8, "betwixt": 10, "base": 12}
_TIMM_HEADS |= dict.fromkeys(("large", "so400m", "giantopt", "huge", "giant", "gigantic"), 16)

_RESAMPLE = {"nearest": 0, "bilinear": 2, "bicubic": 3}
_CLIP_MEAN, _CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True, kw_only=True)
class OpenClip:
    """A local folder with an open_clip checkpoint."""

    folder: Path
    weights: Path
    model: dict[str, Any]
    """The table `model_cfg` of its settings."""
    preprocessing: dict[str, Any]
    """The table `preprocess_cfg`."""

    @property
    def text(self) -> dict[str, Any]:
        """Settings of the text tower."""
        values: dict[str, Any] = self.model["text_cfg"]
        return values

    @property
    def vision(self) -> dict[str, Any]:
        """Settings of the vision tower."""
        values: dict[str, Any] = self.model["vision_cfg"]
        return values

    @property
    def tokenizer(self) -> str:
        """The hub id of the tokenizer that it was trained with."""
        return str(self.text.get("hf_tokenizer_name") or CLIP_TOKENIZER)

    @property
    def kind(self) -> Kind:
        """Its model type in transformers.

        Raises:
            ModelError: none computes what its settings ask for.
        """
        text, vision = self.text, self.vision
        match text.get("pool_type", "argmax"), bool(text.get("no_causal_mask")):
            case "last", True:
                kind: Kind = "siglip"
            case "argmax", False:
                kind = "clip"
            case "eos", False:
                kind = "metaclip_2"
            case pooling, unmasked:
                raise self.unsupported("text_cfg", f"pool_type = {pooling!r} with no_causal_mask = {unmasked}")
        name = vision.get("timm_model_name")
        if name is None:
            found = vision.get("pool_type", "tok")
            if kind == "siglip" or found != "tok":
                raise self.unsupported("vision_cfg", f"pool_type = {found!r} beside the text tower of a {kind}")
            return kind
        pattern = _TIMM_SIGLIP if kind == "siglip" else _TIMM_CLIP
        pooling = ("map", "none") if kind == "siglip" else ("token", "linear")
        found = vision.get("timm_pool", "avg") or "token", vision.get("timm_proj", "linear")
        if not (match := pattern.fullmatch(str(name))) or match["size"] not in _TIMM_HEADS or found != pooling:
            raise self.unsupported("vision_cfg", f"{name!r} with timm_pool, timm_proj = {found} beside a {kind}'s text")
        return kind

    def unsupported(self, table: str, found: str) -> ModelError:
        """The error of a setting that no class of transformers computes."""
        return ModelError(
            f"{self.folder / OPEN_CLIP_CONFIG}: {table}: found {found}; wanted a CLIP or SigLIP with a ViT, as "
            "transformers has it"
        )


def read_open_clip(folder: Path) -> OpenClip:
    """Read the settings of an open_clip checkpoint.

    Raises:
        ModelError: it is none, has no safetensors weights, or a setting is not known here.
    """
    path = folder / OPEN_CLIP_CONFIG
    try:
        values = read_json(path)
        model, preprocessing = values["model_cfg"], values.get("preprocess_cfg") or {}
        tables = [model, preprocessing, model["text_cfg"], model["vision_cfg"]]
        if not all(isinstance(table, dict) for table in tables):
            raise ValueError("wanted tables")
    except FileNotFoundError:
        raise ModelError(f"{folder}: no {OPEN_CLIP_CONFIG}; wanted a checkpoint as open_clip saves it") from None
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise ModelError(f"{path}: not the settings of an open_clip checkpoint: {error!r}") from None
    weights = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if weights is None:
        raise ModelError(f"{folder}: none of {', '.join(WEIGHTS)}; only safetensors weights are read")
    try:
        check_tensor_header(weights)
    except ValueError as error:
        raise ModelError(f"{weights}: not a safetensors file: {error}") from None
    found = OpenClip(folder=folder, weights=weights, model=model, preprocessing=preprocessing)
    for table in ("text_cfg", "vision_cfg"):
        for key, value in model[table].items():
            if key not in _HARMLESS | _READ and value and value != _AT_REST.get(key):
                raise found.unsupported(table, f"{key} = {value!r}")
    return found


def hugging_face_config(source: OpenClip, *, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """The settings of the model in transformers that computes the same.

    Args:
        shapes: of its weights, by their names in transformers (`prodemb.towers.open_clip_weights.convert_weights`).

    Raises:
        ModelError: settings and weights are of two models.
    """
    kind, text, vision = source.kind, source.text, source.vision
    try:
        text_tower = _tower("text_model", shapes=shapes, settings=text, quick=bool(source.model.get("quick_gelu")))
        vocabulary = shapes["text_model.embeddings.token_embedding.weight"][0]
        text_tower |= {
            "vocab_size": vocabulary,
            "max_position_embeddings": shapes["text_model.embeddings.position_embedding.weight"][-2],
            "num_attention_heads": int(text.get("heads", 8)),
            "bos_token_id": None,
            "eos_token_id": None,
        }
        vision_tower = _tower(
            "vision_model", shapes=shapes, settings=vision, quick=bool(source.model.get("quick_gelu"))
        )
        vision_tower |= _vision(source, shapes=shapes)
        config: dict[str, Any] = {"model_type": kind, "text_config": text_tower, "vision_config": vision_tower}
        if kind == "siglip":
            text_tower["projection_size"] = shapes["text_model.head.weight"][0]
        else:
            text_tower["eos_token_id"] = int(text.get("eos_id", 2))  # in CLIP, 2 stands for the largest id of a text
            config["projection_dim"] = shapes["text_projection.weight"][0]
            text_tower["projection_dim"] = vision_tower["projection_dim"] = config["projection_dim"]
    except KeyError as error:
        raise ModelError(f"{source.weights}: lacks the weights that become {error.args[0]!r}") from None
    except (ValueError, TypeError, ZeroDivisionError) as error:
        raise ModelError(f"{source.folder / OPEN_CLIP_CONFIG}: does not fit its weights: {error}") from None
    return config


def _tower(
    prefix: str, *, shapes: Mapping[str, tuple[int, ...]], settings: dict[str, Any], quick: bool
) -> dict[str, Any]:
    layers = {name.split(".")[3] for name in shapes if name.startswith(f"{prefix}.encoder.layers.")}
    intermediate, width = shapes[f"{prefix}.encoder.layers.0.mlp.fc1.weight"]
    is_tanh = (settings.get("act_kwargs") or {}).get("approximate") == "tanh"
    return {
        "hidden_size": width,
        "intermediate_size": intermediate,
        "num_hidden_layers": len(layers),
        "hidden_act": "quick_gelu" if quick else "gelu_pytorch_tanh" if is_tanh else "gelu",
        "layer_norm_eps": float((settings.get("norm_kwargs") or {}).get("eps", 1e-5)),
    }


def _vision(source: OpenClip, *, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """What the weights do not say of a vision tower, or in other words."""
    kind, settings = source.kind, source.vision
    width, _, patch, _ = shapes["vision_model.embeddings.patch_embedding.weight"]
    num_patches = shapes["vision_model.embeddings.position_embedding.weight"][-2] - (kind != "siglip")
    edge = settings.get("image_size", 224)
    edge = edge if isinstance(edge, int) else max(edge)
    if (edge // patch) ** 2 != num_patches:
        raise ValueError(f"found image_size {settings.get('image_size')} and {num_patches} patches of {patch} pixels")
    values = {"image_size": edge, "patch_size": patch}
    if (name := settings.get("timm_model_name")) is None:
        return values | {"num_attention_heads": width // int(settings.get("head_width", 64))}
    found = (_TIMM_SIGLIP if kind == "siglip" else _TIMM_CLIP).fullmatch(name)
    assert found is not None  # `kind` has seen it
    is_quick = found.groupdict().get("quick") is not None
    return values | {
        "num_attention_heads": _TIMM_HEADS[found["size"]],
        "hidden_act": "quick_gelu" if is_quick else "gelu_pytorch_tanh" if _TIMM_TANH.match(name) else "gelu",
        "layer_norm_eps": 1e-6 if kind == "siglip" else 1e-5,
    }


def hugging_face_preprocessing(source: OpenClip) -> dict[str, Any]:
    """`preprocessor_config.json` of the same preprocessing of pictures.

    Raises:
        ModelError: pictures are resized in a way that is not done here.
    """
    values = source.preprocessing
    mode, interpolation = values.get("resize_mode", "shortest"), values.get("interpolation", "bicubic")
    if mode not in ("shortest", "squash") or interpolation not in _RESAMPLE:
        raise source.unsupported("preprocess_cfg", f"resize_mode = {mode!r}, interpolation = {interpolation!r}")
    edge = values.get("size") or source.vision.get("image_size", 224)
    height, width = (edge, edge) if isinstance(edge, int) else edge[-2:]
    is_cropped = mode == "shortest"
    processor: dict[str, Any] = {
        "image_processor_type": "CLIPImageProcessor" if is_cropped else "SiglipImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": min(height, width)} if is_cropped else {"height": height, "width": width},
        "resample": _RESAMPLE[interpolation],
        "do_center_crop": is_cropped,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(values.get("mean") or _CLIP_MEAN),
        "image_std": list(values.get("std") or _CLIP_STD),
        "do_convert_rgb": True,
    }
    return processor | ({"crop_size": {"height": height, "width": width}} if is_cropped else {})
