"""Judging: a category head beside the baselines, by condition, in the taxonomy, and how it backs off."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from prodemb.category.conditions import ALL, conditions
from prodemb.category.nodes import NodeAnswers, back_off_curve
from prodemb.category.predict import CategoryHead
from prodemb.category.zero_shot import ZERO_SHOT, ZeroShot
from prodemb.core.arrays import NO_ANSWER, Indices, sample_rows
from prodemb.heads.compare import fit_rivals, judged_products, known_only
from prodemb.heads.head import TrainedHead
from prodemb.heads.labels import CategoryLabel, Labels
from prodemb.heads.metrics import ByTau, Condition, Metrics, by_examples, evaluate, macro_f1
from prodemb.heads.split import TRAIN, VALIDATION
from prodemb.heads.train import Labelled, TrainConfig
from prodemb.shards.product_set import ProductSet, read_products
from prodemb.taxonomy.metrics import evaluate_nodes
from prodemb.taxonomy.nodes import Tree

HEAD = "prodemb head"

TAUS = (0.0, 0.25, 0.5, 1.0)
"""Strengths of logit adjustment that are measured."""


def compare_categories(
    data: Labelled, *, head: TrainedHead, train: TrainConfig, tau: float, zero_shot: ZeroShot | None = None
) -> dict[str, Any]:
    """The head beside the baselines, as entries of its card.

    All figures but those of `metrics` and `baselines` are against the nodes that products are labelled with, whether
    the head has a class for them or not, so a product whose category was rolled up is right only for its own node. The
    baselines learn once, from all features, as the head does; in each condition they are asked about what is left,
    TF-IDF too about the texts that are.

    Args:
        tau: the strength of logit adjustment that scoring uses.
        zero_shot: what answers without training, where the shards have the taxonomy's vectors.
    """
    asked = CategoryHead.of(head)
    entries = _back_off(data, asked=asked, tau=tau, train=train)
    if not len(data.judged):
        return entries | {"tau": tau}
    products, rows = judged_products(data, config=train)
    truth = data.all_labels.index[rows]
    nodes = _nodes(data.all_labels, zero_shot=zero_shot)
    tree, place = Tree.of([node.path for node in nodes]), _places(data.labels, nodes=nodes)
    rivals = fit_rivals(data, config=train) if train.baselines.run else None
    found: list[Condition] = []
    for name, some in conditions(products):
        answers: dict[str, Indices] = {}
        if zero_shot is not None:
            answers[ZERO_SHOT] = zero_shot.nodes_of(some, labels=nodes)
        if rivals is not None:
            answers |= {method: place[classes] for method, classes in rivals.answers(some).items()}
        said = asked.answer(some.vectors, present=some.present, k=5, tau=tau)
        answers[HEAD] = place[_first(said, products=some)]
        found.append(_condition(name, truth=truth, answers=answers, tree=tree))
        if name == ALL:
            found += _by_examples(data, truth=truth, answers=answers, tree=tree)
            entries["nodes"] = _against_nodes(said, truth=truth, place=place, answers=answers[HEAD], tree=tree)
    entries["by_tau"] = _by_tau(asked, products=products, truth=truth, place=place)
    if rivals is not None and len(data.test):
        entries["baselines"] = known_only(rivals, data=data, products=products, rows=rows)
    return entries | {"conditions": tuple(found), "tau": tau}


def _nodes(labels: Labels, *, zero_shot: ZeroShot | None) -> tuple[CategoryLabel, ...]:
    """All nodes that products are labelled with, those above them, and those that zero-shot answers with."""
    known = {node.id for node in labels.nodes}
    others = () if zero_shot is None else (node for node in zero_shot.nodes.labels if node.id not in known)
    return (*labels.nodes, *others)


def _places(labels: Labels, *, nodes: Sequence[CategoryLabel]) -> npt.NDArray[np.int64]:
    """Where the classes of a head stand among `nodes`, (num_classes + 1,); -1 at the end, as for `NO_ANSWER`."""
    place = {node.id: number for number, node in enumerate(nodes)}
    return np.array([*(place[label.id] for label in labels.classes if isinstance(label, CategoryLabel)), NO_ANSWER])


def _first(said: NodeAnswers, *, products: ProductSet) -> npt.NDArray[np.int64]:
    """The first class, (n,), -1 for products without a vector."""
    return np.where(products.present.any(axis=1), said.top[:, 0], NO_ANSWER)


def _condition(
    name: str, *, truth: Indices, answers: Mapping[str, Indices], tree: Tree, group: str | None = None
) -> Condition:
    return Condition(
        group=group,
        name=name,
        num_products=len(truth),
        top1={method: float((nodes == truth).mean()) for method, nodes in answers.items()},
        macro_f1={method: macro_f1(truth, answers=nodes) for method, nodes in answers.items()},
        tree_f1={method: evaluate_nodes(truth, answers=nodes, tree=tree).f1 for method, nodes in answers.items()},
    )


def _by_examples(data: Labelled, *, truth: Indices, answers: Mapping[str, Indices], tree: Tree) -> list[Condition]:
    """By how many training products carry the product's own category."""
    labels = data.all_labels.index
    examples = np.bincount(labels[(labels >= 0) & (data.parts == TRAIN)], minlength=len(data.all_labels.classes))
    bands = by_examples(truth, examples=examples)
    return [
        _condition(
            band,
            truth=truth[where],
            answers={method: nodes[where] for method, nodes in answers.items()},
            tree=tree,
            group="examples",
        )
        for band, where in bands.items()
        if where.any()
    ]


