"""The category columns of the predictions, from a trained head or zero-shot."""

import math

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from prodemb.category.candidates import SOURCES
from prodemb.category.nodes import NodePrediction, Nodes
from prodemb.category.predict import CategoryPredictor
from prodemb.category.zero_shot import ZeroShot
from prodemb.confidence.promise import Promise
from prodemb.core.arrays import NO_ANSWER
from prodemb.core.features import TEXT_FEATURES
from prodemb.heads.labels import Target
from prodemb.score.columns import CATEGORY_TOP, Tally, ranked
from prodemb.score.gold import GOLD, GoldNodes, num_labelled
from prodemb.shards.product_stream import Chunk
from prodemb.taxonomy.taxonomy import SEPARATOR


class CategoryColumns:
    """The category columns from a trained head."""

    target: Target = "category"
    texts = TEXT_FEATURES

    def __init__(
        self,
        predictor: CategoryPredictor,
        *,
        top: int,
        promise: Promise | None,
        gold: GoldNodes | None,
    ) -> None:
        """Answer with `predictor`, listing the `top` most probable nodes of each product.

        Args:
            promise: answer with the deepest node above the most probable one that has at least the probability of its
                threshold, and with none where nothing can be promised; None for that one itself.
            gold: finds the gold labels, which come before the predictor's answers; None where they do not count.
        """
        self.features = predictor.card.features
        self.tally = Tally()
        self.promise = promise
        self._predictor = predictor
        self._top = top
        self._gold = gold

    def columns(self, chunk: Chunk) -> dict[str, pa.Array]:
        """The category columns of n products; null for those that nothing is known of."""
        prediction = self._predictor.predict(chunk.products, k=self._top)
        nodes, confidences = prediction.nodes[:, 0], prediction.probabilities[:, 0]
        if self.promise is not None:
            threshold = math.inf if self.promise.threshold is None else self.promise.threshold
            nodes, confidences = prediction.backed_off(threshold)
        return _category_columns(
            self._predictor.nodes,
            prediction=prediction,
            nodes=nodes,
            confidences=confidences,
            is_predicted=prediction.nodes[:, 0] != NO_ANSWER,
            gold=_gold_nodes(chunk, gold=self._gold, tally=self.tally),
            tally=self.tally,
        )


class ZeroShotColumns:
    """The category columns without training, from the nearest nodes."""

    target: Target = "category"
    texts = TEXT_FEATURES

    def __init__(self, zero_shot: ZeroShot, *, top: int, promise: Promise | None, gold: GoldNodes | None) -> None:
        """Answer with the nearest node, listing the `top` nearest ones of each product.

        Args:
            promise: with one, which cannot hold without labels, nothing is answered.
            gold: as in `CategoryColumns`.
        """
        self.promise = promise
        self.features = zero_shot.card.features
        self.tally = Tally()
        self._zero_shot = zero_shot
        self._top = top
        self._gold = gold

    def columns(self, chunk: Chunk) -> dict[str, pa.Array]:
        """The category columns of n products; null for those that nothing is known of.

        No label says how often an answer is right, so confidences are null but for gold labels.
        """
        prediction = self._zero_shot.predict(chunk.products, k=self._top)
        return _category_columns(
            self._zero_shot.nodes,
            prediction=prediction,
            nodes=prediction.first if self.promise is None else np.full(len(prediction.first), NO_ANSWER),
            confidences=None,
            is_predicted=prediction.first != NO_ANSWER,
            gold=_gold_nodes(chunk, gold=self._gold, tally=self.tally),
            tally=self.tally,
        )


def _gold_nodes(chunk: Chunk, *, gold: GoldNodes | None, tally: Tally) -> npt.NDArray[np.int64]:
    """The node of each product's gold label, (n,); -1 where it has none that is found, which are counted."""
    labels = chunk.gold["google_category_id"]
    if gold is None:
        return np.full(len(labels), NO_ANSWER, dtype=np.int64)
    nodes = gold.nodes_of(labels)
    num_found = int((nodes != NO_ANSWER).sum())
    tally.num_gold += num_found
    tally.num_unresolved_gold += num_labelled(labels) - num_found
    return nodes


def _category_columns(
    nodes_of: Nodes,
    *,
    prediction: NodePrediction,
    nodes: npt.NDArray[np.int64],
    confidences: npt.NDArray[np.float32] | None,
    is_predicted: npt.NDArray[np.bool_],
    gold: npt.NDArray[np.int64],
    tally: Tally,
) -> dict[str, pa.Array]:
    """The category columns of n products.

    Args:
        nodes_of: the nodes that indices refer to.
        prediction: the ranked nodes.
        nodes: (n,) the predicted answer, -1 for none.
        confidences: (n,) its probability; None where that is not known.
        is_predicted: (n,) whether there is anything to predict from.
        gold: (n,) the node of the gold label, which comes first; -1 for none.
        tally: where the products are counted.
    """
    labels = nodes_of.labels
    levels = np.array([label.path.count(SEPARATOR) + 1 for label in labels], dtype=np.int8)
    ids = pa.array([label.id for label in labels], pa.int64())
    paths = pa.array([label.path for label in labels], pa.string())
    is_gold = gold != NO_ANSWER
    first = np.where(is_predicted, prediction.nodes[:, 0], NO_ANSWER)
    answers = np.where(is_predicted, nodes, NO_ANSWER)
    tally.num_backed_off += int((~is_gold & (answers != NO_ANSWER) & (answers != first)).sum())
    first, answers = np.where(is_gold, gold, first), np.where(is_gold, gold, answers)
    unanswered = answers == NO_ANSWER
    tally.num_unanswered += int(unanswered.sum())
    for count, some in ((tally.levels_before, first), (tally.levels_after, answers)):
        count += np.bincount(levels[some[some != NO_ANSWER]], minlength=len(count))
    sources = np.full(len(answers), NO_ANSWER) if prediction.sources is None else prediction.sources
    sources = np.where(is_gold, len(SOURCES), sources)
    known = np.zeros(len(answers), np.bool_) if prediction.known is None else prediction.known
    lineage = nodes_of.tree.lineage[answers]
    subtrees = np.where(is_gold[:, None], np.float32(1), prediction.lineage_probabilities)
    indices = pa.array(answers, mask=unanswered)
    likely = np.zeros(len(answers), np.float32) if confidences is None else confidences
    unsure = unanswered | ((confidences is None) & ~is_gold)
    return {
        "category_id": ids.take(indices),
        "category_path": paths.take(indices),
        "category_level": pa.array(levels).take(indices),
        "category_confidence": pa.array(np.where(is_gold, np.float32(1), likely), mask=unsure),
        "category_source": pa.array([*SOURCES, GOLD], pa.string()).take(
            pa.array(sources, mask=unanswered | (sources == NO_ANSWER))
        ),
        "category_known": pa.array(known, mask=~is_predicted | (prediction.known is None)),
        "category_ancestors": ranked(
            [ids, paths],
            fields=CATEGORY_TOP,
            indices=lineage,
            probabilities=np.ma.masked_array(subtrees, mask=np.broadcast_to(unsure[:, None], subtrees.shape)),
            valid=lineage != NO_ANSWER,
            null=unanswered,
        ),
        "category_top": ranked(
            [ids, paths],
            fields=CATEGORY_TOP,
            indices=prediction.nodes,
            probabilities=None if confidences is None else prediction.probabilities,
            valid=is_predicted[:, None] & (prediction.nodes != NO_ANSWER),
            null=~is_predicted,
        ),
    }
