"""A product's text: some of its fields joined by a template."""

from collections.abc import Sequence
from string import Formatter

from prodemb.core.features import TEXT_FEATURES, Feature

Fields = dict[Feature, str]
"""The text features that a product has."""


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
        """The product's text, what two parts say alike once; empty where it has none of the fields."""
        texts = dict.fromkeys(part.fill(fields) for part in self._parts)
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