def _against_nodes(
    said: NodeAnswers, *, truth: Indices, place: npt.NDArray[np.int64], answers: Indices, tree: Tree
) -> Metrics:
    """The figures of the head's ranked answers, and of the first ones in the tree."""
    top = np.concatenate([answers[:, None], place[said.top[:, 1:]]], axis=1)
    metrics = evaluate(truth, top=top, confidences=said.probabilities[:, 0].astype(np.float64))
    return metrics.model_copy(update={"tree": evaluate_nodes(truth, answers=answers, tree=tree)})


def _by_tau(
    asked: CategoryHead, *, products: ProductSet, truth: Indices, place: npt.NDArray[np.int64]
) -> tuple[ByTau, ...]:
    figures = []
    for tau in TAUS:
        said = asked.answer(products.vectors, present=products.present, k=1, tau=tau)
        nodes = place[_first(said, products=products)]
        top1 = float((nodes == truth).mean())
        figures.append(ByTau(tau=tau, top1=top1, macro_f1=macro_f1(truth, answers=nodes)))
    return tuple(figures)


def _back_off(data: Labelled, *, asked: CategoryHead, tau: float, train: TrainConfig) -> dict[str, Any]:
    """Back-off by threshold on the validation part and on the test part, on at most `[train.baselines] max_test` each.

    Thresholds are chosen by products that training was stopped by but did not learn from.
    """
    labels = data.all_labels.index
    entries: dict[str, Any] = {}
    parts = {"back_off": np.flatnonzero((labels >= 0) & (data.parts == VALIDATION)), "back_off_test": data.judged}
    for entry, rows in parts.items():
        some = rows[sample_rows(len(rows), at_most=train.baselines.max_test, seed=train.seed)]
        if len(some):
            products = read_products(data.shard_set, features=data.features, rows=some)
            said = asked.answer(products.vectors, present=products.present, k=1, tau=tau)
            tree = Tree.of([label.path for label in asked.nodes.labels])
            entries[entry] = back_off_curve(said, truth=_in_head(data, rows=some, asked=asked), nodes=tree)
    return entries


def _in_head(data: Labelled, *, rows: Indices, asked: CategoryHead) -> npt.NDArray[np.int64]:
    """The deepest nodes of the head at or above those that products are labelled with, (m,); -1 where none is."""
    place = {label.id: number for number, label in enumerate(asked.nodes.labels)}
    nodes = [place.get(node.id, NO_ANSWER) for node in data.all_labels.nodes]
    lines = data.all_labels.tree.lineage[data.all_labels.index[rows]]
    inside = np.array([*nodes, NO_ANSWER])[lines]
    level = (inside != NO_ANSWER).cumsum(axis=1).argmax(axis=1)
    return np.take_along_axis(inside, level[:, None], axis=1)[:, 0]
