"""Node probabilities are sums over descendants, and backing off climbs to the first node that is sure enough."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prodemb.category.nodes import THRESHOLDS, Nodes, back_off_curve
from prodemb.core.arrays import NO_ANSWER
from prodemb.heads.labels import CategoryLabel

CLASSES = ["A > B > C", "F > G", "A > B", "A > E", "A > B > D"]
ANCESTORS = ["A", "F"]
PATHS = CLASSES + ANCESTORS


def label(place: int, path: str) -> CategoryLabel:
    return CategoryLabel(id=100 + place, path=path)


NODES = Nodes(
    [label(place, path) for place, path in enumerate(CLASSES)],
    ancestors=[label(place + len(CLASSES), path) for place, path in enumerate(ANCESTORS)],
)


def slow_probability(path: str, probabilities: np.ndarray) -> float:
    return sum(p for name, p in zip(CLASSES, probabilities, strict=True) if (name + " > ").startswith(path + " > "))


logits = st.lists(st.lists(st.floats(-5, 5), min_size=5, max_size=5), min_size=1, max_size=8)


@given(logits, st.floats(0, 1))
def test_nodes_are_sums_and_backing_off_climbs(rows: list[list[float]], threshold: float) -> None:
    logs = torch.tensor(rows).log_softmax(1)
    predicted = NODES.predict(logs.clone(), k=3)
    nodes, confidences = predicted.backed_off(threshold)
    for row, probabilities in enumerate(logs.exp().numpy()):
        assert predicted.probabilities[row] == pytest.approx(np.sort(probabilities)[::-1][:3], abs=1e-6)
        first = CLASSES[predicted.classes[row, 0]]
        line = [path for path in PATHS if (first + " > ").startswith(path + " > ")]
        line.sort(key=len)
        assert [PATHS[node] for node in predicted.lineage[row] if node >= 0] == line
        sums = [slow_probability(path, probabilities) for path in line]
        assert predicted.lineage_probabilities[row, : len(line)] == pytest.approx(sums, abs=1e-5)
        if all(abs(found - threshold) > 1e-4 for found in sums):
            sure = [path for path, found in zip(line, sums, strict=True) if found >= threshold]
            assert (PATHS[nodes[row]] if nodes[row] >= 0 else None) == (sure[-1] if sure else None)
            if sure:
                assert confidences[row] == pytest.approx(sums[len(sure) - 1], abs=1e-5)


def test_a_full_tree_sums_exactly_enough() -> None:
    paths = [f"{a}" for a in "ABCDE"] + [f"{a} > {i}" for a in "ABCDE" for i in range(1000)]
    nodes = Nodes([label(place, path) for place, path in enumerate(paths)], ancestors=())
    logs = torch.randn(20, len(paths), generator=torch.Generator().manual_seed(0)).log_softmax(1)
    predicted = nodes.predict(logs.clone(), k=1)
    for row in range(20):
        top = paths[predicted.lineage[row, 0]]
        wanted = sum(p for path, p in zip(paths, logs[row].double().exp().tolist(), strict=True) if path[0] == top)
        assert predicted.lineage_probabilities[row, 0] == pytest.approx(wanted, abs=2e-6)


def test_a_higher_threshold_answers_fewer_and_more_surely_right() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, 5, 500)
    logs = torch.from_numpy(np.eye(5)[truth] * 2.5 + random.standard_normal((500, 5))).float().log_softmax(1)
    curve = back_off_curve(NODES.predict(logs, k=1), truth=truth, tree=NODES.tree)
    assert [point.threshold for point in curve] == list(THRESHOLDS)
    assert curve[0].coverage == 1.0
    coverage = [point.coverage for point in curve]
    assert coverage == sorted(coverage, reverse=True)
    precision = [point.precision for point in curve if point.precision is not None]
    assert precision[-1] > 0.95 > precision[0]


def test_a_truth_below_the_answer_is_right_and_an_unknown_one_never_is() -> None:
    predicted = NODES.predict(torch.tensor([[0.0, 0, 9, 0, 0]]).log_softmax(1), k=1)
    for truth, right in ((0, 1.0), (2, 1.0), (3, 0.0), (NO_ANSWER, 0.0)):
        assert back_off_curve(predicted, truth=np.array([truth]), tree=NODES.tree)[0].precision == right
