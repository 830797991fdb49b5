"""A predictor answers as embedding and scoring do, bit by bit, for frames, dicts and pictures of all kinds."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image

import prodemb
from prodemb.core.errors import ConfigError, HeadError
from prodemb.core.progress import no_progress
from prodemb.job.embed import embed_catalog
from prodemb.job.pipeline import Pipeline
from prodemb.job.score import score_shards
from prodemb.predict.predictor import Predictor
from prodemb.shards.reader import open_shard_set
from prodemb.shards.text import TextKind
from prodemb.towers.text_checkpoint import find_text_checkpoint
from tests.predict.heads import DIM, write_heads
from tests.text_encoders import DIM as TEXT_DIM
from tests.text_encoders import write_encoder

SCORE = {"score": {"min_brand_confidence": 0.0}}


@pytest.fixture
def catalog(make_catalog: Callable[[int], Path]) -> pl.DataFrame:
    return pl.read_parquet(make_catalog(40))


@pytest.fixture
def predictor(tiny_clip: Path, tmp_path: Path) -> Predictor:
    write_heads(tmp_path / "heads", tiny_clip)
    return Predictor.load(tmp_path / "heads", image_root=tmp_path, settings=SCORE)


def embedded_and_scored(clip: Path, folder: Path, *, shard_size: int, **embed: object) -> pl.DataFrame:
    values: dict[str, Any] = {
        "target": "brand",
        "catalog": {"path": str(folder / "catalog.parquet")},
        "embed": {"model": str(clip), "out": str(folder / "shards"), "lexical_dim": 64, "shard_size": shard_size},
    }
    values["embed"] |= embed
    pipeline = Pipeline.parse(values | SCORE, source="test")
    embed_catalog(pipeline, progress=no_progress)
    heads, out = [folder / "heads" / target for target in ("category", "brand")], folder / "out.parquet"
    score_shards([open_shard_set(folder / "shards")], out=out, heads=heads, pipeline=pipeline, progress=no_progress)
    return pl.read_parquet(out)


@pytest.mark.parametrize("shard_size", [8192, 16])
def test_answers_are_those_of_embed_and_score_bit_by_bit(
    catalog: pl.DataFrame, tiny_clip: Path, tmp_path: Path, shard_size: int
) -> None:
    write_heads(tmp_path / "heads", tiny_clip)
    scored = embedded_and_scored(tiny_clip, tmp_path, shard_size=shard_size)
    predictor = Predictor.load(
        tmp_path / "heads", image_root=tmp_path, settings=SCORE | {"embed": {"shard_size": shard_size}}
    )
    predicted = predictor.predict(catalog)
    assert predicted.schema == scored.schema
    assert predicted.equals(scored)
    assert predictor.predict(catalog.to_dicts()).equals(scored)


def test_heads_of_text_vectors_get_them(catalog: pl.DataFrame, tiny_clip: Path, tmp_path: Path) -> None:
    encoder, template = write_encoder(tmp_path / "encoder"), ("{title}", "{brand}")
    fingerprint = find_text_checkpoint(str(encoder)).fingerprint
    kind = TextKind(fingerprint=fingerprint, model=str(encoder), template=template, dim=TEXT_DIM)
    entries = {"features": ("title", "text"), "dims": (DIM, TEXT_DIM), "text": kind, "present_counts": (5, 5)}
    write_heads(tmp_path / "heads", tiny_clip, **entries)
    scored = embedded_and_scored(tiny_clip, tmp_path, shard_size=8192, text_model=str(encoder), text_template=template)
    predicted = Predictor.load(tmp_path / "heads", image_root=tmp_path, settings=SCORE).predict(catalog)
    assert predicted.equals(scored)


def test_a_product_alone_gets_about_the_same_answer(catalog: pl.DataFrame, predictor: Predictor) -> None:
    together = predictor.predict(catalog)
    for row in range(5):
        (alone,) = predictor.predict(catalog[row]).iter_rows(named=True)
        assert alone["category_id"] == together["category_id"][row]
        assert alone["category_confidence"] == pytest.approx(together["category_confidence"][row], abs=0.01)


def test_pictures_as_paths_bytes_and_pil(
    catalog: pl.DataFrame, predictor: Predictor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "images" / "0.jpg"
    lossless = tmp_path / "images" / "lossless.png"
    Image.open(path).save(lossless)
    given: list[Any] = ["images/0.jpg", str(path), path, path.read_bytes(), Image.open(path), "images/lossless.png"]
    answers = [predictor.predict([{"image": picture}]).drop("product_id") for picture in given]
    assert all(answer.equals(answers[0]) for answer in answers[:4])
    assert answers[4].equals(answers[5])
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        predictor.predict([{"title": "mug", "image": each} for each in ("images/none.jpg", "../x.jpg", b"no picture")])
    (record,) = caplog.records
    assert record.getMessage().startswith("pictures that cannot be used: 1 ")
    assert "outside the image root" in record.getMessage()


def test_threads_may_share_a_predictor(catalog: pl.DataFrame, predictor: Predictor) -> None:
    parts = [catalog[start : start + 10] for start in range(0, 40, 10)]
    wanted = [predictor.predict(part) for part in parts]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(predictor.predict, parts * 4))
    assert all(answer.equals(wanted[number % 4]) for number, answer in enumerate(found))


def test_no_products_are_an_empty_frame(predictor: Predictor, catalog: pl.DataFrame) -> None:
    empty = predictor.predict([])
    assert (empty.height, empty.schema) == (0, predictor.predict(catalog[:1]).schema)


def test_gold_labels_are_the_answer_unless_the_settings_say_otherwise(predictor: Predictor, tmp_path: Path) -> None:
    product = {"title": "mug", "google_category_id": "103", "brand_label": "Brand 2"}
    (found,) = predictor.predict([product]).iter_rows(named=True)
    assert (found["category_id"], found["category_source"], found["brand"]) == (103, "gold", "Brand 2")
    settings = {"score": {"keep_gold": False}}
    (found,) = Predictor.load(tmp_path / "heads", settings=settings).predict([product]).iter_rows(named=True)
    assert found["category_source"] != "gold"


def test_one_head_answers_its_target_alone(predictor: Predictor, tmp_path: Path) -> None:
    alone = Predictor.load(tmp_path / "heads" / "brand", settings=SCORE)
    assert [card.target for card in alone.cards] == ["brand"]
    found = alone.predict([{"title": "mug"}])
    assert found["category_id"].null_count() == 1
    assert prodemb.Predictor is Predictor


def test_mistakes_name_what_was_found(predictor: Predictor, tmp_path: Path) -> None:
    with pytest.raises(HeadError, match=r"nowhere: no head here or one folder below; run"):
        Predictor.load(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=r"Predictor\.load: train: no such key; known here: embed, images, score"):
        Predictor.load(tmp_path / "heads", settings={"train": {"epochs": 3}})
    with pytest.raises(HeadError, match=r"\[score\] precision: the brand head was trained without out-of-fold answers"):
        Predictor.load(tmp_path / "heads", settings={"score": {"precision": 0.9}})
