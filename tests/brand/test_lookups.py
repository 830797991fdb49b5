"""Lookups of brands: the supplied one as it is or canonical, and the first words of the title."""

import numpy as np
import polars as pl
import pytest

from prodemb.brand.lookups import brand_lookups, copy_supplied, read_title_start
from prodemb.core.arrays import NO_ANSWER
from prodemb.heads.baselines import BaselineInputs


def test_brands_have_baselines_of_their_own() -> None:
    brands = ["Nike", "US Polo", "Lee"]
    supplied = ["Nike", "nike", None, "Polo"]
    titles = ["Shoe by Nike", "U.S. POLO shirt", "Lees", None]
    texts = pl.DataFrame({"raw_brand": supplied, "raw_title": titles})
    products = BaselineInputs(
        labels=np.array([0, 1, 0, 1]), vectors=np.eye(4, dtype=np.float32), texts=[""] * 4, supplied=texts
    )
    assert copy_supplied(brands)(products).topk[:, 0].tolist() == [0, NO_ANSWER, NO_ANSWER, NO_ANSWER]
    assert read_title_start(brands)(products).topk[:, 0].tolist() == [NO_ANSWER, 1, NO_ANSWER, NO_ANSWER]
    canonical = np.array([0, 0, NO_ANSWER, 1])
    fitted = brand_lookups(brands, canonical_ids=lambda _: canonical)
    found = {baseline.name: baseline.evaluate(products) for baseline in fitted}
    assert list(found) == ["supplied as is", "supplied canonical", "first words of title"]
    metrics = found["supplied canonical"].metrics
    assert metrics is not None
    assert metrics.top1 == pytest.approx(2 / 4)
