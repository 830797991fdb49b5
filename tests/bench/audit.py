"""How many planted label errors the audit finds, beside cleanlab, and wrong supplied brands.

    python tests/bench/audit.py                             12,000 synthetic products of 78 and of 3,215 classes
    python tests/bench/audit.py --shards shards/fashion     the gold categories of a shard set
    python tests/bench/audit.py --brands shards/fashion     its supplied brands against hidden brand labels
    python tests/bench/audit.py --cleanlab venv/bin/python    also with cleanlab, from a Python that has it

One label in twenty is changed to another class that is drawn as often as classes are. Out-of-fold probabilities come
from a linear model of vectors around each class's own (synthetic), or from the audit's own predictors (shards). The
audit reads the five most probable classes of each product; cleanlab gets the same probabilities as a matrix, in which
the others are 0. Precision is that of the 200 surest findings, recall that of all of them. Seconds and memory are those
of finding errors alone, each in a process of its own; memory is what the process has at its peak beyond what it had
when its input was read. Wrong supplied brands are found with the gold brands of all products with a supplied brand in
two thirds of the groups hidden; precision is by these.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from measure import in_own_process
from report import Failure, Report, figure, options_parser, reporting, table

from prodemb.audit.brands import BrandAuditor, BrandIds
from prodemb.audit.target import Part, audit_target
from prodemb.brand.fit import out_of_fold as brands_out_of_fold
from prodemb.brand.labels import BrandLabels
from prodemb.category.fit import out_of_fold as categories_out_of_fold
from prodemb.core.features import raw_column
from prodemb.core.progress import no_progress
from prodemb.heads.train import load_labelled
from prodemb.job.pipeline import Pipeline
from prodemb.job.targets import BrandTarget, CategoryTarget, brand_recipe
from prodemb.shards.product_set import read_products
from prodemb.shards.reader import open_shard_set

CPU = torch.device("cpu")
ERRORS = str(Path(__file__).with_name("label_errors.py"))
FLIPPED = 0.05
TOP, NUM_FOLDS = 200, 3
NUM_ANSWERS = 5
CLASSES, NOISES = (78, 3215), (1.7, 1.0)
"""The classes of the fashion catalog and of a large taxonomy, and how far products lie from the point of theirs."""

Answers = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]
"""(n, k) classes and their probabilities."""


@dataclass(frozen=True, kw_only=True)
class ErrorFigures:
    """One method on one set of labels."""

    num_found: int
    precision_at_top: float
    precision: float
    recall: float
    seconds: float
    peak_mb: float


def flipped(labels: npt.NDArray[np.int64], *, seed: int = 0) -> npt.NDArray[np.int64]:
    """The labels, one in twenty of which is that of a random product of another class."""
    random = np.random.default_rng(seed)
    given, rows = labels.copy(), random.choice(len(labels), int(FLIPPED * len(labels)), replace=False)
    for row in rows:
        given[row] = random.choice(labels[labels != labels[row]])
    return given


def synthetic(
    num_products: int, *, num_classes: int, noise: float
) -> tuple[npt.NDArray[np.int64], Answers, npt.NDArray[np.int64]]:
    """True labels, out-of-fold answers of a linear model, and the labels with errors that it learned from.

    Class frequencies follow Zipf's law.
    """
    random = np.random.default_rng(0)
    shares = 1 / (10 + np.arange(num_classes))
    truth = random.choice(num_classes, num_products, p=shares / shares.sum())
    centres = random.standard_normal((num_classes, 64), dtype=np.float32)
    vectors = centres[truth] + noise * random.standard_normal((num_products, 64), dtype=np.float32)
    given, folds = flipped(truth), random.integers(0, NUM_FOLDS, num_products)
    classes = np.zeros((num_products, NUM_ANSWERS), np.int64)
    probabilities = np.zeros((num_products, NUM_ANSWERS), np.float32)
    for fold in range(NUM_FOLDS):
        inside, known = folds == fold, np.unique(given[folds != fold])
        # Linear discriminant analysis of classes with one spherical deviation.
        learned = np.stack([vectors[(folds != fold) & (given == label)].mean(axis=0) for label in known])
        counts = np.bincount(given[folds != fold], minlength=num_classes)[known]
        logits = (vectors[inside] @ learned.T - (learned**2).sum(axis=1) / 2) / noise**2 + np.log(counts)
        logits = np.exp(logits - logits.max(axis=1, keepdims=True))
        proba = logits / logits.sum(axis=1, keepdims=True)
        best = np.argsort(-proba, axis=1)[:, :NUM_ANSWERS]
        classes[inside], probabilities[inside] = known[best], np.take_along_axis(proba, best, axis=1)
    return truth, (classes, probabilities), given


def of_shards(folder: Path, *, pipeline: Pipeline) -> tuple[npt.NDArray[np.int64], Answers, npt.NDArray[np.int64]]:
    """The same of the gold categories of a shard set: the audit's own out-of-fold answers."""
    shard_set = open_shard_set(folder)
    target = CategoryTarget(pipeline, shard_set=shard_set)
    labels, recipe = target.labels(), target.recipe()
    truth = labels.index[labels.index >= 0].astype(np.int64)
    index, given = labels.index.copy(), flipped(truth)
    index[index >= 0] = given
    wrong = replace(labels, index=index)
    data = load_labelled(shard_set, labels=wrong, config=pipeline.train, device=CPU)
    # Nodes that no label has count as classes behind those of the labels.
    class_of = len(labels.classes) + np.arange(len(recipe.nodes) + 1)
    class_of[recipe.nodes.of(labels.classes)] = np.arange(len(labels.classes))
    class_of[-1] = -1
    classes = np.full((len(truth), NUM_ANSWERS), -1)
    probabilities = np.zeros((len(truth), NUM_ANSWERS), np.float32)
    for indices, predictor in categories_out_of_fold(data, recipe=recipe, progress=no_progress):
        products = read_products(shard_set, features=data.features, rows=data.rows[indices])
        prediction = predictor.predict(products, k=NUM_ANSWERS)
        classes[indices], probabilities[indices] = class_of[prediction.nodes], prediction.probabilities
    return truth, (classes, probabilities), given


