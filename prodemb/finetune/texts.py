"""The texts that are trained on: a product's fields joined by a template, some dropped, and category paths."""

from collections.abc import Callable, Sequence
from random import Random
from string import Formatter

from prodemb.core.features import TEXT_FEATURES, Feature

Fields = dict[Feature, str]
"""The text features that a product has."""

CATEGORY_FEATURES: frozenset[Feature] = frozenset({"cat1", "cat2", "cat3"})


class Template:
    """Parts such as `{title}` or `Category: {cat1} > {cat2}`, joined by `. `; missing fields leave no trace.

    A part with no field left is left out. Else its beginning and end stay, and each further field brings the text that
    stands before it: without cat1, `Category: {cat1} > {cat2}` is `Category: ` and cat2.
    """

    def __init__(self, parts: Sequence[str]) -> None:
        """
        Raises:
            ValueError: a part has no field, or one that is no text feature.
        """
        self._parts = tuple(_Part(part) for part in parts)
        named = {field for part in self._parts for _, field in part.fields}
        self.features: tuple[Feature, ...] = tuple(feature for feature in TEXT_FEATURES if feature in named)
        """The fields that the template names, in their fixed order."""

    def join(self, fields: Fields) -> str:
        """The product's text; empty where it has none of the fields."""
        texts = [part.fill(fields) for part in self._parts]
        return ". ".join(text for text in texts if text)


class _Part:
    def __init__(self, part: str) -> None:
        wanted = f"wanted one or more of {', '.join(f'{{{feature}}}' for feature in TEXT_FEATURES)}"
        self.fields: list[tuple[str, Feature]] = []
        """Each field with the text before it."""
        self._end = ""
        for before, name, form, conversion in Formatter().parse(part):
            if name is None:
                self._end = before
                continue
            field = next((feature for feature in TEXT_FEATURES if feature == name), None)
            if field is None or form or conversion:
                raise ValueError(f"found {part!r}, {wanted}")
            self.fields.append((before, field))
        if not self.fields:
            raise ValueError(f"found {part!r} without a field, {wanted}")

    def fill(self, fields: Fields) -> str:
        there = [(before, text) for before, name in self.fields if (text := fields.get(name, "").strip())]
        if not there:
            return ""
        (_, first), *others = there
        text = self.fields[0][0] + first + "".join(before + text for before, text in others) + self._end
        return text.strip().rstrip(".")


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
