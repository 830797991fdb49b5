"""`prodemb label`: the products to label, in a file to fill in."""

from typing import Annotated, Any

import typer

from prodemb.cli.display import finished, show, started
from prodemb.cli.options import DeviceOption, LabelsOption, ShardsArgument, TaxonomyOption, existing_shards
from prodemb.cli.progress import show_progress


def label(
    shards: ShardsArgument,
    out: Annotated[
        str,
        typer.Argument(help="The .csv or .tsv file to write. Rows of an earlier one that somebody wrote into stay."),
    ],
    products: Annotated[
        int | None,
        typer.Option(help="How many products to label next. Default: the pipeline's.", show_default=False),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of the choice. Default: the pipeline's.", show_default=False)
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(
            help="The folder of the category head that says what is likely. Default: the pipeline's own head, and "
            "zero-shot where there is none.",
            show_default=False,
        ),
    ] = None,
    taxonomy: TaxonomyOption = None,
    labels: LabelsOption = None,
    device: DeviceOption = None,
) -> None:
    """Pick the products whose labels would help most, with the likeliest categories, for people to label.

    Fill in the column category (an id, a path, a likely one copied whole, or `?` where nobody can tell), and brand
    where it is wrong or missing; then train with `--labels FILE`, or name it in the pipelines, as `labels` of the table
    train. Products with a category are left out, and once there is a head those that it is least sure of come first.
    """
    from prodemb.cli.report.label import label_lines
    from prodemb.job.label import label_shards
    from prodemb.job.pipeline import own_pipeline
    from prodemb.shards.reader import find_shard_sets
    from prodemb.storage.desk import file_to_write, folder_to_read

    settings: dict[str, dict[str, Any]] = {
        "embed": {"device": device},
        "train": {"labels": labels, "taxonomy": taxonomy},
        "label": {"products": products, "seed": seed},
    }
    started("label", where=out)
    report = label_shards(
        find_shard_sets(existing_shards(shards)),
        out=file_to_write(out),
        category=own_pipeline("category").replaced(settings, source="command line"),
        head=None if head is None else folder_to_read(head),
        progress=show_progress,
    )
    finished(report)
    show(label_lines(report))
