"""What goes wrong around a run is one named error, nothing hangs, and the next run makes up for it."""

import ctypes
import errno
import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from prodemb.catalog.images import ImagesConfig
from prodemb.catalog.reader import Catalog, CatalogConfig, open_catalog
from prodemb.core.errors import BusyError, CatalogError, OutputError
from prodemb.core.files import replacing, temporary_name
from prodemb.core.folders import holding
from prodemb.embed.config import EmbedConfig
from prodemb.embed.embed import embed
from prodemb.finetune.state import state_folder
from prodemb.shards import writer
from prodemb.shards.checked import CHECKED_NAME
from prodemb.shards.format import read_manifest
from prodemb.shards.reader import open_shard_set
from prodemb.shards.verify import verify
from prodemb.towers.image import ImagePreprocessor
from tests.command_line import prodemb
from tests.embed.conftest import contents, run
from tests.faults import kills
from tests.finetune.shop import run as run_finetune
from tests.finetune.shop import write_catalog
from tests.shard_sets import write_random_set
from tests.small_heads import make_head, save_predictor, score_with

MakeCatalog = Callable[[int], Path]


def said(stderr: str) -> list[str]:
    """The lines that a command wrote there, without those that say how far a step is, as on a busy machine."""
    return [line for line in stderr.splitlines() if not re.match(r"prodemb: [\w ]+: \d+ s", line)]


