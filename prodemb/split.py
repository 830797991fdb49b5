"""The split of products into training, validation and test part: by what a product is, never by where it stands."""

import hashlib

import numpy as np
import numpy.typing as npt
import polars as pl

TRAIN, VALIDATION, TEST = 0, 1, 2
"""The parts of a split, as `split_of` numbers them."""

VALIDATION_PERCENT = 10
TEST_PERCENT = 10
"""How much of the groups each part takes; fixed, since fine-tuning and heads must never see each other's test part."""

Parts = npt.NDArray[np.uint8]

_NOT_ALPHANUMERIC = r"[^\p{L}\p{M}\p{N}]+"


def split_of(titles: pl.Series, product_ids: pl.Series) -> Parts:
    """The part of each product, (n,) uint8: `TRAIN` (80 %), `VALIDATION` (10 %) or `TEST` (10 %).

    It is a hash of the product's group, so it stays the same when rows are added, removed or reordered, and products
    of one title (offers of several partners, repeated rows) fall into the same part. A group is the title in NFKC,
    lower case, letters, marks and digits only; where that leaves nothing, it is the product's id.

    Args:
        titles: (n,) string, null where there is none.
        product_ids: (n,) string, not null.
    """
    keys = titles.cast(pl.String).str.normalize("NFKC").str.to_lowercase().str.replace_all(_NOT_ALPHANUMERIC, "")
    # A key has no blank, so that an id behind one is a group of its own.
    groups = pl.select(pl.when(keys.fill_null("") == "").then(" " + product_ids.cast(pl.String)).otherwise(keys))
    percents = _hashes(groups.to_series().to_list()) % 100
    return np.select(
        [percents < TEST_PERCENT, percents < TEST_PERCENT + VALIDATION_PERCENT],
        [np.uint8(TEST), np.uint8(VALIDATION)],
        default=np.uint8(TRAIN),
    )


def _hashes(groups: list[str]) -> npt.NDArray[np.uint64]:
    """A number that depends on the group alone, on every machine and in every version, (n,) uint64."""
    start = hashlib.blake2b(digest_size=8, person=b"prodemb split")
    digests = []
    for group in groups:
        state = start.copy()
        state.update(group.encode())
        digests.append(state.digest())
    return np.frombuffer(b"".join(digests), dtype="<u8")
