"""How near answers are to the truth in the taxonomy: by level, by common path and by common ancestor."""

import numpy as np

from prodemb.core.arrays import Indices
from prodemb.core.config import Config
from prodemb.taxonomy.nodes import Tree


class TreeMetrics(Config):
    """How near answers are to the truth in the taxonomy, where either may be an inner node."""

    top1_by_level: tuple[float, ...]
    """For each level, the top first: the share of products that have a true node there whose answer has the same."""
    precision: float
    """Share of the nodes from the top down to the answers that are right."""
    recall: float
    """Share of the nodes from the top down to the truth that are answered."""
    f1: float
    """Hierarchical F1: the harmonic mean of these two."""
    lca_distance: float
    """Mean number of steps from the truth up to the lowest common ancestor of truth and answer: 0 where the answer is
    the truth or stands below it."""


def evaluate_nodes(truth: Indices, *, answers: Indices, tree: Tree) -> TreeMetrics:
    """Measure answers in the tree.

    Precision, recall and F1 count the nodes from the top down to each answer and to each truth, the root left out, and
    are micro averages over the products (Kiritchenko et al., Functional annotation of genes using hierarchical text
    categorization, BioLINK 2005; Silla & Freitas, A survey of hierarchical classification, DMKD 2011).

    Args:
        truth: (n,) nodes, inner ones or leaves, n > 0.
        answers: (n,) nodes, likewise; `NO_ANSWER` where there is none, which names no node of the line.
    """
    common, wanted, told = tree.common_depth(truth, answers), tree.depth[truth], tree.depth[answers]
    levels = np.arange(1, tree.lineage.shape[1] + 1)
    num_deep = np.array([(wanted >= level).sum() for level in levels])
    right = np.array([(common >= level).sum() for level in levels])
    shared = float(common.sum())
    return TreeMetrics(
        top1_by_level=tuple((right / np.maximum(num_deep, 1))[num_deep > 0].tolist()),
        precision=shared / float(told.sum()) if told.any() else 0.0,
        recall=shared / float(wanted.sum()),
        f1=2 * shared / float(told.sum() + wanted.sum()),
        lca_distance=float((wanted - common).mean()),
    )