def test_a_full_disk_ends_the_run_and_what_is_finished_stays(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog, out = make_catalog(80), tmp_path / "shards"
    write, num_written = writer._write_parquet, 0

    def full_after_two(path: Path, *arguments: object, **settings: object) -> None:
        nonlocal num_written
        num_written += 1
        if num_written > 2:
            raise OSError(errno.ENOSPC, "Error writing bytes to file")
        write(path, *arguments, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(writer, "_write_parquet", full_after_two)
    with pytest.raises(OutputError, match=r"part-00002\.parquet: cannot be written: No space left on device"):
        run(catalog, out, tiny_clip)
    monkeypatch.undo()
    assert read_manifest(out).num_products == 32
    assert run(catalog, out, tiny_clip).num_new == 48
    run(catalog, tmp_path / "whole", tiny_clip)
    assert contents(out) == contents(tmp_path / "whole")


def keep_files_small() -> None:
    """From here on no file may grow beyond 20 kB."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


def test_a_file_that_may_not_grow_is_one_line(make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path) -> None:
    words = ("embed", make_catalog(40), "--out", "shards", "--model", tiny_clip)
    result = prodemb(*words, cwd=tmp_path, before=keep_files_small)
    assert result.returncode == 9
    (line,) = said(result.stderr)
    assert "part-00000.parquet: cannot be written: File too large" in line
    assert not list(tmp_path.glob("shards/part-*"))


def test_a_disk_that_is_read_only_can_be_read(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path, small_disk: Path
) -> None:
    shards = write_random_set(small_disk / "shards")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    for out in (small_disk / "shards", small_disk / "new"):
        with pytest.raises(OutputError, match=rf"{out}: cannot be written: Read-only file system"):
            run(make_catalog(10), out, tiny_clip)
    assert verify(small_disk) == []
    score_with([shards], tmp_path / "out.parquet", make_head("brand"))
    assert pl.read_parquet(tmp_path / "out.parquet").height == 100
    with pytest.raises(OutputError, match=r"out\.parquet: cannot be written: Read-only file system"):
        score_with([shards], small_disk / "out.parquet", make_head("brand"))


def keep_to_permissions() -> None:
    """From here on root too may only do what the modes of files allow, as everybody else."""
    if os.geteuid() == 0:
        libc, override, read_search = ctypes.CDLL(None), 1, 2  # linux/capability.h
        version_3, this_thread = 0x20080522, 0
        header = (ctypes.c_uint32 * 2)(version_3, this_thread)
        capabilities = (ctypes.c_uint32 * 6)()  # effective, permitted and inheritable; 32 bits of each, then 32 more
        assert libc.capget(header, capabilities) == 0
        for kind in range(3):
            capabilities[kind] &= ~(1 << override | 1 << read_search)
        assert libc.capset(header, capabilities) == 0


@pytest.mark.skipif(sys.platform != "linux" and os.geteuid() == 0, reason="root may write anywhere here")
def test_a_folder_without_write_permission_is_named_and_can_be_read(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path
) -> None:
    restricted = partial(prodemb, cwd=tmp_path, before=keep_to_permissions)
    catalog, shards = make_catalog(40), tmp_path / "shards"
    run(catalog, shards, tiny_clip)
    (shards / CHECKED_NAME).unlink()
    fingerprint = open_shard_set(shards).schema.fingerprint
    save_predictor(tmp_path / "head", make_head("category", dim=24, fingerprint=fingerprint))
    shards.chmod(0o555)
    try:
        for out in ("shards", "shards/new"):
            refused = restricted("embed", catalog, "--out", out, "--model", tiny_clip)
            assert (refused.returncode, refused.stdout) == (9, "")
            (line,) = said(refused.stderr)
            named = rf"prodemb: error: {out}(/\.index\.[0-9a-f]+\.tmp)?"
            assert re.fullmatch(rf"{named}: cannot be written: Permission denied; what was finished stays", line)
        verified = restricted("verify", "shards")
        assert (verified.returncode, verified.stdout, said(verified.stderr)) == (0, "shards: no errors\n", [])
        scored = restricted("score", "shards", "out.parquet", "--head", "head")
        assert (scored.returncode, said(scored.stderr)) == (0, [])
        zero_shot = restricted("score", "shards", "zero.parquet", "--zero-shot")
        assert zero_shot.returncode == 0, zero_shot.stderr
        (line,) = said(zero_shot.stderr)
        assert line.startswith("prodemb: shards/taxonomy.parquet: cannot be written: Permission denied")
        assert line.endswith("; the taxonomy's vectors are not kept")
    finally:
        shards.chmod(0o755)
    for name in ("out.parquet", "zero.parquet"):
        assert pl.read_parquet(tmp_path / name).height == 40


def test_a_file_in_the_place_of_a_folder_is_named(make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path) -> None:
    (tmp_path / "shards").write_text("a file")
    with pytest.raises(OutputError, match="Not a directory"):
        run(make_catalog(10), tmp_path / "shards" / "clip", tiny_clip)


def test_a_catalog_that_vanishes_before_it_is_read(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog, out = make_catalog(40), tmp_path / "shards"
    check_ids = Catalog.check_ids

    def check_and_vanish(self: Catalog) -> int:
        num_products = check_ids(self)
        catalog.rename(tmp_path / "away.parquet")
        return num_products

    with monkeypatch.context() as patched:
        patched.setattr(Catalog, "check_ids", check_and_vanish)
        with pytest.raises(CatalogError, match=r"catalog\.parquet"):
            run(catalog, out, tiny_clip)
    (tmp_path / "away.parquet").rename(catalog)
    assert run(catalog, out, tiny_clip).num_new == 40


def test_one_of_a_catalog_s_files_vanishes_in_the_middle(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path
) -> None:
    frame, out = pl.read_parquet(make_catalog(200)), tmp_path / "shards"
    files = [tmp_path / f"part-{number}.parquet" for number in range(2)]

    def write() -> None:
        for number, file in enumerate(files):
            frame.slice(100 * number, 100).write_parquet(file)

    def vanish(done: int, _total: int | None) -> None:
        if done:
            files[1].unlink(missing_ok=True)

    write()
    config = EmbedConfig(model=str(tiny_clip), out=str(out), shard_size=8, window=8, dtype="float32")
    catalog = CatalogConfig(path=str(tmp_path / "part-*.parquet"))
    with pytest.raises(CatalogError, match=r"part-1\.parquet"):
        embed(config, catalog=open_catalog(catalog), images=ImagesConfig(), on_progress=vanish)
    write()
    report = embed(config, catalog=open_catalog(catalog), images=ImagesConfig())
    assert 0 < report.num_new <= 200
    assert open_shard_set(out).frame(["product_id"])["product_id"].equals(frame["product_id"])


def test_a_picture_that_takes_all_memory_has_a_reason(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog, out = make_catalog(10), tmp_path / "shards"
    decode = ImagePreprocessor.decode
    bomb = (tmp_path / "images" / "5.jpg").read_bytes()

    def decode_most(self: ImagePreprocessor, data: bytes) -> object:
        if data == bomb:
            raise MemoryError
        return decode(self, data)

    monkeypatch.setattr(ImagePreprocessor, "decode", decode_most)
    run(catalog, out, tiny_clip)
    assert read_manifest(out).null_counts()["image"]["cannot be loaded (MemoryError)"] == 1


def test_a_second_fine_tuning_says_so_and_stops(tiny_clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "checkpoint"
    with (
        holding(state_folder(out), kind="training state"),
        pytest.raises(BusyError, match="another run is writing here"),
    ):
        run_finetune(write_catalog(tmp_path), tiny_clip, out, epochs=1)


def test_a_second_scoring_says_so_and_stops(tmp_path: Path) -> None:
    shards, out = write_random_set(tmp_path / "shards"), tmp_path / "out.parquet"
    with replacing(out) as temporary:
        temporary.write_bytes(b"the first one's")
        with pytest.raises(BusyError, match=r"out\.parquet: another run is writing it"):
            score_with([shards], out, make_head("brand"))
        assert temporary.read_bytes() == b"the first one's"
    assert out.read_bytes() == b"the first one's"


def test_what_a_killed_scoring_left_is_taken_over(tmp_path: Path) -> None:
    shards, out = write_random_set(tmp_path / "shards"), tmp_path / "out.parquet"
    (tmp_path / temporary_name("out.parquet")).write_bytes(b"x" * 1_000_000)
    score_with([shards], out, make_head("brand"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.parquet", "shards"]
    assert pl.read_parquet(out).height == 100


@pytest.mark.slow
@pytest.mark.usefixtures("warm_processes")
def test_a_few_kills_change_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ("--embed", "1", "--update", "0", "--train", "0", "--finetune", "1", "--score", "1", "--products", "90")
    monkeypatch.setattr(sys, "argv", ["kills.py", *sizes, "--shard-size", "10", "--json"])
    kills.main()
    found = json.loads(capsys.readouterr().out)
    assert [(work["name"], work["kills"]) for work in found] == [
        ("embed", 1),
        ("finetune", 1),
        ("score", 1),
    ]
    assert all(work["equal"] and work["finished"] for work in found)
