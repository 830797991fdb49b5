"""Partners that are left out: the largest, each once, and no variant of what they sent is learned from."""

from pathlib import Path

import numpy as np
import torch

from prodemb.category.labels import CategoryLabels, category_labels
from prodemb.heads.partners import LeftOut, leave_partners_out
from prodemb.heads.train import Labelled, TrainConfig, load_labelled
from prodemb.taxonomy.taxonomy import Taxonomy
from tests.shard_sets import write_clustered_set

TAXONOMY = Taxonomy(paths={i: f"Kind {i}" for i in range(2, 8)})


def load(folder: Path, *partners: str) -> Labelled[CategoryLabels]:
    shard_set = write_clustered_set(folder, num=300, partners=partners)
    labels = category_labels(shard_set, taxonomy=TAXONOMY, taxonomy_name="t")
    return load_labelled(shard_set, labels=labels, config=TrainConfig(), device=torch.device("cpu"))


def left_out(data: Labelled[CategoryLabels], *, at_most: int = 9) -> list[LeftOut]:
    return [*leave_partners_out(data, at_most=at_most, seed=0)]


def test_each_partner_is_left_out_once(tmp_path: Path) -> None:
    data = load(tmp_path, "alder", "borea", "alder", "cedar")
    of = np.array(["alder", "borea", "alder", "cedar"] * 75)
    found = left_out(data)
    assert [each.name for each in found] == ["alder", "borea", "cedar"]
    assert [each.name for each in left_out(data, at_most=1)] == ["alder"]
    for each in found:
        assert (of[data.rows[each.judged]] == each.name).all()
        assert not (of[data.rows[each.learned]] == each.name).any()
        assert not np.isin(data.rows[each.learned], data.rows[data.test]).any()
        assert not set(data.groups[data.rows[each.learned]]) & set(data.groups[data.rows[each.judged]])
    assert len(found[0].judged) == 150


def test_a_catalog_of_one_partner_or_none_has_no_other(tmp_path: Path) -> None:
    assert left_out(load(tmp_path / "one", "alder")) == []
    assert left_out(load(tmp_path / "none")) == []


def test_partners_of_few_products_are_no_measure(tmp_path: Path) -> None:
    data = load(tmp_path, *(["alder"] * 14), "borea")
    assert [each.name for each in left_out(data)] == ["alder"]
