"""Vectors of the taxonomy's nodes: the texts that stand for a node, through a model's text tower."""

import numpy as np

from prodemb.core.device import DeviceName
from prodemb.shards.paths import PathVectors
from prodemb.taxonomy.taxonomy import SEPARATOR, Taxonomy
from prodemb.towers.checkpoint import Checkpoint
from prodemb.towers.load import load_towers
from prodemb.towers.pool import TowerPool


def node_texts(path: str) -> tuple[str, ...]:
    """The texts whose mean vector stands for a node: its name, and its path from the name up.

    On 2,000 products of the generated sample among all of Google's nodes, these two were right for 18.9 %, the path as
    it is for 11.6 %, the name alone for 13.9 %, "a photo of" the name for 13.9 %.
    """
    names = path.split(SEPARATOR)
    return names[-1], ", ".join(reversed(names))


def encode_paths(taxonomy: Taxonomy, *, checkpoint: Checkpoint, device: DeviceName) -> PathVectors:
    """Encode all nodes of a taxonomy.

    Raises:
        ModelError: the checkpoint cannot be loaded.
    """
    paths = tuple(taxonomy.paths.values())
    texts = [node_texts(path) for path in paths]
    with TowerPool(load_towers(checkpoint, device=device)) as pool:
        parts = [pool.texts(column).result().astype(np.float32) for column in map(list, zip(*texts, strict=True))]
    mean = np.mean(parts, axis=0)
    vectors = mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-9)
    return PathVectors(
        fingerprint=checkpoint.fingerprint, ids=taxonomy.ids, paths=paths, vectors=vectors.astype(np.float16)
    )
