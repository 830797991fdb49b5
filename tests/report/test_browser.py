"""The page in a browser: nothing goes wrong, filters and search find products, and it fits a phone."""

import shutil
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from prodemb.core.progress import no_progress
from prodemb.job.pipeline import Pipeline
from prodemb.job.report import make_report
from tests.report.conftest import NUM

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium"),
    pytest.mark.slow,
]


@pytest.fixture(scope="module")
def page(pipelines: list[Pipeline], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The report of the hostile project, opened; whatever goes wrong or is asked for is in `page.troubles`."""
    out = tmp_path_factory.mktemp("browser") / "report.html"
    make_report(pipelines, out=out, progress=no_progress)
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened = browser.new_page(viewport={"width": 390, "height": 844})
        opened.troubles = []
        for event in ("console", "pageerror", "dialog"):
            opened.on(event, lambda found: opened.troubles.append(str(found)))
        opened.on("request", lambda request: opened.troubles.append(request.url) if is_far(request.url) else None)
        opened.goto(out.as_uri())
        yield opened
        browser.close()


def is_far(url: str) -> bool:
    return not url.startswith(("data:image/jpeg", "file:"))


def shown(page: Any) -> int:
    return int(page.locator(".product:visible").count())


def test_nothing_goes_wrong_and_nothing_is_asked_for(page: Any) -> None:
    assert page.troubles == []
    assert page.locator(".product img").first.evaluate("image => image.naturalWidth") > 20


def test_it_fits_a_phone_and_a_laptop(page: Any) -> None:
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_filters_and_search_find_products(page: Any) -> None:
    assert shown(page) == 48
    page.get_by_role("button", name="Show more").click()
    assert shown(page) == NUM
    page.get_by_label("Search all text").fill("ALERT(1) 10")
    assert shown(page) == 1
    assert page.locator("#found").inner_text() == f"1 of {NUM} products match; 1 shown"
    page.get_by_role("button", name="Clear").click()
    page.get_by_text(f"{NUM} of {NUM} products match; 48 shown").wait_for()
    for label, value in (("Kind", "brand wrong"), ("Partner", "<script>alert(1)</script>")):
        page.get_by_label(label, exact=True).select_option(value)
        assert 0 < shown(page) < NUM
        page.get_by_label(label, exact=True).select_option("")
    page.get_by_label("Confidence to, in percent").fill("0")
    assert shown(page) == 0
    page.get_by_role("button", name="Clear").click()


def test_the_tree_opens_and_closes_by_keyboard_and_button(page: Any) -> None:
    page.get_by_role("button", name="Close all").click()
    assert page.locator(".tree details[open]").count() == 0
    page.locator(".tree summary").first.focus()
    page.keyboard.press("Enter")
    assert page.locator(".tree details[open]").count() == 1
    page.get_by_role("button", name="Open all").click()
    assert page.locator(".tree details:not([open])").count() == 0


@pytest.mark.parametrize("colors", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_no_fault(page: Any, colors: str, width: int) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page.emulate_media(color_scheme=colors)
    page.set_viewport_size({"width": width, "height": 844})
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert [(fault["id"], fault["nodes"][0]["html"]) for fault in axe.run(page).response["violations"]] == []


def test_a_screen_reader_finds_its_way(page: Any) -> None:
    unnamed = "[...document.querySelectorAll('input, select')].filter(each => !each.labels.length).length"
    assert page.evaluate(unnamed) == 0
    levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3')].map(each => Number(each.tagName[1]))")
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    for selector in ("img:not([alt])", "th:not([scope])", "[role=region]:not([aria-label])", "svg:not([aria-label])"):
        assert page.locator(selector).count() == 0
    duplicates = "(ids => ids.length - new Set(ids).size)([...document.querySelectorAll('[id]')].map(each => each.id))"
    assert page.evaluate(duplicates) == 0
