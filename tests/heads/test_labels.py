"""Labels out of shards: ids, paths, spellings, gold before supplied, and what is left out is counted and named."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from prodemb.core.errors import HeadError, TaxonomyError
from prodemb.core.features import CATALOG_COLUMNS
from prodemb.heads.labels import BrandLabel, CategoryLabel, Labels, brand_labels, category_labels
from prodemb.heads.split import TEST, TRAIN
from prodemb.shards.format import Manifest, ShardSchema
from prodemb.shards.reader import ShardSet, open_shard_set
from prodemb.shards.writer import EncodedFeature, write_shard
from prodemb.taxonomy.taxonomy import Taxonomy

TAXONOMY = Taxonomy(paths={166: "Clothes", 187: "Clothes > Shoes", 212: "Clothes > Shirts", 8: "Arts"})


def make_set(folder: Path, **columns: list[str | None]) -> ShardSet:
    """A shard set of one feature with these catalog columns, two products a shard."""
    num = len(next(iter(columns.values())))
    values = {name: pa.array(columns.get(name, [None] * num), pa.string()) for name in CATALOG_COLUMNS}
    values["product_id"] = pa.array([f"p{i}" for i in range(num)])
    rows = pa.table(values)
    schema = ShardSchema(fingerprint="f", model="tiny", dim=4, features=("title",))
    records = []
    for index, start in enumerate(range(0, num, 2)):
        some = rows.slice(start, 2)
        encoded = EncodedFeature(
            vectors=np.zeros((some.num_rows, 4), "<f2"),
            absent=pa.array(["none"] * some.num_rows),
            hashes=pa.nulls(some.num_rows, pa.binary(16)),
        )
        records.append(
            write_shard(folder, index=index, schema=schema, rows=some, encoded={"title": encoded}, rows_hash="x")
        )
    Manifest(shard_schema=schema, catalog="c", shard_size=2, complete=True, shards=tuple(records)).write(folder)
    return open_shard_set(folder)


def categories(folder: Path, values: list[str | None]) -> Labels:
    return category_labels(
        make_set(folder, google_category_id=values), taxonomy=TAXONOMY, taxonomy_name="the test taxonomy"
    )


def brands(folder: Path, *, gold: list[str | None], supplied: list[str | None]) -> Labels:
    def canonical_of(column: pl.Series) -> pl.Series:
        return column.replace_strict({"NIKE Inc": "Nike", "Nike": "Nike", "puma": "PUMA", "Lee": "Lee"}, default=None)

    return brand_labels(make_set(folder, brand_label=gold, brand=supplied), canonical_of=canonical_of)


def names(labels: Labels) -> list[str | None]:
    found = [label.name for label in labels.classes if isinstance(label, BrandLabel)]
    return [found[i] if i >= 0 else None for i in labels.index]


def test_categories_may_be_ids_or_paths(tmp_path: Path) -> None:
    labels = categories(tmp_path, ["187", "Clothes > Shoes", None, "212", "clothes>shirts"])
    assert labels.classes == (
        CategoryLabel(id=187, path="Clothes > Shoes"),
        CategoryLabel(id=212, path="Clothes > Shirts"),
    )
    assert labels.index.tolist() == [0, 0, -1, 1, 1]
    assert (labels.num_labelled, labels.gold.sum(), labels.unknown) == (4, 4, {})


def test_unknown_categories_are_left_out_counted_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        labels = categories(tmp_path, ["187", "999", "999", "Nowhere", "212"])
    assert labels.index.tolist() == [0, -1, -1, -1, 1]
    assert labels.unknown == {"999": 2, "Nowhere": 1}
    assert "3 products with a google_category_id that is not in the test taxonomy: '999', 'Nowhere'" in caplog.text


def test_labels_of_an_older_version_are_traced_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    older = Taxonomy(paths={166: "Mode", 187: "Mode > Schuhe", 9: "Mode > Korsetts"})
    values = ["Mode > Schuhe", "9", "9", "212", "187 - Clothes > Boots", None, "77"]
    with caplog.at_level(logging.WARNING):
        labels = category_labels(
            make_set(tmp_path, google_category_id=values),
            taxonomy=replace(TAXONOMY, of_labels=older),
            taxonomy_name="the test taxonomy",
        )
    assert [label.id for label in labels.classes] == [166, 187, 212]
    assert labels.index.tolist() == [1, 0, 0, 2, 1, -1, -1]
    assert labels.renamed == {"187 - Clothes > Boots": 1, "Mode > Schuhe": 1}
    assert (labels.removed, labels.unknown) == ({"9": 2}, {"77": 1})
    assert "2 products with a google_category_id that the test taxonomy has under another name" in caplog.text
    assert "2 products with a google_category_id that the test taxonomy has no more (it counts as" in caplog.text


def test_rare_classes_are_rolled_up_to_a_node_that_has_enough(tmp_path: Path) -> None:
    labels = categories(tmp_path, ["187", "212", "212", "187", "8", "8", "8", "166"])
    assert (labels.ancestors, [node.id for node in labels.nodes]) == ((), [8, 166, 187, 212])
    parts = np.array([TRAIN, TRAIN, TRAIN, TEST, TRAIN, TRAIN, TEST, TEST], "u1")
    kept = labels.with_examples(parts, at_least=2, rolled_up=True)
    assert [label.id for label in kept.classes] == [8, 212]
    assert kept.index.tolist() == [-1, 1, 1, -1, 0, 0, 0, -1]
    assert [label.path for label in kept.ancestors] == ["Clothes"]
    together = labels.with_examples(np.full(8, TRAIN), at_least=3, rolled_up=True)
    assert [label.id for label in together.classes] == [8, 166]
    assert together.index.tolist() == [1, 1, 1, 1, 0, 0, 0, 1]
    assert (together.num_rolled_up, together.num_rare_products) == (4, 0)


def test_a_wrong_taxonomy_is_an_error_that_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(
        TaxonomyError, match=r"the test taxonomy: .*'90004' and 1 more; .*\[train\] taxonomy = \"PATH\""
    ):
        categories(tmp_path, [str(90000 + i) for i in range(6)])


def test_a_catalog_without_categories_is_an_error(tmp_path: Path) -> None:
    labels = categories(tmp_path, [None, None, None])
    with pytest.raises(HeadError, match=r"0 of 3 products have a label.*with a google_category_id"):
        labels.with_examples(np.zeros(3, "u1"), at_least=2)


def test_gold_brands_win_over_supplied_ones(tmp_path: Path) -> None:
    labels = brands(
        tmp_path, gold=["Nike", None, None, "Lee Cooper", " "], supplied=["puma", "NIKE Inc", "junk", "Lee", "puma"]
    )
    assert names(labels) == ["Nike", "Nike", None, "Lee Cooper", "PUMA"]
    assert labels.gold.tolist() == [True, False, False, True, False]


def test_one_brand_has_one_spelling_gold_first(tmp_path: Path) -> None:
    labels = brands(
        tmp_path,
        gold=["Puma", "PUMA", "Puma", None, "T-Mobile", "T mobile", "T-Mobile", "!!"],
        supplied=["puma", None, "puma", "puma", None, None, None, None],
    )
    assert names(labels) == ["Puma"] * 4 + ["T-Mobile"] * 3 + [None]


def test_catalogs_without_gold_or_without_supplied_brands(tmp_path: Path) -> None:
    without_gold = brands(tmp_path / "a", gold=[None, None], supplied=["Lee", "puma"])
    assert (names(without_gold), without_gold.gold.any()) == (["Lee", "PUMA"], False)
    without_supplied = brands(tmp_path / "b", gold=["Lee", "Puma"], supplied=[None, None])
    assert names(without_supplied) == ["Lee", "Puma"]


def test_rare_classes_are_left_out_and_counted(tmp_path: Path) -> None:
    labels = brands(
        tmp_path,
        gold=["Lee", "Lee", "Puma", "Puma", "Bose", "Bose", "Boss", None],
        supplied=["Lee", None, "puma", None, None, None, None, "NIKE Inc"],
    )
    parts = np.array([TRAIN, TRAIN, TRAIN, TRAIN, TRAIN, TEST, TRAIN, TEST], "u1")
    kept = labels.with_examples(parts, at_least=2)
    assert names(kept) == ["Lee", "Lee", "Puma", "Puma", None, None, None, None]
    assert (kept.num_rare_classes, kept.num_rare_products, kept.num_labelled) == (3, 4, 4)
    with pytest.raises(HeadError, match=r"found 0 classes with 3 or more .*8 of 8 products have a label, in 5 classes"):
        labels.with_examples(parts, at_least=3)
