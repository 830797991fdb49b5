"""`prodemb label`: the file to fill in, what it proposes, and that nothing is lost that people filled in."""

import csv
import io
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from prodemb.core.errors import ConfigError
from prodemb.core.progress import no_progress
from prodemb.job.embed import embed_catalog
from prodemb.job.label import LabelReport, label_shards
from prodemb.job.pipeline import Pipeline
from prodemb.job.train import train
from prodemb.label.label_file import read_label_file
from prodemb.shards.reader import open_shard_set
from tests.finetune.shop import NUM_PRODUCTS, WORDS, write_catalog
from tests.job.shop_pipeline import make_pipeline
from tests.shard_sets import write_clustered_set


def label(pipeline: Pipeline, out: Path, *, products: int, **options: Any) -> LabelReport:
    pipeline = pipeline.replaced({"label": {"products": products}}, source="test")
    shards = open_shard_set(Path(pipeline.embed.out))
    return label_shards([shards], out=out, category=pipeline, progress=no_progress, **options)


def fill(path: Path, **labels: str) -> None:
    """Give some rows of a file a category, in a spreadsheet that writes semicolons."""
    rows = [*csv.DictReader(io.StringIO(path.read_text("utf-8-sig")))]
    with path.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, fieldnames=[*rows[0]], delimiter=";")
        writer.writeheader()
        writer.writerows(
            row | {"category": labels.get(row["product_id"].removeprefix("'"), row["category"])} for row in rows
        )


def cells_with_ids(path: Path) -> pl.DataFrame:
    """The cells of a file, and product ids as they are read."""
    file = read_label_file(path)
    return file.cells.with_columns(file.rows["product_id"])


