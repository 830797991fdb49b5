"""`prodemb predict`: another feed, or one product, with heads that are trained."""

from pathlib import Path
from typing import Annotated

import typer

from prodemb.cli.display import answer, finished, show, started
from prodemb.cli.options import (
    DeviceOption,
    EngineOption,
    HeadsOption,
    PipelineOption,
    RayAddressOption,
    chosen_heads,
)
from prodemb.cli.progress import show_progress
from prodemb.core.errors import ConfigError


def _product_option(what: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(
        help=what, show_default=False, rich_help_panel="One product, in place of a feed"
    )
    return option


def predict(
    feed: Annotated[
        str | None,
        typer.Argument(help="A feed of any format that `prodemb read` shows.", show_default=False),
    ] = None,
    out: Annotated[
        str | None,
        typer.Argument(
            help="The Parquet file to write, or a folder for several, also of a bucket.", show_default=False
        ),
    ] = None,
    title: Annotated[str | None, _product_option("Its title.")] = None,
    description: Annotated[str | None, _product_option("Its description.")] = None,
    brand: Annotated[str | None, _product_option("Its brand, as a partner would send it.")] = None,
    cat1: Annotated[str | None, _product_option("Its category in a partner's words.")] = None,
    cat2: Annotated[str | None, _product_option("The one below that.")] = None,
    cat3: Annotated[str | None, _product_option("The one below that.")] = None,
    image: Annotated[Path | None, _product_option("Its picture, a file.")] = None,
    heads: HeadsOption = None,
    cache: Annotated[
        str | None,
        typer.Option(
            help="The folder in which vectors of feeds are kept for the next call. Default: the pipeline's.",
            show_default=False,
        ),
    ] = None,
    pipeline: PipelineOption = None,
    device: DeviceOption = None,
    engine: EngineOption = None,
    ray_address: RayAddressOption = None,
) -> None:
    """Predict a category and a brand for every product of another feed, or for one product. Nothing is trained."""
    from prodemb.catalog.config import CatalogConfig
    from prodemb.cli.report.predict import feed_items, product_items
    from prodemb.job.pipeline import own_pipeline, read_pipeline
    from prodemb.job.predict import explain_product, predict_feed
    from prodemb.job.score import joint_scoring, own_heads, predictions_to_write

    values = {"title": title, "description": description, "brand": brand, "cat1": cat1, "cat2": cat2, "cat3": cat3}
    product = {name: value for name, value in {**values, "image": image}.items() if value is not None}
    given = [f"--{name}" for name in product]
    if feed is not None and given:
        raise ConfigError(f"{feed}: found it together with {', '.join(given)}; wanted a feed, or one product")
    if not given and (feed is None or out is None):
        found = "nothing" if feed is None else feed
        raise ConfigError(f"predict: found {found}; wanted FEED and OUT.parquet, or a product such as --title TEXT")
    if image is not None and not image.is_file():
        raise ConfigError(f"--image: found {image}, which is no file; wanted a picture")
    own = [own_pipeline("brand"), own_pipeline("category")]
    joint = joint_scoring(own[0], category=own[1])
    running = {"engine": engine, "ray_address": ray_address}
    tables = {"embed": {"device": device} | running, "score": running, "predict": {"cache": cache}}
    joint = joint.replaced(tables, source="command line")
    folders = chosen_heads(heads, default=lambda: own_heads(own))
    if feed is None or out is None:
        started("predict", where=None)
        prediction, explanations = explain_product(product, heads=folders, pipelines=[joint, own[1]])
        finished(prediction)
        answer(product_items(prediction, explanations))
        return
    if pipeline is not None:
        config = read_pipeline(pipeline).catalog.model_copy(update={"path": feed})
    else:
        config = CatalogConfig(path=feed, bad_ids="drop")
    started("predict", where=out)
    report = predict_feed(config, predictions_to_write(out), heads=folders, pipeline=joint, progress=show_progress)
    finished(report)
    show(feed_items(report))
