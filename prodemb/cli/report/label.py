"""What is shown of a file to label, and of a file of labels that a head was trained with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prodemb.core.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    # For annotations alone: at run time they would load torch.
    from prodemb.job.given_labels import LabelsRead
    from prodemb.job.label import LabelReport


def label_lines(report: LabelReport) -> Iterator[str]:
    """What there is to label, how it was chosen, and what to do with it."""
    if not report.num_unlabelled:
        yield f"{report.out}: every product carries a category already, so there is none to label"
        return
    how = "spread over what is not labelled yet"
    if report.is_by_head:
        how += f", those that {report.by} is least sure of first"
    yield (
        f"{counted(report.num_picked, 'product')} to label in {report.out}, of {report.num_unlabelled:,} without a "
        f"category; {how} ({report.seconds:.1f} s)"
    )
    if report.num_kept or report.num_replaced:
        kept, gone = counted(report.num_kept, "row"), counted(report.num_replaced, "other")
        yield f"{kept} of the earlier file that somebody has written into kept; {gone} replaced"
    if report.by is not None:
        yield f"likely categories: by {report.by}"
    yield f"fill in the column category, then: prodemb train-category --labels {report.out}"


def given_labels_line(labels: LabelsRead) -> str:
    """How many labels a file gave, and how many of them stand in place of others."""
    line = f"{labels.path}: labels of {counted(labels.num_labels, 'product')}"
    if labels.num_changed:
        line += f", {labels.num_changed:,} of them in place of another label of the catalog"
    return line
