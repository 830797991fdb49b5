"""Folders that people hand to each other: what their files say is changed, and their checksums are put right again.

A command on such a folder ends with status 0, or with that of a failure and one line that is no surprise.
"""

import io
import json
import re
import shutil
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout, suppress
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import polars as pl
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from prodemb.aliases.table import AliasRow, AliasTable
from prodemb.brand.predict import Fuser
from prodemb.brand.store import save_fuser
from prodemb.cli import app
from prodemb.cli.ending import ending_well
from prodemb.core.errors import ProdembError
from prodemb.core.files import sha256_of
from prodemb.heads.fuser_files import FUSER_NAME, FuserCard, _hash_of
from prodemb.heads.head import CARD_NAME, WEIGHTS_NAME, save_head
from prodemb.job.pipeline import read_pipeline
from prodemb.shards.format import CHECKSUM_KEY, MANIFEST_NAME, _checksum
from prodemb.shards.paths import PATHS_NAME, PathVectors
from prodemb.taxonomy.mapping import read_mapping
from prodemb.taxonomy.taxonomy import sample_taxonomy
from prodemb.towers.checkpoint import find_checkpoint
from prodemb.towers.load import load_towers
from tests.conftest import make_clip
from tests.fuzz.changes import changed, changed_json
from tests.shard_sets import write_random_set
from tests.small_heads import make_head, save_predictor

extremes: st.SearchStrategy[Any] = st.sampled_from(
    [
        *(-1, 0, 1, 2**31, 2**63, 2**64 - 1, 10**12, 10**40, 0.5, 1e308, float("nan"), float("-inf"), None, True),
        *("", "../x", "/etc/passwd", "a\0b", "\ud83d", "a\nprodemb: error: b", "x" * 9000, "part-00001.parquet"),
        *([], {}, [[]], [0] * 999, {"a": {}}),
    ]
)


@cache
def sound() -> Path:
    """Shards, a head of each target and a checkpoint, all as they should be."""
    folder = Path(mkdtemp())
    write_random_set(folder / "shards", sizes=[6, 4])
    taxonomy = dict([*sample_taxonomy().paths.items()][:9])
    vectors = np.random.default_rng(0).standard_normal((9, 8)).astype("<f2")
    PathVectors(fingerprint="clip", ids=(*taxonomy,), paths=(*taxonomy.values(),), vectors=vectors).write(
        folder / "shards"
    )
    save_predictor(folder / "category", make_head("category"))
    brand = make_head("brand")
    names = [f"Brand {number}" for number in range(9)]
    aliases = AliasTable([AliasRow("brand one", "Brand 1", products=3), AliasRow("x", "Other", products=1)])
    save_head(
        folder / "brand", brand, fuser_sha256=save_fuser(folder / "brand", Fuser.untrained(names, aliases=aliases))
    )
    make_clip(folder / "clip")
    return folder


def copied(folder: Path, *names: str) -> None:
    for name in names:
        shutil.copytree(sound() / name, folder / name)


def changed_file(data: DataObject, path: Path) -> None:
    """Change a JSON file: a value anywhere, a number to one of thousands of digits, or any bytes."""
    content = path.read_bytes()
    match data.draw(st.integers(0, 5)):
        case 0:
            path.write_bytes(changed(data, content))
        case 1:
            numbers = [*re.finditer(rb"\d+", content)]
            place = data.draw(st.sampled_from(numbers))
            path.write_bytes(content[: place.start()] + b"9" * 5000 + content[place.end() :])
        case _:
            path.write_text(json.dumps(changed_json(data, json.loads(content), leaf=extremes)))


def restored_checksums(folder: Path) -> None:
    """Let every file name the checksums that the others have now, as whoever made the folder could."""
    with suppress(ValueError, TypeError, AttributeError, RecursionError):
        path = folder / "shards" / MANIFEST_NAME
        values = json.loads(path.read_bytes())
        values.pop(CHECKSUM_KEY, None)
        path.write_text(json.dumps(values | {CHECKSUM_KEY: _checksum(values)}))
    for head in ("brand", "category"):
        _restore_head(folder / head)


def _restore_head(folder: Path) -> None:
    if not folder.exists():
        return
    with suppress(ValueError, TypeError, AttributeError, OSError, RecursionError):
        hashes: dict[str, str] = {"weights_sha256": sha256_of(folder / WEIGHTS_NAME)}
        path = folder / FUSER_NAME
        values = json.loads(path.read_bytes())
        values["files"] = {name: sha256_of(folder / name) for name in values["files"]}
        path.write_text(json.dumps(values))
        with suppress(ProdembError):
            hashes["fuser_sha256"] = _hash_of(FuserCard.parse(values, source="x"))
        path = folder / CARD_NAME
        path.write_text(json.dumps(json.loads(path.read_bytes()) | hashes))


def ends_well(*words: str | Path) -> None:
    """Run a command in this process: status 0, or that of a failure of a known kind, and one line."""
    out, err = io.StringIO(), io.StringIO()
    status: Any = None
    with redirect_stdout(out), redirect_stderr(err):
        try:
            with ending_well():
                app([*map(str, words)])
        except SystemExit as stop:
            status = stop.code
    said = [line for line in err.getvalue().splitlines() if not re.match(r"prodemb: [\w ,-]+: \d+ s", line)]
    assert status in range(11), (status, said)
    assert len(said) <= 1, said
    assert not said or "PRODEMB_DEBUG" not in said[0], said
    if status == 0 and words[0] == "score":
        confidences = pl.read_parquet(words[2]).select(pl.selectors.ends_with("_confidence"))
        assert confidences.select(pl.all().is_nan().any()).row(0) == (False,) * confidences.width


