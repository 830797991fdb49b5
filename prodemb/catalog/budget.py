"""The error budget: how many pictures may fail before a run stops, and where they come from."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import PurePath

from prodemb.catalog.images import ImagesConfig
from prodemb.catalog.urls import host_of, is_showable
from prodemb.core.errors import ImagesError


@dataclass
class PictureCounts:
    """Pictures that a run has tried to load, and the failures by source and reason."""

    num_tried: int = 0
    failed: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By source and reason."""

    def add(self, cell: str | bytes, *, reason: str | None) -> None:
        """Count a picture; `reason` is None where it was loaded."""
        self.num_tried += 1
        if reason is not None:
            self.failed[picture_source(cell), reason] += 1

    def __add__(self, other: "PictureCounts") -> "PictureCounts":
        return PictureCounts(self.num_tried + other.num_tried, self.failed + other.failed)


def picture_source(cell: str | bytes) -> str:
    """The host or folder that a picture comes from; never a user, password or query of an address."""
    if isinstance(cell, bytes):
        return "the catalog itself"
    host = host_of(cell)
    if host is not None:
        return f"host {host or '(none)'}"
    return f"folder {PurePath(cell.strip()).parent}" if is_showable(cell) else "paths with ? or @"


def check_budget(counts: PictureCounts, *, images: ImagesConfig, advice: str) -> None:
    """Raise ImagesError once more pictures failed than `[images] max_failure_rate` allows.

    Only pictures that this run has tried count, and nothing is raised before `min_tried` of them.

    Args:
        advice: what to do about it.
    """
    if images.max_failure_rate is None or counts.num_tried < images.min_tried:
        return
    num_failed = counts.failed.total()
    if num_failed <= images.max_failure_rate * counts.num_tried:
        return
    sources: Counter[str] = Counter()
    for (source, _), count in counts.failed.items():
        sources[source] += count
    worst, num_worst = min(sources.items(), key=lambda item: (-item[1], item[0]))
    causes = sorted((-count, reason) for (source, reason), count in counts.failed.items() if source == worst)
    reasons = ", ".join(f"{-count:,} {reason}" for count, reason in causes[:3])
    raise ImagesError(
        f"{num_failed:,} of {counts.num_tried:,} pictures failed, more than [images] max_failure_rate = "
        f"{images.max_failure_rate:g} allows; most at {worst}: {num_worst:,} ({reasons}); {advice}"
    )
