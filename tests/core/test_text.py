"""What a terminal is shown cannot command it."""

import pytest

from prodemb.core.text import counted, printable, without_secrets


def test_control_characters_are_spelled_out_and_everything_else_stays() -> None:
    assert printable("\x1b[31m\x07 \u202e\ud83d\x9b") == r"\x1b[31m\x07 \u202e\ud83d\x9b"
    assert printable("été 👩‍👩‍👧 سلام\t[/b]\n") == "été 👩‍👩‍👧 سلام\t[/b]\n"


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("https:/ann:secret@a.example/x: no such folder; wanted shards", "https://...: no such folder; wanted shards"),
        ("'s3://key:se/cr?et@bucket/x', wanted (s3://a.example/b?sig=secret).", "'s3://...', wanted (s3://...)."),
        ("https://www.google.com/taxonomy.en-US.txt: 404", "https://www.google.com/taxonomy.en-US.txt: 404"),
        ("C:/a@b, x@y and what? at /data/x@y", "C:/a@b, x@y and what? at /data/x@y"),
    ],
)
def test_of_an_address_with_secrets_only_the_scheme_is_shown(text: str, without: str) -> None:
    assert without_secrets(text) == without


def test_one_thing_is_one() -> None:
    assert [counted(number, "shard") for number in (0, 1, 3000)] == ["0 shards", "1 shard", "3,000 shards"]
    assert [counted(number, "class", "classes") for number in (1, 2)] == ["1 class", "2 classes"]
