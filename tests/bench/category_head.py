"""The category head beside scikit-learn's logistic regression, and on the whole taxonomy.

    python tests/bench/category_head.py                     200 categories x 100,000 products, both methods
    python tests/bench/category_head.py --full              5,595 categories x 1,000,000 products, the head alone

All vectors are synthetic: 8 features of `--dim` numbers, a quarter of them absent; a product's vectors lie around its
category's, and categories with one parent are alike; their numbers are correlated, with a spectrum that falls as that
of CLIP's vectors does. Both methods learn from the same standardised vectors in float32, on all cores, and predict the
same held-out products. Seconds of logistic regression are those of `fit` alone (lbfgs, at most 100 iterations, as the
baseline runs it); those of the head are all of `heads.fit`, standardising too. Scoring asks the head and the nearest
labelled products, and ranks the nodes of the tree; there are no texts. Memory is the process's peak, data included, up
to the end of training.
"""

import argparse
import time
import warnings
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from measure import peak_mb
from report import Failure, Report, figure, options_parser, reporting, table
from sklearn.linear_model import LogisticRegression

from prodemb.category.candidates import CONTEXTS, NUM_CONTEXTS, PRIOR_WEIGHTS
from prodemb.category.config import VoicesConfig
from prodemb.category.nodes import Nodes
from prodemb.category.predict import CategoryPredictor
from prodemb.category.voices.every import Voices
from prodemb.category.voices.head import HeadVoice
from prodemb.category.voices.names import Names
from prodemb.category.voices.supplied import SuppliedCounts
from prodemb.category.voices.words import WordModel
from prodemb.confidence.conditional_logit import ConditionalLogit
from prodemb.core.features import FEATURES, PARTNER, TEXT_FEATURES, raw_column
from prodemb.heads.aggregate import AggregateConfig
from prodemb.heads.examples import Examples
from prodemb.heads.fit import FitConfig, fit
from prodemb.heads.head import HeadCard, TrainedHead
from prodemb.heads.labels import CategoryLabel
from prodemb.heads.neighbours import Neighbours
from prodemb.heads.network import HeadConfig
from prodemb.shards.product_set import ProductSet

FULL_CLASSES, FULL_PRODUCTS = 5_595, 1_000_000
NUM_SIBLINGS = 8
"""Categories per parent."""
NUM_TEST = 10_000
SHARE_PRESENT = 0.75
CHUNK = 16_384


@dataclass(frozen=True, kw_only=True)
class Figures:
    """One method on one problem."""

    seconds: float
    cpu_seconds: float
    """Of all threads: changes least on a busy machine."""
    top1: float
    note: str


