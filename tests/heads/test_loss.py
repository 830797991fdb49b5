"""The loss of the last layer: that of the whole logits, and so are its gradients, whatever is cut where."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from prodemb.heads import loss as loss_module
from prodemb.heads.loss import last_layer_loss

DOUBLE = torch.float64


class Layer:
    """A last layer, products before it, and their labels."""

    def __init__(self, *, num: int, width: int, num_classes: int, normalise: bool, dtype: torch.dtype, seed: int = 0):
        torch.manual_seed(seed)
        self.hidden = torch.randn(num, width, dtype=dtype, requires_grad=True)
        self.linear = nn.Linear(width, num_classes, dtype=dtype)
        self.norm = nn.LayerNorm(num_classes, dtype=dtype) if normalise else None
        for norm in filter(None, [self.norm]):
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias)
        self.labels = torch.randint(0, num_classes, (num,))

    def to(self, dtype: torch.dtype) -> "Layer":
        other = Layer(
            num=len(self.labels),
            width=self.linear.in_features,
            num_classes=self.linear.out_features,
            normalise=self.norm is not None,
            dtype=dtype,
        )
        with torch.no_grad():
            for ours, theirs in zip(self.parameters(), other.parameters(), strict=True):
                theirs.copy_(ours)
        other.labels = self.labels
        return other

    def parameters(self) -> list[Tensor]:
        return [self.hidden, *self.linear.parameters(), *(self.norm.parameters() if self.norm else ())]

    def whole(self, label_smoothing: float) -> list[Tensor]:
        """PyTorch's own loss and gradients, on the whole logits."""
        logits = self.linear(self.hidden)
        logits = logits if self.norm is None else self.norm(logits)
        loss = nn.functional.cross_entropy(
            logits.float() if logits.dtype != DOUBLE else logits, self.labels, label_smoothing=label_smoothing
        )
        return [loss.detach(), *torch.autograd.grad(loss, self.parameters())]

    def ours(self, label_smoothing: float) -> list[Tensor]:
        loss = last_layer_loss(
            self.hidden, linear=self.linear, norm=self.norm, labels=self.labels, label_smoothing=label_smoothing
        )
        return [loss.detach(), *torch.autograd.grad(loss, self.parameters())]


def distance(ours: list[Tensor], wanted: list[Tensor]) -> float:
    """The largest difference in any tensor, as a share of the tensor's largest value (or of 1e-3, if that is more)."""
    pairs = zip(ours, wanted, strict=True)
    return max(float((a.double() - b).abs().max() / b.abs().max().clamp(min=1e-3)) for a, b in pairs)


@settings(max_examples=60, deadline=None)
@given(
    num=st.integers(1, 40),
    width=st.integers(1, 9),
    num_classes=st.integers(2, 30),
    normalise=st.booleans(),
    label_smoothing=st.sampled_from([0.0, 0.1, 0.9]),
    rows=st.integers(1, 50),
    logit_scale=st.sampled_from([0.01, 1.0, 100.0]),
    seed=st.integers(0, 1000),
)
def test_loss_and_gradients_are_those_of_the_whole_logits(
    num: int,
    width: int,
    num_classes: int,
    normalise: bool,
    label_smoothing: float,
    rows: int,
    logit_scale: float,
    seed: int,
) -> None:
    layer = Layer(num=num, width=width, num_classes=num_classes, normalise=normalise, dtype=DOUBLE, seed=seed)
    with torch.no_grad():
        layer.hidden.mul_(logit_scale)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loss_module, "ROWS_AT_A_TIME", rows)
        assert distance(layer.ours(label_smoothing), layer.whole(label_smoothing)) < 1e-9


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("logit_scale", [1.0, 30.0])
def test_float32_is_about_as_near_to_float64_as_pytorchs_own(
    label_smoothing: float, normalise: bool, logit_scale: float
) -> None:
    layer = Layer(num=1100, width=24, num_classes=300, normalise=normalise, dtype=torch.float32)
    with torch.no_grad():
        layer.hidden.mul_(logit_scale)
    wanted = layer.to(DOUBLE).whole(label_smoothing)
    theirs = distance(layer.whole(label_smoothing), wanted)
    rounding = 512 * torch.finfo(torch.float32).eps / 2  # of a sum over a chunk's products, one after another
    assert distance(layer.ours(label_smoothing), wanted) < theirs + rounding


@pytest.mark.parametrize("normalise", [False, True])
def test_autocast_is_as_near_as_pytorchs_own(normalise: bool) -> None:
    layer = Layer(num=700, width=32, num_classes=90, normalise=normalise, dtype=torch.float32)
    wanted = layer.to(DOUBLE).whole(0.1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours, theirs = layer.ours(0.1), layer.whole(0.1)
    assert [value.dtype for value in ours] == [torch.float32] * len(ours)
    assert distance(ours, wanted) < 1.5 * distance(theirs, wanted) + 1e-3


def test_what_comes_after_the_loss_reaches_the_gradients() -> None:
    layer = Layer(num=9, width=4, num_classes=5, normalise=False, dtype=DOUBLE)
    loss = last_layer_loss(layer.hidden, linear=layer.linear, norm=None, labels=layer.labels, label_smoothing=0.0)
    (3 * loss).backward()
    assert layer.linear.weight.grad is not None
    assert torch.allclose(layer.linear.weight.grad, 3 * layer.whole(0.0)[2])


def test_certain_and_hopeless_products_keep_the_loss_finite() -> None:
    layer = Layer(num=2, width=1, num_classes=3, normalise=False, dtype=torch.float32)
    with torch.no_grad():
        layer.linear.weight.copy_(torch.tensor([[1e4], [0.0], [-1e4]]))
        layer.hidden.fill_(1)
    layer.labels = torch.tensor([0, 2])
    loss, of_hidden, *_ = layer.ours(0.0)
    assert float(loss) == pytest.approx(1e4, rel=1e-4)
    assert float(of_hidden[0]) == 0
    assert torch.isfinite(of_hidden).all()
