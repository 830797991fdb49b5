"""Metrics of predicted taxonomy nodes: by level, by common path and by common ancestor."""

import numpy as np

from prodemb.core.arrays import Indices
from prodemb.core.config import Config
from prodemb.taxonomy.nodes import TaxonomyTree


class TreeMetrics(Config):
    """Predicted nodes against true ones, where either may be an inner node."""

    top1_by_level: tuple[float, ...]
    """For each level, the top first: the share of products with a true node there that is also predicted."""
    precision: float
    """Share of the nodes from the top down to the predicted ones that are correct."""
    recall: float
    """Share of the nodes from the top down to the true ones that are predicted."""
    f1: float
    """Hierarchical F1: the harmonic mean of these two."""
    lca_distance: float
    """Mean number of steps from the true node up to the lowest common ancestor with the predicted one: 0 where that is
    the true node or below it."""


def evaluate_nodes(truth: Indices, *, predicted: Indices, tree: TaxonomyTree) -> TreeMetrics:
    """Measure predicted nodes against true ones.

    Precision, recall and F1 count the nodes from the top down to each predicted and each true one, without the root,
    and are micro averages over the products (Kiritchenko et al., Functional annotation of genes using hierarchical text
    categorization, BioLINK 2005; Silla & Freitas, A survey of hierarchical classification, DMKD 2011).

    Args:
        truth: (n,) nodes, inner ones or leaves, n > 0.
        predicted: (n,) nodes, likewise; `NO_ANSWER` where there is none, which counts as no node at all.
    """
    common, wanted, found = tree.common_depth(truth, predicted), tree.depth[truth], tree.depth[predicted]
    levels = np.arange(1, tree.lineage.shape[1] + 1)
    num_deep = np.array([(wanted >= level).sum() for level in levels])
    correct = np.array([(common >= level).sum() for level in levels])
    shared = float(common.sum())
    return TreeMetrics(
        top1_by_level=tuple((correct / np.maximum(num_deep, 1))[num_deep > 0].tolist()),
        precision=shared / float(found.sum()) if found.any() else 0.0,
        recall=shared / float(wanted.sum()),
        f1=2 * shared / float(found.sum() + wanted.sum()),
        lca_distance=float((wanted - common).mean()),
    )
