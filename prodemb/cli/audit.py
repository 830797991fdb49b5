"""`prodemb audit`: what partners sent, and gold labels, held against confident answers."""

from pathlib import Path
from typing import Annotated

import typer

from prodemb.cli.display import finished, show, started
from prodemb.cli.options import DeviceOption, HeadsOption, ShardsArgument, chosen_heads, existing_shards
from prodemb.cli.progress import show_progress


def audit(
    shards: ShardsArgument,
    out: Annotated[str, typer.Argument(help="The Parquet file to write.")],
    heads: HeadsOption = None,
    pipelines: Annotated[
        list[Path] | None,
        typer.Option(
            "--pipeline",
            help="The pipeline file of a head; repeat it for a second one. Default: the project's own, if any.",
            show_default=False,
        ),
    ] = None,
    device: DeviceOption = None,
) -> None:
    """List supplied brands and categories, and gold labels, that confident answers contradict, the surest first.

    Products with a label are answered by heads that are trained without it, which takes about as long as training.
    """
    from prodemb.cli.report.audit import audit_items
    from prodemb.job.audit import audit_shards
    from prodemb.job.pipeline import own_pipeline, read_pipeline
    from prodemb.job.score import own_heads
    from prodemb.shards.reader import find_shard_sets
    from prodemb.storage.desk import file_to_write

    given = {pipeline.target: pipeline for pipeline in map(read_pipeline, pipelines or [])}
    brand, category = (
        (given.get(target) or own_pipeline(target)).replaced({"embed": {"device": device}}, source="--device")
        for target in ("brand", "category")
    )
    started("audit", where=out)
    report = audit_shards(
        find_shard_sets(existing_shards(shards)),
        out=file_to_write(out),
        heads=chosen_heads(heads, default=lambda: own_heads([brand, category])),
        brand=brand,
        category=category,
        progress=show_progress,
    )
    finished(report)
    show(audit_items(report))
