"""A head's network with synthetic products, and the ways to train it that the benchmark compares."""

from collections.abc import Callable, Iterator
from itertools import cycle

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from prodemb.core.device import fastest_dtype
from prodemb.core.features import BRAND_FEATURES
from prodemb.core.optim import adamw
from prodemb.heads.aggregate import AggregateConfig
from prodemb.heads.examples import Examples
from prodemb.heads.fit import FitConfig, train_step
from prodemb.heads.network import HeadConfig, Network

DIM = 512
SHARE_PRESENT = 0.8
NUM_DISTINCT = 16_384
"""Products after which the vectors repeat; each lies in memory for itself all the same."""


class Products(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """One product at a time."""

    def __init__(self, examples: Examples) -> None:
        self._examples = examples

    def __len__(self) -> int:
        return len(self._examples.labels)

    def __getitem__(self, place: int) -> tuple[Tensor, Tensor, Tensor]:
        return self._examples.vectors[place], self._examples.present[place], self._examples.labels[place]


class Training:
    """A network, its optimizer and its products."""

    def __init__(self, *, num_products: int, num_classes: int, device: torch.device) -> None:
        torch.manual_seed(0)
        self.device, self.num_classes = device, num_classes
        self.examples = _examples(num_products, num_classes=num_classes, device=device)
        network = Network(
            BRAND_FEATURES,
            dims=(DIM,) * len(BRAND_FEATURES),
            num_classes=num_classes,
            aggregate=AggregateConfig(),
            head=HeadConfig(),
        )
        self.network = network.to(device).train()
        self._config = FitConfig()
        self._optimizer = adamw(
            self.network.parameters(),
            learning_rate=self._config.learning_rate,
            weight_decay=self._config.weight_decay,
            fused=True,
        )
        self._default_optimizer = torch.optim.AdamW(self.network.parameters(), lr=1e-3)
        self._rates = self._config.feature_dropout.rates(BRAND_FEATURES).to(device)

    def batches(self, batch_size: int) -> Iterator[Tensor]:
        """Places of all products in a random order, again and again."""
        order = torch.randperm(len(self.examples.labels), device=self.device)
        return cycle(torch.split(order, batch_size))

    def step(self, batch: Tensor) -> None:
        train_step(
            self.network,
            self.examples,
            batch=batch,
            rates=self._rates,
            alone=0.0,
            optimizer=self._optimizer,
            label_smoothing=self._config.label_smoothing,
        )

    def plain_step(self, vectors: Tensor, present: Tensor, labels: Tensor, *, default_optimizer: bool) -> None:
        """A step on the whole logits, in float32, with PyTorch's default AdamW or with prodemb's."""
        optimizer = self._default_optimizer if default_optimizer else self._optimizer
        logits = self.network(vectors.to(self.device), present.to(self.device))
        loss = nn.functional.cross_entropy(logits, labels.to(self.device))
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()

    def products(self, batch_size: int) -> Callable[[], None]:
        """The matrix products of one step: two forward, two for the weights, one for the hidden values."""
        dtype = fastest_dtype(self.device)
        in_dim, hidden = len(BRAND_FEATURES) * (DIM + 1), HeadConfig().hidden_layer_sizes[0]

        def matrix(num_rows: int, num_columns: int) -> Tensor:
            return torch.randn(num_rows, num_columns, device=self.device).to(dtype)

        inputs, first, last = matrix(batch_size, in_dim), matrix(hidden, in_dim), matrix(self.num_classes, hidden)
        values, of_logits = matrix(batch_size, hidden), matrix(batch_size, self.num_classes)
        of_values = matrix(batch_size, hidden)
        pairs = [(inputs, first.t()), (values, last.t())]
        pairs += [(of_logits, last), (of_logits.t(), values), (of_values.t(), inputs)]
        outs = [a @ b for a, b in pairs]

        def run() -> None:
            for (a, b), out in zip(pairs, outs, strict=True):
                torch.mm(a, b, out=out)

        return run


def _examples(num_products: int, *, num_classes: int, device: torch.device) -> Examples:
    block = torch.randn(min(num_products, NUM_DISTINCT), len(BRAND_FEATURES) * DIM).half().to(device)
    vectors = torch.empty(num_products, *block.shape[1:], dtype=torch.float16, device=device)
    for some in torch.split(vectors, len(block)):
        some.copy_(block[: len(some)])
    present = torch.rand(num_products, len(BRAND_FEATURES), device=device) < SHARE_PRESENT
    return Examples(vectors=vectors, present=present, labels=torch.randint(num_classes, (num_products,), device=device))
