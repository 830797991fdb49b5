"""Charts as static SVG, drawn by matplotlib, in the colours of the page around them."""

import io
import re
from collections.abc import Callable, Sequence

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from prodemb.confidence.reliability import Reliability
from prodemb.finetune.report import Curve
from prodemb.heads.evaluation import Promised
from prodemb.report.summary import RiskPoint

_INK, _LINE, _FAINT, _MARK = "#010203", "#040506", "#070809", "#0a0b0c"
"""Stand for the page's own colours, which differ by day and night."""
_VARIABLES = {_INK: "var(--ink)", _LINE: "var(--accent)", _FAINT: "var(--rule)", _MARK: "var(--mark)"}
_STYLE = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _FAINT,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "grid.color": _FAINT,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "prodemb",
}
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


def reliability_chart(reliability: Reliability, *, name: str) -> Markup:
    """How often answers are right, beside the confidence that they are given with."""

    def draw(axes: Axes) -> None:
        least = min(min(each.confidence, each.accuracy) for each in reliability.bins)
        low = max(0.0, least - 0.05)
        axes.plot([low, 1], [low, 1], color=_FAINT, linestyle="--")
        axes.plot(
            [each.confidence for each in reliability.bins],
            [each.accuracy for each in reliability.bins],
            color=_LINE,
            marker="o",
        )
        axes.set(xlabel="confidence", ylabel="share that is right", xlim=(low, 1.01), ylim=(low, 1.02))

    return _svg(draw, name=name, label="Reliability diagram: the share of right answers by their confidence")


def risk_chart(points: Sequence[RiskPoint], *, promised: Sequence[Promised], name: str) -> Markup:
    """How many are answered and how many of these are right, as the threshold falls; promises are marked."""

    def draw(axes: Axes) -> None:
        axes.plot([each.coverage for each in points], [each.precision for each in points], color=_LINE)
        least = min(each.precision for each in points)
        marks: dict[tuple[float, float], list[str]] = {}
        for each in promised:
            given = each.promise
            if given.coverage is not None and given.observed_precision is not None:
                marks.setdefault((given.coverage, given.observed_precision), []).append(f"{given.precision:.0%}")
        for (coverage, precision), names in marks.items():
            axes.plot([coverage], [precision], color=_MARK, marker="D", linestyle="none")
            axes.annotate(
                ", ".join(names),
                (coverage, precision),
                textcoords="offset points",
                xytext=(-4, -16),
                ha="right",
                color=_MARK,
            )
            least = min(least, precision)
        axes.set(xlabel="share answered", ylabel="share of these that is right", xlim=(0, 1.01))
        axes.set_ylim(max(0.0, least - 0.03), 1.005)

    return _svg(draw, name=name, label="Risk and coverage: the share of right answers by the share that is answered")


def loss_chart(curve: Curve, *, name: str) -> Markup:
    """The loss of each epoch of fine-tuning."""

    def draw(axes: Axes) -> None:
        epochs = [each.epoch + 1 for each in curve.epochs]
        axes.plot(epochs, [each.loss for each in curve.epochs], color=_LINE, marker="o")
        axes.set(xlabel="epoch", ylabel="loss")
        axes.set_xticks(epochs if len(epochs) <= 12 else epochs[:: len(epochs) // 8])

    return _svg(draw, name=name, label="Loss of fine-tuning by epoch")


def _svg(draw: Callable[[Axes], None], *, name: str, label: str) -> Markup:
    """One chart as an SVG element; nothing that is drawn comes from a catalog.

    Args:
        name: what its ids begin with, for they must differ from those of other charts of the page.
        label: what it shows, for who cannot see it.
    """
    with rc_context(_STYLE):
        figure = Figure(figsize=(4.6, 3.1), layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.add_subplot()
        axes.patch.set_alpha(0)
        draw(axes)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata=_NO_METADATA)
    text = file.getvalue()
    text = text[text.index("<svg") :]
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, variable)
    text = re.sub(r"<style.*?</style>|font-family: [^;\"]*;", "", text, flags=re.DOTALL)
    text = re.sub(r"<svg [^>]*?(viewBox=\"[^\"]+\")[^>]*>", rf'<svg \1 role="img" aria-label="{label}">', text, count=1)
    for before in ('\\bid="', 'href="#', r"url\(#"):
        text = re.sub(f"({before})", rf"\g<1>{name}-", text)
    return Markup(" ".join(text.split()))
