"""Catalogs and pictures in a bucket."""

import io
import pickle
import shutil
from contextlib import suppress
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from prodemb.catalog.config import CatalogConfig
from prodemb.catalog.files import find_files, labels_of, names_of, place_of
from prodemb.catalog.images import AbsentImage, ImageLoader, ImagesConfig
from prodemb.catalog.overview import read_through
from prodemb.catalog.reader import open_catalog
from prodemb.core.errors import CatalogError, ConfigError, ConflictError
from prodemb.storage.address import Address
from prodemb.storage.cache import cache_folder
from prodemb.storage.objects import delete, put_bytes
from tests.object_store import ObjectStore, bucket, client, failing, object_store, running_store, slow

__all__ = ["bucket", "object_store", "running_store"]

ROWS = "product_id,title,image\n1,red shoe,img/1.png\n2,blue mug,img/2.png\n3,lamp,\n"


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, "PNG")
    return buffer.getvalue()


def keys_of(path: str) -> list[str]:
    return [found.key for file in find_files(path) if isinstance(found := place_of(file), Address)]


def test_a_file_a_folder_and_a_glob_are_found(bucket: Address) -> None:
    for key in ("feeds/b.csv", "feeds/a.csv.gz", "feeds/readme.txt", "feeds/_SUCCESS", "feeds/x/c.csv", "other.json"):
        put_bytes(bucket / key, ROWS.encode())
    assert keys_of(f"{bucket}/feeds/b.csv") == ["feeds/b.csv"]
    assert keys_of(f"{bucket}/feeds") == keys_of(f"{bucket}/feeds/") == ["feeds/a.csv.gz", "feeds/b.csv"]
    assert keys_of(f"{bucket}/feeds/*.csv") == ["feeds/b.csv"]
    assert keys_of(f"{bucket}/*/[bc].csv") == ["feeds/b.csv"]
    assert keys_of(f"{bucket}/**/[a-z].csv") == ["feeds/b.csv", "feeds/x/c.csv"]
    assert keys_of(str(bucket)) == ["other.json"]
    with pytest.raises(CatalogError, match=r"/x2: no such object found; wanted a file"):
        find_files(f"{bucket}/x2")
    with pytest.raises(CatalogError, match=r"no object in the bucket fits"):
        find_files(f"{bucket}/feeds/*.xml")
    with pytest.raises(ConfigError, match="credentials come from"):
        find_files("s3://key:secret@shop/feeds")


def found_by(glob: str) -> list[str]:
    with suppress(CatalogError):
        return [str(place_of(file)) for file in find_files(glob)]
    return []


@pytest.mark.parametrize(
    ("glob", "num"),
    [
        ("g/feed[1].csv", 1),
        ("g/feed[2-1].csv", 0),
        ("g/feed[!2].csv", 1),
        ("feeds/*", 1),
        ("feeds/**/*", 2),
        ("feeds[1]", 1),
        ("feed*/*.csv", 3),
        ("*/*/z.csv", 1),
    ],
)
def test_a_glob_finds_what_it_finds_on_a_disk(
    bucket: Address, object_store: ObjectStore, tmp_path: Path, glob: str, num: int
) -> None:
    for key in ("g/feed1.csv", "g/feed[1].csv", "feeds/a.csv", "feeds/old/z.csv", "feeds[1]/b.csv", "feeds1/c.csv"):
        put_bytes(bucket / key, ROWS.encode())
        (tmp_path / key).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / key).write_text(ROWS)
    for key in ("feeds/old/", "feeds/empty/"):  # as consoles make folders
        client(object_store).put_object(Bucket=bucket.bucket, Key=key)
        (tmp_path / key).mkdir(exist_ok=True)
    found = found_by(f"{bucket}/{glob}")
    assert len(found) == num
    assert found == [f"{bucket}{name.removeprefix(str(tmp_path))}" for name in found_by(f"{tmp_path}/{glob}")]


def test_files_of_a_bucket_are_called_as_those_of_a_folder_are(tmp_path: Path) -> None:
    names = ("alder/feed.csv", "borea/feed.csv")
    local, stored = [tmp_path / name for name in names], [Address("s3", "shop", f"feeds/{name}") for name in names]
    assert labels_of(stored) == labels_of(local) == ["alder", "borea"]
    assert names_of(stored) == names_of(local)
    assert labels_of(stored[:1]) == labels_of(local[:1]) == ["feed"]


