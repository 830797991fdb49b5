"""`prodemb export`: shards in the formats of other tools."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from prodemb.cli.display import finished, show, started
from prodemb.cli.progress import show_progress
from prodemb.core.errors import ShardError
from prodemb.storage.address import place


def export(
    shards: Annotated[str, typer.Argument(help="A shard set, or the folder of one.")],
    out: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to write: a new one, or an earlier export.")],
    to: Annotated[
        Literal["npy", "list-parquet", "faiss"],
        typer.Option(
            "--to",
            help="`npy`: numpy arrays. `list-parquet`: one Parquet file with lists of numbers. `faiss`: an index per "
            "feature.",
            show_default=False,
        ),
    ],
) -> None:
    """Write the vectors and values of shards for numpy, for tools that read lists in Parquet, or for faiss."""
    from prodemb.cli.report.shards import export_lines
    from prodemb.shards.export import export as export_shards
    from prodemb.shards.reader import find_shard_sets

    found = find_shard_sets(place(shards))
    if len(found) > 1:
        folders = ", ".join(str(each.folder) for each in found)
        raise ShardError(f"{shards}: holds {len(found)} shard sets: {folders}; wanted one, name it")
    started("export", where=out)
    with show_progress("Exporting") as on_progress:
        report = export_shards(found[0], out, to=to, on_progress=on_progress)
    finished(report)
    show(export_lines(report))
