"""Which products to label: those that stand for the most others that no label speaks for yet, the most helpful first.

Facility location: a set of products is worth, summed over all products, the similarity of each to the nearest one of
the set. Taking the best next product again and again comes within 1 - 1/e of the best set (Nemhauser, Wolsey and
Fisher, 1978). The first products so found are typical of large groups, and later ones of ever smaller groups, as is
best while labels are few (Hacohen, Dekel and Weinshall, Active learning on a budget, ICML 2022). Products that carry a
label already speak for those near them, and once there is a head each product counts by how unsure its answer is.
"""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import torch

from prodemb.core.arrays import Floats, Indices, sample_rows
from prodemb.core.features import ALL_FEATURES, PARTNER, Feature, raw_column
from prodemb.core.progress import ProgressCallback
from prodemb.shards.product_set import ProductSet, read_products
from prodemb.shards.reader import ShardSet

_COMPARED: tuple[Feature, ...] = tuple(feature for feature in ALL_FEATURES if feature != "brand")
"""Products of one brand are not of one category."""
_DIM = 128
"""Principal components that are compared."""
_SEEN = 10_000
"""Products that the components are found from at most."""
_LOOKED_AT = 200_000
"""Products that may be picked, or are stood for, at most."""
_LABELLED = 20_000
"""Labelled products that speak for others at most."""
_GROUPS = 3_000
"""Groups of products that are alike, each of which is picked from once at most; more where more is to be picked."""
_STEPS = 5
"""Of k-means."""
_ROWS_AT_A_TIME = 8_192
_PARTNERS, _CATEGORIES = 0.5, 0.1
"""How far partners, and supplied categories, count alike whatever their size: at 0 each product counts as much, at 1
each partner does. Measured for categories, on products outside the test parts: of 0, 0.1 and 0.25 none is better on
both catalogs of the bench, and more costs accuracy."""

Confidences = Callable[[ProductSet], Floats]
"""The confidence of the first answer of n products, (n,)."""


@dataclass(frozen=True, kw_only=True)
class Space:
    """The space that products are compared in.

    Each feature is shifted to mean 0 and scaled to the same mean length, which removes the gap between texts and
    pictures and lets no feature count for more because its vectors are longer; then the principal components of all.
    """

    features: tuple[Feature, ...]
    shift: Floats
    """(D,)."""
    scale: Floats
    """(D,)."""
    components: Floats
    """(D, d)."""

    @classmethod
    def fit(cls, products: ProductSet, *, seed: int) -> "Space":
        """The space of n products, n > 0."""
        vectors, there = products.vectors.astype(np.float32), np.repeat(products.present, products.dims, axis=1)
        count = np.maximum(there.sum(axis=0), 1)
        shift = (vectors * there).sum(axis=0) / count
        centred = (vectors - shift) * there
        square = (centred**2).sum(axis=0) / count
        starts = np.cumsum([0, *products.dims[:-1]])
        length = np.sqrt(np.add.reduceat(square, starts))
        scale = np.repeat(np.where(length > 1e-4, 1 / np.maximum(length, 1e-4), 0), products.dims).astype(np.float32)
        inputs = torch.from_numpy(centred * scale)
        dim = min(_DIM, *inputs.shape)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            _, _, components = torch.svd_lowrank(inputs, q=min(dim + 32, *inputs.shape), niter=2)
        return cls(features=products.features, shift=shift, scale=scale, components=components[:, :dim].numpy())

    def of(self, products: ProductSet) -> Floats:
        """(n, d) of length 1, or zeros where nothing is known of a product."""
        there = np.repeat(products.present, products.dims, axis=1)
        placed = ((products.vectors.astype(np.float32) - self.shift) * self.scale * there) @ self.components
        lengths = np.linalg.norm(placed, axis=1, keepdims=True)
        return np.ascontiguousarray(placed / np.maximum(lengths, 1e-6), dtype=np.float32)


