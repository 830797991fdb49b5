"""The ready tensors of the ceiling: what an embed run hands to the towers, taken down."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from rows import BATCHES, Job, embed

from prodemb.towers.load import Towers
from prodemb.towers.pool import TowerPool

Tower = Literal["text", "image"]
Batch = tuple[Tower, tuple[Any, ...], dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What went through the towers."""

    num_texts: int
    num_tokens: int
    num_padded_tokens: int
    """With their padding, as the tower sees them."""
    num_pictures: int
    num_batches: int
    device: str
    dtype: str


def record(job: Job, *, products: Path) -> Recorded:
    """Run embed once and leave the batches that it forms in `products`."""
    batches: list[Batch] = []
    with _taking_down(batches) as in_pools:
        embed(job)(products)()
    torch.save(batches, products / BATCHES)
    texts, pictures = (
        [(*inputs, *named.values())[0] for kind, inputs, named in batches if kind == tower] for tower in get_args(Tower)
    )
    preprocessor = in_pools[0].text
    ends = int(preprocessor.pad_id == preprocessor.tokenizer.eos_token_id)  # OpenAI's CLIP pads with the end token
    return Recorded(
        num_texts=sum(map(len, texts)),
        num_tokens=sum(int((ids != preprocessor.pad_id).sum()) + ends * len(ids) for ids in texts),
        num_padded_tokens=sum(ids.numel() for ids in texts),
        num_pictures=sum(map(len, pictures)),
        num_batches=len(batches),
        device=str(in_pools[0].device),
        dtype=str(in_pools[0].dtype).removeprefix("torch."),
    )


@contextmanager
def _taking_down(batches: list[Batch]) -> Iterator[list[Towers]]:
    """Keep a copy of all that towers are given while they are in a pool; gives the list of those towers.

    What goes through them before, when they are checked and batch sizes are tried, is left out.
    """
    in_pools: list[Towers] = []
    original = TowerPool.__enter__, Towers.text_vectors, Towers.image_vectors

    @wraps(TowerPool.__enter__)
    def enter(self: TowerPool) -> TowerPool:
        in_pools.append(self.towers)
        return original[0](self)

    def recorded(tower: Tower, call: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        @wraps(call)
        def method(self: Towers, *inputs: Any, **named: Any) -> torch.Tensor:
            if self in in_pools:
                kept = {name: _copy(value) for name, value in named.items()}
                batches.append((tower, tuple(map(_copy, inputs)), kept))
            return call(self, *inputs, **named)

        return method

    TowerPool.__enter__ = enter  # type: ignore[method-assign]
    Towers.text_vectors = recorded("text", original[1])  # type: ignore[method-assign]
    Towers.image_vectors = recorded("image", original[2])  # type: ignore[method-assign]
    try:
        yield in_pools
    finally:
        TowerPool.__enter__, Towers.text_vectors, Towers.image_vectors = original  # type: ignore[method-assign]


def _copy(value: Any) -> Any:
    return value.detach().cpu().clone() if isinstance(value, torch.Tensor) else value
