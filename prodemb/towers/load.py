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
        self._mean = torch.tensor(image.mean, device=device, dtype=torch.float32).view(1, 3, 1, 1)
        self._std = torch.tensor(image.std, device=device, dtype=torch.float32).view(1, 3, 1, 1)
        self.dim = self._check()

    def text_vectors(self, token_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        """Tokens (n, t) int64 to vectors (n, dim) float32, L2-normalised; gradients flow if they are enabled."""
        output = self.model.get_text_features(input_ids=token_ids, attention_mask=attention_mask)
        return torch.nn.functional.normalize(self._kept(_pooled(output)).float(), dim=-1)

    def image_vectors(self, pixels: torch.Tensor) -> torch.Tensor:
        """Pictures (n, 3, height, width) uint8 to vectors (n, dim) float32, L2-normalised; gradients as above."""
        values = pixels.to(self.device, non_blocking=True).float()
        values = (values * self.image.rescale - self._mean) / self._std
        output = self.model.get_image_features(pixel_values=values.to(self.dtype))
        return torch.nn.functional.normalize(self._kept(_pooled(output)).float(), dim=-1)

    @property
    def image_tokens(self) -> int:
        """Tokens that a picture is to the vision tower: its patches and one more."""
        patch = self.checkpoint.config["vision_config"].get("patch_size") or DEFAULT_PATCH
        _, height, width = self.image.shape
        return (height // int(patch)) * (width // int(patch)) + 1

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
            image = self.image_vectors(torch.full((1, *self.image.shape), 127, dtype=torch.uint8))
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
        ModelError: the weights, tokenizer or preprocessor cannot be loaded, or it is not a dual encoder.
        ConfigError: the device is not there.
    """
    from transformers import AutoModel

    chosen_device = choose_device(device, index=index)
    chosen_dtype = torch.float32 if for_training else choose_dtype(dtype, device=chosen_device)
    folder = checkpoint.folder
    try:
        with quiet():
            built = _built_empty(checkpoint)
            model, info = AutoModel.from_pretrained(
                folder,
                dtype=chosen_dtype,
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
        raise ModelError(f"{checkpoint.name}: cannot be loaded: {reason}") from None
    _check_dual_encoder(model, checkpoint=checkpoint, info=info)
    model.requires_grad_(for_training)
    return Towers(
        checkpoint=checkpoint,
        model=model.to(chosen_device).eval(),
        text=TextPreprocessor.from_folder(folder, config=checkpoint.config),
        image=ImagePreprocessor.from_folder(folder),
        device=chosen_device,
        dtype=chosen_dtype,
    )


def _built_empty(checkpoint: Checkpoint) -> Any:
    """The model without memory for its weights.

    Raises:
        ModelError: the settings are of a far larger model than the weights.
    """
    from safetensors import safe_open
    from transformers import AutoConfig, AutoModel

    num_held = 0
    for path in checkpoint.folder.glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            num_held += sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    with torch.device("meta"):
        model = AutoModel.from_config(
            AutoConfig.from_pretrained(checkpoint.folder, trust_remote_code=False, local_files_only=True)
        )
    num_claimed = sum(parameter.numel() for parameter in model.parameters())
    if num_claimed > MAX_CLAIMED * num_held:
        raise ModelError(
            f"{checkpoint.folder / 'config.json'}: found a model of {num_claimed:,} numbers, wanted one of the "
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


def _check_dual_encoder(model: Any, *, checkpoint: Checkpoint, info: dict[str, Any]) -> None:
    kind = checkpoint.config.get("model_type")
    if not (hasattr(model, "get_text_features") and hasattr(model, "get_image_features")):
        raise ModelError(f"{checkpoint.name}: found a model of type {kind!r}; wanted a dual encoder (CLIP, SigLIP)")
    if kind == "siglip2":
        raise ModelError(
            f"{checkpoint.name}: found SigLIP 2 with free picture sizes (NaFlex); wanted one of fixed size, such as "
            "google/siglip2-base-patch16-224"
        )
    if info.get("missing_keys"):
        first, *others = sorted(info["missing_keys"])
        raise ModelError(
            f"{checkpoint.name}: its weights lack {first!r} and {len(others)} more; the file is incomplete"
        )


def _pooled(output: Any) -> torch.Tensor:
    """The projected vectors: transformers 5 wraps them in an output object, older ones return them bare."""
    pooled = output if isinstance(output, torch.Tensor) else output.pooler_output
    assert isinstance(pooled, torch.Tensor)
    return pooled
