"""A step's gradients on a tiny CLIP: the same for any mini-batches, and drawn from seed and step alone."""

from pathlib import Path

import numpy as np
import pytest
import torch

from prodemb.catalog.images import ImageLoader, ImagesConfig
from prodemb.catalog.reader import CatalogConfig, open_catalog
from prodemb.finetune.config import FinetuneConfig
from prodemb.finetune.data import LabelledProducts, Pictures, read_labelled_products, read_pictures
from prodemb.finetune.processes import Processes
from prodemb.finetune.step import Step
from prodemb.finetune.trainer import scale_parameter
from prodemb.towers.checkpoint import find_checkpoint
from prodemb.towers.load import Towers, load_towers
from tests.finetune.shop import TAXONOMY, write_catalog

BATCH = 40


@pytest.fixture(scope="module")
def towers(tiny_clip: Path) -> Towers:
    towers = load_towers(find_checkpoint(str(tiny_clip)), device="cpu", for_training=True)
    towers.model.train()
    return towers


@pytest.fixture(scope="module")
def data(towers: Towers, tmp_path_factory: pytest.TempPathFactory) -> tuple[LabelledProducts, Pictures]:
    folder = tmp_path_factory.mktemp("shop")
    catalog = open_catalog(CatalogConfig(path=str(write_catalog(folder))))
    with ImageLoader(ImagesConfig(), root=folder) as loader:
        products = read_labelled_products(catalog, taxonomy=TAXONOMY, loader=loader)
        pictures = read_pictures(
            catalog, products=products, loader=loader, preprocessor=towers.image, most_bytes=10**9, scratch=folder
        )
    return products, pictures


def step_of(towers: Towers, data: tuple[LabelledProducts, Pictures], **settings: object) -> Step:
    products, pictures = data
    return Step(
        FinetuneConfig.parse({"dtype": "float32", **settings}, source="test"),
        towers=towers,
        products=products,
        pictures=pictures,
        paths=[label.path for label in products.classes],
        processes=Processes(),
    )


def gradients(
    towers: Towers, data: tuple[LabelledProducts, Pictures], *, step: int = 5, **settings: object
) -> tuple[float, dict[str, torch.Tensor]]:
    towers.model.zero_grad(set_to_none=True)
    rows = np.random.default_rng(0).permutation(data[0].train)[:BATCH]
    loss = step_of(towers, data, **settings).backpropagate(rows, step=step, log_scale=scale_parameter(towers))
    return loss, {name: p.grad for name, p in towers.model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("loss", [{"loss": "soft", "tree_credit": 0.2}, {"loss": "masked"}, {"loss": "plain"}])
@pytest.mark.parametrize("mini_batch_size", [1, 7, 39])
def test_gradients_with_mini_batches_are_those_of_the_big_batch(
    towers: Towers, data: tuple[LabelledProducts, Pictures], loss: dict[str, object], mini_batch_size: int
) -> None:
    whole_loss, whole = gradients(towers, data, **loss)
    cached_loss, cached = gradients(towers, data, mini_batch_size=mini_batch_size, **loss)
    assert cached_loss == pytest.approx(whole_loss, rel=1e-6)
    assert cached.keys() == whole.keys() >= {"logit_scale", "text_projection.weight", "visual_projection.weight"}
    torch.testing.assert_close(cached, whole, rtol=1e-4, atol=1e-6)


def test_a_models_own_dropout_is_the_same_in_both_passes(
    tiny_clip: Path, data: tuple[LabelledProducts, Pictures]
) -> None:
    def found(mini_batch_size: int) -> tuple[float, torch.Tensor]:
        torch.manual_seed(mini_batch_size)
        loss, its = gradients(dropping, data, mini_batch_size=mini_batch_size)
        return loss, its["text_projection.weight"]

    dropping = load_towers(find_checkpoint(str(tiny_clip)), device="cpu", for_training=True)
    for module in dropping.model.modules():
        if hasattr(module, "dropout"):
            module.dropout = 0.3
    plain = found(8)
    dropping.model.train()
    one, other = found(8), found(8)
    assert one[0] == other[0] != pytest.approx(plain[0], rel=1e-6)
    torch.testing.assert_close(one[1], other[1], rtol=0, atol=0)


def test_what_a_step_draws_depends_on_seed_and_number_alone(
    towers: Towers, data: tuple[LabelledProducts, Pictures]
) -> None:
    rows = data[0].train[:BATCH]

    def drawn(step: int, seed: int) -> list[list[int]]:
        torch.manual_seed(step + seed)
        items = step_of(towers, data, seed=seed).draw(rows, step=step).items["texts"]
        return items.token_lists

    assert drawn(1, 0) == drawn(1, 0)
    assert drawn(1, 0) != drawn(2, 0)
    assert drawn(1, 0) != drawn(1, 1)


def test_kinds_that_no_pair_wants_are_not_encoded(towers: Towers, data: tuple[LabelledProducts, Pictures]) -> None:
    rows = data[0].train[:BATCH]
    without_pictures = step_of(towers, data, image_path=0, text_image=0).draw(rows, step=0)
    assert set(without_pictures.items) == {"paths", "texts", "fields"}
    assert set(step_of(towers, data, text_path=0, text_image=0).draw(rows, step=0).items) == {
        "paths",
        "fields",
        "images",
    }
