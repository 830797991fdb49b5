"""The fuser's files in the head's folder: its weights, the names it knows, and the alias table it was fitted with."""

import hashlib
from pathlib import Path
from typing import Annotated

import numpy as np
import polars as pl
import pyarrow as pa
from pydantic import Field

from prodemb.aliases.table import AliasRow, AliasTable
from prodemb.brand.candidates import PRIOR_WEIGHTS
from prodemb.brand.names import BrandNames
from prodemb.brand.predict import Fuser
from prodemb.brand.trust import NameCounts
from prodemb.confidence.conditional_logit import ConditionalLogit
from prodemb.core.bounded import read_json, read_table
from prodemb.core.config import Config
from prodemb.core.errors import ConfigError, HeadError
from prodemb.core.files import replacing, sha256_of, write_json
from prodemb.core.text import one_line
from prodemb.heads.head import HeadCard
from prodemb.heads.labels import BrandLabel

FUSER_NAME, NAMES_NAME, ALIASES_NAME = FUSER_FILES = ("fuser.json", "names.parquet", "aliases.parquet")

_COUNTS = ("supplied_count", "supplied_correct", "title_count", "title_correct")
_NAMES = pa.schema(
    [("name", pa.string()), ("is_rare", pa.bool_()), ("redirect_to", pa.string()), *((n, pa.int64()) for n in _COUNTS)]
)
_ALIASES = pa.schema([("supplied", pa.string()), ("canonical", pa.string()), ("products", pa.int64())])


class FuserCard(Config):
    """`fuser.json`."""

    weights: dict[str, Annotated[float, Field(ge=-1e6, le=1e6)]]
    """By feature of a candidate."""
    names_sha256: str
    aliases_sha256: str


def save_fuser(folder: Path, fuser: Fuser) -> str:
    """Write the fuser's files into a head's folder; return the hash for the head's card."""
    with replacing(folder / ALIASES_NAME) as temporary:
        decided = [(row.supplied, row.effective, row.products) for row in fuser.names.aliases.rows]
        schema = {"supplied": pl.String, "canonical": pl.String, "products": pl.Int64}
        pl.DataFrame(decided, schema=schema, orient="row").write_parquet(temporary)
    with replacing(folder / NAMES_NAME) as temporary:
        _names_frame(fuser).write_parquet(temporary)
    card = FuserCard(
        weights=dict(zip(PRIOR_WEIGHTS, fuser.model.weights.tolist(), strict=True)),
        names_sha256=sha256_of(folder / NAMES_NAME),
        aliases_sha256=sha256_of(folder / ALIASES_NAME),
    )
    write_json(folder / FUSER_NAME, card.model_dump(mode="json"))
    return _hash_of(card)


def load_fuser(folder: Path, *, card: HeadCard) -> Fuser:
    """Read the fuser that was saved with a brand head.

    Raises:
        HeadError: it is missing, damaged, or belongs to another head.
    """
    path = folder / FUSER_NAME
    try:
        found = FuserCard.parse(read_json(path), source=str(path))
    except OSError:
        raise HeadError(f"{path}: missing, though the head beside it needs it; train again") from None
    except ConfigError as error:
        raise HeadError(f"{error}; train again") from None
    except ValueError as error:
        raise HeadError(f"{path}: damaged: {str(error).splitlines()[0]}; train again") from None
    names = {FUSER_NAME: _hash_of(found), NAMES_NAME: _sha256(folder, NAMES_NAME)}
    wanted = {FUSER_NAME: card.fuser_sha256, NAMES_NAME: found.names_sha256}
    names[ALIASES_NAME], wanted[ALIASES_NAME] = _sha256(folder, ALIASES_NAME), found.aliases_sha256
    for name, is_hash in names.items():
        if is_hash != wanted[name]:
            raise HeadError(
                f"{folder / name}: found {is_hash[:12] or 'nothing'}, wanted {wanted[name][:12]}: altered, or its "
                "training was cut short; train again"
            )
    if list(found.weights) != list(PRIOR_WEIGHTS):
        raise HeadError(f"{path}: was made by another version of prodemb; train again")
    frame, rows = _table(folder / NAMES_NAME, schema=_NAMES), _table(folder / ALIASES_NAME, schema=_ALIASES).iter_rows()
    aliases = AliasTable(AliasRow(supplied, canonical, products=products) for supplied, canonical, products in rows)
    redirects = frame.drop_nulls("redirect_to").select("name", "redirect_to").iter_rows()
    classes = [label.name for label in card.classes if isinstance(label, BrandLabel)]
    rare = frame.filter("is_rare")["name"].to_list()
    known = BrandNames(classes, aliases=aliases, redirects=dict(redirects), rare=rare)
    if known.names != frame["name"].to_list():
        raise HeadError(
            f"{folder / NAMES_NAME}: found other names than those of the head and its alias table; train again"
        )
    return Fuser(
        names=known,
        supplied=_counts(frame, "supplied"),
        titles=_counts(frame, "title"),
        model=ConditionalLogit(weights=np.array([*found.weights.values()])),
    )


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
        schema_overrides={"name": pl.String, "redirect_to": pl.String},
    )


def _table(path: Path, *, schema: pa.Schema) -> pl.DataFrame:
    """A file of the fuser; no number is negative, and nothing but a redirect is missing."""
    try:
        frame = pl.DataFrame(pl.from_arrow(read_table(path, schema=schema)))
    except (OSError, ValueError) as error:
        raise HeadError(f"{path}: damaged: {one_line(error)}; train again") from None
    num_missing = frame.drop("redirect_to", strict=False).null_count().sum_horizontal().item()
    num_negative = (frame.select(pl.selectors.integer()) < 0).sum().sum_horizontal().item()
    if num_missing or num_negative:
        raise HeadError(f"{path}: damaged: a value is missing or a number negative; train again")
    return frame


def _counts(frame: pl.DataFrame, source: str) -> NameCounts:
    return NameCounts(count=frame[f"{source}_count"].to_numpy(), correct=frame[f"{source}_correct"].to_numpy())


def _hash_of(card: FuserCard) -> str:
    return hashlib.sha256(card.model_dump_json().encode()).hexdigest()


def _sha256(folder: Path, name: str) -> str:
    """The file's hash; empty where it cannot be read."""
    try:
        return sha256_of(folder / name)
    except (OSError, ValueError):
        return ""
