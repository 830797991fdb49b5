"""What is not prodemb's is never replaced or removed, whatever a command is told to write."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from prodemb.catalog.images import ImagesConfig
from prodemb.catalog.reader import CatalogConfig, open_catalog
from prodemb.core import folders
from prodemb.core.errors import BusyError, OutputError
from prodemb.core.folders import MARKER, replacing_folder
from prodemb.core.progress import no_progress
from prodemb.embed.config import EmbedConfig
from prodemb.embed.embed import embed
from prodemb.heads.head import load_head
from prodemb.job.pipeline import Pipeline
from prodemb.job.train import HEAD_FILES, train
from prodemb.shards.format import read_manifest
from prodemb.shards.verify import verify
from tests.command_line import prodemb
from tests.conftest import fill
from tests.embed.conftest import run
from tests.shard_sets import write_clustered_set

MakeCatalog = Callable[[int], Path]


def theirs(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def refused(*arguments: str | Path, cwd: Path) -> str:
    """The one line that a command ends with."""
    result = prodemb(*arguments, cwd=cwd)
    assert (result.returncode, result.stdout) in [(9, ""), (4, "")], result
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("prodemb: error:")]
    return line


def test_a_folder_of_somebody_else_s_shards_is_left_alone(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path
) -> None:
    catalog, folder = make_catalog(12), tmp_path / "own"
    folder.mkdir()
    for name in ("part-00000.parquet", "part-00007.parquet", "draft.tmp", "part-00000.parquet.tmp"):
        (folder / name).write_bytes(b"years of work")
    before = theirs(folder)
    line = refused("embed", catalog, "--out", folder, "--model", tiny_clip, cwd=tmp_path)
    assert f"{folder}: holds what prodemb did not make" in line
    assert theirs(folder) == before


def test_the_catalog_is_never_taken_for_an_output(tiny_clip: Path, tmp_path: Path) -> None:
    feed = tmp_path / "feed"
    feed.mkdir()
    for name in ("feed.csv", "part-00000.parquet"):
        frame = pl.DataFrame({"product_id": ["a", "b"], "title": ["red mug", "blue shoe"]})
        frame.write_csv(feed / name) if name.endswith("csv") else frame.write_parquet(feed / name)
        before = theirs(feed)
        line = refused("embed", feed / name, "--out", feed, "--model", tiny_clip, cwd=tmp_path)
        assert f"{feed}: holds the catalog file {feed / name}" in line
        line = refused("embed", "feed", "--out", "feed", "--model", tiny_clip, cwd=tmp_path)
        assert "feed: holds the catalog file" in line
        assert theirs(feed) == before


def test_a_stranger_s_file_among_the_shards_stops_the_run(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path
) -> None:
    out = tmp_path / "shards"
    run(make_catalog(12), out, tiny_clip)
    stranger = out / "part-00009.parquet"
    stranger.write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"part-00009\.parquet: prodemb did not make it"):
        run(make_catalog(24), out, tiny_clip)
    assert stranger.read_bytes() == b"mine"


def test_links_in_a_received_shard_set_are_not_followed(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path
) -> None:
    catalog, out, precious = make_catalog(12), tmp_path / "shards", tmp_path / "precious"
    precious.write_bytes(b"precious")
    run(catalog, out, tiny_clip)
    (out / MARKER).unlink()
    for name in (MARKER, ".lock", ".checked.json.tmp", "manifest.json.tmp", "part-00001.parquet.tmp"):
        (out / name).symlink_to(precious)
    shutil.rmtree(tmp_path / "images")
    assert f"{out / MARKER}: is a link" in refused("embed", catalog, "--out", out, "--model", tiny_clip, cwd=tmp_path)
    (out / ".checked.json").unlink()
    (out / ".checked.json").symlink_to(precious)
    assert verify(out) == []
    (tmp_path / "out.parquet.tmp").symlink_to(precious)
    prodemb("score", out, "out.parquet", cwd=tmp_path)
    assert precious.read_bytes() == b"precious"


def test_predictions_and_catalogs_replace_only_their_kind(make_catalog: MakeCatalog, tmp_path: Path) -> None:
    catalog, mine = make_catalog(12), tmp_path / "mine.parquet"
    pl.DataFrame({"thesis": ["years of work"]}).write_parquet(mine)
    before = mine.read_bytes()
    assert "`prodemb read` did not write" in refused("read", catalog, mine, cwd=tmp_path)
    assert "is a file of the catalog" in refused("read", catalog, catalog, cwd=tmp_path)
    assert prodemb("read", catalog, "plain.parquet", cwd=tmp_path).returncode == 0
    assert prodemb("read", catalog, "plain.parquet", cwd=tmp_path).returncode == 0
    assert mine.read_bytes() == before


def test_a_head_that_cannot_be_replaced_goes_on_scoring(tmp_path: Path, small_disk: Path) -> None:
    shards, folder = tmp_path / "shards", small_disk / "heads" / "category"
    write_clustered_set(shards, num=300)
    settings = {"epochs": 1, "baselines": {"run": False}}
    pipeline = Pipeline.parse({"target": "category", "train": settings}, source="test")
    taxonomy = tmp_path / "taxonomy.txt"
    taxonomy.write_text("1 - Things\n" + "".join(f"{n} - Things > Kind {n}\n" for n in range(2, 12)))
    pipeline = pipeline.replaced({"train": {"taxonomy": str(taxonomy)}}, source="test")
    train(pipeline, shards=shards, folder=folder, progress=no_progress)
    (folder / "notes.txt").write_text("mine")
    before = theirs(folder)
    again = pipeline.replaced({"train": {"seed": 1}}, source="test")
    fill(small_disk, leave=2_000)
    with pytest.raises(OutputError, match="No space left"):
        train(again, shards=shards, folder=folder, progress=no_progress)
    load_head(folder)
    assert theirs(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == ["category"]
    (small_disk / "filler").unlink()
    train(again, shards=shards, folder=folder, progress=no_progress)
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_second_training_into_one_folder_is_refused(tmp_path: Path) -> None:
    write_clustered_set(tmp_path / "shards")
    pipeline = Pipeline.parse({"target": "category", "train": {"epochs": 1}}, source="test")
    with (
        replacing_folder(tmp_path / "head", kind="head", own_files=HEAD_FILES),
        pytest.raises(BusyError, match="another run is writing it"),
    ):
        train(pipeline, shards=tmp_path / "shards", folder=tmp_path / "head", progress=no_progress)


@pytest.mark.parametrize("name", ["heads/brand", "out.state"])
def test_a_folder_that_training_would_replace_is_held_against_what_is_in_it(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir(parents=True)
    (folder / "thesis.tex").write_text("years")
    with pytest.raises(OutputError, match="holds what prodemb did not make"):
        replacing_folder(folder, kind="head", own_files=HEAD_FILES).__enter__()
    with pytest.raises(OutputError, match="holds what prodemb did not make"):
        folders.holding(folder, kind="training state").__enter__()
    assert (folder / "thesis.tex").read_text() == "years"


def test_a_shard_set_that_is_moved_away_meanwhile_is_noticed(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path
) -> None:
    out = tmp_path / "shards"

    def move(done: int, _total: int | None) -> None:
        if done >= 20 and out.exists():
            os.rename(out, tmp_path / "elsewhere")  # noqa: PTH104

    config = EmbedConfig(model=str(tiny_clip), out=str(out), shard_size=10, window=10, dtype="float32")
    catalog = open_catalog(CatalogConfig(path=str(make_catalog(60))))
    with pytest.raises(OutputError, match="was moved or replaced while this run wrote to it"):
        embed(config, catalog=catalog, images=ImagesConfig(), on_progress=move)
    assert not read_manifest(tmp_path / "elsewhere").complete
