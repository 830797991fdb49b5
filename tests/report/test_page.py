"""The page: text of a catalog stays text, nothing is asked for, it is never large, and it replaces only its like."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodemb.core.errors import ConfigError
from prodemb.core.progress import no_progress
from prodemb.core.text import for_terminal
from prodemb.finetune.config import FinetuneConfig
from prodemb.finetune.report import Curve, EpochResult, FinetuneReport
from prodemb.job.pipeline import Pipeline
from prodemb.job.report import make_report
from prodemb.report.gallery import MAX_OF_KIND
from prodemb.report.outcome import MAX_BRANDS, MAX_NODES
from prodemb.report.page import check_report_out, render
from prodemb.report.review import MAX_MERGES, NUM_TITLES
from prodemb.report.summary import BrandCount, Merge, Merges, Node, StepTime, Summary
from prodemb.report.thumbnails import MAX_BYTES, TOO_MANY
from tests.report.conftest import HOSTILE, NUM

SVG = {"svg", "defs", "g", "path", "use", "text", "clippath", "rect"}
TAGS = SVG | set(
    "html head meta title style body a header h1 h2 h3 p nav ul li main div b section table thead tbody tr th td br"
    " details summary span figure figcaption button form label input select option img dl dt dd footer script".split()
)


class Reader(HTMLParser):
    """What a browser makes of a page: its elements, their attributes, and the text outside of scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.texts: list[str] = []
        self._inside = ""
        self.feed(page)
        self.text = " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._inside = tag
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_data(self, data: str) -> None:
        if self._inside not in ("script", "style"):
            self.texts.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")


def check_harmless(reader: Reader) -> None:
    """No element, address or handler that a catalog could have brought in."""
    assert {*reader.tags} <= TAGS
    assert reader.tags.count("script") == reader.tags.count("style") == reader.tags.count("title") == 1
    for tag, name, value in reader.attributes:
        assert not name.startswith("on"), (tag, name)
        if name in ("href", "xlink:href"):
            assert (value or "").startswith("#")
        if name == "src":
            assert (value or "").startswith("data:image/jpeg;base64,")
        if name == "style" and tag not in SVG:
            assert re.fullmatch(r"--share: [\d.]+%", value or "")


@pytest.fixture(scope="module")
def summary(pipelines: list[Pipeline], tmp_path_factory: pytest.TempPathFactory) -> Summary:
    out = tmp_path_factory.mktemp("page") / "report.html"
    return make_report(pipelines, out=out, progress=no_progress).summary


def test_hostile_text_and_file_names_stay_text(summary: Summary) -> None:
    assert {card.no_picture for card in summary.gallery} >= {None, "file not found"}
    page = render(summary)
    reader = Reader(page)
    check_harmless(reader)
    for text in HOSTILE:
        assert " ".join(for_terminal(text).split()) in reader.text
    assert "secret" not in page
    assert not {"\x00", "\x1b", "\u202e"} & {*page}


@given(text=st.text(min_size=1))
@settings(max_examples=20, deadline=None)
def test_no_text_becomes_markup(summary: Summary, text: str) -> None:
    card = replace(summary.gallery[0], title=text, partner=text, product_id=text, supplied_brand=text, picture=None)
    node = Node(name=text, num_products=1, num_own=1, confidence=0.5)
    outcome = replace(summary.outcome, tree=(node,), brands=(BrandCount(name=text, num_products=1, confidence=None),))
    small = replace(summary, learned=(), gallery=(card,), outcome=outcome)
    reader = Reader(render(small))
    check_harmless(reader)
    render(small).encode()


def test_the_page_forbids_itself_all_requests(summary: Summary) -> None:
    reader = Reader(render(summary))
    (rules,) = [value for _, name, value in reader.attributes if name == "content" and "default-src" in (value or "")]
    assert rules is not None
    assert rules.startswith("default-src 'none'; img-src data:;")
    assert "script-src 'sha256-" in rules
    assert not {"link", "iframe", "object", "base"} & {*reader.tags}


def test_a_person_finds_what_is_there(summary: Summary) -> None:
    text = Reader(render(summary)).text
    assert f"{NUM} products from" in text
    for part in (
        "TF-IDF + linear SVM",
        "examples: 6 to 19",
        "by chance below",
        "answers that is right by level",
        "cannot be promised",
    ):
        assert part in text
    assert "Brand merges to decide" in text
    assert "1 values are contradicted" in text
    assert "this report was made without one" in text


