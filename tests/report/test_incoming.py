"""What came in: features present by partner, and products that nobody is named for."""

from pathlib import Path

import numpy as np
import pytest

from prodemb.report import incoming as module
from prodemb.report.incoming import incoming
from prodemb.report.summary import Presence
from prodemb.shards.reader import open_shard_set
from tests.shard_sets import write_columns, write_shards


def test_features_are_counted_by_partner(tmp_path: Path) -> None:
    title, image = np.ones((5, 4)), np.ones((5, 4))
    title[0], image[:3] = 0, 0
    columns = {"partner": ["a", "a", "a", "b", None]}
    write_shards(tmp_path, vectors={"title": title, "image": image}, columns=columns, sizes=[2, 3])
    found = incoming(open_shard_set(tmp_path))
    assert found.presence == (
        Presence(partner="a", num_products=3, shares={"title": 2 / 3, "image": 0.0}),
        Presence(partner="b", num_products=1, shares={"title": 1.0, "image": 1.0}),
        Presence(partner=None, num_products=1, shares={"title": 1.0, "image": 1.0}),
    )
    assert found.missing == {"title": {"none": 1}, "image": {"none": 3}}
    assert (found.num_products, found.num_partners) == (5, 2)


def test_small_partners_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PARTNERS", 1)
    found = incoming(write_columns(tmp_path, partner=["a", "b", "b"]))
    assert [each.partner for each in found.presence] == ["b"]
    assert found.num_partners == 2
