"""The names: how near a product's words are to the taxonomy's own, so that nodes without labels can be meant."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse

from prodemb.category.voices.opinion import Opinion
from prodemb.core.arrays import NO_ANSWER, Floats
from prodemb.core.features import raw_column
from prodemb.shards.product_set import ProductSet
from prodemb.taxonomy.taxonomy import SEPARATOR

_TOKENS = r"[^\W\d_]+"
_LONGEST = 500
"""Characters of a text that are compared."""


@dataclass(frozen=True, kw_only=True)
class Names:
    """The names of the nodes of a taxonomy, compared by words and by runs of letters."""

    paths: tuple[str, ...]
    """(num_nodes,)."""

    def of_title(self, products: ProductSet) -> Opinion:
        """The similarity of the titles of n products; see `opinion`."""
        return self.opinion(products.supplied[raw_column("title")])

    def of_categories(self, products: ProductSet) -> Opinion:
        """The similarity of the supplied categories of n products, cat1-3 as one text; see `opinion`."""
        columns = [pl.col(raw_column(feature)) for feature in ("cat1", "cat2", "cat3")]
        joined = pl.concat_str(columns, separator=" ", ignore_nulls=True)
        return self.opinion(products.supplied.select(joined).to_series())

    def opinion(self, texts: pl.Series) -> Opinion:
        """The similarity of n texts to each node, 0 to 4; nothing for texts that share no letters with any.

        It is the sum of four cosines of TF-IDF vectors: words and pairs of words, and runs of 3 to 5 letters, each
        against the node's own name and against its whole path.

        Args:
            texts: (n,) string, null where there is none.
        """
        distinct = texts.unique(maintain_order=True)
        folded = [_folded(text or "") for text in distinct.str.slice(0, _LONGEST)]
        if not any(_folded(path) for path in self.paths):
            return Opinion.nothing(len(texts), num_nodes=len(self.paths))
        scores = np.zeros((len(folded), len(self.paths)), dtype=np.float32)
        for compare in self._comparisons:
            compare.add_to(scores, folded)
        scores[scores.max(axis=1, initial=0) <= 0] = -np.inf
        place = {text: row for row, text in enumerate(distinct)}
        rows = np.array([place[text] for text in texts], dtype=np.int64)
        return Opinion.of(scores[rows], nodes=np.arange(len(self.paths)), num_nodes=len(self.paths))

    def nodes_named(self, texts: pl.Series) -> npt.NDArray[np.int64]:
        """The node whose own name each text is, but for case, marks and plural, (n,); -1 where there is none, or two.

        Args:
            texts: (n,) string, null where there is none.
        """
        return np.array([self._by_name.get(_folded(text or ""), NO_ANSWER) for text in texts], dtype=np.int64)

    @cached_property
    def _by_name(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for node, path in enumerate(self.paths):
            name = _folded(path.rpartition(SEPARATOR)[2])
            found[name] = NO_ANSWER if name in found or not name else node
        return found

    @cached_property
    def _comparisons(self) -> "tuple[_Comparison, ...]":
        own = [_folded(path.rpartition(SEPARATOR)[2]) for path in self.paths]
        whole = [_folded(path) for path in self.paths]
        return (
            _Comparison(own, whole, analyzer="word", lengths=(1, 2)),
            _Comparison(own, whole, analyzer="char_wb", lengths=(3, 5)),
        )


class _Comparison:
    """TF-IDF vectors of all names, and the sum of the cosines of texts with both kinds of them."""

    def __init__(self, own: Sequence[str], whole: Sequence[str], *, analyzer: str, lengths: tuple[int, int]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        words = {"token_pattern": _TOKENS} if analyzer == "word" else {}
        self._vectorizer = TfidfVectorizer(
            analyzer=analyzer, ngram_range=lengths, sublinear_tf=True, dtype=np.float32, **words
        )
        vectors = self._vectorizer.fit([*whole, *own] if analyzer == "word" else whole)
        self._names = sparse.csr_array((vectors.transform(own) + vectors.transform(whole)).T)

    def add_to(self, scores: Floats, texts: Sequence[str]) -> None:
        """Add the similarities of n texts, (n, num_nodes)."""
        scores += (sparse.csr_array(self._vectorizer.transform(texts)) @ self._names).toarray()


def _folded(text: str) -> str:
    """The words in small letters, in the singular."""
    words = re.findall(_TOKENS, text.lower())
    return " ".join(word[:-1] if len(word) > 3 and word.endswith("s") else word for word in words)
