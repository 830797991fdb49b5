"""The checkpoint folder: what is done is skipped, nothing that exists is lost by a kill, and leftovers go."""

import errno
import os
import re
import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from prodemb.catalog.images import ImagesConfig
from prodemb.cli.report.finetune import finetune_lines
from prodemb.core.errors import ConfigError, ImagesError
from prodemb.core.folders import HeldFolder, Kind, holding
from prodemb.finetune.report import FinetuneReport
from prodemb.finetune.state import state_folder
from tests.finetune.conftest import Finished
from tests.finetune.shop import NUM_PRODUCTS, SMALL, Killed, files, forbidden, run, run_killed, write_catalog
from tests.picture_server import PictureServer, running_server


def done_before(report: FinetuneReport) -> FinetuneReport:
    """The report of a run that finds this one's checkpoint."""
    return report.model_copy(update={"was_done": True})


def test_a_second_run_does_nothing_until_something_changes(
    catalog: Path, tiny_clip: Path, tmp_path: Path, finished: Finished, caplog: pytest.LogCaptureFixture
) -> None:
    first, out = finished
    made = files(out)
    assert run(catalog, tiny_clip, out, on_progress=forbidden, save_steps=7, **SMALL) == done_before(first)
    assert files(out) == made
    card = out / "README.md"
    assert first.before is not None
    assert first.after is not None
    asked = first.after.num_measured
    assert asked["nearest_path/description"] < asked["nearest_path/title"] == asked["head"] == first.after.num_products
    for feature in ("title", "description"):
        share = first.before.nearest_path[feature]
        assert f"| `nearest_path/{feature}` | {asked[f'nearest_path/{feature}']} | {share:.1%} |" in card.read_text()
    assert asked.keys() == first.after.shares().keys()
    assert f"fingerprint: `{first.fingerprint}`" in card.read_text()
    assert card.name in first.files
    shown = card.read_text()
    card.unlink()
    assert run(catalog, tiny_clip, out, on_progress=forbidden, **SMALL) == done_before(first)
    assert card.read_text() == shown
    card.write_text(f"{shown}Mine.\n")
    assert run(catalog, tiny_clip, out, on_progress=forbidden, **SMALL) == done_before(first)
    assert "README.md" not in caplog.text
    again = run(catalog, tiny_clip, out, seed=1, **SMALL)
    assert card.read_text() == f"{shown}Mine.\n"
    assert caplog.text.count("README.md: was edited, so it stays") == 1
    assert card.name not in again.files
    assert again.inputs_hash != first.inputs_hash
    other = write_catalog(tmp_path, title=[f"blue {i}" for i in range(NUM_PRODUCTS)])
    assert run(other, tiny_clip, out, seed=1, **SMALL).fingerprint != again.fingerprint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["catalog.parquet", "out"]


def test_a_checkpoint_is_kept_while_few_products_have_changed(
    catalog: Path, tiny_clip: Path, tmp_path: Path, finished: Finished
) -> None:
    first, out = finished
    made = files(out)
    titles = pl.read_parquet(catalog)["title"].to_list()
    labelled = first.num_train + first.num_validation

    def changed(num: int) -> Path:
        return write_catalog(tmp_path, title=[*(f"blue {title}" for title in titles[:num]), *titles[num:]])

    tomorrow = run(changed(10), tiny_clip, out, on_progress=forbidden, **SMALL)
    assert tomorrow.changed is not None
    assert 5 / labelled < tomorrow.changed < 15 / labelled
    assert tomorrow == done_before(first).model_copy(update={"changed": tomorrow.changed})
    assert files(out) == made
    lines = finetune_lines(tomorrow, config=first.config.model_copy(update={"max_changed": 0.3}))
    assert "1 epoch by an earlier run" in lines[0]
    assert re.search(r"kept: only .* \(\[finetune\] max_changed = 0\.3\); .* --overwrite` with the", lines[-1])
    pictures = write_catalog(tmp_path, image=[None] * NUM_PRODUCTS)
    assert run(pictures, tiny_clip, out, on_progress=forbidden, **SMALL).changed == 0
    assert run(changed(10), tiny_clip, out, max_changed=0.01, **SMALL).inputs_hash != first.inputs_hash
    anew = run(changed(20), tiny_clip, out, overwrite=True, **SMALL)
    assert anew.changed is None
    assert run(changed(20), tiny_clip, out, on_progress=forbidden, **SMALL) == done_before(anew)
    assert run(changed(80), tiny_clip, out, **SMALL).inputs_hash != anew.inputs_hash
    (out / "products.npy").write_bytes(b"cut short")
    assert run(changed(81), tiny_clip, out, **SMALL).changed is None


