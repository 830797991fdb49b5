"""Loading a dual encoder, and running its two towers on ready batches."""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from prodemb.core.device import DeviceName, choose_device, fastest_dtype
from prodemb.core.errors import ConfigError, ModelError
from prodemb.towers.checkpoint import Checkpoint
from prodemb.towers.image import ImagePreprocessor
from prodemb.towers.naflex import NaflexPreprocessor, patch_inputs, per_channel
from prodemb.towers.text import TextPreprocessor, first_line_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

logger = logging.getLogger(__name__)

DtypeName = Literal["auto", "float32", "bfloat16"]

DEFAULT_PATCH = 32
"""Pixels of a patch's side where config.json does not say, as in CLIPVisionConfig."""


MAX_CLAIMED = 2
"""How many times as many numbers as its weights hold a checkpoint's settings may ask for."""


class Towers:
    """A loaded dual encoder: strings and pictures in, L2-normalised vectors of one space out."""

    def __init__(
        self,
        *,
        checkpoint: Checkpoint,
        model: "PreTrainedModel",
        text: TextPreprocessor,
        image: ImagePreprocessor,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.checkpoint = checkpoint
        self.model = model
        self.text = text
        self.image = image
        self.device = device
        self.dtype = dtype
        self._mean, self._std = (self._as_pixels(values) for values in (image.mean, image.std))
        self.dim = self._check()

    def text_vectors(self, token_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        """Tokens (n, t) int64 to vectors (n, dim) float32, L2-normalised; gradients flow if they are enabled."""
        output = self.model.get_text_features(input_ids=token_ids, attention_mask=attention_mask)
        return torch.nn.functional.normalize(self._kept(pooled(output)).float(), dim=-1)

    def image_vectors(self, pixels: torch.Tensor) -> torch.Tensor:
        """Pictures (n, *image.shape) uint8 to vectors (n, dim) float32, L2-normalised; gradients as above."""
        there = pixels.to(self.device, non_blocking=True)
        inputs = patch_inputs(there) if isinstance(self.image, NaflexPreprocessor) else {"pixel_values": there}
        values = (inputs["pixel_values"].float() * self.image.rescale - self._mean) / self._std
        output = self.model.get_image_features(**inputs | {"pixel_values": values.to(self.dtype)})
        return torch.nn.functional.normalize(self._kept(pooled(output)).float(), dim=-1)

    @property
    def image_tokens(self) -> int:
        """Tokens that a picture is to the vision tower: its patches and one more."""
        if isinstance(self.image, NaflexPreprocessor):
            return self.image.max_patches
        patch = self.checkpoint.config["vision_config"].get("patch_size") or DEFAULT_PATCH
        _, height, width = self.image.shape
        return (height // int(patch)) * (width // int(patch)) + 1

    def _as_pixels(self, values: tuple[float, float, float]) -> torch.Tensor:
        """A number of each channel, in a shape that meets pictures'."""
        if isinstance(self.image, NaflexPreprocessor):
            return torch.from_numpy(per_channel(values, patch=self.image.patch)).to(self.device)
        return torch.tensor(values, device=self.device, dtype=torch.float32).view(1, 3, 1, 1)

    def _kept(self, vectors: torch.Tensor) -> torch.Tensor:
        """The first numbers of each vector, of a tower trained so that these suffice.

        Source: Kusupati et al. 2022, Matryoshka Representation Learning.
        """
        return vectors[:, : self.checkpoint.truncate_dim]

    @torch.inference_mode()
    def _check(self) -> int:
        """Run one small batch through each tower and return the dimension they share.

        Raises:
            ModelError: a tower fails, the dimensions differ, or a number is not finite.
        """
        name = self.checkpoint.name
        try:
            token_ids, mask = self.text.pad(self.text.tokenize(["a product"]))
            text = self.text_vectors(token_ids.to(self.device), None if mask is None else mask.to(self.device))
            image = self.image_vectors(torch.from_numpy(self.image.grey())[None])
        except Exception as error:
            message = first_line_of(error)
            raise ModelError(f"{name}: its towers do not run on one text and one picture: {message}") from error
        if text.shape != image.shape:
            raise ModelError(f"{name}: text vectors have {text.shape[1]} numbers, picture vectors {image.shape[1]}")
        if (wanted := self.checkpoint.truncate_dim) is not None and text.shape[1] < wanted:
            raise ModelError(
                f"{name}: found vectors of {text.shape[1]} numbers, wanted truncate_dim = {wanted} of them"
            )
        if any(not torch.isfinite(weights).all() for weights in self.model.state_dict().values()):
            raise ModelError(f"{name}: some of its weights are not finite numbers")
        if not (torch.isfinite(text).all() and torch.isfinite(image).all()):
            raise ModelError(f"{name}: its vectors are not finite in {self.dtype}; try dtype = 'float32'")
        return int(text.shape[1])


def load_towers(
    checkpoint: Checkpoint,
    *,
    device: DeviceName = "auto",
    index: int = 0,
    dtype: DtypeName = "auto",
    for_training: bool = False,
) -> Towers:
    """Load a checkpoint's weights (safetensors only, no code of the checkpoint runs) onto a device.

    Args:
        index: which of several CUDA devices.
        for_training: keep float32 master weights and enable gradients.

    Raises:
        ModelError: the weights, tokenizer or preprocessor cannot be loaded, or it is not a dual encoder, or it is to
            be trained and takes pictures of free sizes.
        ConfigError: the device is not there.
    """
    from transformers import AutoModel

    chosen_device = choose_device(device, index=index)
    chosen_dtype = torch.float32 if for_training else choose_dtype(dtype, device=chosen_device)
    folder, is_naflex = checkpoint.folder, checkpoint.config.get("model_type") == "siglip2"
    if for_training and is_naflex:
        raise ModelError(
            f"{checkpoint.name}: found SigLIP 2 with free picture sizes (NaFlex); wanted one of fixed size"
        )
    model, missing = load_model(folder, name=checkpoint.name, auto=AutoModel, dtype=chosen_dtype)
    _check_dual_encoder(model, checkpoint=checkpoint)
    check_complete(missing, name=checkpoint.name)
    model.requires_grad_(for_training)
    return Towers(
        checkpoint=checkpoint,
        model=model.to(chosen_device).eval(),
        text=TextPreprocessor.from_folder(folder, config=checkpoint.config),
        image=(NaflexPreprocessor if is_naflex else ImagePreprocessor).from_folder(folder),
        device=chosen_device,
        dtype=chosen_dtype,
    )


def load_model(folder: Path, *, name: str, auto: Any, dtype: torch.dtype) -> tuple[Any, list[str]]:
    """A model of transformers, and the names of weights that its files lack.

    Args:
        name: the checkpoint's, for errors.
        auto: the class of transformers that finds the model's own.

    Raises:
        ModelError: it cannot be loaded, or its settings are of a far larger model than its weights.
    """
    try:
        with quiet():
            built = _built_empty(folder, auto=auto)
            model, info = auto.from_pretrained(
                folder,
                dtype=dtype,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                attn_implementation="sdpa" if built._supports_sdpa else "eager",
                output_loading_info=True,
            )
    except ModelError:
        raise
    except Exception as error:  # transformers raises anything on settings that do not fit
        # transformers points at a report of sizes that it prints, which nobody sees.
        is_misfit = "above report" in str(error) or "report above" in str(error)
        reason = "its weights have other sizes than its config.json says" if is_misfit else first_line_of(error)
        raise ModelError(f"{name}: cannot be loaded: {reason}") from None
    return model, sorted(info.get("missing_keys") or ())


def _built_empty(folder: Path, *, auto: Any) -> Any:
    """The model without memory for its weights.

    Raises:
        ModelError: the settings are of a far larger model than the weights.
    """
    from safetensors import safe_open
    from transformers import AutoConfig

    num_held = 0
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            num_held += sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    with torch.device("meta"):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        model = auto.from_config(config)
    num_claimed = sum(parameter.numel() for parameter in model.parameters())
    if num_claimed > MAX_CLAIMED * num_held:
        raise ModelError(
            f"{folder / 'config.json'}: found a model of {num_claimed:,} numbers, wanted one of the "
            f"{num_held:,} that its weights hold"
        )
    return model


def save_checkpoint(towers: Towers, folder: Path) -> None:
    """Write the towers' weights and the settings they were loaded with, in Hugging Face's format, safetensors."""
    with quiet():
        towers.model.save_pretrained(folder)
    for path in towers.checkpoint.files():
        if path.suffix != ".safetensors" and path.name != "config.json" and not (folder / path.name).exists():
            (folder / path.name).write_bytes(path.read_bytes())
    if towers.image != ImagePreprocessor.from_folder(folder):
        towers.image.write_size(folder)


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' bars and its report of missing weights, which is an error of ours."""
    from transformers import logging as transformers_logging

    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()


def choose_dtype(name: DtypeName, *, device: torch.device) -> torch.dtype:
    """The number format called `name`; `auto` is the fastest that the device multiplies."""
    match name:
        case "auto":
            return fastest_dtype(device)
        case "float32":
            return torch.float32
        case "bfloat16":
            return torch.bfloat16
    raise ConfigError(f"dtype: found {name!r}, wanted 'auto', 'float32' or 'bfloat16'")


def _check_dual_encoder(model: Any, *, checkpoint: Checkpoint) -> None:
    kind = checkpoint.config.get("model_type")
    if not (hasattr(model, "get_text_features") and hasattr(model, "get_image_features")):
        raise ModelError(f"{checkpoint.name}: found a model of type {kind!r}; wanted a dual encoder (CLIP, SigLIP)")


def check_complete(missing: list[str], *, name: str) -> None:
    """Raise ModelError where a checkpoint's files lack weights."""
    if missing:
        first, *others = missing
        raise ModelError(f"{name}: its weights lack {first!r} and {len(others)} more; the file is incomplete")


def pooled(output: Any) -> torch.Tensor:
    """The projected vectors: transformers 5 wraps them in an output object, older ones return them bare.

    FLAVA projects every token; its loss compares the first ones (Singh et al. 2022, arXiv 2112.04482, section 3.1).
    """
    found = output if isinstance(output, torch.Tensor) else output.pooler_output
    assert isinstance(found, torch.Tensor)
    return found[:, 0] if found.ndim == 3 else found
