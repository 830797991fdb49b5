"""The vectors that heads read: one setting per model, with the features of all its heads."""

from pathlib import Path
from typing import Any

import pytest

from prodemb.core.errors import FingerprintError, ModelError
from prodemb.core.features import BRAND_FEATURES, FEATURES
from prodemb.embed.config import EmbedConfig
from prodemb.heads.head import HeadCard
from prodemb.predict.vectors import settings_for
from prodemb.shards.lexical import LexicalKind
from prodemb.towers.checkpoint import find_checkpoint
from tests.small_heads import make_card


def cards_of(clip: Path, *, dims: tuple[int, ...] = (64, 64)) -> list[HeadCard]:
    own: dict[str, Any] = {"fingerprint": find_checkpoint(str(clip)).fingerprint, "model": str(clip)}
    lexical: list[dict[str, Any]] = [
        {"features": ("title", "lexical"), "dims": (8, dim), "lexical": LexicalKind(dim=dim)} for dim in dims
    ]
    return [make_card("brand", **own, **lexical[0]), make_card("category", **own, **lexical[1])]


def test_heads_of_one_model_share_its_vectors(tiny_clip: Path) -> None:
    own: dict[str, Any] = {"fingerprint": find_checkpoint(str(tiny_clip)).fingerprint, "model": str(tiny_clip)}
    brand, category = make_card("brand", **own), make_card("category", **own)
    base = EmbedConfig(shard_size=64, revision="main")
    (config,) = settings_for([brand, category], embed=base).values()
    assert (config.model, config.revision, config.shard_size) == (str(tiny_clip), None, 64)
    assert (config.features, config.lexical) == (FEATURES, None)
    (config,) = settings_for([brand], embed=base).values()
    assert config.features == BRAND_FEATURES


def test_lexical_vectors_are_of_one_length(tiny_clip: Path) -> None:
    (config,) = settings_for(cards_of(tiny_clip), embed=EmbedConfig()).values()
    assert config.lexical == LexicalKind(dim=64)
    with pytest.raises(FingerprintError, match="read lexical vectors of 64 and 128 numbers; wanted one length"):
        settings_for(cards_of(tiny_clip, dims=(64, 128)), embed=EmbedConfig())


def test_a_checkpoint_that_is_gone_or_another_one_is_refused(tiny_clip: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no such folder"):
        settings_for([make_card("brand", model=str(tmp_path / "gone"))], embed=EmbedConfig())
    with pytest.raises(FingerprintError, match=r"brand head: trained on vectors of .* \(clip\), which is now \w{16};"):
        settings_for([make_card("brand", model=str(tiny_clip))], embed=EmbedConfig())
