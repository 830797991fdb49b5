"""Tomorrow's catalog: only contents that are new go through the towers, and what comes out is as of a full run."""

import random
import re
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from prodemb.cards.readme import README
from prodemb.catalog.images import ImagesConfig
from prodemb.catalog.reader import CatalogConfig, open_catalog
from prodemb.cli.report.embed import change_lines
from prodemb.core.bounded import read_json
from prodemb.core.errors import ImagesError, OutputError, ShardError
from prodemb.core.features import error_column, hash_column, raw_column
from prodemb.core.files import is_temporary, replacing
from prodemb.core.text import counted
from prodemb.embed import run as embed_run
from prodemb.embed.config import EmbedConfig
from prodemb.embed.embed import EmbedReport, embed
from prodemb.embed.index import write_index
from prodemb.embed.reuse import RetryPictures, Reuse, ReusePlan, Source
from prodemb.shards.checked import CHECKED_NAME
from prodemb.shards.folder import shard_folder
from prodemb.shards.format import MANIFEST_NAME, UPDATE_NAME, Changes, Manifest, ShardRecord, read_manifest
from prodemb.shards.reader import open_shard_set
from tests.conftest import fill, jpeg, make_clip
from tests.embed.conftest import MakeCatalog, contents, killed_run, run
from tests.shard_sets import flip, write_random_set

FEATURES = EmbedConfig().features


def edit(catalog: Path, *, product: str, **values: object) -> None:
    """Give one product other values."""
    frame = pl.read_parquet(catalog)
    columns = [
        pl.when(product_id=product).then(pl.lit(value)).otherwise(name).alias(name) for name, value in values.items()
    ]
    frame.with_columns(columns).write_parquet(catalog)


def changes(report: EmbedReport) -> Changes:
    assert report.manifest.changes is not None
    return report.manifest.changes


def num_vectors_of(record: ShardRecord) -> int:
    return sum(record.num_products - sum(reasons.values()) for reasons in record.null_counts.values())


def check_like_a_full_run(out: Path, *, catalog: Path, model: Path, fresh: Path, **settings: object) -> None:
    """Rows, presence, reasons and hashes are those of a full run, and so are all vectors to a cosine of 0.9999."""
    run(catalog, fresh, model, **settings)
    updated, full = open_shard_set(out), open_shard_set(fresh)
    columns = ["product_id", "partner", "raw_title", "google_category_id", "image_source"]
    columns += [column(feature) for feature in FEATURES for column in (error_column, hash_column)]
    columns += [raw_column("brand")]
    assert updated.frame(columns).equals(full.frame(columns))
    for feature in FEATURES:
        mine, theirs = (shards.vectors(feature).astype(np.float64) for shards in (updated, full))
        lengths = np.linalg.norm(mine, axis=1) * np.linalg.norm(theirs, axis=1)
        assert ((mine * theirs).sum(axis=1) >= 0.9999 * lengths - 1e-12).all()
        assert ((lengths == 0) == ~full.present(feature)).all()


def test_an_edited_text_alone_is_encoded(make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path) -> None:
    catalog, out = make_catalog(48), tmp_path / "shards"
    run(catalog, out, tiny_clip)
    before = open_shard_set(out)
    vectors = {feature: before.vectors(feature) for feature in FEATURES}
    edit(catalog, product="p20", title="green lamp")
    report = run(catalog, out, tiny_clip)
    assert report.num_new == 16
    assert (report.timings.num_texts, report.timings.num_images) == (1, 0)
    found = changes(report)
    assert (found.added, found.changed, found.unchanged, found.removed) == (0, 1, 47, 0)
    assert found.changed_features == {"title": 1, "lexical": 1}
    assert found.vectors_encoded == 2
    after = open_shard_set(out)
    others = np.arange(48) != 20
    for feature in FEATURES:
        assert np.array_equal(after.vectors(feature)[others], vectors[feature][others])
    check_like_a_full_run(out, catalog=catalog, model=tiny_clip, fresh=tmp_path / "fresh")


def test_an_edited_picture_alone_is_decoded(make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path) -> None:
    catalog, out = make_catalog(48), tmp_path / "shards"
    run(catalog, out, tiny_clip)
    (tmp_path / "images" / "40.jpg").write_bytes(jpeg(99))
    report = run(catalog, out, tiny_clip)
    assert (report.timings.num_texts, report.timings.num_images) == (0, 1)
    assert changes(report).changed_features == {"image": 1}
    check_like_a_full_run(out, catalog=catalog, model=tiny_clip, fresh=tmp_path / "fresh")


