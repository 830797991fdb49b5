"""Several worker processes: the same shards as one, and none of them dies unnoticed."""

import logging
import multiprocessing
import os
import signal
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from prodemb.catalog.images import ImagesConfig
from prodemb.catalog.reader import Catalog, CatalogConfig, open_catalog
from prodemb.core.errors import ModelError, WorkerError
from prodemb.embed.embed import embed
from prodemb.shards.reader import open_shard_set
from tests.embed.conftest import MakeCatalog, config_for, contents, run
from tests.embed.executors.odd_catalog import OddCatalog
from tests.fuzz.hostile_pictures import BUILDERS


def workers_left() -> list[str]:
    names = [child.name for child in multiprocessing.active_children()]
    return [name for name in names if name.startswith("prodemb worker")]


class LoudCatalog(Catalog):
    """A catalog that warns of its rows in a process that is not the first."""

    def batches(
        self, num_rows: int, *, columns: Iterable[str] | None = None, start: int = 0, stop: int | None = None
    ) -> Iterator[pa.Table]:
        if multiprocessing.parent_process() is not None:
            logging.getLogger("prodemb.catalog.reader").warning("%s: odd rows", self.name)
        yield from super().batches(num_rows, columns=columns, start=start, stop=stop)


@pytest.mark.slow
def test_two_workers_make_the_same_files_as_one_and_log_here_and_print_nothing(
    make_catalog: MakeCatalog,
    tiny_clip: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    pl.read_parquet(make_catalog(100)).write_csv(catalog := tmp_path / "catalog.csv")
    (tmp_path / "images" / "4.jpg").write_bytes(BUILDERS["jpeg exif bomb"]())
    with warnings.catch_warnings(action="ignore"):  # pytest would make the picture an error in this process alone
        one = run(catalog, tmp_path / "one", tiny_clip)
    plain = open_catalog(CatalogConfig(path=str(catalog)))
    loud = LoudCatalog(plain.config, plan=plain.plan)
    capfd.readouterr()
    two = embed(config_for(tmp_path / "two", tiny_clip, workers=2), catalog=loud, images=ImagesConfig())
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert (one.num_workers, two.num_workers) == (1, 2)
    assert two.num_new == one.num_new == 100
    assert two.timings.num_texts == one.timings.num_texts
    assert run(catalog, tmp_path / "two", tiny_clip, workers=2).num_new == 0
    # Each reading warns, and a worker that ends early takes over rows of the other one: two or three readings.
    assert set(caplog.record_tuples) == {("prodemb.catalog.reader", logging.WARNING, f"{plain.name}: odd rows")}
    printed = capfd.readouterr()
    assert "odd rows" not in printed.err
    assert "Warning" not in printed.out + printed.err


def is_killed(_folder: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.usefixtures("warm_processes")
def test_a_killed_worker_ends_the_run_and_the_next_one_goes_on(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path
) -> None:
    catalog, out = make_catalog(100), tmp_path / "shards"
    odd = OddCatalog(catalog, happens=is_killed, home=os.getpid())
    with pytest.raises(WorkerError, match=r"prodemb worker \d was killed by signal SIGKILL; possibly out of memory"):
        embed(config_for(out, tiny_clip, workers=2), catalog=odd, images=ImagesConfig())
    assert not workers_left()
    report = run(catalog, out, tiny_clip)
    assert 0 < report.num_new <= 100
    run(catalog, tmp_path / "whole", tiny_clip)
    assert contents(out) == contents(tmp_path / "whole")
    assert open_shard_set(out).num_products == 100


@pytest.mark.usefixtures("warm_processes")
def test_what_a_worker_raises_is_raised(make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path) -> None:
    (tiny_copy := tmp_path / "clip").mkdir()
    for path in tiny_clip.iterdir():
        (tiny_copy / path.name).write_bytes(path.read_bytes())
    weights = tiny_copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])
    with pytest.raises(ModelError, match="cannot be loaded"):
        run(make_catalog(40), tmp_path / "shards", tiny_copy, workers=2)
    assert not workers_left()