def measure_errors(
    truth: npt.NDArray[np.int64], answers: Answers, given: npt.NDArray[np.int64], *, python: str | None, report: Report
) -> dict[str, ErrorFigures | Failure]:
    """Each method on the same answers."""
    classes, probabilities = answers
    is_wrong = given != truth
    with tempfile.TemporaryDirectory(prefix="prodemb-bench-") as folder:
        path = Path(folder) / "answers.npz"
        known = np.where(classes < 1 + max(truth.max(), given.max()), classes, -1)
        np.savez(path, given=given, classes=known, probabilities=probabilities)

        def run(method: str, python: str) -> ErrorFigures:
            found = in_own_process(ERRORS, str(path), method, python=python)
            ranked = np.array(found["ranked"], dtype=np.int64)
            return ErrorFigures(
                num_found=len(ranked),
                precision_at_top=float(is_wrong[ranked[:TOP]].mean()),
                precision=float(is_wrong[ranked].mean()),
                recall=float(is_wrong[ranked].sum() / is_wrong.sum()),
                seconds=found["seconds"],
                peak_mb=found["peak_mb"],
            )

        rows = {"prodemb": report.attempt("prodemb", lambda: run("prodemb", sys.executable))}
        if python is not None:
            rows["cleanlab"] = report.attempt("cleanlab", lambda: run("cleanlab", python))
    return rows


@dataclass(frozen=True, kw_only=True)
class BrandFigures:
    """The findings among supplied brands whose gold brand was hidden."""

    num_audited: int
    num_wrong: int
    """Supplied brands that are another than the gold one."""
    num_found: int
    precision_at_top: float
    precision: float
    recall: float
    suggested_right: float
    """Share of the findings that suggest the gold brand."""
    seconds: float


