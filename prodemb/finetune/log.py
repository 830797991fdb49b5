"""The log of a run, for people who plot: JSON lines, a picture of the curves, and TensorBoard events."""

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from prodemb.core.errors import ConfigError
from prodemb.core.files import write_text
from prodemb.finetune.report import Curve, EpochResult

_SMOOTH = 0.02
"""The time constant of the running mean of the losses in the picture, as a share of the steps."""


class TrainingLog:
    """Writes a run's figures as JSON lines while it trains. Use it in a `with` block.

    One line per step (`step`, `loss`), and one line per epoch (`epoch`, `step`, mean `loss`, `seconds`, and where there
    are validation products `score`, `nearest_path`, `nearest_centroid` and `head`).
    """

    def __init__(self, path: Path, *, curve: Curve, tensorboard: str | None) -> None:
        """Start the file with the steps of the saved state; what a killed run wrote after that is dropped.

        Args:
            curve: the steps and epochs before.
            tensorboard: a folder for events, or None.

        Raises:
            ConfigError: events are wanted and TensorBoard is not installed.
        """
        self._events = _open_events(tensorboard, first_step=len(curve.step_losses)) if tensorboard else None
        write_text(path, "".join(json.dumps(line) + "\n" for line in log_lines(curve)))
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()
        if self._events is not None:
            self._events.close()

    def step(self, step: int, *, loss: float) -> None:
        """Log a step; the first is 1."""
        self._file.write(json.dumps(_step_line(step, loss=loss)) + "\n")
        if self._events is not None:
            self._events.add_scalar("loss", loss, step)

    def epoch(self, epoch: EpochResult) -> None:
        """Log an epoch."""
        self._file.write(json.dumps(_epoch_line(epoch)) + "\n")
        if self._events is None or epoch.validation is None:
            return
        self._events.add_scalar("validation/score", epoch.validation.score, epoch.last_step)
        for name, share in epoch.validation.shares().items():
            self._events.add_scalar(f"validation/{name}", share, epoch.last_step)
        self._events.flush()


def log_lines(curve: Curve) -> list[dict[str, Any]]:
    """The lines of a curve: its steps, and each epoch after its last step."""
    lines = []
    ends = {epoch.last_step: epoch for epoch in curve.epochs}
    for step, loss in enumerate(curve.step_losses, start=1):
        lines.append(_step_line(step, loss=loss))
        if step in ends:
            lines.append(_epoch_line(ends[step]))
    return lines


def _step_line(step: int, *, loss: float) -> dict[str, Any]:
    return {"step": step, "loss": loss}


def _epoch_line(epoch: EpochResult) -> dict[str, Any]:
    line = {"epoch": epoch.epoch + 1, "step": epoch.last_step, "loss": epoch.loss, "seconds": epoch.seconds}
    if epoch.validation is None:
        return line
    return line | {"score": epoch.validation.score} | epoch.validation.model_dump(exclude={"num_products"})


def _open_events(folder: str, *, first_step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ConfigError(
            f"[finetune] tensorboard: found {folder!r}, but TensorBoard is not installed; "
            "wanted pip install 'prodemb[plots]'"
        ) from None
    # Events of a killed run that come after its last state are hidden.
    return SummaryWriter(folder, purge_step=first_step + 1)


def draw_curves(curve: Curve, path: Path, *, title: str) -> None:
    """Draw the loss of each step and the validation after each epoch as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    figure.suptitle(title, fontsize=11)
    left, right = figure.subplots(1, 2)
    steps = range(1, len(curve.step_losses) + 1)
    left.plot(steps, curve.step_losses, color="#b8cfe8", linewidth=0.8, label="each step")
    left.plot(steps, _running_mean(curve.step_losses), color="#1f5fa8", linewidth=1.8, label="running mean")
    left.set(xlabel="step", ylabel="loss", title="Training loss", xlim=(1, max(2, len(steps))))
    left.legend(frameon=False)
    _draw_validation(right, curve=curve)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
        axes.set_axisbelow(True)
    figure.savefig(path, dpi=130)


def _draw_validation(axes: Any, *, curve: Curve) -> None:
    measured = [epoch for epoch in curve.epochs if epoch.validation is not None]
    passes = [epoch.epoch + 1 for epoch in measured]
    axes.set(xlabel="epoch", ylabel="accuracy", title="Validation products")
    if not measured:
        axes.text(0.5, 0.5, "no labelled validation product", ha="center", transform=axes.transAxes)
        return
    series: dict[str, list[float | None]] = {
        name: [epoch.validation.shares().get(name) if epoch.validation else None for epoch in measured]
        for name in (measured[0].validation.shares() if measured[0].validation else {})
    }
    for name, shares in series.items():
        if name.startswith("nearest_path/"):
            axes.plot(
                passes, shares, marker="o", markersize=3, linewidth=1, alpha=0.7, label=f"path by {name.split('/')[1]}"
            )
    if "head" in series:
        axes.plot(passes, series["head"], color="#555555", linestyle="--", label="linear probe")
    scores = [epoch.validation.score for epoch in measured if epoch.validation]
    axes.plot(passes, scores, color="black", marker="o", linewidth=2, label="score")
    best = curve.best_epoch.epoch + 1
    axes.axvline(best, color="#c04040", linewidth=1, linestyle=":", label="best")
    axes.set_xticks(passes if len(passes) <= 12 else passes[:: len(passes) // 12 + 1])
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))


def _running_mean(losses: tuple[float, ...]) -> list[float]:
    """An exponential moving average with bias correction."""
    keep = 1 - 1 / max(1.0, _SMOOTH * len(losses))
    means, total, weight = [], 0.0, 0.0
    for loss in losses:
        total, weight = keep * total + (1 - keep) * loss, keep * weight + (1 - keep)
        means.append(total / weight)
    return means