@pytest.fixture(scope="module")
def shop(tiny_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """The shop without a single category, its pictures in files, embedded."""
    folder = tmp_path_factory.mktemp("shop") / "feed"  # pictures are looked for in the folders beside it, too
    folder.mkdir()
    pipeline = make_pipeline(folder, tiny_clip)
    none, pictures = [None] * NUM_PRODUCTS, [f"images/{i}.jpg" for i in range(NUM_PRODUCTS - 2)]
    kept = ["https://shop.example/a.jpg?w=9", "https://user:word@shop.example/b.jpg"]
    write_catalog(folder, google_category_id=none, image=[*pictures, *kept])
    embed = {"features": ["title", "description", "brand", "cat1"]}
    pipeline = pipeline.replaced({"embed": embed, "train": {"epochs": 8, "baselines": {"run": False}}}, source="test")
    embed_catalog(pipeline, progress=no_progress)
    return pipeline


def test_from_no_labels_to_a_head_and_on(shop: Pipeline, tmp_path: Path) -> None:
    out = tmp_path / "to_label.csv"
    report = label(shop, out, products=24)
    assert (report.num_picked, report.num_unlabelled, report.by, report.is_by_head) == (24, 120, "zero-shot", False)
    rows = cells_with_ids(out)
    assert rows.height == 24
    # Nothing is filled in, and all four kinds are there among the first.
    assert rows["category"].fill_null("").str.len_bytes().sum() == 0
    kinds = rows["title"].str.extract(r"red (\w+)")
    assert {*kinds[:8]} == {word for word, _ in WORDS}
    assert rows["likely_1"].str.contains(r"^\d+ - \w+").all()
    assert rows.select(pl.n_unique("likely_1", "likely_2")).row(0) != (1, 1)
    folder = Path(shop.catalog.path or "").parent
    place = rows["product_id"].str.strip_prefix("p")[0]
    assert rows["picture"][0] in (str(folder / f"images/{place}.jpg"), None)

    paths = {"shoe": "sport > shoe", "mug": "4", "lamp": "5 - home > lamp", "watch": "7.0"}
    fill(out, **dict(zip(rows["product_id"], [paths[kind] for kind in kinds], strict=True)))
    own = shop.replaced({"train": {"labels": str(out), "out": str(tmp_path / "head")}}, source="test")
    trained = train(own, shards=Path(own.embed.out), folder=own.head_folder, progress=no_progress)
    assert trained.head.card.num_train == 24

    again = label(own, out, products=10)
    assert (again.num_picked, again.num_kept, again.num_replaced) == (10, 24, 0)
    assert (again.by, again.is_by_head, again.num_unlabelled) == (str(tmp_path / "head"), True, 96)
    file = read_label_file(out)
    assert file.rows["product_id"].n_unique() == 34
    assert file.rows["category"].count() == 24
    likely = file.cells[24:].with_columns(pl.col("title").str.extract(r"red (\w+)").alias("kind"))
    assert (likely["likely_1"].str.split(" > ").list.last() == likely["kind"]).sum() >= 9


def test_filled_rows_stay_and_the_others_are_chosen_anew(shop: Pipeline, tmp_path: Path) -> None:
    out = tmp_path / "to_label.csv"
    label(shop, out, products=6)
    first = out.read_bytes()
    label(shop, out, products=6)
    assert out.read_bytes() == first
    ids = read_label_file(out).rows["product_id"].to_list()
    fill(out, **{ids[1]: "4", ids[4]: "5"})
    report = label(shop, out, products=6)
    assert (report.num_kept, report.num_replaced, report.num_picked) == (2, 4, 6)
    rows = read_label_file(out).rows
    assert rows["product_id"].to_list()[:2] == [ids[1], ids[4]]
    assert rows["category"].to_list() == ["4", "5", *[None] * 6]
    assert rows["product_id"].n_unique() == 8


def test_what_nobody_can_tell_and_what_has_a_note_stays_and_is_not_offered_again(
    shop: Pipeline, tmp_path: Path
) -> None:
    out, other = tmp_path / "to_label.csv", tmp_path / "other.csv"
    label(shop, out, products=6)
    first, second, third, *rest = read_label_file(out).rows["product_id"]
    fill(out, **{first: "4", second: "?"})
    rows = [*csv.reader(io.StringIO(out.read_text()), delimiter=";")]
    with out.open("w", newline="") as opened:
        notes = ["note", "", "", "ask Ann", *[""] * 3]
        csv.writer(opened, delimiter=";").writerows([*row, note] for row, note in zip(rows, notes, strict=True))
    report = label(shop, out, products=6)
    assert (report.num_kept, report.num_replaced, report.num_picked) == (3, 3, 6)
    file = read_label_file(out)
    assert file.rows["product_id"].to_list()[:3] == [first, second, third]
    assert file.rows["product_id"].n_unique() == 9
    assert file.cells["note"].to_list()[:3] == ["", "", "ask Ann"]
    assert out.read_text().splitlines()[0].count(";") == len(rows[0])
    # A file of its own for the next ones: what nobody can tell in `[train] labels` does not come again.
    own = shop.replaced({"train": {"labels": str(out)}}, source="test")
    label(own, other, products=120)
    offered = {*read_label_file(other).rows["product_id"]}
    assert offered & {first, second, third, *rest} == {third, *rest}


def test_pictures_are_paths_and_addresses_without_a_password(shop: Pipeline, tmp_path: Path) -> None:
    out = tmp_path / "to_label.tsv"
    label(shop, out, products=120)
    shown = dict(cells_with_ids(out).select("product_id", "picture").rows())
    assert shown["p118"] == "https://shop.example/a.jpg?w=9"
    assert not shown["p119"]
    assert shown["p3"] == str(Path(shop.catalog.path or "").parent / "images/3.jpg")


def test_a_catalog_that_has_gone_and_a_model_that_has_cost_their_columns_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where no head lies about
    write_clustered_set(tmp_path / "shards", num=60, num_classes=3)
    tables = {"catalog": {"path": str(tmp_path / "gone.csv")}, "embed": {"out": str(tmp_path / "shards")}}
    pipeline = Pipeline.parse({"target": "category", **tables}, source="test")
    report = label(pipeline, tmp_path / "to_label.csv", products=5)
    # The sample's labels are all there.
    assert (report.num_picked, report.num_unlabelled, report.by) == (0, 0, None)
    assert "the likeliest categories are left empty" in caplog.text


def test_another_file_is_never_replaced(shop: Pipeline, tmp_path: Path) -> None:
    catalog = tmp_path / "catalog.csv"
    catalog.write_text("product_id,title,category,brand\na,b,c,d\n")
    with pytest.raises(ConfigError, match=r"catalog\.csv: no file that `prodemb label` wrote, so it is not replaced"):
        label(shop, catalog, products=5)
    assert catalog.read_text().endswith("a,b,c,d\n")


def test_rows_that_cannot_be_read_are_not_lost(shop: Pipeline, tmp_path: Path) -> None:
    out = tmp_path / "to_label.csv"
    label(shop, out, products=3)
    with out.open("a") as opened:
        opened.write('p9,"a","4"' + "," * 40 + "too,many\n")
    before = out.read_bytes()
    with pytest.raises(ConfigError, match="found 1 row that cannot be read, wanted none"):
        label(shop, out, products=3)
    assert out.read_bytes() == before


def test_the_pipeline_may_name_the_file_before_it_is_there(shop: Pipeline, tmp_path: Path) -> None:
    out = tmp_path / "to_label.csv"
    own = shop.replaced({"train": {"labels": str(out)}}, source="test")
    assert label(own, out, products=3).num_picked == 3
    assert label(own, out, products=3).num_replaced == 3
