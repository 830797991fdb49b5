"""Out-of-fold answers are kept whole or refused in one line, and count once per group of variants."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prodemb.confidence import answers as answers_module
from prodemb.confidence.answers import Answers, read_answers, write_answers
from prodemb.core.errors import HeadError
from prodemb.core.files import sha256_of


def make_answers(num: int, *, levels: int = 3, num_groups: int | None = None, seed: int = 0) -> Answers:
    random = np.random.default_rng(seed)
    depth = random.integers(0, levels + 1, num)
    exists = np.arange(levels) < depth[:, None]
    probabilities = np.sort(random.random((num, levels)), axis=1)[:, ::-1] * exists
    right = random.integers(0, levels + 1, num)
    return Answers(
        probabilities=probabilities.astype(np.float32),
        correct=exists & (np.arange(levels) < right[:, None]),
        groups=random.integers(0, num_groups or 2**63, num).astype(np.uint64),
    )


def rows_of(answers: Answers) -> list[tuple[object, ...]]:
    return sorted(
        (int(g), *p, *c) for g, p, c in zip(answers.groups, answers.probabilities, answers.correct, strict=True)
    )


@pytest.mark.parametrize(("num", "levels"), [(0, 1), (1, 7), (500, 3), (500, 1)])
def test_answers_come_back_as_they_were(tmp_path: Path, num: int, levels: int) -> None:
    answers = make_answers(num, levels=levels)
    sha256 = write_answers(tmp_path, answers)
    assert sha256 == sha256_of(tmp_path / "answers.parquet")
    again = read_answers(tmp_path, sha256)
    for name in ("probabilities", "correct", "groups"):
        before, after = getattr(answers, name), getattr(again, name)
        assert (after.dtype, after.shape) == (before.dtype, before.shape)
        assert (after == before).all()


def test_rounding_errors_of_sums_are_evened_out(tmp_path: Path) -> None:
    one = Answers(
        probabilities=np.array([[1.0000001, 0.5, 0.5000001]], np.float32),
        correct=np.ones((1, 3), bool),
        groups=np.zeros(1, np.uint64),
    )
    assert read_answers(tmp_path, write_answers(tmp_path, one)).probabilities.tolist() == [[1, 0.5, 0.5]]


def test_the_file_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers_module, "MAX_ANSWERS", 100)
    answers = make_answers(1000)
    one, other = (read_answers(tmp_path, write_answers(tmp_path, answers, seed=seed)) for seed in (1, 2))
    assert len(one) == len(other) == 100
    assert set(rows_of(one)) <= set(rows_of(answers))
    assert rows_of(one) != rows_of(other)
    sha256 = write_answers(tmp_path, answers, seed=1)
    monkeypatch.setattr(answers_module, "MAX_ANSWERS", 99)
    with pytest.raises(HeadError, match=r"answers\.parquet: damaged: found 100 rows, wanted 99 at most; train again"):
        read_answers(tmp_path, sha256)


def test_a_missing_or_altered_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HeadError, match=r"answers\.parquet: not readable \(No such file"):
        read_answers(tmp_path, "0")
    sha256 = write_answers(tmp_path, make_answers(10))
    write_answers(tmp_path, make_answers(10, seed=1))
    with pytest.raises(HeadError, match=rf"found SHA-256 .*, wanted {sha256[:12]}\.\.\. as the head's card says"):
        read_answers(tmp_path, sha256)


def probabilities_of(*rows: list[float | None], kind: str = "float32") -> pa.Array:
    return pa.array(rows, pa.list_(pa.type_for_alias(kind), len(rows[0])))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (b"cut short", "damaged: "),
        ({"a": pa.array([1])}, r"found the columns .*a: int64.*, wanted .*probabilities"),
        ({"probabilities": pa.array([0.5])}, "found the columns"),
        ({"probabilities": probabilities_of([0.5] * 33)}, "found the columns"),
        ({"probabilities": probabilities_of([0.5], kind="float64")}, "found the columns"),
        ({"probabilities": probabilities_of([0.5, 0.6])}, "rise along a row"),
        ({"probabilities": probabilities_of([1.5])}, "wanted 0 to 1"),
        ({"probabilities": probabilities_of([float("nan")])}, "wanted 0 to 1"),
        ({"probabilities": probabilities_of([None])}, "found nulls"),
        ({"group": pa.array([None], pa.uint64())}, "found nulls"),
    ],
)
def test_what_no_training_writes_is_refused_in_one_line(
    tmp_path: Path, table: bytes | dict[str, pa.Array], message: str
) -> None:
    path = tmp_path / "answers.parquet"
    if isinstance(table, bytes):
        path.write_bytes(table)
    else:
        probabilities = table.get("probabilities", probabilities_of([0.5]))
        levels = getattr(probabilities.type, "list_size", 1)
        whole = {
            "probabilities": probabilities,
            "correct": pa.array([[True] * levels], pa.list_(pa.bool_(), levels)),
            "group": pa.array([1], pa.uint64()),
        }
        pq.write_table(pa.table(whole | table), path)
    with pytest.raises(HeadError, match=message) as caught:
        read_answers(tmp_path, sha256_of(path))
    assert "\n" not in str(caught.value)


def test_variants_count_once_whatever_their_order() -> None:
    answers = make_answers(400, num_groups=50)
    once = answers.one_per_group()
    assert len(once) == len(set(answers.groups.tolist()))
    assert set(rows_of(once)) <= set(rows_of(answers))
    shuffled = answers.take(np.random.default_rng(1).permutation(400))
    assert rows_of(shuffled.one_per_group()) == rows_of(once)


def test_every_variant_can_be_the_one_that_counts() -> None:
    groups: npt.NDArray[np.uint64] = np.repeat(np.arange(3000, dtype=np.uint64) * 100, 2)  # as the test part has them
    probabilities = np.tile(np.array([[0.9], [0.1]], np.float32), (3000, 1))
    answers = Answers(probabilities=probabilities, correct=probabilities > 0.5, groups=groups)
    assert 0.45 < answers.one_per_group().correct.mean() < 0.55
