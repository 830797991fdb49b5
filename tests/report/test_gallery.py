"""The gallery: what is said of each answer, which products are shown, and their pictures."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from prodemb.catalog.images import ImageLoader, ImagesConfig
from prodemb.catalog.reader import CatalogConfig, open_catalog
from prodemb.report import thumbnails
from prodemb.report.gallery import MAX_OF_KIND, gallery
from prodemb.report.summary import Answer, Card
from prodemb.report.thumbnails import TOO_MANY, with_pictures
from prodemb.shards.reader import open_shard_set
from tests.shard_sets import write_columns, write_shards

NONE = Answer(value=None, confidence=None, label=None, verdict="no answer")


def predictions(**columns: Sequence[object]) -> pl.DataFrame:
    """Predictions of as many products as a column has, `p0` and so on; what is not given is null."""
    num = len(next(iter(columns.values())))
    names: dict[str, type[pl.DataType]] = {"product_id": pl.String, "partner": pl.String}
    for target in ("category", "brand"):
        names |= {f"{target}{part}": pl.String for part in ("", "_source", "_first", "_label")}
        names |= {f"{target}{part}": pl.Float32 for part in ("_confidence", "_first_confidence")}
    values: dict[str, Sequence[object]] = {"product_id": [f"p{n}" for n in range(num)], **columns}
    return pl.DataFrame({name: values.get(name, [None] * num) for name in names}, schema=names)


def test_right_and_wrong_are_by_the_products_own_labels(tmp_path: Path) -> None:
    shards = write_columns(
        tmp_path, title=["a", "b", "c", "d"], cat1=["x", None, None, None], cat3=["y", "", None, "z"]
    )
    frame = predictions(
        brand=["A", "A", None, "B"],
        brand_source=["gold", "gold", None, "head"],
        brand_first=["A", "C", "D", "B"],
        brand_label=["A", "A", None, None],
        brand_confidence=[1.0, 1.0, None, 0.5],
        brand_first_confidence=[0.75, 0.25, 0.125, 0.5],
    )
    cards = {card.product_id: card for card in gallery(frame, shard_set=shards)}
    assert cards["p0"].brand == Answer(value="A", confidence=0.75, label="A", verdict="right")
    assert cards["p1"].brand == Answer(value="C", confidence=0.25, label="A", verdict="wrong")
    assert cards["p2"].brand == NONE
    assert cards["p3"].brand == Answer(value="B", confidence=0.5, label=None, verdict="no label")
    assert [cards[f"p{n}"].title for n in range(4)] == ["a", "b", "c", "d"]
    assert [cards[f"p{n}"].supplied_category for n in range(4)] == ["x > y", None, None, "z"]


def test_some_of_each_kind_are_shown_and_none_twice(tmp_path: Path) -> None:
    num = 1000
    write_shards(tmp_path, vectors={"title": np.ones((num, 4))}, sizes=[num])
    shards = open_shard_set(tmp_path)
    frame = predictions(
        brand=["A"] * num,
        brand_source=["gold"] * 500 + ["head"] * 500,
        brand_label=["A"] * 500 + [None] * 500,
        brand_first=["A"] * 490 + ["B"] * 10 + ["A"] * 500,
        brand_confidence=[1.0] * 500 + np.linspace(0.1, 0.9, 500).tolist(),
    )
    cards = gallery(frame, shard_set=shards)
    assert len({card.product_id for card in cards}) == len(cards) <= sum(MAX_OF_KIND.values())
    assert [card.brand.verdict for card in cards[:10]] == ["wrong"] * 10
    verdicts = [card.brand.verdict for card in cards]
    assert verdicts.count("right") >= MAX_OF_KIND["right"]
    assert {f"p{n}" for n in range(500, 510)} <= {card.product_id for card in cards}
    assert cards == gallery(frame, shard_set=shards)


def card(product_id: str) -> Card:
    return Card(
        product_id=product_id,
        partner=None,
        title=None,
        supplied_brand=None,
        supplied_category=None,
        category=NONE,
        brand=NONE,
    )


def test_pictures_are_small_and_say_why_they_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.effect_noise((900, 600), 90).convert("RGB").save(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_bytes(b"<svg onload=alert(1)>")
    images = ["a.jpg", "b.jpg", "https://host.example/c.jpg", "../d.jpg", None, "a.jpg"]
    ids = [f"p{number}" for number in range(6)]
    pl.DataFrame({"product_id": ids, "title": ids, "image": images}).write_csv(tmp_path / "c.csv")
    catalog = open_catalog(CatalogConfig(path=str(tmp_path / "c.csv"), image_root=str(tmp_path)))
    with ImageLoader(ImagesConfig(), root=catalog.image_root) as loader:
        cards = [card(product_id) for product_id in ids]
        shown = with_pictures(cards, catalog=catalog, loader=loader)
        assert shown[0].picture is not None
        assert shown[0].picture.startswith("data:image/jpeg;base64,")
        assert len(shown[0].picture) < 10_000
        assert [each.no_picture for each in shown[1:5]] == [
            "not a picture",
            "an address, which a report does not fetch",
            "outside the image root",
            "no value",
        ]
        monkeypatch.setattr(thumbnails, "MAX_BYTES", len(shown[0].picture) + 10)
        again = with_pictures(cards, catalog=catalog, loader=loader)
    assert again[0].picture == shown[0].picture
    assert (again[5].picture, again[5].no_picture) == (None, TOO_MANY)
