"""Which shard set each predictor reads."""

import logging
from collections.abc import Sequence

from prodemb.core.errors import FingerprintError, HeadError, ShardError
from prodemb.score.predictor import Predictor
from prodemb.shards.reader import ShardSet

logger = logging.getLogger(__name__)


def match_shard_sets(predictors: Sequence[Predictor], *, shard_sets: Sequence[ShardSet]) -> list[ShardSet]:
    """The one shard set of each predictor's model.

    Raises:
        HeadError: there is no predictor, or two for one target.
        FingerprintError: no shard set has the vectors of a head's model.
        ShardError: two shard sets could be meant, or lack a feature.
    """
    if not predictors:
        raise HeadError("no head to score with; run `prodemb train-brand` or `prodemb train-category` first")
    targets = [predictor.card.target for predictor in predictors]
    for target in targets:
        if targets.count(target) > 1:
            raise HeadError(f"found two heads for {target}, wanted one per target")
    return [_shard_set_of(predictor, shard_sets=shard_sets) for predictor in predictors]


def _shard_set_of(predictor: Predictor, *, shard_sets: Sequence[ShardSet]) -> ShardSet:
    card = predictor.card
    fitting = [source for source in shard_sets if source.schema.fingerprint == card.fingerprint]
    if not fitting:
        found = "; ".join(f"{s.folder}: {s.schema.model} ({s.schema.fingerprint})" for s in shard_sets)
        raise FingerprintError(
            f"{card.target} head: trained on vectors of {card.model} ({card.fingerprint}), which no shard set "
            f"here holds; found {found or 'none'}; embed with that model, or train on these shards"
        )
    if len(fitting) > 1:
        folders = ", ".join(str(source.folder) for source in fitting)
        raise ShardError(f"{card.target} head: {len(fitting)} shard sets of its model: {folders}; wanted one, name it")
    source = fitting[0]
    missing = [feature for feature in card.features if feature not in source.schema.features]
    if missing:
        raise ShardError(
            f"{source.folder}: no vectors of {', '.join(missing)}, which the {card.target} head reads; "
            f"found {', '.join(source.schema.features)}"
        )
    if card.lexical is not None and source.schema.lexical != card.lexical:
        raise FingerprintError(
            f"{card.target} head: reads lexical vectors of {card.lexical.dim} numbers (version "
            f"{card.lexical.version}), {source.folder} has others; embed again, or train on these shards"
        )
    if card.text is not None and not (source.schema.text is not None and source.schema.text.like(card.text)):
        raise FingerprintError(
            f"{card.target} head: reads text vectors of {card.text.model} ({card.text.fingerprint}, template "
            f"{list(card.text.template)}), {source.folder} has others; embed again, or train on these shards"
        )
    return source


def check_numbers(sources: Sequence[ShardSet]) -> None:
    """Raise ShardError where the shard sets cannot hold the same products; warn where one of them is older."""
    first = sources[0]
    for other in sources[1:]:
        if other.num_products != first.num_products:
            raise ShardError(
                f"{other.folder}: holds {other.num_products:,} products, {first.folder} {first.num_products:,}; "
                "wanted shards of one catalog: embed it again into both"
            )
        made_from = [[record.rows_hash for record in source.manifest.shards] for source in (first, other)]
        if first.manifest.shard_size == other.manifest.shard_size and made_from[0] != made_from[1]:
            logger.warning(
                "%s and %s were made from other rows of the catalog, so one is older: embed again, with "
                "--fine-tuned for the set of a fine-tuned checkpoint",
                first.folder,
                other.folder,
            )
