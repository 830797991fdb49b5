"""A text encoder beside a plain computation: equal for each kind of folder, an error where it reads otherwise."""

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prodemb.core.errors import ModelError
from prodemb.towers.reference import NoReference
from prodemb.towers.text_checkpoint import find_text_checkpoint
from prodemb.towers.text_encoder import TextEncoder, load_text_encoder
from prodemb.towers.text_reference import check_text_encoder, compare_text_encoder
from tests.text_encoders import write_encoder
from tests.towers.test_text_encoder import CASES, PROMPT, load


@pytest.mark.parametrize("case", CASES)
def test_each_kind_of_folder_agrees(case: str, tmp_path: Path) -> None:
    encoder = load(write_encoder(tmp_path / "encoder", **CASES[case]))
    comparison = compare_text_encoder(encoder)
    assert (len(comparison.texts), comparison.image) == (3, None)
    assert min(comparison.texts.values()) > 0.9999
    check_text_encoder(encoder)


def test_bfloat16_agrees(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "encoder")
    check_text_encoder(load_text_encoder(find_text_checkpoint(str(folder)), device="cpu", dtype="bfloat16"))


def _with_text(**changes: Any) -> Callable[[TextEncoder], None]:
    def change(encoder: TextEncoder) -> None:
        encoder.text = replace(encoder.text, **changes)

    return change


def _with_pooling(encoder: TextEncoder) -> None:
    # As the reference reads the checkpoint too, ours has another one of its own.
    pooled = encoder.text_vectors

    def first_tokens(token_ids: Any, attention_mask: Any = None) -> Any:
        return pooled(token_ids[:, :2], None if attention_mask is None else attention_mask[:, :2])

    encoder.text_vectors = first_tokens  # type: ignore[method-assign]


@pytest.mark.parametrize(
    "change",
    [
        _with_text(max_length=5),
        _with_text(prompt=""),
        _with_text(masked=False),
        _with_text(lowercase=False),
        _with_text(pad_left=True),
        _with_pooling,
    ],
    ids=["cut", "prompt", "mask", "case", "padding", "pooling"],
)
def test_texts_read_otherwise_are_an_error_that_names_the_encoder(
    change: Callable[[TextEncoder], None], tmp_path: Path
) -> None:
    pooling = {"pooling_mode": ["cls", "lasttoken"]}
    folder = write_encoder(tmp_path / "encoder", prompts=PROMPT, pooling=pooling, reading={"do_lower_case": True})
    encoder = load(folder)
    check_text_encoder(encoder)
    change(encoder)
    with pytest.raises(ModelError, match=r"encoder: text encoder: found a cosine of -?0\.\d+ .* a .*text.*0\.999"):
        check_text_encoder(encoder)


@pytest.mark.parametrize("case", ["lasttoken", "qwen3"])
def test_where_the_tokenizer_pads_does_not_matter(case: str, tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "encoder", **CASES[case])
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"padding_side": "left"}))
    check_text_encoder(load(folder))


def test_an_encoder_of_very_long_texts_is_not_given_one(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "encoder", reading={"max_seq_length": 900}, max_position_embeddings=900)
    encoder = load(folder)
    lengths: list[int] = []
    vectors = encoder.text_vectors

    def noted(token_ids: Any, attention_mask: Any = None) -> Any:
        lengths.append(token_ids.shape[1])
        return vectors(token_ids, attention_mask)

    encoder.text_vectors = noted  # type: ignore[method-assign]
    check_text_encoder(encoder)
    assert 512 < max(lengths) < 700


def test_where_the_reference_does_not_run_there_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    encoder = load(write_encoder(tmp_path / "encoder"))
    encoder.checkpoint = replace(encoder.checkpoint, encoder=tmp_path / "gone")
    with pytest.raises(NoReference):
        compare_text_encoder(encoder)
    with caplog.at_level(logging.WARNING):
        check_text_encoder(encoder)
    assert "encoder: its vectors were not compared with transformers' own" in caplog.text
