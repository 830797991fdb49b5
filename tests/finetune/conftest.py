"""Finished runs that many tests look at, compare with or start from; each is trained once."""

import shutil
from pathlib import Path

import pytest

from prodemb.finetune.report import FinetuneReport
from tests.finetune.shop import ALL_AT_ONCE, SMALL, run, write_catalog

Finished = tuple[FinetuneReport, Path]
"""A run's report and its checkpoint folder."""


@pytest.fixture(scope="session")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop's catalog, which nobody changes."""
    return write_catalog(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="session")
def small_run(catalog: Path, tiny_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A short run of one process with whole batches."""
    out = tmp_path_factory.mktemp("small") / "out"
    return run(catalog, tiny_clip, out, **SMALL), out


@pytest.fixture
def finished(small_run: Finished, tmp_path: Path) -> Finished:
    """The short run's checkpoint at `tmp_path / "out"`, for tests that go on from there."""
    report, folder = small_run
    return report, Path(shutil.copytree(folder, tmp_path / "out"))


@pytest.fixture(scope="session")
def whole_run(catalog: Path, tiny_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A run of two epochs that nothing has interrupted."""
    out = tmp_path_factory.mktemp("whole") / "out"
    return run(catalog, tiny_clip, out, wise_ft_alphas=[1.0]), out


@pytest.fixture(scope="session")
def run_of_all(catalog: Path, tiny_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A run with all options that nothing has interrupted."""
    out = tmp_path_factory.mktemp("all") / "out"
    return run(catalog, tiny_clip, out, **ALL_AT_ONCE), out
