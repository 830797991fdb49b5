"""The error budget names the source that fails most, and never a secret of an address."""

import pytest

from prodemb.catalog.budget import PictureCounts, check_budget, picture_source
from prodemb.catalog.images import ImagesConfig
from prodemb.core.errors import ImagesError


@pytest.mark.parametrize(
    ("cell", "source"),
    [
        ("https://ann:secret@img.example.com/a/b.jpg?sig=secret", "host img.example.com"),
        ("//cdn.example.com/x.jpg", "host cdn.example.com"),
        ("http://[broken/x.jpg", "host (none)"),
        ("http://secret:pass/word@img.example.com/x.jpg", "host (none)"),
        ("http://ann:1234/secret@img.example.com/x.jpg", "host (none)"),
        ("http://ann:1234?secret@img.example.com/x.jpg", "host (none)"),
        ("http://ann:se@c/ret@img.example.com/x.jpg", "host (none)"),
        ("http://ann:/secret@img.example.com/x.jpg", "host (none)"),
        ("http://img.example.com:8080/x.jpg", "host img.example.com"),
        ("https://ann:secret@img.example.com:8080/x.jpg", "host img.example.com"),
        ("https://img.example.com/x@2x.jpg", "host img.example.com"),
        ("https:/ann:secret@img.example.com/a.jpg", "paths with ? or @"),
        ("img.example.com/a.jpg?sig=sec/ret", "paths with ? or @"),
        ("images/new/1.jpg", "folder images/new"),
        ("1.jpg", "folder ."),
        (b"\xff\xd8", "the catalog itself"),
    ],
)
def test_the_source_of_a_picture(cell: str | bytes, source: str) -> None:
    assert picture_source(cell) == source


def counted(*, num: int, failed: dict[str, str]) -> PictureCounts:
    counts = PictureCounts(num_tried=num - len(failed))
    for cell, reason in failed.items():
        counts.add(cell, reason=reason)
    return counts


def test_the_worst_source_is_named_with_its_reasons() -> None:
    failed = {f"http://a.example/{i}.jpg": "HTTP 503" if i else "timed out" for i in range(6)}
    counts = counted(num=20, failed=failed) + counted(num=20, failed={"b/1.jpg": "file not found"})
    with pytest.raises(
        ImagesError, match=r"7 of 40 .* most at host a\.example: 6 \(5 HTTP 503, 1 timed out\); run again$"
    ):
        check_budget(counts, images=ImagesConfig(max_failure_rate=0.1, min_tried=40), advice="run again")


@pytest.mark.parametrize(
    "images",
    [
        ImagesConfig(),
        ImagesConfig(max_failure_rate=0.5, min_tried=1),
        ImagesConfig(max_failure_rate=0.1, min_tried=21),
    ],
)
def test_within_the_budget_nothing_is_said(images: ImagesConfig) -> None:
    check_budget(counted(num=20, failed={f"{i}.jpg": "truncated" for i in range(10)}), images=images, advice="")
