"""Evaluation of a category head: beside the baselines, by condition, in the taxonomy, and with back-off."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from prodemb.category.conditions import ALL, category_conditions
from prodemb.category.labels import CategoryLabels
from prodemb.category.lookups import category_lookups
from prodemb.category.nodes import back_off_curve
from prodemb.category.predict import CategoryPredictor, first_classes
from prodemb.category.zero_shot import ZERO_SHOT, ZeroShot
from prodemb.core.arrays import NO_ANSWER, Indices, sample_rows
from prodemb.heads.compare import evaluate_known, fit_baselines, read_test_products
from prodemb.heads.evaluation import BackOff, ByTau, CategoryEvaluation, Condition
from prodemb.heads.head import TrainedHead
from prodemb.heads.labels import CategoryLabel
from prodemb.heads.metrics import Metrics, by_class_count, evaluate, macro_f1
from prodemb.heads.split import VALIDATION
from prodemb.heads.train import Labelled, TrainConfig
from prodemb.shards.product_set import ProductSet, read_products
from prodemb.taxonomy.metrics import evaluate_nodes
from prodemb.taxonomy.nodes import TaxonomyTree

HEAD = "prodemb head"

TAUS = (0.0, 0.25, 0.5, 1.0)
"""Strengths of logit adjustment that are measured."""


def evaluate_categories(
    data: Labelled[CategoryLabels],
    *,
    head: TrainedHead,
    train: TrainConfig,
    tau: float,
    zero_shot: ZeroShot | None = None,
) -> CategoryEvaluation:
    """Evaluate the head beside the baselines.

    All figures but those of the baselines' own metrics are against the nodes that products are labelled with, whether
    the head has a class for them or not, so a product whose category was rolled up is correct only for its own node.
    The baselines are fitted once, to all features, as the head is; in each condition they predict from what is left.

    Args:
        tau: the strength of logit adjustment that scoring uses.
        zero_shot: predicts without training, where the shards have the taxonomy's vectors.
    """
    predictor = CategoryPredictor.of(head)
    validation_rows = np.flatnonzero((data.all_labels.index >= 0) & (data.split == VALIDATION))
    back_off = _back_off(data, rows=validation_rows, predictor=predictor, tau=tau, train=train)
    if not len(data.test_rows):
        return CategoryEvaluation(back_off=back_off, tau=tau)
    products, rows = read_test_products(data, config=train)
    truth = data.all_labels.index[rows]
    nodes = _nodes(data.all_labels, zero_shot=zero_shot)
    tree, node_of_class = TaxonomyTree.of([node.path for node in nodes]), _node_of_class(data.labels, nodes=nodes)
    baselines = fit_baselines(data, config=train, lookups=category_lookups) if train.baselines.run else None
    conditions: list[Condition] = []
    metrics: Metrics | None = None
    for name, some in category_conditions(products):
        predicted: dict[str, Indices] = {}
        if zero_shot is not None:
            predicted[ZERO_SHOT] = zero_shot.nodes_of(some, labels=nodes)
        if baselines is not None:
            predicted |= {method: node_of_class[classes] for method, classes in baselines.predict(some).items()}
        prediction = predictor.predict(some, k=5, tau=tau)
        predicted[HEAD] = node_of_class[first_classes(prediction, products=some)]
        conditions.append(_condition(name, truth=truth, predicted=predicted, tree=tree))
        if name == ALL:
            conditions += _by_class_count(data, truth=truth, predicted=predicted, tree=tree)
            topk = np.concatenate([predicted[HEAD][:, None], node_of_class[prediction.classes[:, 1:]]], axis=1)
            metrics = _metrics(topk, truth=truth, confidences=prediction.probabilities[:, 0], tree=tree)
    return CategoryEvaluation(
        baselines=() if baselines is None else evaluate_known(baselines, data=data, products=products, rows=rows),
        conditions=tuple(conditions),
        nodes=metrics,
        by_tau=_by_tau(predictor, products=products, truth=truth, node_of_class=node_of_class),
        back_off=back_off,
        back_off_test=_back_off(data, rows=data.test_rows, predictor=predictor, tau=tau, train=train),
        tau=tau,
    )


def _nodes(labels: CategoryLabels, *, zero_shot: ZeroShot | None) -> tuple[CategoryLabel, ...]:
    """All nodes that products are labelled with, those above them, and those that zero-shot predicts."""
    known = {node.id for node in labels.nodes}
    others = () if zero_shot is None else (node for node in zero_shot.nodes.labels if node.id not in known)
    return (*labels.nodes, *others)


def _node_of_class(labels: CategoryLabels, *, nodes: Sequence[CategoryLabel]) -> npt.NDArray[np.int64]:
    """The index among `nodes` of each class of a head, (num_classes + 1,); -1 at the end, as for `NO_ANSWER`."""
    position = {node.id: index for index, node in enumerate(nodes)}
    return np.array([*(position[label.id] for label in labels.classes), NO_ANSWER])


def _condition(
    name: str, *, truth: Indices, predicted: Mapping[str, Indices], tree: TaxonomyTree, group: str | None = None
) -> Condition:
    return Condition(
        group=group,
        name=name,
        num_products=len(truth),
        top1={method: float((nodes == truth).mean()) for method, nodes in predicted.items()},
        macro_f1={method: macro_f1(truth, predicted=nodes) for method, nodes in predicted.items()},
        tree_f1={method: evaluate_nodes(truth, predicted=nodes, tree=tree).f1 for method, nodes in predicted.items()},
    )


def _by_class_count(
    data: Labelled[CategoryLabels], *, truth: Indices, predicted: Mapping[str, Indices], tree: TaxonomyTree
) -> list[Condition]:
    """By how many training products have the product's own category."""
    groups = by_class_count(truth, class_counts=data.all_labels.class_counts(data.split))
    return [
        _condition(
            name,
            truth=truth[where],
            predicted={method: nodes[where] for method, nodes in predicted.items()},
            tree=tree,
            group="examples",
        )
        for name, where in groups.items()
        if where.any()
    ]


