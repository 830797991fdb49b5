"""README and docs are true: what they tell people to type runs, and what they name exists."""

import importlib
import importlib.util
import io
import json
import os
import pkgutil
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import chdir, redirect_stdout
from itertools import groupby
from pathlib import Path
from typing import Any, get_args

import click
import polars as pl
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from prodemb.aliases.table import COLUMNS
from prodemb.audit.table import SCHEMA
from prodemb.cli import app
from prodemb.cli.statuses import STATUSES, status_of
from prodemb.core.errors import BusyError, ImagesError, ModelError, OutputError, StorageError, TaxonomyError
from prodemb.core.features import ALL_FEATURES, PARTNER, PRODUCT_COLUMNS
from prodemb.core.template import Template
from prodemb.heads.labels import Target
from prodemb.job.pipeline import Pipeline
from prodemb.score.columns import predictions_schema
from prodemb.shards.format import ShardSchema
from prodemb.shards.lexical import LexicalKind
from prodemb.shards.text import TextKind
from prodemb.storage.address import Address
from prodemb.storage.objects import upload
from prodemb.taxonomy.taxonomy import sample_taxonomy
from tests.docs.pages import CONTRIBUTING, DOCS, PAGES, README, ROOT, Block, Page
from tests.docs.settings import has_key, settings_of
from tests.object_store import ObjectStore, client, object_store, running_store
from tests.serve.running import running

__all__ = ["object_store", "running_store"]

COMMANDS: dict[str, click.Command] = get_command(app).commands  # type: ignore[attr-defined]
RUN_PAGES = [page for page in PAGES if any(block.language in ("console", "python", "sql") for block in page.blocks)]
QUICK = {
    "train": "epochs = 1",
    "train.baselines": "run = false",
    "finetune": "epochs = 1\nvalidation_products = 50\nimage_path = 0.0\ntext_image = 0.0",
}
"""What makes training cost seconds, by table; what is typed stays the same."""


def names(page: Page) -> str:
    return page.name


def parsed(words: list[str]) -> str:
    """The command's name; fails unless the command line takes all of these words."""
    name, *arguments = words
    assert name in COMMANDS, f"no command {name!r}"
    COMMANDS[name].make_context(name, arguments)
    return name


def shrink(pipelines: Path) -> None:
    """Make the pipelines of a folder quick to run."""
    for path in pipelines.glob("*.toml"):
        text = re.sub(r"^epochs = .*\n", "", path.read_text(), flags=re.MULTILINE)
        for table, settings in QUICK.items():
            header = re.compile(rf"^\[{table}\].*$", flags=re.MULTILINE)
            if header.search(text):
                text = header.sub(f"[{table}]\n{settings}", text)
            else:
                text += f"\n[{table}]\n{settings}\n"
        path.write_text(text)


def run(words: list[str]) -> None:
    """Run one `prodemb` command in the current folder."""
    if words[0] == "taxonomy":  # Fetching needs a network; what it would write is made of the bundled part.
        lines = [f"{node} - {path}" for node, path in sample_taxonomy().paths.items()]
        Path(words[1]).write_text("\n".join(["# Google_Product_Taxonomy_Version: 2021-09-21", *lines]) + "\n")
        return
    if words[0] in ("convert", "serve"):  # Needs a checkpoint of the hub; runs for what asks it (`check_answers`).
        return
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, f"prodemb {' '.join(words)}: {result.exception!r}\n{result.output}"
    if words[0] == "init":
        shrink(Path("pipelines"))


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder in which `prodemb run` has done the whole job on a small sample, and another catalog."""
    folder = tmp_path_factory.mktemp("docs") / "project"
    shutil.copytree(ROOT / "pipelines", folder / "pipelines")
    shrink(folder / "pipelines")
    with chdir(folder):
        run(["sample", "sample", "--products", "120"])
        run(["run"])
        pictures = pl.when(pl.col("image").is_not_null()).then("sample/" + pl.col("image"))
        pl.read_parquet("sample/catalog.parquet").with_columns(image=pictures).write_csv("my_catalog.csv")
    return folder


@pytest.fixture
def workplace(project: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of the project to work in."""
    folder = shutil.copytree(project, tmp_path / "project")
    with chdir(folder):
        yield folder


@pytest.fixture
def shop(object_store: ObjectStore, workplace: Path) -> None:
    """The bucket `shop` of a server on this machine, with the project's other catalog in it."""
    client(object_store).create_bucket(Bucket="shop")
    upload(workplace / "my_catalog.csv", Address("s3", "shop", "feeds/my_catalog.csv"))


def check_make(words: list[str]) -> list[str]:
    """The `prodemb` commands that `make` would run, each parsed; by name."""
    result = subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    lines = re.findall(r"bin/prodemb (.+)", result.stdout)
    return [parsed(line.split()) for line in lines]


