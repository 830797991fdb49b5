"""Fitting the fuser: which names can be trusted from the training part, what each voice counts from the validation."""

import numpy as np
from pydantic import Field

from prodemb.baselines import sample_rows
from prodemb.brands.aliases import AliasTable
from prodemb.config import Config
from prodemb.features import supplied_column
from prodemb.fuse.candidates import Candidates
from prodemb.fuse.conditions import AS_SUPPLIED, WITHHELD, WRONG, brand_names, conditions, true_names
from prodemb.fuse.fuse import Fuser
from prodemb.heads import TrainedHead
from prodemb.metrics import Indices
from prodemb.product_set import read_products, supplied_values
from prodemb.split import TRAIN, VALIDATION
from prodemb.train import Labelled

_BRAND, _TITLE = supplied_column("brand"), supplied_column("title")


class FuseConfig(Config):
    """`[fuse]`: how supplied brand, title and head are weighed against each other.

    The weights are learned on the validation part as it was supplied, and once more with every supplied brand withheld
    and once more with that of another product in its place. These say how much the second and third count beside
    the first: how often the next partner is expected to send nothing, or something wrong.
    """

    withheld: float = Field(default=0.5, ge=0)
    """Weight of the products without their supplied brand."""
    wrong: float = Field(default=0.1, ge=0)
    """Weight of the products with a wrong one."""
    firmness: float = Field(default=1.0, gt=0)
    """How firmly the weights are held to those that nothing was learned for; more for few products."""
    max_products: int = Field(default=50_000, ge=1)
    """Products of the training and of the validation part that are looked at, at most, taken at random."""
    seed: int = 0
    """Of what is taken at random."""


def fit_fuser(data: Labelled, *, head: TrainedHead, aliases: AliasTable, config: FuseConfig) -> Fuser:
    """Learn to weigh the supplied brand, the title and a head's answers against each other.

    From gold labels alone where the training part has them, else from those that supplied brands give.

    Args:
        data: what `head` was trained on.
    """
    gold = bool((data.all_labels.gold & (data.parts == TRAIN)).any())
    untrained = Fuser.untrained(brand_names(data.labels.classes), aliases=aliases)
    rows = _rows(data, part=TRAIN, gold=gold, config=config)
    texts = supplied_values(data.shard_set, [_BRAND, _TITLE], rows=rows)
    fuser = untrained.with_trust(texts[_BRAND], titles=texts[_TITLE], labels=true_names(data, rows=rows), gold=gold)
    rows = _rows(data, part=VALIDATION, gold=gold, config=config)
    if not len(rows):
        return fuser
    products = read_products(data.shard_set, features=data.features, rows=rows)
    chosen = fuser.names.ids_of(true_names(data, rows=rows))
    importance = {AS_SUPPLIED: 1.0, WITHHELD: config.withheld, WRONG: config.wrong}
    listed = {
        name: fuser.candidates(some, head=head)[0]
        for name, some in conditions(products, chosen=chosen, fuser=fuser, seed=config.seed)
        if importance[name] > 0
    }
    return fuser.with_weights(
        Candidates.joined(list(listed.values())),
        chosen=np.tile(chosen, len(listed)),
        importance=np.repeat(np.array([importance[name] for name in listed], np.float32), len(rows)),
        strength=config.firmness,
    )


def _rows(data: Labelled, *, part: int, gold: bool, config: FuseConfig) -> Indices:
    """Labelled products of a part, (m,) places in the shard set, ascending."""
    labels = data.all_labels
    rows = np.flatnonzero((labels.index >= 0) & (data.parts == part) & (labels.gold | (not gold)))
    return rows[sample_rows(len(rows), at_most=config.max_products, seed=config.seed)]
