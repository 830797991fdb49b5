"""Fitting: a step is that of the plain network, and the best weights are kept."""

import pytest
import torch
from torch import nn

from prodemb.core.features import BRAND_FEATURES
from prodemb.heads.aggregate import AggregateConfig
from prodemb.heads.fit import FitConfig
from prodemb.heads.network import HeadConfig, Network


@pytest.mark.parametrize("mode", ["mean", "weighted", "concat", "gated"])
@pytest.mark.parametrize(
    "head", [HeadConfig(hidden_layer_sizes=(12, 7)), HeadConfig(hidden_layer_sizes=(), normalise_logits=True)]
)
def test_the_loss_of_a_network_is_that_of_its_logits(mode: str, head: HeadConfig) -> None:
    torch.manual_seed(0)
    network = Network(
        BRAND_FEATURES,
        dims=(6,) * 4,
        num_classes=11,
        aggregate=AggregateConfig.parse({"mode": mode}, source="test"),
        head=head,
    ).eval()
    present = torch.rand(40, len(BRAND_FEATURES)) < 0.7
    vectors = torch.randn(40, len(BRAND_FEATURES), 6).half() * present[..., None]
    vectors = vectors.flatten(1)
    labels = torch.randint(0, 11, (40,))
    parameters = list(network.parameters())
    kept = vectors.clone()

    ours = network.loss(vectors, present, labels=labels, label_smoothing=0.1)
    plain = nn.functional.cross_entropy(network(vectors, present), labels, label_smoothing=0.1)

    assert torch.allclose(ours, plain, atol=1e-6)
    assert torch.equal(vectors, kept)
    gradients = [torch.autograd.grad(loss, parameters) for loss in (ours, plain)]
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


@pytest.mark.parametrize(
    ("num_train", "num_classes", "epochs"),
    [(0, 2, 30), (600, 60, 30), (9_600, 68, 25), (80_000, 200, 3), (16_000, 3_000, 30), (800_000, 5_595, 7)],
)
def test_many_products_take_few_passes(num_train: int, num_classes: int, epochs: int) -> None:
    assert FitConfig().num_epochs(num_train, num_classes=num_classes) == epochs
    assert FitConfig(epochs=11).num_epochs(num_train, num_classes=num_classes) == 11
