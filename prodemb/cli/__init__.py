"""The command line: each command loads a pipeline, calls one function and prints what came out."""

import io
import logging
import sys

import typer

from prodemb.cli.catalogs import brands, sample, taxonomy
from prodemb.cli.display import LogFormatter, fail
from prodemb.cli.reading import read
from prodemb.cli.scoring import score
from prodemb.cli.shard_sets import embed, inspect, verify
from prodemb.cli.training import finetune_category, train_brand, train_category
from prodemb.cli.whole_job import init, run
from prodemb.core.errors import ProdembError
from prodemb.core.rlimits import raise_limit
from prodemb.core.text import silence_pillow

app = typer.Typer(
    name="prodemb",
    help="One Google-taxonomy category and one canonical brand for every product, from CLIP embeddings.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    run,
    init,
    read,
    embed,
    brands,
    train_brand,
    train_category,
    finetune_category,
    score,
    inspect,
    verify,
    sample,
    taxonomy,
):
    app.command()(command)


def main() -> None:
    """Run the command line; a user's mistake ends in one line on stderr and status 1."""
    logged = logging.StreamHandler()
    logged.setFormatter(LogFormatter())
    logging.basicConfig(handlers=[logged], level=logging.WARNING)
    for noisy in ("httpx", "transformers", "huggingface_hub"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name that the terminal's alphabet lacks must not end a run.
        sys.stdout.reconfigure(errors="backslashreplace")
    silence_pillow()
    raise_limit()
    if any("://" in argument for argument in sys.argv[1:]):
        # Not shown: it may hold a password or a signature.
        fail("found an address among the arguments, wanted a path on this machine: fetch what it leads to")
    try:
        app()
    except ProdembError as error:
        fail(str(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        fail(f"{where}{error.strerror or error}; what was finished before stays")
    except SystemExit as stop:
        # typer turns Ctrl-C into this status.
        if stop.code == 130:
            print("prodemb: stopped; what is finished stays, the same command goes on from there", file=sys.stderr)
        raise