def make_examples(num_products: int, *, num_classes: int, dim: int, noise: float) -> Examples:
    """Products around the centre of their category, which lies around that of its parent."""
    random = np.random.default_rng(0)
    num_features = len(FEATURES)
    parents = random.standard_normal((-(-num_classes // NUM_SIBLINGS), num_features * dim), dtype=np.float32)
    centres = parents[np.arange(num_classes) // NUM_SIBLINGS]
    centres = centres + random.standard_normal(centres.shape, dtype=np.float32)
    labels = random.integers(0, num_classes, num_products)
    present = random.random((num_products, num_features)) < SHARE_PRESENT
    falling = (1 + np.arange(dim, dtype=np.float32)) ** -0.5
    turned, _ = np.linalg.qr(random.standard_normal((dim, dim)))
    mixed = (falling[:, None] * turned).astype(np.float32)
    vectors = np.empty((num_products, num_features * dim), dtype=np.float16)
    for start in range(0, num_products, CHUNK):
        rows = slice(start, start + CHUNK)
        some = noise * random.standard_normal((len(labels[rows]), num_features * dim), dtype=np.float32)
        some += centres[labels[rows]]
        some = (some.reshape(-1, num_features, dim) @ mixed).reshape(len(some), -1)
        vectors[rows] = some * np.repeat(present[rows], dim, axis=1)
    return Examples(
        vectors=torch.from_numpy(vectors), present=torch.from_numpy(present), labels=torch.from_numpy(labels)
    )


def make_head(*, num_classes: int, dim: int) -> TrainedHead:
    """The default head, untrained, on a tree of two levels."""
    labels = [
        CategoryLabel(id=index, path=f"Group {index // NUM_SIBLINGS} > Kind {index}") for index in range(num_classes)
    ]
    groups = range(-(-num_classes // NUM_SIBLINGS))
    card = HeadCard(
        target="category",
        fingerprint="bench",
        model="bench",
        features=FEATURES,
        dims=(dim,) * len(FEATURES),
        aggregate=AggregateConfig(),
        head=HeadConfig(),
        num_train=0,
        classes=tuple(labels),
        ancestors=tuple(CategoryLabel(id=num_classes + group, path=f"Group {group}") for group in groups),
    )
    torch.manual_seed(0)
    return TrainedHead.untrained(card).to(torch.device("cpu"))


def measure_head(
    examples: Examples, *, num_classes: int, dim: int, config: FitConfig, num_test: int
) -> tuple[TrainedHead, Figures]:
    """Train on all but the last products, and measure on those."""
    head = make_head(num_classes=num_classes, dim=dim)
    num_train = len(examples.labels) - num_test
    started, cpu_started = time.perf_counter(), time.process_time()
    epochs = fit(
        head.network,
        examples,
        learned=np.arange(num_train),
        alone=config.feature_dropout.alone,
        config=config,
    )
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    answers = head.predict(examples.vectors[num_train:].numpy(), present=examples.present[num_train:].numpy())
    top1 = float((answers == examples.labels[num_train:].numpy()).mean())
    figures = Figures(seconds=seconds, cpu_seconds=cpu_seconds, top1=top1, note=f"{epochs} epochs")
    return head, figures


def measure_regression(examples: Examples, *, head: TrainedHead, num_test: int) -> Figures:
    """The baseline's logistic regression on the head's aggregate."""
    num_train = len(examples.labels) - num_test
    with torch.inference_mode():
        aggregates = head.network.aggregate(examples.vectors, examples.present).numpy()
    labels = examples.labels.numpy()
    model = LogisticRegression(C=0.1, max_iter=100)
    started, cpu_started = time.perf_counter(), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(aggregates[:num_train], labels[:num_train])
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    top1 = float((model.predict(aggregates[num_train:]) == labels[num_train:]).mean())
    note = f"{int(model.n_iter_[0])} iterations"
    return Figures(seconds=seconds, cpu_seconds=cpu_seconds, top1=top1, note=note)


def measure_scoring(head: TrainedHead, examples: Examples) -> float:
    """Seconds to rank the categories of all products and to sum the probabilities of the nodes above the first."""
    predictor = make_predictor(head, examples)
    started = time.perf_counter()
    for start in range(0, len(examples.labels), CHUNK):
        predictor.predict(products_of(examples, head=head, rows=slice(start, start + CHUNK)), k=5)
    return time.perf_counter() - started


def make_predictor(head: TrainedHead, examples: Examples) -> CategoryPredictor:
    """The head beside the nearest of as many labelled products as are kept, with the built-in weights."""
    nodes = Nodes([label for label in (*head.card.classes, *head.card.ancestors) if isinstance(label, CategoryLabel)])
    kept = products_of(examples, head=head, rows=slice(0, VoicesConfig().max_products))
    labels, classes = examples.labels[: len(kept)].numpy(), nodes.of(head.card.classes)
    silent = WordModel.fit([""] * len(classes), nodes=classes)
    voices = Voices(
        nodes=nodes,
        counts=np.bincount(labels, minlength=len(nodes)),
        head=HeadVoice(head=head, nodes=classes.astype(np.int32)),
        words=silent,
        words_without=silent,
        neighbours=Neighbours.fit(kept, labels=labels, rows=np.arange(len(kept)), seed=0),
        supplied=SuppliedCounts.fit(kept.supplied, nodes=labels),
        names=Names(paths=tuple(label.path for label in nodes.labels)),
        tower=None,
    )
    weights = np.zeros((1 + len(CONTEXTS), len(PRIOR_WEIGHTS)))
    weights[0] = [*PRIOR_WEIGHTS.values()]
    return CategoryPredictor(voices=voices, model=ConditionalLogit(weights=weights), least_known=(0.0,) * NUM_CONTEXTS)


def products_of(examples: Examples, *, head: TrainedHead, rows: slice) -> ProductSet:
    """Some of the products, without texts."""
    vectors = examples.vectors[rows].numpy()
    nothing = pl.Series([None] * len(vectors), dtype=pl.String)
    return ProductSet(
        features=head.card.features,
        dims=head.card.dims,
        vectors=vectors,
        present=examples.present[rows].numpy(),
        supplied=pl.DataFrame(dict.fromkeys((*map(raw_column, TEXT_FEATURES), PARTNER), nothing)),
    )


def report_classes(report: Report, *, options: argparse.Namespace) -> None:
    """Train, evaluate and score with both methods on one problem."""
    num_test = min(NUM_TEST, options.products // 5)
    examples = make_examples(options.products, num_classes=options.classes, dim=options.dim, noise=options.noise)
    config = FitConfig() if options.epochs is None else FitConfig(epochs=options.epochs)
    head, of_head = measure_head(
        examples, num_classes=options.classes, dim=options.dim, config=config, num_test=num_test
    )
    memory = peak_mb()
    scoring = measure_scoring(head, examples)
    methods: dict[str, Figures | Failure] = {"prodemb head": of_head}
    if not options.full:
        methods["logistic regression"] = report.attempt(
            "logistic regression", lambda: measure_regression(examples, head=head, num_test=num_test)
        )

    def cells(method: Figures) -> list[str]:
        seconds, cpu_seconds = method.seconds, method.cpu_seconds
        return [
            figure(seconds, digits=1),
            figure(seconds / of_head.seconds),
            figure(cpu_seconds, digits=1),
            figure(cpu_seconds / of_head.cpu_seconds),
            figure(method.top1, digits=4),
            method.note,
        ]

    columns = ["method", "seconds", "to head", "CPU seconds", "to head", "top-1", "ran for"]
    report.add(
        f"{options.products:,} products x {options.classes:,} categories, {len(FEATURES)} x {options.dim} numbers"
        f"\n\n{table(columns, methods, cells=cells)}\n\nscoring, without texts: {scoring:.1f} s, "
        f"{options.products / scoring:,.0f} products/s; peak of training the head: {memory:,.0f} MB",
        methods=methods,
        scoring_s=scoring,
        peak_mb=memory,
    )


def main() -> None:
    parser = options_parser(__doc__)
    parser.add_argument("--products", type=int, help="[100000; with --full 1000000]")
    parser.add_argument("--classes", type=int, help="[200; with --full 5595]")
    parser.add_argument("--dim", type=int, default=64, help="numbers per feature [64]")
    parser.add_argument("--noise", type=float, default=4.0, help="deviation of a number from its category's [4]")
    parser.add_argument("--epochs", type=int, help="of the head [the default]")
    parser.add_argument("--full", action="store_true", help="the whole taxonomy at 1,000,000 products, the head alone")
    options = parser.parse_args()
    options.products = options.products or (FULL_PRODUCTS if options.full else 100_000)
    options.classes = options.classes or (FULL_CLASSES if options.full else 200)
    with reporting(options) as report:
        report.attempt("prodemb head", lambda: report_classes(report, options=options))


if __name__ == "__main__":
    main()
