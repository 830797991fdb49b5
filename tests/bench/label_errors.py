"""One method on given answers, for `audit.py`: in a Python of its own, which may have cleanlab and lack prodemb.

python tests/bench/label_errors.py answers.npz prodemb
"""

import json
import sys
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from measure import peak_mb

Ranked = npt.NDArray[np.int64]
"""Indices of products whose label is likely wrong, the surest first."""


def by_prodemb(given: Ranked, classes: Ranked, probabilities: npt.NDArray[np.float32]) -> Ranked:
    from prodemb.audit.confident import find_label_errors

    own = classes == given[:, None]
    self_confidences = (probabilities * own).sum(axis=1)
    others = np.where(own, -1, classes)
    found = find_label_errors(given, self_confidences=self_confidences, others=others, probabilities=probabilities)
    order = np.argsort(self_confidences[found.rows] - found.confidences, kind="stable")
    return found.rows[order]


def by_cleanlab(given: Ranked, classes: Ranked, probabilities: npt.NDArray[np.float32]) -> Ranked:
    from cleanlab.filter import find_label_issues

    proba = np.zeros((len(given), 1 + max(given.max(), classes.max())), np.float32)
    rows, columns = np.nonzero(classes >= 0)
    proba[rows, classes[rows, columns]] = probabilities[rows, columns]
    ranked = find_label_issues(
        given, proba, filter_by="confident_learning", return_indices_ranked_by="normalized_margin", n_jobs=1
    )
    return np.asarray(ranked)


METHODS: dict[str, Callable[..., Ranked]] = {"prodemb": by_prodemb, "cleanlab": by_cleanlab}


def main() -> None:
    path, method = sys.argv[1:]
    with np.load(path) as file:
        arrays = [file[name] for name in ("given", "classes", "probabilities")]
    few = [np.concatenate([array[:2], array[:2]]) for array in arrays]
    few[0] = np.array([0, 1, 0, 1])
    METHODS[method](*few)  # once before it is measured, so that everything is imported
    before, started = peak_mb(), time.perf_counter()
    ranked = METHODS[method](*arrays)
    seconds = time.perf_counter() - started
    print(json.dumps({"ranked": ranked.tolist(), "seconds": seconds, "peak_mb": peak_mb() - before}))


if __name__ == "__main__":
    main()
