"""Gold labels as answers name them, whether the predictions keep them or not."""

from pathlib import Path

from prodemb.aliases.table import AliasRow, AliasTable
from prodemb.report.labels import with_labels
from tests.report.test_gallery import predictions
from tests.shard_sets import write_columns
from tests.small_heads import make_card


def test_labels_are_resolved_as_answers_are(tmp_path: Path) -> None:
    shards = write_columns(
        tmp_path,
        brand_label=["ACME inc", " Zed ", "N/A", None, "Acme"],
        google_category_id=["101", "Things", "77", None, "Things > Kind 2"],
    )
    frame = predictions(brand=["B", "Z", "U", "N", "Kept"], brand_source=["head"] * 4 + ["gold"])
    table = AliasTable([AliasRow("ACME inc", "Acme"), AliasRow("Acme", "Acme")])
    found = with_labels(frame, shard_set=shards, cards=[make_card("category"), make_card("brand")], aliases=table)
    assert found["brand_label"].to_list() == ["Acme", "Zed", None, None, "Kept"]
    assert found["category_label"].to_list() == ["Things > Kind 1", "Things", None, None, "Things > Kind 2"]


def test_without_heads_and_aliases_brands_are_as_they_are(tmp_path: Path) -> None:
    shards = write_columns(tmp_path, brand_label=["ACME inc"], google_category_id=["101"])
    found = with_labels(predictions(brand=["B"]), shard_set=shards, cards=[], aliases=None)
    assert (found["brand_label"].item(), found["category_label"].item()) == ("ACME inc", None)
