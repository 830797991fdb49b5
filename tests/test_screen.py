"""What a terminal is shown cannot command it."""

import io

from rich.console import Console

from prodemb.report import first_rows
from prodemb.screen import counted, printable


def test_control_characters_are_spelled_out_and_everything_else_stays() -> None:
    assert printable("\x1b[31m\x07 \u202e\ud83d\x9b") == r"\x1b[31m\x07 \u202e\ud83d\x9b"
    assert printable("été 👩‍👩‍👧 سلام\t[/b]\n") == "été 👩‍👩‍👧 سلام\t[/b]\n"


def test_one_thing_is_one() -> None:
    assert [counted(number, "shard") for number in (0, 1, 3000)] == ["0 shards", "1 shard", "3,000 shards"]
    assert [counted(number, "class", "classes") for number in (1, 2)] == ["1 class", "2 classes"]


def test_predictions_are_shown_as_they_are_named() -> None:
    row = {"product_id": "[/b]\x1b[2J", "category_path": ":smile:", "brand": "[red]x"}
    screen = io.StringIO()
    console = Console(file=screen, width=200, markup=False, emoji=False)
    console.print(first_rows([row | {"category_confidence": 0.5, "brand_confidence": None}]))
    assert all(name in screen.getvalue() for name in (r"[/b]\x1b[2J", ":smile:", "[red]x"))
