"""The command line: each command loads a pipeline, calls one function and prints what came out."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from prodemb.errors import CatalogError, ProdembError
from prodemb.screen import printable, silence_pillow

if TYPE_CHECKING:
    from prodemb.job import TrainReport
    from prodemb.pipeline import Pipeline

app = typer.Typer(
    name="prodemb",
    help="One Google-taxonomy category and one canonical brand for every product, from CLIP embeddings.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Device = Literal["auto", "cpu", "cuda"]
CatalogArgument = Annotated[
    str | None,
    typer.Argument(
        help="A file, folder or glob with the standard column names: Parquet, CSV, TSV or JSON lines. "
        "By default the pipeline's own, or the generated sample.",
        show_default=False,
    ),
]
PipelineOption = Annotated[
    Path | None,
    typer.Option("--pipeline", help="A pipeline file; by default the project's own, if any.", show_default=False),
]
ModelOption = Annotated[
    str | None,
    typer.Option(help="A checkpoint folder, a Hugging Face hub id, or `bundled`.", show_default=False),
]
DeviceOption = Annotated[
    Device | None, typer.Option(help="Where to run; `auto` is CUDA where there is one.", show_default=False)
]


def main() -> None:
    """Run the command line; a user's mistake ends in one line on stderr and status 1."""
    logging.basicConfig(format="prodemb: %(message)s", level=logging.WARNING)
    for noisy in ("httpx", "transformers", "huggingface_hub"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    silence_pillow()
    try:
        app()
    except ProdembError as error:
        _fail(str(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"{where}{error.strerror or error}; what was finished before stays")
    except SystemExit as stop:
        # typer turns Ctrl-C into this status.
        if stop.code == 130:
            print("prodemb: stopped; what is finished stays, the same command goes on from there", file=sys.stderr)
        raise


@app.command()
def run(
    pipelines: Annotated[
        list[Path] | None,
        typer.Argument(help="Pipeline files; by default pipelines/brand.toml and category.toml.", show_default=False),
    ] = None,
    finetune: Annotated[bool, typer.Option(help="Fine-tune CLIP for the categories too.")] = True,
    device: DeviceOption = None,
) -> None:
    """Do the whole job: embed, train, fine-tune, score. What is done is not done again."""
    from prodemb.pipeline import own_pipeline, read_pipeline
    from prodemb.run import run as run_pipelines

    chosen = (
        [read_pipeline(path) for path in pipelines] if pipelines else [own_pipeline("brand"), own_pipeline("category")]
    )
    chosen = [pipeline.replaced({"embed": {"device": device}}, source="--device") for pipeline in chosen]
    for item in run_pipelines(chosen, finetuned=finetune, watch=_watch):
        _show(item)


@app.command()
def sample(
    folder: Annotated[Path, typer.Argument(help="Where catalog.parquet and images/ go.")],
    products: Annotated[int, typer.Option(min=1, help="How many products.")] = 3000,
    seed: Annotated[int, typer.Option(help="Another seed gives another catalog.")] = 5,
) -> None:
    """Generate a catalog with pictures, messy supplied values and gold labels."""
    from prodemb.sample.catalog import write_sample

    started = time.perf_counter()
    path = write_sample(folder, num_products=products, seed=seed)
    _say(f"{products:,} products in {time.perf_counter() - started:.1f} s: {path}")


@app.command()
def init(
    catalog: Annotated[str, typer.Argument(help="Your own catalog: Parquet, CSV, TSV or JSON lines.")],
    out: Annotated[Path, typer.Option(help="The folder for the pipeline files.")] = Path("pipelines"),
) -> None:
    """Look at your own catalog, guess which column is what, and write pipelines that are ready to run."""
    from prodemb.init import guess, write_pipelines

    found = guess(catalog)
    for line in found.lines():
        _say(line)
    written = write_pipelines(found, out)
    for line in written.lines():
        _say(line)


@app.command()
def embed(
    catalog: CatalogArgument = None,
    out: Annotated[str | None, typer.Option(help="The shard set's folder.", show_default=False)] = None,
    model: ModelOption = None,
    revision: Annotated[str | None, typer.Option(help="Of a hub id.", show_default=False)] = None,
    pipeline: PipelineOption = None,
    device: DeviceOption = None,
    retry_absent: Annotated[
        bool, typer.Option("--retry-absent", help="Try the pictures again that failed before.")
    ] = False,
    refresh: Annotated[
        bool,
        typer.Option("--refresh", help="Fetch every picture again, also where its address has not changed."),
    ] = False,
    fine_tuned: Annotated[
        bool,
        typer.Option("--fine-tuned", help="With the fine-tuned checkpoint of the category pipeline, into its own set."),
    ] = False,
) -> None:
    """Stage one: bring shards of CLIP vectors to the state of a catalog; only what is new is encoded."""
    from prodemb.job import embed_catalog, with_checkpoint
    from prodemb.report import embed_lines

    chosen = _pipeline("category" if fine_tuned else None, path=pipeline, catalog=catalog)
    settings = {"out": out, "model": model, "revision": revision, "device": device}
    chosen = chosen.replaced({"embed": settings}, source="command line")
    _make_sample(chosen)
    config = with_checkpoint(chosen) if fine_tuned else chosen.embed
    again: Literal["none", "absent", "all"] = "all" if refresh else "absent" if retry_absent else "none"
    report = embed_catalog(chosen, config=config, watch=_watch, again=again)
    for line in embed_lines(report, folder=Path(config.out)):
        _say(line)


@app.command()
def brands(
    catalog: CatalogArgument = None,
    aliases: Annotated[
        str | None, typer.Argument(help="The alias file, CSV or Parquet; it is updated.", show_default=False)
    ] = None,
    shards: Annotated[
        Path | None,
        typer.Option(
            help="A shard set of this catalog; brands with like text vectors are compared too.", show_default=False
        ),
    ] = None,
    pipeline: PipelineOption = None,
) -> None:
    """Decide the canonical brand of every supplied brand string; a person can edit the file."""
    from prodemb.catalog.reader import open_catalog
    from prodemb.job import update_aliases
    from prodemb.report import alias_lines
    from prodemb.shards.reader import open_shard_set

    chosen = _pipeline(None, path=pipeline, catalog=catalog)
    chosen = chosen.replaced({"brands": {"aliases": aliases}}, source="command line")
    _make_sample(chosen)
    opened = open_catalog(chosen.catalog)
    if "brand" not in opened.columns:
        raise CatalogError(f"{opened.name}: has no column for the supplied brand; map one: [catalog] columns")
    columns = ["brand", "title", "cat1", "cat2", "cat3"]
    shard_set = open_shard_set(shards) if shards is not None else None
    batches = opened.batches(8192, columns=columns)
    table = update_aliases(chosen.brands, batches=batches, watch=_watch, shards=shard_set)
    for line in alias_lines(table, path=Path(chosen.brands.aliases)):
        _say(line)


@app.command(name="train-brand")
def train_brand(
    shards: Annotated[Path | None, typer.Option(help="The shard set to train on.", show_default=False)] = None,
    out: Annotated[str | None, typer.Option(help="The head's folder.", show_default=False)] = None,
    pipeline: PipelineOption = None,
    device: DeviceOption = None,
) -> None:
    """Stage two: train the brand head on a shard set."""
    _train(_pipeline("brand", path=pipeline), shards=shards, out=out, device=device)


@app.command(name="train-category")
def train_category(
    shards: Annotated[Path | None, typer.Option(help="The shard set to train on.", show_default=False)] = None,
    out: Annotated[str | None, typer.Option(help="The head's folder.", show_default=False)] = None,
    taxonomy: Annotated[
        str | None, typer.Option(help="A taxonomy-with-ids file of Google's.", show_default=False)
    ] = None,
    pipeline: PipelineOption = None,
    device: DeviceOption = None,
) -> None:
    """Stage two: train the category head on a shard set; on the fine-tuned one if it is there."""
    chosen = _pipeline("category", path=pipeline)
    chosen = chosen.replaced({"train": {"taxonomy": taxonomy}}, source="command line")
    _train(chosen, shards=shards, out=out, device=device)


@app.command(name="finetune-category")
def finetune_category(
    catalog: CatalogArgument = None,
    model: ModelOption = None,
    taxonomy: Annotated[
        str | None, typer.Option(help="A taxonomy-with-ids file of Google's.", show_default=False)
    ] = None,
    pipeline: PipelineOption = None,
    device: DeviceOption = None,
) -> None:
    """Fine-tune CLIP on the catalog's categories, regenerate its shards, and train the category head on them.

    Several GPUs are used without being asked, one process each (`processes` in the pipeline's finetune table sets
    another number). For several machines start it as `accelerate launch -m prodemb.cli finetune-category`.
    """
    from prodemb import job
    from prodemb.finetune.processes import is_first_process
    from prodemb.report import embed_lines, finetune_lines

    chosen = _pipeline("category", path=pipeline, catalog=catalog)
    settings = {"embed": {"model": model, "device": device}, "train": {"taxonomy": taxonomy}}
    chosen = chosen.replaced(settings, source="command line")
    _make_sample(chosen)
    tuned = job.finetune_category(chosen, watch=_watch)
    if not is_first_process():
        return
    for line in finetune_lines(tuned, folder=Path(chosen.finetune.out)):
        _say(line)
    embedded = job.regenerate_shards(chosen, watch=_watch)
    for line in embed_lines(embedded, folder=Path(chosen.finetune.shards)):
        _say(line)
    _train(chosen, shards=Path(chosen.finetune.shards), out=None, device=device)


@app.command()
def score(
    shards: Annotated[Path, typer.Argument(help="A shard set, or a folder of shard sets.")],
    out: Annotated[Path, typer.Argument(help="The Parquet file to write.")],
    heads: Annotated[
        list[Path] | None,
        typer.Option(
            "--head", help="A head's folder, once for each; by default the pipelines' own.", show_default=False
        ),
    ] = None,
    zero_shot: Annotated[
        bool, typer.Option("--zero-shot", help="Categories without training: the taxonomy's nearest names.")
    ] = False,
    taxonomy: Annotated[
        str | None, typer.Option(help="For --zero-shot: a taxonomy-with-ids file of Google's.", show_default=False)
    ] = None,
    changed_since: Annotated[
        Path | None,
        typer.Option(
            help="Earlier predictions of all products: write only products that are new, answered otherwise or gone.",
            show_default=False,
        ),
    ] = None,
    device: DeviceOption = None,
) -> None:
    """Write one category and one brand, with confidences, for every product of the shards."""
    from prodemb.job import joint_scoring, open_zero_shot, own_heads, score_shards, trained_heads
    from prodemb.pipeline import own_pipeline
    from prodemb.report import score_lines
    from prodemb.shards.reader import find_shard_sets

    found = find_shard_sets(shards)
    own = [own_pipeline("brand"), own_pipeline("category")]
    brand, category = (pipeline.replaced({"embed": {"device": device}}, source="--device") for pipeline in own)
    category = category.replaced({"train": {"taxonomy": taxonomy}}, source="--taxonomy")
    brand = joint_scoring(brand, category=category)
    answerer = open_zero_shot(found, pipeline=category, watch=_watch) if zero_shot else None
    folders = heads or (trained_heads(own[:1]) if zero_shot else own_heads(own))
    report = score_shards(
        found, out=out, heads=folders, pipeline=brand, watch=_watch, zero_shot=answerer, since=changed_since
    )
    for line in score_lines(report):
        _say(line)


@app.command()
def inspect(shards: Annotated[Path, typer.Argument(help="A shard set, or a folder of shard sets.")]) -> None:
    """Show what shards hold: counts, features, dimension, fingerprint, sizes, and why vectors are absent."""
    from prodemb.report import absence_table, shard_set_table
    from prodemb.shards.reader import find_shard_sets

    for shard_set in find_shard_sets(shards, unfinished=True):
        _show(shard_set_table(shard_set))
        _show(absence_table(shard_set))


@app.command()
def verify(shards: Annotated[Path, typer.Argument(help="A shard set, or a folder of shard sets.")]) -> None:
    """Check every byte of shards and manifests; `prodemb embed` makes again just what is wrong."""
    from prodemb.shards.reader import find_shard_folders
    from prodemb.shards.verify import verify as trouble_in

    lines = trouble_in(shards)
    for line in lines:
        _say(line)
    if lines:
        raise typer.Exit(1)
    for folder in find_shard_folders(shards):
        _say(f"{folder}: all is right")


@app.command()
def taxonomy(
    out: Annotated[Path, typer.Argument(help="Where the file goes.")],
    locale: Annotated[str, typer.Option(help="Language and country, such as en-US or fr-FR.")] = "en-US",
) -> None:
    """Fetch Google's product taxonomy with ids."""
    from prodemb.catalog.taxonomy import fetch_taxonomy

    _say(f"{len(fetch_taxonomy(locale, out=out)):,} categories: {out}")


def _train(pipeline: "Pipeline", *, shards: Path | None, out: str | None, device: Device | None) -> None:
    from prodemb import job

    chosen = pipeline.replaced({"train": {"out": out}, "embed": {"device": device}}, source="command line")
    report = job.train(chosen, shards=shards or job.head_shards(chosen), folder=chosen.head_folder, watch=_watch)
    _show_head(report, pipeline=chosen)


def _show_head(report: "TrainReport", *, pipeline: "Pipeline") -> None:
    from prodemb.category.tables import category_lines, category_tables
    from prodemb.job import frozen_card
    from prodemb.report import alias_lines, brand_tables, head_lines, head_table

    if report.aliases is not None:
        for line in alias_lines(report.aliases, path=Path(pipeline.brands.aliases)):
            _say(line)
    before = frozen_card(pipeline, tuned=report.head.card)
    _show(head_table(report.head.card, title=f"{pipeline.target.capitalize()} head", before=before))
    for table in (*brand_tables(report.head.card), *category_tables(report.head.card)):
        _show(table)
    for line in (*category_lines(report.head.card), *head_lines(report)):
        _say(line)


def _pipeline(
    target: Literal["brand", "category"] | None, *, path: Path | None, catalog: str | None = None
) -> "Pipeline":
    """The file given; for a catalog given alone, all defaults; else the project's own pipeline.

    Args:
        target: what the command is about; None where it makes no difference.
    """
    from prodemb.errors import ConfigError
    from prodemb.pipeline import Pipeline, own_pipeline, read_pipeline

    if path is not None:
        chosen = read_pipeline(path)
        if target is not None and chosen.target != target:
            raise ConfigError(f"{path}: target: found {chosen.target!r}, but this command wants {target!r}")
    else:
        default = target or "brand"
        chosen = own_pipeline(default) if catalog is None else Pipeline(target=default)
    return chosen.replaced({"catalog": {"path": catalog}}, source="command line")


def _make_sample(pipeline: "Pipeline") -> None:
    from prodemb.job import SAMPLE_PRODUCTS, ensure_sample

    started = time.perf_counter()
    if ensure_sample(pipeline):
        seconds = time.perf_counter() - started
        _say(f"generated a sample catalog of {SAMPLE_PRODUCTS:,} products in {seconds:.1f} s: {pipeline.catalog.path}")


@contextmanager
def _watch(title: str) -> Iterator[Callable[[int, int | None], None]]:
    """A progress bar on stderr: done and all, rate, time left."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(title, total=None, rate="")
        started = time.perf_counter()

        def advance(done: int, total: int | None) -> None:
            rate = done / max(1e-9, time.perf_counter() - started)
            progress.update(task, completed=done, total=total, rate=f"{rate:,.0f}/s")

        yield advance


def _say(line: str) -> None:
    typer.echo(printable(line))


def _show(item: Any) -> None:
    """Print a rich table, or a line of text as it is."""
    from rich.console import Console

    if isinstance(item, str):
        _say(item)
        return
    # A name in brackets is a name, not markup.
    console = Console(markup=False, emoji=False)
    console.width = max(console.width, 100)
    console.print(item)


def _fail(message: str) -> None:
    print(f"prodemb: error: {printable(message)}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main()
