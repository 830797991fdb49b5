"""Fitting the fuser: which names can be trusted from the training part, what each voice counts from the validation."""

import logging

import numpy as np
from pydantic import Field

from prodemb.aliases.table import AliasTable
from prodemb.brand.candidates import Candidates
from prodemb.brand.conditions import (
    AS_SUPPLIED,
    UNSEEN,
    WITHHELD,
    WRONG,
    brand_names,
    conditions,
    rare_brands,
    true_names,
    without_strings_of,
)
from prodemb.brand.model import Floats
from prodemb.brand.names import Ids
from prodemb.brand.predict import Fuser
from prodemb.core.arrays import Indices, sample_rows
from prodemb.core.config import Config
from prodemb.core.features import raw_column
from prodemb.heads.head import TrainedHead
from prodemb.heads.split import TEST, TRAIN, VALIDATION
from prodemb.heads.train import Labelled
from prodemb.shards.product_set import read_products, supplied_values

logger = logging.getLogger(__name__)

_BRAND, _TITLE = raw_column("brand"), raw_column("title")


_MIN_GOLD = 50
"""Gold labels in the validation part from which on they alone are learned from."""


class FuseConfig(Config):
    """`[fuse]`: how supplied brand, title and head are weighed against each other.

    The weights are learned on the validation part in several conditions. These say how much each of them counts beside
    the products as they were supplied: what the next partner is expected to send.
    """

    unseen: float = Field(default=0.25, ge=0)
    """Weight of the products whose spellings nobody has seen before."""
    withheld: float = Field(default=0.5, ge=0)
    """Weight of the products without their supplied brand."""
    wrong: float = Field(default=0.05, ge=0)
    """Weight of the products with that of another product in its place."""
    l2: float = Field(default=1.0, gt=0)
    """How firmly the weights are held to those that nothing was learned for; more for few products."""
    max_products: int = Field(default=20_000, ge=1)
    """Products of the training and of the validation part that are looked at, at most, taken at random."""
    seed: int = 0
    """Of what is taken at random."""


def fit_fuser(data: Labelled, *, head: TrainedHead, aliases: AliasTable, config: FuseConfig) -> Fuser:
    """Learn to weigh the supplied brand, the title and a head's answers against each other.

    From gold labels alone where there are enough of them, else also from those that supplied brands give. These say
    nothing of how often a supplied brand is wrong, so products whose title names another brand are left out then.

    Args:
        data: what `head` was trained on.
    """
    gold = _has_gold(data)
    rare = rare_brands(data, parts=[TRAIN])
    untrained = Fuser.untrained(brand_names(data.labels.classes), aliases=aliases, rare=rare)
    rows = _rows(data, part=TRAIN, gold=gold, config=config)
    texts = supplied_values(data.shard_set, [_BRAND, _TITLE], rows=rows)
    fuser = untrained.with_trust(texts[_BRAND], titles=texts[_TITLE], labels=true_names(data, rows=rows), gold=gold)
    rows = _rows(data, part=VALIDATION, gold=gold, config=config)
    logger.info("fusing brands: fitted to %d products, %s", len(rows), "gold labels" if gold else "supplied brands")
    if not len(rows):
        return fuser
    # A brand that is not sent cannot be known from there, so that the fuser learns to say that it is none of them.
    strings = without_strings_of(data, aliases=aliases, parts=[VALIDATION, TEST])
    blind = fuser.knowing(strings, rare=rare)
    products, names = read_products(data.shard_set, features=data.features, rows=rows), true_names(data, rows=rows)
    importance = {AS_SUPPLIED: 1.0, UNSEEN: config.unseen, WITHHELD: config.withheld, WRONG: config.wrong}
    listed: list[Candidates] = []
    chosen: list[Ids] = []
    weights: list[Floats] = []
    for name, some in conditions(products, chosen=fuser.names.own_ids(names), fuser=fuser, seed=config.seed):
        if importance[name] > 0:
            judge = fuser if name == AS_SUPPLIED else blind
            candidates, said = judge.candidates(some, head=head)
            listed.append(candidates)
            chosen.append(candidates.place_of(judge.names.ids_with(names, new_names=said.new_names)))
            doubtful = said.is_contradicted() if not gold and name in (AS_SUPPLIED, UNSEEN) else np.zeros(len(rows))
            weights.append(np.where(doubtful, 0.0, importance[name]).astype(np.float32))
    return fuser.with_weights(
        Candidates.joined(listed),
        chosen=np.concatenate(chosen),
        importance=np.concatenate(weights),
        strength=config.l2,
    )


def _has_gold(data: Labelled) -> bool:
    """Whether the gold labels of the validation part are enough, or as good as all there is."""
    labelled = (data.all_labels.index >= 0) & (data.parts == VALIDATION)
    num_gold = int((labelled & data.all_labels.gold).sum())
    return num_gold >= _MIN_GOLD or 2 * num_gold > int(labelled.sum())


def knowing_all(fuser: Fuser, *, data: Labelled) -> Fuser:
    """The fuser that is put to use: it knows every label there is, of test products too."""
    return fuser.knowing(fuser.names.aliases, rare=rare_brands(data, parts=[TRAIN, VALIDATION, TEST]))


def _rows(data: Labelled, *, part: int, gold: bool, config: FuseConfig) -> Indices:
    """Labelled products of a part, (m,) places in the shard set, ascending."""
    labels = data.all_labels
    rows = np.flatnonzero((labels.index >= 0) & (data.parts == part) & (labels.gold | (not gold)))
    return rows[sample_rows(len(rows), at_most=config.max_products, seed=config.seed)]
