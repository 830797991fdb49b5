"""Which products and which category paths each training step sees: class-balanced batches, with hard negatives."""

from collections import deque

import numpy as np
import numpy.typing as npt


def epoch_batches(
    index: npt.NDArray[np.int64],
    *,
    batch_size: int,
    sampling_alpha: float,
    seed: int,
    epoch: int,
    near: npt.NDArray[np.int64] | None = None,
    hard: float = 0.0,
) -> list[npt.NDArray[np.int64]]:
    """Batches of one epoch: as many products as there are, common categories less often and rare ones more often.

    A category of frequency f is sampled in proportion to f ** sampling_alpha, so 1 is the catalog's own mix and 0 gives
    each category the same share; 0.5 is the square-root sampling of Mikolov et al. 2013 and Mahajan et al. 2018. Inside
    a category the products take turns. The batches depend on the arguments alone, so that a resumed run sees the same.

    Args:
        index: (n,) the class of each training product.
        near: (c, k) for each class those that are hard to tell from it, the hardest first; -1 where there are fewer.
        hard: the share of each batch that is of classes near to those of the rest. It changes which products share a
            batch, not which are drawn.

    Returns:
        Indices into `index`, in batches of about `batch_size`, nearly equal in size.
    """
    rng = np.random.default_rng([seed, epoch])
    counts = np.bincount(index)
    weights = np.where(counts > 0, counts.astype(np.float64) ** sampling_alpha, 0.0)
    exact = weights / weights.sum() * len(index)
    quotas = np.floor(exact).astype(np.int64) + (rng.random(len(exact)) < exact % 1)
    by_class = np.split(np.argsort(index, kind="stable"), np.cumsum(counts)[:-1])
    drawn = [_in_turns(members, num=int(quota), rng=rng) for members, quota in zip(by_class, quotas, strict=True)]
    order = rng.permutation(np.concatenate(drawn))
    parts = np.array_split(order, num_batches(len(index), batch_size=batch_size))
    if near is None or not hard:
        return parts
    return _near_together(order, index=index, near=near, sizes=[len(part) for part in parts], hard=hard)


def _near_together(
    order: npt.NDArray[np.int64],
    *,
    index: npt.NDArray[np.int64],
    near: npt.NDArray[np.int64],
    sizes: list[int],
    hard: float,
) -> list[npt.NDArray[np.int64]]:
    """The drawn products in batches of `sizes`: some in order, then for each of these one product of a near class."""
    waiting: dict[int, deque[int]] = {}
    for position, product in enumerate(order):
        waiting.setdefault(int(index[product]), deque()).append(position)
    taken = np.zeros(len(order), dtype=bool)
    first = 0
    batches = []

    def take(position: int, *, into: list[int]) -> None:
        taken[position] = True
        into.append(position)

    for size in sizes:
        chosen: list[int] = []
        num_hard = min(size - 1, round(hard * size))
        while len(chosen) < size - num_hard:
            if not taken[first]:
                take(first, into=chosen)
            first += 1
        for other in near[index[order[chosen]]].T.flatten().tolist():
            if len(chosen) == size:
                break
            queue = waiting.get(other, deque())
            while queue and taken[queue[0]]:
                queue.popleft()
            if queue:
                take(queue.popleft(), into=chosen)
        while len(chosen) < size:
            if not taken[first]:
                take(first, into=chosen)
            first += 1
        batches.append(order[chosen])
    return batches


def num_batches(num_products: int, *, batch_size: int) -> int:
    """How many batches an epoch has."""
    return max(1, -(-num_products // batch_size))


def _in_turns(members: npt.NDArray[np.int64], *, num: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """`num` of `members` in random order; each is drawn once before any is drawn again."""
    rounds = [rng.permutation(members) for _ in range(-(-num // max(1, len(members))))]
    return np.concatenate([np.empty(0, dtype=np.int64), *rounds])[:num]


def step_classes(
    batch_classes: npt.NDArray[np.int64], *, num_classes: int, most: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """The classes whose paths a step encodes: the batch's own, and others at random up to `most`; sorted, distinct."""
    own = np.unique(batch_classes)
    others = np.setdiff1d(np.arange(num_classes), own)
    room = min(len(others), max(0, most - len(own)))
    return np.sort(np.concatenate([own, rng.choice(others, size=room, replace=False)]))
