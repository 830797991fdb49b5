"""Names: one number a brand however it is spelled, what texts name, and strings that nobody has seen."""

import numpy as np
import polars as pl

from prodemb.aliases.table import AliasRow, AliasTable
from prodemb.brand.names import BrandNames, Mentions

ALIASES = AliasTable(
    [
        AliasRow("NIKE Inc.", "Nike", products=9),
        AliasRow("Nike Air", "Nike", products=4),
        AliasRow("Lee Cooper", "Lee Cooper", products=3),
        AliasRow("Generic", "UNBRANDED"),
        AliasRow("Red", "UNKNOWN"),
    ]
)
NAMES = BrandNames(["Lee", "NIKE"], aliases=ALIASES, redirects={})


def say(*texts: tuple[str | None, str | None], names: BrandNames = NAMES) -> Mentions:
    supplied, titles = zip(*texts, strict=True)
    return names.mentions(supplied=pl.Series(supplied, dtype=pl.String), titles=pl.Series(titles, dtype=pl.String))


def test_classes_come_first_and_spellings_are_one_name() -> None:
    assert NAMES.names == ["Lee", "NIKE", "UNBRANDED", "Lee Cooper"]
    assert [NAMES.resolved_id(name) for name in ("nike", "Nike®", "LEE", "lee cooper", "Puma", "")] == [
        1,
        1,
        0,
        3,
        -1,
        -1,
    ]
    assert NAMES.ids_of(pl.Series(["lee", None, "Puma", "Nike"])).tolist() == [0, -1, -1, 1]


def test_supplied_strings_stand_for_names() -> None:
    mentions = say(
        ("NIKE Inc.", None), ("nike air", None), ("Red", None), ("generic", None), (None, None), ("n/a", None)
    )
    assert mentions.supplied.tolist() == [1, 1, -1, 2, -1, -1]
    assert mentions.is_known.tolist() == [True, True, True, True, False, True]
    assert mentions.new_names == ()


def test_unseen_strings_are_names_of_their_own_after_the_known_ones() -> None:
    mentions = say(("Pumo Ltd", None), ("lee", None), ("Zed", None), ("Pumo Ltd", None))
    assert mentions.supplied.tolist() == [4, 0, 5, 4]
    assert mentions.is_known.tolist() == [False, True, False, False]
    assert mentions.new_names == ("Pumo", "Zed")


def test_titles_name_brands_by_their_aliases_too() -> None:
    mentions = say(("Nike", "Nike Air Max"), ("Lee", "Lee Cooper jeans"), ("Pumo", "Red PUMO shirt"), ("Lee", None))
    assert mentions.titles.names[:, 0].tolist() == [1, 3, -1, -1]
    assert mentions.in_title.tolist() == [True, True, True, False]


def test_a_redirected_name_is_another() -> None:
    names = NAMES.redirected({3: 0})
    assert names.names == NAMES.names
    assert names.redirects == {"Lee Cooper": "Lee"}
    assert names.resolved_id("lee cooper") == 0
    mentions = say(("Lee Cooper", "Lee Cooper jeans"), names=names)
    assert (mentions.supplied.tolist(), mentions.titles.names[0, 0]) == ([0], 0)


def test_a_hidden_name_is_named_nowhere() -> None:
    mentions = say(("Nike", "Nike Air by Lee"), ("Lee", "Lee Cooper by Nike"), (None, "Lee"), ("n/a", None))
    left = mentions.without(np.array([1, 0, -1, 1]))
    assert left.supplied.tolist() == [-1, -1, -1, -1]
    assert left.is_known.tolist() == left.in_title.tolist() == [False] * 4
    assert [set(names) - {-1} for names in left.titles.names.tolist()] == [{0}, {1, 3}, {0}, set()]
    assert not (left.titles.longer[:2] == [[1], [0]]).any()
    assert left.has_title.tolist() == [True, True, True, False]
    assert mentions.supplied.tolist() == [1, 0, -1, -1]
