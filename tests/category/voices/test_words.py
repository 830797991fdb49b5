"""The words: they rank as scikit-learn's TF-IDF and linear SVM do, and say nothing of texts without a known word."""

import numpy as np
import polars as pl
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC

from prodemb.category.voices.words import ALL_WORDS, OWN_WORDS, WordModel, words_of
from prodemb.core.features import TEXT_FEATURES, raw_column

THINGS = {
    3: "mug cup coffee ceramic handle tea",
    5: "lamp light bulb shade desk bright",
    8: "shoe running lace sole leather red",
    9: "chair wood seat desk leather oak",
}


def texts_of(num: int, *, seed: int) -> tuple[list[str], np.ndarray]:
    """Titles of five words, most of them of their own kind of thing, and the nodes."""
    random = np.random.default_rng(seed)
    nodes = random.choice([*THINGS], num)
    everything = " ".join(THINGS.values()).split()
    texts = []
    for node in nodes:
        own = random.choice(THINGS[node].split(), 3)
        texts.append(" ".join(random.permutation([*own, *random.choice(everything, 2)])))
    return texts, nodes


def test_they_rank_as_scikit_learn_does() -> None:
    texts, nodes = texts_of(300, seed=0)
    asked, truth = texts_of(80, seed=1)
    ours = WordModel.fit(texts, nodes=nodes).opinion(asked, num_nodes=10)
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    model = LinearSVC(tol=1e-2, random_state=0).fit(vectorizer.fit_transform(texts), nodes)
    theirs = model.decision_function(vectorizer.transform(asked))
    assert np.allclose(ours.at(np.tile(model.classes_, (80, 1)), otherwise=-9), theirs, atol=0.1)
    predicted = model.classes_[theirs.argmax(axis=1)]
    assert (ours.top(1)[:, 0] == predicted).mean() > 0.95
    assert (ours.top(1)[:, 0] == truth).mean() > 0.85


def test_the_same_texts_give_the_same_model() -> None:
    texts, nodes = texts_of(300, seed=0)
    first, second = (WordModel.fit(texts, nodes=nodes) for _ in range(2))
    assert np.array_equal(first.weights.toarray(), second.weights.toarray())
    assert np.array_equal(first.intercepts, second.intercepts)


def test_two_kinds_have_opposite_margins() -> None:
    texts, nodes = texts_of(200, seed=0)
    two = np.isin(nodes, [3, 8])
    said = WordModel.fit(np.array(texts)[two].tolist(), nodes=nodes[two]).opinion(
        ["coffee mug", "red shoe"], num_nodes=10
    )
    margins = said.at(np.array([[3, 8], [3, 8]]), otherwise=-9)
    assert margins[:, 0] == pytest.approx(-margins[:, 1], abs=0.05)
    assert said.top(1)[:, 0].tolist() == [3, 8]


def test_nothing_is_said_of_texts_without_a_known_word() -> None:
    texts, nodes = texts_of(50, seed=0)
    said = WordModel.fit(texts, nodes=nodes).opinion(["", "zzz yyy", "!", "mug"], num_nodes=10)
    assert (said.top(1)[:, 0] == -1).tolist() == [True, True, True, False]


@pytest.mark.parametrize(
    ("texts", "nodes"),
    [(["mug", "cup"], [3, 3]), (["", ""], [3, 5]), (["a", "?"], [3, 5])],
    ids=["one", "none", "short"],
)
def test_too_little_to_learn_from_leaves_no_difference(texts: list[str], nodes: list[int]) -> None:
    said = WordModel.fit(texts, nodes=np.array(nodes)).opinion(["mug", "lamp", ""], num_nodes=10)
    there = np.isfinite(said.scores)
    assert (said.scores[there] == 0).all()
    assert not there[1:].any()


def test_many_kinds_of_few_products_warn_nobody() -> None:
    texts = [f"thing number{i} {'red' if i % 2 else 'blue'}" for i in range(30)]
    said = WordModel.fit(texts, nodes=np.arange(30) % 20).opinion(texts, num_nodes=20)
    assert (said.top(1)[:, 0] == np.arange(30) % 20).mean() > 0.9


def test_the_least_frequent_words_are_left_out_where_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, nodes = texts_of(200, seed=0)
    whole = WordModel.fit(texts, nodes=nodes)
    monkeypatch.setattr("prodemb.category.voices.words._MOST_WEIGHTS", 4 * 20)
    few = WordModel.fit(texts, nodes=nodes)
    assert len(few.hashes) == 20 < len(whole.hashes)
    assert set(few.hashes) <= set(whole.hashes)
    assert few.idf.max() < whole.idf.max()


def test_small_weights_are_left_out() -> None:
    texts, nodes = texts_of(300, seed=0)
    weights = WordModel.fit(texts, nodes=nodes).weights
    assert weights.nnz < np.prod(weights.shape)
    assert np.abs(weights.data).min() >= 0.01


def test_the_texts_of_a_product_are_joined_with_cat1_to_3_and_without() -> None:
    supplied = pl.DataFrame({raw_column(feature): [feature.upper(), None] for feature in TEXT_FEATURES})
    assert words_of(supplied, features=ALL_WORDS) == ["TITLE DESCRIPTION BRAND CAT1 CAT2 CAT3", ""]
    assert words_of(supplied, features=OWN_WORDS) == ["TITLE DESCRIPTION BRAND", ""]
