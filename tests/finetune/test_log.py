"""The log that people plot: nothing twice after a kill, a picture, and what is said where a package is missing."""

import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from prodemb.core.errors import ConfigError
from prodemb.finetune.log import TrainingLog, draw_curves, log_lines
from prodemb.finetune.report import Curve, EpochResult
from prodemb.finetune.validate import Validation


def epoch(number: int, *, score: float = 0.5) -> EpochResult:
    validation = Validation(nearest_path={"title": score}, nearest_centroid={"title": score}, num_products=3)
    return EpochResult(epoch=number, last_step=2 * number + 2, loss=1.0, validation=validation, seconds=0.5)


CURVE = Curve(step_losses=(3.0, 2.0, 1.5), epochs=(epoch(0),))


def read(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_steps_and_passes_are_lines_in_their_order(tmp_path: Path) -> None:
    with TrainingLog(tmp_path / "log.jsonl", curve=Curve(), tensorboard=None) as log:
        log.step(1, loss=3.0)
        log.step(2, loss=2.0)
        log.epoch(epoch(0))
        log.step(3, loss=1.5)
        assert len(read(tmp_path / "log.jsonl")) == 4
    lines = read(tmp_path / "log.jsonl")
    assert lines == log_lines(CURVE)
    assert [line["step"] for line in lines] == [1, 2, 2, 3]
    assert lines[2]["epoch"] == 1
    assert lines[2]["score"] == 0.5
    assert lines[2]["nearest_path"] == {"title": 0.5}


def test_what_came_after_the_last_state_is_gone_when_the_run_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with TrainingLog(path, curve=CURVE, tensorboard=None) as log:
        log.step(4, loss=9.0)
    path.write_text(path.read_text() + '{"step": 5, "lo')
    with TrainingLog(path, curve=CURVE, tensorboard=None) as log:
        log.step(4, loss=1.0)
    assert read(path) == log_lines(CURVE.model_copy(update={"step_losses": (3.0, 2.0, 1.5, 1.0)}))


def test_the_picture_is_drawn_with_and_without_validation(tmp_path: Path) -> None:
    for name, curve in (("a.png", CURVE), ("b.png", Curve(step_losses=(1.0,)))):
        draw_curves(curve, tmp_path / name, title="a run")
        with Image.open(tmp_path / name) as picture:
            assert picture.size[0] > 1000
            assert len(set(picture.convert("L").resize((50, 20)).tobytes())) > 10


def test_events_are_written_where_asked(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = tmp_path / "events"
    with TrainingLog(tmp_path / "log.jsonl", curve=Curve(), tensorboard=str(folder)) as log:
        log.step(1, loss=3.0)
        log.step(2, loss=2.0)
        log.epoch(epoch(0))
    found = EventAccumulator(str(folder))
    found.Reload()
    assert [(event.step, event.value) for event in found.Scalars("loss")] == [(1, 3.0), (2, 2.0)]
    assert [event.value for event in found.Scalars("validation/nearest_path/title")] == [0.5]


def test_without_tensorboard_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ConfigError, match=r"TensorBoard is not installed; wanted pip install 'prodemb\[plots\]'"):
        TrainingLog(tmp_path / "log.jsonl", curve=CURVE, tensorboard=str(tmp_path))