def test_a_checkpoint_made_while_its_pictures_were_gone_is_made_again_where_asked(
    tiny_clip: Path, tmp_path: Path
) -> None:
    out, steps = tmp_path / "out", list[int]()
    images = ImagesConfig(allow_private_hosts=True, retries=0, max_host_failures=NUM_PRODUCTS)
    few = images.model_copy(update={"max_failure_rate": 0.5, "min_tried": 20})
    with running_server() as server:
        catalog = write_catalog(tmp_path, image=[f"{server}/away/{i}" for i in range(NUM_PRODUCTS)])
        with pytest.raises(ImagesError, match=r"most at host 127.* HTTP 503\); put that right and fine-tune again$"):
            run(catalog, tiny_clip, out, on_progress=forbidden, images=few, **SMALL)
        PictureServer.asked.clear()
        blind = run(catalog, tiny_clip, out, images=images, **SMALL)
        assert ", 0 of all with a picture" in finetune_lines(blind, config=blind.config)[0]
        run_killed(4, catalog, tiny_clip, out, overwrite=True, images=few, **SMALL)
        state = files(state_folder(out))
        assert run(catalog, tiny_clip, out, on_progress=forbidden, images=images, **SMALL) == done_before(blind)
        assert files(state_folder(out)) == state
        anew = run(
            catalog,
            tiny_clip,
            out,
            on_progress=lambda done, _total: steps.append(done),
            overwrite=True,
            images=few,
            **SMALL,
        )
    assert steps[0] == 3
    assert (anew.inputs_hash, anew.num_pictures) == (blind.inputs_hash, anew.num_train + anew.num_validation)
    assert anew.fingerprint != blind.fingerprint


@pytest.mark.parametrize(("overwrite", "first_step"), [((False, True), 1), ((True, False), 3), ((True, True), 3)])
def test_overwriting_resumes_only_a_run_that_was_overwriting(
    catalog: Path, tiny_clip: Path, tmp_path: Path, overwrite: tuple[bool, bool], first_step: int
) -> None:
    killed, resumed = overwrite
    run_killed(4, catalog, tiny_clip, tmp_path / "out", overwrite=killed, **SMALL)
    steps: list[int] = []
    run(
        catalog,
        tiny_clip,
        tmp_path / "out",
        on_progress=lambda done, _total: steps.append(done),
        overwrite=resumed,
        **SMALL,
    )
    assert steps[0] == first_step


def test_a_checkpoint_that_has_learned_from_what_is_now_held_out_is_not_kept(
    catalog: Path, tiny_clip: Path, tmp_path: Path, finished: Finished
) -> None:
    path = write_catalog(tmp_path, part=["test"] + ["train"] * (NUM_PRODUCTS - 1))
    steps: list[int] = []
    for split in (None, "part"):
        run(
            path,
            tiny_clip,
            finished[1],
            split=split,
            on_progress=lambda done, _total: steps.append(done),
            **SMALL,
        )
        assert bool(steps) == (split is not None)