def test_a_picture_with_a_new_time_is_read_and_no_more(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path
) -> None:
    catalog, out = make_catalog(48), tmp_path / "shards"
    run(catalog, out, tiny_clip)
    (tmp_path / "images" / "40.jpg").write_bytes(jpeg(40 % 11))
    report = run(catalog, out, tiny_clip)
    assert report.num_new == 16
    assert (report.timings.num_texts, report.timings.num_images, changes(report).changed) == (0, 0, 0)


def test_new_removed_and_moved_products(make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path) -> None:
    catalog, out = make_catalog(60), tmp_path / "shards"
    everything = pl.read_parquet(catalog)
    everything.filter(pl.col("product_id") != "p33").write_parquet(catalog)
    run(catalog, out, tiny_clip)
    moved = everything.filter(pl.col("product_id") != "p50").sample(fraction=1, shuffle=True, seed=1)
    moved.write_parquet(catalog)
    report = run(catalog, out, tiny_clip)
    found = changes(report)
    assert (found.added, found.changed, found.unchanged, found.removed) == (1, 0, 58, 1)
    assert report.timings.num_texts <= 2
    assert report.timings.num_images <= 1
    check_like_a_full_run(out, catalog=catalog, model=tiny_clip, fresh=tmp_path / "fresh")


def test_pictures_in_the_catalog_are_known_by_their_bytes(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path
) -> None:
    catalog, out = make_catalog(48), tmp_path / "shards"
    data = [None if i % 5 == 0 else b"no picture" if i % 5 == 1 else jpeg(i) for i in range(48)]
    pl.read_parquet(catalog).with_columns(image=pl.Series(data)).write_parquet(catalog)
    run(catalog, out, tiny_clip)
    data[2] = jpeg(1000)
    frame = pl.read_parquet(catalog).with_columns(image=pl.Series(data))
    frame.reverse().write_parquet(catalog)
    report = run(catalog, out, tiny_clip)
    assert (report.timings.num_images, report.timings.num_texts) == (1, 0)
    check_like_a_full_run(out, catalog=catalog, model=tiny_clip, fresh=tmp_path / "fresh")


def test_another_partner_costs_no_tower(make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path) -> None:
    frame, feeds, out = pl.read_parquet(make_catalog(48)).drop("image"), tmp_path / "feeds", tmp_path / "shards"
    feeds.mkdir()
    frame.head(20).write_parquet(feeds / "alder.parquet")
    frame.tail(28).write_parquet(feeds / "borea.parquet")
    run(feeds, out, tiny_clip)
    assert open_shard_set(out).frame()["partner"].to_list() == ["alder"] * 20 + ["borea"] * 28
    (feeds / "borea.parquet").rename(feeds / "cedar.parquet")
    report = run(feeds, out, tiny_clip)
    assert report.num_new == 32
    assert (report.timings.num_texts, report.timings.num_images, changes(report).unchanged) == (0, 0, 48)
    assert open_shard_set(out).frame()["partner"].to_list() == ["alder"] * 20 + ["cedar"] * 28
    check_like_a_full_run(out, catalog=feeds, model=tiny_clip, fresh=tmp_path / "fresh")


def test_a_column_that_is_not_encoded_costs_no_tower(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path
) -> None:
    catalog, out = make_catalog(40), tmp_path / "shards"
    run(catalog, out, tiny_clip)
    before = contents(out)
    frame = pl.read_parquet(catalog)
    frame.with_columns(price=pl.lit(9.99)).write_parquet(catalog)
    assert run(catalog, out, tiny_clip).num_new == 0
    assert contents(out) == before
    frame.with_columns(brand_label=pl.lit("Lumo")).write_parquet(catalog)
    report = run(catalog, out, tiny_clip)
    assert (report.timings.num_texts, report.timings.num_images, changes(report).unchanged) == (0, 0, 40)
    assert open_shard_set(out).frame(["brand_label"])["brand_label"].unique().to_list() == ["Lumo"]


def test_another_shard_size_or_one_feature_more_takes_what_is_there(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path
) -> None:
    catalog, out = make_catalog(40), tmp_path / "shards"
    run(catalog, out, tiny_clip, features=["title", "description"])
    report = run(catalog, out, tiny_clip, features=["title", "description"], shard_size=24)
    assert (report.num_new, report.timings.num_texts) == (40, 0)
    report = run(catalog, out, tiny_clip, features=["title", "description", "image"], shard_size=24)
    assert (report.timings.num_texts, report.timings.num_images) == (0, 11 + 10)
    check = ("title", "description", "image")
    run(catalog, tmp_path / "fresh", tiny_clip, features=check, shard_size=24)
    assert np.array_equal(open_shard_set(out).present("image"), open_shard_set(tmp_path / "fresh").present("image"))


