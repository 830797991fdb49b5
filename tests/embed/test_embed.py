"""Stage one end to end on a random CLIP: every row once, the same vectors however the run was cut, nothing redone."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from prodemb.catalog.images import ImagesConfig
from prodemb.catalog.reader import CatalogConfig, open_catalog
from prodemb.core.errors import BusyError, CatalogError, ConfigError, FingerprintError, ShardError
from prodemb.core.features import FEATURES
from prodemb.core.folders import holding
from prodemb.embed.config import EmbedConfig
from prodemb.embed.embed import embed
from prodemb.shards.format import read_manifest
from prodemb.shards.reader import open_shard_set
from prodemb.shards.verify import verify
from tests.conftest import jpeg, make_clip
from tests.embed.conftest import MakeCatalog, contents, killed_run, run


def test_every_row_is_in_one_shard_with_its_own_vectors(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path
) -> None:
    catalog = make_catalog(50)
    report = run(catalog, tmp_path / "shards", tiny_clip)
    shards = open_shard_set(tmp_path / "shards")
    frame = pl.read_parquet(catalog)
    assert report.num_new == shards.num_products == shards.manifest.num_rows == 50
    assert shards.frame(["product_id"])["product_id"].to_list() == frame["product_id"].to_list()
    assert shards.frame(["raw_title"])["raw_title"].to_list() == frame["title"].to_list()
    assert shards.frame(["partner"])["partner"].null_count() == 50

    titles = shards.vectors("title").astype(np.float32)
    assert np.allclose(np.linalg.norm(titles, axis=1), 1, atol=2e-3)
    same = frame.with_row_index().group_by("title").agg("index")["index"].to_list()
    for rows in same:
        assert (titles[rows] == titles[rows[0]]).all() or len({row // 16 for row in rows}) > 1

    absent = shards.frame(["image_error"])["image_error"].to_list()
    assert [reason is not None for reason in absent] == [i % 7 == 3 for i in range(50)]
    assert set(absent) == {None, "file not found"}
    assert not shards.vectors("image")[[i for i in range(50) if i % 7 == 3]].any()
    assert shards.manifest.null_counts()["cat2"] == {"no value": 50}


def test_distinct_contents_go_through_the_towers_once_a_shard(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path
) -> None:
    report = run(make_catalog(48), tmp_path / "shards", tiny_clip, shard_size=48)
    frame = pl.read_parquet(tmp_path / "catalog.parquet")
    texts = {text for feature in FEATURES[:4] for text in frame[feature].to_list() if text is not None}
    assert report.timings.num_texts == len(texts)
    assert report.timings.num_images == 11


def test_a_second_run_does_nothing_and_leaves_every_byte(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path
) -> None:
    catalog, out = make_catalog(40), tmp_path / "shards"
    run(catalog, out, tiny_clip)
    before = contents(out)
    report = run(catalog, out, tiny_clip)
    assert report.num_new == 0
    assert contents(out) == before


def test_a_set_has_a_card_that_is_renewed_until_somebody_edits_it(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    catalog, out = make_catalog(20), tmp_path / "shards"
    manifest = run(catalog, out, tiny_clip).manifest
    card = out / "README.md"
    shown = card.read_text()
    assert f"fingerprint: `{manifest.shard_schema.fingerprint}`" in shown
    assert "| image | 17 | 24 | 3 file not found |" in shown
    assert verify(out) == []
    card.unlink()
    run(catalog, out, tiny_clip)
    assert card.read_text() == shown
    run(make_catalog(30), out, tiny_clip)
    assert "products: 30 in 2 files" in card.read_text()
    card.write_text(f"{card.read_text()}A note.\n")
    run(make_catalog(30), out, tiny_clip)
    assert "README.md" not in caplog.text
    run(make_catalog(20), out, tiny_clip)
    assert caplog.text.count("README.md: was edited, so it stays") == 1
    assert card.read_text().endswith("A note.\n")
    assert verify(out) == []


def test_another_window_or_other_workers_do_not_make_shards_stale(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path
) -> None:
    catalog = make_catalog(40)
    run(catalog, tmp_path / "shards", tiny_clip)
    assert run(catalog, tmp_path / "shards", tiny_clip, window=16, decode_workers=3).num_new == 0


def test_a_shorter_catalog_leaves_no_stray_shards(make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path) -> None:
    run(make_catalog(48), tmp_path / "shards", tiny_clip)
    run(make_catalog(20), tmp_path / "shards", tiny_clip)
    assert open_shard_set(tmp_path / "shards").num_products == 20
    assert len(list((tmp_path / "shards").glob("*.parquet"))) == 2


def test_a_damaged_shard_is_made_again(make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path) -> None:
    catalog, out = make_catalog(40), tmp_path / "shards"
    run(catalog, out, tiny_clip)
    before = contents(out)
    damaged = bytearray(before["part-00001.parquet"])
    damaged[100] ^= 255
    (out / "part-00001.parquet").write_bytes(damaged)
    assert run(catalog, out, tiny_clip).num_new == 16
    assert contents(out) == before


@pytest.mark.parametrize("content", ["{", '{"shards": 3}', None])
def test_a_damaged_manifest_is_made_again_and_no_shard(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path, content: str | None
) -> None:
    catalog, out = make_catalog(40), tmp_path / "shards"
    run(catalog, out, tiny_clip)
    before = contents(out)
    path = out / "manifest.json"
    path.write_text(
        path.read_text().replace('"num_products": 16', '"num_products": 17') if content is None else content
    )
    assert run(catalog, out, tiny_clip).num_new == 0
    assert contents(out) == before


def test_unreadable_pictures_have_a_reason_and_the_run_goes_on(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path
) -> None:
    catalog = make_catalog(10)
    (tmp_path / "images" / "0.jpg").write_bytes(b"")
    (tmp_path / "images" / "1.jpg").write_bytes(b"<html>not a picture</html>")
    (tmp_path / "images" / "2.jpg").write_bytes(jpeg(1)[:60])
    run(catalog, tmp_path / "shards", tiny_clip)
    absent = open_shard_set(tmp_path / "shards").frame(["image_error"])["image_error"].to_list()
    assert all(absent[i] for i in range(4))
    assert not any(absent[4:])


def test_a_folder_of_another_model_is_refused_and_kept(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path
) -> None:
    catalog, out = make_catalog(10), tmp_path / "shards"
    run(catalog, out, tiny_clip)
    before = contents(out)
    other = make_clip(tmp_path / "other", seed=1)
    with pytest.raises(FingerprintError, match=f"{tiny_clip} .* but this run's model is {other}"):
        run(catalog, out, other)
    with pytest.raises(FingerprintError, match="holds vectors of"):
        run(catalog, out, tiny_clip, truncate_dim=16)
    with pytest.raises(ShardError, match="holds the features"):
        run(catalog, out, tiny_clip, features=["title"])
    assert contents(out) == before


def test_another_catalog_does_not_replace_the_first_one_s_shards(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path
) -> None:
    catalog, out = make_catalog(40), tmp_path / "shards"
    run(catalog, out, tiny_clip)
    before = contents(out)
    other = tmp_path / "other.parquet"
    pl.read_parquet(catalog).with_columns(product_id="x" + pl.col("product_id")).write_parquet(other)
    with pytest.raises(ShardError, match=r"holds 40 products of .*catalog\.parquet, and none of .*other\.parquet"):
        run(other, out, tiny_clip)
    assert contents(out) == before
    moved = catalog.rename(tmp_path / "moved.parquet")
    assert run(moved, out, tiny_clip).num_new == 0


def test_a_checkpoint_s_own_set_is_replaced_when_the_checkpoint_changed(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path
) -> None:
    catalog, out = make_catalog(20), tmp_path / "shards"
    run(catalog, out, tiny_clip)
    config = EmbedConfig(model=str(make_clip(tmp_path / "other", seed=1)), out=str(out), shard_size=16)
    opened = open_catalog(CatalogConfig(path=str(catalog)))
    assert embed(config, catalog=opened, images=ImagesConfig(), replace=True).num_new == 20
    assert embed(config, catalog=opened, images=ImagesConfig(), replace=True).num_new == 0
    # Whatever catalog the set of the checkpoint before was of; this one's own set stays one of its catalog.
    other = tmp_path / "other.parquet"
    pl.read_parquet(catalog).with_columns(product_id="x" + pl.col("product_id")).write_parquet(other)
    opened = open_catalog(CatalogConfig(path=str(other)))
    with pytest.raises(ShardError, match=r"holds 20 products of .*catalog\.parquet, and none of .*other\.parquet"):
        embed(config, catalog=opened, images=ImagesConfig(), replace=True)
    config = config.model_copy(update={"model": str(make_clip(tmp_path / "third", seed=2))})
    assert embed(config, catalog=opened, images=ImagesConfig(), replace=True).num_new == 20


def test_pictures_are_tried_again_when_other_ones_are_let_in(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path
) -> None:
    catalog, out = make_catalog(5), tmp_path / "shards"
    outside = pl.read_parquet(catalog).with_columns(image=pl.lit(str(tmp_path / "images" / "0.jpg")))
    (tmp_path / "inside").mkdir()
    moved = tmp_path / "inside" / "catalog.parquet"
    outside.write_parquet(moved)
    run(moved, out, tiny_clip)
    assert open_shard_set(out).manifest.null_counts()["image"] == {"outside the image root": 5}
    config = EmbedConfig(model=str(tiny_clip), out=str(out), shard_size=16, dtype="float32")
    allowed = ImagesConfig(allow_outside_root=True)
    assert embed(config, catalog=open_catalog(CatalogConfig(path=str(moved))), images=allowed).num_new == 5
    assert "image" not in {f for f, reasons in open_shard_set(out).manifest.null_counts().items() if reasons}


def test_two_runs_on_one_folder(make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path) -> None:
    with holding(tmp_path / "shards", kind="shard set"), pytest.raises(BusyError, match="another run is writing here"):
        run(make_catalog(10), tmp_path / "shards", tiny_clip)


def test_duplicate_ids_end_the_run_before_anything_is_written(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path
) -> None:
    catalog = make_catalog(10)
    products = pl.read_parquet(catalog)
    pl.concat([products, products.with_columns(title=pl.col("title") + " II")]).write_parquet(catalog)
    with pytest.raises(CatalogError, match="p0"):
        run(catalog, tmp_path / "shards", tiny_clip)
    assert not list(tmp_path.glob("shards/*.parquet"))


def test_no_feature_is_refused() -> None:
    with pytest.raises(ConfigError, match="wanted at least one"):
        EmbedConfig.parse({"features": []}, source="test")


def test_windows_divide_the_shard() -> None:
    assert EmbedConfig(shard_size=100, window=64).window_size() == 50
    assert EmbedConfig(shard_size=7, window=512).window_size() == 7
    assert EmbedConfig().window_size() == 512


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path
) -> None:
    catalog, out = make_catalog(800), tmp_path / "killed"
    run(catalog, tmp_path / "whole", tiny_clip)
    num_recorded = []
    for num_shards in (3, 20):

        def has_shards(num: int = num_shards) -> bool:
            return len(list(out.glob("part-*.parquet"))) >= num

        killed_run(catalog, out, tiny_clip, when=has_shards)
        num_recorded.append(len(read_manifest(out).shards))
    assert num_recorded[0] < 50
    run(catalog, out, tiny_clip)
    assert contents(out) == contents(tmp_path / "whole")