def pick(
    shard_set: ShardSet,
    *,
    num_products: int,
    rows: Indices,
    labelled: Indices,
    seed: int,
    confidences: Confidences | None = None,
    features: Sequence[Feature] = (),
    on_progress: ProgressCallback | None = None,
) -> Indices:
    """Rows of a shard set whose labels would help most, the most helpful first; fewer where there are no more groups.

    Memory is bounded: of more than 200,000 products, so many are looked at, taken at random.

    Args:
        num_products: at most `prodemb.label.config.MAX_PRODUCTS`.
        rows: (n,) the products to pick from, ascending.
        labelled: (m,) rows of products that carry a label already, ascending.
        confidences: of what answers today; asked about products with the vectors of `features`.
        features: what `confidences` reads.
        on_progress: called with the products looked at so far, and their number.
    """
    rows = rows[sample_rows(len(rows), at_most=_LOOKED_AT, seed=seed)]
    if not len(rows):
        return rows
    compared = tuple(feature for feature in _COMPARED if feature in shard_set.schema.features)
    compared = compared or shard_set.schema.features
    seen = rows[sample_rows(len(rows), at_most=_SEEN, seed=seed)]
    space = Space.fit(read_products(shard_set, features=compared, rows=seen), seed=seed)
    wanted = tuple(feature for feature in ALL_FEATURES if feature in {*compared, *features})
    places: list[Floats] = []
    weights: list[Floats] = []
    supplied: list[pl.DataFrame] = []
    for start in range(0, len(rows), _ROWS_AT_A_TIME):
        products = read_products(shard_set, features=wanted, rows=rows[start : start + _ROWS_AT_A_TIME])
        places.append(space.of(products.of(compared)))
        if confidences is None:
            weights.append(np.ones(len(products), np.float32))
        else:
            weights.append(1 - confidences(products.of(features)))
        supplied.append(products.supplied.select(PARTNER, _path()))
        if on_progress:
            on_progress(start + len(products), len(rows))
    known = labelled[sample_rows(len(labelled), at_most=_LABELLED, seed=seed)]
    labels = space.of(read_products(shard_set, features=compared, rows=known)) if len(known) else None
    weight = np.concatenate(weights) * _evened(pl.concat(supplied))
    chosen = most_helpful(np.concatenate(places), weights=weight, known=labels, num=num_products, seed=seed)
    return np.asarray(rows[chosen])


def _path() -> pl.Expr:
    """The supplied categories of a product as one text."""
    return pl.concat_str([pl.col(raw_column(each)).fill_null("") for each in ("cat1", "cat2", "cat3")], separator="\n")


def _evened(supplied: pl.DataFrame) -> npt.NDArray[np.float64]:
    """How much each product counts for its partner and its supplied category, (n,): less where they have many."""
    partner, path = supplied.columns
    counts = supplied.select(
        pl.len().over(pl.col(partner).fill_null("")).cast(pl.Float64).pow(-_PARTNERS)
        * pl.len().over(path).cast(pl.Float64).pow(-_CATEGORIES)
    )
    return counts.to_series().to_numpy()


def most_helpful(
    places: Floats, *, weights: npt.NDArray[np.floating], known: Floats | None, num: int, seed: int
) -> Indices:
    """Indices of the products that stand for the most others, the most helpful first.

    Args:
        places: (n, d) of length 1.
        weights: (n,) how much it counts that somebody stands for each.
        known: (m, d) of products that stand for others already.
    """
    typical, group = _groups(places, num=max(_GROUPS, 2 * num), seed=seed)
    weight = np.bincount(group, weights=weights, minlength=len(typical)).astype(np.float32)
    own = places[typical]
    # Squared, so that many that are a little alike do not outweigh a few that are very much.
    alike = own @ own.T
    np.square(np.maximum(alike, 0, out=alike), out=alike)
    covered = np.zeros(len(own), np.float32)
    for start in range(0, 0 if known is None else len(known), _ROWS_AT_A_TIME):
        assert known is not None
        covered = np.maximum(covered, (np.maximum(known[start : start + _ROWS_AT_A_TIME] @ own.T, 0) ** 2).max(axis=0))
    waiting = [(-float(np.maximum(row - covered, 0) @ weight), place) for place, row in enumerate(alike)]
    heapq.heapify(waiting)
    chosen: list[int] = []
    while waiting and len(chosen) < num:
        # What a product adds only falls as others are chosen: where it is still the best, it is the best.
        _, place = heapq.heappop(waiting)
        gain = float(np.maximum(alike[place] - covered, 0) @ weight)
        if waiting and gain < -waiting[0][0]:
            heapq.heappush(waiting, (-gain, place))
            continue
        chosen.append(place)
        covered = np.maximum(covered, alike[place])
    return typical[np.array(chosen, dtype=np.int64)]


def _groups(places: Floats, *, num: int, seed: int) -> tuple[Indices, Indices]:
    """Groups of products that are alike, by k-means: the most typical product of each, (k,), and (n,) each one's group.

    Of no more than `num` products, each is its own group.
    """
    if len(places) <= num:
        return np.arange(len(places)), np.arange(len(places))
    import faiss

    means = faiss.Kmeans(
        places.shape[1],
        num,
        niter=_STEPS,
        seed=seed + 1,
        spherical=True,
        min_points_per_centroid=1,
        max_points_per_centroid=16,
    )
    means.train(places)
    likeness, nearest = means.index.search(places, 1)
    order = np.lexsort((np.arange(len(places)), -likeness[:, 0], nearest[:, 0]))
    cell = nearest[order, 0]
    typical = order[np.r_[True, cell[1:] != cell[:-1]]]
    number = np.full(num, -1)
    number[nearest[typical, 0]] = np.arange(len(typical))
    return typical, number[nearest[:, 0]]
