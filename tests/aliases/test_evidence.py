"""What products say about names."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodemb.aliases.evidence import Evidence, Title, fold_titles, lines_of, prefix_products, spread_words
from prodemb.aliases.normalise import words_of


def evidence_of(products: list[list[tuple[str | None, str | None]]]) -> Evidence:
    rows = [(name, *product) for name, told in enumerate(products) for product in told]
    schema = {"name": pl.Int64, "title": pl.String, "category": pl.String}
    return Evidence(pl.DataFrame(rows, schema=schema, orient="row"), num_names=len(products))


def title_of(text: str) -> Title:
    return Title(" ".join(words_of(text)), "".join(words_of(text)))


@pytest.mark.parametrize(
    ("title", "key", "stands"),
    [
        ("Red Tape Men Shoes", "redtape", True),
        ("RedTape Men Shoes", "redtape", True),
        ("Shoes by Red-Tape", "redtape", True),
        ("Leeds shoes", "lee", False),
        ("Blee Leeds Lee", "lee", True),
        ("Lee Cooper", "cooperx", False),
        ("anything", "", False),
    ],
)
def test_a_name_stands_in_a_title_as_whole_words(title: str, key: str, stands: bool) -> None:
    assert title_of(title).names(key) is stands


@given(
    st.lists(
        st.text() | st.text(alphabet="aB'`.&;-_ ()rR9") | st.sampled_from(["a and and b", "U.S. Polo", "x &amp; y"])
    )
)
def test_titles_fold_alike_one_by_one_and_as_a_column(texts: list[str]) -> None:
    folded = fold_titles(pl.Series(texts, dtype=pl.String)).to_list()
    assert folded == [" ".join(words_of(text)) for text in texts]


def test_shares() -> None:
    evidence = evidence_of([[("Nike Air", "Shoes"), ("A cap of Nike", "Caps"), ("Socks", None)], [], [(None, "Shoes")]])
    assert evidence.named(0, key="nike") == pytest.approx(2 / 3)
    assert evidence.opened(0, key="nike") == pytest.approx(1 / 3)
    assert evidence.named(1, key="nike") is None
    assert evidence.opened(1, key="nike") == 0.0
    assert evidence.named(2, key="nike") is None


def test_kinds_by_categories_or_by_words() -> None:
    shoes, boots, tea = ("x 1", "Wear > Shoes"), ("y 2", "Wear > Boots"), ("z 3", "Food > Tea")
    red, plain = ("Alba red mug", None), ("Alma mug", None)
    evidence = evidence_of([[shoes], [shoes, boots], [boots], [tea], [red], [plain], []])
    assert evidence.overlap(0, parent=1, own_words=()) == 1.0
    assert evidence.overlap(0, parent=2, own_words=()) == 0.5
    assert evidence.overlap(0, parent=3, own_words=()) == 0.0
    assert evidence.overlap(4, parent=5, own_words=("alba", "alma")) == 0.5
    assert evidence.overlap(0, parent=6, own_words=()) is None


def test_common_words_stand_in_titles_of_many_brands() -> None:
    names = [(f"brand{n}",) for n in range(10)]
    evidence = evidence_of([[(f"Brand{n} shoes number {m}", None) for m in "ab"] for n in range(10)])
    assert spread_words(evidence, words=names, min_brands=8, share=0.01) == {"shoes", "number"}


def test_prefix_products() -> None:
    masses, followers = prefix_products([("nike",), ("nike", "air"), ("nike", "pro", "max")], products=[5, 2, 1])
    assert (masses["nike"], masses["nikepro"], followers["nike"]) == (8, 1, 2)


def test_lines_are_frequent_and_no_misspellings_of_each_other() -> None:
    words = [("ada",), ("ada", "enticer"), ("ada", "enticr"), ("ada", "youth"), ("ada", "rare"), ("lea", "cooper")]
    assert lines_of(words, products=[9, 9, 5, 4, 2, 90], min_count=3) == {"ada": frozenset({"enticer", "youth"})}


def test_a_name_stands_alone() -> None:
    plain, lined, other = ("ada mug", None), ("ada youth mug", None), ("a mug", None)
    evidence = evidence_of([[plain, plain, lined], [plain, lined], [plain, other, other], []])
    lines = frozenset({"youth"})
    assert [evidence.alone(name, key="ada", lines=lines) for name in range(4)] == [True, False, False, False]
