"""Finding heads: of two for one target the better one."""

from pathlib import Path
from typing import Any

import pytest

from prodemb.core.errors import HeadError
from prodemb.heads.evaluation import CategoryEvaluation
from prodemb.heads.labels import Target
from prodemb.predict.heads import find_heads
from tests.small_heads import make_head, save_predictor


def save(folder: Path, target: Target, *, out_of_fold: float | None = None) -> Path:
    own: dict[str, Any] = {} if out_of_fold is None else {"evaluation": CategoryEvaluation(out_of_fold=out_of_fold)}
    save_predictor(folder, make_head(target, **own))
    return folder


def test_of_two_heads_for_a_target_the_better_one_is_taken(tmp_path: Path) -> None:
    brand = save(tmp_path / "brand", "brand")
    tuned = save(tmp_path / "category", "category", out_of_fold=0.8)
    frozen = save(tmp_path / "category-frozen", "category", out_of_fold=0.8)
    assert find_heads(tmp_path) == [brand, tuned]
    save(frozen, "category", out_of_fold=0.9)
    assert find_heads(tmp_path) == [brand, frozen]
    assert find_heads([tuned, str(brand)]) == [tuned, brand]
    with pytest.raises(HeadError, match=r"nothing: no head here"):
        find_heads([tmp_path, tmp_path / "nothing"])
