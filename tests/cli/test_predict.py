"""`prodemb predict`: a feed or one product, and what is said where neither is asked for."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from prodemb.cli import app
from prodemb.core.errors import ConfigError
from tests.conftest import jpeg
from tests.predict.heads import write_heads


@pytest.fixture(autouse=True)
def heads(tmp_path: Path, tiny_clip: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    return [word for folder in write_heads(Path("heads"), tiny_clip) for word in ("--head", str(folder))]


def test_a_feed_is_predicted_and_compared(make_catalog: Callable[[int], Path], heads: list[str]) -> None:
    make_catalog(30)
    words = ["predict", "catalog.parquet", "out.parquet", "--cache", "kept", *heads]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    shown = " ".join(result.output.split())
    assert "30 products in the cache at kept/" in shown
    assert "image: empty │ 13.3% │ 50.0%" in shown
    assert pl.read_parquet("out.parquet").height == 30
    again = CliRunner().invoke(app, words)
    assert "none is new" in again.output
    assert "30 products already scored" in again.output


def test_one_product_is_shown_with_its_voices(heads: list[str]) -> None:
    Path("photo.jpg").write_bytes(jpeg(1))
    words = ["--title", "Brand 3 \x1b[31m mug", "--brand", "Brand 4", "--cat1", "Things", "--image", "photo.jpg"]
    result = CliRunner().invoke(app, ["predict", *words, *heads])
    assert result.exit_code == 0, result.output
    assert "category: Things" in result.output
    assert "Brand 4" in result.output
    assert "nearest labelled products" in result.output
    assert "\x1b[31m" not in result.output
    assert not Path("shards").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], r"predict: found nothing; wanted FEED and OUT\.parquet, or a product such as --title TEXT"),
        (["feed.csv"], r"predict: found feed\.csv; wanted FEED and OUT"),
        (["feed.csv", "out.parquet", "--title", "x"], r"feed\.csv: found it together with --title; wanted a feed, or"),
        (["--image", "none.jpg"], r"--image: found none\.jpg, which is no file"),
    ],
)
def test_a_mistake_is_named(words: list[str], message: str, heads: list[str]) -> None:
    result = CliRunner().invoke(app, ["predict", *words, *heads])
    assert isinstance(result.exception, ConfigError)
    with pytest.raises(ConfigError, match=message):
        raise result.exception
