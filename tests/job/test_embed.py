"""Stage one of a pipeline: what is missing is an error before anything is shown."""

from contextlib import AbstractContextManager

import pytest

from prodemb.catalog.reader import CatalogConfig
from prodemb.core.errors import CatalogError
from prodemb.core.progress import ProgressCallback
from prodemb.job.embed import embed_catalog
from prodemb.job.pipeline import Pipeline


def must_not_be_called(_title: str) -> AbstractContextManager[ProgressCallback]:
    raise AssertionError("nothing is to be shown")


def test_of_a_missing_catalog_there_is_nothing_but_the_error() -> None:
    pipeline = Pipeline(target="brand", catalog=CatalogConfig(path="nowhere.csv"))
    with pytest.raises(CatalogError, match=r"nowhere\.csv: no such file"):
        embed_catalog(pipeline, progress=must_not_be_called)
