"""Scoring: every product once and in order, each head on its own shards, one whole file or none."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from prodemb.catalog.images import ImagesConfig
from prodemb.catalog.reader import CatalogConfig, open_catalog
from prodemb.category.zero_shot import ZeroShot
from prodemb.confidence.answers import Answers
from prodemb.confidence.promise import promise
from prodemb.core.errors import ConfigError, FingerprintError, HeadError, ProdembError, ShardError
from prodemb.core.features import BRAND_FEATURES, FEATURES
from prodemb.embed.config import EmbedConfig
from prodemb.embed.embed import embed
from prodemb.heads.head import TrainedHead, save_head
from prodemb.heads.labels import BrandLabel, CategoryLabel, Target
from prodemb.score.config import ScoreConfig
from prodemb.score.predictions import LevelCounts
from prodemb.score.predictor import load_predictor
from prodemb.score.score import score
from prodemb.shards.paths import PathVectors
from prodemb.shards.product_set import read_products
from prodemb.shards.reader import open_shard_set
from prodemb.shards.verify import verify
from tests.shard_sets import update_shards, write_random_set
from tests.small_heads import answers_at, category_predictor, make_head, predictor_of, score_with

COLUMNS = [
    "product_id",
    "partner",
    "category_id",
    "category_path",
    "category_level",
    "category_confidence",
    "category_source",
    "category_known",
    "category_ancestors",
    "category_top",
    "brand",
    "brand_confidence",
    "brand_source",
    "brand_known",
    "brand_top",
]


def test_both_heads_answer_every_product_in_order(tmp_path: Path) -> None:
    shards, out = write_random_set(tmp_path / "shards"), tmp_path / "deep" / "out.parquet"
    heads = make_head("category"), make_head("brand")
    steps: list[tuple[int, int | None]] = []
    report = score(
        [shards],
        out,
        predictors=[*map(predictor_of, heads)],
        config=ScoreConfig(min_brand_confidence=0.0),
        device="cpu",
        on_progress=lambda done, total: steps.append((done, total)),
    )
    frame = pl.read_parquet(out)
    assert frame.columns == COLUMNS
    assert frame["product_id"].to_list() == [f"p{i}" for i in range(100)]
    assert steps == [(40, 100), (80, 100), (100, 100)]
    assert (report.num_products, report.absent, report.counts.unanswered) == (100, (), {"category": 1, "brand": 1})

    products = read_products(shards, features=FEATURES, rows=np.arange(100))
    first = heads[0].predict(products.vectors, present=products.present)
    predicted = category_predictor(heads[0]).predict(products, k=5)
    for row in (0, 39, 40, 99):
        answers = frame["category_top"][row].to_list()
        assert answers[0]["id"] == 100 + first[row]
        assert [a["id"] for a in answers] == (99 + predicted.nodes[row]).tolist()
        assert [a["path"] for a in answers] == [f"Things > Kind {node - 1}" for node in predicted.nodes[row]]
        assert [a["probability"] for a in answers] == pytest.approx(predicted.probabilities[row].tolist(), abs=1e-5)
        assert frame["category_id"][row] == answers[0]["id"]
        assert frame["category_path"][row] == answers[0]["path"]
        assert frame["category_confidence"][row] == answers[0]["probability"]
        assert frame["brand"][row] == frame["brand_top"][row][0]["name"]
    assert frame.row(3)[1:] == (*(None,) * 9, "UNKNOWN", None, None, None, [])
    nulls = dict(zip(COLUMNS[2:], frame.select(COLUMNS[2:]).null_count().row(0), strict=True))
    assert nulls == {name: 0 if name in ("brand", "brand_top") else 1 for name in nulls}
    assert set(frame["category_source"].drop_nulls()) == {"head"}


def test_the_file_has_a_row_group_a_shard_and_says_where_it_came_from(tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    score_with([write_random_set(tmp_path / "shards")], out, make_head("category"), make_head("brand"))
    file = pq.ParquetFile(out)
    assert [file.metadata.row_group(i).num_rows for i in range(3)] == [40, 40, 20]
    group = file.metadata.row_group(0)
    columns = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    for path in (
        "category_path",
        "category_ancestors.list.element.path",
        "category_top.list.element.path",
        "brand_top.list.element.name",
        "brand",
        "partner",
    ):
        assert columns[path].has_dictionary_page, path
    assert not columns["product_id"].has_dictionary_page
    made_by = json.loads(file.metadata.metadata[b"prodemb"])
    assert [(h["target"], h["fingerprint"]) for h in made_by["heads"]] == [("category", "clip"), ("brand", "clip")]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.parquet", "shards"]


@pytest.mark.parametrize("target", ["category", "brand"])
def test_the_columns_of_a_missing_head_are_null(tmp_path: Path, target: Target) -> None:
    report = score_with([write_random_set(tmp_path / "shards")], tmp_path / "out.parquet", make_head(target))
    frame = pl.read_parquet(tmp_path / "out.parquet")
    assert frame.columns == COLUMNS
    (absent,) = report.absent
    assert absent != target
    for column in COLUMNS[2:]:
        is_null = column.startswith(absent)
        is_told = column.startswith("category") or column in ("brand_source", "brand_confidence")
        assert frame[column].null_count() == (100 if is_null else int(is_told or column == "brand_known"))


def test_each_product_has_the_partner_whose_feed_it_is_from(tiny_clip: Path, tmp_path: Path) -> None:
    feeds = {"alder": "id,title\nA1,Steel kettle\nA2,Oak stool\n", "borea": "sku;name\nB1;Brass lamp\nB2;Olive soap\n"}
    for partner, feed in feeds.items():
        (tmp_path / "feeds" / partner).mkdir(parents=True)
        (tmp_path / "feeds" / partner / "feed.csv").write_text(feed)
    catalog = open_catalog(CatalogConfig(path=str(tmp_path / "feeds" / "*" / "feed.csv")))
    embedding = EmbedConfig(
        model=str(tiny_clip), out=str(tmp_path / "shards"), features=BRAND_FEATURES, shard_size=3, window=3
    )
    embed(embedding, catalog=catalog, images=ImagesConfig())
    shards = open_shard_set(tmp_path / "shards")
    head = make_head("brand", dim=shards.schema.dim, fingerprint=shards.schema.fingerprint)
    score_with([shards], tmp_path / "out.parquet", head)
    assert pl.read_parquet(tmp_path / "out.parquet").select("product_id", "partner").rows() == [
        ("A1", "alder"),
        ("A2", "alder"),
        ("B1", "borea"),
        ("B2", "borea"),
    ]


def test_a_set_that_is_updated_meanwhile_is_scored_to_its_end(tmp_path: Path) -> None:
    shards, heads = write_random_set(tmp_path / "shards"), (make_head("category"), make_head("brand"))
    score_with([shards], tmp_path / "wanted.parquet", *heads)
    score(
        [shards],
        tmp_path / "out.parquet",
        predictors=[*map(predictor_of, heads)],
        config=ScoreConfig(min_brand_confidence=0.0),
        device="cpu",
        on_progress=lambda _done, _total: update_shards(tmp_path / "shards", sizes=[20, 20]),
    )
    assert open_shard_set(tmp_path / "shards").num_products == 40
    assert pl.read_parquet(tmp_path / "out.parquet").equals(pl.read_parquet(tmp_path / "wanted.parquet"))


def test_each_head_reads_its_own_shard_set_whatever_its_boundaries(tmp_path: Path) -> None:
    clip = write_random_set(tmp_path / "clip")
    tuned = write_random_set(tmp_path / "tuned", sizes=[7, 60, 1, 32], dim=4, fingerprint="tuned")
    brand, category = make_head("brand"), make_head("category", dim=4, fingerprint="tuned")
    report = score_with([clip, tuned], tmp_path / "both.parquet", category, brand)
    assert report.shards == {"category": tmp_path / "tuned", "brand": tmp_path / "clip"}
    both = pl.read_parquet(tmp_path / "both.parquet")
    for head in (category, brand):
        score_with([clip, tuned], tmp_path / "one.parquet", head)
        columns = [column for column in COLUMNS if column.startswith(head.card.target)]
        one = pl.read_parquet(tmp_path / "one.parquet")
        for column in columns:
            if "top" not in column and "confidence" not in column:
                assert both[column].equals(one[column], null_equal=True)


def test_fewer_classes_than_asked_for_give_shorter_lists(tmp_path: Path) -> None:
    score_with(
        [write_random_set(tmp_path / "shards")], tmp_path / "out.parquet", make_head("brand", num_classes=2), top=7
    )
    assert pl.read_parquet(tmp_path / "out.parquet")["brand_top"].list.len().unique().sort().to_list() == [0, 2]


def test_a_brand_that_is_not_likely_enough_is_unknown(tmp_path: Path) -> None:
    shards, head = write_random_set(tmp_path / "shards"), make_head("brand")
    score_with([shards], tmp_path / "all.parquet", head)
    middle = float(pl.read_parquet(tmp_path / "all.parquet")["brand_confidence"].quantile(0.5) or 0.0)
    parts = {}
    for least in (0.0, middle, 1.0):
        out = tmp_path / f"{least}.parquet"
        report = score_with([shards], out, head, min_brand_confidence=least)
        parts[least] = frame = pl.read_parquet(out)
        assert report.counts.unanswered == {"brand": frame["brand"].eq("UNKNOWN").sum()}
        first = frame["brand_top"].list.first().struct.field("probability")
        sure = (first >= least).fill_null(value=False)
        assert frame["brand"].ne("UNKNOWN").equals(sure)
        for column in ("brand_source", "brand_confidence"):
            assert frame[column].is_not_null().equals(sure, check_names=False)
    assert parts[0.0]["brand"].eq("UNKNOWN").sum() == 1
    assert 40 < parts[middle]["brand"].eq("UNKNOWN").sum() < 60
    assert parts[1.0]["brand"].eq("UNKNOWN").all()
    assert parts[0.0]["brand_top"].equals(parts[1.0]["brand_top"])


def test_a_brand_head_needs_its_fuser(tmp_path: Path) -> None:
    save_head(tmp_path / "head", make_head("brand"))
    with pytest.raises(HeadError, match=r"fuser\.json: missing, though the head beside it needs it"):
        load_predictor(tmp_path / "head")


@pytest.mark.parametrize(
    ("case", "error", "message"),
    [
        ("other model", FingerprintError, r"trained on vectors of model new \(new\).*clip: model clip \(clip\)"),
        ("two sets", ShardError, r"2 shard sets of its model: .*clip, .*copy; wanted one"),
        ("other ids", ShardError, r"product 42 is 'x41', in .*clip it is 'p41'"),
        ("other number", ShardError, r"holds 90 products, .*clip 100"),
        ("no feature", ShardError, r"no vectors of description, brand, which the brand head reads; found title, image"),
        ("two heads", HeadError, "found two heads for brand"),
        ("no heads", HeadError, "no head to score with"),
        ("csv", ConfigError, r"out\.csv: .*wanted a name that ends in \.parquet"),
    ],
)
def test_what_cannot_be_scored_is_named(tmp_path: Path, case: str, error: type[ProdembError], message: str) -> None:
    clip, out = write_random_set(tmp_path / "clip"), tmp_path / "out.parquet"
    brand, category = make_head("brand"), make_head("category", fingerprint="tuned")
    sets, heads = [clip], [brand]
    match case:
        case "other model":
            heads = [make_head("brand", fingerprint="new")]
        case "two sets":
            sets = [clip, write_random_set(tmp_path / "copy")]
        case "other ids":
            ids = [f"{'x' if i > 40 else 'p'}{i}" for i in range(100)]
            sets, heads = [clip, write_random_set(tmp_path / "b", fingerprint="tuned", ids=ids)], [brand, category]
        case "other number":
            sets, heads = [clip, write_random_set(tmp_path / "b", sizes=[90], fingerprint="tuned")], [brand, category]
        case "no feature":
            sets = [write_random_set(tmp_path / "b", features=("title", "image"))]
        case "two heads":
            heads = [brand, brand]
        case "no heads":
            heads = []
        case "csv":
            out = tmp_path / "out.csv"
    with pytest.raises(error, match=message):
        score_with(sets, out, *heads)
    assert not list(tmp_path.glob("out.*"))


def test_a_failed_run_leaves_the_old_predictions(tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    shards = write_random_set(tmp_path / "shards")
    score_with([shards], out, make_head("brand"))
    before = out.read_bytes()
    (tmp_path / "shards" / "part-00002.parquet").write_bytes(b"cut short")
    with pytest.raises(ShardError, match="part-00002"):
        score_with([shards], out, make_head("brand"))
    assert out.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.parquet", "shards"]


def test_a_shard_is_not_overwritten(tmp_path: Path) -> None:
    shards = write_random_set(tmp_path / "shards")
    with pytest.raises(ConfigError, match="its folder is a shard set"):
        score_with([shards], tmp_path / "shards" / "part-00000.parquet", make_head("brand"))
    assert not verify(shards.folder)


def test_a_head_whose_classes_changed_is_not_the_same(tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    shards = write_random_set(tmp_path / "shards")
    head = save_head(tmp_path / "head", make_head("brand"))
    score_with([shards], out, head)
    classes = tuple(BrandLabel(name=f"New {i}") for i in range(len(head.card.classes)))
    renamed = replace(head, card=head.card.model_copy(update={"classes": classes}))
    assert not score_with([shards], out, renamed).was_done
    brands = pl.read_parquet(out)["brand"]
    assert brands.filter(brands != "UNKNOWN").str.starts_with("New").all()


def test_predictions_of_the_same_heads_and_shards_are_left_as_they_are(tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    shards = write_random_set(tmp_path / "shards")
    head = save_head(tmp_path / "head", make_head("brand"))
    other = save_head(tmp_path / "other", make_head("brand", num_classes=8))
    assert not score_with([shards], out, head).was_done
    before = out.stat().st_mtime_ns
    assert score_with([shards], out, head).was_done
    assert out.stat().st_mtime_ns == before
    assert not score_with([shards], out, other).was_done
    out.write_bytes(out.read_bytes()[:-9])
    with pytest.raises(ConfigError, match=r"out\.parquet: holds no whole predictions"):
        score_with([shards], out, other)
    out.unlink()
    assert not score_with([shards], out, other).was_done


def grouped_head(**entries: Any) -> TrainedHead:
    """A head of two groups of kinds."""
    return make_head(
        "category",
        classes=tuple(CategoryLabel(id=100 + i, path=f"Group {i % 2} > Kind {i}") for i in range(9)),
        ancestors=(CategoryLabel(id=7, path="Group 0"), CategoryLabel(id=8, path="Group 1")),
        **entries,
    )


def test_a_doubtful_product_is_answered_with_what_can_be_promised(tmp_path: Path) -> None:
    shards, head = write_random_set(tmp_path / "shards"), grouped_head()
    answers: dict[Target, Answers] = {"category": answers_at(0.6)}
    report = score_with([shards], tmp_path / "out.parquet", head, answers=answers, precision=0.9, top=9)
    made = report.counts.promises["category"]
    assert made == promise(answers["category"], precision=0.9, certainty=0.9)
    assert made.threshold is not None
    assert 0.45 < made.threshold < 0.6
    frame = pl.read_parquet(tmp_path / "out.parquet")
    columns = ("category_level", "category_id", "category_path", "category_confidence", "category_top")
    for level, node, path, confidence, top in frame.select(columns).iter_rows():
        if top is None:
            assert (level, node, path, confidence) == (None,) * 4
            continue
        group = top[0]["path"].partition(" > ")[0]
        of_group = sum(answer["probability"] for answer in top if answer["path"].startswith(group))
        if top[0]["probability"] >= made.threshold:
            assert (level, node, path) == (2, top[0]["id"], top[0]["path"])
        elif of_group >= made.threshold:
            assert (level, node, path) == (1, {"Group 0": 7, "Group 1": 8}[group], group)
            assert confidence == pytest.approx(of_group, abs=1e-5)
        else:
            assert (level, node, path, confidence) == (None,) * 4
    assert report.counts.unanswered["category"] == frame["category_id"].null_count()
    assert report.counts.backed_off == frame["category_level"].eq(1).sum() > 10
    assert report.counts.levels == (
        LevelCounts(before=0, after=report.counts.backed_off),
        LevelCounts(before=99, after=frame["category_level"].eq(2).sum()),
    )


def test_a_doubtful_brand_is_unknown(tmp_path: Path) -> None:
    shards, head = write_random_set(tmp_path / "shards"), make_head("brand")
    score_with([shards], tmp_path / "all.parquet", head)
    middle = float(pl.read_parquet(tmp_path / "all.parquet")["brand_confidence"].quantile(0.5) or 0.0)
    answers: dict[Target, Answers] = {"brand": answers_at(middle, num=4000)}
    for least in (0.0, 1.0):
        out = tmp_path / f"{least}.parquet"
        report = score_with([shards], out, head, answers=answers, precision=0.99, min_brand_confidence=least)
        threshold = report.counts.promises["brand"].threshold
        assert (threshold is None) == (least == 1)
        frame = pl.read_parquet(out)
        first = frame["brand_top"].list.first().struct.field("probability")
        sure = (first >= max(threshold or 1.0, least)).fill_null(value=False)
        assert frame["brand"].ne("UNKNOWN").equals(sure, check_names=False)
        assert sure.sum() == 0 if least else 10 < sure.sum() < 90


def test_where_nothing_can_be_promised_nothing_is_answered(tmp_path: Path) -> None:
    shards, heads = write_random_set(tmp_path / "shards"), (grouped_head(), make_head("brand"))
    few = answers_at(0.0, num=44)
    answers: dict[Target, Answers] = {"category": few, "brand": few}
    report = score_with([shards], tmp_path / "out.parquet", *heads, answers=answers, precision=0.95)
    assert {made.more_labels_needed for made in report.counts.promises.values()} == {1}
    frame = pl.read_parquet(tmp_path / "out.parquet")
    assert frame["category_id"].null_count() == 100
    assert frame["brand"].eq("UNKNOWN").all()
    assert frame["category_top"].null_count() == 1
    assert score_with([shards], tmp_path / "out.parquet", *heads, answers=answers, precision=0.9).counts.unanswered != {
        "category": 100,
        "brand": 100,
    }


def test_the_counts_of_a_promise_are_kept_with_the_predictions(tmp_path: Path) -> None:
    shards = write_random_set(tmp_path / "shards")
    head = save_head(tmp_path / "head", grouped_head())
    asked: dict[str, Any] = {"answers": {"category": answers_at(0.6)}, "precision": 0.9}
    first = score_with([shards], tmp_path / "out.parquet", head, **asked)
    again = score_with([shards], tmp_path / "out.parquet", head, **asked)
    assert (again.was_done, again.counts) == (True, first.counts)
    assert not score_with([shards], tmp_path / "out.parquet", head, **asked, certainty=0.8).was_done


def test_zero_shot_answers_and_says_so(tmp_path: Path) -> None:
    shards, out = write_random_set(tmp_path / "shards"), tmp_path / "out.parquet"
    vectors = np.random.default_rng(5).standard_normal((4, 8)).astype(np.float16)
    paths = PathVectors(fingerprint="clip", ids=(1, 2, 3, 4), paths=("A", "A > B", "C", "C > D"), vectors=vectors)
    zero_shot = ZeroShot.of(paths, schema=shards.schema, taxonomy="t.txt")
    predictors = [predictor_of(make_head("brand")), zero_shot]
    report = score([shards], out, predictors=predictors, config=ScoreConfig(), device="cpu")
    assert report.zero_shot == "t.txt (4 nodes)"
    assert report.counts.unanswered["category"] == 1
    frame = pl.read_parquet(out)
    assert set(frame["category_id"].drop_nulls()) <= {1, 2, 3, 4}
    assert frame["category_level"].drop_nulls().is_in([1, 2]).all()
    assert frame["category_confidence"].null_count() == 100
    assert frame["category_source"].drop_nulls().unique().to_list() == ["names"]
    told = json.loads(pq.read_metadata(out).metadata[b"prodemb"])["heads"]
    assert [head.get("zero_shot", False) for head in told] == [False, True]
    unpromised = score([shards], out, predictors=[zero_shot], config=ScoreConfig(precision=0.9), device="cpu")
    assert unpromised.counts.promises["category"].more_labels_needed == 22
    assert pl.read_parquet(out)["category_id"].null_count() == unpromised.num_products
