"""The page: a summary as one HTML file that asks nobody for anything."""

import base64
import hashlib
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from prodemb.core.bounded import opened
from prodemb.core.errors import ConfigError
from prodemb.core.files import write_text
from prodemb.core.text import for_terminal
from prodemb.finetune.report import FinetuneReport
from prodemb.heads.metrics import Metrics
from prodemb.report import charts
from prodemb.report.outcome import SEPARATOR
from prodemb.report.summary import VERDICTS, Card, Learned, Summary
from prodemb.report.thumbnails import TOO_MANY
from prodemb.storage.names import named

GENERATOR = "prodemb report"
"""By which a report is known as one, that may be replaced."""
INPUTS = "prodemb-inputs"
"""Under this name a report says what it was made from."""
MAX_PAGE_BYTES = 9_500_000
_HEAD_BYTES = 512
_FOLDER = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class _Method:
    """One row of the table of methods."""

    name: str
    metrics: Metrics | None
    note: str | None
    is_best: bool


def check_report_out(path: Path) -> None:
    """Raise ConfigError where a report cannot be written to `path` without replacing something else."""
    if path.suffix.lower() != ".html" or path.is_dir():
        raise ConfigError(f"{path}: a report is one HTML file; wanted a name that ends in .html")
    if path.exists() and not _is_report(path):
        raise ConfigError(f"{path}: holds no report, so it is not replaced; remove it, or give another name")


def _is_report(path: Path) -> bool:
    return _has_entry(path, name="generator", content=GENERATOR)


def is_report_of(path: Path, *, inputs_hash: str) -> bool:
    """Whether a file is a report that was made from these inputs."""
    return _is_report(path) and _has_entry(path, name=INPUTS, content=inputs_hash)


def _has_entry(path: Path, *, name: str, content: str) -> bool:
    """Whether a page says this of itself."""
    try:
        with opened(path) as file:
            return f'name="{name}" content="{content}"'.encode() in file.read(_HEAD_BYTES)
    except (OSError, ValueError):
        return False


def write_page(summary: Summary, path: Path, *, inputs_hash: str) -> None:
    """Write a report; the file is complete or not there.

    Args:
        inputs_hash: of everything that it was made from.

    Raises:
        ConfigError: `path` is no `.html` file, or one that is no report.
        BusyError, OutputError: another run writes it, or it cannot be written.
    """
    check_report_out(path)
    write_text(path, named(render(summary, inputs_hash=inputs_hash)))


