"""The gradients of a big batch in the memory of a small one."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import Tensor

from prodemb.finetune.processes import Processes

Key = TypeVar("Key", bound=str)

Encode = Callable[[slice], Tensor]
"""Runs some items of one kind through the towers: vectors (k, d), the same on every call."""


def backpropagate(
    encoders: Mapping[Key, Encode],
    *,
    counts: Mapping[Key, int],
    mini_batch_size: int | None,
    nothing: Tensor,
    loss_of: Callable[[dict[Key, Tensor]], Tensor],
    processes: Processes,
) -> float:
    """Add the gradients of `loss_of(all vectors)` to the parameters behind the encoders; returns the loss.

    Gradient caching: Gao et al. 2021, Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup
    (GradCache), arXiv 2101.06983. Vectors are made one mini-batch at a time without a graph; the loss on all of
    them gives the gradient of each; then each mini-batch is run again, and the gradients of its vectors are propagated
    to the parameters. It is the gradient of the whole batch, not an average over small ones. What fits into one
    mini-batch is run once.

    With several processes each encodes its own share of every kind. All of them get all vectors and the same loss, and
    each goes on with its own vectors' gradients: summed over the processes (`Processes.add_gradients`) the parameters'
    gradients are those of one process with the whole batch.

    Args:
        counts: the number of items of each kind, in all processes together.
        mini_batch_size: the most items of one kind whose activations are in memory at once; None for all.
        nothing: (0, d), what an encoder returns for no items.
    """
    shares = {kind: processes.share(count) for kind, count in counts.items()}
    longest = max((share.stop - share.start for share in shares.values()), default=0)
    once = mini_batch_size is None or longest <= mini_batch_size
    mini_batches = {
        kind: _mini_batches(share, size=longest if mini_batch_size is None else mini_batch_size)
        for kind, share in shares.items()
    }
    with torch.set_grad_enabled(once):
        encoded = {kind: [encode(mini_batch) for mini_batch in mini_batches[kind]] for kind, encode in encoders.items()}
    leaves = {
        kind: processes.gather(torch.cat([nothing, *vectors]), num_items=counts[kind]).requires_grad_()
        for kind, vectors in encoded.items()
    }
    loss = loss_of(leaves)
    if loss.requires_grad:
        torch.autograd.backward(loss)
    for kind, encode in encoders.items():
        gradient = leaves[kind].grad
        if gradient is None:
            continue
        for number, mini_batch in enumerate(mini_batches[kind]):
            vectors = encoded[kind][number] if once else encode(mini_batch)
            torch.autograd.backward(vectors, gradient[mini_batch])
    return float(loss.detach())


def _mini_batches(share: slice, *, size: int) -> list[slice]:
    """`share` cut into slices of at most `size`."""
    return [slice(start, min(start + size, share.stop)) for start in range(share.start, share.stop, max(1, size))]
