"""Heads: the architecture, saved and loaded the same, and a damaged or mixed folder refused in one line."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from prodemb.core.errors import ConfigError, HeadError
from prodemb.core.features import BRAND_FEATURES
from prodemb.heads.aggregate import AggregateConfig, AggregateKind
from prodemb.heads.head import Head, HeadCard, HeadConfig, TrainedHead, load_head, save_head
from prodemb.heads.labels import BrandLabel, CategoryLabel
from prodemb.heads.metrics import Metrics

DIM = 6


def make_head(kind: AggregateKind = "concat", *, num_classes: int = 7, seed: int = 0) -> TrainedHead:
    torch.manual_seed(seed)
    card = HeadCard(
        target="brand",
        fingerprint="abc",
        model="tiny",
        features=BRAND_FEATURES,
        dims=(DIM,) * len(BRAND_FEATURES),
        aggregate=AggregateConfig(kind=kind, weights={"title": 2.0}),
        head=HeadConfig(hidden=(8, 5), normalise_logits=kind == "mean"),
        num_train=30,
        num_validation=4,
        coverage=0.5,
        metrics=Metrics(top1=0.5, top5=None, macro_f1=0.25, ece=0.1, num_products=3),
        labels=tuple(BrandLabel(name=f"Bränd {i}") for i in range(num_classes)),
    )
    head = TrainedHead.untrained(card)
    vectors, present = inputs(40)
    head.aggregate.fit(vectors, present=present)
    return head.to(torch.device("cpu"))


def inputs(num: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    present = torch.rand(num, len(BRAND_FEATURES), generator=generator) < 0.7
    vectors = torch.randn(num, len(BRAND_FEATURES), DIM, generator=generator).half() * present[..., None]
    return vectors.flatten(1), present


def test_each_hidden_layer_is_linear_norm_tanh() -> None:
    layers = Head(in_dim=4, num_classes=3, config=HeadConfig(hidden=(8, 5))).layers
    kinds = [type(layer) for layer in layers if not isinstance(layer, nn.Dropout)]
    assert kinds == [nn.Linear, nn.LayerNorm, nn.Tanh] * 2 + [nn.Linear]
    normalised = Head(in_dim=4, num_classes=3, config=HeadConfig(hidden=(), normalise_logits=True)).layers
    assert [type(layer) for layer in normalised] == [nn.Linear, nn.LayerNorm]


@pytest.mark.parametrize("kind", ["mean", "weighted", "concat", "gated"])
def test_a_loaded_head_answers_as_the_saved_one(tmp_path: Path, kind: AggregateKind) -> None:
    head = make_head(kind)
    saved = save_head(tmp_path / "heads" / "brand", head)
    loaded = load_head(tmp_path / "heads" / "brand")
    assert loaded.card == saved.card
    assert loaded.card.metrics == head.card.metrics
    vectors, present = inputs(9)
    for ours, theirs in zip(
        head.top(vectors, present=present, k=5), loaded.top(vectors, present=present, k=5), strict=True
    ):
        assert torch.equal(ours, theirs)


def test_the_card_is_readable(tmp_path: Path) -> None:
    save_head(tmp_path, make_head())
    card = json.loads((tmp_path / "head.json").read_text(encoding="utf-8"))
    assert card["schema_version"] == 1
    assert card["labels"][0] == {"name": "Bränd 0"}
    assert (card["features"], card["fingerprint"], card["dims"]) == (list(BRAND_FEATURES), "abc", [DIM] * 4)
    assert "Bränd" in (tmp_path / "head.json").read_text(encoding="utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["head.json", "head.safetensors"]


def test_probabilities_fall_and_sum_to_one() -> None:
    head = make_head(num_classes=3)
    vectors, present = inputs(5)
    probabilities, classes = head.top(vectors, present=present, k=5)
    assert probabilities.shape == classes.shape == (5, 3)
    assert torch.allclose(probabilities.sum(1), torch.ones(5))
    assert (probabilities.diff(dim=1) <= 0).all()


def test_many_products_and_none_are_answered_alike() -> None:
    head = make_head()
    vectors, present = inputs(5000)
    probabilities, classes = head.top(vectors, present=present, k=2)
    some, _ = head.top(vectors[4500:], present=present[4500:], k=2)
    assert torch.allclose(probabilities[4500:], some, atol=1e-6)
    assert head.top(vectors[:0], present=present[:0], k=2)[1].shape == (0, 2)
    assert classes.dtype == torch.int64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 9}, "found schema_version 9, wanted 1"),
        ({"dims": [12] * 4}, "does not fit head.json"),
        ({"labels": [{"name": "one"}]}, "does not fit head.json"),
        ({"labels": [{"id": "x", "path": "y"}]}, "damaged: labels"),
        ({"target": "price"}, "damaged: target"),
        ({"weights_sha256": "00"}, "altered, or its training was cut short"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    save_head(tmp_path, make_head())
    card = json.loads((tmp_path / "head.json").read_text())
    (tmp_path / "head.json").write_text(json.dumps(card | change))
    with pytest.raises(HeadError, match=message) as caught:
        load_head(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_or_altered_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HeadError, match=r"no head\.json here"):
        load_head(tmp_path / "nowhere")
    save_head(tmp_path, make_head())
    weights = tmp_path / "head.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1])
    with pytest.raises(HeadError, match="altered"):
        load_head(tmp_path)
    weights.unlink()
    with pytest.raises(HeadError, match=r"head\.safetensors: not readable"):
        load_head(tmp_path)


def test_weights_of_another_run_are_refused(tmp_path: Path) -> None:
    save_head(tmp_path / "a", make_head(seed=1))
    save_head(tmp_path / "b", make_head(seed=2))
    (tmp_path / "a" / "head.safetensors").write_bytes((tmp_path / "b" / "head.safetensors").read_bytes())
    with pytest.raises(HeadError, match="cut short"):
        load_head(tmp_path / "a")


@settings(max_examples=50, deadline=None)
@given(content=st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
def test_any_card_is_a_card_or_an_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("head")
    (folder / "head.json").write_bytes(content)
    with pytest.raises(HeadError, match="damaged"):
        load_head(folder)


def test_labels_of_categories_come_back_as_such(tmp_path: Path) -> None:
    head = make_head(num_classes=2)
    labels = (CategoryLabel(id=1, path="Animals"), CategoryLabel(id=3, path="Animals > Live Animals"))
    card = head.card.model_copy(update={"target": "category", "labels": labels})
    save_head(tmp_path, TrainedHead(card=card, aggregate=head.aggregate, head=head.head))
    assert load_head(tmp_path).card.labels == labels


def test_a_wrong_width_is_named() -> None:
    with pytest.raises(ConfigError, match=r"found hidden = \[512, 0\], wanted widths of 1 or more"):
        HeadConfig.parse({"hidden": [512, 0]}, source="brand.toml")
