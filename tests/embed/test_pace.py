"""The sample that a run's time is measured on grows as long as there is time."""

from pathlib import Path

import pytest

from prodemb.embed import pace
from prodemb.embed.pace import Round
from tests.embed.conftest import MakeCatalog, estimated


def largest_round(catalog: Path, clip: Path, tmp_path: Path) -> Round:
    found = estimated(catalog, tmp_path / "shards", clip, shard_size=64, window=32).sample
    assert found is not None
    return found


def test_rounds_double_up_to_a_window(make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path) -> None:
    found = largest_round(make_catalog(120), tiny_clip, tmp_path)
    assert found.num_products == 32
    assert 20 < found.num_pictures < 32
    assert found.num_words == 32
    assert found.timings.num_texts > 32
    assert min(found.timings.text_tower, found.timings.image_tower, found.timings.decoding, found.seconds) > 0


def test_without_time_the_first_round_is_the_last(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "BUDGET_S", 0.0)
    assert largest_round(make_catalog(120), tiny_clip, tmp_path).num_products == pace.FIRST_ROUND


def test_few_products_are_one_round(make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path) -> None:
    assert largest_round(make_catalog(3), tiny_clip, tmp_path).num_products == 3
