"""The fuser's files: the same answers after reading, and anything altered or missing is named."""

from pathlib import Path

import numpy as np
import pytest

from prodemb.aliases.table import AliasTable
from prodemb.brand.fit import FuseConfig, fit_fuser
from prodemb.brand.store import load_fuser, save_fuser
from prodemb.core.errors import HeadError
from prodemb.heads.head import TrainedHead, load_head, save_head
from prodemb.heads.train import Labelled
from prodemb.shards.product_set import read_products


@pytest.fixture(scope="module")
def folder(data: Labelled, head: TrainedHead, aliases: AliasTable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("head")
    fuser = fit_fuser(data, head=head, aliases=aliases, config=FuseConfig())
    save_head(folder, head, fuser_sha256=save_fuser(folder, fuser))
    return folder


def copied(folder: Path, to: Path) -> Path:
    for path in folder.iterdir():
        (to / path.name).write_bytes(path.read_bytes())
    return to


def test_a_fuser_that_was_read_answers_like_the_one_that_was_written(
    folder: Path, data: Labelled, aliases: AliasTable
) -> None:
    head = load_head(folder)
    products = read_products(data.shard_set, features=data.features, rows=np.arange(300))
    fitted = fit_fuser(data, head=head, aliases=aliases, config=FuseConfig())
    first, second = (some.predict(products, head=head, k=3) for some in (fitted, load_fuser(folder, card=head.card)))
    assert np.array_equal(first.brands, second.brands)
    assert np.array_equal(first.probabilities, second.probabilities)
    assert first.names == second.names


@pytest.mark.parametrize("name", ["fuser.json", "names.parquet", "aliases.parquet"])
def test_altered_and_missing_files_are_named(folder: Path, tmp_path: Path, name: str) -> None:
    card = load_head(folder).card
    path = copied(folder, tmp_path) / name
    content = path.read_bytes()
    path.write_bytes(content.replace(b"1", b"2", 1) if name == "fuser.json" else content[:-1] + b"x")
    with pytest.raises(HeadError, match=rf"{name}: .*train again"):
        load_fuser(tmp_path, card=card)
    path.unlink()
    with pytest.raises(HeadError, match=rf"{name}: .*train again"):
        load_fuser(tmp_path, card=card)


def test_the_fuser_of_another_head_is_refused(folder: Path, tmp_path: Path) -> None:
    card = load_head(folder).card.model_copy(update={"fuser_sha256": "0" * 64})
    with pytest.raises(HeadError, match=r"fuser.json: found .*, wanted 000000000000"):
        load_fuser(folder, card=card)