@pytest.mark.parametrize("place", ["before the last rename", "old"])
def test_what_a_run_leaves_that_was_killed_at_its_very_end_goes(
    catalog: Path, tiny_clip: Path, tmp_path: Path, finished: Finished, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    out = finished[1]
    remove, rename = shutil.rmtree, Path.rename

    def killed_at_removing(path: Path, ignore_errors: bool = False) -> None:
        if path.exists() and path.name == place:
            raise Killed
        remove(path, ignore_errors=ignore_errors)

    def killed_at_renaming(self: Path, target: Path) -> Path:
        if place != "old" and target == out:
            raise Killed
        return rename(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", killed_at_removing)
        patched.setattr(Path, "rename", killed_at_renaming)
        with pytest.raises(Killed):
            run(catalog, tiny_clip, out, seed=1, **SMALL)
    assert state_folder(out).exists()
    steps: list[int] = []
    report = run(catalog, tiny_clip, out, seed=1, on_progress=lambda done, _total: steps.append(done), **SMALL)
    assert report.config.seed == 1
    assert not steps
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


@pytest.mark.parametrize("is_whole", [True, False])
def test_a_kill_between_the_last_renames_loses_no_checkpoint(
    catalog: Path, tiny_clip: Path, tmp_path: Path, finished: Finished, monkeypatch: pytest.MonkeyPatch, is_whole: bool
) -> None:
    out, rename = finished[1], Path.rename

    def killed_at_renaming(self: Path, target: Path) -> Path:
        if target == out:
            raise Killed
        return rename(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", killed_at_renaming)
        with pytest.raises(Killed):
            run(catalog, tiny_clip, out, overwrite=True, **SMALL)
    assert not out.exists()
    if not is_whole:
        (state_folder(out) / "new" / "model.safetensors").write_bytes(b"cut off")
    titles = pl.read_parquet(catalog)["title"].to_list()
    tomorrow = write_catalog(tmp_path, title=["a new mug", *titles[1:]])
    assert run(tomorrow, tiny_clip, out, on_progress=forbidden, **SMALL).changed is not None
    if not is_whole:
        # The old checkpoint is back, and what the run had trained before it was killed is still there.
        steps: list[int] = []
        run(catalog, tiny_clip, out, overwrite=True, on_progress=lambda done, _total: steps.append(done), **SMALL)
        assert len(steps) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["catalog.parquet", "out"]


def test_the_state_of_another_run_stays(catalog: Path, tiny_clip: Path, finished: Finished) -> None:
    out = finished[1]
    run_killed(4, catalog, tiny_clip, out, seed=1, **SMALL)
    state = files(state_folder(out))
    run(catalog, tiny_clip, out, on_progress=forbidden, **SMALL)
    assert files(state_folder(out)) == state


def test_what_another_run_has_just_finished_is_not_done_again(
    catalog: Path, tiny_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have found nothing; the second gets the lock when the first is done."""
    out, first = tmp_path / "out", list[FinetuneReport]()

    def wait_for_the_first(folder: Path, *, kind: Kind) -> AbstractContextManager[HeldFolder]:
        patched.undo()
        first.append(run(catalog, tiny_clip, out, **SMALL))
        return holding(folder, kind=kind)

    with monkeypatch.context() as patched:
        patched.setattr("prodemb.finetune.run.holding", wait_for_the_first)
        second = run(catalog, tiny_clip, out, on_progress=forbidden, **SMALL)
    assert second == done_before(first[0])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="the system does not list maps")
def test_pictures_are_released_before_their_folder_goes_and_what_stays_there_ends_no_run(
    catalog: Path, tiny_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is mapped cannot be removed from a folder on NFS: a removal that fails stands for it."""
    out, maps = tmp_path / "out", list[str]()
    unlink = os.unlink

    def remove_and_look(path: Any, *arguments: Any, **settings: Any) -> None:
        if str(path).endswith("log.jsonl"):
            maps.append(Path("/proc/self/maps").read_text())
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(path))
        unlink(path, *arguments, **settings)

    monkeypatch.setattr(os, "unlink", remove_and_look)
    report = run(catalog, tiny_clip, out, memory_gb=0, **SMALL)
    monkeypatch.undo()
    assert maps
    assert not any(str(state_folder(out)) in line for line in maps[0].splitlines())
    assert state_folder(out).exists()
    assert run(catalog, tiny_clip, out, on_progress=forbidden, memory_gb=0, **SMALL) == done_before(report)
    assert not state_folder(out).exists()


def test_what_lies_at_out_is_not_destroyed(catalog: Path, tiny_clip: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is the checkpoint to fine-tune"):
        run(catalog, tiny_clip, tiny_clip)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear reader")
    with pytest.raises(ConfigError, match="holds something that fine-tuning did not write"):
        run(catalog, tiny_clip, tmp_path / "mine")
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear reader"