def _metrics(topk: Indices, *, truth: Indices, confidences: npt.NDArray[np.float32], tree: TaxonomyTree) -> Metrics:
    """The metrics of ranked nodes (n, k), and of the first ones in the tree."""
    metrics = evaluate(truth, topk=topk, confidences=confidences.astype(np.float64))
    return metrics.model_copy(update={"tree": evaluate_nodes(truth, predicted=topk[:, 0], tree=tree)})


def _by_tau(
    predictor: CategoryPredictor, *, products: ProductSet, truth: Indices, node_of_class: npt.NDArray[np.int64]
) -> tuple[ByTau, ...]:
    figures = []
    for tau in TAUS:
        nodes = node_of_class[first_classes(predictor.predict(products, k=1, tau=tau), products=products)]
        top1 = float((nodes == truth).mean())
        figures.append(ByTau(tau=tau, top1=top1, macro_f1=macro_f1(truth, predicted=nodes)))
    return tuple(figures)


def _back_off(
    data: Labelled[CategoryLabels], *, rows: Indices, predictor: CategoryPredictor, tau: float, train: TrainConfig
) -> tuple[BackOff, ...]:
    """Back-off by threshold on some products, at most `[train.baselines] max_test`; nothing where there are none."""
    some = rows[sample_rows(len(rows), at_most=train.baselines.max_test, seed=train.seed)]
    if not len(some):
        return ()
    products = read_products(data.shard_set, features=data.features, rows=some)
    prediction = predictor.predict(products, k=1, tau=tau)
    truth = _nearest_in_head(data, rows=some, predictor=predictor)
    return back_off_curve(prediction, truth=truth, tree=predictor.nodes.tree)


def _nearest_in_head(
    data: Labelled[CategoryLabels], *, rows: Indices, predictor: CategoryPredictor
) -> npt.NDArray[np.int64]:
    """The deepest nodes of the head at or above those that products are labelled with, (m,); -1 where there is none."""
    position = {label.id: index for index, label in enumerate(predictor.nodes.labels)}
    nodes = [position.get(node.id, NO_ANSWER) for node in data.all_labels.nodes]
    lineages = data.all_labels.tree.lineage[data.all_labels.index[rows]]
    inside = np.array([*nodes, NO_ANSWER])[lineages]
    level = (inside != NO_ANSWER).cumsum(axis=1).argmax(axis=1)
    return np.take_along_axis(inside, level[:, None], axis=1)[:, 0]
