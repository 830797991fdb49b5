"""What is trained: all, the last blocks or LoRA, and the ordinary weights that come out of each."""

import sys
from pathlib import Path

import pytest
import torch

from prodemb.core.errors import ConfigError
from prodemb.finetune.config import FinetuneConfig
from prodemb.finetune.trainable import choose_trainable, remove_lora, snapshot
from prodemb.towers.checkpoint import find_checkpoint
from prodemb.towers.load import Towers, load_towers


@pytest.fixture
def towers(tiny_clip: Path) -> Towers:
    return load_towers(find_checkpoint(str(tiny_clip)), device="cpu", for_training=True)


def vectors(towers: Towers) -> torch.Tensor:
    token_ids, _ = towers.text.pad(towers.text.tokenize(["red shoe", "blue mug for men"]))
    pixels = torch.randint(0, 255, (2, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return torch.cat([towers.text_vectors(token_ids), towers.image_vectors(pixels)])


def test_no_block_at_all_leaves_the_projections(towers: Towers) -> None:
    trained = choose_trainable(towers.model, config=FinetuneConfig(trainable="last_blocks", last_blocks=0))
    assert not any("layers." in name for name in trained)
    assert {"visual_projection.weight", "text_projection.weight", "logit_scale"} <= trained.keys()


def test_lora_trains_few_numbers_beside_every_linear_layer(towers: Towers) -> None:
    before, same = snapshot(towers.model), vectors(towers)
    trained = choose_trainable(
        towers.model, config=FinetuneConfig.parse({"trainable": "lora", "lora": {"rank": 2}}, source="")
    )
    assert torch.equal(vectors(towers), same)
    adapted = {name.partition(".lora_")[0] for name in trained if ".lora_" in name}
    linear = {
        name.removesuffix(".weight")
        for name, tensor in before.items()
        if name.endswith(".weight") and tensor.ndim == 2 and "embedding" not in name
    }
    assert adapted == linear
    assert set(trained) == {f"{layer}.lora_{side}.default.weight" for layer in linear for side in "AB"} | {
        "logit_scale"
    }
    assert snapshot(towers.model).keys() == before.keys()


def test_adapters_are_merged_into_the_weights_and_go_away(towers: Towers) -> None:
    before = snapshot(towers.model)
    trained = choose_trainable(towers.model, config=FinetuneConfig(trainable="lora"))
    with torch.no_grad():
        for parameter in trained.values():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) * 0.05)
    adapted, merged = vectors(towers), snapshot(towers.model)
    remove_lora(towers.model)
    assert towers.model.state_dict().keys() == merged.keys() == before.keys()
    assert not torch.allclose(vectors(towers), adapted, atol=1e-2)
    towers.model.load_state_dict(merged)
    torch.testing.assert_close(vectors(towers), adapted, rtol=1e-4, atol=1e-5)


def test_adapters_start_alike_for_one_seed(tiny_clip: Path) -> None:
    def first(seed: int) -> torch.Tensor:
        towers = load_towers(find_checkpoint(str(tiny_clip)), device="cpu", for_training=True)
        trained = choose_trainable(towers.model, config=FinetuneConfig(trainable="lora", seed=seed))
        return next(parameter for name, parameter in trained.items() if ".lora_A" in name).detach()

    assert torch.equal(first(0), first(0))
    assert not torch.equal(first(0), first(1))


def test_without_peft_the_extra_is_named(towers: Towers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ConfigError, match=r"peft is not installed; wanted pip install 'prodemb\[lora\]'"):
        choose_trainable(towers.model, config=FinetuneConfig(trainable="lora"))
