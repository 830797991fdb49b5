"""Fitting the fuser: counts of names on the training part, weights of the evidence on the validation part."""

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
    brand_conditions,
    rare_brands,
    true_names,
    without_strings_of,
)
from prodemb.brand.labels import BrandLabels
from prodemb.confidence.conditional_logit import Floats
from prodemb.brand.names import NameIds
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
"""Gold labels in the validation part from which on only gold labels are used."""


class FuseConfig(Config):
    """`[fuse]`: how supplied brand, title and head are weighed against each other.

    The weights are learned on the validation part in several conditions. These settings are the weights of the other
    conditions relative to the products as supplied: what the next partner is expected to send.
    """

    unseen: float = Field(default=0.25, ge=0)
    """Weight of the products with spellings that nobody has seen before."""
    withheld: float = Field(default=0.5, ge=0)
    """Weight of the products without their supplied brand."""
    wrong: float = Field(default=0.05, ge=0)
    """Weight of the products with the supplied brand of another product."""
    l2: float = Field(default=1.0, gt=0)
    """How strongly the weights are drawn to the built-in ones; more for few products."""
    max_products: int = Field(default=20_000, ge=1)
    """Products of the training part, and of the validation part, that are used at most, a random sample."""
    seed: int = 0
    """Seed of all random choices."""


def fit_fuser(data: Labelled[BrandLabels], *, head: TrainedHead, aliases: AliasTable, config: FuseConfig) -> Fuser:
    """Learn to weigh the supplied brand, the title and a head's predictions against each other.

    From gold labels alone where there are enough of them, otherwise also from labels that come from supplied brands.
    These cannot show how often a supplied brand is wrong, so products whose title names another brand are left out.

    Args:
        data: what `head` was trained on.
    """
    gold = _has_gold(data)
    rare = rare_brands(data, parts=[TRAIN])
    untrained = Fuser.untrained(data.labels.names, aliases=aliases, rare=rare)
    rows = _rows(data, part=TRAIN, gold=gold, config=config)
    texts = supplied_values(data.shard_set, [_BRAND, _TITLE], rows=rows)
    fuser = untrained.fit_names(texts[_BRAND], titles=texts[_TITLE], labels=true_names(data, rows=rows), gold=gold)
    rows = _rows(data, part=VALIDATION, gold=gold, config=config)
    logger.info("fitting the fuser to %d products, %s", len(rows), "gold labels" if gold else "supplied brands")
    if not len(rows):
        return fuser
    # A brand whose spelling is unknown here must be learned as "none of the candidates".
    strings = without_strings_of(data, aliases=aliases, parts=[VALIDATION, TEST])
    blind = fuser.with_aliases(strings, rare=rare)
    products, names = read_products(data.shard_set, features=data.features, rows=rows), true_names(data, rows=rows)
    condition_weights = {AS_SUPPLIED: 1.0, UNSEEN: config.unseen, WITHHELD: config.withheld, WRONG: config.wrong}
    listed: list[Candidates] = []
    chosen: list[NameIds] = []
    weights: list[Floats] = []
    for name, some in brand_conditions(products, truth=fuser.names.ids_of(names), fuser=fuser, seed=config.seed):
        weight = condition_weights[name]
        if weight > 0:
            seeing = fuser if name == AS_SUPPLIED else blind
            candidates, mentions = seeing.candidates(some, head=head)
            listed.append(candidates)
            chosen.append(candidates.index_of(seeing.names.ids_with_new(names, new_names=mentions.new_names)))
            doubtful = mentions.is_contradicted() if not gold and name in (AS_SUPPLIED, UNSEEN) else np.zeros(len(rows))
            weights.append(np.where(doubtful, 0.0, weight).astype(np.float32))
    return fuser.fit_model(
        Candidates.concat(listed),
        chosen=np.concatenate(chosen),
        sample_weight=np.concatenate(weights),
        l2=config.l2,
    )


def _has_gold(data: Labelled[BrandLabels]) -> bool:
    """Whether the validation part has enough gold labels, or hardly any others."""
    labelled = (data.all_labels.index >= 0) & (data.split == VALIDATION)
    num_gold = int((labelled & data.all_labels.gold).sum())
    return num_gold >= _MIN_GOLD or 2 * num_gold > int(labelled.sum())


def with_all_labels(fuser: Fuser, *, data: Labelled[BrandLabels]) -> Fuser:
    """The fuser to predict with: it knows the names of all labels, also those of test products."""
    return fuser.with_aliases(fuser.names.aliases, rare=rare_brands(data, parts=[TRAIN, VALIDATION, TEST]))


def _rows(data: Labelled[BrandLabels], *, part: int, gold: bool, config: FuseConfig) -> Indices:
    """Labelled products of a part of the split, (m,) rows of the shard set, ascending."""
    labels = data.all_labels
    rows = np.flatnonzero((labels.index >= 0) & (data.split == part) & (labels.gold | (not gold)))
    return rows[sample_rows(len(rows), at_most=config.max_products, seed=config.seed)]
