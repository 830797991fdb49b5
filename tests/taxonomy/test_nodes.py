"""The tree of nodes agrees with one that is walked by hand."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from prodemb.core.arrays import NO_ANSWER
from prodemb.taxonomy.nodes import TaxonomyTree

PATHS = ["A", "A > B", "A > B > C", "A > B > D", "A > E", "F", "F > G"]


@st.composite
def path_lists(draw: st.DrawFn) -> list[str]:
    """Paths of up to four names in any order, with and without their parents."""
    names = st.lists(st.sampled_from("ABC"), min_size=1, max_size=4)
    return draw(st.lists(names.map(" > ".join), min_size=1, max_size=20, unique=True))


def slow_line(paths: list[str], node: int) -> list[int]:
    above = [place for place, path in enumerate(paths) if (paths[node] + " > ").startswith(path + " > ")]
    return sorted(above, key=lambda place: len(paths[place]))


@given(path_lists())
def test_lines_parents_and_spans_are_the_walked_ones(paths: list[str]) -> None:
    tree = TaxonomyTree.of(paths)
    order, begin, end = tree.spans
    assert len(tree) == len(paths)
    for node in range(len(paths)):
        line = slow_line(paths, node)
        assert [above for above in tree.lineage[node].tolist() if above >= 0] == line
        assert tree.depth[node] == len(line)
        assert tree.parents[node] == (line[-2] if len(line) > 1 else NO_ANSWER)
        below = [other for other in range(len(paths)) if node in slow_line(paths, other)]
        assert sorted(order[begin[node] : end[node]].tolist()) == below
    assert (begin[NO_ANSWER], end[NO_ANSWER]) == (0, len(paths))


@given(path_lists(), st.data())
def test_common_depth_is_the_walked_one(paths: list[str], data: st.DataObject) -> None:
    tree = TaxonomyTree.of(paths)
    nodes = st.integers(NO_ANSWER, len(paths) - 1)
    pairs = data.draw(st.lists(st.tuples(nodes, nodes), min_size=1, max_size=20))
    some, others = np.array(pairs).T
    lines = [[set(slow_line(paths, node)) if node >= 0 else set() for node in pair] for pair in pairs]
    assert tree.common_depth(some, others).tolist() == [len(mine & theirs) for mine, theirs in lines]
    assert tree.is_above(some, others).tolist() == [bool(mine) and mine <= theirs for mine, theirs in lines]


def test_a_node_stands_below_the_nearest_one_that_is_there() -> None:
    tree = TaxonomyTree.of(["A > B > C", "A"])
    assert tree.parents.tolist() == [1, NO_ANSWER]
    assert tree.depth.tolist() == [2, 1, 0]
