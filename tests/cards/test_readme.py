"""A card says what a folder is, whatever its catalog is called, and never replaces what somebody wrote."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from prodemb.cards.readme import README, is_readme_settled, own_readme, render, warn_if_stale, write_readme
from prodemb.heads.head import HeadCard
from prodemb.job.given_labels import LabelsRead
from prodemb.shards.format import Manifest, ShardRecord, ShardSchema
from prodemb.shards.lexical import LexicalKind
from prodemb.shards.text import TextKind
from tests.small_heads import make_card

HOSTILE = "a|b\n# c\n`d` <script>e</script> ![f](javascript:g) --- {{ 7 * 7 }} \\| $h$ &amp; \x1b[31m"
TAGS = ("<h1", "<h2", "<li", "<td", "<tr", "<pre", "<a ", "<img", "<script", "<hr", "<!--")
SOURCE = {"revision": None, "model_type": "siglip", "dim": 8, "fingerprint": "ab", "version": "1"}


def shards(catalog: str, *, model: str = "bundled", reason: str = "no value", **entries: Any) -> dict[str, object]:
    """What the card of a set of two products says.

    Args:
        entries: of the schema.
    """
    values: dict[str, Any] = {"lexical": LexicalKind(), "features": ("title", "lexical")}
    schema = ShardSchema(fingerprint="ab" * 8, model=model, dim=8, **values | entries)
    counts = {"title": {reason: 1}}
    record = ShardRecord(
        name="part-00000.parquet", num_products=2, num_bytes=1, sha256="0" * 64, rows_hash="", null_counts=counts
    )
    manifest = Manifest(
        shard_schema=schema,
        catalog=catalog,
        num_rows=3,
        skipped_rows={reason: 1},
        shard_size=8,
        complete=True,
        shards=(record,),
    )
    return {"manifest": manifest, "schema": schema, "missing": manifest.null_counts()}


def head_values(card: HeadCard, **others: Any) -> dict[str, object]:
    """What the card of a head says."""
    counts = dict.fromkeys(("num_rolled_up", "num_rare_classes", "num_rare_products", "num_unknown"), 0)
    return {"card": card, "given": None, "taxonomy": None, "num_labelled": 1, **counts, **others}


def page(text: str) -> str:
    """The HTML that a reader of Markdown makes of it."""
    return MarkdownIt("commonmark").enable("table").render(text)


def test_the_card_of_shards_in_full() -> None:
    shown = page(render("shards", shards("feeds/mine.csv"))).splitlines()
    assert shown[0] == "<h1>Product embeddings of <code>feeds/mine.csv</code></h1>"
    for line in (
        "<li>rows: 3 in the catalog, 1 of them left out",
        "<li>1: no value</li>",
        "<li>products: 2 in 1 file</li>",
    ):
        assert line in shown
    cells = [line for line in shown if line.startswith("<td")]
    assert [cell.split(">")[1].split("<")[0] for cell in cells][:4] == ["title", "1", "8", "1 no value"]
    assert render("shards", shards("a")) == render("shards", shards("a"))


def test_shards_of_another_catalog_than_the_model_was_fine_tuned_on_do_not_claim_it() -> None:
    assert "<li>model: <code>t</code>, fine-tuned by prodemb</li>" in page(
        render("shards", shards("other.csv", model="t", fine_tuned=True))
    )


FEATURES = ("title", "lexical", "text")
TEXT = TextKind(fingerprint="cd" * 8, model="org/e5", template=("passage: {title}", "{description}"), dim=8)


def test_cards_name_the_text_encoder() -> None:
    line = (
        "<li>text encoder: <code>org/e5</code>, fingerprint <code>cdcdcdcdcdcdcdcd</code>, reads "
        "<code>passage: {title}</code>, <code>{description}</code> of each product</li>"
    )
    assert line in page(render("shards", shards("a", text=TEXT, features=FEATURES)))
    assert "text encoder" not in render("shards", shards("a"))
    card = make_card("brand", text=TEXT)
    assert line in page(render("head", head_values(card, catalog="a", classes=[])))
    hostile = TEXT.model_copy(update={"model": HOSTILE, "template": (f"{HOSTILE.split('{{')[0]}{{title}}",)})
    shown, usual = (
        page(render("shards", shards("a", text=hostile, features=FEATURES))),
        page(render("shards", shards("a", text=TEXT, features=FEATURES))),
    )
    assert [shown.count(tag) for tag in TAGS] == [usual.count(tag) for tag in TAGS]


@pytest.mark.parametrize("name", [HOSTILE, "``", " a ", "", "x" * 9000, "https://ann:secret@a.example/x"])
def test_names_are_nothing_but_names(name: str) -> None:
    card = render("shards", shards(name, model=name, reason=name))
    usual, shown = page(render("shards", shards("a"))), page(card)
    assert [shown.count(tag) for tag in TAGS] == [usual.count(tag) for tag in TAGS]
    assert "secret" not in card
    assert "\x1b" not in card


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=30))
def test_any_name_can_be_read_again_and_stays_on_its_line(name: str) -> None:
    usual, card = render("converted", SOURCE | {"source": "x"}), render("converted", SOURCE | {"source": f"./{name}"})
    assert card.count("\n") == usual.count("\n")
    assert page(card).count("<") == page(usual).count("<")
    assert yaml.safe_load(card.split("---\n")[1]) == yaml.safe_load(usual.split("---\n")[1])


def test_a_model_of_the_hub_is_named_as_the_base_model() -> None:
    card = render("converted", SOURCE | {"source": "org/clip-b.32", "revision": "main"})
    front = yaml.safe_load(card.split("---\n")[1])
    assert front == {
        "library_name": "transformers",
        "pipeline_tag": "zero-shot-image-classification",
        "tags": ["siglip", "prodemb", "vision-language"],
        "base_model": "org/clip-b.32",
    }
    assert "revision `main`" in card
    for folder in ("./org/clip", "/org/clip", "bundled", "org/a/b", "org/a\nb: c"):
        assert "base_model" not in yaml.safe_load(render("converted", SOURCE | {"source": folder}).split("---\n")[1])


def test_a_card_is_renewed_until_somebody_edits_it(tmp_path: Path) -> None:
    path = tmp_path / README
    assert own_readme(tmp_path) == (README,)
    write_readme(tmp_path, "shards", shards("a"))
    before = path.stat()
    write_readme(tmp_path, "shards", shards("a"))
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    assert own_readme(tmp_path) == (README,)
    write_readme(tmp_path, "shards", shards("b"))
    assert "of `b`" in path.read_text()
    path.write_text(path.read_text().replace("of `b`", "of b, see the wiki"))
    assert own_readme(tmp_path) == ()


def test_an_edited_card_is_told_of_once_it_is_of_an_earlier_state(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / README
    assert not is_readme_settled(tmp_path)
    warn_if_stale(tmp_path, "shards", shards("b"))
    write_readme(tmp_path, "shards", shards("a"))
    assert is_readme_settled(tmp_path)
    path.write_text(f"{path.read_text()}\nA note.\n")
    assert not is_readme_settled(tmp_path)
    warn_if_stale(tmp_path, "shards", shards("a"))
    assert not caplog.records
    warn_if_stale(tmp_path, "shards", shards("b"))
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{path}: was edited, so it stays, but ")
    path.write_text(path.read_text().replace("<!-- written by prodemb", "<!-- "))
    assert is_readme_settled(tmp_path)
    warn_if_stale(tmp_path, "shards", shards("b"))
    assert len(caplog.records) == 1


@pytest.mark.parametrize("kind", ["file", "empty", "binary", "link", "dangling", "folder", "pipe"])
def test_what_prodemb_did_not_write_is_not_its_own(tmp_path: Path, kind: str) -> None:
    path = tmp_path / README
    (tmp_path / "other").mkdir()
    write_readme(tmp_path / "other", "shards", shards("a"))
    match kind:
        case "file":
            path.write_text("# Mine\n")
        case "empty":
            path.touch()
        case "binary":
            path.write_bytes(b"\xff\xfe\n\x00")
        case "link":
            path.symlink_to(tmp_path / "other" / README)
        case "dangling":
            path.symlink_to("nowhere")
        case "folder":
            path.mkdir()
        case _:
            os.mkfifo(path)
    assert own_readme(tmp_path) == ()


def test_the_card_of_a_head_that_was_not_evaluated_with_hostile_names() -> None:
    card = make_card("brand", model="org/clip", evaluation=None)
    shown = render(
        "head",
        head_values(
            card,
            catalog=HOSTILE,
            classes=[(HOSTILE, 3), ("Ada", 1)],
            given=LabelsRead(path=Path(HOSTILE), num_labels=1, num_changed=0),
        ),
    )
    front, text = shown.split("---\n", 2)[1:]
    assert yaml.safe_load(front)["base_model"] == "org/clip"
    html = page(text)
    assert html.count("<h1>") == 1
    assert not re.search("<script|<img|<hr|<a ", html)
    assert "<li><code>Ada</code>: 1 product</li>" in html
    assert "<li>and 7 more, in <code>head.json</code></li>" in html
    assert "<p>It was not evaluated.</p>" in html
