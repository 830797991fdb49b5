"""The labelled products that a head's folder keeps, to compare others with."""

from pathlib import Path

import numpy as np

from prodemb.core.features import ALL_FEATURES
from prodemb.heads.fuser_files import check, read_arrays, write_arrays
from prodemb.heads.head import HeadCard
from prodemb.heads.neighbours import Neighbours

NEIGHBOURS_NAME = "neighbours.safetensors"


def write_neighbours(folder: Path, neighbours: Neighbours) -> None:
    """Write `neighbours.safetensors`; vectors and components as float16, which they hold exactly."""
    write_arrays(
        folder / NEIGHBOURS_NAME,
        {
            "features": np.array([ALL_FEATURES.index(feature) for feature in neighbours.features]),
            "mean": neighbours.mean,
            "scale": neighbours.scale,
            "components": neighbours.components.astype(np.float16),
            "vectors": neighbours.vectors.astype(np.float16),
            "labels": neighbours.labels,
            "rows": neighbours.rows,
        },
    )


def read_neighbours(folder: Path, *, head: HeadCard, num_labels: int) -> Neighbours:
    """Read them.

    Args:
        head: the card of the head beside them.
        num_labels: how many classes or nodes their labels are indices of.

    Raises:
        HeadError: the file is damaged, or compares other vectors than the head reads.
    """
    path = folder / NEIGHBOURS_NAME
    dims = {"features": 1, "mean": 1, "scale": 1, "components": 2, "vectors": 2, "labels": 1, "rows": 1}
    arrays = read_arrays(path, dims=dims)
    numbers, labels, rows = (arrays[name].astype(np.int64) for name in ("features", "labels", "rows"))
    features = tuple(ALL_FEATURES[number] for number in numbers.tolist() if 0 <= number < len(ALL_FEATURES))
    own = [dim for feature, dim in zip(head.features, head.dims, strict=True) if feature in features]
    check(len(own) == len(numbers) > 0 and sorted(numbers.tolist()) == numbers.tolist(), path, "other features")
    mean, scale, components = (arrays[name].astype(np.float32) for name in ("mean", "scale", "components"))
    vectors = arrays["vectors"].astype(np.float32)
    check(len(mean) == len(scale) == len(components) == sum(own), path, "other dimensions than the head's")
    check(vectors.shape[1] == components.shape[1] and len(vectors) > 0, path, "vectors of another length")
    check(len(labels) == len(rows) == len(vectors), path, "not one label a vector")
    check(bool(((labels >= 0) & (labels < num_labels)).all()), path, "labels of no class")
    return Neighbours(
        features=features,
        mean=mean,
        scale=scale,
        components=components,
        vectors=vectors,
        labels=labels,
        rows=rows,
    )
