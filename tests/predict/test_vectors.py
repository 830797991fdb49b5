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
from prodemb.shards.text import TextKind
from prodemb.towers.checkpoint import find_checkpoint
from prodemb.towers.text_checkpoint import find_text_checkpoint
from tests.small_heads import make_card
from tests.text_encoders import write, write_encoder


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


def test_vectors_are_as_short_as_those_of_the_heads(tiny_clip: Path) -> None:
    fingerprint = find_checkpoint(str(tiny_clip), truncate_dim=8).fingerprint
    card = make_card("brand", fingerprint=fingerprint, model=str(tiny_clip))
    (config,) = settings_for([card], embed=EmbedConfig(truncate_dim=8)).values()
    assert config.truncate_dim == 8
    with pytest.raises(FingerprintError):
        settings_for([card], embed=EmbedConfig())


def test_lexical_vectors_are_of_one_length(tiny_clip: Path) -> None:
    (config,) = settings_for(cards_of(tiny_clip), embed=EmbedConfig()).values()
    assert config.lexical == LexicalKind(dim=64)
    with pytest.raises(FingerprintError, match="read lexical vectors of 64 and 128 numbers; wanted one length"):
        settings_for(cards_of(tiny_clip, dims=(64, 128)), embed=EmbedConfig())


def test_the_text_encoder_and_template_are_those_of_the_heads(tiny_clip: Path, tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "encoder")
    fingerprint = find_text_checkpoint(str(folder)).fingerprint
    kind = TextKind(fingerprint=fingerprint, model=str(folder), template=("{title}", "{brand}"), dim=12)
    own: dict[str, Any] = {"fingerprint": find_checkpoint(str(tiny_clip)).fingerprint, "model": str(tiny_clip)}
    own |= {"features": ("title", "text"), "dims": (8, 12)}
    (config,) = settings_for([make_card("brand", text=kind, **own)], embed=EmbedConfig(text_model="other")).values()
    assert (config.text_model, config.text_template) == (str(folder), ("{title}", "{brand}"))
    assert config.features == ("title", "text")
    other = kind.model_copy(update={"template": ("{title}",)})
    with pytest.raises(FingerprintError, match=r"read text vectors of .* wanted one kind"):
        settings_for(
            [make_card("brand", text=kind, **own), make_card("category", text=other, **own)], embed=EmbedConfig()
        )
    write(folder / "sentence_bert_config.json", {"max_seq_length": 5})
    with pytest.raises(FingerprintError, match=r"trained on text vectors of .* which is now \w{16}; wanted the same"):
        settings_for([make_card("brand", text=kind, **own)], embed=EmbedConfig())


def test_a_checkpoint_that_is_gone_or_another_one_is_refused(tiny_clip: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no such folder"):
        settings_for([make_card("brand", model=str(tmp_path / "gone"))], embed=EmbedConfig())
    with pytest.raises(FingerprintError, match=r"brand head: trained on vectors of .* \(clip\), which is now \w{16};"):
        settings_for([make_card("brand", model=str(tiny_clip))], embed=EmbedConfig())