def measure_brands(folder: Path, *, pipeline: Pipeline) -> BrandFigures:
    """Audit supplied brands; the gold brands of two thirds of the groups are hidden, and say what is right."""
    shard_set = open_shard_set(folder)
    target = BrandTarget(pipeline, shard_set=shard_set, progress=no_progress)
    assert target.aliases is not None
    labels, recipe = target.labels(), brand_recipe(pipeline, aliases=target.aliases)
    data = load_labelled(shard_set, labels=labels, config=pipeline.train, device=CPU)
    ids = BrandIds(labels.names)
    sent = shard_set.coded(raw_column("brand"))
    names = target.aliases.canonical_of(sent.values).to_list()
    numbers = np.array([*(-1 if name is None else names.index(name) for name in names), -1])
    supplied = ids.of(numbers, names=names)[sent.codes]
    hidden = labels.gold & (supplied >= 0) & (data.groups // 7 % 3 > 0)
    started = time.perf_counter()
    given: BrandLabels = replace(
        labels,
        index=np.where(hidden & (supplied < len(labels.classes)), supplied, labels.index).astype(np.int32),
        gold=labels.gold & ~hidden,
    )
    data = load_labelled(shard_set, labels=given, config=pipeline.train, device=CPU)
    parts = [
        Part(
            rows=data.rows[indices],
            auditor=BrandAuditor(predictor, ids=ids, min_confidence=pipeline.audit.min_confidence, same_set=True),
            learned=np.zeros(len(indices), dtype=np.bool_),
        )
        for indices, predictor in brands_out_of_fold(data, recipe=recipe, progress=no_progress)
    ]
    audit, _ = audit_target(
        shard_set, target="brand", parts=parts, gold=np.full(len(hidden), -1), sources=BrandAuditor.sources
    )
    findings = audit.findings.take(np.argsort(audit.findings.given_confidences - audit.findings.confidences))
    findings = findings.take(np.flatnonzero(hidden[findings.rows]))
    audited = np.flatnonzero(hidden & (audit.audited >= 0))
    is_wrong = audit.audited != labels.index
    found = is_wrong[findings.rows]
    return BrandFigures(
        num_audited=len(audited),
        num_wrong=int(is_wrong[audited].sum()),
        num_found=len(findings),
        precision_at_top=float(found[:TOP].mean()),
        precision=float(found.mean()),
        recall=float(found.sum() / is_wrong[audited].sum()),
        suggested_right=float((findings.suggestions == labels.index[findings.rows]).mean()),
        seconds=time.perf_counter() - started,
    )


def report_errors(
    report: Report, name: str, made: tuple[npt.NDArray[np.int64], Answers, npt.NDArray[np.int64]], python: str | None
) -> dict[str, dict[str, ErrorFigures | Failure]]:
    """The table of one set of labels."""
    truth, answers, given = made
    rows = measure_errors(truth, answers, given, python=python, report=report)

    def cells(row: ErrorFigures) -> list[str]:
        shares = (figure(share, digits=3) for share in (row.precision_at_top, row.precision, row.recall))
        return [f"{row.num_found:,}", *shares, figure(row.seconds, digits=3), figure(row.peak_mb, digits=0)]

    columns = ["method", "found", f"precision at {TOP}", "precision", "recall", "seconds", "peak MB"]
    right = float((answers[0][:, 0] == truth).mean())
    about = f"{name}: {len(truth):,} products, {int((truth != given).sum()):,} wrong labels, answers {right:.1%} right"
    report.add(f"{about}\n\n{table(columns, rows, cells=cells)}")
    return {name: rows}


def main() -> None:
    parser = options_parser(__doc__)
    parser.add_argument("--products", type=int, default=12_000, help="synthetic ones [12000]")
    parser.add_argument("--classes", type=int, nargs="+", default=list(CLASSES), help="of these [78 3215]")
    parser.add_argument("--noise", type=float, nargs="+", default=list(NOISES), help="for each of these [1.7 1]")
    parser.add_argument("--shards", type=Path, help="a shard set with gold categories, in place of synthetic ones")
    parser.add_argument("--brands", type=Path, help="a shard set with supplied and gold brands, in place of these")
    parser.add_argument("--taxonomy", help="the taxonomy of the gold categories [the bundled part]")
    parser.add_argument("--cleanlab", help="a Python that has cleanlab")
    parser.add_argument("--epochs", type=int, help="of each head [the default]")
    options = parser.parse_args()
    with reporting(options) as report, tempfile.TemporaryDirectory(prefix="prodemb-bench-") as folder:
        _report(report, options=options, folder=Path(folder))


def _report(report: Report, *, options: argparse.Namespace, folder: Path) -> None:
    train = {"taxonomy": options.taxonomy, "epochs": options.epochs}
    own = Pipeline(target="category").replaced({"train": train}, source="options")
    if options.brands is not None:
        aliases = {"brands": {"aliases": str(folder / "aliases.csv")}}
        pipeline = Pipeline(target="brand").replaced({"train": train, **aliases}, source="options")
        brands = report.attempt("brands", lambda: measure_brands(options.brands, pipeline=pipeline))
        columns = [
            "",
            "audited",
            "wrong",
            "found",
            f"precision at {TOP}",
            "precision",
            "recall",
            "right brand",
            "seconds",
        ]
        report.add(table(columns, {"supplied brands": brands}, cells=_brand_cells), brands=brands)
        return
    labels: dict[str, dict[str, ErrorFigures | Failure]] = {}
    if options.shards is not None:
        labels = report_errors(report, "gold categories", of_shards(options.shards, pipeline=own), options.cleanlab)
    else:
        for num_classes, noise in zip(options.classes, options.noise, strict=True):
            made = synthetic(options.products, num_classes=num_classes, noise=noise)
            labels |= report_errors(report, f"{num_classes:,} classes", made, options.cleanlab)
    report.add("", labels=labels)


def _brand_cells(row: BrandFigures) -> list[str]:
    counts = (f"{count:,}" for count in (row.num_audited, row.num_wrong, row.num_found))
    shares = (row.precision_at_top, row.precision, row.recall, row.suggested_right)
    return [*counts, *(figure(share, digits=3) for share in shares), figure(row.seconds, digits=1)]


if __name__ == "__main__":
    main()
