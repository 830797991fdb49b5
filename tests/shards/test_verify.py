"""What is wrong with a shard set is named, whatever it is, and what is right is not."""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prodemb.core.errors import ProdembError, ShardError
from prodemb.core.files import replacing, sha256_of, write_json
from prodemb.core.folders import holding
from prodemb.shards.checked import CHECKED_NAME
from prodemb.shards.file import ShardFile
from prodemb.shards.files import holds_shards
from prodemb.shards.format import CHECKSUM_KEY, Manifest, _checksum, read_manifest
from prodemb.shards.paths import PATHS_NAME, PathVectors
from prodemb.shards.reader import open_shard_set
from prodemb.shards.rebuild import rebuilt_manifest
from prodemb.shards.verify import verify
from tests.shard_sets import flip, random_vectors, update_shards, write_random_set, write_shards

Damage = Callable[[Path], object]


def test_a_whole_set_is_right(tmp_path: Path) -> None:
    write_random_set(tmp_path / "clip", sizes=[30, 30])
    told: list[tuple[int, int]] = []
    assert verify(tmp_path / "clip") == verify(tmp_path, on_progress=lambda *done: told.append(done)) == []
    assert told == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: flip(path, 700), r"part-00001\.parquet: "),
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), r"part-00001\.parquet: found .* bytes"),
        (lambda path: path.unlink(), r"part-00001\.parquet: missing"),
        (lambda path: path.write_bytes(b"x" * path.stat().st_size), r"part-00001\.parquet: not readable"),
    ],
)
def test_a_damaged_shard_is_named_and_not_read(tmp_path: Path, damage: Damage, message: str) -> None:
    write_random_set(tmp_path, sizes=[30, 30, 30])
    assert verify(tmp_path) == []
    damage(tmp_path / "part-00001.parquet")
    (line,) = verify(tmp_path)
    with pytest.raises(ShardError, match=message):
        open_shard_set(tmp_path).vectors("image")
    assert "part-00001.parquet" in line


def test_shards_of_two_sets_that_changed_places_are_named(tmp_path: Path) -> None:
    write_random_set(tmp_path, sizes=[30, 30])
    first, second = tmp_path / "part-00000.parquet", tmp_path / "part-00001.parquet"
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)
    assert len(verify(tmp_path)) == 2


def test_an_altered_manifest_is_named_and_not_used(tmp_path: Path) -> None:
    write_random_set(tmp_path, sizes=[30, 30])
    path = tmp_path / "manifest.json"
    values = json.loads(path.read_text())
    values["shards"].pop()
    path.write_text(json.dumps(values))
    (line,) = verify(tmp_path)
    assert "manifest.json: altered" in line
    with pytest.raises(ShardError, match="altered"):
        open_shard_set(tmp_path)


def test_damaged_vectors_of_the_taxonomy_are_named(tmp_path: Path) -> None:
    write_random_set(tmp_path, sizes=[30])
    vectors = np.eye(2, 8, dtype="<f2")
    PathVectors(fingerprint="f", ids=(1, 2), paths=("A", "A > B"), vectors=vectors).write(tmp_path)
    assert verify(tmp_path) == []
    flip(tmp_path / PATHS_NAME, 40)
    (line,) = verify(tmp_path)
    assert "taxonomy.parquet: " in line


def test_a_set_that_is_remembered_is_not_hashed_again(tmp_path: Path) -> None:
    write_random_set(tmp_path, sizes=[30])
    assert not (tmp_path / CHECKED_NAME).exists()
    verify(tmp_path)
    assert list(json.loads((tmp_path / CHECKED_NAME).read_text())) == ["part-00000.parquet"]


def test_a_set_that_is_updated_meanwhile_is_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_random_set(tmp_path, sizes=[30, 30])

    def read_and_update(folder: Path) -> Manifest:
        manifest = read_manifest(folder)
        write_random_set(tmp_path, sizes=[30, 20])
        return manifest

    monkeypatch.setattr("prodemb.shards.verify.read_manifest", read_and_update)
    assert verify(tmp_path) == [f"{tmp_path}: was updated while it was verified; run again"]


