"""Heads: saved and loaded the same, and a damaged or mixed folder refused in one line."""

import json
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prodemb.core.errors import HeadError
from prodemb.core.features import BRAND_FEATURES
from prodemb.heads.aggregate import AggregateConfig, AggregateMode
from prodemb.heads.evaluation import BrandEvaluation
from prodemb.heads.head import HeadCard, TrainedHead, load_head, save_head
from prodemb.heads.labels import BrandLabel, CategoryLabel
from prodemb.heads.network import HeadConfig

DIM = 6
TEXT = {"fingerprint": "abc", "model": "tiny", "template": ["{title}"], "dim": 6}


def make_head(mode: AggregateMode = "concat", *, num_classes: int = 7, seed: int = 0) -> TrainedHead:
    torch.manual_seed(seed)
    card = HeadCard(
        target="brand",
        fingerprint="abc",
        model="tiny",
        features=BRAND_FEATURES,
        dims=(DIM,) * len(BRAND_FEATURES),
        aggregate=AggregateConfig(mode=mode, weights={"title": 2.0}),
        head=HeadConfig(hidden_layer_sizes=(8, 5), normalise_logits=mode == "mean"),
        num_train=30,
        evaluation=BrandEvaluation(num_learned=26),
        classes=tuple(BrandLabel(name=f"Bränd {i}") for i in range(num_classes)),
    )
    head = TrainedHead.untrained(card)
    vectors, present = inputs(40)
    head.network.aggregate.fit(vectors, present=present)
    return head.to(torch.device("cpu"))


def inputs(num: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    present = torch.rand(num, len(BRAND_FEATURES), generator=generator) < 0.7
    vectors = torch.randn(num, len(BRAND_FEATURES), DIM, generator=generator).half() * present[..., None]
    return vectors.flatten(1), present


@pytest.mark.parametrize("mode", ["mean", "weighted", "concat", "gated"])
def test_a_loaded_head_answers_as_the_saved_one(tmp_path: Path, mode: AggregateMode) -> None:
    head = make_head(mode)
    saved = save_head(tmp_path / "heads" / "brand", head)
    loaded = load_head(tmp_path / "heads" / "brand")
    assert loaded.card == saved.card
    assert loaded.card.evaluation == head.card.evaluation
    vectors, present = inputs(9)
    for ours, theirs in zip(
        head.network.topk(vectors, present=present, k=5),
        loaded.network.topk(vectors, present=present, k=5),
        strict=True,
    ):
        assert torch.equal(ours, theirs)


def test_the_card_is_readable(tmp_path: Path) -> None:
    save_head(tmp_path, make_head())
    card = json.loads((tmp_path / "head.json").read_text(encoding="utf-8"))
    assert card["schema_version"] == 3
    assert card["classes"][0] == {"name": "Bränd 0"}
    assert (card["features"], card["fingerprint"], card["dims"]) == (list(BRAND_FEATURES), "abc", [DIM] * 4)
    assert "Bränd" in (tmp_path / "head.json").read_text(encoding="utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["head.json", "head.safetensors"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 2}, "found schema_version 2, wanted 3; train again"),
        ({"schema_version": 9}, "found schema_version 9, wanted 3"),
        ({"dims": [12] * 4}, "does not fit head.json"),
        ({"classes": [{"name": "one"}]}, "does not fit head.json"),
        ({"classes": [{"id": "x", "path": "y"}]}, "damaged: classes"),
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


def test_classes_of_categories_come_back_as_such(tmp_path: Path) -> None:
    head = make_head(num_classes=2)
    classes = (CategoryLabel(id=1, path="Animals"), CategoryLabel(id=3, path="Animals > Live Animals"))
    card = head.card.model_copy(update={"target": "category", "classes": classes})
    save_head(tmp_path, TrainedHead(card=card, network=head.network))
    assert load_head(tmp_path).card.classes == classes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": [], "dims": []}, "features: found \\[\\], wanted one or more"),
        ({"features": ["title", "title", "brand", "image"]}, "features: found .* each once and in order"),
        ({"features": ["image", "title", "description", "brand"]}, "features: .* in order"),
        ({"dims": [10**9] * 4}, "dims: found"),
        ({"dims": [DIM] * 3}, "dims: found"),
        ({"dims": [DIM, -DIM, DIM, DIM]}, "dims: found"),
        ({"dims": [9**5000] * 4}, "found a number of 4,772 digits"),
        ({"head": {"hidden_layer_sizes": [200_000_000]}}, "wanted at most 64 widths from 1 to 65,536"),
        ({"head": {"hidden_layer_sizes": [8] * 100_000}}, "and 99992 more, wanted at most 64 widths"),
        ({"head": {"hidden_layer_sizes": [65_536] * 64}}, r"does not fit head\.json \(found [\d,]+ bytes, wanted 1,08"),
        ({"dims": [65_536] * 4}, "does not fit head.json"),
        ({"classes": []}, "classes: wanted one or more"),
        ({"classes": [{"id": 1, "path": "A"}]}, "classes: wanted one or more, each of a brand"),
        ({"class_counts": [1, 2]}, "class_counts: wanted a number for each class"),
        ({"class_counts": [-1] * 7}, "class_counts"),
        ({"aggregate": {"weights": {"title": float("inf")}}}, "aggregate.weights.title"),
        ({"lexical": {"dim": 64}}, "lexical: found the feature or its kind"),
        ({"text": TEXT}, "text: found the feature or its kind"),
        ({"text": TEXT | {"template": ["no field"]}}, "text.template: Value error, found 'no field' without a field"),
        ({"seconds": float("nan")}, "seconds"),
    ],
)
def test_a_card_of_no_head_costs_nothing_and_is_refused(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    save_head(tmp_path, make_head())
    card = json.loads((tmp_path / "head.json").read_text())
    with digits_as_they_are():
        (tmp_path / "head.json").write_text(json.dumps(card | change))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(HeadError, match=message) as caught:
        load_head(tmp_path)
    assert len(str(caught.value)) < 600
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


@contextmanager
def digits_as_they_are() -> Iterator[None]:
    """Python itself writes no number of more than 4,300 digits."""
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        yield
    finally:
        sys.set_int_max_str_digits(limit)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 3e38])
def test_weights_that_answer_nothing_are_refused_though_their_checksum_is_right(tmp_path: Path, number: float) -> None:
    for name in ("head.layers.0.weight", "head.layers.8.weight", "aggregate.scale"):
        head = make_head()
        with torch.no_grad():
            head.network.state_dict()[name].fill_(number)
            head.network.aggregate.mean.fill_(1.0)
        save_head(tmp_path, head)
        with pytest.raises(HeadError, match=r"head\.safetensors: holds numbers that are not finite, or too large"):
            load_head(tmp_path)