def check_answers(requests: list[list[str]]) -> None:
    """Ask a server that runs for these, on a port that is free."""
    if shutil.which("curl"):
        with running(cwd=Path.cwd()) as served:
            for words in requests:
                asked = [word.replace("http://127.0.0.1:8000", served.address) for word in words]
                result = subprocess.run([*asked, "--fail-with-body", "-s"], capture_output=True, text=True, check=False)
                assert result.returncode == 0, result.stdout + result.stderr
                predictions = json.loads(result.stdout).get("predictions", [{"warnings": []}])
                assert [row["warnings"] for row in predictions] == [[]]


def check_command(words: list[str]) -> None:
    """Run a command of a page, or where it needs a network, machines or minutes, check that it could be run."""
    program = words[0].removeprefix(".venv/bin/")
    match program:
        case "prodemb":
            parsed(words[1:])
            run(words[1:])
        case "make":
            check_make(words)
        case "accelerate":
            assert importlib.util.find_spec(f"{words[words.index('-m') + 1]}.__main__")
            parsed(words[words.index("-m") + 2 :])
        case "python":
            assert (ROOT / words[1]).is_file()
        case _:
            raise AssertionError(f"{program}: no test knows how to check this command")


def run_block(block: Block, *, variables: dict[str, Any]) -> None:
    for is_request, commands in groupby(block.commands, key=lambda words: words[0] == "curl"):
        if is_request:
            check_answers([*commands])
        else:
            for words in commands:
                check_command(words)
    if block.language == "python" and ("import pandas" not in block.text or importlib.util.find_spec("pandas")):
        with redirect_stdout(io.StringIO()) as shown:
            exec(block.text, variables)
        assert "print" not in block.text or shown.getvalue()
        for frame in variables.values():
            if isinstance(frame, (pl.DataFrame, pl.LazyFrame)):
                # The sample is one file, so nothing says who sent what; not each predictor tells what decided.
                may_be_empty = r"^.*_error$", r"^.*_known$", "category_source", PARTNER
                filled = frame.lazy().select(pl.exclude(*may_be_empty).is_not_null().any()).collect().row(0)
                assert all(filled), "a column holds nothing"
    if block.language == "sql" and importlib.util.find_spec("duckdb"):
        assert importlib.import_module("duckdb").sql(block.text).fetchall()


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN_PAGES, ids=names)
def test_every_command_and_snippet_runs(page: Page, workplace: Path, request: pytest.FixtureRequest) -> None:
    if "s3://shop/" in page.text:
        request.getfixturevalue("shop")
    variables: dict[str, Any] = {"__name__": page.name}
    for block in page.blocks:
        run_block(block, variables=variables)