def handed_manifests(data: DataObject, folder: Path) -> None:
    """A manifest that says other things, with the right checksum."""
    copied(folder, "shards", "category")
    changed_file(data, folder / "shards" / MANIFEST_NAME)
    restored_checksums(folder)
    ends_well("inspect", folder / "shards")
    ends_well("verify", folder / "shards")
    ends_well("score", folder / "shards", folder / "o.parquet", "--head", folder / "category")


def handed_heads(data: DataObject, folder: Path) -> None:
    """A head's card, fuser, weights or tables that say other things, with the right checksums."""
    target = data.draw(st.sampled_from(["brand", "category"]))
    copied(folder, "shards", target)
    path = data.draw(st.sampled_from(sorted(p for p in (folder / target).iterdir() if p.is_file())))
    if path.suffix == ".json":
        changed_file(data, path)
    else:
        path.write_bytes(changed(data, path.read_bytes()))
    restored_checksums(folder)
    ends_well("score", folder / "shards", folder / "o.parquet", "--head", folder / target)


def handed_shards(data: DataObject, folder: Path) -> None:
    """A shard or the taxonomy's vectors with changed bytes, and a manifest that says that it is right."""
    copied(folder, "shards", "category")
    path = folder / "shards" / data.draw(st.sampled_from(["part-00000.parquet", PATHS_NAME]))
    path.write_bytes(changed(data, path.read_bytes()))
    manifest = folder / "shards" / MANIFEST_NAME
    values = json.loads(manifest.read_bytes())
    first = folder / "shards" / "part-00000.parquet"
    values["shards"][0] |= {"num_bytes": first.stat().st_size, "sha256": sha256_of(first)}
    manifest.write_text(json.dumps(values))
    restored_checksums(folder)
    ends_well("verify", folder / "shards")
    ends_well("score", folder / "shards", folder / "o.parquet", "--head", folder / "category")


@cache
def _predictions() -> bytes:
    out = Path(mkdtemp()) / "o.parquet"
    ends_well("score", sound() / "shards", out, "--head", sound() / "category")
    return out.read_bytes()


def handed_predictions(data: DataObject, folder: Path) -> None:
    """A damaged file of predictions, as a feed and a comparison see it."""
    copied(folder, "shards", "category")
    out = folder / "o.parquet"
    out.write_bytes(changed(data, _predictions()))
    ends_well("feed", out, folder / "feed.tsv")
    words = ("score", folder / "shards", folder / "new.parquet", "--head", folder / "category")
    ends_well(*words, "--changed-since", out)


def handed_checkpoints(data: DataObject, folder: Path) -> None:
    """A checkpoint whose tokenizer, settings or weights say other things."""
    clip = folder / "clip"
    clip.mkdir()
    for each in (sound() / "clip").iterdir():
        (clip / each.name).symlink_to(each)
    name = data.draw(st.sampled_from(["tokenizer.json", "tokenizer_config.json", "config.json", "model.safetensors"]))
    content = (clip / name).read_bytes()
    (clip / name).unlink()
    (clip / name).write_bytes(content)
    if name.endswith(".json"):
        changed_file(data, clip / name)
    else:
        length = 8 + int.from_bytes(content[:8], "little")
        (clip / name).write_bytes(changed(data, content[:length]) + content[length:])
    with suppress(ProdembError):
        load_towers(find_checkpoint(str(clip)), device="cpu", dtype="float32")


def handed_mappings(data: DataObject, folder: Path) -> None:
    """Shopify's mapping, JSON or text, that says other things."""
    category = {"id": "gid://shopify/TaxonomyCategory/aa", "full_name": "Wear"}
    google = {"id": "166", "full_name": "Clothes"}
    rules = [{"input": {"category": category}, "output": {"category": [google]}}]
    mapping = {"input_taxonomy": "shopify/1", "output_taxonomy": "google/1", "rules": rules}
    path = folder / "mapping"
    path.write_text(json.dumps({"mappings": [mapping]}))
    if data.draw(st.booleans()):
        changed_file(data, path)
    else:
        path.write_bytes(changed(data, "→ Wear\n⇒ Clothes\n\n→ Wear > Feet\n⇒ Clothes > Shoes\n".encode()))
    with suppress(ProdembError):
        read_mapping(path).google(data.draw(st.sampled_from(["aa", "Wear", "9" * 5000])))


@cache
def _pipelines() -> tuple[bytes, ...]:
    return tuple(path.read_bytes() for path in (Path(__file__).parents[2] / "pipelines").glob("*.toml"))


def whole_pipelines(data: DataObject, folder: Path) -> None:
    """A pipeline file as it is shipped, changed in one value or anywhere."""
    content = data.draw(st.sampled_from(_pipelines()))
    path = folder / "p.toml"
    values = [*re.finditer(rb"= ([^#\n]+)", content)]
    if data.draw(st.booleans()):
        wild = [
            "9" * 5000,
            "-1",
            "1e999",
            "nan",
            "[" * 999,
            "'\\u0000'",
            "0x" + "f" * 99,
            "{}",
            "1979-05-27",
            '"\\ud83d"',
        ]
        place, value = data.draw(st.sampled_from(values)), data.draw(st.sampled_from(wild))
        content = content[: place.start(1)] + value.encode() + content[place.end(1) :]
    else:
        content = changed(data, content)
    path.write_bytes(content)
    with suppress(ProdembError):
        read_pipeline(path)


HANDED_OVER: tuple[Callable[[DataObject, Path], None], ...] = (
    *(handed_manifests, handed_heads, handed_shards, handed_predictions, handed_checkpoints, handed_mappings),
    whole_pipelines,
)
