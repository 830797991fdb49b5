"""Random changes to pictures: light, of the seed alone, and each picture its own; and patches that are dropped."""

from pathlib import Path

import pytest
import torch

from prodemb.finetune.augment import augment, choose_patches, draw_amounts, dropping_patches
from prodemb.towers.checkpoint import find_checkpoint
from prodemb.towers.load import Towers, load_towers


def pictures(num: int = 8) -> torch.Tensor:
    """Smooth pictures, dark on the left and bright on the right."""
    ramp = torch.linspace(60, 180, 32).round().byte()
    return ramp.view(1, 1, 1, 32).expand(num, 3, 32, 32).contiguous()


def changed(seed: int, num: int = 8) -> torch.Tensor:
    return augment(pictures(num), amounts=draw_amounts(num, generator=torch.Generator().manual_seed(seed)))


def test_shape_and_type_stay_and_the_seed_decides() -> None:
    assert changed(0).shape == (8, 3, 32, 32)
    assert changed(0).dtype == torch.uint8
    assert torch.equal(changed(0), changed(0))
    assert not torch.equal(changed(0), changed(1))


def test_about_half_are_mirrored_and_all_are_light() -> None:
    made = changed(0, num=200).float()
    mirrored = made[..., 0].mean(dim=(1, 2)) > made[..., -1].mean(dim=(1, 2))
    assert 70 < int(mirrored.sum()) < 130
    assert float((made.mean(dim=(1, 2, 3)) - 120).abs().max()) < 60


def test_a_plain_grey_picture_stays_plain_and_grey() -> None:
    amounts = draw_amounts(5, generator=torch.Generator().manual_seed(0))
    made = augment(torch.full((5, 3, 16, 16), 100, dtype=torch.uint8), amounts=amounts)
    assert (made.flatten(1).max(dim=1).values == made.flatten(1).min(dim=1).values).all()


def test_a_part_of_the_pictures_changes_as_in_the_whole() -> None:
    amounts = draw_amounts(8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(augment(pictures(3), amounts=amounts[2:5]), augment(pictures(), amounts=amounts)[2:5])


@pytest.fixture(scope="module")
def towers(tiny_clip: Path) -> Towers:
    return load_towers(find_checkpoint(str(tiny_clip)), device="cpu", dtype="float32")


def test_the_blocks_get_the_class_token_and_the_patches_that_are_kept(towers: Towers) -> None:
    pixels = torch.randint(0, 255, (3, 3, 16, 16), dtype=torch.uint8)
    seen: list[torch.Tensor] = []
    handle = towers.model.get_submodule("vision_model.pre_layrnorm").register_forward_hook(
        lambda _module, inputs, _output: seen.append(inputs[0])
    )
    whole = towers.image_vectors(pixels)
    generator = torch.Generator().manual_seed(0)
    patches = choose_patches(towers.model, num_pictures=3, dropout=0.5, generator=generator)
    with dropping_patches(towers.model, patches):
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


def test_without_dropout_nothing_changes(towers: Towers) -> None:
    pixels = torch.randint(0, 255, (2, 3, 16, 16), dtype=torch.uint8)
    assert choose_patches(towers.model, num_pictures=2, dropout=0.0, generator=torch.Generator()) is None
    with dropping_patches(towers.model, None):
        assert torch.equal(towers.image_vectors(pixels), towers.image_vectors(pixels))
