"""The contrastive losses against slow loops in float64, and the bound on their temperature."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prodemb.finetune.contrastive import LossKind, TreeCredit, bounded_scale, contrastive_loss

DIM = 5
PATHS = ("A", "A > B", "A > B > C", "D > B")
"""The paths of the labels 0 to 3: three of one branch, and one alone."""


@st.composite
def batches(draw: st.DrawFn, *, paired: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, float]:
    """Queries, keys, their labels and a scale; paired batches share size and labels."""
    num_queries = draw(st.integers(1, 8))
    num_keys = num_queries if paired else draw(st.integers(1, 8))
    labels = st.integers(0, 3)
    query_labels = draw(st.lists(labels, min_size=num_queries, max_size=num_queries))
    key_labels = query_labels if paired else draw(st.lists(labels, min_size=num_keys, max_size=num_keys))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))

    def vectors(count: int) -> torch.Tensor:
        drawn = torch.randn(count, DIM, generator=generator, dtype=torch.float64)
        return torch.nn.functional.normalize(drawn, dim=1)

    scale = draw(st.floats(0.1, 100))
    return vectors(num_queries), vectors(num_keys), torch.tensor(query_labels), torch.tensor(key_labels), scale


def nearness(one: int, other: int) -> float:
    """Twice the number of names that two paths share from the root, over how many they have."""
    left, right = PATHS[one].split(" > "), PATHS[other].split(" > ")
    shared = 0
    while shared < min(len(left), len(right)) and left[shared] == right[shared]:
        shared += 1
    return 2 * shared / (len(left) + len(right))


def reference(
    queries: torch.Tensor,
    keys: torch.Tensor,
    query_labels: list[int],
    key_labels: list[int],
    *,
    kind: str,
    scale: float,
    credit: float = 0.0,
) -> float:
    """The loss by its definition: one query at a time, one key at a time."""

    def one_way(a: torch.Tensor, b: torch.Tensor, a_labels: list[int], b_labels: list[int]) -> float:
        losses = []
        for i in range(len(a)):
            same = [j for j in range(len(b)) if b_labels[j] == a_labels[i]]
            positives = same if kind == "soft" else [i]
            left_out = set(same) - {i} if kind == "masked" else set()
            if not positives:
                continue
            values = {
                j: scale * sum(float(x) * float(y) for x, y in zip(a[i], b[j], strict=True)) for j in range(len(b))
            }
            largest = max(values.values())
            total = sum(math.exp(values[j] - largest) for j in values if j not in left_out)
            log_total = largest + math.log(total)
            masses = {j: 1 / len(positives) for j in positives}
            near = {j: nearness(a_labels[i], b_labels[j]) for j in range(len(b)) if j not in positives}
            if credit and sum(near.values()) > 0:
                masses = {j: (1 - credit) / len(positives) for j in positives}
                masses |= {j: credit * value / sum(near.values()) for j, value in near.items()}
            losses.append(sum(mass * (log_total - values[j]) for j, mass in masses.items()))
        return sum(losses) / len(losses) if losses else 0.0

    return (one_way(queries, keys, query_labels, key_labels) + one_way(keys, queries, key_labels, query_labels)) / 2


def loss_of(batch: tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, float], *, kind: LossKind) -> float:
    queries, keys, query_labels, key_labels, scale = batch
    loss = contrastive_loss(
        queries, keys=keys, query_labels=query_labels, key_labels=key_labels, kind=kind, scale=scale
    )
    return float(loss)


def reference_of(
    batch: tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, float], *, kind: LossKind
) -> float:
    queries, keys, query_labels, key_labels, scale = batch
    return reference(queries, keys, query_labels.tolist(), key_labels.tolist(), kind=kind, scale=scale)


@settings(deadline=None)
@given(batch=batches(paired=False))
def test_soft_loss_is_its_definition(batch):
    assert loss_of(batch, kind="soft") == pytest.approx(reference_of(batch, kind="soft"), abs=1e-9)


@settings(deadline=None)
@pytest.mark.parametrize("kind", ["soft", "masked", "plain"])
@given(batch=batches(paired=True))
def test_losses_of_pairs_are_their_definitions(kind, batch):
    assert loss_of(batch, kind=kind) == pytest.approx(reference_of(batch, kind=kind), abs=1e-9)


@settings(deadline=None)
@given(batch=st.booleans().flatmap(lambda paired: batches(paired=paired)), credit=st.floats(0.01, 0.99))
def test_credit_for_near_nodes_is_its_definition(batch, credit):
    queries, keys, query_labels, key_labels, scale = batch
    found = contrastive_loss(
        queries,
        keys=keys,
        query_labels=query_labels,
        key_labels=key_labels,
        kind="soft",
        scale=scale,
        tree=TreeCredit.from_paths(PATHS, credit=credit),
    )
    wanted = reference(
        queries, keys, query_labels.tolist(), key_labels.tolist(), kind="soft", scale=scale, credit=credit
    )
    assert float(found) == pytest.approx(wanted, abs=1e-9)


def test_nearness_is_the_shared_depth():
    tree = TreeCredit.from_paths(PATHS, credit=0.5)
    labels = torch.arange(len(PATHS))
    wanted = [[nearness(one, other) for other in range(len(PATHS))] for one in range(len(PATHS))]
    torch.testing.assert_close(tree.nearness(labels, columns=labels), torch.tensor(wanted, dtype=torch.float64))
    assert wanted[1] == pytest.approx([2 / 3, 1, 4 / 5, 0])


@settings(deadline=None)
@given(batch=batches(paired=True), order=st.randoms())
def test_the_order_of_the_products_does_not_matter(batch, order):
    queries, keys, query_labels, key_labels, scale = batch
    places = list(range(len(queries)))
    order.shuffle(places)
    shuffled = (queries[places], keys[places], query_labels[places], key_labels[places], scale)
    for kind in ("soft", "masked", "plain"):
        assert loss_of(shuffled, kind=kind) == pytest.approx(loss_of(batch, kind=kind), abs=1e-9)


def test_where_all_categories_differ_the_three_agree():
    generator = torch.Generator().manual_seed(1)
    queries, keys = (torch.randn(6, DIM, generator=generator, dtype=torch.float64) for _ in range(2))
    batch = (queries, keys, torch.arange(6), torch.arange(6), 3.0)
    soft, masked, plain = (loss_of(batch, kind=kind) for kind in ("soft", "masked", "plain"))
    assert soft == pytest.approx(masked)
    assert soft == pytest.approx(plain)


@pytest.mark.parametrize("kind", ["soft", "masked", "plain"])
def test_gradients_are_finite_where_a_whole_batch_is_of_one_category(kind):
    vectors = torch.nn.functional.normalize(torch.randn(4, DIM, dtype=torch.float64), dim=1).requires_grad_()
    labels = torch.zeros(4, dtype=torch.int64)
    contrastive_loss(
        vectors, keys=vectors.flip(0), query_labels=labels, key_labels=labels, kind=kind, scale=100.0
    ).backward()
    assert torch.isfinite(vectors.grad).all()


def test_same_category_pairs_are_pushed_apart_by_the_plain_loss_only():
    queries = torch.eye(2, dtype=torch.float64)
    labels = torch.zeros(2, dtype=torch.int64)
    gradients = {}
    for kind in ("soft", "masked", "plain"):
        keys = torch.full((2, 2), math.sqrt(0.5), dtype=torch.float64, requires_grad=True)
        contrastive_loss(queries, keys=keys, query_labels=labels, key_labels=labels, kind=kind, scale=1.0).backward()
        gradients[kind] = float(keys.grad[1, 0])
    assert gradients["plain"] > 0
    assert gradients["masked"] == 0
    assert gradients["soft"] == pytest.approx(0)


def test_a_batch_without_positives_costs_nothing():
    vectors = torch.eye(2)
    loss = contrastive_loss(
        vectors,
        keys=vectors,
        query_labels=torch.tensor([0, 1]),
        key_labels=torch.tensor([2, 3]),
        kind="soft",
        scale=1.0,
    )
    assert float(loss) == 0


def test_bfloat16_vectors_are_summed_in_float32():
    vectors = torch.nn.functional.normalize(torch.randn(8, 16), dim=1).bfloat16()
    labels = torch.arange(8)
    loss = contrastive_loss(vectors, keys=vectors, query_labels=labels, key_labels=labels, kind="soft", scale=10.0)
    assert loss.dtype == torch.float32


def test_the_scale_is_bounded_and_can_come_back():
    above = torch.tensor(9.0, requires_grad=True)
    scale = bounded_scale(above, largest=100.0)
    assert float(scale.detach()) == pytest.approx(100, rel=1e-5)
    scale.backward()
    assert float(above.grad) > 0
    below = bounded_scale(torch.tensor(math.log(20.0)), largest=100.0)
    assert float(below) == pytest.approx(20, rel=1e-6)
