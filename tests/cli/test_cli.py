"""The command line as a user meets it: help is quick and complete, a mistake is one line and the status of its kind."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from prodemb.cli import PANELS, app
from prodemb.shards.format import read_manifest
from prodemb.towers.checkpoint import find_checkpoint
from tests.command_line import prodemb
from tests.conftest import make_clip

ROOT = Path(__file__).parents[2]
COMMANDS = sorted(get_command(app).commands)  # type: ignore[attr-defined]


def test_help_imports_neither_torch_nor_polars() -> None:
    program = (
        "import sys; from typer.testing import CliRunner; from prodemb.cli import app;"
        "result = CliRunner().invoke(app, ['--help']); assert result.exit_code == 0, result.output;"
        "heavy = {'torch', 'transformers', 'polars', 'pyarrow', 'pydantic', 'numpy'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_the_package_can_be_started_as_a_module() -> None:
    command = [sys.executable, "-m", "prodemb.cli", "finetune-category", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "Fine-tune CLIP" in shown.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_option_has_help(command: str) -> None:
    found = get_command(app).commands[command]  # type: ignore[attr-defined]
    assert found.help
    for text in (found.help, *(parameter.help for parameter in found.params)):
        assert text
        assert not re.search(r"\[[a-z]", text), f"{command}: a [table] is taken for markup and not shown: {text}"


def test_help_groups_the_commands_and_names_the_exit_statuses() -> None:
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "120"}).stdout
    places = [shown.index(f"│ {command.__name__.replace('_', '-')} ") for each in PANELS.values() for command in each]
    assert places == sorted(places)
    assert len(places) == len(COMMANDS)
    assert "2 wrong usage" in " ".join(shown.split())
    assert CliRunner().invoke(app, ["nothing"]).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["embed", "nowhere.parquet"], 4, r"nowhere\.parquet"),
        (["embed", "catalog.parquet", "--model", "./no-model"], 5, r"'\./no-model', but there is no such folder"),
        (["embed", "empty.csv"], 4, r"empty\.csv"),
        (["embed", "no_text.csv"], 4, r"no_text\.csv: no column holds text or pictures"),
        (["embed", "twice.csv"], 4, r"twice\.csv: 1 row repeats a product_id"),
        (["embed", "--pipeline", "typo.toml"], 3, r"typo\.toml: \[embed\] modle: no such key; did you mean 'model'\?"),
        (["train-brand", "--shards", "nothing"], 6, r"nothing: no such folder; wanted a shard set"),
        (["score", "nothing", "out.parquet"], 6, r"nothing: no such folder; wanted shards, as `prodemb embed` writes"),
        (["score", ".", "out.parquet"], 6, r"no shard set here"),
        (["inspect", "."], 6, r"no shard set here"),
        (["brands", "no_brand.csv", "a.csv"], 4, r"no column for the supplied brand"),
        (["finetune-category", "catalog.parquet"], 4, r"google_category_id"),
        (["embed", "--fine-tuned"], 5, r"no fine-tuned checkpoint at checkpoints/category .*; run `prodemb finetune"),
        (
            ["embed", "--fine-tuned", "--out", "a", "--model", "b"],
            3,
            r"--fine-tuned: found it together with --out, --model",
        ),
        (["score", ".", "out.parquet", "--taxonomy", "t.txt"], 3, r"--taxonomy: found 't\.txt' without --zero-shot"),
        (["feed", "out.parquet", "supplement.tsv"], 3, r"out\.parquet: cannot be read as predictions: no such file"),
        (["run", "missing.toml"], 3, r"missing\.toml: no such pipeline file"),
    ],
)
def test_a_mistake_is_one_line_and_a_status_for_its_kind(
    make_catalog: Callable[[int], Path], tmp_path: Path, arguments: list[str], status: int, message: str
) -> None:
    make_catalog(8)
    (tmp_path / "empty.csv").write_text("product_id,title\n")
    (tmp_path / "no_text.csv").write_text("id,price\na,2.50\n")
    (tmp_path / "twice.csv").write_text("product_id,title\na,b\na,c\n")
    (tmp_path / "no_brand.csv").write_text("product_id,title\na,b\n")
    (tmp_path / "typo.toml").write_text('target = "brand"\n[embed]\nmodle = "x"')
    result = prodemb(*arguments, cwd=tmp_path)
    assert result.returncode == status, result.stdout + result.stderr
    assert re.search(message, result.stderr), result.stderr
    assert "Traceback" not in result.stderr
    said = [line for line in result.stderr.splitlines() if not re.match(r"prodemb: [\w ]+: \d+ s", line)]
    assert len(said) == 1, result.stderr
    assert not result.stdout


def test_a_shard_set_of_the_fine_tuned_checkpoint_before_is_replaced(
    make_catalog: Callable[[int], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a run leaves it that was killed behind fine-tuning, before it embedded."""
    monkeypatch.chdir(tmp_path)
    make_catalog(8)
    tables = '[catalog]\npath = "catalog.parquet"\n[finetune]\nout = "tuned/clip"\nshards = "own"\n'
    (tmp_path / "category.toml").write_text(f'target = "category"\n{tables}')
    for seed in range(2):
        fingerprint = find_checkpoint(str(make_clip(tmp_path / "tuned" / "clip", seed=seed))).fingerprint
        result = CliRunner().invoke(app, ["embed", "--fine-tuned", "--pipeline", "category.toml"])
        assert result.exit_code == 0, result.exception
        schema = read_manifest(tmp_path / "own").shard_schema
        assert (schema.fingerprint, schema.model) == (fingerprint, "./tuned/clip")