def test_an_update_that_ends_while_a_whole_set_is_verified_is_told_and_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, sha256 = tmp_path / "shards", ShardFile.sha256
    write_random_set(folder, sizes=[30, 30])

    def hash_and_update(file: ShardFile) -> str:
        found = sha256(file)
        if file.path.name == "part-00001.parquet":
            update_shards(folder, sizes=[30, 20])
        return found

    monkeypatch.setattr(ShardFile, "sha256", hash_and_update)
    assert verify(folder) == [f"{folder}: was updated while it was verified; run again"]
    assert not (folder / CHECKED_NAME).exists()
    monkeypatch.undo()
    assert verify(folder) == []


def test_a_file_that_vanishes_while_it_is_hashed_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_random_set(tmp_path, sizes=[30, 30])
    sha256 = ShardFile.sha256

    def vanish(file: ShardFile) -> str:
        if file.path.name == "part-00001.parquet":
            file.path.unlink()
        return sha256(file)

    monkeypatch.setattr(ShardFile, "sha256", vanish)
    assert verify(tmp_path) == []
    assert list(json.loads((tmp_path / CHECKED_NAME).read_text())) == ["part-00000.parquet"]
    assert [line.partition(": ")[2] for line in verify(tmp_path)] == [
        "missing, though the manifest lists it; embed again to redo it"
    ]


def test_what_cannot_be_remembered_as_another_run_writes_is_no_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_random_set(tmp_path, sizes=[30])
    with replacing(tmp_path / CHECKED_NAME):
        assert verify(tmp_path) == []
    assert verify(tmp_path) == []
    (tmp_path / CHECKED_NAME).unlink()

    def begin_another_run(_descriptor: int) -> None:
        with holding(tmp_path, kind="shard set", is_own=holds_shards):
            return

    monkeypatch.setattr("os.fsync", begin_another_run)
    assert verify(tmp_path) == []
    assert (tmp_path / CHECKED_NAME).exists()


@pytest.mark.parametrize("content", ["", "[]", "{", '{"part-00000.parquet": 3}'])
def test_what_is_remembered_may_be_nonsense(tmp_path: Path, content: str) -> None:
    write_random_set(tmp_path, sizes=[30])
    (tmp_path / CHECKED_NAME).write_text(content)
    assert open_shard_set(tmp_path).vectors("image").shape == (30, 8)


@pytest.fixture(scope="module")
def a_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set")
    write_random_set(folder, sizes=[20])
    return folder


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(["part-00000.parquet", "manifest.json"]), place=st.integers(0), bit=st.integers(0, 7))
def test_no_flipped_bit_passes(a_set: Path, name: str, place: int, bit: int) -> None:
    flip(a_set / name, place, bit=1 << bit)
    try:
        lines = verify(a_set)
        with pytest.raises(ProdembError):
            open_shard_set(a_set).frame(["product_id"])
    finally:
        flip(a_set / name, place, bit=1 << bit)
    assert lines
    assert not verify(a_set)


def test_a_manifest_is_made_anew_from_whole_shards(tmp_path: Path) -> None:
    write_random_set(tmp_path, sizes=[30, 30, 10])
    whole = read_manifest(tmp_path)
    rebuilt = rebuilt_manifest(tmp_path)
    assert rebuilt is not None
    assert not rebuilt.complete
    assert rebuilt.shards == whole.shards
    assert rebuilt.shard_schema == whole.shard_schema
    flip(tmp_path / "part-00001.parquet", 500)
    rebuilt = rebuilt_manifest(tmp_path)
    assert rebuilt is not None
    assert rebuilt.shards == (whole.shards[0], whole.shards[2])


