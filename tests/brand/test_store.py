"""The fuser's files: the same answers after reading, and anything altered or missing is named."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from prodemb.brand.labels import BrandLabels
from prodemb.brand.predict import BrandPredictor
from prodemb.brand.store import FUSER_FILES, load_fuser, save_fuser
from prodemb.core.errors import HeadError
from prodemb.core.files import sha256_of, write_json
from prodemb.heads.fuser_files import FuserCard, _hash_of
from prodemb.heads.head import load_head, save_head
from prodemb.heads.train import Labelled
from prodemb.shards.product_set import read_products


@pytest.fixture(scope="module")
def folder(predictor: BrandPredictor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("head")
    save_head(folder, predictor.head, fuser_sha256=save_fuser(folder, predictor.fuser))
    return folder


def copied(folder: Path, to: Path) -> Path:
    for path in folder.iterdir():
        (to / path.name).write_bytes(path.read_bytes())
    return to


def test_a_fuser_that_was_read_answers_like_the_one_that_was_written(
    folder: Path, data: Labelled[BrandLabels], predictor: BrandPredictor
) -> None:
    head = load_head(folder)
    products = read_products(data.shard_set, features=data.features, rows=np.arange(300))
    read = load_fuser(folder, card=head.card)
    first, second = (some.predict(products, head=head, k=3) for some in (predictor.fuser, read))
    assert np.array_equal(first.brands, second.brands)
    assert np.array_equal(first.probabilities, second.probabilities)
    assert first.names == second.names
    assert read.label_names == tuple(data.labels.names)


def test_a_fuser_without_neighbours_comes_back_without(tmp_path: Path, predictor: BrandPredictor) -> None:
    fuser = replace(predictor.fuser, neighbours=None)
    head = save_head(tmp_path, predictor.head, fuser_sha256=save_fuser(tmp_path, fuser))
    assert load_fuser(tmp_path, card=head.card).neighbours is None


@pytest.mark.parametrize("name", FUSER_FILES)
def test_altered_and_missing_files_are_named(folder: Path, tmp_path: Path, name: str) -> None:
    card = load_head(folder).card
    path = copied(folder, tmp_path) / name
    content = path.read_bytes()
    path.write_bytes(content.replace(b"1", b"2", 1) if name == "fuser.json" else content[:-1] + b"x")
    with pytest.raises(HeadError, match=rf"{name}: .*train again"):
        load_fuser(tmp_path, card=card)
    path.unlink()
    with pytest.raises(HeadError, match=rf"{name}: .*train again"):
        load_fuser(tmp_path, card=card)


def test_the_fuser_of_another_head_is_refused(folder: Path, tmp_path: Path) -> None:
    card = load_head(folder).card.model_copy(update={"fuser_sha256": "0" * 64})
    with pytest.raises(HeadError, match=r"fuser.json: found .*, wanted 000000000000"):
        load_fuser(folder, card=card)


def test_a_weight_that_is_no_number_is_refused_though_its_checksum_is_right(folder: Path, tmp_path: Path) -> None:
    card = load_head(folder).card
    path = copied(folder, tmp_path) / "fuser.json"
    values = json.loads(path.read_text())
    for number in (float("nan"), 1e300):
        path.write_text(json.dumps(values | {"weights": dict.fromkeys(values["weights"], number)}))
        with pytest.raises(HeadError, match=r"fuser\.json: \[weights\] .*, wanted .*; train again"):
            load_fuser(tmp_path, card=card)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.with_columns(title_count=pl.lit(-1)), "a value is missing or a number negative"),
        (lambda frame: frame.with_columns(name=pl.lit(None, pl.String)), "null values to non-nullable"),
        (lambda frame: frame.drop("is_rare"), "wanted also 'is_rare'"),
        (lambda frame: frame.with_columns(title_count=pl.lit("many")), "damaged"),
    ],
)
def test_tables_of_no_fuser_are_refused_though_their_checksums_are_right(
    folder: Path, tmp_path: Path, change: Callable[[pl.DataFrame], pl.DataFrame], message: str
) -> None:
    head = load_head(copied(folder, tmp_path))
    path = tmp_path / "names.parquet"
    change(pl.read_parquet(path)).write_parquet(path)
    card = FuserCard.model_validate_json((tmp_path / "fuser.json").read_text())
    card = card.model_copy(update={"files": card.files | {path.name: sha256_of(path)}})
    write_json(tmp_path / "fuser.json", card.model_dump(mode="json"))
    with pytest.raises(HeadError, match=message) as caught:
        load_fuser(tmp_path, card=head.card.model_copy(update={"fuser_sha256": _hash_of(card)}))
    assert str(caught.value).startswith(str(path))
