"""Stage one of a pipeline: what is missing is an error before anything is shown, in a dry run too."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from prodemb.catalog.reader import CatalogConfig
from prodemb.core.errors import CatalogError, TaxonomyError
from prodemb.core.progress import ProgressCallback, no_progress
from prodemb.heads.train import TrainConfig
from prodemb.job.embed import embed_catalog, estimate_catalog
from prodemb.job.pipeline import Pipeline
from prodemb.shards.paths import PATHS_NAME
from tests.finetune.shop import PATHS
from tests.job.shop_pipeline import make_pipeline


def must_not_be_called(_title: str) -> AbstractContextManager[ProgressCallback]:
    raise AssertionError("nothing is to be shown")


@pytest.mark.parametrize("work", [embed_catalog, estimate_catalog])
def test_of_what_is_missing_there_is_nothing_but_the_error(work: Callable[..., object], tmp_path: Path) -> None:
    pipeline = Pipeline(target="brand", catalog=CatalogConfig(path="nowhere.csv"))
    with pytest.raises(CatalogError, match=r"nowhere\.csv: no such file"):
        work(pipeline, progress=must_not_be_called)
    (tmp_path / "c.csv").write_text("product_id,title\na,b\n")
    catalog, train = CatalogConfig(path=str(tmp_path / "c.csv")), TrainConfig(taxonomy="none.txt")
    with pytest.raises(TaxonomyError, match=r"none\.txt: no such taxonomy file"):
        work(Pipeline(target="category", catalog=catalog, train=train), progress=must_not_be_called)


def test_a_dry_run_counts_the_names_that_the_run_then_encodes(tiny_clip: Path, tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path, tiny_clip)
    assert estimate_catalog(pipeline, progress=no_progress).num_names == 2 * len(PATHS)
    embed_catalog(pipeline, progress=no_progress)
    found = estimate_catalog(pipeline, progress=no_progress)
    assert (found.num_shards, found.num_names) == (0, 0)
    (tmp_path / "shards" / PATHS_NAME).write_bytes(b"damaged")
    assert estimate_catalog(pipeline, progress=no_progress).num_names == 2 * len(PATHS)
    no_tower = pipeline.replaced({"embed": {"features": ["lexical"], "out": str(tmp_path / "words")}}, source="test")
    assert estimate_catalog(no_tower, progress=no_progress).num_names == 0
