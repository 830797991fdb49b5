"""Config errors: one line that names the source, the table, the key, what was found and what is wanted."""

import pytest
from pydantic import Field

from prodemb.core.config import Config
from prodemb.core.errors import ConfigError


class Inner(Config):
    batch_size: int = Field(default=8, ge=1)


class Outer(Config):
    name: str = "x"
    embed: Inner = Inner()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"embed": {"bach_size": 3}}, r"^f\.toml: \[embed\] bach_size: no such key; did you mean 'batch_size'\?$"),
        ({"zzz": 3}, r"^f\.toml: zzz: no such key; known here: name, embed$"),
        ({"embed": {"batch_size": 0}}, r"^f\.toml: \[embed\] batch_size: found 0, wanted greater than or equal to 1$"),
        ({"embed": {"batch_size": "many"}}, r"^f\.toml: \[embed\] batch_size: found 'many', wanted a valid integer"),
        ({"embed": 3}, r"^f\.toml: embed: found 3, wanted "),
        ({"name": 3}, r"^f\.toml: name: found 3, wanted a valid string$"),
    ],
)
def test_each_mistake_is_named_in_one_line(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        Outer.parse(values, source="f.toml")
    assert "\n" not in str(caught.value)


def test_two_mistakes_are_both_named() -> None:
    with pytest.raises(ConfigError, match=r"batch_size: .*; f\.toml: nam: "):
        Outer.parse({"embed": {"batch_size": 0}, "nam": "y"}, source="f.toml")


def test_a_missing_value_is_named() -> None:
    class Needy(Config):
        target: str

    with pytest.raises(ConfigError, match=r"^f\.toml: target: found nothing, wanted a value$"):
        Needy.parse({}, source="f.toml")
