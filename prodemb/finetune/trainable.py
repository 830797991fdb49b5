"""Which parameters of a model are trained, and its weights in the form of an ordinary checkpoint."""

import re
from typing import Any

import torch
from torch import nn

from prodemb.core.errors import ConfigError
from prodemb.finetune.config import FinetuneConfig, LoraSettings
from prodemb.finetune.state import Weights

_BLOCK = re.compile(r"(?:^|\.)(text_model|vision_model)\..*?layers\.(\d+)\.")
_BEFORE_BLOCKS = re.compile(r"embedding|pre_layrnorm")
_PROJECTIONS = ("text_projection", "visual_projection")
_SCALE = "logit_scale"
_ADAPTER = "default"
_LORA = re.compile(r"\.lora_")

Parameters = dict[str, nn.Parameter]


def choose_trainable(model: nn.Module, *, config: FinetuneConfig) -> Parameters:
    """The parameters to train, by name; the others are frozen.

    With `last_blocks`, embeddings and earlier blocks are frozen; norms and projections after the blocks are trained.
    With `lora`, adapters are put beside linear layers: see `add_lora`.

    Raises:
        ConfigError: peft is not installed and LoRA is wanted.
    """
    match config.trainable:
        case "all":
            pass
        case "last_blocks":
            _freeze_early(model, last_blocks=config.last_blocks)
        case "lora":
            add_lora(model, config.lora, seed=config.seed)
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def _freeze_early(model: nn.Module, *, last_blocks: int) -> None:
    parameters = dict(model.named_parameters())
    num_blocks: dict[str, int] = {}
    for name in parameters:
        if block := _BLOCK.search(name):
            num_blocks[block[1]] = max(num_blocks.get(block[1], 0), int(block[2]) + 1)
    for name, parameter in parameters.items():
        block = _BLOCK.search(name)
        early = int(block[2]) < num_blocks[block[1]] - last_blocks if block else bool(_BEFORE_BLOCKS.search(name))
        parameter.requires_grad_(not early)


def add_lora(model: nn.Module, settings: LoraSettings, *, seed: int) -> None:
    """Freeze the model, and put trainable matrices of low rank beside its linear layers.

    They stand beside every linear layer of the blocks (attention and MLP) and the projections; the scale is trained
    too. LoRA: Hu et al. 2021, arXiv 2106.09685; all layers and not attention alone: Dettmers et al. 2023 (QLoRA),
    arXiv 2305.14314.

    Raises:
        ConfigError: peft is not installed.
    """
    try:
        from peft import LoraConfig, LoraModel
    except ImportError:
        raise ConfigError(
            "[finetune] trainable: found 'lora', but peft is not installed; wanted pip install 'prodemb[lora]'"
        ) from None
    targets = [
        name
        for name, module in model.named_modules()
        if type(module) is nn.Linear and (_BLOCK.search(name) or name in _PROJECTIONS)
    ]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        LoraModel(
            model,
            LoraConfig(r=settings.rank, lora_alpha=settings.alpha, lora_dropout=0.0, target_modules=targets),
            _ADAPTER,
        )
    for name, parameter in model.named_parameters():
        if name == _SCALE:
            parameter.requires_grad_(True)


def remove_lora(model: nn.Module) -> None:
    """Remove the adapters, if there are any; the layers under them are as before."""
    for name, module in _adapted(model).items():
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, module.get_base_layer())
    if hasattr(model, "peft_config"):
        del model.peft_config


def snapshot(model: nn.Module) -> Weights:
    """A copy of the model's weights on the CPU, adapters merged into the layers they stand beside."""
    deltas = {name: module.get_delta_weight(_ADAPTER) for name, module in _adapted(model).items()}
    weights = {}
    for name, tensor in model.state_dict().items():
        if _LORA.search(name):
            continue
        layer, _, rest = name.partition(".base_layer.")
        whole = tensor + deltas[layer] if rest == "weight" else tensor
        weights[f"{layer}.{rest}" if rest else name] = whole.detach().cpu().clone()
    return weights


def load_mixed(model: nn.Module, *, original: Weights, new: Weights, alpha: float) -> None:
    """Load `alpha` of the new weights and the rest of the original ones (WiSE-FT, arXiv 2109.01903)."""
    mixed = {
        name: torch.lerp(original[name], new[name], alpha) if new[name].is_floating_point() else new[name]
        for name in new
    }
    model.load_state_dict(mixed)


def _adapted(model: nn.Module) -> dict[str, Any]:
    """The layers with an adapter beside them, by name."""
    return {name: module for name, module in model.named_modules() if hasattr(module, "get_delta_weight")}
