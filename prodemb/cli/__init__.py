"""The command line: each command loads a pipeline, calls one function and shows what came of it."""

import io
import logging
import sys

import typer

from prodemb.cli.audit import audit
from prodemb.cli.brands import brands
from prodemb.cli.display import LogFormatter, fail
from prodemb.cli.embed import embed
from prodemb.cli.feed import feed
from prodemb.cli.init import init
from prodemb.cli.read import read
from prodemb.cli.run import run
from prodemb.cli.score import score
from prodemb.cli.shards import inspect, verify
from prodemb.cli.sources import sample, taxonomy
from prodemb.cli.train import finetune_category, train_brand, train_category
from prodemb.core.errors import ProdembError
from prodemb.core.rlimits import raise_limit
from prodemb.core.text import silence_pillow

PANELS = {
    "Whole job": (read, init, run),
    "Single steps, in order": (embed, brands, train_brand, train_category, finetune_category, score, feed, audit),
    "Shards": (inspect, verify),
    "Sample data and taxonomy": (sample, taxonomy),
}
"""The commands as `prodemb --help` lists them."""

app = typer.Typer(
    name="prodemb",
    help="One Google product category and one canonical brand for every product of a catalog, from CLIP embeddings.",
    epilog="Exit status: 0 success, 1 an error or damaged shards, 2 wrong usage, 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for panel, commands in PANELS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)


def main() -> None:
    """Run the command line; a user's mistake ends in one line on stderr and status 1."""
    handler = logging.StreamHandler()
    handler.setFormatter(LogFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    for noisy in ("httpx", "transformers", "huggingface_hub"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name that the terminal's encoding lacks must not end a run.
        sys.stdout.reconfigure(errors="backslashreplace")
    silence_pillow()
    raise_limit()
    if any("://" in argument for argument in sys.argv[1:]):
        # Not shown: it may hold a password or a signature.
        fail("found a URL among the arguments; URLs are not accepted: download the file and pass its path")
    try:
        app()
    except ProdembError as error:
        fail(str(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        fail(f"{where}{error.strerror or error}; completed work is kept")
    except SystemExit as stop:
        # typer turns Ctrl-C into this status.
        if stop.code == 130:
            print("prodemb: stopped; completed work is kept: run the same command to continue", file=sys.stderr)
        raise