def test_a_catalog_in_a_bucket_is_read_as_a_local_one_is(bucket: Address, tmp_path: Path) -> None:
    for name, rows in {"alder/feed.csv": ROWS, "borea/feed.csv": ROWS.replace("lamp", "")}.items():
        (tmp_path / "feeds" / name).parent.mkdir(parents=True)
        (tmp_path / "feeds" / name).write_text(rows)
        put_bytes(bucket / "feeds" / name, rows.encode())
    settings = {"id_per_file": True, "columns": {"product_id": "", "title": "title", "image": "image"}}
    frames, overviews = [], []
    for root in (tmp_path, bucket):
        catalog = open_catalog(CatalogConfig.parse({"path": f"{root}/feeds/*/*.csv", **settings}, source="test"))
        frames.append(pl.concat([pl.DataFrame(pl.from_arrow(batch)) for batch in catalog.batches(100)]))
        overviews.append(read_through(catalog))
    assert frames[0].equals(frames[1])
    assert frames[0].height == 5
    assert str(overviews[1].files[0].path) == f"{bucket}/feeds/alder/feed.csv"
    assert str(cache_folder()) not in repr(overviews[1])


def test_errors_and_lost_rows_name_the_address(bucket: Address) -> None:
    put_bytes(bucket / "page.csv", b"<!doctype html><html></html>")
    with pytest.raises(CatalogError, match=rf"^{bucket}/page.csv: found a web page"):
        open_catalog(CatalogConfig(path=f"{bucket}/page.csv"))
    put_bytes(bucket / "feed.jsonl", b'{"product_id": "1", "title": "a"}\n{"broken\n')
    catalog = open_catalog(CatalogConfig(path=f"{bucket}/feed.jsonl", max_lost_rate=1))
    catalog.check_ids()
    assert str(catalog.skipped_rows.first[0]).startswith(f"{bucket}/feed.jsonl: row 2")


def test_a_catalog_goes_to_a_worker_that_has_no_copy(bucket: Address, object_store: ObjectStore) -> None:
    put_bytes(bucket / "feed.csv", ROWS.encode())
    sent = pickle.dumps(open_catalog(CatalogConfig(path=f"{bucket}/feed.csv")))
    shutil.rmtree(cache_folder())
    assert pickle.loads(sent).check_ids() == 3
    shutil.rmtree(cache_folder())
    put_bytes(bucket / "feed.csv", ROWS.replace("lamp", "desk").encode())
    with pytest.raises(ConflictError, match="somebody else wrote or deleted it meanwhile"):
        pickle.loads(sent).check_ids()


def test_pictures_lie_beside_the_feed(bucket: Address) -> None:
    put_bytes(bucket / "feeds/feed.csv", ROWS.encode())
    put_bytes(bucket / "feeds/pictures/img/1.png", picture())
    catalog = open_catalog(CatalogConfig(path=f"{bucket}/feeds/feed.csv"))
    assert catalog.image_root == bucket / "feeds/pictures"
    given = open_catalog(CatalogConfig(path=f"{bucket}/feeds/feed.csv", image_root=f"{bucket}/elsewhere"))
    assert given.image_root == bucket / "elsewhere"
    with ImageLoader(ImagesConfig(), root=catalog.image_root) as loader:
        assert loader.load("img/1.png") == loader.load("/img/1.png") == loader.load("img\\1.png") == picture()
        assert loader.load("./img//1.png") == loader.load("img/../img/./1.png") == picture()
        assert loader.load(f"{bucket}/feeds/pictures/img/1.png") == picture()
        assert loader.stamp("img/1.png") == ""


def test_the_feed_s_own_folder_counts_before_those_inside_it(bucket: Address, object_store: ObjectStore) -> None:
    rows = "product_id,title,image\n" + "".join(f"{number},shoe {number},img/{number}.png\n" for number in range(6))
    put_bytes(bucket / "shop/feed.csv", rows.encode())
    put_bytes(bucket / "shop/img/5.png", picture())
    for number in range(6):
        put_bytes(bucket / f"shop/archive/img/{number}.png", picture())
    assert open_catalog(CatalogConfig(path=f"{bucket}/shop/feed.csv")).image_root == bucket / "shop"
    delete(bucket / "shop/img/5.png")
    assert open_catalog(CatalogConfig(path=f"{bucket}/shop/feed.csv")).image_root == bucket / "shop/archive"


