"""The command line: each command loads a pipeline, calls one function and shows what came of it."""

import io
import logging
import sys

import typer

from prodemb.cli.audit import audit
from prodemb.cli.brands import brands
from prodemb.cli.convert import convert
from prodemb.cli.display import LogHandler
from prodemb.cli.doctor import doctor
from prodemb.cli.embed import embed
from prodemb.cli.ending import ending_well
from prodemb.cli.export import export
from prodemb.cli.feed import feed
from prodemb.cli.init import init
from prodemb.cli.json_lines import begin
from prodemb.cli.label import label
from prodemb.cli.manner import JsonOption, QuietOption, expect, with_manners
from prodemb.cli.predict import predict
from prodemb.cli.read import read
from prodemb.cli.report_page import report
from prodemb.cli.run import run
from prodemb.cli.score import score
from prodemb.cli.serve import serve
from prodemb.cli.shards import inspect, verify
from prodemb.cli.sources import sample, taxonomy
from prodemb.cli.statuses import listed
from prodemb.cli.train import finetune_category, train_brand, train_category
from prodemb.core.errors import ConfigError
from prodemb.core.rlimits import raise_limit
from prodemb.core.streams import open_closed_streams
from prodemb.core.text import is_encodable, silence_pillow
from prodemb.storage.address import is_place_address, place

PANELS = {
    "Whole job": (doctor, read, init, run, predict, serve),
    "Single steps, in order": (
        embed,
        brands,
        label,
        train_brand,
        train_category,
        finetune_category,
        score,
        feed,
        audit,
        report,
    ),
    "Shards": (inspect, verify, export),
    "Sample data, taxonomy and checkpoints": (sample, taxonomy, convert),
}
"""The commands as `prodemb --help` lists them."""

app = typer.Typer(
    name="prodemb",
    help="One Google product category and one canonical brand for every product of a catalog, from CLIP embeddings.",
    epilog=f"Exit status: {listed()}.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for panel, commands in PANELS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(with_manners(command))


@app.callback()
def _any_command(context: typer.Context, quiet: QuietOption = False, log_json: JsonOption = False) -> None:
    begin(context.invoked_subcommand)


def main() -> None:
    """Run the command line; whatever goes wrong ends in one line on stderr and a status that says what kind it is."""
    open_closed_streams()
    logging.basicConfig(handlers=[LogHandler()], format="%(message)s", level=logging.WARNING)
    for noisy in ("httpx", "transformers", "huggingface_hub"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name that the terminal's encoding lacks must not end a run.
        sys.stdout.reconfigure(errors="backslashreplace")
    silence_pillow()
    raise_limit()
    with ending_well():
        expect(sys.argv[1:])
        _check_arguments(sys.argv[1:])
        app()


def _check_arguments(arguments: list[str]) -> None:
    for argument in arguments:
        value = argument.partition("=")[2] if argument.startswith("--") and "=" in argument else argument
        if is_place_address(value):
            place(value)  # says what is wrong with it without showing it
        elif "://" in argument:
            # Not shown: it may hold a password or a signature.
            raise ConfigError(
                "found a URL among the arguments; URLs are not accepted, but addresses of a bucket such as "
                "s3://bucket/key: download the file and pass its path"
            )
        if not is_encodable(argument):
            raise ConfigError(f"found the argument {argument!r}, which is not UTF-8; wanted a name in UTF-8")
