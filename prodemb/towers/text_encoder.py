"""A text encoder: strings in, L2-normalised vectors of a space of its own out, as sentence-transformers makes them."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from prodemb.core.device import DeviceName, choose_device
from prodemb.core.errors import ModelError
from prodemb.towers.load import DtypeName, check_complete, choose_dtype, load_model
from prodemb.towers.text import TextPreprocessor, first_line_of, load_tokenizer
from prodemb.towers.text_checkpoint import Layer, Pooling, TextCheckpoint

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    each.__name__: each for each in (nn.Identity, nn.Tanh, nn.ReLU, nn.GELU, nn.SiLU, nn.Sigmoid)
}
_SAMPLES = ("a product", "")


class TextEncoder:
    """A loaded text encoder."""

    def __init__(
        self,
        *,
        checkpoint: TextCheckpoint,
        model: Any,
        text: TextPreprocessor,
        layers: nn.Module,
        device: torch.device,
    ) -> None:
        """Use `load_text_encoder`."""
        self.checkpoint = checkpoint
        self.text = text
        self.model, self.device = model, device
        self._layers = layers
        self._num_prompt_tokens = 0 if checkpoint.pools_prompt else _num_prompt_tokens(text)
        self.dim = self._check()

    def text_vectors(self, token_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Tokens (n, t) int64, padded on the right, to vectors (n, dim) float32, L2-normalised."""
        mask = torch.ones_like(token_ids) if attention_mask is None else attention_mask
        tokens = self.model(input_ids=token_ids, attention_mask=mask).last_hidden_state.float()
        pooled = pool(tokens, mask, modes=self.checkpoint.pooling, skipped=self._num_prompt_tokens)
        return functional.normalize(self._layers(pooled), dim=-1)

    @torch.inference_mode()
    def _check(self) -> int:
        """Run two short texts and return the dimension.

        Raises:
            ModelError: it fails, or a number is not finite.
        """
        name = self.checkpoint.name
        try:
            token_ids, mask = self.text.pad(self.text.tokenize(_SAMPLES))
            vectors = self.text_vectors(token_ids.to(self.device), None if mask is None else mask.to(self.device))
        except Exception as error:
            raise ModelError(f"{name}: it does not run on a text: {first_line_of(error)}") from error
        weights = (*self.model.state_dict().values(), *self._layers.state_dict().values())
        if not (torch.isfinite(vectors).all() and all(torch.isfinite(each).all() for each in weights)):
            raise ModelError(f"{name}: some of its weights or vectors are not finite numbers")
        return int(vectors.shape[1])