def test_the_head_that_scoring_keeps_stands_beside_the_other(summary: Summary) -> None:
    learned = summary.learned[0]
    cards = []
    for share in (0.9, 0.8):
        assert learned.card.evaluation is not None
        evaluation = learned.card.evaluation.model_copy(update={"out_of_fold": share, "num_out_of_fold": 50})
        cards.append(learned.card.model_copy(update={"evaluation": evaluation}))
    both = replace(learned, card=cards[0], other=cards[1], is_fine_tuned=False)
    text = Reader(render(replace(summary, learned=(both,)))).text
    assert text.index("prodemb, CLIP fine-tuned") < text.index("prodemb, CLIP frozen")
    assert (
        "Of the 50 out-of-fold answers 90.0 % are right with CLIP as published, which scoring keeps, and 80.0 %" in text
    )
    assert "by more than a standard error" in text


def test_fine_tuning_shows_its_loss(summary: Summary) -> None:
    epochs = [EpochResult(epoch=n, last_step=n, loss=1 / (n + 1), validation=None, seconds=1.0) for n in range(20)]
    report = FinetuneReport(
        inputs_hash="",
        settings_hash="",
        model="bundled",
        original_fingerprint="a",
        fingerprint="b",
        num_train=90,
        num_validation=0,
        num_pictures=0,
        num_classes=9,
        learning_rate=1e-4,
        best_epoch=0,
        wise_ft_alpha=1.0,
        before=None,
        after=None,
        curve=Curve(epochs=tuple(epochs)),
        seconds=20.0,
        device="cpu",
        num_processes=1,
        config=FinetuneConfig(),
    )
    reader = Reader(render(replace(summary, finetune=report)))
    check_harmless(reader)
    assert "90 products, 20 epochs in 20 s" in reader.text
    assert "Loss of fine-tuning by epoch" in [value for _, name, value in reader.attributes if name == "aria-label"]


def test_times_are_shown_where_a_run_measured_them(summary: Summary) -> None:
    step = StepTime(name="embed", fine_tuned=True, seconds=50.0, num_products=1000, bottleneck="decoding")
    text = Reader(render(replace(summary, steps=(step,)))).text
    assert "embed, CLIP fine-tuned" in text
    assert "50.0 20 14 h bottleneck: decoding" in text.replace("13.9 h", "14 h")


def test_the_largest_report_is_below_ten_megabytes(summary: Summary) -> None:
    long = "\x00\"'<&" * 2000
    num = sum(MAX_OF_KIND.values())
    picture = "data:image/jpeg;base64," + "A" * (MAX_BYTES // num - 23)
    card = replace(
        summary.gallery[0],
        product_id=long,
        title=long,
        partner=long,
        supplied_brand=long,
        supplied_category=long,
        category=replace(summary.gallery[0].category, value=long, label=long, verdict="wrong"),
        brand=replace(summary.gallery[0].brand, value=long, label=long, verdict="wrong"),
        picture=picture,
    )
    node = Node(name=long, num_products=10**6, num_own=0, confidence=0.5)
    outcome = replace(
        summary.outcome,
        num_products=100_000,
        tree=(node,) * MAX_NODES,
        brands=(BrandCount(name=long, num_products=9, confidence=0.5),) * MAX_BRANDS,
        num_brands=5000,
    )
    merge = Merge(
        supplied=long,
        proposed=long,
        rule=long,
        score=0.5,
        num_products=9,
        titles=(long,) * NUM_TITLES,
        proposed_titles=(long,) * NUM_TITLES,
    )
    page = render(
        replace(
            summary,
            gallery=(card,) * (num - 1) + (replace(card, picture=None, no_picture=TOO_MANY),),
            outcome=outcome,
            merges=Merges(aliases="aliases.csv", num_merges=900, merges=(merge,) * MAX_MERGES),
        )
    )
    assert len(page.encode()) < 10_000_000
    left_out = Reader(page).text
    assert "4,700 brands with few products" in left_out
    assert f"{100_000 - num // 2:,} products" in left_out
    assert "800 brand merges" in left_out


def test_only_a_report_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    check_report_out(page)
    page.write_text("<p>mine")
    with pytest.raises(ConfigError, match=r"report\.html: holds no report, so it is not replaced"):
        check_report_out(page)
    with pytest.raises(ConfigError, match=r"wanted a name that ends in \.html"):
        check_report_out(tmp_path / "report.pdf")