def test_there_is_no_manifest_without_shards(tmp_path: Path) -> None:
    (tmp_path / "part-00000.parquet").write_bytes(b"PAR1")
    assert rebuilt_manifest(tmp_path) is None


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        (("shards", 0, "num_products"), -1, "num_products: "),
        (("shards", 0, "num_products"), 10**12, "num_products: "),
        (("shards", 0, "num_bytes"), -5, "num_bytes: "),
        (("shards", 0, "sha256"), "abc", "sha256: "),
        (("shards", 0, "name"), "../other/part-00000.parquet", "found the name"),
        (("shards", 0, "name"), "part-00000.parquet\0", "found the name"),
        (("shards", 0, "name"), "/etc/passwd", "found the name"),
        (("shards", 0, "name"), "part-00001.parquet", "listed twice"),
        (("shards", 0, "rows_hash"), "x" * 65, "rows_hash: "),
        (("shards", 0, "null_counts", "image"), {"no value": -1}, "null_counts"),
        (("shard_schema", "dim"), 10**9, "dim: "),
        (("shard_schema", "dim"), 0, "dim: "),
        (("shard_schema", "features"), [], "features: "),
        (("shard_schema", "features"), ["image", "title"], "features: .* in order"),
        (("shard_size",), 0, "shard_size: "),
        (("num_rows",), -1, "num_rows: "),
        (("skipped_rows",), {"bad": 10**13}, "skipped_rows"),
        (("num_rows",), 10**40, "found a number of 41 digits"),
    ],
)
def test_a_manifest_of_no_set_is_refused_though_its_checksum_is_right(
    tmp_path: Path, where: tuple[str | int, ...], value: object, message: str
) -> None:
    write_random_set(tmp_path, sizes=[10, 10])
    values = json.loads((tmp_path / "manifest.json").read_text())
    del values[CHECKSUM_KEY]
    inner = values
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = value
    write_json(tmp_path / "manifest.json", values | {CHECKSUM_KEY: _checksum(values)})
    with pytest.raises(ShardError, match=message) as caught:
        open_shard_set(tmp_path)
    assert len(str(caught.value).splitlines()) == 1
    assert verify(tmp_path) == [str(caught.value)]


def listed(folder: Path) -> None:
    """Let the manifest say of the first shard's file what is true of it now."""
    manifest, path = read_manifest(folder), folder / "part-00000.parquet"
    record = manifest.shards[0].model_copy(update={"num_bytes": path.stat().st_size, "sha256": sha256_of(path)})
    manifest.model_copy(update={"shards": (record, *manifest.shards[1:])}).write(folder)


@pytest.mark.parametrize("number", [np.nan, -np.inf])
def test_vectors_that_are_no_numbers_are_refused_though_their_checksum_is_right(tmp_path: Path, number: float) -> None:
    vectors = random_vectors(10)
    vectors["brand"][4, 2] = number
    write_shards(tmp_path, vectors=vectors, sizes=[10])
    message = "part-00000.parquet: a brand vector is not finite"
    assert message in verify(tmp_path)[0]
    with pytest.raises(ShardError, match=message):
        open_shard_set(tmp_path).vectors("title")


def test_a_shard_with_other_columns_than_it_says_is_refused(tmp_path: Path) -> None:
    write_random_set(tmp_path, sizes=[10])
    path = tmp_path / "part-00000.parquet"
    table = pq.read_table(path)
    narrow = pa.array([bytes(6)] * 10, pa.binary(6))
    field = table.schema.field("image").with_type(pa.binary(6))
    place = table.schema.get_field_index("image")
    pq.write_table(table.set_column(place, field, narrow).replace_schema_metadata(table.schema.metadata), path)
    listed(tmp_path)
    for read in (lambda shards: shards.vectors("image"), lambda shards: shards.frame()):
        with pytest.raises(ShardError, match="has other columns than its set"):
            read(open_shard_set(tmp_path))


def test_no_damage_in_a_shard_s_metadata_ends_the_process(tmp_path: Path) -> None:
    """pyarrow aborts where a damaged file's statistics are asked for."""
    write_random_set(tmp_path, sizes=[10])
    path = tmp_path / "part-00000.parquet"
    whole = path.read_bytes()
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    for place in range(footer, len(whole), 7):
        path.write_bytes(whole)
        flip(path, place, bit=1 << place % 8)
        listed(tmp_path)
        with suppress(ShardError):
            shards = open_shard_set(tmp_path)
            shards.vectors("image")
            shards.frame()


def test_a_pipe_in_the_place_of_a_shard_is_refused_at_once(tmp_path: Path) -> None:
    write_random_set(tmp_path, sizes=[10])
    (tmp_path / "part-00000.parquet").unlink()
    os.mkfifo(tmp_path / "part-00000.parquet")
    (line,) = verify(tmp_path)
    assert "part-00000.parquet: is no regular file" in line
