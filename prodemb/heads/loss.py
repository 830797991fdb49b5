"""The loss of a last layer under softmax with its gradients, some products at a time, so that memory stays bounded."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

ROWS_AT_A_TIME = 512
"""Products whose logits are held at once; those of 512 products take as much memory as the weights of a layer with 512
inputs. Fewer rows need less, but read and write the gradient of the weights more often: on a CPU with 7,978 classes a
step took 6% longer with 128 than with 512."""


def last_layer_loss(
    hidden: Tensor, *, linear: nn.Linear, norm: nn.LayerNorm | None, labels: Tensor, label_smoothing: float
) -> Tensor:
    """The mean of `cross_entropy(norm(linear(hidden)), labels)`, without ever holding (n, num_classes) logits.

    The gradients are computed in the forward pass, while the logits of a chunk of products are in memory, and overwrite
    them (Hsu et al., Liger Kernel: Efficient Triton Kernels for LLM Training, 2024, FusedLinearCrossEntropy). Nothing
    is sampled or left out. Under autocast the matrix products have its type; the softmax and the sums over chunks have
    that of the weights. Backward can run once.

    Args:
        hidden: (n, h) float, n above 0.
        linear: h to num_classes, with a bias.
        norm: over the num_classes logits; None for none.
        labels: (n,) int64, from 0 to num_classes - 1.
        label_smoothing: the share of the target that is spread over all classes, as in `nn.CrossEntropyLoss`.

    Returns:
        The loss, of the weights' type.
    """
    affine = (None, None) if norm is None else (norm.weight, norm.bias)
    loss: Tensor = _LastLayerLoss.apply(  # type: ignore[no-untyped-call]
        hidden, linear.weight, linear.bias, *affine, norm, labels, label_smoothing
    )
    return loss


class _LastLayerLoss(torch.autograd.Function):
    """The loss as one node of the graph; its gradients are computed in the forward pass."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor,
        scale: Tensor | None,
        shift: Tensor | None,
        norm: nn.LayerNorm | None,
        labels: Tensor,
        label_smoothing: float,
    ) -> Tensor:
        kind = hidden.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
        loss = weight.new_zeros(())
        of_hidden = torch.empty_like(hidden)
        num_rows = min(len(hidden), ROWS_AT_A_TIME)
        layer = _LastLayer(
            weight, bias=bias, norm=norm, dtype=dtype, label_smoothing=label_smoothing, num_rows=num_rows
        )
        with torch.autocast(kind, enabled=False):
            for start in range(0, len(hidden), ROWS_AT_A_TIME):
                some = slice(start, start + ROWS_AT_A_TIME)
                part, of_hidden[some] = layer.chunk(hidden[some].to(dtype), labels=labels[some, None], num=len(hidden))
                loss += part
        ctx.gradients = (of_hidden, layer.of_weight, layer.of_bias, *(layer.of_norm or (None, None)))
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_loss: Tensor) -> tuple[Tensor | None, ...]:
        gradients = ctx.gradients
        del ctx.gradients
        return *(None if gradient is None else gradient.mul_(of_loss) for gradient in gradients), None, None, None


class _LastLayer:
    """A last layer and the gradients of its parameters, which add up chunk by chunk."""

    def __init__(
        self,
        weight: Tensor,
        *,
        bias: Tensor,
        norm: nn.LayerNorm | None,
        dtype: torch.dtype,
        label_smoothing: float,
        num_rows: int,
    ) -> None:
        """For chunks of at most `num_rows` products; `dtype` is that of the matrix products."""
        self._weight, self._bias = weight.to(dtype), bias.to(dtype)
        self._norm = norm
        self._label_smoothing = label_smoothing
        self._logits = self._weight.new_empty(num_rows, len(weight))  # once, for fresh memory is slow to touch
        self._beta = 0
        self.of_weight, self.of_bias = torch.empty_like(weight), torch.zeros_like(bias)
        self.of_norm = [] if norm is None else [torch.zeros_like(norm.weight), torch.zeros_like(norm.bias)]

    def chunk(self, hidden: Tensor, *, labels: Tensor, num: int) -> tuple[Tensor, Tensor]:
        """The share of m of all `num` products in the mean loss, and its gradient with respect to `hidden` (m, h)."""
        logits = torch.addmm(self._bias, hidden, self._weight.t(), out=self._logits[: len(hidden)])
        logits = logits.to(self.of_weight.dtype)
        if self._norm is None:
            loss, factor = _into_gradient(logits, labels=labels, label_smoothing=self._label_smoothing)
            factor /= num
        else:
            with torch.enable_grad():
                normalised = self._norm(logits.requires_grad_())
            gradient = normalised.detach()
            loss, factor = _into_gradient(gradient, labels=labels, label_smoothing=self._label_smoothing)
            logits, *of_norm = torch.autograd.grad(
                normalised, (logits, self._norm.weight, self._norm.bias), grad_outputs=gradient.mul_(factor / num)
            )
            factor = torch.ones_like(factor)
            for total, part in zip(self.of_norm, of_norm, strict=True):
                total += part
        self.of_bias.addmv_(logits.t(), factor[:, 0])
        low = logits.to(hidden.dtype)
        self._add_to_weight(low.t(), (hidden * factor).to(hidden.dtype))
        return loss / num, (low @ self._weight) * factor

    def _add_to_weight(self, left: Tensor, right: Tensor) -> None:
        """Add a product of matrices to the gradient of the weights, which is still unwritten the first time."""
        if self.of_weight.dtype == left.dtype:
            self.of_weight.addmm_(left, right, beta=self._beta)
        elif self._beta:
            self.of_weight += left @ right
        else:
            self.of_weight.copy_(left @ right)
        self._beta = 1


def _into_gradient(logits: Tensor, *, labels: Tensor, label_smoothing: float) -> tuple[Tensor, Tensor]:
    """Turn logits (m, num_classes) into the gradient of the summed loss with respect to them, but for a factor.

    The factor, 1 over the sum of the exponentials, is left to the caller, where multiplying by it takes less.

    Args:
        labels: (m, 1).

    Returns:
        The summed loss, and the factor (m, 1).
    """
    highest = logits.amax(1, keepdim=True)
    wanted = logits.gather(1, labels)
    if label_smoothing:
        wanted = (1 - label_smoothing) * wanted + label_smoothing * logits.mean(1, keepdim=True)
    total = logits.sub_(highest).exp_().sum(1, keepdim=True)
    logits.scatter_add_(1, labels, (label_smoothing - 1) * total)
    if label_smoothing:
        logits -= total * (label_smoothing / logits.shape[1])
    return (highest + total.log() - wanted).sum(), total.reciprocal()
