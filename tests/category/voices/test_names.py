"""The names: nodes are found by the words of titles and supplied categories, in singular and plural, and by letters."""

import numpy as np
import polars as pl
from sklearn.feature_extraction.text import TfidfVectorizer

from prodemb.category.voices.names import Names
from tests.small_heads import make_card, random_products

PATHS = ("Home", "Home > Coffee Mugs", "Home > Lamps", "Toys", "Toys > Kites", "Toys > Lamp Kits", "Other")
NAMES = Names(paths=PATHS)


def top(*texts: str | None) -> list[int]:
    return NAMES.opinion(pl.Series(texts, dtype=pl.String)).top(1)[:, 0].tolist()


def test_the_nearest_name_is_found_by_words_and_letters() -> None:
    assert top("A red coffee mug", "KITES", "lamp, for the desk", "Lampkit", "kitess") == [1, 4, 2, 5, 4]
    assert top("home", "a toy") == [0, 3]


def test_the_path_tells_equal_names_apart() -> None:
    names = Names(paths=("Home", "Home > Covers", "Cars", "Cars > Covers"))
    found = names.opinion(pl.Series(["cover for cars", "home cover"])).top(1)
    assert found[:, 0].tolist() == [3, 1]


def test_nothing_is_said_of_texts_that_share_no_letters() -> None:
    said = NAMES.opinion(pl.Series([None, "", "12345", "ваза", "mug"], dtype=pl.String))
    assert np.isfinite(said.scores).any(axis=1).tolist() == [False, False, False, False, True]
    assert (said.scores[4] >= 0).all()
    assert said.scores.max() <= 4.001


def test_equal_texts_get_equal_scores_in_their_order() -> None:
    texts = pl.Series(["mug", "kite", "mug", None, "kite"])
    scores = NAMES.opinion(texts).scores
    assert np.array_equal(scores[0], scores[2])
    assert np.array_equal(scores[1], scores[4])
    assert np.array_equal(scores[[1, 0]], NAMES.opinion(texts[[1, 0]]).scores)


def test_similarity_is_the_sum_of_four_cosines() -> None:
    asked = "lamp kit"
    leaves = ["home", "coffee mug", "lamp", "toy", "kite", "lamp kit", "other"]
    whole = ["home", "home coffee mug", "home lamp", "toy", "toy kite", "toy lamp kit", "other"]
    wanted = np.zeros(len(PATHS))
    for analyzer, lengths, seen in (("word", (1, 2), [*whole, *leaves]), ("char_wb", (3, 5), whole)):
        vectors = TfidfVectorizer(analyzer=analyzer, ngram_range=lengths, sublinear_tf=True).fit(seen)
        for names in (leaves, whole):
            wanted += (vectors.transform([asked]) @ vectors.transform(names).T).toarray()[0]
    assert np.allclose(NAMES.opinion(pl.Series([asked])).scores[0], wanted, atol=1e-5)


def test_titles_and_supplied_categories_are_asked_apart() -> None:
    products = random_products(make_card("category"), num=3)
    texts = products.supplied.with_columns(
        raw_title=pl.Series(["Kite", None, "lamp"]),
        raw_cat1=pl.Series(["Home", "Home", None]),
        raw_cat2=pl.Series([None, "Coffee mugs", None]),
    )
    some = type(products)(**vars(products) | {"supplied": texts})
    assert NAMES.of_title(some).top(1)[:, 0].tolist() == [4, -1, 2]
    assert NAMES.of_categories(some).top(1)[:, 0].tolist() == [0, 1, -1]
