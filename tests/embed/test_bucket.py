"""Stage one into a bucket: the objects are the files of a local run, whatever happens on the way."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from prodemb.catalog.images import ImagesConfig
from prodemb.catalog.reader import CatalogConfig, open_catalog
from prodemb.core.errors import BusyError, OutputError, ShardError
from prodemb.embed.embed import embed
from prodemb.shards.bucket import LEASE_NAME
from prodemb.shards.files import hold_shards
from prodemb.shards.format import MANIFEST_NAME, UPDATE_NAME, read_manifest
from prodemb.shards.reader import open_shard_set
from prodemb.shards.verify import verify
from prodemb.storage.address import Address
from prodemb.storage.cache import cache_folder
from prodemb.storage.objects import exists, listing, put_bytes, read
from tests.conftest import jpeg
from tests.embed.conftest import MakeCatalog, config_for, contents, estimated, killed_run, run
from tests.embed.test_update import edit
from tests.object_store import SECRET, ObjectStore, every, slow


def objects(folder: Address, *, hidden: bool = False) -> dict[str, bytes]:
    """What lies there."""
    start = len(folder.key) + 1
    found = {info.address.key[start:]: info.address for info in listing(folder)}
    return {name: read(address).content for name, address in found.items() if hidden or not name.startswith(".")}


def num_recorded(folder: Address) -> int:
    return len(read_manifest(folder).shards) if exists(folder / MANIFEST_NAME) else 0


def test_objects_are_the_files_of_a_local_run(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path, bucket: Address, object_store: ObjectStore
) -> None:
    catalog, out = make_catalog(40), bucket / "shards" / "clip"
    run(catalog, tmp_path / "local", tiny_clip)
    assert estimated(catalog, out, tiny_clip).free_bytes is None
    assert not list(listing(bucket))
    run(catalog, out, tiny_clip)
    assert objects(out) == contents(tmp_path / "local")
    object_store.requests.clear()
    assert run(catalog, out, tiny_clip).num_new == 0
    assert objects(out) == contents(tmp_path / "local")
    before = object_store.requests[: -len(contents(tmp_path / "local"))]
    assert not [path for method, path in before if method == "GET" and "part-" in path]  # nothing was fetched again


def test_a_killed_run_goes_on_where_it_stopped(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path, bucket: Address
) -> None:
    catalog, out = make_catalog(160), bucket / "shards"
    run(catalog, tmp_path / "local", tiny_clip)
    assert killed_run(catalog, out, tiny_clip, when=lambda: num_recorded(out) >= 2)
    num_done = num_recorded(out)
    assert not read_manifest(out).complete
    with pytest.raises(ShardError, match="unfinished"):
        open_shard_set(out)
    assert run(catalog, out, tiny_clip).num_new == 160 - 16 * num_done
    assert objects(out) == contents(tmp_path / "local")
    assert not list((cache_folder() / "scratch").glob("*/.*"))


def test_an_update_takes_the_vectors_that_are_there_and_who_reads_the_old_set_is_told(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path, bucket: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog, local, out = make_catalog(64), tmp_path / "local", bucket / "shards"
    for folder in (local, out):
        run(catalog, folder, tiny_clip)
    before = open_shard_set(out)
    titles = before.vectors("title")
    edit(catalog, product="p3", title="green lamp")
    edit(catalog, product="p60", title="blue lamp")
    reports = [run(catalog, folder, tiny_clip) for folder in (local, out)]
    assert reports[0].manifest == reports[1].manifest
    assert reports[1].num_new == 32
    assert objects(out) == contents(local)
    assert not exists(out / UPDATE_NAME)
    assert np.array_equal(before.vectors("title"), titles)  # all of it is in the cache here
    monkeypatch.setenv("PRODEMB_CACHE", str(tmp_path / "another machine"))
    reading = before.shards()
    with pytest.raises(ShardError, match=f"^{out}: was updated while it was read; run again$"):
        list(reading)
    assert np.array_equal(open_shard_set(out).vectors("title"), open_shard_set(local).vectors("title"))


def test_a_damaged_object_is_found_and_made_again(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path, bucket: Address, caplog: pytest.LogCaptureFixture
) -> None:
    catalog, out = make_catalog(40), bucket / "shards"
    run(catalog, out, tiny_clip)
    assert verify(bucket) == []
    good, shard = objects(out), out / "part-00001.parquet"
    damaged = bytearray(good[shard.name])
    damaged[700] ^= 1
    put_bytes(shard, bytes(damaged))
    assert open_shard_set(out).num_products == 40
    assert verify(out) == [f"{shard}: altered: its checksum is not the recorded one; embed again to redo it"]
    assert run(catalog, out, tiny_clip).num_new == 16
    assert "damaged and made again: 1 shard" in caplog.text
    assert objects(out) == good
    put_bytes(out / MANIFEST_NAME, b"{")
    assert run(catalog, out, tiny_clip).num_new == 0
    assert objects(out) == good
    assert verify(out) == []


@pytest.mark.slow
@pytest.mark.usefixtures("warm_processes")
def test_several_processes_upload_and_failed_pictures_are_tried_again(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path, bucket: Address
) -> None:
    catalog, local, out = make_catalog(48), tmp_path / "local", bucket / "shards"
    picture = tmp_path / "images" / "5.jpg"
    picture.write_bytes(b"no picture")
    run(catalog, local, tiny_clip)
    run(catalog, out, tiny_clip, workers=2)
    assert objects(out) == contents(local)
    picture.write_bytes(jpeg(77))
    for folder in (local, out):
        config, opened = config_for(folder, tiny_clip), open_catalog(CatalogConfig(path=str(catalog)))
        report = embed(config, catalog=opened, images=ImagesConfig(), retry="failed")
        assert (report.timings.num_texts, report.timings.num_images) == (0, 1)
    assert objects(out) == contents(local)


def test_failures_and_slow_answers_change_nothing(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path, bucket: Address, object_store: ObjectStore
) -> None:
    catalog, out = make_catalog(40), bucket / "shards"
    run(catalog, tmp_path / "local", tiny_clip)
    object_store.rules += [every(5), slow(0.02)]
    run(catalog, out, tiny_clip)
    edit(catalog, product="p3", title="green lamp")
    run(catalog, out, tiny_clip)
    object_store.rules.clear()
    run(catalog, tmp_path / "local", tiny_clip)
    assert objects(out) == contents(tmp_path / "local")
    assert verify(out) == []


def test_a_run_whose_lease_was_stolen_ends_and_changes_nothing(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path, bucket: Address
) -> None:
    catalog, out = make_catalog(64), bucket / "shards"
    run(catalog, tmp_path / "local", tiny_clip)
    has_stolen = False

    def steal(done: int, _total: int | None) -> None:
        nonlocal has_stolen
        if done >= 32 and not has_stolen:
            has_stolen = True
            owner = json.loads(read(out / LEASE_NAME).content)
            put_bytes(out / LEASE_NAME, json.dumps(owner | {"released": True}).encode())
            run(catalog, out, tiny_clip)

    opened = open_catalog(CatalogConfig(path=str(catalog)))
    message = rf"^{out}/manifest.json: another run has written it meanwhile; this one ends, and what it has"
    with pytest.raises(BusyError, match=message):
        embed(config_for(out, tiny_clip), catalog=opened, images=ImagesConfig(), on_progress=steal)
    assert has_stolen
    assert objects(out) == contents(tmp_path / "local")
    assert verify(out) == []


def test_a_second_run_is_refused_until_the_lease_expires(
    make_catalog: MakeCatalog, tiny_clip: Path, bucket: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog, out = make_catalog(2), bucket / "shards"
    with hold_shards(out), pytest.raises(BusyError, match=rf"^{out}: another run is writing it: process \d+ of "):
        run(catalog, out, tiny_clip)
    owner = json.loads(read(out / LEASE_NAME).content) | {"released": False, "process": "another machine", "seconds": 1}
    put_bytes(out / LEASE_NAME, json.dumps(owner).encode())
    with pytest.raises(BusyError, match=r"if it was killed, try again in \d+ s$"):
        run(catalog, out, tiny_clip)
    monkeypatch.setattr("prodemb.storage.lease.MARGIN_SECONDS", -9)
    assert run(catalog, out, tiny_clip).num_new == 2


def test_what_prodemb_did_not_make_stays(make_catalog: MakeCatalog, tiny_clip: Path, bucket: Address) -> None:
    catalog, out = make_catalog(20), bucket / "shards"
    put_bytes(out / "holiday.txt", b"sunny")
    with pytest.raises(OutputError, match=rf"^{out}: holds what prodemb did not make \(holiday.txt\); wanted an empty"):
        run(catalog, out, tiny_clip)
    assert objects(out, hidden=True) == {"holiday.txt": b"sunny"}
    other = bucket / "other"
    run(catalog, other, tiny_clip)
    made = objects(other)
    put_bytes(other / "part-00007.parquet", made["part-00000.parquet"])  # of a killed run
    put_bytes(other / "notes" / "part-00008.parquet", b"mine")
    put_bytes(other / ".temporary" / "index", b"of a killed run")
    run(catalog, other, tiny_clip)
    assert objects(other) == made | {"notes/part-00008.parquet": b"mine"}
    assert not exists(other / ".temporary" / "index")
    put_bytes(other / "part-00009.parquet", b"mine")
    with pytest.raises(OutputError, match=f"^{other}/part-00009.parquet: prodemb did not make it"):
        run(catalog, other, tiny_clip)


def test_no_secret_is_written_or_logged(
    make_catalog: MakeCatalog, tiny_clip: Path, bucket: Address, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    out = bucket / "shards"
    run(make_catalog(20), out, tiny_clip)
    written = b"".join(objects(out, hidden=True).values())
    for secret in (SECRET, "AKIDEXAMPLE", "127.0.0.1"):
        assert secret.encode() not in written
    assert SECRET not in caplog.text
    assert str(cache_folder()).encode() not in written
