"""What a terminal is shown cannot command it."""

import pytest

from prodemb.core.text import counted, is_encodable, is_whole_number, line_for_terminal, printable, without_secrets


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


def test_a_line_is_one_line_whatever_it_quotes() -> None:
    assert line_for_terminal("a\nprodemb: error: b\tc\r") == r"a\nprodemb: error: b\tc\r"
    assert line_for_terminal("\u200eleft\u2028right\u061c") == r"\u200eleft\u2028right\u061c"


def test_a_long_line_keeps_its_begin_and_its_end_and_shows_no_secret() -> None:
    name = "x" * 1_000_000
    line = line_for_terminal(f"c.csv: found {name}\x1b https://a:secret@b/{name}, wanted a name")
    assert line == "c.csv: found ... (2,000,024 characters) ... wanted a name"
    assert len(line_for_terminal("\x1b " * 3000)) < 4100
    for place in range(2950, 3050):
        text = f"{'y ' * (place // 2)}https://ann:secret@host/x {'z ' * 2000}"
        assert "secret" not in line_for_terminal(text)
        assert "secret" not in line_for_terminal(text[::-1].replace("x/tsoh@terces:nna//:sptth", "https://a:secret@b"))


@pytest.mark.parametrize(("text", "is_number"), [("12", True), ("²", False), ("-1", False), ("9" * 19, False)])
def test_what_int_takes(text: str, is_number: bool) -> None:
    assert is_whole_number(text) == is_number


def test_what_utf_8_has() -> None:
    assert is_encodable("größe 名 👩")
    assert not is_encodable("caf\udce9")


def test_one_thing_is_one() -> None:
    assert [counted(number, "shard") for number in (0, 1, 3000)] == ["0 shards", "1 shard", "3,000 shards"]
    assert [counted(number, "class", "classes") for number in (1, 2)] == ["1 class", "2 classes"]
