"""Counting supplied strings as a catalog streams past."""

from collections.abc import Sequence

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodemb.aliases import counts
from prodemb.aliases.counts import count_supplied
from prodemb.core.errors import CatalogError

BRANDS = ["Nike", "NIKE", None, "Puma", ""]


def catalog(rows: Sequence[tuple[str | None, str | None, str | None]]) -> pa.Table:
    brands, titles, categories = zip(*rows, strict=True) if rows else ((), (), ())
    columns = {"brand": brands, "title": titles, "cat1": categories}
    return pa.table({name: pa.array(list(values), pa.string()) for name, values in columns.items()})


def test_counts_and_examples() -> None:
    table = catalog(
        [("Nike", "Nike Air", "Shoes"), ("Nike", "Nike Air", "Shoes"), ("Nike", "Nike Cap", None), (None, "x", "y")]
    )
    counted = count_supplied([table], examples=8)
    assert counted.select("supplied", "products").rows() == [("Nike", 3)]
    examples = counted["examples"].to_list()[0]
    assert sorted(example["title"] for example in examples) == ["Nike Air", "Nike Cap"]
    assert {example["category"] for example in examples} == {"Shoes", None}


@settings(deadline=None, max_examples=30)
@given(
    rows=st.lists(
        st.tuples(st.sampled_from(BRANDS), st.text(max_size=4), st.sampled_from(["a", "b", None])), max_size=40
    ),
    size=st.integers(1, 7),
    random=st.randoms(use_true_random=False),
)
def test_order_and_batches_do_not_matter(rows: list[tuple[str, str, str]], size: int, random: object) -> None:
    whole = count_supplied([catalog(rows)], examples=3)
    shuffled = random.sample(rows, len(rows))  # type: ignore[attr-defined]
    parts = count_supplied((catalog(shuffled[i : i + size]) for i in range(0, len(rows), size)), examples=3)
    assert parts.equals(whole)
    assert whole["products"].sum() == sum(brand is not None for brand, _, _ in rows)


def test_compacting_while_streaming_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = [catalog([(f"Brand {n % 5}", f"Title {n}", "Shoes")]) for n in range(60)]
    whole = count_supplied(tables, examples=4)
    monkeypatch.setattr(counts, "_COMPACT_ROWS", 3)
    assert count_supplied(iter(tables), examples=4).equals(whole)
    assert whole["examples"].list.len().max() == 4


def test_optional_columns_may_be_missing() -> None:
    counted = count_supplied([pa.table({"brand": ["Nike", "Nike"]})], examples=2)
    assert counted.select("supplied", "products").rows() == [("Nike", 2)]
    assert count_supplied([], examples=2).schema == counted.schema
    assert counted.schema["examples"] == counts.EXAMPLES
    assert isinstance(counted, pl.DataFrame)


def test_a_catalog_without_brands_is_refused() -> None:
    with pytest.raises(CatalogError, match="wanted also 'brand'"):
        count_supplied([pa.table({"title": ["x"]})], examples=2)
