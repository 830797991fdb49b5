"""The threshold of back-off: how probable a node must be to be answered."""

from collections.abc import Sequence

from prodemb.heads.evaluation import BackOff


def choose_threshold(curve: Sequence[BackOff], *, precision: float) -> BackOff:
    """The lowest threshold with at least this precision, or else the most precise one.

    Selective classification with a bound on risk, without a margin for the size of the validation part
    (Geifman & El-Yaniv, Selective classification for deep neural networks, NeurIPS 2017).
    """
    enough = [point for point in curve if point.precision is not None and point.precision >= precision]
    return enough[0] if enough else max(curve, key=lambda point: (point.precision or 0.0, -point.threshold))
