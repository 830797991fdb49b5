"""`prodemb feed`: predictions to a Google Merchant supplemental feed."""

from typing import Annotated

import typer

from prodemb.cli.display import finished, show, started


def feed(
    predictions: Annotated[
        str, typer.Argument(help="Predictions, as `prodemb score` writes them: a file or a folder, also of a bucket.")
    ],
    out: Annotated[str, typer.Argument(help="The tab-separated file to write.")],
    min_confidence: Annotated[
        float | None,
        typer.Option(
            help="Write only categories and brands with at least this confidence. Default: 0.9.", show_default=False
        ),
    ] = None,
) -> None:
    """Write confident categories and brands as a Google Merchant supplemental feed."""
    from prodemb.cli.report.score import feed_lines
    from prodemb.score.bucket import predictions_to_read
    from prodemb.score.feed import MIN_CONFIDENCE, write_feed
    from prodemb.storage.desk import file_to_write

    least = MIN_CONFIDENCE if min_confidence is None else min_confidence
    started("feed", where=out)
    report = write_feed(predictions_to_read(predictions), file_to_write(out), min_confidence=least)
    finished(report)
    show(feed_lines(report))
