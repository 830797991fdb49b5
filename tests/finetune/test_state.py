"""What a killed run left is resumed from where it is whole, and passed over where it is not."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from prodemb.finetune.report import Curve
from prodemb.finetune.state import STATE, StateFile

PARTS = {"model": {"weight": torch.ones(3)}, "best": {"weight": torch.zeros(3)}}


def test_a_state_comes_back_for_the_run_that_it_is_of(tmp_path: Path) -> None:
    StateFile(tmp_path, inputs="a", overwrite=False).save(PARTS, curve=Curve(step_losses=(1.0,)))
    found = StateFile(tmp_path, inputs="a", overwrite=False).load()
    assert found is not None
    assert found[1] == Curve(step_losses=(1.0,))
    assert torch.equal(found[0]["model"]["weight"], torch.ones(3))
    assert StateFile(tmp_path, inputs="b", overwrite=False).load() is None


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"inputs_hash": "a", "overwrite": "False"},
        {"inputs_hash": "a", "curve": "{}"},
        {"inputs_hash": "a", "overwrite": "False", "curve": "{"},
        {"inputs_hash": "a", "overwrite": "False", "curve": '{"step_losses": [1e999]}'},
    ],
)
def test_a_state_that_does_not_say_what_it_is_of_is_passed_over(tmp_path: Path, metadata: dict[str, str]) -> None:
    save_file({"model/weight": torch.ones(3)}, tmp_path / STATE, metadata=metadata)
    assert StateFile(tmp_path, inputs="a", overwrite=False).load() is None


@pytest.mark.parametrize("content", [b"", b"x" * 40, (1 << 50).to_bytes(8, "little") + b"{}"])
def test_a_damaged_state_is_passed_over(tmp_path: Path, content: bytes) -> None:
    (tmp_path / STATE).write_bytes(content)
    assert StateFile(tmp_path, inputs="a", overwrite=False).load() is None
