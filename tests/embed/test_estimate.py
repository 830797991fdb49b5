"""A dry run: as long as the run takes, roughly, and it leaves everything as it is."""

import tempfile
from collections import Counter
from pathlib import Path

import pytest

from prodemb.catalog.images import ImagesConfig
from prodemb.core.errors import CatalogError, FingerprintError, ShardError
from prodemb.embed.estimate import _fetching, _scaled, _seconds
from prodemb.embed.executors.pace import Pace
from prodemb.embed.pace import Round
from prodemb.embed.worker import Timings
from prodemb.embed.workload import Workload
from prodemb.shards.format import MANIFEST_NAME
from tests.conftest import make_clip
from tests.embed.conftest import MakeCatalog, contents, estimated, run

ROUND = Round(
    num_products=10,
    num_pictures=10,
    num_words=10,
    seconds=3.0,
    timings=Timings(
        decoding=1.0, text_tower=3.0, image_tower=1.0, hashing=1.0, num_texts=20, num_images=10, num_tower_threads=2
    ),
)


PACE = Pace(sample=ROUND, loading_s=5.0, dim=24, text_dim=0, device="cpu", dtype="float32", host="here")


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def test_nothing_is_written(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    catalog, out = make_catalog(20), tmp_path / "shards"
    before = files(tmp_path)
    found = estimated(catalog, out, tiny_clip)
    assert files(tmp_path) == before
    assert not out.exists()
    assert (found.num_shards, found.model, found.device, found.dtype) == (2, str(tiny_clip), "cpu", "float32")
    assert 0 < found.seconds[0] < found.seconds[1] < 60
    assert found.bottleneck
    assert 20 * 2 * (7 * 24 + 1024) < found.num_bytes < found.free_bytes
    run(catalog, out, tiny_clip)
    made = contents(out), files(out)
    assert estimated(make_catalog(30), out, tiny_clip).num_shards == 2
    assert (contents(out), files(out)) == made
    assert not files(temporary)


def test_of_a_set_that_is_up_to_date_there_is_nothing_to_measure(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path
) -> None:
    catalog, out = make_catalog(20), tmp_path / "shards"
    run(catalog, out, tiny_clip)
    found = estimated(catalog, out, tiny_clip)
    assert (found.num_shards, found.sample, found.seconds, found.bottleneck, found.num_bytes) == (
        0,
        None,
        (0, 0),
        None,
        0,
    )
    assert found.workload.num_products == 20


def test_what_a_run_would_refuse_is_refused(make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path) -> None:
    catalog, out = make_catalog(20), tmp_path / "shards"
    run(catalog, out, tiny_clip)
    with pytest.raises(FingerprintError, match="holds vectors of"):
        estimated(catalog, out, make_clip(tmp_path / "other", seed=3))
    damaged = (out / MANIFEST_NAME).read_text().replace('"shards"', '"sharks"')
    (out / MANIFEST_NAME).write_text(damaged)
    with pytest.raises(ShardError, match=MANIFEST_NAME):
        estimated(catalog, out, tiny_clip)
    assert (out / MANIFEST_NAME).read_text() == damaged
    (tmp_path / "empty.csv").write_text("product_id,title\n")
    with pytest.raises(CatalogError, match="found no product"):
        estimated(tmp_path / "empty.csv", out, tiny_clip)


def test_time_grows_with_the_work_and_threads_run_side_by_side() -> None:
    work = Workload(num_todo=1000, num_texts=2000, num_images=1000, num_words=1000, num_local=1000, reading_s=1.0)
    timings = _scaled(ROUND, workload=work)
    assert (timings.text_tower, timings.image_tower, timings.decoding, timings.hashing) == (300, 100, 100, 100)
    assert _scaled(ROUND, workload=work, num_names=1000).text_tower == 450
    assert _scaled(ROUND, workload=work, num_alike=3).num_tower_threads == 6
    least, most = _seconds(timings, pace=PACE, num_alike=1, fetching=(0, 0))
    assert least < 305 < most  # 3 s for 10 products of which there are 1,000
    assert _seconds(timings, pace=PACE, num_alike=1, fetching=(400, 4000)) == (405, 4005)
    least, most = _seconds(timings, pace=PACE, num_alike=10, fetching=(0, 0))
    assert least < 35 < most < 60


@pytest.mark.parametrize(
    ("hosts", "most"),
    [
        ({}, 0),
        ({"a": 1000}, 200),  # half of ten threads
        ({"a": 500, "b": 500}, 150),  # a third of them each
        ({"a": 999, "b": 1}, 200),
        ({f"{number}": 100 for number in range(100)}, 1000),
    ],
)
def test_the_host_with_most_pictures_decides_how_long_fetching_takes(hosts: dict[str, int], most: float) -> None:
    images = ImagesConfig(concurrency=10, host_share=0.5)
    found = _fetching(Workload(num_remote=sum(hosts.values()), hosts=Counter(hosts)), images=images)
    assert found == pytest.approx((most / 10, most), rel=0.01)