def pool(tokens: Tensor, mask: Tensor, *, modes: tuple[Pooling, ...], skipped: int = 0) -> Tensor:
    """The vectors of each text's tokens (n, t, d), padded on the right, made one: (n, d times the number of modes).

    Source: sentence-transformers 6.2, `Pooling`.

    Args:
        mask: (n, t), 1 for tokens and 0 for padding.
        skipped: tokens at the beginning that do not count.
    """
    counted = mask.clone()
    counted[:, :skipped] = 0
    weights = counted[:, :, None].to(tokens.dtype)
    first, last = counted.argmax(1), counted.shape[1] - 1 - counted.flip(1).argmax(1)
    rows = torch.arange(len(tokens), device=tokens.device)
    parts = []
    for mode in modes:
        match mode:
            case "cls":
                part = tokens[rows, first]
            case "lasttoken":
                part = tokens[rows, last] * counted[rows, last, None]
            case "max":
                part = tokens.masked_fill(counted[:, :, None] == 0, -torch.inf).amax(1)
            case "mean":
                part = (tokens * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
            case "mean_sqrt_len_tokens":
                part = (tokens * weights).sum(1) / weights.sum(1).clamp(min=1e-9).sqrt()
            case "weightedmean":
                positions = torch.arange(1, tokens.shape[1] + 1, device=tokens.device, dtype=tokens.dtype)
                weighted = weights * positions[None, :, None]
                part = (tokens * weighted).sum(1) / weighted.sum(1).clamp(min=1e-9)
        parts.append(part)
    return torch.cat(parts, dim=-1)


def load_text_encoder(
    checkpoint: TextCheckpoint, *, device: DeviceName = "auto", index: int = 0, dtype: DtypeName = "auto"
) -> TextEncoder:
    """Load a text encoder's weights (safetensors only, no code of the checkpoint runs) onto a device.

    Args:
        index: which of several CUDA devices.

    Raises:
        ModelError: weights or tokenizer cannot be loaded, or it is no text encoder.
        ConfigError: the device is not there.
    """
    from transformers import AutoModel, AutoModelForTextEncoding

    chosen = choose_device(device, index=index)
    auto = AutoModelForTextEncoding if checkpoint.config.get("is_encoder_decoder") else AutoModel
    model, missing = load_model(
        checkpoint.encoder, name=checkpoint.name, auto=auto, dtype=choose_dtype(dtype, device=chosen)
    )
    # The pooler, which comes behind what is read, is not trained in many of them.
    check_complete([key for key in missing if not key.startswith("pooler.")], name=checkpoint.name)
    layers = nn.Sequential(*(_layer(layer) for layer in checkpoint.layers))
    return TextEncoder(
        checkpoint=checkpoint,
        model=model.requires_grad_(False).to(chosen).eval(),
        text=_preprocessor(checkpoint, model=model),
        layers=layers.requires_grad_(False).to(chosen).eval(),
        device=chosen,
    )


def _preprocessor(checkpoint: TextCheckpoint, *, model: Any) -> TextPreprocessor:
    tokenizer, pad_id = load_tokenizer(checkpoint.encoder)
    limits = (checkpoint.max_length or int(tokenizer.model_max_length), num_text_positions(model))
    return TextPreprocessor(
        tokenizer=tokenizer,
        max_length=min(limit for limit in limits if limit),
        pad_id=pad_id,
        pad_to_max=False,
        pad_left=False,
        masked=True,
        lowercase=checkpoint.lowercase,
        prompt=checkpoint.prompt,
    )


def num_text_positions(model: Any) -> int | None:
    """How many tokens an encoder of transformers has position embeddings for; None where it takes any number."""
    positions = getattr(model.config, "max_position_embeddings", None)
    if not isinstance(positions, int) or positions <= 0:
        return None
    # RoBERTa and its kin count positions from behind that of padding.
    first = getattr(getattr(model, "embeddings", None), "padding_idx", None)
    return positions if first is None else positions - int(first) - 1


def _num_prompt_tokens(text: TextPreprocessor) -> int:
    """Tokens of the prompt at the beginning of a text, with the special ones before them."""
    (ids,) = text.tokenize([""])
    return len(ids) - (ids[-1] in text.tokenizer.all_special_ids)


class _Dense(nn.Module):
    """A linear layer and an activation, with or without the input added to it."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        config, path = layer.config, layer.folder / "config.json"
        size_in, size_out = int(config["in_features"]), int(config["out_features"])
        name = str(config.get("activation_function", "torch.nn.modules.activation.Tanh"))
        kind = name.rpartition(".")[2]
        if not name.startswith("torch.nn.") or kind not in _ACTIVATIONS:
            raise ModelError(f"{path}: activation_function: found {name!r}, wanted any of {', '.join(_ACTIVATIONS)}")
        self.linear = nn.Linear(size_in, size_out, bias=bool(config.get("bias", True)))
        self.activation = _ACTIVATIONS[kind]()
        self.is_residual = bool(config.get("use_residual", False))
        if self.is_residual and size_in != size_out:
            self.residual = nn.Linear(size_in, size_out, bias=False)

    def forward(self, vectors: Tensor) -> Tensor:
        out: Tensor = self.activation(self.linear(vectors))
        if not self.is_residual:
            return out
        return out + (self.residual(vectors) if hasattr(self, "residual") else vectors)


class _LayerNorm(nn.Module):
    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(int(layer.config["dimension"]))

    def forward(self, vectors: Tensor) -> Tensor:
        out: Tensor = self.norm(vectors)
        return out


class _Normalize(nn.Module):
    def forward(self, vectors: Tensor) -> Tensor:
        return functional.normalize(vectors, dim=-1)


def _layer(layer: Layer) -> nn.Module:
    """One layer behind the pooling, with its weights."""
    from safetensors.torch import load_file

    match layer.kind:
        case "Normalize":
            return _Normalize()
        case "Dropout":
            return nn.Identity()
        case "Dense" | "LayerNorm":
            try:
                module = _Dense(layer) if layer.kind == "Dense" else _LayerNorm(layer)
                module.load_state_dict(load_file(layer.folder / "model.safetensors"))
            except ModelError:
                raise
            except RuntimeError:
                raise ModelError(
                    f"{layer.folder}: its weights have other names or sizes than its config.json says"
                ) from None
            except Exception as error:  # settings and weights of anybody
                raise ModelError(f"{layer.folder}: cannot be loaded: {first_line_of(error)}") from None
            return module.float()
