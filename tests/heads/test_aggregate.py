"""Aggregates: present vectors count, absent ones never do, and nothing is ever NaN."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prodemb.core.errors import ConfigError
from prodemb.core.features import FEATURES, Feature
from prodemb.heads.aggregate import Aggregate, AggregateConfig, AggregateMode

THREE: tuple[Feature, ...] = ("title", "brand", "image")
MODES: tuple[AggregateMode, ...] = ("mean", "weighted", "concat", "gated")


def make(mode: AggregateMode, *, dim: int = 4, standardise: bool = False, **weights: float) -> Aggregate:
    config = AggregateConfig(mode=mode, standardise=standardise, weights=weights)
    return Aggregate(THREE, dims=[dim] * 3, config=config)


def products(num: int, *, dim: int = 4, seed: int = 0, share: float = 0.7) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    present = torch.rand(num, 3, generator=generator) < share
    vectors = (torch.randn(num, 3, dim, generator=generator) * 3 + 1).half() * present[..., None]
    return vectors.flatten(1), present


def test_mean_and_weighted_average_what_is_present() -> None:
    vectors, present = products(50)
    mean, weighted = make("mean")(vectors, present), make("weighted", title=2.0, image=0.5)(vectors, present)
    apart = vectors.view(50, 3, 4)
    for row in range(50):
        there = present[row]
        if there.any():
            assert torch.allclose(mean[row], apart[row][there].float().mean(0), atol=1e-5)
            weights = torch.tensor([2.0, 1.0, 0.5])[there]
            wanted = (apart[row][there].float() * weights[:, None]).sum(0) / weights.sum()
            assert torch.allclose(weighted[row], wanted, atol=1e-5)


def test_concat_puts_vectors_side_by_side_and_adds_flags() -> None:
    vectors, present = products(20)
    out = make("concat")(vectors, present)
    assert out.shape == (20, 15)
    assert torch.equal(out[:, :12], vectors.float())
    assert torch.equal(out[:, 12:], present.float())


def test_standardised_features_have_mean_0_and_deviation_1_where_present() -> None:
    vectors, present = products(9000, seed=1)
    aggregate = make("concat", standardise=True)
    aggregate.fit(vectors, present=present)
    out = aggregate(vectors, present)[:, :12].view(-1, 3, 4)
    for feature in range(3):
        there = out[present[:, feature], feature]
        assert torch.allclose(there.mean(0), torch.zeros(4), atol=1e-4)
        assert torch.allclose(there.std(0), torch.ones(4), atol=1e-3)
        assert not out[~present[:, feature], feature].any()


def test_numbers_that_do_not_vary_stay_finite() -> None:
    vectors, present = torch.full((5, 12), 0.5).half(), torch.ones(5, 3, dtype=torch.bool)
    present[:, 1] = False
    aggregate = make("concat", standardise=True)
    aggregate.fit(vectors, present=present)
    assert aggregate(vectors * 2, torch.ones(5, 3, dtype=torch.bool)).abs().max() <= 1


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), share=st.sampled_from([0.0, 0.3, 1.0]), standardise=st.booleans())
def test_nothing_is_ever_nan_and_nothing_present_gives_zeros(
    mode: AggregateMode, seed: int, share: float, standardise: bool
) -> None:
    vectors, present = products(12, seed=seed, share=share)
    aggregate = make(mode, standardise=standardise)
    aggregate.fit(vectors, present=present)
    out = aggregate(vectors, present)
    assert out.shape == (12, aggregate.out_dim)
    assert out.isfinite().all()
    assert not out[~present.any(1)].any()


@pytest.mark.parametrize("mode", MODES)
def test_what_stands_in_an_absent_place_does_not_matter(mode: AggregateMode) -> None:
    vectors, present = products(30)
    aggregate = make(mode, standardise=True)
    aggregate.fit(vectors, present=present)
    garbage = torch.where(present.repeat_interleave(4, dim=1), vectors, torch.tensor(7.0).half())
    assert torch.equal(aggregate(vectors, present), aggregate(garbage, present))


def test_gates_start_as_the_mean_and_learn() -> None:
    vectors, present = products(40)
    gated = make("gated")
    assert torch.allclose(gated(vectors, present), make("mean")(vectors, present), atol=1e-5)
    gated(vectors, present).square().sum().backward()
    assert gated.gate is not None
    assert gated.gate.weight.grad is not None
    assert gated.gate.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("mode", MODES)
def test_all_seven_features_fit(mode: AggregateMode) -> None:
    aggregate = Aggregate(FEATURES, dims=[8] * 7, config=AggregateConfig(mode=mode))
    assert aggregate(torch.randn(3, 56), torch.ones(3, 7, dtype=torch.bool)).shape == (3, aggregate.out_dim)


def test_vectors_of_several_lengths_stand_side_by_side() -> None:
    features: tuple[Feature, ...] = ("title", "image", "lexical")
    aggregate = Aggregate(features, dims=[2, 2, 5], config=AggregateConfig())
    vectors = torch.randn(100, 9) * 3 + 1
    present = torch.rand(100, 3) < 0.7
    vectors *= present.repeat_interleave(torch.tensor([2, 2, 5]), dim=1)
    aggregate.fit(vectors, present=present)
    out = aggregate(vectors, present)
    assert out.shape == (100, aggregate.out_dim) == (100, 12)
    lexical = out[present[:, 2], 4:9]
    assert torch.allclose(lexical.mean(0), torch.zeros(5), atol=1e-4)
    assert torch.allclose(lexical.var(0, correction=0), torch.ones(5), atol=1e-3)
    assert not out[~present[:, 2], 4:9].any()


@pytest.mark.parametrize("mode", ["mean", "weighted", "gated"])
def test_vectors_of_several_lengths_cannot_be_averaged(mode: AggregateMode) -> None:
    with pytest.raises(ConfigError, match=rf"found '{mode}', .* title 2, lexical 5 numbers; wanted \"concat\""):
        Aggregate(("title", "lexical"), dims=[2, 5], config=AggregateConfig(mode=mode))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"mode": "sum"}, "mode: found 'sum', wanted 'mean', 'weighted', 'concat' or 'gated'"),
        ({"weights": {"titel": 2.0}}, "titel"),
        ({"weights": {"title": 0.0}}, "found title = 0.0, wanted a weight above 0"),
        ({"weights": {"title": float("nan")}}, "found nan, wanted a finite number"),
    ],
)
def test_a_wrong_setting_is_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AggregateConfig.parse(values, source="brand.toml")
