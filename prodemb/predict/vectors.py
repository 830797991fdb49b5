"""Which vectors heads read: the checkpoint and the features to embed products with, so that heads can be asked."""

from collections.abc import Sequence
from typing import Any

from prodemb.core.errors import FingerprintError
from prodemb.core.features import ALL_FEATURES
from prodemb.embed.config import EmbedConfig
from prodemb.heads.head import HeadCard
from prodemb.towers.checkpoint import find_checkpoint
from prodemb.towers.text_checkpoint import find_text_checkpoint


def settings_for(cards: Sequence[HeadCard], *, embed: EmbedConfig) -> dict[str, EmbedConfig]:
    """The settings to embed products with for some heads, by the fingerprint of the model.

    Heads of one model share its vectors: the features are those that any of them reads.

    Args:
        cards: of the heads.
        embed: how CLIP runs; its model and features are replaced. Its revision counts for a hub id that is its model.

    Raises:
        ModelError: a head's checkpoint is not there.
        FingerprintError: it is no longer the one that the head was trained with, or two heads of one model read
            different lexical or text vectors.
    """
    found: dict[str, EmbedConfig] = {}
    for fingerprint in dict.fromkeys(card.fingerprint for card in cards):
        own = [card for card in cards if card.fingerprint == fingerprint]
        model = own[0].model
        revision = embed.revision if model == embed.model else None
        checkpoint = find_checkpoint(model, revision=revision, truncate_dim=embed.truncate_dim)
        if checkpoint.fingerprint != fingerprint:
            raise FingerprintError(
                f"{own[0].target} head: trained on vectors of {model} ({fingerprint}), which is now "
                f"{checkpoint.fingerprint}; wanted the same model: put it back, or train again"
            )
        read = {feature for card in own for feature in card.features}
        values: dict[str, Any] = {
            "model": model,
            "revision": revision,
            **_text_settings(own, embed=embed),
            "features": tuple(feature for feature in ALL_FEATURES if feature in read),
        }
        dims = {card.lexical.dim for card in own if card.lexical is not None}
        if len(dims) > 1:
            raise FingerprintError(
                f"heads of {model}: read lexical vectors of {' and '.join(map(str, sorted(dims)))} numbers; wanted "
                "one length: train both on the same shards"
            )
        if dims:
            values["lexical_dim"] = dims.pop()
        found[fingerprint] = EmbedConfig.parse(embed.model_dump() | values, source=f"{own[0].target} head")
    return found


def _text_settings(cards: Sequence[HeadCard], *, embed: EmbedConfig) -> dict[str, Any]:
    """The settings for the text vectors that some heads of one CLIP read."""
    kinds = {card.text.encoder: card.text for card in cards if card.text is not None}
    if len(kinds) > 1:
        names = " and ".join(sorted(f"{kind.model} ({encoder})" for encoder, kind in kinds.items()))
        raise FingerprintError(
            f"heads of {cards[0].model}: read text vectors of {names}; wanted one kind: train both on the same shards"
        )
    for kind in kinds.values():
        revision = embed.text_model_revision if kind.model == embed.text_model else None
        found = find_text_checkpoint(kind.model, revision=revision).fingerprint
        if found != kind.fingerprint:
            raise FingerprintError(
                f"heads of {cards[0].model}: trained on text vectors of {kind.model} ({kind.fingerprint}), which is "
                f"now {found}; wanted the same model: put it back, or train again"
            )
        return {"text_model": kind.model, "text_model_revision": revision, "text_template": kind.template}
    return {"text_model": None}