def test_doctor_ends_with_a_status_that_says_whether_something_is_wrong(
    make_catalog: Callable[[int], Path], tiny_clip: Path, tmp_path: Path
) -> None:
    make_catalog(8)
    tables = f'[catalog]\npath = "catalog.parquet"\n[embed]\nmodel = "{tiny_clip}"\n'
    (tmp_path / "brand.toml").write_text(f'target = "brand"\n{tables}')
    well = prodemb("doctor", "--pipeline", "brand.toml", cwd=tmp_path)
    assert (well.returncode, well.stdout.splitlines()[-1]) == (0, "no problem found"), well.stderr
    assert f"checkpoint  {tiny_clip} (for brand): " in well.stdout
    (tmp_path / "catalog.parquet").unlink()
    ill = prodemb("doctor", "--pipeline", "brand.toml", "--quiet", cwd=tmp_path)
    assert ill.returncode == 1, ill.stderr
    assert "\n1 problem:\n1. catalog.parquet: no such file" in ill.stdout


def test_doctor_goes_on_where_settings_are_wrong(tmp_path: Path) -> None:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "brand.toml").write_text('target = "brand"\n[embed]\nmodle = "x"\n')
    found = prodemb("doctor", "--device", "cuda", cwd=tmp_path, before=without_gpu)
    assert found.returncode == 1, found.stderr
    assert "\ndevice      cpu: " in found.stdout
    assert "\ncheckpoint  bundled (for category): " in found.stdout
    first, second = found.stdout.splitlines()[-2:]
    assert first.startswith("1. pipelines/brand.toml: [embed] modle: no such key; did you mean 'model'?")
    assert second.startswith("2. device: found 'cuda', but torch sees no CUDA device here")
    (tmp_path / "pipelines" / "category.toml").write_text("target")
    alone = prodemb("doctor", cwd=tmp_path)
    assert (alone.returncode, alone.stdout.splitlines()[-3]) == (1, "2 problems:")


def without_gpu() -> None:
    os.environ["CUDA_VISIBLE_DEVICES"] = ""


def test_doctor_knows_no_checkpoint_where_there_is_neither_a_folder_nor_one_of_the_hub_s(tmp_path: Path) -> None:
    found = prodemb("doctor", "--model", "checkpoints/my_clip", cwd=tmp_path)
    assert found.returncode == 1, found.stderr
    assert "checkpoint  checkpoints/my_clip (for brand, category): PROBLEM, see below" in found.stdout
    assert "\n1 problem:\n1. checkpoints/my_clip: no folder here, and not in the hub's cache; " in found.stdout