def test_what_cron_mails_says_what_went_wrong(warm_python: Path, tmp_path: Path) -> None:
    """The script of a page, with a `mail` that keeps what it is given."""
    (script,) = [block.text for page in DOCS for block in page.blocks if block.text.startswith("#!/bin/sh")]
    programs = {"prodemb": f'exec {warm_python} -m prodemb.cli "$@"', "mail": "{ echo $@; cat; } > mail.txt"}
    for name, text in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "brand.toml").write_text('target = "brand"\n[embed]\nmodle = "x"\n')
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    shell = ["sh", "-c", script.replace("/srv/products", str(tmp_path))]
    done = subprocess.run(shell, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")
    subject, error = (tmp_path / "mail.txt").read_text().splitlines()
    assert subject == "-s prodemb: status 3 oncall@example.com"
    assert error.startswith("prodemb: error: pipelines/brand.toml: [embed] modle: no such key")


@pytest.mark.parametrize("page", DOCS, ids=names)
def test_every_page_begins_with_what_a_person_types_and_the_readme_links_it(page: Page) -> None:
    if page.path.name != "architecture.md":
        assert page.blocks[0].language in ("console", "python")
        assert page.text.index("```") < 400
    assert page.name in README.links


def test_the_readme_is_short() -> None:
    assert len(README.text.splitlines()) <= 150
    assert len(CONTRIBUTING.text.splitlines()) <= 80


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_every_internal_link_resolves(page: Page) -> None:
    for link in page.links:
        file, _, anchor = link.partition("#")
        target = (page.path.parent / file).resolve() if file else page.path
        assert target.exists(), f"{page.name}: {link}"
        if anchor:
            assert anchor in Page(target).anchors, f"{page.name}: {link}"


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_every_command_option_and_file_that_is_named_exists(page: Page) -> None:
    everything: list[click.Command] = [get_command(app), *COMMANDS.values()]  # type: ignore[list-item]
    options = {option for command in everything for p in command.params for option in p.opts} | {"--help"}
    for span in page.spans:
        words = span.split()
        if words[0].removeprefix(".venv/bin/") == "prodemb" and len(words) > 1:
            own = {option for p in COMMANDS[words[1]].params for option in (*p.opts, *p.secondary_opts)}
            assert {word for word in words if word.startswith("--")} <= own, f"{page.name}: {span}"
        elif words[0].startswith("--"):
            assert words[0] in options | secondary(), f"{page.name}: {span}"
        elif words[0] == "make" and len(words) > 1:
            check_make(words)
        elif words[0] == "python":
            check_command(words)
        elif span.endswith((".py", ".md")) and "/" in span:
            assert (ROOT / span).is_file(), f"{page.name}: {span}"


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_every_extra_that_is_named_exists(page: Page) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(re.findall(r"extra\s+`(\w+)`", page.text)) <= extras.keys()


def secondary() -> set[str]:
    """Options that switch another one off."""
    return {option for command in COMMANDS.values() for p in command.params for option in p.secondary_opts}


def test_the_readme_lists_every_command_and_what_make_runs_is_the_same() -> None:
    rows = [line for line in README.prose.splitlines() if line.startswith("| `")]
    listed = {name for row in rows for name in re.findall(r"`prodemb ([\w-]+)", row)}
    assert listed == COMMANDS.keys()
    pairs = [pair for row in rows for pair in re.findall(r"`make ([\w-]+)`, `prodemb ([\w-]+)", row)]
    assert {"demo", "embed", "train-brand", "train-category", "finetune-category", "score"} == {t for t, _ in pairs}
    for target, command in pairs:
        assert check_make(["make", target])[-1] == command


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_every_setting_that_is_named_exists(page: Page) -> None:
    for block in page.blocks:
        if block.language == "toml":
            values = tomllib.loads(block.text)
            Pipeline.parse({"target": "category"} | values, source=page.name)
    for span in page.spans:
        found = re.fullmatch(r"\[([a-z_.]+)\](?: (\w+)(?: = (.+))?)?", span)
        if not found:
            continue
        table, key, value = found.groups()
        assert settings_of(table) is not None, f"{page.name}: {span}"
        assert key is None or has_key(table, key), f"{page.name}: {span}"
        if value is not None:
            values = tomllib.loads(f"[{table}]\n{key} = {value}")
            Pipeline.parse({"target": "category"} | values, source=page.name)


def test_what_hosts_and_disks_cause_is_to_be_tried_again() -> None:
    page = next(page for page in DOCS if page.path.stem == "automation")
    found = re.search(r"Retry ([^;]+);", page.prose)
    assert found is not None
    passing = (Exception, TaxonomyError, ModelError, ImagesError, OutputError, BusyError, StorageError)
    assert {*map(int, re.findall(r"\d+", found[1]))} == {status_of(error("")) for error in passing}


def test_a_text_for_e5_begins_with_its_prompt_whatever_a_product_lacks() -> None:
    tables = [tomllib.loads(block.text) for page in PAGES for block in page.blocks if block.language == "toml"]
    templates = [
        table["embed"]["text_template"] for table in tables if "e5" in table.get("embed", {}).get("text_model", "")
    ]
    assert len(templates) == 2
    for template in map(Template, templates):
        assert template.join({"title": "Mug", "description": "Red"}) == "passage: Mug. Red"
        assert template.join({"description": "Red"}) == "passage: Red"
        assert template.join({"title": "Mug"}) == "passage: Mug"


def test_tables_of_columns_are_complete() -> None:
    docs = {page.path.stem: page for page in DOCS}
    assert docs["catalogs"].first_column("column") == list(PRODUCT_COLUMNS)
    predictions = docs["predictions"].first_column("column")
    assert predictions == predictions_schema().names
    assert docs["audit"].first_column("column") == list(SCHEMA)
    text = TextKind(fingerprint="", model="", template=("{title}",), dim=8)
    schema = ShardSchema(fingerprint="", model="", dim=8, lexical=LexicalKind(), text=text, features=ALL_FEATURES)
    assert set(docs["shards"].first_column("column")) == set(schema.arrow(rows_hash="").names)
    assert docs["aliases"].first_column("column") == list(COLUMNS)
    assert docs["automation"].first_column("status") == sorted((str(s.number) for s in STATUSES), key=int)
    assert {"brand", "category"} == set(get_args(Target))


def test_the_map_of_rooms_is_complete_and_its_layers_are_the_contract() -> None:
    page = next(page for page in DOCS if page.path.stem == "architecture")
    rooms = {path.name for path in (ROOT / "prodemb").iterdir() if (path / "__init__.py").is_file()}
    assert {span.rstrip("/") for span in page.first_column("room")} == rooms
    (layers,) = [block.text for block in page.blocks if block.language == "text"]
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]["layers"]
    assert [set(line.split()) for line in layers.splitlines()] == [
        set(re.findall(r"prodemb\.(\w+)", layer)) for layer in contract
    ]


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_every_module_and_function_that_is_named_exists(page: Page) -> None:
    for span in page.spans:
        found = re.fullmatch(r"prodemb\.([a-z]\w*(?:\.\w+)*)(?:\(\))?", span)
        if not found:
            continue
        # Modules come first: a function of `import prodemb` may have the name of a room.
        pkgutil.resolve_name(f"prodemb.{found[1]}")