def render(summary: Summary, *, inputs_hash: str = "") -> str:
    """The page, with as many products as fit into `MAX_PAGE_BYTES`.

    Whatever comes from a catalog is escaped, and shows no control characters and no secrets of URLs.
    """
    page = _rendered(summary, inputs_hash=inputs_hash)
    while len(page.encode()) > MAX_PAGE_BYTES and summary.gallery:
        summary = replace(summary, gallery=summary.gallery[: len(summary.gallery) // 2])
        page = _rendered(summary, inputs_hash=inputs_hash)
    return page


def _rendered(summary: Summary, *, inputs_hash: str) -> str:
    script = (_FOLDER / "page.js").read_text(encoding="utf-8")
    return _template().render(
        s=summary,
        generator=GENERATOR,
        inputs_hash=inputs_hash,
        style=Markup((_FOLDER / "page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=Markup(base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()),
        sections=_sections(summary),
        choices=_choices(summary.gallery),
        left_out=_left_out(summary),
        methods_of=_methods,
        charts=_Charts(),
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "num": _num,
        "percent": _percent,
        "decimal": _decimal,
        "seconds": _seconds,
        "tenths": lambda value: f"{value:,.1f}",
        "cut": _cut,
        "share": lambda part, total: _percent(part / total if total else 0),
        "bar": lambda part, total: f"{100 * part / total if total else 0:.1f}%",
        "top": lambda path: (path or "").split(SEPARATOR)[0],
        "least": _least_confidence,
    }
    return environment.get_template("page.html.j2")


class _Charts:
    """The charts as the template asks for them."""

    def reliability(self, learned: Learned) -> Markup:
        """Of a head whose card holds a reliability diagram."""
        evaluation = learned.card.evaluation
        assert evaluation is not None
        assert evaluation.reliability is not None
        return charts.reliability_chart(evaluation.reliability, name=f"{learned.card.target}-reliability")

    def risk(self, learned: Learned) -> Markup:
        """Of a head with out-of-fold answers."""
        evaluation = learned.card.evaluation
        promised = () if evaluation is None else evaluation.promised
        return charts.risk_chart(learned.risk, promised=promised, name=f"{learned.card.target}-risk")

    def loss(self, report: FinetuneReport) -> Markup:
        """Of a fine-tuning run of at least one epoch."""
        return charts.loss_chart(report.curve, name="finetune-loss")


def _shown(value: Any) -> Any:
    if value is None:
        return ""
    return for_terminal(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _num(value: int) -> str:
    return f"{value:,}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"


def _decimal(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _seconds(value: float) -> str:
    """A span of time as people say it."""
    if value < 100:
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 6000 else f"{value / 3600:,.1f} h"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}\N{HORIZONTAL ELLIPSIS}"


def _least_confidence(card: Card) -> str:
    """The lower one of a card's confidences, for the filter; empty where it has none."""
    given = [each for each in (card.category.confidence, card.brand.confidence) if each is not None]
    return f"{min(given):.4f}" if given else ""


def _sections(summary: Summary) -> list[tuple[str, str]]:
    found = [("in", "What came in"), ("learned", "What was learned"), ("out", "What came out")]
    found += [("merges", "Brand merges")] * (summary.merges is not None)
    found += [("audit", "Audit")] * (summary.audit is not None)
    found += [("products", "Products")] * bool(summary.gallery)
    return [*found, ("time", "Time and cost")]


def _choices(cards: tuple[Card, ...]) -> list[tuple[str, str, list[str]]]:
    """What the gallery can be filtered by: the name of the field, its label, and its values."""
    tops = {card.category.value.split(SEPARATOR)[0] for card in cards if card.category.value}
    brands = {card.brand.value for card in cards if card.brand.value}
    partners = {card.partner for card in cards if card.partner}
    kinds = {f"category {card.category.verdict}" for card in cards} | {f"brand {card.brand.verdict}" for card in cards}
    found = [
        ("kind", "Kind", [kind for kind in _KINDS if kind in kinds]),
        ("category", "Category", sorted(tops)),
        ("brand", "Brand", sorted(brands)),
        ("partner", "Partner", sorted(partners)),
    ]
    return [each for each in found if each[2]]


_KINDS = [f"{target} {verdict}" for target in ("category", "brand") for verdict in VERDICTS]


def _methods(learned: Learned) -> list[_Method]:
    """The baselines, the head on the other CLIP where there is one, and the head."""
    evaluation = learned.card.evaluation
    if evaluation is None:
        return []
    rows = [(each.name, each.metrics, each.note) for each in evaluation.methods]
    if learned.other is not None and learned.other.evaluation is not None and rows:
        kept, left = ("fine-tuned", "frozen") if learned.is_fine_tuned else ("frozen", "fine-tuned")
        name, metrics, note = rows.pop()
        rows += [
            (f"{each.name}, CLIP {left}", each.metrics, each.note) for each in learned.other.evaluation.methods[-1:]
        ]
        rows.append((f"{name}, CLIP {kept}", metrics, note))
    best = max((metrics.top1 for _, metrics, _ in rows if metrics is not None), default=None)
    return [
        _Method(name=name, metrics=metrics, note=note, is_best=metrics is not None and metrics.top1 == best)
        for name, metrics, note in rows
    ]


def _left_out(summary: Summary) -> dict[str, int]:
    """What the page does not show, and how many there are."""
    outcome = summary.outcome
    cards = summary.gallery
    counts = {
        "partners": summary.incoming.num_partners - sum(each.partner is not None for each in summary.incoming.presence),
        "small categories": outcome.num_categories_left_out,
        "brands with few products": outcome.num_brands - len(outcome.brands),
        "brand merges": 0 if summary.merges is None else summary.merges.num_merges - len(summary.merges.merges),
        "findings of the audit": 0
        if summary.audit is None
        else summary.audit.num_findings - len(summary.audit.findings),
        "products": outcome.num_products - len(cards),
        "pictures, for the size of the page": sum(card.no_picture == TOO_MANY for card in cards),
    }
    return {what: count for what, count in counts.items() if count > 0}
