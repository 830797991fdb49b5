"""The word lists are written the way texts are folded, or they would never match."""

import pytest

from prodemb.aliases import vocabulary
from prodemb.aliases.normalise import words_of

WORD_LISTS = {name: value for name, value in vars(vocabulary).items() if isinstance(value, frozenset)}


@pytest.mark.parametrize("name", sorted(WORD_LISTS))
def test_every_entry_is_folded(name: str) -> None:
    assert {entry for entry in WORD_LISTS[name] if " ".join(words_of(entry)) != entry} == set()
