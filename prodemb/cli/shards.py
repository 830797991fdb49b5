"""`prodemb inspect` and `prodemb verify`: looking into shard sets, and checking them."""

import typer

from prodemb.cli.display import answer, finished, say, started
from prodemb.cli.options import ShardsArgument, existing_shards
from prodemb.cli.progress import show_progress
from prodemb.cli.statuses import SHARDS


def inspect(shards: ShardsArgument) -> None:
    """Show what shards hold: counts, model, features, size, and why vectors are missing."""
    from prodemb.cli.report.shards import shard_set_table, vector_table
    from prodemb.shards.format import read_manifest
    from prodemb.shards.reader import find_shard_folders

    for folder in find_shard_folders(existing_shards(shards)):
        manifest = read_manifest(folder)
        started("inspect", where=folder)
        finished(manifest)
        answer([shard_set_table(manifest, folder=folder), vector_table(manifest)])


def verify(shards: ShardsArgument) -> None:
    """Check every byte of shards and manifests. `prodemb embed` then replaces only what is damaged."""
    from prodemb.shards.reader import find_shard_folders
    from prodemb.shards.verify import verify as trouble_in

    started("verify", where=shards)
    with show_progress("Verifying") as on_progress:
        found = existing_shards(shards)
        trouble = trouble_in(found, on_progress=on_progress)
    finished(trouble)
    answer(trouble)
    if trouble:
        raise typer.Exit(SHARDS)
    for folder in find_shard_folders(found):
        say(f"{folder}: no errors")
