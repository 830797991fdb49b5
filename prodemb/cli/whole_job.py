"""The whole job, and how it begins with a catalog of one's own."""

from pathlib import Path
from typing import Annotated

import typer

from prodemb.cli.display import say, show
from prodemb.cli.options import DeviceOption
from prodemb.cli.progress import watch
from prodemb.cli.reading import TaxonomyOption


def run(
    pipelines: Annotated[
        list[Path] | None,
        typer.Argument(help="Pipeline files; by default pipelines/brand.toml and category.toml.", show_default=False),
    ] = None,
    finetune: Annotated[
        bool, typer.Option(help="Fine-tune CLIP for the categories too. Without it what was fine-tuned stays as it is.")
    ] = True,
    device: DeviceOption = None,
) -> None:
    """Do the whole job: embed, train, fine-tune, score. What is done is not done again."""
    from prodemb.job.pipeline import own_pipeline, read_pipeline
    from prodemb.job.run import run as run_pipelines

    chosen = (
        [read_pipeline(path) for path in pipelines] if pipelines else [own_pipeline("brand"), own_pipeline("category")]
    )
    chosen = [pipeline.replaced({"embed": {"device": device}}, source="--device") for pipeline in chosen]
    for item in run_pipelines(chosen, finetuned=finetune, watch=watch):
        show(item)


def init(
    catalog: Annotated[
        str, typer.Argument(help="Your own catalog: a file, folder or glob, of any format that `prodemb read` takes.")
    ],
    out: Annotated[Path, typer.Option(help="The folder for the pipeline files.")] = Path("pipelines"),
    taxonomy: TaxonomyOption = None,
) -> None:
    """Look at your own catalog, guess which column is what, and write pipelines that are ready to run."""
    from prodemb.cli.reading import overview_lines, taxonomies_of
    from prodemb.job.init import guess, write_pipelines

    found = guess(catalog, taxonomies=taxonomies_of(taxonomy))
    for line in (*overview_lines(found.overview), *found.notes):
        say(line)
    written = write_pipelines(found, out)
    for line in written.lines():
        say(line)
