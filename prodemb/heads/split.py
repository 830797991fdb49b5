"""The split of products into parts and folds: by a hash of the product's group, never by row order."""

import hashlib

import numpy as np
import numpy.typing as npt
import polars as pl

from prodemb.aliases.vocabulary import COLOURS, COLOURS_OR_NAMES, SIZES

TRAIN, VALIDATION, TEST = 0, 1, 2
"""The parts of a split, as `split_of` numbers them."""

VALIDATION_PERCENT = 10
TEST_PERCENT = 10
"""Share of the groups in each part; fixed, since fine-tuning and heads must never train on each other's test part."""

Split = npt.NDArray[np.uint8]
"""(n,) the part of each product: `TRAIN`, `VALIDATION` or `TEST`."""

Groups = npt.NDArray[np.uint64]
"""(n,) the hash of each product's group: variants of one product have the same."""

_BETWEEN_WORDS = r"[^\p{L}\p{M}\p{N}]+"
_ACCENTS = r"[\u0300-\u036f]"
"""Of decomposed Latin, Greek and Cyrillic letters; the vowel signs of other scripts stay."""
_OF_VARIANTS = rf"\b(?:{'|'.join(sorted(COLOURS | COLOURS_OR_NAMES | SIZES, key=len, reverse=True))})\b"
"""Words that tell variants of one product apart."""


def groups_of(titles: pl.Series, product_ids: pl.Series) -> Groups:
    """The group of each product, (n,) uint64: a hash that stays the same when rows are added, removed or reordered.

    Offers of several partners, repeated rows, and the same shirt in another colour or size are one group. A group is
    the set of the title's words, in whatever order, case and accents, without colours and sizes; the colours too where
    there is nothing else, and the product's id where there is no word.

    Args:
        titles: (n,) string, null where there is none.
        product_ids: (n,) string, not null.
    """
    folded = titles.cast(pl.String).fill_null("").str.to_lowercase().str.normalize("NFKD").str.replace_all(_ACCENTS, "")
    texts = folded.str.normalize("NFC").str.replace_all(_BETWEEN_WORDS, " ").str.strip_chars()
    own = texts.str.replace_all(_OF_VARIANTS, " ").str.strip_chars()
    frame = pl.DataFrame({"all": texts, "own": own, "id": product_ids.cast(pl.String)})
    words = pl.when(pl.col("own") == "").then("all").otherwise("own").str.extract_all(r"\S+").list.unique().list.sort()
    key = words.list.join(" ")
    # No key begins with a space, so an id behind one is always a group of its own.
    groups = frame.select(pl.when(key == "").then(" " + pl.col("id")).otherwise(key)).to_series()
    return _hashes(groups.to_list())


def split_of(groups: Groups, *, held_out: npt.NDArray[np.bool_] | None = None) -> Split:
    """The part of each product, (n,) uint8: `TRAIN` (80 % of the groups), `VALIDATION` (10 %) or `TEST` (10 %).

    Heads learn from the first two, with cross-fitting; fine-tuning learns from the first, and stops by the second.

    Args:
        held_out: (n,) which products the catalog itself holds out; they are then the test part, variants of them or
            not, and what would be it is trained on.
    """
    percents = groups % 100
    is_test = percents < TEST_PERCENT if held_out is None else held_out
    is_validation = (percents >= TEST_PERCENT) & (percents < TEST_PERCENT + VALIDATION_PERCENT)
    return np.select([is_test, is_validation], [np.uint8(TEST), np.uint8(VALIDATION)], default=np.uint8(TRAIN))


def held_out_by(split: pl.Series) -> npt.NDArray[np.bool_] | None:
    """Which products the catalog itself holds out, (n,); None where it does not say.

    Args:
        split: (n,) string, the column of that name.
    """
    return None if split.null_count() == len(split) else (split == "test").fill_null(value=False).to_numpy()


def folds_of(groups: Groups, *, num_folds: int) -> npt.NDArray[np.int8]:
    """The fold of each product, (n,) from 0 to `num_folds` - 1, whatever part it belongs to; groups stay together."""
    return (groups // 100 % num_folds).astype(np.int8)


def num_folds(num_products: int) -> int:
    """How many folds to learn in: more for few products, of which a fold's head should see most.

    Training one head a fold, one without the test part and one with all labels takes 5.9, 3.9 and 2.9 times as long as
    the last.
    """
    return 5 if num_products <= 5_000 else 3 if num_products <= 50_000 else 2


def _hashes(groups: list[str]) -> Groups:
    """A number that depends on the group alone, on every machine and in every version, (n,) uint64."""
    start = hashlib.blake2b(digest_size=8, person=b"prodemb split")
    digests = []
    for group in groups:
        state = start.copy()
        state.update(group.encode())
        digests.append(state.digest())
    return np.frombuffer(b"".join(digests), dtype="<u8")
