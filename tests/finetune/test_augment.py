"""Random changes to pictures: light, of the seed alone, and each picture its own."""

import torch

from prodemb.finetune.augment import augment, draw_amounts


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
