"""A vision tower that sees some patches only: fewer tokens, the class token always, and as before afterwards."""

from pathlib import Path

import pytest
import torch

from prodemb.finetune.patches import choose_patches, seeing_patches
from prodemb.towers.checkpoint import find_checkpoint
from prodemb.towers.load import Towers, load_towers


@pytest.fixture(scope="module")
def towers(tiny_clip: Path) -> Towers:
    return load_towers(find_checkpoint(str(tiny_clip)), device="cpu", dtype="float32")


def test_the_blocks_get_the_class_token_and_the_share_of_patches(towers: Towers) -> None:
    pixels = torch.randint(0, 255, (3, 3, 16, 16), dtype=torch.uint8)
    seen: list[torch.Tensor] = []
    handle = towers.model.get_submodule("vision_model.pre_layrnorm").register_forward_hook(
        lambda _module, inputs, _output: seen.append(inputs[0])
    )
    whole = towers.image_vectors(pixels)
    generator = torch.Generator().manual_seed(0)
    patches = choose_patches(towers.model, num_pictures=3, share=0.5, generator=generator)
    with seeing_patches(towers.model, patches):
        some = towers.image_vectors(pixels)
    again = towers.image_vectors(pixels)
    handle.remove()
    assert [tokens.shape[1] for tokens in seen] == [5, 3, 5]
    assert torch.equal(seen[1][:, 0], seen[0][:, 0])
    for kept, all_tokens in zip(seen[1], seen[0], strict=True):
        assert all(any(torch.equal(token, other) for other in all_tokens) for token in kept)
        assert len({tuple(token.tolist()) for token in kept}) == 3
    assert not torch.allclose(some, whole)
    assert torch.equal(again, whole)


def test_a_share_of_one_changes_nothing(towers: Towers) -> None:
    pixels = torch.randint(0, 255, (2, 3, 16, 16), dtype=torch.uint8)
    assert choose_patches(towers.model, num_pictures=2, share=1.0, generator=torch.Generator()) is None
    with seeing_patches(towers.model, None):
        assert torch.equal(towers.image_vectors(pixels), towers.image_vectors(pixels))
