"""The error budget: how many pictures may be absent before a run stops, and who is to blame."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import PurePath

from prodemb.catalog.images import ImagesConfig
from prodemb.catalog.urls import host_of, is_showable
from prodemb.core.errors import ImagesError


@dataclass
class PictureCounts:
    """Pictures that a run has tried to load, and where and why that failed."""

    num_tried: int = 0
    failed: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By place and reason."""

    def add(self, cell: str | bytes, *, reason: str | None) -> None:
        """Count a picture; `reason` says why there is none."""
        self.num_tried += 1
        if reason is not None:
            self.failed[picture_place(cell), reason] += 1

    def __add__(self, other: "PictureCounts") -> "PictureCounts":
        return PictureCounts(self.num_tried + other.num_tried, self.failed + other.failed)


def picture_place(cell: str | bytes) -> str:
    """The host or folder that a picture comes from; never a user, password or query of an address."""
    if isinstance(cell, bytes):
        return "the catalog itself"
    host = host_of(cell)
    if host is not None:
        return f"host {host or '(none)'}"
    return f"folder {PurePath(cell.strip()).parent}" if is_showable(cell) else "paths with ? or @"


def check_budget(counts: PictureCounts, *, images: ImagesConfig, advice: str) -> None:
    """Raise ImagesError once more pictures failed than `[images] max_failure_rate` allows.

    Only pictures that this run has tried are counted, and nothing is said before `min_tried` of them.

    Args:
        advice: what to do about it.
    """
    if images.max_failure_rate is None or counts.num_tried < images.min_tried:
        return
    num_failed = counts.failed.total()
    if num_failed <= images.max_failure_rate * counts.num_tried:
        return
    places: Counter[str] = Counter()
    for (place, _), count in counts.failed.items():
        places[place] += count
    worst, num_worst = min(places.items(), key=lambda item: (-item[1], item[0]))
    why = sorted((-count, reason) for (place, reason), count in counts.failed.items() if place == worst)
    reasons = ", ".join(f"{-count:,} {reason}" for count, reason in why[:3])
    raise ImagesError(
        f"{num_failed:,} of {counts.num_tried:,} pictures failed, more than [images] max_failure_rate = "
        f"{images.max_failure_rate:g} allows; most at {worst}: {num_worst:,} ({reasons}); {advice}"
    )
