"""What one fine-tuning step sees: class-balanced batches, product texts with fields left out, category path texts."""

from collections.abc import Callable, Sequence
from random import Random

import numpy as np
import numpy.typing as npt

from prodemb.features import Feature

CATEGORY_FEATURES: frozenset[Feature] = frozenset({"cat1", "cat2", "cat3"})

Fields = dict[Feature, str]
"""The text features that a product has."""


def epoch_batches(
    index: npt.NDArray[np.int64], *, batch_size: int, balance: float, seed: int, epoch: int
) -> list[npt.NDArray[np.int64]]:
    """Batches of one epoch: as many products as there are, common categories less often and rare ones more often.

    A category of frequency f is drawn in proportion to f ** balance, so 1 is the catalog's own mix and 0 gives each
    category the same share; 0.5 is the square-root sampling of Mikolov et al. 2013 and Mahajan et al. 2018. Inside a
    category the products take turns. The batches depend on the arguments alone, so that a resumed run sees the same.

    Args:
        index: (n,) the class of each training product.

    Returns:
        Places in `index`, in batches of about `batch_size`, nearly equal in size.
    """
    rng = np.random.default_rng([seed, epoch])
    counts = np.bincount(index)
    weights = np.where(counts > 0, counts.astype(np.float64) ** balance, 0.0)
    exact = weights / weights.sum() * len(index)
    quotas = np.floor(exact).astype(np.int64) + (rng.random(len(exact)) < exact % 1)
    by_class = np.split(np.argsort(index, kind="stable"), np.cumsum(counts)[:-1])
    drawn = [_in_turns(members, num=int(quota), rng=rng) for members, quota in zip(by_class, quotas, strict=True)]
    order = rng.permutation(np.concatenate(drawn))
    return np.array_split(order, num_batches(len(index), batch_size=batch_size))


def num_batches(num_products: int, *, batch_size: int) -> int:
    """How many batches an epoch has."""
    return max(1, -(-num_products // batch_size))


def _in_turns(members: npt.NDArray[np.int64], *, num: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """`num` of `members`, in random order, each once before any comes again."""
    rounds = [rng.permutation(members) for _ in range(-(-num // max(1, len(members))))]
    return np.concatenate([np.empty(0, dtype=np.int64), *rounds])[:num]


def join_fields(fields: Fields) -> str:
    """Fields as one text: `title. description. brand. cat1 > cat2 > cat3`."""
    sentences = [text.strip().rstrip(".") for feature, text in fields.items() if feature not in CATEGORY_FEATURES]
    levels = [text.strip() for feature, text in fields.items() if feature in CATEGORY_FEATURES]
    return ". ".join([*sentences, " > ".join(levels)] if levels else sentences)


def drop_fields(fields: Fields, *, rng: Random, dropout: float, category_dropout: float) -> Fields:
    """Leave fields out at random, cat1-3 together; at least one field stays."""
    without_categories = rng.random() < category_dropout
    kept: Fields = {}
    for feature, text in fields.items():
        dropped = without_categories if feature in CATEGORY_FEATURES else rng.random() < dropout
        if not dropped:
            kept[feature] = text
    if kept or not fields:
        return kept
    feature = rng.choice(list(fields))
    return {feature: fields[feature]}


def path_texts(paths: Sequence[str], *, num_tokens: Callable[[str], int], most_tokens: int) -> list[str]:
    """Category paths as the text tower gets them: levels are cut off at the root until the leaf's name fits.

    Without this a tower of few tokens would see the same beginning for neighbours in the tree.
    """
    texts = []
    for path in paths:
        levels = path.split(" > ")
        while len(levels) > 1 and num_tokens(" > ".join(levels)) > most_tokens:
            del levels[0]
        texts.append(" > ".join(levels))
    return texts


def step_classes(
    batch_classes: npt.NDArray[np.int64], *, num_classes: int, most: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """The classes whose paths a step encodes: the batch's own, and others at random up to `most`; sorted, distinct."""
    own = np.unique(batch_classes)
    others = np.setdiff1d(np.arange(num_classes), own)
    room = min(len(others), max(0, most - len(own)))
    return np.sort(np.concatenate([own, rng.choice(others, size=room, replace=False)]))
