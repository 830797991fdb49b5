"""The aggregate: the vectors of a product, some of them absent, combined into one."""

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from prodemb.core.config import Config
from prodemb.core.errors import ConfigError
from prodemb.core.features import ALL_FEATURES, Feature

AggregateMode = Literal["mean", "weighted", "concat", "gated"]

_CHUNK = 8192
"""Products whose vectors are converted to float32 at a time, to bound memory."""


class AggregateConfig(Config):
    """`[aggregate]`: how the vectors of a product are combined."""

    mode: AggregateMode = "concat"
    """`mean` and `weighted` average the present vectors; `concat` concatenates all of them, zeros where absent, and
    adds presence flags; `gated` averages with weights that are learned from the vectors."""
    weights: dict[Feature, float] = Field(default={})
    """For `weighted`: the weight of a feature; 1 where none is given."""
    standardise: bool = True
    """Shift and scale each number of each feature to mean 0 and standard deviation 1 on the training part first, which
    removes the gap between texts and pictures (Liang et al., Mind the Gap, NeurIPS 2022)."""

    @field_validator("weights")
    @classmethod
    def _weights_are_positive(cls, weights: dict[Feature, float]) -> dict[Feature, float]:
        for feature, weight in weights.items():
            if not 0 < weight < float("inf"):
                raise ValueError(f"found {feature} = {weight}, wanted a weight above 0")
        return weights


class Aggregate(nn.Module):
    """Vectors (n, D) and presence (n, F) to one vector per product (n, `out_dim`), in one of four modes.

    The vectors of the F features are concatenated to one row of D numbers. A product without any vector gets zeros,
    never NaN.
    """

    mean: Tensor
    scale: Tensor
    weights: Tensor

    def __init__(self, features: Sequence[Feature], *, dims: Sequence[int], config: AggregateConfig) -> None:
        """Until `fit`, standardising changes nothing.

        Args:
            features: the F features, in the order of the vectors.
            dims: how many numbers a vector of each has.

        Raises:
            ConfigError: vectors of several lengths cannot be averaged.
        """
        super().__init__()
        assert list(features) == sorted(features, key=ALL_FEATURES.index), features
        if config.mode != "concat" and len(set(dims)) > 1:
            lengths = ", ".join(f"{feature} {dim}" for feature, dim in zip(features, dims, strict=True))
            raise ConfigError(
                f"[aggregate] mode: found {config.mode!r}, which averages vectors of one length, but they have "
                f'{lengths} numbers; wanted "concat", or [train] features of one length'
            )
        self.config = config
        self.dims = tuple(dims)
        num_numbers = sum(dims)
        self.out_dim = num_numbers + len(dims) if config.mode == "concat" else dims[0]
        self.register_buffer("mean", torch.zeros(num_numbers))
        self.register_buffer("scale", torch.ones(num_numbers))
        weights = torch.tensor([config.weights.get(feature, 1.0) for feature in features])
        self.register_buffer("weights", weights, persistent=False)
        self.gate: nn.Linear | None = nn.Linear(num_numbers + len(dims), len(dims)) if config.mode == "gated" else None
        if self.gate is not None:
            nn.init.zeros_(self.gate.weight)
            nn.init.zeros_(self.gate.bias)

    @torch.no_grad()
    def fit(self, vectors: Tensor, *, present: Tensor, rows: Tensor | None = None) -> None:
        """Take mean and standard deviation of each number from the present vectors of the training part.

        A number that does not vary, or a feature that no product has, keeps its scale.

        Args:
            vectors: (n, D) of any float type.
            present: (n, F) bool.
            rows: (m,) indices of the training part; all of them where none are given.
        """
        if not self.config.standardise:
            return
        rows = torch.arange(len(vectors), device=vectors.device) if rows is None else rows
        owners = self._owners(vectors.device)
        count = torch.zeros(len(self.dims), dtype=torch.float64, device=vectors.device)
        total = torch.zeros(self.mean.shape, dtype=torch.float64, device=vectors.device)
        for some in torch.split(rows, _CHUNK):
            count += present[some].sum(0)
            total += self._masked(vectors[some].float(), present[some].float()).sum(0)
        seen = count.clamp(min=1)[owners]
        mean = (total / seen).float()
        total.zero_()
        for some in torch.split(rows, _CHUNK):
            total += self._masked((vectors[some].float() - mean).square_(), present[some].float()).sum(0)
        deviation = (total / seen).sqrt().float()
        self.mean.copy_(mean)
        self.scale.copy_(torch.where(deviation > 1e-4, 1 / deviation.clamp(min=1e-4), 1.0))

    def forward(self, vectors: Tensor, present: Tensor) -> Tensor:
        """(n, D) of any float type and (n, F) bool to (n, out_dim) float32."""
        there = present.to(torch.float32)
        num_numbers = len(self.mean)
        with_flags = torch.empty(len(vectors), num_numbers + len(self.dims), device=vectors.device)
        with_flags[:, num_numbers:] = there
        standardised = with_flags[:, :num_numbers]
        self._masked(standardised.copy_(vectors).sub_(self.mean).mul_(self.scale), there)
        match self.config.mode:
            case "mean":
                return self._average(standardised, weights=there)
            case "weighted":
                return self._average(standardised, weights=there * self.weights)
            case "concat":
                return with_flags
            case "gated":
                assert self.gate is not None
                gates = self.gate(with_flags).float()
                open_gates = gates.masked_fill(~present, -1e4).softmax(1) * there
                return self._average(standardised, weights=open_gates)

    def _masked(self, vectors: Tensor, there: Tensor) -> Tensor:
        """Vectors (n, D), zeros where absent by `there` (n, F) float; in place."""
        for index, block in enumerate(torch.split(vectors, list(self.dims), dim=1)):
            block.mul_(there[:, index, None])
        return vectors

    def _average(self, vectors: Tensor, *, weights: Tensor) -> Tensor:
        """The weighted mean over features: (n, D) and (n, F) to (n, d); zeros where all weights are zero."""
        total = weights.sum(1, keepdim=True)
        apart = vectors.reshape(len(vectors), len(self.dims), self.dims[0])
        return torch.einsum("nfd,nf->nd", apart, weights / total.clamp(min=1e-12))

    def _owners(self, device: torch.device) -> Tensor:
        """The index of the feature that each number belongs to, (D,) int64."""
        indices = torch.arange(len(self.dims), device=device)
        return indices.repeat_interleave(torch.tensor(self.dims, device=device))