def test_a_dry_run_leaves_no_trace(make_catalog: Callable[[int], Path], tiny_clip: Path, tmp_path: Path) -> None:
    catalog = make_catalog(8)
    before = sorted(tmp_path.rglob("*"))
    result = prodemb("embed", catalog, "--model", tiny_clip, "--dry-run", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"{catalog}: 8 products; title 8, ")
    assert result.stdout.endswith("dry run: nothing was written\n")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_dry_run_that_generates_the_sample_says_so(tmp_path: Path) -> None:
    result = prodemb("embed", "--dry-run", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("generated a sample catalog of 3,000 products in ")
    assert result.stdout.endswith("dry run: nothing but the sample catalog at sample was written\n")
    assert [path.name for path in tmp_path.iterdir()] == ["sample"]


def test_embed_inspect_brands_and_train_as_written(
    make_catalog: Callable[[int], Path], tiny_clip: Path, tmp_path: Path
) -> None:
    catalog = make_catalog(60)
    first = prodemb("embed", catalog, "--out", "shards/", "--model", tiny_clip, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "60 products in 1 shard at" in first.stdout
    assert "image 9 file not found" in first.stdout
    again = prodemb("embed", catalog, "--out", "shards/", "--model", tiny_clip, cwd=tmp_path)
    assert "already up to date" in again.stdout
    assert "audit: 60 rows in the catalog = 60 products in shards + 0 skipped" in again.stdout
    retried = prodemb("embed", catalog, "--out", "shards/", "--model", tiny_clip, "--retry-failed", cwd=tmp_path)
    assert "0 added, 0 changed, 0 removed, 60 unchanged" in retried.stdout.replace("products added", "added")
    assert "vectors: 0 encoded" in retried.stdout
    verified = prodemb("verify", "shards/", cwd=tmp_path)
    assert (verified.returncode, verified.stdout) == (0, "shards: no errors\n")
    inspected = prodemb("inspect", "shards/", cwd=tmp_path)
    assert "file not found: 9" in inspected.stdout
    listed = prodemb("brands", catalog, "aliases.csv", "--shards", "shards", cwd=tmp_path)
    assert listed.returncode == 0, listed.stderr
    assert {"supplied", "canonical", "rule", "score", "products", "status"} <= set(
        pl.read_csv(tmp_path / "aliases.csv").columns
    )
    trained = prodemb("train-brand", "--shards", "shards/", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    scored = prodemb("score", "shards/", "out.parquet", cwd=tmp_path)
    assert scored.returncode == 0, scored.stderr
    changes = prodemb("score", "shards/", "changes.parquet", "--changed-since", "out.parquet", cwd=tmp_path)
    assert "0 added, 0 changed, 0 removed, 60 unchanged" in changes.stdout, changes.stderr
    frame = pl.read_parquet(tmp_path / "out.parquet")
    assert frame["product_id"].to_list() == [f"p{i}" for i in range(60)]
    assert set(frame["brand"]) <= {"Norvik", "Lumo", "UNKNOWN"}
    assert frame.filter(pl.col("brand") != "UNKNOWN").height > 0.5 * frame.height
    with next((tmp_path / "shards").glob("part-*.parquet")).open("r+b") as shard:
        shard.seek(1000)
        shard.write(b"altered")
    verified = prodemb("verify", "shards/", cwd=tmp_path)
    assert verified.returncode == 6
    assert "altered: its checksum is not the recorded one" in verified.stdout
    refused = prodemb("score", "shards/", "again.parquet", cwd=tmp_path)
    assert refused.returncode == 6
    assert "altered" in refused.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("inspect", "{}"),
        ("embed", "feed.csv", "--out={}"),
        ("embed", "--pipeline", "p.toml"),
        ("score", "shards", "{}"),
    ],
)
def test_a_password_or_signature_of_an_address_is_not_shown(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    address = "https://ann:hunter2@a.example/x?sig=hunter2"
    (tmp_path / "p.toml").write_text(f'target = "brand"\n[embed]\nout = "{address}"\n')
    result = prodemb(*(argument.format(address) for argument in arguments), cwd=tmp_path)
    assert result.returncode == 3, result.stdout + result.stderr
    assert "found a URL" in result.stderr
    assert "hunter2" not in result.stdout + result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["p.toml"]


def test_names_out_of_a_catalog_cannot_command_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "catalog.csv").write_bytes(b"\x1b[31mred,\xe2\x80\xaeback,\x00\nx,y,z\n")
    result = prodemb("embed", "catalog.csv", cwd=tmp_path)
    assert result.returncode == 4
    assert r"columns there: \x1b[31mred, \u202eback, " in result.stderr


def test_what_a_terminal_s_alphabet_lacks_is_spelled_out(tmp_path: Path) -> None:
    (tmp_path / "catalog.csv").write_text("uniq_id,product_name,größe 名\na1,a red shoe,x\n")
    command = [sys.executable, "-c", "from prodemb.cli import main; main()", "init", "catalog.csv"]
    environment = os.environ | {"PYTHONIOENCODING": "latin-1"}
    shown = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=300)
    assert shown.returncode == 0, shown.stderr
    assert r"not used: größe \u540d" in shown.stdout.decode("latin-1")


def test_a_name_that_no_terminal_can_show_is_escaped(tmp_path: Path) -> None:
    (tmp_path / "catalog.jsonl").write_text('{"uniq_id": "a1", "product_name": "a red shoe", "\\ud83d": "x"}\n')
    result = prodemb("init", "catalog.jsonl", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert r"not used: \ud83d" in result.stdout
