"""`prodemb predict`: another feed, with heads that are trained."""

from pathlib import Path
from typing import Annotated

import typer

from prodemb.cli.display import show
from prodemb.cli.options import DeviceOption, PipelineOption
from prodemb.cli.progress import show_progress


def predict(
    feed: Annotated[str, typer.Argument(help="A feed of any format that `prodemb read` shows.")],
    out: Annotated[Path, typer.Argument(help="The Parquet file to write.")],
    heads: Annotated[
        list[Path] | None,
        typer.Option(
            "--head",
            help="The folder of a head; repeat it for a second head. Default: the pipelines' own heads.",
            show_default=False,
        ),
    ] = None,
    cache: Annotated[
        str | None,
        typer.Option(
            help="The folder in which vectors of feeds are kept for the next call. Default: the pipeline's.",
            show_default=False,
        ),
    ] = None,
    pipeline: PipelineOption = None,
    device: DeviceOption = None,
) -> None:
    """Predict a category and a brand for every product of another feed. Nothing is trained."""
    from prodemb.catalog.config import CatalogConfig
    from prodemb.cli.report.predict import feed_items
    from prodemb.job.pipeline import own_pipeline, read_pipeline
    from prodemb.job.predict import predict_feed
    from prodemb.job.score import joint_scoring, own_heads

    own = [own_pipeline("brand"), own_pipeline("category")]
    joint = joint_scoring(own[0], category=own[1])
    joint = joint.replaced({"embed": {"device": device}, "predict": {"cache": cache}}, source="command line")
    if pipeline is not None:
        config = read_pipeline(pipeline).catalog.model_copy(update={"path": feed})
    else:
        config = CatalogConfig(path=feed, bad_ids="drop")
    folders = heads or own_heads(own)
    show(feed_items(predict_feed(config, out, heads=folders, pipeline=joint, progress=show_progress)))
