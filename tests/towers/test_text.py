"""Token ids: cut, padded and grouped as the tower wants them."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodemb.core.errors import ModelError
from prodemb.towers.text import TextPreprocessor, token_batches


@pytest.fixture(scope="module")
def text(tiny_clip: Path) -> TextPreprocessor:
    return TextPreprocessor.from_folder(tiny_clip, config=json.loads((tiny_clip / "config.json").read_text()))


def test_a_long_text_is_cut_and_keeps_its_end_token(text: TextPreprocessor) -> None:
    short, long = text.tokenize(["red shoe", "red shoe " * 100_000])
    assert len(short) == 4
    assert len(long) == text.max_length == 16
    assert long[-1] == short[-1]


def test_padding_goes_to_the_longest_of_the_batch(text: TextPreprocessor) -> None:
    token_ids, mask = text.pad(text.tokenize(["red", "red blue green"]))
    assert token_ids.shape == (2, 5)
    assert mask is None
    assert token_ids[0].tolist()[-2:] == [text.pad_id, text.pad_id]


def test_nothing_to_tokenize(text: TextPreprocessor) -> None:
    assert text.tokenize([]) == []


@given(st.text())
def test_any_text_has_a_start_and_an_end(text: TextPreprocessor, value: str) -> None:
    (tokens,) = text.tokenize([value])
    assert 2 <= len(tokens) <= text.max_length


@given(st.lists(st.integers(1, 77), max_size=200), st.integers(77, 1000), st.booleans())
def test_batches_hold_every_text_once_within_the_budget(lengths: list[int], max_tokens: int, padded: bool) -> None:
    batches = token_batches(lengths, max_tokens=max_tokens, padded=padded)
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    assert all(max(lengths[place] for place in batch) * len(batch) <= max_tokens for batch in batches)
    assert padded or all(len({lengths[place] for place in batch}) == 1 for batch in batches)


def test_a_folder_without_a_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="tokenizer cannot be loaded"):
        TextPreprocessor.from_folder(tmp_path, config={"text_config": {}})
