"""Quietly, only what was asked for is printed; `--log-json` is valid JSON lines whatever happens and nothing else."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from prodemb.cli import app, manner
from prodemb.cli.display import LogHandler
from prodemb.taxonomy.taxonomy import sample_taxonomy
from tests.command_line import prodemb
from tests.docs.pages import DOCS
from tests.shard_sets import write_random_set
from tests.towers.open_clip_folder import CLIP_CONFIG, write_open_clip

PAGE = next(page for page in DOCS if page.path.stem == "automation")
ABOUT, EVENTS = {*PAGE.first_column("key")}, {*PAGE.first_column("event")}
"""What every event holds, and which ones there are, as people are told."""
HOSTILE = 'product_id,title,"a\n{""event"": ""end""}","\ud83d\x1b[31m","https://ann:secret@a.example/x?sig=secret"\n'


def events_of(printed: str) -> list[dict[str, Any]]:
    """The events of a command; fails unless each line is strict JSON."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    events = [json.loads(line, parse_constant=refuse) for line in printed.splitlines()]
    assert all(event.keys() >= ABOUT for event in events)
    assert {event["event"] for event in events} <= EVENTS
    assert [event["event"] for event in events].index("end") == len(events) - 1
    return events


@pytest.mark.parametrize("words", [("--quiet", "embed"), ("embed", "--quiet")])
def test_a_quiet_command_prints_nothing_but_warnings_and_errors(
    make_catalog: Callable[[int], Path], tiny_clip: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    catalog = make_catalog(12)
    made = prodemb(*words, catalog, "--out", "shards", "--model", tiny_clip, cwd=tmp_path)
    assert (made.returncode, made.stdout, made.stderr) == (0, "", "")
    failed = prodemb(*words, "none.csv", cwd=tmp_path)
    assert (failed.returncode, failed.stdout) == (4, "")
    assert failed.stderr == "prodemb: error: none.csv: no such file; found there: catalog.parquet\n"


def test_a_quiet_command_still_answers_what_it_was_asked(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("product_id,title\na,b\n")
    shards = tmp_path / "shards"
    write_random_set(shards)
    assert "1 row -> 1 product" in prodemb("read", "c.csv", "--quiet", cwd=tmp_path).stdout
    assert prodemb("read", "c.csv", "p.parquet", "--quiet", cwd=tmp_path).stdout == ""
    assert "fingerprint clip" in prodemb("inspect", shards, "--quiet", cwd=tmp_path).stdout
    assert prodemb("verify", shards, "--quiet", cwd=tmp_path).stdout == ""
    part = next(shards.glob("part-*.parquet"))
    part.write_bytes(part.read_bytes()[:-1])
    damaged = prodemb("verify", shards, "--quiet", cwd=tmp_path)
    assert (damaged.returncode, damaged.stdout.count("\n"), damaged.stderr) == (6, 1, "")
    assert str(part) in damaged.stdout


@pytest.mark.parametrize("words", [("--log-json", "embed"), ("embed", "--log-json")])
def test_events_say_what_begins_how_far_it_is_and_what_came_of_it(
    make_catalog: Callable[[int], Path], tiny_clip: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    catalog = make_catalog(12)
    made = prodemb(*words, catalog, "--out", "shards", "--model", tiny_clip, cwd=tmp_path)
    assert (made.returncode, made.stderr) == (0, "")
    events = events_of(made.stdout)
    assert {(event["command"], event["step"], event["where"]) for event in events} == {("embed", "embed", "shards")}
    first, *_, last = events
    assert (first["event"], last["event"], last["status"]) == ("started", "end", 0)
    progress = [event for event in events if event["event"] == "progress" and event["doing"] == "Embedding"]
    assert 1 <= len(progress) <= 2 + progress[-1]["seconds"]
    assert (progress[-1]["done"], progress[-1]["total"]) == (12, 12)
    (result,) = (event for event in events if event["event"] == "result")
    assert (result["was_done"], result["num_products"], result["num_new"]) == (False, 12, 12)
    assert result["missing"]["image"] == {"file not found": 2}
    assert any("12 products in 1 shard" in event["text"] for event in events if event["event"] == "text")


@pytest.mark.parametrize(
    ("words", "where", "figures"),
    [
        (("sample", "shop", "--products", "3"), "shop", {"catalog": "shop/catalog.parquet"}),
        (("taxonomy", "t.txt"), "t.txt", {"num_categories": len(sample_taxonomy())}),
        (("init", "c.csv"), "pipelines", {"files": ["pipelines/brand.toml", "pipelines/category.toml"], "kept": []}),
        (("convert", "clip", "made"), "made", {"folder": "made", "model_type": "clip", "dim": 24}),
    ],
)
def test_what_prepares_a_project_is_a_step_with_a_result_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], where: str, figures: dict[str, Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("prodemb.taxonomy.taxonomy.fetch_taxonomy", lambda _locale, *, out: sample_taxonomy())
    Path("c.csv").write_text("product_id,title\na,b\n")
    write_open_clip(tmp_path / "clip", config=CLIP_CONFIG)
    with manner.speaking():
        done = CliRunner().invoke(app, [*words, "--log-json"])
    assert done.exit_code == 0, done.exception
    first, *others = map(json.loads, done.stdout.splitlines())
    assert (first["event"], first["step"], first["where"]) == ("started", words[0], where)
    (result,) = (event for event in others if event["event"] == "result")
    assert result.items() >= figures.items()


def test_an_error_is_an_event_and_the_last_one_has_the_status(tmp_path: Path) -> None:
    failed = prodemb("--log-json", "embed", "none.csv", cwd=tmp_path)
    assert (failed.returncode, failed.stderr) == (4, "")
    *_, error, end = events_of(failed.stdout)
    assert (error["event"], error["kind"], error["status"]) == ("error", "CatalogError", 4)
    assert error["text"].startswith("none.csv: no such file; ")
    assert end["status"] == 4
    wrong = prodemb("--log-json", "embed", "--no-such-option", cwd=tmp_path)
    assert wrong.returncode == 2
    assert [event["status"] for event in events_of(wrong.stdout)] == [2]
    late = prodemb("embed", "--no-such-option", "--log-json", cwd=tmp_path)
    assert [event["status"] for event in events_of(late.stdout)] == [2]
    address = prodemb("embed", "https://ann:secret@a.example/x", "--log-json", cwd=tmp_path)
    assert [event["event"] for event in events_of(address.stdout)] == ["error", "end"]
    assert (address.returncode, address.stderr) == (3, "")
    both = prodemb("--quiet", "embed", "--log-json", cwd=tmp_path)
    assert both.returncode == 2
    assert "found both --quiet and --log-json" in both.stderr


def test_lines_are_valid_whatever_a_catalog_holds(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_bytes((HOSTILE + "1,\u2028 NaN,x,y,z\n").encode("utf-8", "surrogatepass"))
    (tmp_path / "c.jsonl").write_text('{"id": "1", "title": "a mug", "\\ud83d\\u0000\\n": "x"}\n')
    for words in (("read", "c.csv"), ("read", "c.jsonl"), ("init", "c.csv"), ("embed", "c.csv", "--out", "s")):
        done = prodemb(*words, "--log-json", cwd=tmp_path)
        assert done.stdout.isascii()
        for event in events_of(done.stdout):
            assert not {"\x1b", "\u2028", "\n", "\ud83d"} & {*json.dumps(event, ensure_ascii=False)}
        assert "secret" not in done.stdout + done.stderr


def test_warnings_are_events(capsys: pytest.CaptureFixture[str]) -> None:
    with manner.speaking():
        manner._choose_json(True)
        LogHandler().handle(logging.makeLogRecord({"levelno": logging.WARNING, "msg": "a\nb"}))
    shown = capsys.readouterr()
    (event,) = (json.loads(line) for line in shown.out.splitlines())
    assert (event["event"], event["text"], shown.err) == ("warning", r"a\nb", "")


def test_progress_is_told_once_a_second_and_last_at_the_end() -> None:
    program = (
        "import time; from prodemb.cli import json_lines; json_lines.TICK = 0.2; json_lines.HEARTBEAT = 0.5\n"
        "with json_lines.progress_events('Counting') as on_progress:\n"
        "    until = time.monotonic() + 0.5\n"
        "    while time.monotonic() < until: on_progress(1, None)\n"
        "    time.sleep(0.9); on_progress(7, 7)\n"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    told = [json.loads(line) for line in shown.stdout.splitlines()]
    assert 3 <= len(told) <= 5, told
    assert [event["done"] for event in told][-2:] == [1, 7]
    assert {event["doing"] for event in told} == {"Counting"}


def test_a_reader_that_has_gone_and_a_full_disk_end_it_as_they_end_other_commands(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("product_id,title\na,b\n")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    for words, status in (("| true; exit ${PIPESTATUS[0]}", 1), (">/dev/full", 9)):
        shell = ["bash", "-c", f"{sys.executable} -m prodemb.cli --log-json read c.csv {words}"]
        done = subprocess.run(shell, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr


def test_the_manner_of_a_command_is_forgotten_at_its_end() -> None:
    with manner.speaking():
        manner._choose_quiet(True)
        assert manner.manner() == "quiet"
    assert manner.manner() == "human"
