"""The files of a category predictor beside its head: the taxonomy's nodes, and all that the other voices know."""

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import torch
from scipy import sparse

from prodemb.category.candidates import CONTEXTS, NUM_CONTEXTS, PRIOR_WEIGHTS
from prodemb.category.nodes import Nodes
from prodemb.category.predict import CategoryPredictor
from prodemb.category.voices.every import Voices
from prodemb.category.voices.head import HeadVoice
from prodemb.category.voices.names import Names
from prodemb.category.voices.supplied import SuppliedCounts
from prodemb.category.voices.tower import WEIGHTS, TowerVoice
from prodemb.category.voices.words import NUM_HASHES, WordModel
from prodemb.core.errors import HeadError, TaxonomyError
from prodemb.heads.fuser_files import (
    FUSER_NAME,
    Arrays,
    check,
    read_arrays,
    read_frame,
    read_fuser_card,
    write_arrays,
    write_frame,
    write_fuser_card,
)
from prodemb.heads.head import TrainedHead
from prodemb.heads.labels import CategoryLabel
from prodemb.heads.neighbours_file import NEIGHBOURS_NAME, read_neighbours, write_neighbours
from prodemb.taxonomy.taxonomy import Taxonomy

NODES_NAME, GOLD_NAME, SUPPLIED_NAME, WORDS_NAME, NAMES_NAME = (
    "nodes.parquet",
    "gold.parquet",
    "supplied.parquet",
    "words.safetensors",
    "names.safetensors",
)
_FILES = (NODES_NAME, GOLD_NAME, SUPPLIED_NAME, WORDS_NAME, NAMES_NAME, NEIGHBOURS_NAME)
VOICES_FILES = (FUSER_NAME, *_FILES)

_NODES = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("labelled", pa.int64(), nullable=False),
    ]
)
_GOLD = pa.schema(
    [pa.field("label", pa.string(), nullable=False), pa.field("id", pa.int64(), nullable=False)],
)
_SUPPLIED = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("node", pa.int32(), nullable=False),
        pa.field("count", pa.int64(), nullable=False),
    ]
)


def save_voices(folder: Path, predictor: CategoryPredictor) -> str:
    """Write everything but the head into the head's folder; return the hash for the head's card."""
    voices, labels = predictor.voices, predictor.nodes.labels
    nodes = {"id": [node.id for node in labels], "path": [node.path for node in labels], "labelled": voices.counts}
    write_frame(folder / NODES_NAME, pl.DataFrame(nodes, schema_overrides={"labelled": pl.Int64}))
    gold = {"label": [*predictor.gold], "id": [*predictor.gold.values()]}
    write_frame(folder / GOLD_NAME, pl.DataFrame(gold, schema={"label": pl.String, "id": pl.Int64}))
    write_frame(folder / SUPPLIED_NAME, voices.supplied.table)
    write_arrays(folder / WORDS_NAME, _word_arrays(voices.words, "all") | _word_arrays(voices.words_without, "own"))
    vectors = np.zeros((0, 0), np.float16) if voices.tower is None else voices.tower.vectors.half().cpu().numpy()
    write_arrays(folder / NAMES_NAME, {"vectors": vectors})
    write_neighbours(folder, voices.neighbours)
    return write_fuser_card(
        folder, model=predictor.model, features=[*PRIOR_WEIGHTS], files=_FILES, least_known=predictor.least_known
    )


