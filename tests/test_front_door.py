"""The functions of `import prodemb`: every example runs as it is written, and importing loads nothing heavy."""

import doctest
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import prodemb
from prodemb.core.errors import CatalogError, ConfigError
from prodemb.heads import fit
from prodemb.sample.catalog import write_sample

STEPS = ("open_catalog", "embed", "open_shards", "train", "load_head", "score", "Predictor")
"""In the order in which each finds what the ones before it made."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    write_sample(folder / "sample", num_products=240, seed=5)
    return folder


@pytest.fixture(scope="module")
def failures(folder: Path) -> list[str]:
    """What is said by examples that fail; all of them leave shards, heads and predictions in `folder`.

    Heads train as briefly as heads of the most products do.
    """
    failed = list[str]()
    with chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "_MOST_EPOCHS", fit._FEWEST_EPOCHS)
        for name in STEPS:
            (example,) = doctest.DocTestFinder(recurse=False).find(getattr(prodemb, name), name, globs={})
            assert 3 <= len(example.examples) <= 4
            runner = doctest.DocTestRunner()
            runner.run(example, out=failed.append)
    return failed


def test_every_function_has_an_example() -> None:
    assert sorted(STEPS) == sorted(prodemb.__all__)


@pytest.mark.slow
def test_every_example_runs(failures: list[str]) -> None:
    assert not failures, "".join(failures)


@pytest.mark.slow
@pytest.mark.usefixtures("failures")
def test_what_was_made_can_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    shards = prodemb.open_shards("shards/clip")
    titles = shards.vectors("title")
    assert (titles.shape, titles.dtype, titles.flags.owndata) == ((240, 128), np.float16, False)
    table = shards.frame()
    catalog = pl.read_parquet("sample/catalog.parquet")
    assert table["product_id"].to_list() == catalog["product_id"].to_list()
    assert table["raw_title"].to_list() == catalog["title"].to_list()
    again = prodemb.score(shards, "again.parquet", heads=["heads/brand"], device="cpu")
    assert not again.was_done
    assert pl.read_parquet("again.parquet").equals(pl.read_parquet("out.parquet"))


def test_settings_and_columns_are_those_of_a_pipeline_file(folder: Path, tmp_path: Path) -> None:
    renamed = pl.read_parquet(folder / "sample" / "catalog.parquet").head(12).rename({"title": "name"})
    renamed.write_csv(tmp_path / "own.csv")
    catalog = prodemb.open_catalog(tmp_path / "own.csv", columns={"title": "name"})
    report = prodemb.embed(catalog, tmp_path / "shards", settings={"embed": {"features": ["title"], "shard_size": 5}})
    assert (report.manifest.shard_schema.features, len(report.manifest.shards)) == (("title",), 3)
    assert prodemb.open_shards(tmp_path / "shards").vectors("title").shape == (12, 128)


def test_mistakes_name_what_was_found(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"nowhere\.csv: no such file"):
        prodemb.open_catalog(tmp_path / "nowhere.csv")
    with pytest.raises(ConfigError, match=r"open_catalog: columns: found the column 'titel'; did you mean 'title'\?"):
        prodemb.open_catalog("a.csv", columns={"titel": "name"})
    with pytest.raises(ConfigError, match=r"train: \[train\] epoch: no such key; did you mean 'epochs'\?"):
        prodemb.train("brand", tmp_path, settings={"train": {"epoch": 3}})
    with pytest.raises(AttributeError, match="has no attribute 'scores'"):
        _ = prodemb.scores


def test_importing_loads_nothing_heavy() -> None:
    program = (
        "import sys, time; started = time.perf_counter(); import prodemb; seconds = time.perf_counter() - started;"
        "heavy = {'torch', 'transformers', 'pyarrow', 'polars', 'numpy', 'pydantic', 'rich'} & set(sys.modules);"
        "assert not heavy, heavy; assert seconds < 0.1, seconds;"
        "assert set(prodemb.__all__) <= set(dir(prodemb))"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.slow
@pytest.mark.usefixtures("failures")
def test_shards_are_opened_without_torch(folder: Path) -> None:
    program = (
        "import sys, prodemb; prodemb.open_catalog('sample/catalog.parquet');"
        "prodemb.open_shards('shards/clip').vectors('image'); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], cwd=folder, check=True, timeout=60)


def test_the_functions_stay_functions_when_the_subpackages_of_their_names_are_used() -> None:
    program = (
        "import prodemb; import prodemb.embed.embed, prodemb.score.score; from prodemb.embed.config import EmbedConfig;"
        "assert all(callable(getattr(prodemb, name)) for name in prodemb.__all__);"
        "from prodemb import embed, score; assert callable(embed) and callable(score)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
