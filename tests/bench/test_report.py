"""A row that fails is printed as failed, with its reason, in tables and JSON, and the bench exits with status 1."""

import argparse
import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest

from prodemb.core.errors import CatalogError


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(Path(__file__).parent)
    return importlib.import_module("report")


def run(report: ModuleType, *, as_json: bool) -> None:
    """A bench with a row that works and one that does not."""

    def broken() -> float:
        raise ValueError("found 2,\nwanted 3")

    with report.reporting(argparse.Namespace(json=as_json)) as one:
        rows = {"good": one.attempt("good", lambda: 1.5), "bad": one.attempt("bad", broken)}
        one.add(report.table(["row", "rate"], rows, cells=lambda rate: [report.figure(rate)]), rows=rows)


def test_a_failed_row_is_printed_in_its_table(report: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(report, as_json=False)
    assert ended.value.code == 1
    output = capsys.readouterr()
    lines = output.out.splitlines()
    assert lines[-5:] == ["row   rate", "good  1.50", "bad   FAILED: ValueError: found 2,", "", lines[-1]]
    assert lines[-1] == "FAILED bad: ValueError: found 2,"
    assert output.err == "bad: FAILED: ValueError: found 2,\n"


def test_a_failed_row_is_in_the_json(report: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(report, as_json=True)
    assert ended.value.code == 1
    figures = json.loads(capsys.readouterr().out)
    assert figures["rows"] == {"good": 1.5, "bad": {"reason": "ValueError: found 2,"}}
    assert figures["failed"] == {"bad": "ValueError: found 2,"}
    assert figures["machine"]["num_cores"] >= 1


def test_an_input_that_cannot_be_read_is_one_line(report: ModuleType) -> None:
    with (
        pytest.raises(SystemExit, match=r"^no such catalog$"),
        report.reporting(argparse.Namespace(json=False)),
    ):
        raise CatalogError("no such catalog")


def test_a_process_that_fails_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parent)
    measure = importlib.import_module("measure")
    script = tmp_path / "child.py"
    script.write_text("import sys\nsys.exit('out of cheese')\n")
    with pytest.raises(measure.RowError, match=r"^its process ended with status 1: out of cheese$"):
        measure.in_own_process(str(script))
