"""`prodemb convert`: an open_clip checkpoint to Hugging Face's format."""

from pathlib import Path
from typing import Annotated

import typer

from prodemb.cli.display import finished, show, started


def convert(
    source: Annotated[str, typer.Argument(help="A folder with open_clip_config.json, or the hub id of one.")],
    out: Annotated[Path, typer.Argument(help="The folder for the checkpoint, which `embed` takes as its model.")],
    tokenizer: Annotated[
        str | None,
        typer.Option(help="A folder or hub id. Default: the checkpoint's own or the one it names.", show_default=False),
    ] = None,
    revision: Annotated[
        str | None, typer.Option(help="A branch, tag or commit of a hub id.", show_default=False)
    ] = None,
) -> None:
    """Convert an open_clip checkpoint (CLIP or SigLIP) to a folder that `embed` loads."""
    from prodemb.job.convert import convert as convert_checkpoint

    started("convert", where=out)
    report = convert_checkpoint(source, out, tokenizer=tokenizer, revision=revision)
    finished(report)
    tensors = f"{report.num_tensors} tensors to a {report.model_type} of {report.dim} numbers a vector: {report.folder}"
    show([tensors, f'use it with model = "{report.folder}" in the table [embed]'])
