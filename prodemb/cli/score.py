"""`prodemb score`: shards and heads to predictions."""

from typing import Annotated

import typer

from prodemb.cli.display import finished, show, started
from prodemb.cli.options import (
    DeviceOption,
    EngineOption,
    HeadsOption,
    LabelsOption,
    RayAddressOption,
    ShardsArgument,
    TaxonomyOption,
    chosen_heads,
    existing_shards,
)
from prodemb.cli.progress import show_progress
from prodemb.core.errors import ConfigError


def score(
    shards: ShardsArgument,
    out: Annotated[str, typer.Argument(help="The Parquet file to write, or a folder for several, also of a bucket.")],
    heads: HeadsOption = None,
    zero_shot: Annotated[
        bool, typer.Option("--zero-shot", help="Predict categories without a head, from the taxonomy's names.")
    ] = False,
    taxonomy: TaxonomyOption = None,
    labels: LabelsOption = None,
    changed_since: Annotated[
        str | None,
        typer.Option(
            help="Earlier predictions of all products: write only what was added, changed or removed since.",
            show_default=False,
        ),
    ] = None,
    precision: Annotated[
        float | None,
        typer.Option(
            help="Answer so that at least this share of the categories, and of the brands, is right; doubtful products "
            "get a parent category, or nothing. Default: the pipelines' own setting.",
            show_default=False,
        ),
    ] = None,
    certainty: Annotated[
        float | None,
        typer.Option(
            help="The probability that this holds. Default: the pipelines' own setting.",
            show_default=False,
        ),
    ] = None,
    device: DeviceOption = None,
    engine: EngineOption = None,
    ray_address: RayAddressOption = None,
) -> None:
    """Predict a category and a brand, with confidences, for every product of the shards.

    Where OUT is a folder, the predictions are several files of it in catalog order; a Ray cluster needs that. Where it
    and the shards are in a bucket, the machines of the cluster share nothing else.
    """
    from prodemb.cli.report.score import missing_head_lines, score_lines
    from prodemb.job.given_labels import with_given_labels
    from prodemb.job.pipeline import own_pipeline
    from prodemb.job.score import joint_scoring, own_heads, predictions_to_write, score_shards, trained_heads
    from prodemb.job.zero_shot import open_zero_shot
    from prodemb.score.bucket import predictions_to_read
    from prodemb.shards.reader import find_shard_sets

    if taxonomy is not None and not zero_shot:
        raise ConfigError(
            f"--taxonomy: found {taxonomy!r} without --zero-shot; wanted both, because a head uses the taxonomy that "
            "it was trained with"
        )
    found = find_shard_sets(existing_shards(shards))
    own = [own_pipeline("brand"), own_pipeline("category")]
    brand, category = (
        pipeline.replaced({"embed": {"device": device}}, source="--device")
        .replaced({"score": {"precision": precision}}, source="--precision")
        .replaced({"score": {"certainty": certainty}}, source="--certainty")
        .replaced({"train": {"labels": labels}}, source="--labels")
        .replaced({"score": {"engine": engine, "ray_address": ray_address}}, source="command line")
        for pipeline in own
    )
    category = category.replaced({"train": {"taxonomy": taxonomy}}, source="--taxonomy")
    found = with_given_labels(found, pipelines=[brand, category])
    brand = joint_scoring(brand, category=category)
    started("score", where=out)
    answerer = open_zero_shot(found, pipeline=category, progress=show_progress) if zero_shot else None
    default = (lambda: trained_heads(own[:1])) if zero_shot else (lambda: own_heads(own))
    folders = chosen_heads(heads, default=default)
    since = None if changed_since is None else predictions_to_read(changed_since)
    path = predictions_to_write(out)
    report = score_shards(
        found, out=path, heads=folders, pipeline=brand, progress=show_progress, zero_shot=answerer, since=since
    )
    finished(report)
    show(score_lines(report))
    show(missing_head_lines(report))
