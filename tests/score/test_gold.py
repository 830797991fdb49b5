"""Gold labels win: they are found among the nodes and names of a head, and what is not found is counted."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from prodemb.aliases.table import AliasRow, AliasTable
from prodemb.brand.names import BrandNames
from prodemb.category.zero_shot import ZeroShot
from prodemb.core.errors import TaxonomyError
from prodemb.heads.labels import CategoryLabel
from prodemb.score.config import ScoreConfig
from prodemb.score.gold import GoldBrands, GoldNodes, num_labelled
from prodemb.score.score import score
from prodemb.shards.paths import PathVectors
from prodemb.shards.reader import ShardSet, open_shard_set
from tests.shard_sets import random_vectors, write_shards
from tests.small_heads import answers_at, make_head, score_with

NODES = tuple(CategoryLabel(id=node, path=path) for node, path in ((5, "A > B"), (6, "A > B > C"), (1, "A"), (7, "D")))


@pytest.mark.parametrize(
    ("label", "index"),
    [
        ("6", 1),
        (" 7 ", 3),
        ("a>b &gt; c", 1),
        ("5 - A > B", 0),
        ("5 - A > Old name", 0),
        ("A > B > Other", -1),
        ("99", -1),
        ("Z", -1),
        ("", -1),
        (None, -1),
    ],
)
def test_ids_and_paths_are_found_among_the_nodes(label: str | None, index: int) -> None:
    labels = pl.Series([None, label, "6", label], dtype=pl.String)
    assert GoldNodes(NODES).nodes_of(labels).tolist() == [-1, index, 1, index]


def test_labels_that_training_resolved_are_those_nodes() -> None:
    known = GoldNodes(NODES, known={"gid://shopify/TaxonomyCategory/aa": 6, "A > B > Other": 7})
    labels = pl.Series(["gid://shopify/TaxonomyCategory/aa", "A > B > Other", "7"])
    assert known.nodes_of(labels).tolist() == [1, 3, 3]


def test_nodes_without_their_parents_are_refused_once_a_label_needs_them() -> None:
    orphans = GoldNodes(NODES[:2])
    assert orphans.nodes_of(pl.Series([None, None], dtype=pl.String)).tolist() == [-1, -1]
    with pytest.raises(TaxonomyError, match="no line for its parent 'A'"):
        orphans.nodes_of(pl.Series(["6"]))


def test_brands_are_spelled_as_the_head_does() -> None:
    names = BrandNames(["Norvik"], aliases=AliasTable([AliasRow("ACME", "Acme Tools")]), redirects={})
    labels = pl.Series(["NORVIK®", "acme tools", " Nobody ", "n/a", "unbranded", "", None])
    assert GoldBrands(names).names_of(labels).to_list() == [
        "Norvik",
        "Acme Tools",
        "Nobody",
        None,
        "UNBRANDED",
        None,
        None,
    ]


def test_labels_that_are_blank_are_none() -> None:
    assert num_labelled(pl.Series(["1", " ", "", None, "x"])) == 2


def labelled_set(folder: Path) -> ShardSet:
    """A hundred products, of which eight have gold labels; the fourth has no vectors."""
    categories: list[str | None] = ["100", "Group 0 > Kind 2", "Group 1", "104", "999", None, None, None]
    brands: list[str | None] = ["Brand 1", "brand  2", None, "Elsewhere", "n/a", None, None, "Brand 3"]
    columns = {
        "google_category_id": categories + [None] * 92,
        "brand_label": brands + [None] * 92,
    }
    write_shards(folder, vectors=random_vectors(100), columns=columns, sizes=(40, 60), fingerprint="clip", model="m")
    return open_shard_set(folder)


def heads() -> tuple[Any, Any]:
    category = make_head(
        "category",
        classes=tuple(CategoryLabel(id=100 + i, path=f"Group {i % 2} > Kind {i}") for i in range(9)),
        ancestors=(CategoryLabel(id=7, path="Group 0"), CategoryLabel(id=8, path="Group 1")),
    )
    return category, make_head("brand")


def test_products_are_answered_with_their_own_labels(tmp_path: Path) -> None:
    shards, out = labelled_set(tmp_path / "shards"), tmp_path / "out.parquet"
    report = score_with([shards], out, *heads())
    frame = pl.read_parquet(out)
    columns = ("category_id", "category_path", "category_level", "category_confidence", "category_source")
    assert frame.select(columns).rows()[:4] == [
        (100, "Group 0 > Kind 0", 2, 1.0, "gold"),
        (102, "Group 0 > Kind 2", 2, 1.0, "gold"),
        (8, "Group 1", 1, 1.0, "gold"),
        (104, "Group 0 > Kind 4", 2, 1.0, "gold"),
    ]
    assert frame["category_ancestors"][0].to_list() == [
        {"id": 7, "path": "Group 0", "probability": 1.0},
        {"id": 100, "path": "Group 0 > Kind 0", "probability": 1.0},
    ]
    assert frame.select("brand", "brand_confidence", "brand_source").gather([0, 1, 3, 7]).rows() == [
        ("Brand 1", 1.0, "gold"),
        ("Brand 2", 1.0, "gold"),
        ("Elsewhere", 1.0, "gold"),
        ("Brand 3", 1.0, "gold"),
    ]
    assert (report.counts.gold, report.counts.unresolved_gold) == ({"category": 4, "brand": 4}, 1)
    assert report.counts.unanswered == {"category": 0, "brand": 0}

    model = tmp_path / "model.parquet"
    report = score_with([shards], model, *heads(), keep_gold=False)
    own = pl.read_parquet(model)
    assert (report.counts.gold, report.counts.unresolved_gold) == ({"category": 0, "brand": 0}, 0)
    assert not own["brand_source"].is_in(["gold"]).any()
    for column in ("category_top", "brand_top"):
        assert own[column].equals(frame[column], null_equal=True)
    for target, labelled in (("category", range(4)), ("brand", (0, 1, 3, 7))):
        others = [row for row in range(100) if row not in labelled]
        of_target = [name for name in own.columns if name.startswith(target)]
        assert own.select(of_target)[others].equals(frame.select(of_target)[others])


def test_labels_need_no_promise(tmp_path: Path) -> None:
    shards, out = labelled_set(tmp_path / "shards"), tmp_path / "out.parquet"
    few = answers_at(0.0, num=10)
    report = score_with([shards], out, *heads(), answers={"category": few, "brand": few}, precision=0.95)
    frame = pl.read_parquet(out)
    assert frame["category_id"].is_not_null().sum() == 4
    assert frame["brand"].ne("UNKNOWN").sum() == 4
    assert report.counts.unanswered == {"category": 96, "brand": 96}
    assert report.counts.backed_off == 0
    assert [level.after for level in report.counts.levels] == [1, 3]


def test_labels_win_over_zero_shot_too(tmp_path: Path) -> None:
    shards, out = labelled_set(tmp_path / "shards"), tmp_path / "out.parquet"
    vectors = np.random.default_rng(5).standard_normal((3, 8)).astype(np.float16)
    paths = PathVectors(
        fingerprint="clip", ids=(100, 8, 9), paths=("Top", "Group 1", "Group 1 > Kind 7"), vectors=vectors
    )
    zero_shot = ZeroShot.of(paths, schema=shards.schema, taxonomy="t.txt")
    report = score([shards], out, predictors=[zero_shot], config=ScoreConfig(), device="cpu")
    frame = pl.read_parquet(out)
    assert frame["category_source"].to_list()[:5] == ["gold", "names", "gold", None, "names"]
    assert (report.counts.gold, report.counts.unresolved_gold) == ({"category": 2}, 3)
    ancestors = frame["category_ancestors"].to_list()
    assert [node["probability"] for node in ancestors[0]] == [1.0]
    assert {node["probability"] for node in ancestors[1]} == {None}
