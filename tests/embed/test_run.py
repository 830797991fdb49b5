"""What a run writes down while it goes on, so that the next one knows what is done."""

from pathlib import Path

import pytest

from prodemb.catalog.images import ImagesConfig
from prodemb.catalog.reader import CatalogConfig, open_catalog
from prodemb.core.errors import ConfigError
from prodemb.embed import plan
from prodemb.embed import run as embed_run
from prodemb.embed.embed import embed
from prodemb.shards.format import MANIFEST_NAME, Manifest, read_manifest
from tests.embed.conftest import MakeCatalog, config_for, contents, run


class StoppedError(Exception):
    """The run is stopped."""


def test_several_shards_are_written_down_at_a_time_and_all_of_them_where_the_run_ends_early(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog, out = make_catalog(100), tmp_path / "shards"
    run(catalog, tmp_path / "whole", tiny_clip)
    written: list[int] = []
    write = Manifest.write

    def noting(manifest: Manifest, folder: Path, *, name: str = MANIFEST_NAME) -> None:
        written.append(len(manifest.shards))
        write(manifest, folder, name=name)

    def stop(done: int, total: int | None) -> None:
        if done > 80:
            raise StoppedError

    monkeypatch.setattr(Manifest, "write", noting)
    monkeypatch.setattr(embed_run, "JOURNAL_SHARE", 1e-9)
    products = open_catalog(CatalogConfig(path=str(catalog)))
    with pytest.raises(StoppedError):
        embed(config_for(out, tiny_clip), catalog=products, images=ImagesConfig(), on_progress=stop)
    first, last = written
    assert first == 0
    assert 3 <= last == len(read_manifest(out).shards) < 7
    report = run(catalog, out, tiny_clip)
    assert report.num_new == 100 - 16 * last
    assert written[2:] == [last, 7, 7]
    assert contents(out) == contents(tmp_path / "whole")


def test_more_shards_than_a_set_holds_are_refused_before_the_work(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "MAX_SHARDS", 4)
    wanted = r"found 16, with which 100 products are 7 shards, and a set holds 4 at most; wanted 25 or more"
    with pytest.raises(ConfigError, match=wanted):
        run(make_catalog(100), tmp_path / "shards", tiny_clip)
    monkeypatch.setattr(plan, "MAX_PRODUCTS", 24)
    with pytest.raises(ConfigError, match="wanted fewer products, in a set for each part of the catalog"):
        run(make_catalog(100), tmp_path / "shards", tiny_clip)