def test_an_update_killed_before_its_switch_ends_with_its_own_schema(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog, out = make_catalog(40), tmp_path / "shards"
    run(catalog, out, tiny_clip, features=["title"])

    def killed(_run: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(embed_run.Run, "finish", killed)
        with pytest.raises(KeyboardInterrupt):
            run(catalog, out, tiny_clip, features=["title", "brand"])
    assert open_shard_set(out).schema.features == ("title",)
    report = run(catalog, out, tiny_clip, features=["title", "brand"])
    assert report.num_new == 0
    assert open_shard_set(out).schema.features == ("title", "brand")
    assert open_shard_set(out).vectors("brand").any()
    assert not list(out.glob(".reuse*"))


def test_another_model_takes_the_lexical_vectors_alone(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path
) -> None:
    catalog, out = make_catalog(20), tmp_path / "shards"
    run(catalog, out, tiny_clip)
    other = make_clip(tmp_path / "other", seed=1)
    config = EmbedConfig(model=str(other), out=str(out), shard_size=16, window=8, dtype="float32")
    opened = open_catalog(CatalogConfig(path=str(catalog)))
    report = embed(config, catalog=opened, images=ImagesConfig(), replace=True)
    assert changes(report).vectors_reused == 20
    run(catalog, tmp_path / "fresh", other)
    assert np.array_equal(open_shard_set(out).vectors("title"), open_shard_set(tmp_path / "fresh").vectors("title"))


def test_the_old_set_stands_until_the_new_one_is_whole(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog, out = make_catalog(64), tmp_path / "shards"
    run(catalog, out, tiny_clip)
    before, titles = contents(out), open_shard_set(out).vectors("title")
    edit(catalog, product="p3", title="green lamp")
    edit(catalog, product="p60", title="blue lamp")

    def no_manifest(self: Manifest, folder: Path, *, name: str = MANIFEST_NAME) -> None:
        if name == MANIFEST_NAME:
            raise KeyboardInterrupt
        write(self, folder, name=name)

    write = Manifest.write
    monkeypatch.setattr(Manifest, "write", no_manifest)
    with pytest.raises(KeyboardInterrupt):
        run(catalog, out, tiny_clip)
    monkeypatch.undo()
    during = contents(out)
    assert before.items() <= during.items()
    assert during.keys() - before.keys() == {UPDATE_NAME, "part-00000-b.parquet", "part-00003-b.parquet"}
    assert np.array_equal(open_shard_set(out).vectors("title"), titles)
    report = run(catalog, out, tiny_clip)
    assert report.num_new == 0
    assert (changes(report).changed, changes(report).unchanged) == (2, 62)
    shards = {"part-00000-b.parquet", "part-00001.parquet", "part-00002.parquet", "part-00003-b.parquet"}
    assert contents(out).keys() == {MANIFEST_NAME, README} | shards
    check_like_a_full_run(out, catalog=catalog, model=tiny_clip, fresh=tmp_path / "fresh")


def test_a_shard_that_was_altered_while_an_update_ran_is_not_taken_for_checked(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path
) -> None:
    catalog, out = make_catalog(64), tmp_path / "shards"
    run(catalog, out, tiny_clip)
    assert len(read_json(out / CHECKED_NAME)) == 4
    edit(catalog, product="p60", title="green lamp")
    kept = out / "part-00000.parquet"

    def alter(done: int, _total: int | None) -> None:
        content = bytearray(kept.read_bytes())
        content[700] ^= done > 0
        kept.write_bytes(content)

    config = EmbedConfig(model=str(tiny_clip), out=str(out), shard_size=16, window=16, dtype="float32")
    embed(config, catalog=open_catalog(CatalogConfig(path=str(catalog))), images=ImagesConfig(), on_progress=alter)
    names = {"part-00001.parquet", "part-00002.parquet", "part-00003-b.parquet"}
    assert read_json(out / CHECKED_NAME).keys() == names
    with pytest.raises(ShardError, match=r"part-00000\.parquet: altered"):
        open_shard_set(out).vectors("title")


def test_an_update_ends_though_it_cannot_remember_its_checksums(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path
) -> None:
    catalog, out = make_catalog(32), tmp_path / "shards"
    run(catalog, out, tiny_clip)
    edit(catalog, product="p20", title="green lamp")
    with ExitStack() as verifying:

        def verify_meanwhile(done: int, _total: int | None) -> None:
            if done == 32:
                verifying.enter_context(replacing(out / CHECKED_NAME))

        config = EmbedConfig(model=str(tiny_clip), out=str(out), shard_size=16, window=16, dtype="float32")
        opened = open_catalog(CatalogConfig(path=str(catalog)))
        report = embed(config, catalog=opened, images=ImagesConfig(), on_progress=verify_meanwhile)
        assert changes(report).changed == 1
    assert open_shard_set(out).num_products == 32


def test_who_reads_a_set_that_is_updated_meanwhile_reads_it_to_the_end(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path
) -> None:
    catalog, out = make_catalog(48), tmp_path / "shards"
    run(catalog, out, tiny_clip)
    shard_set = open_shard_set(out)
    titles = shard_set.vectors("title")
    reading = shard_set.shards()
    first = next(reading)
    edit(catalog, product="p0", title="green lamp")
    edit(catalog, product="p20", title="green lamp")
    run(catalog, out, tiny_clip)
    assert isinstance(first.path, Path)
    assert not first.path.exists()
    parts = [shard.vectors("title") for shard in (first, *reading)]
    assert np.array_equal(np.concatenate(parts), titles)
    assert np.array_equal(shard_set.vectors("title"), titles)
    assert not np.array_equal(open_shard_set(out).vectors("title"), titles)
    (out / "part-00001-b.parquet").unlink()
    with pytest.raises(ShardError, match=r"part-00001-b\.parquet: missing, though the manifest lists it"):
        open_shard_set(out).vectors("title")


def test_products_of_damaged_shards_are_neither_new_nor_gone(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    catalog, out = make_catalog(64), tmp_path / "shards"
    first = run(catalog, out, tiny_clip)
    num_vectors = {record.name: num_vectors_of(record) for record in first.manifest.shards}
    flip(out / "part-00001.parquet", 700)
    edit(catalog, product="p0", title="green lamp")
    found = changes(run(catalog, out, tiny_clip))
    assert (found.added, found.changed, found.unknown, found.removed, found.unchanged) == (0, 1, 0, 0, 63)
    assert caplog.messages == [f"{out}: damaged and made again: 1 shard"]
    assert found.vectors_encoded == 2 + num_vectors["part-00001.parquet"]
    assert found.vectors_encoded + found.vectors_reused == sum(num_vectors.values())

    flip(out / "part-00001.parquet", 700)
    edit(catalog, product="p20", title="green lamp")
    frame = pl.read_parquet(catalog)
    new = frame.head(1).with_columns(product_id=pl.lit("new"))
    pl.concat([frame.filter(pl.col("product_id") != "p63"), new]).write_parquet(catalog)
    report = run(catalog, out, tiny_clip)
    found = changes(report)
    assert (found.added, found.changed, found.unknown, found.removed, found.unchanged) == (1, 0, 16, 1, 47)
    assert "16 possibly from damaged shards" in change_lines(report.manifest)[0]
    check_like_a_full_run(out, catalog=catalog, model=tiny_clip, fresh=tmp_path / "fresh")


@pytest.mark.usefixtures("warm_processes")
def test_an_update_by_two_workers_is_that_of_one(make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path) -> None:
    catalog, one, two = make_catalog(64), tmp_path / "one", tmp_path / "two"
    for out in (one, two):
        run(catalog, out, tiny_clip)
    edit(catalog, product="p3", title="green lamp")
    edit(catalog, product="p40", brand="Acme")
    run(catalog, one, tiny_clip)
    run(catalog, two, tiny_clip, workers=2)
    assert contents(one) == contents(two)


def test_tomorrow_s_file_may_have_another_name(make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path) -> None:
    catalog, out = make_catalog(20), tmp_path / "shards"
    run(catalog, out, tiny_clip, shard_size=10, window=5)
    edit(catalog, product="p0", title="green lamp")
    edit(catalog, product="p19", title="green lamp")
    report = run(catalog.rename(tmp_path / "tomorrow.parquet"), out, tiny_clip, shard_size=10, window=5)
    assert (report.num_new, report.timings.num_texts) == (20, 2)


def retry(catalog: Path, out: Path, model: Path, *, pictures: RetryPictures) -> EmbedReport:
    config = EmbedConfig(model=str(model), out=str(out), shard_size=16, window=8, dtype="float32")
    opened = open_catalog(CatalogConfig(path=str(catalog)))
    return embed(config, catalog=opened, images=ImagesConfig(retries=0), retry=pictures)


def test_absent_pictures_are_tried_again_and_nothing_else(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path
) -> None:
    catalog, out = make_catalog(48), tmp_path / "shards"
    dead = "http://127.0.0.1:9/"
    columns = {"image": pl.when(pl.col("product_id").is_in(["p1", "p2"])).then(pl.lit(dead)).otherwise("image")}
    pl.read_parquet(catalog).filter(pl.int_range(48) % 7 != 3).with_columns(**columns).write_parquet(catalog)
    retry(catalog, out, tiny_clip, pictures="none")
    assert read_manifest(out).null_counts()["image"] == {"private address": 2}
    assert retry(catalog, out, tiny_clip, pictures="none").num_new == 0
    report = retry(catalog, out, tiny_clip, pictures="failed")
    assert (report.num_new, report.timings.num_images, report.timings.num_texts) == (16, 0, 0)
    assert changes(report).unchanged == report.manifest.num_products
    refreshed = retry(catalog, out, tiny_clip, pictures="all")
    assert (refreshed.num_new, refreshed.timings.num_images) == (refreshed.manifest.num_products, 0)


INDEX_ON_A_FULL_DISK = """
import shutil
import sys
from pathlib import Path
from prodemb.embed.index import write_index
from prodemb.embed.reuse import ReusePlan, Source
from prodemb.core.errors import OutputError
from prodemb.shards.folder import shard_folder
from prodemb.shards.format import read_manifest
from tests.conftest import fill

shards, disk = Path(sys.argv[1]), Path(sys.argv[2])
manifest = read_manifest(shards)
sources = tuple(Source(folder=shard_folder(shards), record=record) for record in manifest.shards)
plan = ReusePlan(folder=disk / ".reuse", sources=sources, features=manifest.shard_schema.features, retry="none")
for leave in map(int, sys.argv[3:]):
    fill(disk, leave=leave)
    try:
        write_index(plan)
    except OutputError as error:
        print(error)
    shutil.rmtree(plan.folder)
    (disk / "filler").unlink()
write_index(plan)
"""


def test_what_an_interrupted_refresh_has_fetched_is_taken_by_a_plain_run(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    catalog, out = make_catalog(64), tmp_path / "shards"
    run(catalog, out, tiny_clip)

    def interrupt(done: int, _total: int | None) -> None:
        if done >= 40:
            raise KeyboardInterrupt

    config = EmbedConfig(model=str(tiny_clip), out=str(out), shard_size=16, window=8, dtype="float32")
    opened = open_catalog(CatalogConfig(path=str(catalog)))
    with pytest.raises(KeyboardInterrupt):
        embed(config, catalog=opened, images=ImagesConfig(), retry="all", on_progress=interrupt)
    fetched = [record.name for record in read_manifest(out, name=UPDATE_NAME).shards if "-b" in record.name]
    assert fetched[0] == "part-00000-b.parquet"
    assert not caplog.records
    report = run(catalog, out, tiny_clip)
    (line,) = caplog.messages
    assert f"takes {counted(len(fetched), 'shard')} whose pictures an interrupted run had fetched again" in line
    assert report.num_new == 0
    assert set(fetched) < {record.name for record in report.manifest.shards}
    assert contents(out).keys() == {MANIFEST_NAME, README, *(record.name for record in report.manifest.shards)}
    assert run(catalog, out, tiny_clip).manifest == report.manifest


def test_a_shard_that_an_interrupted_refresh_made_is_made_again_where_its_rows_changed(
    make_catalog: MakeCatalog,
    tiny_clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    catalog, out = make_catalog(32), tmp_path / "shards"
    run(catalog, out, tiny_clip)

    def killed(_run: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(embed_run.Run, "finish", killed)
        with pytest.raises(KeyboardInterrupt):
            retry(catalog, out, tiny_clip, pictures="all")
    edit(catalog, product="p20", title="green lamp")
    report = run(catalog, out, tiny_clip)
    (line,) = caplog.messages
    assert "takes 1 shard whose pictures an interrupted run had fetched again; the others keep theirs" in line
    assert (report.num_new, report.timings.num_texts, report.timings.num_images) == (16, 1, 0)


def test_the_index_of_a_set_without_pictures_has_no_room_for_them(tmp_path: Path) -> None:
    write_random_set(tmp_path / "shards", sizes=[2000])
    manifest = read_manifest(tmp_path / "shards")
    sources = tuple(Source(folder=shard_folder(tmp_path / "shards"), record=record) for record in manifest.shards)
    plan = ReusePlan(folder=tmp_path / ".reuse", sources=sources, features=("title",), retry="none")
    write_index(plan)
    for name in ("hashes", "errors"):
        assert (plan.folder / f"{name}.npy").stat().st_size < 200
    reuse = Reuse(plan)
    assert reuse.pictures(np.ones((3, 16), dtype=np.uint8)) == [None] * 3
    ids = open_shard_set(tmp_path / "shards").frame(["product_id"]).to_series()
    assert reuse.changes(ids, {"title": np.zeros((2000, 16), dtype=np.uint8)}).added == 0


def test_an_index_that_does_not_fit_the_disk_is_an_error_and_no_signal(tmp_path: Path, small_disk: Path) -> None:
    write_random_set(tmp_path / "shards", sizes=[2000])
    leave = [4096 * num_pages for num_pages in range(1, 61, 2)]
    command = [sys.executable, "-c", INDEX_ON_A_FULL_DISK, tmp_path / "shards", small_disk, *leave]
    result = subprocess.run([*map(str, command)], check=True, capture_output=True, text=True, timeout=60)
    lines = result.stdout.splitlines()
    assert 20 <= len(lines) < len(leave)
    for line in lines:
        assert line.startswith(f"{small_disk}/.reuse: cannot be written: No space left on device")
    assert any(re.search(r", wanted room for [\d,]+ bytes; what was finished stays$", line) for line in lines)


def test_an_update_on_a_full_disk_leaves_the_set_and_goes_on_later(
    make_catalog: MakeCatalog, tiny_clip: Path, small_disk: Path
) -> None:
    catalog, out = make_catalog(48), small_disk / "shards"
    run(catalog, out, tiny_clip)
    before = contents(out)
    edit(catalog, product="p20", title="green lamp")
    fill(small_disk, leave=40_960)
    with pytest.raises(
        OutputError, match=rf"{out}/\.index\.[0-9a-f]+\.tmp: cannot be written: No space left on device"
    ):
        run(catalog, out, tiny_clip)
    assert contents(out) == before
    assert not [path for path in out.iterdir() if is_temporary(path.name)]
    (small_disk / "filler").unlink()
    assert run(catalog, out, tiny_clip).num_new == 16


def test_a_run_stops_where_the_error_budget_is_spent(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path
) -> None:
    catalog, out = make_catalog(64), tmp_path / "shards"
    for i in range(20, 64):
        (tmp_path / "images" / f"{i}.jpg").unlink(missing_ok=True)
    config = EmbedConfig(model=str(tiny_clip), out=str(out), shard_size=16, window=8, dtype="float32")
    budget = ImagesConfig(max_failure_rate=0.3, min_tried=20)
    with pytest.raises(ImagesError, match=r"of 32 pictures failed.*most at folder images: .* file not found") as error:
        embed(config, catalog=open_catalog(CatalogConfig(path=str(catalog))), images=budget)
    assert "--retry-failed" in str(error.value)
    assert read_manifest(out).num_products == 16
    assert run(catalog, out, tiny_clip).num_new == 48


@pytest.mark.slow
def test_a_killed_update_goes_on_and_ends_with_the_same_bytes(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path
) -> None:
    catalog, killed, whole = make_catalog(400), tmp_path / "killed", tmp_path / "whole"
    for out in (killed, whole):
        run(catalog, out, tiny_clip)
    for i in range(0, 400, 11):
        edit(catalog, product=f"p{i}", title=f"green lamp {i}")
    before = open_shard_set(killed).frame(["product_id", "raw_title"])
    run(catalog, whole, tiny_clip)
    moments = random.Random(1)
    for _ in range(3):

        def is_time(moment: float = time.monotonic() + moments.uniform(0.1, 1.5)) -> bool:
            return time.monotonic() > moment

        killed_run(catalog, killed, tiny_clip, when=is_time)
        seen = open_shard_set(killed).frame(["product_id", "raw_title"])
        assert seen.equals(before) or seen.equals(open_shard_set(whole).frame(["product_id", "raw_title"]))
    run(catalog, killed, tiny_clip)
    assert contents(killed) == contents(whole)
