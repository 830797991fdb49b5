"""The fuser's files in the head's folder: its weights, the names it knows, its alias table, and labelled products."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from prodemb.aliases.table import AliasRow, AliasTable
from prodemb.brand.candidates import PRIOR_WEIGHTS
from prodemb.brand.names import BrandNames
from prodemb.brand.predict import Fuser
from prodemb.brand.trust import NameCounts
from prodemb.core.errors import HeadError
from prodemb.heads.fuser_files import (
    FUSER_NAME,
    check,
    read_frame,
    read_fuser_card,
    write_frame,
    write_fuser_card,
)
from prodemb.heads.head import HeadCard
from prodemb.heads.labels import BrandLabel
from prodemb.heads.neighbours_file import NEIGHBOURS_NAME, read_neighbours, write_neighbours

NAMES_NAME, ALIASES_NAME, LABELS_NAME = "names.parquet", "aliases.parquet", "labels.parquet"
_FILES = (NAMES_NAME, ALIASES_NAME, LABELS_NAME)
FUSER_FILES = (FUSER_NAME, *_FILES, NEIGHBOURS_NAME)

_COUNTS = ("supplied_count", "supplied_correct", "title_count", "title_correct")
_NAMES = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),
        pa.field("is_rare", pa.bool_(), nullable=False),
        pa.field("redirect_to", pa.string()),
        *(pa.field(name, pa.int64(), nullable=False) for name in _COUNTS),
    ]
)
_ALIASES = pa.schema(
    [
        pa.field("supplied", pa.string(), nullable=False),
        pa.field("canonical", pa.string(), nullable=False),
        pa.field("products", pa.int64(), nullable=False),
        pa.field("is_persons", pa.bool_(), nullable=False),
    ]
)
_LABELS = pa.schema([pa.field("name", pa.string(), nullable=False)])


def save_fuser(folder: Path, fuser: Fuser) -> str:
    """Write the fuser's files into a head's folder; return the hash for the head's card."""
    decided = [(row.supplied, row.effective, row.products, row.is_edited) for row in fuser.names.aliases.rows]
    schema = {"supplied": pl.String, "canonical": pl.String, "products": pl.Int64, "is_persons": pl.Boolean}
    write_frame(folder / ALIASES_NAME, pl.DataFrame(decided, schema=schema, orient="row"))
    write_frame(folder / NAMES_NAME, _names_frame(fuser))
    write_frame(folder / LABELS_NAME, pl.DataFrame({"name": pl.Series(fuser.label_names, dtype=pl.String)}))
    files = [*_FILES]
    if fuser.neighbours is not None:
        write_neighbours(folder, fuser.neighbours)
        files.append(NEIGHBOURS_NAME)
    return write_fuser_card(folder, model=fuser.model, features=[*PRIOR_WEIGHTS], files=files, least_known=())


def load_fuser(folder: Path, *, card: HeadCard) -> Fuser:
    """Read the fuser that was saved with a brand head.

    Raises:
        HeadError: it is missing, damaged, or belongs to another head.
    """
    files = [*_FILES, *([NEIGHBOURS_NAME] if (folder / NEIGHBOURS_NAME).exists() else [])]
    found = read_fuser_card(folder, head=card, features=[*PRIOR_WEIGHTS], num_contexts=0, files=files)
    frame = read_frame(folder / NAMES_NAME, schema=_NAMES)
    rows = read_frame(folder / ALIASES_NAME, schema=_ALIASES).iter_rows()
    aliases = AliasTable(
        AliasRow(supplied, canonical, products=products, decided=None if is_persons else canonical)
        for supplied, canonical, products, is_persons in rows
    )
    redirects = frame.drop_nulls("redirect_to").select("name", "redirect_to").iter_rows()
    classes = [label.name for label in card.classes if isinstance(label, BrandLabel)]
    rare = frame.filter("is_rare")["name"].to_list()
    known = BrandNames(classes, aliases=aliases, redirects=dict(redirects), rare=rare)
    if known.names != frame["name"].to_list():
        raise HeadError(
            f"{folder / NAMES_NAME}: found other names than those of the head and its alias table; train again"
        )
    fuser = Fuser(names=known, supplied=_counts(frame, "supplied"), titles=_counts(frame, "title"), model=found.model)
    if NEIGHBOURS_NAME not in found.files:
        return fuser
    labels = read_frame(folder / LABELS_NAME, schema=_LABELS)["name"].to_list()
    neighbours = read_neighbours(folder, head=card, num_labels=len(labels))
    check("brand" not in neighbours.features, folder / NEIGHBOURS_NAME, "compares supplied brands")
    return replace(fuser, neighbours=neighbours, label_names=tuple(labels))


def _names_frame(fuser: Fuser) -> pl.DataFrame:
    """One row per name, in their order, with the name it stands for where that is another, and its counts."""
    names = fuser.names
    rare = set(names.rare)
    return pl.DataFrame(
        {
            "name": names.names,
            "is_rare": [name in rare for name in names.names],
            "redirect_to": [names.redirects.get(name) for name in names.names],
            "supplied_count": fuser.supplied.count,
            "supplied_correct": fuser.supplied.correct,
            "title_count": fuser.titles.count,
            "title_correct": fuser.titles.correct,
        },
        schema_overrides={"name": pl.String, "redirect_to": pl.String} | dict.fromkeys(_COUNTS, pl.Int64),
    )


def _counts(frame: pl.DataFrame, source: str) -> NameCounts:
    count, correct = (np.asarray(frame[f"{source}_{what}"].to_numpy()) for what in ("count", "correct"))
    return NameCounts(count=count, correct=correct)
