"""What is shown of fine-tuning: the checkpoint, and what it gained on the validation products."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prodemb.core.text import counted

if TYPE_CHECKING:
    from prodemb.finetune.config import FinetuneConfig
    from prodemb.finetune.report import FinetuneReport


def finetune_lines(report: FinetuneReport, *, config: FinetuneConfig) -> list[str]:
    """What fine-tuning made, and what it did to the validation products.

    Args:
        config: the current settings; the report holds those of the run that trained.
    """
    took = "by an earlier run" if report.was_done else f"in {report.seconds:.1f} s"
    lines = [
        f"checkpoint at {config.out} ({report.fingerprint}), from {report.model} ({report.original_fingerprint}): "
        f"trained on {counted(report.num_train, 'product')} of "
        f"{counted(report.num_classes, 'category', 'categories')}, validated on {report.num_validation:,}, "
        f"{report.num_pictures:,} of all with a picture; {counted(len(report.curve.epochs), 'epoch')} {took}; weights "
        f"{report.wise_ft_alpha:.0%} fine-tuned, {1 - report.wise_ft_alpha:.0%} original"
    ]
    if report.before is not None and report.after is not None:
        before, after = report.before.nearest_path, report.after.nearest_path
        changes = [f"{feature} {before[feature]:.3f} -> {after[feature]:.3f}" for feature in before if feature in after]
        asked = counted(report.after.num_products, "validation product")
        lines.append(f"top-1 of the nearest category path on {asked}, each on those that have it: {', '.join(changes)}")
        if report.before.head is not None and report.after.head is not None:
            lines.append(
                f"top-1 of a linear probe on all features: {report.before.head:.3f} -> {report.after.head:.3f}"
            )
    if report.changed is not None:
        lines.append(
            f"checkpoint kept: only {report.changed:.1%} of the labelled products are new or changed ([finetune] "
            f"max_changed = {config.max_changed:g}); to fine-tune on the current products, run `prodemb "
            "finetune-category --overwrite` with the same catalog or --pipeline"
        )
    return lines
