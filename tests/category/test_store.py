"""A category predictor's files: the same predictions after reading, and any damage is an error of one line."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from prodemb.category.labels import CategoryLabels
from prodemb.category.predict import CategoryPredictor
from prodemb.category.store import (
    NAMES_NAME,
    NODES_NAME,
    SUPPLIED_NAME,
    VOICES_FILES,
    WORDS_NAME,
    load_voices,
    save_voices,
)
from prodemb.category.voices.tower import TowerVoice
from prodemb.core.errors import HeadError
from prodemb.core.files import sha256_of, write_json
from prodemb.heads.fuser_files import FUSER_NAME, FuserCard, _hash_of, write_arrays
from prodemb.heads.head import TrainedHead, load_head, save_head
from prodemb.heads.neighbours_file import NEIGHBOURS_NAME
from prodemb.heads.train import Labelled
from prodemb.score.predictor import load_predictor
from prodemb.shards.product_set import ProductSet, read_products

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def folder(predictor: CategoryPredictor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("head")
    save_head(folder, predictor.head, fuser_sha256=save_voices(folder, predictor))
    return folder


@pytest.fixture(scope="module")
def products(data: Labelled[CategoryLabels]) -> ProductSet:
    return read_products(data.shard_set, features=data.features, rows=data.rows[data.test])


def copied(folder: Path, to: Path) -> Path:
    for path in folder.iterdir():
        (to / path.name).write_bytes(path.read_bytes())
    return to


def with_right_checksums(folder: Path) -> TrainedHead:
    """The head of a folder some of whose files were changed, with the checksums of what they are now."""
    card = FuserCard.model_validate_json((folder / FUSER_NAME).read_text())
    card = card.model_copy(update={"files": {name: sha256_of(folder / name) for name in card.files}})
    write_json(folder / FUSER_NAME, card.model_dump(mode="json"))
    head = load_head(folder)
    return replace(head, card=head.card.model_copy(update={"fuser_sha256": _hash_of(card)}))


def loaded(folder: Path, *, head: TrainedHead) -> CategoryPredictor | None:
    """What is in a folder; None where it is refused in one line."""
    try:
        return load_voices(folder, head=head)
    except HeadError as error:
        lines = str(error).splitlines()
    assert len(lines) == 1
    assert lines[0].endswith("train again")
    return None


def are_equal(first: CategoryPredictor, second: CategoryPredictor, products: ProductSet) -> bool:
    """Whether two predictors predict the same, bit by bit."""
    ours, theirs = (vars(each.predict(products, k=4)) for each in (first, second))
    return all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_a_predictor_that_was_read_predicts_like_the_one_that_was_written(
    folder: Path, predictor: CategoryPredictor, products: ProductSet
) -> None:
    assert {path.name for path in folder.iterdir()} == {"head.json", "head.safetensors", *VOICES_FILES}
    read = load_predictor(folder)
    assert isinstance(read, CategoryPredictor)
    assert are_equal(predictor, read, products)
    assert are_equal(predictor, read, products.without("cat1", "cat2", "cat3"))
    assert read.nodes.labels == predictor.nodes.labels
    assert np.array_equal(read.voices.counts, predictor.voices.counts)
    assert read.voices.tower is None


def test_the_vectors_of_the_names_come_back(tmp_path: Path, predictor: CategoryPredictor, products: ProductSet) -> None:
    names = torch.nn.functional.normalize(torch.randn(9, 16, generator=torch.Generator().manual_seed(0)), dim=1)
    tower = TowerVoice(vectors=names.half().float())
    towered = replace(predictor, voices=replace(predictor.voices, tower=tower))
    head = save_head(tmp_path, predictor.head, fuser_sha256=save_voices(tmp_path, towered))
    read = load_voices(tmp_path, head=head)
    assert read.voices.tower is not None
    assert torch.equal(read.voices.tower.vectors, tower.vectors)
    assert are_equal(towered, read, products)
    assert not are_equal(predictor, read, products)


@pytest.mark.parametrize("name", VOICES_FILES)
def test_altered_and_missing_files_are_named(folder: Path, tmp_path: Path, name: str) -> None:
    head = load_head(folder)
    path = copied(folder, tmp_path) / name
    content = path.read_bytes()
    path.write_bytes(content.replace(b"1", b"2", 1) if name == FUSER_NAME else content[:-1] + b"x")
    with pytest.raises(HeadError, match=rf"{name}: .*train again"):
        load_voices(tmp_path, head=head)
    path.unlink()
    with pytest.raises(HeadError, match=rf"{name}: .*train again"):
        load_voices(tmp_path, head=head)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(VOICES_FILES), place=st.integers(0, 2**30), byte=st.integers(0, 255))
def test_no_changed_byte_changes_what_is_predicted(
    folder: Path, predictor: CategoryPredictor, products: ProductSet, tmp_path: Path, name: str, place: int, byte: int
) -> None:
    head, path = load_head(folder), copied(folder, tmp_path) / name
    content = bytearray(path.read_bytes())
    content[place % len(content)] = byte
    path.write_bytes(content)
    read = loaded(tmp_path, head=head)
    assert read is None or are_equal(predictor, read, products.take(np.arange(3)))


def changed_frame(name: str, change: Callable[[pl.DataFrame], pl.DataFrame]) -> Callable[[Path], None]:
    return lambda folder: change(pl.read_parquet(folder / name)).write_parquet(folder / name)


def changed_arrays(name: str, change: Callable[[Arrays], Arrays]) -> Callable[[Path], None]:
    return lambda folder: write_arrays(folder / name, change(load_file(folder / name)))


def set_to(name: str, place: int, value: float) -> Callable[[Arrays], Arrays]:
    def change(arrays: Arrays) -> Arrays:
        array = arrays[name].copy()
        array[place] = value
        return arrays | {name: array}

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed_frame(NODES_NAME, lambda frame: frame.head(0)), "no node, or an id twice"),
        (changed_frame(NODES_NAME, lambda frame: pl.concat([frame, frame])), "no node, or an id twice"),
        (changed_frame(NODES_NAME, lambda frame: frame.filter(pl.col("path") != "Things")), "no line for its parent"),
        (changed_frame(NODES_NAME, lambda frame: frame.filter(pl.col("path") != "Things > Mugs")), "lacks a class"),
        (changed_frame(NODES_NAME, lambda frame: frame.with_columns(labelled=-pl.col("labelled"))), "negative"),
        (changed_frame(NODES_NAME, lambda frame: frame.drop("labelled")), "labelled"),
        (changed_frame(SUPPLIED_NAME, lambda frame: frame.with_columns(node=pl.lit(9, pl.Int32))), "names no node"),
        (changed_frame(SUPPLIED_NAME, lambda frame: frame.with_columns(count=pl.lit(-1))), "negative"),
        (changed_arrays(WORDS_NAME, lambda arrays: arrays | {"all_idf": arrays["all_idf"][1:]}), "not one idf a word"),
        (changed_arrays(WORDS_NAME, lambda arrays: arrays | {"own_hashes": arrays["own_hashes"][::-1]}), "no hashes"),
        (changed_arrays(WORDS_NAME, set_to("all_hashes", -1, 2**30)), "no hashes"),
        (changed_arrays(WORDS_NAME, set_to("all_columns", 0, 6)), "no classes"),
        (changed_arrays(WORDS_NAME, set_to("all_columns", 0, -1)), "no classes"),
        (changed_arrays(WORDS_NAME, set_to("own_starts", 0, 1)), "not one class a weight"),
        (changed_arrays(WORDS_NAME, set_to("own_starts", 1, 10**9)), "words out of order"),
        (changed_arrays(WORDS_NAME, set_to("all_nodes", 0, 9)), "names no node"),
        (changed_arrays(WORDS_NAME, set_to("all_nodes", 0, -1)), "names no node"),
        (changed_arrays(WORDS_NAME, set_to("all_idf", 0, np.nan)), "with finite numbers"),
        (changed_arrays(WORDS_NAME, lambda arrays: arrays | {"all_weights": arrays["all_weights"][1:]}), "a weight"),
        (changed_arrays(NAMES_NAME, lambda _: {"vectors": np.zeros((9, 15), np.float16)}), "not one vector a node"),
        (changed_arrays(NAMES_NAME, lambda _: {"vectors": np.zeros((8, 16), np.float16)}), "not one vector a node"),
        (changed_arrays(NEIGHBOURS_NAME, set_to("labels", 0, 9)), "labels of no class"),
    ],
)
def test_files_of_no_predictor_are_refused_though_their_checksums_are_right(
    folder: Path, tmp_path: Path, change: Callable[[Path], None], message: str
) -> None:
    change(copied(folder, tmp_path))
    with pytest.raises(HeadError, match=message) as caught:
        load_voices(tmp_path, head=with_right_checksums(tmp_path))
    assert str(caught.value).startswith(str(tmp_path))
    assert "\n" not in str(caught.value)


ARRAYS = [
    *(
        (WORDS_NAME, f"{which}_{part}")
        for which in ("all", "own")
        for part in ("hashes", "idf", "weights", "columns", "starts", "intercepts", "nodes")
    ),
    *((NEIGHBOURS_NAME, part) for part in ("features", "mean", "scale", "components", "vectors", "labels", "rows")),
    (NAMES_NAME, "vectors"),
]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    which=st.sampled_from(ARRAYS),
    kind=st.sampled_from(["u1", "i2", "i4", "i8", "f2", "f4", "f8", "?"]),
    place=st.integers(0, 2**30),
    value=st.integers(-(2**40), 2**40) | st.floats(-1e30, 1e30),
)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning", "ignore:overflow:RuntimeWarning")
def test_wild_arrays_are_refused_or_predict(
    folder: Path,
    products: ProductSet,
    tmp_path: Path,
    which: tuple[str, str],
    kind: str,
    place: int,
    value: float,
) -> None:
    copied(folder, tmp_path)
    name, part = which
    arrays = load_file(tmp_path / name)
    array = arrays[part].astype(np.float64)
    if array.size:
        array.flat[place % array.size] = value
    with np.errstate(all="ignore"):
        write_arrays(tmp_path / name, arrays | {part: array.astype(kind)})
    head = with_right_checksums(tmp_path)
    read = loaded(tmp_path, head=head)
    if read is not None:
        found = read.predict(products.take(np.arange(2)), k=2)
        assert ((found.nodes >= -1) & (found.nodes < 9)).all()


def test_weights_and_thresholds_of_no_predictor_are_refused(folder: Path, tmp_path: Path) -> None:
    path = copied(folder, tmp_path) / FUSER_NAME
    values = json.loads(path.read_text())
    for change, message in (
        ({"least_known": [0.5]}, "wanted a least_known for each context"),
        ({"least_known": [1.5] * 16}, r"fuser\.json: \[least_known\] 0: found 1\.5, wanted less than or equal to 1"),
        ({"weights": {name: [float("nan")] * 3 for name in values["weights"]}}, r"fuser\.json: .*; train again"),
        ({"weights": {name: [0.0] for name in values["weights"]}}, "was made by another version"),
    ):
        path.write_text(json.dumps(values | change))
        head = load_head(tmp_path)
        with suppress(ValueError):
            card = FuserCard.model_validate(values | change)
            head = replace(head, card=head.card.model_copy(update={"fuser_sha256": _hash_of(card)}))
        with pytest.raises(HeadError, match=message):
            load_voices(tmp_path, head=head)
