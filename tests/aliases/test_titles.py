"""Brand names in titles: whole words, the longest first, each once, and which of them begin a longer one."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from prodemb.aliases.titles import MAX_FOUND, TitleNames

NAMES = TitleNames({"lee": 0, "lee cooper": 1, "nike": 2, "a b c d e f": 3, "a b c d e f g": 4, "h m": 5})
WORDS = st.sampled_from(["lee", "cooper", "nike", "shirt", "a", "b", "h", "m"])


def find(*titles: str | None) -> tuple[list[list[int]], list[list[int]]]:
    found = NAMES.find(pl.Series(titles, dtype=pl.String))
    names = [[name for name in row if name >= 0] for row in found.names.tolist()]
    offsets = [[offset for offset in row if offset >= 0] for row in found.offsets.tolist()]
    return names, offsets


def test_the_longest_name_comes_before_those_that_it_begins_with() -> None:
    names, offsets = find("Lee Cooper Jeans", "LEE® jeans", "Jeans by Lee  Cooper!", None, "", "Leecooper")
    assert names == [[1, 0], [0], [1, 0], [], [], []]
    assert offsets == [[0, 0], [0], [2, 2], [], [], []]


def test_names_are_found_in_their_order_and_each_once() -> None:
    names, offsets = find("Nike for Lee, Nike and Lee Cooper", "H&M shirt")
    assert names == [[2, 0, 1], [5]]
    assert offsets == [[0, 2, 4], [0]]


def test_what_begins_a_longer_name_says_which() -> None:
    titles = pl.Series(["Lee Cooper", "Lee", "Lee and Lee Cooper", "Lee Cooper and Lee"])
    found = NAMES.find(titles)
    assert found.longer[:, :2].tolist() == [[-1, 1], [-1, -1], [-1, -1], [-1, -1]]
    assert found.names[:, :2].tolist() == [[1, 0], [0, -1], [0, 1], [1, 0]]
    assert found.standalone()[:, :2].tolist() == [[1, -1], [0, -1], [0, 1], [1, 0]]


def test_equal_titles_get_equal_answers_in_their_rows() -> None:
    names, _ = find("Nike", "Lee", "Nike", "Puma", "Lee")
    assert names == [[2], [0], [2], [], [0]]


def test_names_of_more_words_than_are_looked_for_are_not_found() -> None:
    assert find("a b c d e f g")[0] == [[3]]


@given(st.lists(WORDS, max_size=12))
def test_what_is_found_stands_there(words: list[str]) -> None:
    spelled = {0: "lee", 1: "lee cooper", 2: "nike", 5: "h m"}
    (names,), (offsets,) = find(" ".join(words))
    assert len(names) == len(set(names)) == len(offsets) <= MAX_FOUND
    assert offsets == sorted(offsets)
    for name, offset in zip(names, offsets, strict=True):
        told = spelled[name].split()
        assert words[offset : offset + len(told)] == told
