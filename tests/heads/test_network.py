"""The network: its layers, and the most probable classes of many products and of none."""

import pytest
import torch
from torch import nn

from prodemb.core.errors import ConfigError
from prodemb.core.features import BRAND_FEATURES
from prodemb.heads.aggregate import AggregateConfig
from prodemb.heads.network import Head, HeadConfig, Network

DIM = 6


def make_network(*, num_classes: int = 7) -> Network:
    torch.manual_seed(0)
    network = Network(
        BRAND_FEATURES,
        dims=(DIM,) * len(BRAND_FEATURES),
        num_classes=num_classes,
        aggregate=AggregateConfig(),
        head=HeadConfig(hidden_layer_sizes=(8, 5)),
    )
    return network.eval()


def inputs(num: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    present = torch.rand(num, len(BRAND_FEATURES), generator=generator) < 0.7
    vectors = torch.randn(num, len(BRAND_FEATURES), DIM, generator=generator).half() * present[..., None]
    return vectors.flatten(1), present


def test_each_hidden_layer_is_linear_norm_tanh() -> None:
    layers = Head(in_dim=4, num_classes=3, config=HeadConfig(hidden_layer_sizes=(8, 5))).layers
    kinds = [type(layer) for layer in layers if not isinstance(layer, nn.Dropout)]
    assert kinds == [nn.Linear, nn.LayerNorm, nn.Tanh] * 2 + [nn.Linear]
    normalised = Head(in_dim=4, num_classes=3, config=HeadConfig(hidden_layer_sizes=(), normalise_logits=True)).layers
    assert [type(layer) for layer in normalised] == [nn.Linear, nn.LayerNorm]


def test_probabilities_fall_and_sum_to_one() -> None:
    network = make_network(num_classes=3)
    vectors, present = inputs(5)
    probabilities, classes = network.topk(vectors, present=present, k=5)
    assert probabilities.shape == classes.shape == (5, 3)
    assert torch.allclose(probabilities.sum(1), torch.ones(5))
    assert (probabilities.diff(dim=1) <= 0).all()


def test_many_products_and_none_are_predicted_alike() -> None:
    network = make_network()
    vectors, present = inputs(5000)
    probabilities, classes = network.topk(vectors, present=present, k=2)
    some, _ = network.topk(vectors[4500:], present=present[4500:], k=2)
    assert torch.allclose(probabilities[4500:], some, atol=1e-6)
    assert network.topk(vectors[:0], present=present[:0], k=2)[1].shape == (0, 2)
    assert classes.dtype == torch.int64


def test_a_wrong_width_is_named() -> None:
    with pytest.raises(
        ConfigError, match=r"found hidden_layer_sizes = \[512, 0\], wanted at most 64 widths from 1 to 65,536"
    ):
        HeadConfig.parse({"hidden_layer_sizes": [512, 0]}, source="brand.toml")
