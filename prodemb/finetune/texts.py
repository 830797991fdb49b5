"""The texts that are trained on: some of a product's fields dropped, and category paths."""

from collections.abc import Callable, Sequence
from random import Random

from prodemb.core.features import Feature
from prodemb.core.template import Fields

CATEGORY_FEATURES: frozenset[Feature] = frozenset({"cat1", "cat2", "cat3"})


def drop_fields(fields: Fields, *, rng: Random, dropout: float, category_dropout: float) -> Fields:
    """Drop fields at random, cat1-3 together; at least one field stays."""
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


def fitting_paths(paths: Sequence[str], *, num_tokens: Callable[[str], int], most_tokens: int) -> list[str]:
    """Category paths cut to fit the text tower: levels are dropped from the root until the leaf's name fits.

    Otherwise a tower with few tokens would see the same beginning for neighbours in the tree.
    """
    texts = []
    for path in paths:
        levels = path.split(" > ")
        while len(levels) > 1 and num_tokens(" > ".join(levels)) > most_tokens:
            del levels[0]
        texts.append(" > ".join(levels))
    return texts
