"""Evaluation of a category predictor: beside the head alone and baselines, by condition, and what it can promise."""

import time
from collections.abc import Mapping

import numpy as np

from prodemb.category.conditions import ALL, category_conditions
from prodemb.category.fit import CrossFit
from prodemb.category.labels import CategoryLabels
from prodemb.category.lookups import category_lookups
from prodemb.category.nodes import NodePrediction
from prodemb.category.predict import CategoryPredictor
from prodemb.category.zero_shot import ZERO_SHOT, ZeroShot
from prodemb.confidence.choices import Answered
from prodemb.confidence.promise import Promise, promise
from prodemb.confidence.reliability import Calibration, Reliability
from prodemb.core.arrays import NO_ANSWER, Indices
from prodemb.heads.compare import fit_baselines, out_of_fold_figures, read_test_products
from prodemb.heads.evaluation import (
    CERTAINTY,
    FUSED,
    HEAD,
    PROMISED,
    BaselineResult,
    CategoryEvaluation,
    Condition,
    Promised,
)
from prodemb.heads.metrics import by_class_count, evaluate, macro_f1
from prodemb.heads.train import Labelled, TrainConfig
from prodemb.taxonomy.metrics import evaluate_nodes
from prodemb.taxonomy.nodes import TaxonomyTree

_TOPK = 5


def evaluate_categories(
    data: Labelled[CategoryLabels],
    *,
    predictor: CategoryPredictor,
    fitted: CrossFit,
    train: TrainConfig,
    zero_shot: ZeroShot | None = None,
) -> CategoryEvaluation:
    """Evaluate a predictor that has not seen the test part, on all test products, beside head and baselines.

    All figures are against the nodes that products are labelled with, whether anything was learned of these or not.
    The baselines are fitted once, to all features, as the head is; in each condition they predict from what is left.

    Args:
        fitted: the out-of-fold answers that precision is promised by.
        zero_shot: predicts without training, where the shards have the taxonomy's vectors.
    """
    promises = [
        promise(fitted.answers(data, nodes=predictor.nodes), precision=precision, certainty=CERTAINTY)
        for precision in PROMISED
    ]
    own = out_of_fold_figures(data, rows=fitted.rows, by_condition=fitted.by_condition)
    own["learned_by"] = predictor.voices.num_learned
    if not len(data.test):
        return CategoryEvaluation(**own, promised=tuple(Promised(promise=each) for each in promises))
    products, rows = read_test_products(data, config=train)
    node_of = predictor.nodes.of(data.labels.classes)
    labels = data.labels.index[rows]
    truth, tree, node_of_label = node_of[labels], predictor.nodes.tree, np.append(node_of, NO_ANSWER)
    baselines = fit_baselines(data, config=train, lookups=category_lookups) if train.baselines.run else None
    conditions: list[Condition] = []
    methods = () if baselines is None else baselines.evaluate(products, labels=labels)
    reliability: Reliability | None = None
    promised: tuple[Promised, ...] = ()
    for name, some in category_conditions(products, truth=truth, seed=train.seed):
        predicted: dict[str, Indices] = {}
        if zero_shot is not None:
            predicted[ZERO_SHOT] = zero_shot.nodes_of(some, nodes=predictor.nodes)
        if baselines is not None:
            predicted |= {method: node_of_label[classes] for method, classes in baselines.predict(some).items()}
        started = time.perf_counter()
        alone = np.append(predictor.voices.head.nodes, NO_ANSWER)[
            predictor.head.predict(some.vectors, present=some.present)
        ]
        between = time.perf_counter()
        prediction = predictor.predict(some, k=_TOPK)
        seconds = (between - started, time.perf_counter() - between)
        predicted |= {HEAD: alone, FUSED: prediction.first}
        answered = prediction.answered(truth)
        conditions.append(condition_of(name, truth=truth, predicted=predicted, answered=answered, tree=tree))
        if name == ALL:
            counts = data.labels.class_counts(data.learned(data.outside_test))[labels]
            conditions += [
                condition_of(
                    band,
                    truth=truth[where],
                    predicted={method: found[where] for method, found in predicted.items()},
                    answered=answered.take(where),
                    tree=tree,
                    group="examples",
                )
                for band, where in by_class_count(counts).items()
                if where.any()
            ]
            methods += _own_methods(prediction, alone=alone, truth=truth, tree=tree, seconds=seconds)
            reliability = Reliability.of(answered.confidences, correct=answered.correct)
            promised = tuple(_kept(each, prediction=prediction, truth=truth, tree=tree) for each in promises)
    return CategoryEvaluation(
        **own,
        methods=methods,
        conditions=tuple(conditions),
        reliability=reliability,
        promised=promised,
    )


def _own_methods(
    prediction: NodePrediction, *, alone: Indices, truth: Indices, tree: TaxonomyTree, seconds: tuple[float, float]
) -> tuple[BaselineResult, ...]:
    """The head alone and everything together, as the baselines are reported."""
    metrics = (
        evaluate(truth, topk=alone[:, None]),
        evaluate(truth, topk=prediction.nodes, confidences=prediction.probabilities[:, 0].astype(np.float64)),
    )
    firsts = (alone, prediction.first)
    return tuple(
        BaselineResult(
            name=name,
            metrics=each.model_copy(update={"tree": evaluate_nodes(truth, predicted=first, tree=tree)}),
            seconds=round(took, 2),
        )
        for name, each, first, took in zip((HEAD, FUSED), metrics, firsts, seconds, strict=True)
    )


def condition_of(
    name: str,
    *,
    truth: Indices,
    predicted: Mapping[str, Indices],
    tree: TaxonomyTree,
    answered: Answered,
    group: str | None = None,
) -> Condition:
    """The figures of all methods, and how far the confidence of the last one is off."""
    return Condition(
        group=group,
        name=name,
        num_products=len(truth),
        top1={method: float((nodes == truth).mean()) for method, nodes in predicted.items()},
        macro_f1={method: macro_f1(truth, predicted=nodes) for method, nodes in predicted.items()},
        tree_f1={method: evaluate_nodes(truth, predicted=nodes, tree=tree).f1 for method, nodes in predicted.items()},
        calibration=Calibration.of(answered),
    )


def _kept(given: Promise, *, prediction: NodePrediction, truth: Indices, tree: TaxonomyTree) -> Promised:
    """What came of a promise on products whose truth is known."""
    if given.threshold is None:
        return Promised(promise=given)
    nodes, _ = prediction.backed_off(given.threshold)
    answered = nodes != NO_ANSWER
    return Promised(
        promise=given,
        coverage=float(answered.mean()),
        kept=float(tree.is_above(nodes, truth)[answered].mean()) if answered.any() else None,
        level=float(tree.depth[nodes[answered]].mean()) if answered.any() else None,
    )