def load_voices(folder: Path, *, head: TrainedHead) -> CategoryPredictor:
    """Read the predictor that was saved with a category head.

    Raises:
        HeadError: a file is missing, damaged, or belongs to another head.
    """
    card = read_fuser_card(folder, head=head.card, features=[*PRIOR_WEIGHTS], num_contexts=len(CONTEXTS), files=_FILES)
    check(len(card.least_known) == NUM_CONTEXTS, folder / FUSER_NAME, "wanted a least_known for each context")
    frame = read_frame(folder / NODES_NAME, schema=_NODES)
    nodes = _nodes(frame, path=folder / NODES_NAME)
    known = {node.id for node in nodes.labels}
    classes = [label.id for label in head.card.classes if isinstance(label, CategoryLabel)]
    check(known.issuperset(classes), folder / NODES_NAME, "lacks a class of the head")
    supplied = read_frame(folder / SUPPLIED_NAME, schema=_SUPPLIED)
    check(bool((supplied["node"] < len(nodes)).all()), folder / SUPPLIED_NAME, "names no node")
    words = read_arrays(folder / WORDS_NAME, dims={f"{name}_{part}": 1 for name in ("all", "own") for part in _PARTS})
    paths = tuple(node.path for node in nodes.labels)
    voices = Voices(
        nodes=nodes,
        counts=frame["labelled"].to_numpy(),
        head=HeadVoice(head=head, nodes=nodes.of(head.card.classes).astype(np.int32)),
        words=_words(words, "all", num_nodes=len(paths), path=folder / WORDS_NAME),
        words_without=_words(words, "own", num_nodes=len(paths), path=folder / WORDS_NAME),
        neighbours=read_neighbours(folder, head=head.card, num_labels=len(paths)),
        supplied=SuppliedCounts(table=supplied),
        names=Names(paths=paths),
        tower=_tower(folder / NAMES_NAME, head=head, num_nodes=len(paths)),
    )
    labels = read_frame(folder / GOLD_NAME, schema=_GOLD)
    check(known.issuperset(labels["id"]), folder / GOLD_NAME, "names no node")
    gold = dict(zip(labels["label"], labels["id"], strict=True))
    return CategoryPredictor(voices=voices, model=card.model, least_known=card.least_known, gold=gold)


def _nodes(frame: pl.DataFrame, *, path: Path) -> Nodes:
    """The nodes, each below a node that is there too."""
    ids, paths = frame["id"].to_list(), frame["path"].to_list()
    check(len(ids) > 0 and len(set(ids)) == len(ids), path, "no node, or an id twice")
    try:
        Taxonomy(paths=dict(zip(ids, paths, strict=True)), source=str(path))
    except TaxonomyError as error:
        raise HeadError(f"{error}; damaged: train again") from None
    return Nodes([CategoryLabel(id=node, path=text) for node, text in zip(ids, paths, strict=True)])


_PARTS = ("hashes", "idf", "weights", "columns", "starts", "intercepts", "nodes", "num_learned")


def _word_arrays(model: WordModel, name: str) -> dict[str, np.ndarray]:
    arrays = {
        "hashes": model.hashes,
        "idf": model.idf,
        "weights": model.weights.data.astype(np.float16),
        "columns": model.weights.indices.astype(np.int32),
        "starts": model.weights.indptr.astype(np.int64),
        "intercepts": model.intercepts,
        "nodes": model.nodes.astype(np.int32),
        "num_learned": np.array([model.num_learned]),
    }
    assert tuple(arrays) == _PARTS
    return {f"{name}_{part}": array for part, array in arrays.items()}


def _words(arrays: Arrays, name: str, *, num_nodes: int, path: Path) -> WordModel:
    hashes, idf, weights, columns, starts, intercepts, nodes, learned = (arrays[f"{name}_{part}"] for part in _PARTS)
    hashes, columns, nodes = (array.astype(np.int32) for array in (hashes, columns, nodes))
    starts = starts.astype(np.int64)
    check(len(hashes) == len(idf) == len(starts) - 1, path, "not one idf a word")
    check(bool((np.diff(hashes) > 0).all()) and bool(((hashes >= 0) & (hashes < NUM_HASHES)).all()), path, "no hashes")
    check(len(weights) == len(columns) == starts[-1] and starts[0] == 0, path, "not one class a weight")
    check(bool((np.diff(starts) >= 0).all()), path, "words out of order")
    check(bool(((columns >= 0) & (columns < len(nodes))).all()) and len(intercepts) == len(nodes), path, "no classes")
    check(bool(((nodes >= 0) & (nodes < num_nodes)).all()), path, "names no node")
    check(len(learned) == 1, path, "not one number of products")
    return WordModel(
        hashes=hashes,
        idf=idf.astype(np.float32),
        weights=sparse.csr_array((weights.astype(np.float32), columns, starts), shape=(len(hashes), len(nodes))),
        intercepts=intercepts.astype(np.float32),
        nodes=nodes,
        num_learned=int(learned[0]),
    )


def _tower(path: Path, *, head: TrainedHead, num_nodes: int) -> TowerVoice | None:
    """The vectors of the names; None where the file holds none."""
    vectors = read_arrays(path, dims={"vectors": 2})["vectors"]
    if not len(vectors):
        return None
    own = {dim for feature, dim in zip(head.card.features, head.card.dims, strict=True) if feature in WEIGHTS}
    check(len(vectors) == num_nodes and own == {vectors.shape[1]}, path, "not one vector a node of the head's length")
    return TowerVoice(vectors=torch.from_numpy(vectors.astype(np.float32)))
