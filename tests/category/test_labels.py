"""Category labels: ids and paths, other versions, rolling up; what is left out is counted and named."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from prodemb.category.labels import CategoryLabels, category_labels
from prodemb.core.errors import HeadError, TaxonomyError
from prodemb.heads.labels import CategoryLabel
from prodemb.taxonomy.mapping import CategoryMapping
from prodemb.taxonomy.taxonomy import Taxonomy
from tests.shard_sets import write_columns

TAXONOMY = Taxonomy(paths={166: "Clothes", 187: "Clothes > Shoes", 212: "Clothes > Shirts", 8: "Arts"})


def categories(folder: Path, values: list[str | None]) -> CategoryLabels:
    shard_set = write_columns(folder, google_category_id=values)
    return category_labels(shard_set, taxonomy=TAXONOMY, taxonomy_name="the test taxonomy")


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
            write_columns(tmp_path, google_category_id=values),
            taxonomy=replace(TAXONOMY, of_labels=older),
            taxonomy_name="the test taxonomy",
        )
    assert [label.id for label in labels.classes] == [166, 187, 212]
    assert labels.index.tolist() == [1, 0, 0, 2, 1, -1, -1]
    assert labels.renamed == {"187 - Clothes > Boots": 1, "Mode > Schuhe": 1}
    assert (labels.removed, labels.unknown) == ({"9": 2}, {"77": 1})
    assert "2 products with a google_category_id that the test taxonomy has under another name" in caplog.text
    assert "2 products with a google_category_id that the test taxonomy has no more (it counts as" in caplog.text


def test_categories_of_shopify_are_labels_by_a_mapping(tmp_path: Path) -> None:
    mapping = CategoryMapping(by_id={"aa-1": "187 - Clothes > Shoes"}, by_path={"wear>tops": "212 - Clothes > Shirts"})
    labels = category_labels(
        write_columns(
            tmp_path, google_category_id=["gid://shopify/TaxonomyCategory/aa-1", "Wear > Tops", "187", "Wear"]
        ),
        taxonomy=replace(TAXONOMY, mapping=mapping),
        taxonomy_name="the test taxonomy",
    )
    assert [label.id for label in labels.classes] == [187, 212]
    assert labels.index.tolist() == [0, 1, 0, -1]
    assert labels.unknown == {"Wear": 1}


def test_rare_classes_are_rolled_up_to_a_node_that_has_enough(tmp_path: Path) -> None:
    labels = categories(tmp_path, ["187", "212", "212", "187", "8", "8", "8", "166"])
    assert (labels.ancestors, [node.id for node in labels.nodes]) == ((), [8, 166, 187, 212])
    learned = np.array([True, True, True, False, True, True, False, False])
    kept = labels.frequent(learned, min_count=2, roll_up=True)
    assert [label.id for label in kept.classes] == [8, 212]
    assert kept.index.tolist() == [-1, 1, 1, -1, 0, 0, 0, -1]
    assert [label.path for label in kept.ancestors] == ["Clothes"]
    together = labels.frequent(np.ones(8, bool), min_count=3, roll_up=True)
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
        labels.frequent(np.ones(3, bool), min_count=2, roll_up=False)
