"""Rolling up agrees with walking up product by product, and loses none that has a node to go to."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from prodemb.core.arrays import NO_ANSWER
from prodemb.taxonomy.nodes import TaxonomyTree
from prodemb.taxonomy.roll_up import roll_up

PATHS = ["A > B > D", "A", "A > B", "A > B > C", "A > E", "F", "F > G"]
TREE = TaxonomyTree.of(PATHS)


@given(st.lists(st.integers(0, 5), min_size=len(PATHS), max_size=len(PATHS)), st.integers(1, 8))
def test_rolling_up_is_the_walked_one(counts: list[int], at_least: int) -> None:
    examples = np.array(counts)
    holds = {node: [node] * count for node, count in enumerate(counts)}
    stays = set()
    for node in sorted(holds, key=lambda node: -TREE.depth[node]):
        if len(holds[node]) >= at_least:
            stays.add(node)
        elif TREE.parents[node] >= 0:
            holds[int(TREE.parents[node])] += holds[node]
    counts_as = roll_up(TREE, counts=examples, min_count=at_least)
    for node in range(len(PATHS)):
        line = [int(above) for above in TREE.lineage[node] if above in stays]
        assert counts_as[node] == (line[-1] if line else NO_ANSWER)
    assert examples.tolist() == counts


def test_siblings_with_few_examples_make_a_class_together() -> None:
    counts_as = roll_up(TREE, counts=np.array([1, 0, 0, 1, 5, 1, 0]), min_count=2)
    assert counts_as.tolist() == [2, NO_ANSWER, 2, 2, 4, NO_ANSWER, NO_ANSWER]