def test_a_standard_catalog_names_pictures_whatever_their_paths_look_like(
    bucket: Address, object_store: ObjectStore, tmp_path: Path
) -> None:
    values = ["img/0.png", "/img/1.png", "./img/2.png", "img//3.png", "../mag/img/4.png", "img\\5.png", "../../6.png"]
    rows = "product_id,title,image\n" + "".join(f"{number},shoe,{value}\n" for number, value in enumerate(values))
    put_bytes(bucket / "mag/feed.csv", rows.encode())
    for number in range(6):
        put_bytes(bucket / f"mag/img/{number}.png", picture())
    catalog = open_catalog(CatalogConfig(path=f"{bucket}/mag/feed.csv"))
    object_store.requests.clear()
    overview = read_through(catalog, out=tmp_path / "out.parquet")
    assert (overview.num_pictures_looked_for, overview.num_pictures_missing) == (7, 1)
    assert sum(method == "HEAD" for method, _ in object_store.requests) == 6
    written = pl.read_parquet(tmp_path / "out.parquet")["image"].to_list()
    assert written == [*(f"{bucket}/mag/img/{number}.png" for number in range(6)), "../../6.png"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("img/2.png", "no such object"),
        ("../secret.png", "outside the image root"),
        ("img/../../secret.png", "outside the image root"),
        ("../../secret.png", "invalid address"),
        ("img/..", "invalid address"),
        ("s3://{bucket}/secret.png", "outside the image root"),
        ("s3://elsewhere/img/1.png", "outside the image root"),
        ("gs://{bucket}/feeds/img/1.png", "outside the image root"),
        ("s3://key:hunter2@{bucket}/feeds/img/1.png", "invalid address"),
        ("s3://{bucket}/feeds/img/1.png?hunter2", "invalid address"),
        ("img/large.png", "too large"),
        ("img/empty.png", "empty file"),
        ("ftp://host/1.png", "unsupported address"),
    ],
)
def test_a_picture_that_cannot_be_had_has_a_reason(bucket: Address, value: str, reason: str) -> None:
    put_bytes(bucket / "secret.png", picture())
    put_bytes(bucket / "feeds/img/1.png", picture())
    put_bytes(bucket / "feeds/img/large.png", bytes(1001))
    put_bytes(bucket / "feeds/img/empty.png", b"")
    with (
        ImageLoader(ImagesConfig(max_bytes=1000), root=bucket / "feeds") as loader,
        pytest.raises(AbsentImage, match=f"^{reason}") as caught,
    ):
        loader.load(value.replace("{bucket}", bucket.bucket))
    assert "hunter2" not in str(caught.value)


def test_a_local_feed_may_name_objects_where_that_is_allowed(bucket: Address, tmp_path: Path) -> None:
    put_bytes(bucket / "1.png", picture())
    for config, root in ((ImagesConfig(), bucket), (ImagesConfig(allow_outside_root=True), tmp_path)):
        with ImageLoader(config, root=root) as loader:
            assert loader.load(f"{bucket}/1.png") == picture()
    with ImageLoader(ImagesConfig(), root=tmp_path) as loader, pytest.raises(AbsentImage, match="outside"):
        loader.load(f"{bucket}/1.png")


def test_a_store_that_does_not_answer_costs_its_pictures_and_is_then_left_alone(
    bucket: Address, object_store: ObjectStore
) -> None:
    put_bytes(bucket / "1.png", picture())
    config = ImagesConfig(timeout_s=0.2, deadline_s=5, retries=1, max_host_failures=2, host_reset_s=60)
    with ImageLoader(config, root=bucket) as loader:
        object_store.rules.append(failing(1))
        assert loader.load("1.png") == picture()
        object_store.rules[:] = [slow(0.5)]
        for reason in ("no answer in time", "no answer in time", "host does not answer"):
            with pytest.raises(AbsentImage, match=reason):
                loader.load("1.png")


def test_a_bucket_that_cannot_be_asked_ends_the_run_before_it_begins(
    bucket: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CONDITIONAL_PUT", "odd")
    with pytest.raises(ConfigError, match="settings of the environment"):
        ImageLoader(ImagesConfig(), root=bucket)
