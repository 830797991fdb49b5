"""Fine-tuning end to end on a random CLIP: it helps, resumes with the same curve, redoes nothing, names mistakes."""

import errno
import json
import os
import re
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from transformers import SiglipConfig, SiglipModel

from prodemb.catalog.images import ImagesConfig
from prodemb.catalog.reader import CatalogConfig, open_catalog
from prodemb.cli.report.finetune import finetune_lines
from prodemb.core.errors import CatalogError, ConfigError, HeadError, ImagesError, TaxonomyError
from prodemb.core.files import writing_to
from prodemb.finetune import processes
from prodemb.finetune.finetune import FinetuneConfig, FinetuneReport, finetune
from prodemb.finetune.launch import Progress, launch
from prodemb.finetune.state import state_folder
from prodemb.towers.checkpoint import find_checkpoint
from prodemb.towers.load import load_towers
from prodemb.towers.pool import TowerPool
from tests.conftest import make_clip
from tests.finetune.shop import CATEGORIES, NUM_PRODUCTS, TAXONOMY, write_catalog
from tests.picture_server import PictureServer, running_server


def run(
    catalog: Path,
    model: Path,
    out: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
    again: bool = False,
    images: ImagesConfig | None = None,
    **settings: object,
) -> FinetuneReport:
    values: dict[str, object] = {
        "out": str(out),
        "epochs": 2,
        "batch_size": 16,
        "learning_rate": 3e-3,
        "dtype": "float32",
        "save_every": 2,
    }
    values |= settings
    return finetune(
        FinetuneConfig.parse(values, source="test"),
        catalog=open_catalog(CatalogConfig(path=str(catalog))),
        images=images or ImagesConfig(),
        taxonomy=TAXONOMY,
        checkpoint=find_checkpoint(str(model)),
        device="cpu",
        again=again,
        progress=progress,
    )


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_towers(find_checkpoint(str(folder)), device="cpu", dtype="float32").model.state_dict())


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def assert_alike(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    """Weights are equal up to rounding.

    A key's bias has no influence on the softmax, so its gradient is nothing but rounding, which Adam blows up.
    """

    def telling(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {name: tensor for name, tensor in tensors.items() if not name.endswith("k_proj.bias")}

    torch.testing.assert_close(telling(found), telling(wanted), rtol=1e-3, atol=5e-5)


def test_it_learns_the_categories_and_leaves_the_original_alone(tiny_clip: Path, tmp_path: Path) -> None:
    before = files(tiny_clip)
    out = tmp_path / "checkpoints" / "category"
    steps: list[tuple[int, int]] = []
    report = run(
        write_catalog(tmp_path), tiny_clip, out, epochs=6, patience=6, progress=lambda *done: steps.append(done)
    )
    assert report.before is not None
    assert report.after is not None
    assert report.after.nearest_path["title"] > 0.9 > report.before.nearest_path["title"]
    assert report.after.nearest_path["image"] > 0.9
    assert report.after.score > report.before.score + 0.2
    assert report.num_train + report.num_validation < NUM_PRODUCTS
    assert steps[-1][0] == steps[-1][1] == len(report.curve.step_losses)
    assert files(tiny_clip) == before
    made = find_checkpoint(str(out))
    assert made.fingerprint == report.fingerprint != report.original_fingerprint
    assert load_towers(made, device="cpu").dim == load_towers(find_checkpoint(str(tiny_clip)), device="cpu").dim
    assert not state_folder(out).exists()
    assert sorted(path.name for path in out.parent.iterdir()) == ["category"]


def test_the_new_text_tower_pools_at_the_end_token_of_texts_of_any_length(tiny_clip: Path, tmp_path: Path) -> None:
    run(write_catalog(tmp_path), tiny_clip, tmp_path / "out", epochs=1)
    towers = load_towers(find_checkpoint(str(tmp_path / "out")), device="cpu", dtype="float32")
    short, long = "red shoe", "red " * 100
    assert towers.text.tokenize([long])[0][-1] == towers.text.tokenizer.eos_token_id
    with TowerPool(towers) as pool:
        together = pool.texts([short, long]).result()
        alone = np.concatenate([pool.texts([text]).result() for text in (short, long)])
    np.testing.assert_allclose(together, alone, atol=2e-3)


def done_before(report: FinetuneReport) -> FinetuneReport:
    """What a run says that finds this one's work."""
    return report.model_copy(update={"was_done": True})


def forbidden(_done: int, _total: int) -> None:
    raise AssertionError("a step was made")


def test_a_second_run_does_nothing_until_something_changes(tiny_clip: Path, tmp_path: Path) -> None:
    catalog, out = write_catalog(tmp_path), tmp_path / "out"
    first = run(catalog, tiny_clip, out)
    made = files(out)

    assert run(catalog, tiny_clip, out, progress=forbidden, save_every=7) == done_before(first)
    assert files(out) == made
    again = run(catalog, tiny_clip, out, seed=1)
    assert again.key != first.key
    write_catalog(tmp_path, title=[f"blue {i}" for i in range(NUM_PRODUCTS)])
    assert run(catalog, tiny_clip, out, seed=1).fingerprint != again.fingerprint
    assert not list(tmp_path.glob("*.tmp"))


def test_a_checkpoint_is_kept_while_few_products_have_changed(tiny_clip: Path, tmp_path: Path) -> None:
    catalog, out = write_catalog(tmp_path), tmp_path / "out"
    first = run(catalog, tiny_clip, out, **SMALL)
    made = files(out)
    titles = pl.read_parquet(catalog)["title"].to_list()
    labelled = first.num_train + first.num_validation

    def changed(num: int) -> Path:
        return write_catalog(tmp_path, title=[*(f"blue {title}" for title in titles[:num]), *titles[num:]])

    tomorrow = run(changed(10), tiny_clip, out, progress=forbidden, **SMALL)
    assert tomorrow.changed is not None
    assert 5 / labelled < tomorrow.changed < 15 / labelled
    assert tomorrow == done_before(first).model_copy(update={"changed": tomorrow.changed})
    assert files(out) == made
    lines = finetune_lines(tomorrow, config=first.config.model_copy(update={"max_changed": 0.3}))
    assert "1 epoch by an earlier run" in lines[0]
    assert re.search(r"kept: only .* \(\[finetune\] max_changed = 0\.3\); .* --overwrite` with the", lines[-1])
    pictures = write_catalog(tmp_path, image=[None] * NUM_PRODUCTS)
    assert run(pictures, tiny_clip, out, progress=forbidden, **SMALL).changed == 0
    assert run(changed(10), tiny_clip, out, max_changed=0.01, **SMALL).key != first.key
    anew = run(changed(20), tiny_clip, out, again=True, **SMALL)
    assert anew.changed is None
    assert run(changed(20), tiny_clip, out, progress=forbidden, **SMALL) == done_before(anew)
    assert run(changed(80), tiny_clip, out, **SMALL).key != anew.key
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
            run(catalog, tiny_clip, out, progress=forbidden, images=few, **SMALL)
        PictureServer.asked.clear()
        blind = run(catalog, tiny_clip, out, images=images, **SMALL)
        assert ", 0 of all with a picture" in finetune_lines(blind, config=blind.config)[0]
        with pytest.raises(Killed):
            run(catalog, tiny_clip, out, progress=killed_at(4), again=True, images=few, **SMALL)
        state = files(state_folder(out))
        assert run(catalog, tiny_clip, out, progress=forbidden, images=images, **SMALL) == done_before(blind)
        assert files(state_folder(out)) == state
        anew = run(
            catalog,
            tiny_clip,
            out,
            progress=lambda done, _total: steps.append(done),
            again=True,
            images=few,
            **SMALL,
        )
    assert steps[0] == 3
    assert (anew.key, anew.num_pictures) == (blind.key, anew.num_train + anew.num_validation)
    assert anew.fingerprint != blind.fingerprint


def test_making_again_does_not_go_on_from_a_run_that_was_not_asked_to(tiny_clip: Path, tmp_path: Path) -> None:
    catalog, out = write_catalog(tmp_path), tmp_path / "out"
    with pytest.raises(Killed):
        run(catalog, tiny_clip, out, progress=killed_at(4), **SMALL)
    steps: list[int] = []
    run(catalog, tiny_clip, out, progress=lambda done, _total: steps.append(done), again=True, **SMALL)
    assert steps[0] == 1


@pytest.mark.parametrize("place", ["before the last rename", "out.old.tmp", "out.state"])
def test_what_a_run_leaves_that_was_killed_at_its_very_end_goes(
    tiny_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    catalog, out = write_catalog(tmp_path), tmp_path / "out"
    run(catalog, tiny_clip, out, **SMALL)
    remove, rename = shutil.rmtree, Path.rename

    def killed_at_removing(path: Path, ignore_errors: bool = False) -> None:
        if path.exists() and path.name == place:
            raise Killed
        remove(path, ignore_errors=ignore_errors)

    def killed_at_renaming(self: Path, target: Path) -> Path:
        if place not in ("out.old.tmp", "out.state") and target == out:
            raise Killed
        return rename(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", killed_at_removing)
        patched.setattr(Path, "rename", killed_at_renaming)
        with pytest.raises(Killed):
            run(catalog, tiny_clip, out, seed=1, **SMALL)
    assert state_folder(out).exists()
    steps: list[int] = []
    report = run(catalog, tiny_clip, out, seed=1, progress=lambda done, _total: steps.append(done), **SMALL)
    assert report.config.seed == 1
    assert not steps
    assert sorted(path.name for path in tmp_path.iterdir()) == ["catalog.parquet", "out"]


def run_elsewhere(catalogs: list[Path], model: Path, outs: list[Path], *, progress: Progress | None) -> None:
    """Fine-tune in a process that has a catalog and a folder of its own, as on a machine of its own."""
    processes.PATIENCE = timedelta(minutes=2)
    rank = int(os.environ["RANK"])
    run(catalogs[rank], model, outs[rank], progress=progress, **SMALL)


def test_the_first_process_decides_whether_there_is_something_to_do(tiny_clip: Path, tmp_path: Path) -> None:
    catalog, here, there = write_catalog(tmp_path), tmp_path / "here", tmp_path / "there"
    run(catalog, tiny_clip, here, **SMALL)
    work = partial(run_elsewhere, [catalog, catalog], tiny_clip, [here, there])
    launch(work, count=2, progress=forbidden)
    assert not there.exists()


def test_processes_that_find_another_catalog_say_so(tiny_clip: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    catalogs = [write_catalog(tmp_path), write_catalog(tmp_path / "other", title=["mug"] * NUM_PRODUCTS)]
    work = partial(run_elsewhere, catalogs, tiny_clip, [tmp_path / "out"] * 2)
    with pytest.raises(ConfigError, match=r"1 of 2 processes find another catalog, .* than the first one; wanted"):
        launch(work, count=2, progress=forbidden)
    assert not (tmp_path / "out").exists()


def test_a_catalog_that_changes_before_the_processes_read_it_costs_nothing(
    tiny_clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """And what there is to say of its categories is said once, not by each process."""
    labels: list[object] = ["99999999", *[CATEGORIES[i % 4] for i in range(1, NUM_PRODUCTS)]]
    catalog, out = write_catalog(tmp_path, google_category_id=labels), tmp_path / "out"

    def launch_late(*arguments: Any, **settings: Any) -> None:
        titles: list[object] = [f"red mug {i}" for i in range(NUM_PRODUCTS)]
        write_catalog(tmp_path, google_category_id=labels, title=titles)
        launch(*arguments, **settings)

    monkeypatch.setattr("prodemb.finetune.finetune.launch", launch_late)
    made = run(catalog, tiny_clip, out, processes=2, **SMALL)
    assert caplog.text.count("is not in the test's taxonomy: '99999999'") == 1
    assert "99999999" not in capfd.readouterr().err
    assert run(catalog, tiny_clip, out, progress=forbidden, **SMALL) == done_before(made)


def test_what_another_run_has_just_finished_is_not_done_again(
    tiny_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have found nothing; the second gets the lock when the first is done."""
    catalog, out = write_catalog(tmp_path), tmp_path / "out"
    first: list[FinetuneReport] = []

    def wait_for_the_first(folder: Path) -> AbstractContextManager[None]:
        if not first:
            first.append(FinetuneReport.model_construct())
            first[0] = run(catalog, tiny_clip, out, **SMALL)
        return writing_to(folder)

    monkeypatch.setattr("prodemb.finetune.finetune.writing_to", wait_for_the_first)
    assert run(catalog, tiny_clip, out, progress=forbidden, **SMALL) == done_before(first[0])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["catalog.parquet", "out"]


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="the system does not list maps")
def test_pictures_are_released_before_their_folder_goes_and_what_stays_there_ends_no_run(
    tiny_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is mapped cannot be removed from a folder on NFS: a removal that fails stands for it."""
    catalog, out = write_catalog(tmp_path), tmp_path / "out"
    maps: list[str] = []
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
    assert run(catalog, tiny_clip, out, progress=forbidden, memory_gb=0, **SMALL) == done_before(report)
    assert not state_folder(out).exists()


@pytest.mark.parametrize("is_whole", [True, False])
def test_a_kill_between_the_last_renames_loses_no_checkpoint(
    tiny_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_whole: bool
) -> None:
    catalog, out, rename = write_catalog(tmp_path), tmp_path / "out", Path.rename
    run(catalog, tiny_clip, out, **SMALL)

    def killed_at_renaming(self: Path, target: Path) -> Path:
        if target == out:
            raise Killed
        return rename(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", killed_at_renaming)
        with pytest.raises(Killed):
            run(catalog, tiny_clip, out, again=True, **SMALL)
    assert not out.exists()
    if not is_whole:
        (tmp_path / "out.new.tmp" / "model.safetensors").write_bytes(b"cut off")
    titles = pl.read_parquet(catalog)["title"].to_list()
    write_catalog(tmp_path, title=["a new mug", *titles[1:]])
    assert run(catalog, tiny_clip, out, progress=forbidden, **SMALL).changed is not None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["catalog.parquet", "out"]


def test_the_state_of_another_run_stays(tiny_clip: Path, tmp_path: Path) -> None:
    catalog, out = write_catalog(tmp_path), tmp_path / "out"
    run(catalog, tiny_clip, out, **SMALL)

    def kill(done: int, _total: int) -> None:
        if done == 4:
            raise Killed

    with pytest.raises(Killed):
        run(catalog, tiny_clip, out, seed=1, progress=kill, **SMALL)
    state = files(state_folder(out))
    run(catalog, tiny_clip, out, progress=forbidden, **SMALL)
    assert files(state_folder(out)) == state


SMALL: dict[str, object] = {"epochs": 1, "interpolation": [1.0], "learning_rate": 1e-3}
"""Settings of a run that is compared weight by weight."""


@pytest.fixture(scope="module")
def small_run(tiny_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[FinetuneReport, Path]:
    """A run of one process with whole batches, and its checkpoint."""
    folder = tmp_path_factory.mktemp("small")
    return run(write_catalog(folder), tiny_clip, folder / "out", **SMALL), folder / "out"


class Killed(BaseException):
    """Stands for the end of the process."""


def killed_at(step: int) -> Callable[[int, int], None]:
    """Progress that ends the run behind this step."""

    def kill(done: int, _total: int) -> None:
        if done == step:
            raise Killed

    return kill


@pytest.fixture(scope="module")
def whole(tiny_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[FinetuneReport, Path]:
    """A run that nothing has interrupted, and its checkpoint."""
    folder = tmp_path_factory.mktemp("whole")
    return run(write_catalog(folder), tiny_clip, folder / "out", interpolation=[1.0]), folder / "out"


@pytest.mark.parametrize("kill_at", [1, 3, 10])
def test_a_killed_run_goes_on_with_the_same_curve(
    tiny_clip: Path, tmp_path: Path, whole: tuple[FinetuneReport, Path], kill_at: int
) -> None:
    catalog = write_catalog(tmp_path)

    def kill(done: int, _total: int) -> None:
        if done == kill_at:
            raise Killed

    with pytest.raises(Killed):
        run(catalog, tiny_clip, tmp_path / "out", progress=kill, interpolation=[1.0])
    assert not (tmp_path / "out").exists()
    steps: list[int] = []
    resumed = run(
        catalog, tiny_clip, tmp_path / "out", progress=lambda done, _total: steps.append(done), interpolation=[1.0]
    )
    assert steps[0] > kill_at - 3
    report, folder = whole
    assert resumed.key == report.key
    assert resumed.curve.step_losses == pytest.approx(report.curve.step_losses, rel=1e-5)
    torch.testing.assert_close(weights(tmp_path / "out"), weights(folder), rtol=1e-4, atol=1e-5)


ALL_AT_ONCE: dict[str, object] = {
    "trained": "lora",
    "hard_negatives": 0.4,
    "tree_credit": 0.1,
    "chunk_size": 5,
    "template": ["{title}", "Brand: {brand}", "Category: {cat1}"],
}


@pytest.fixture(scope="module")
def whole_of_all(tiny_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[FinetuneReport, Path]:
    """A run with all options that nothing has interrupted, and its checkpoint."""
    folder = tmp_path_factory.mktemp("all")
    return run(write_catalog(folder), tiny_clip, folder / "out", **ALL_AT_ONCE), folder / "out"


@pytest.mark.parametrize("kill_at", [1, 8, 11])
def test_a_killed_run_with_all_options_goes_on_with_the_same_curve(
    tiny_clip: Path, tmp_path: Path, whole_of_all: tuple[FinetuneReport, Path], kill_at: int
) -> None:
    catalog = write_catalog(tmp_path)

    def kill(done: int, _total: int) -> None:
        if done == kill_at:
            raise Killed

    with pytest.raises(Killed):
        run(catalog, tiny_clip, tmp_path / "out", progress=kill, **ALL_AT_ONCE)
    resumed = run(catalog, tiny_clip, tmp_path / "out", **ALL_AT_ONCE)
    report, folder = whole_of_all
    assert resumed.key == report.key
    assert resumed.curve.step_losses == pytest.approx(report.curve.step_losses, rel=1e-5)
    assert resumed.interpolation == report.interpolation
    assert_alike(weights(tmp_path / "out"), weights(folder))
    logged = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in logged if "epoch" not in line] == [*range(1, len(report.curve.step_losses) + 1)]
    assert [line["epoch"] for line in logged if "epoch" in line] == [1, 2]


def test_two_processes_with_all_options_give_the_same_curve(
    tiny_clip: Path, tmp_path: Path, whole_of_all: tuple[FinetuneReport, Path]
) -> None:
    catalog = write_catalog(tmp_path)

    def kill(done: int, _total: int) -> None:
        if done == 5:
            raise Killed

    with pytest.raises(Killed):
        run(catalog, tiny_clip, tmp_path / "out", progress=kill, **ALL_AT_ONCE)
    shared = run(catalog, tiny_clip, tmp_path / "out", processes=2, **ALL_AT_ONCE)
    report, _ = whole_of_all
    assert shared.key == report.key
    assert shared.curve.step_losses == pytest.approx(report.curve.step_losses, rel=1e-3)


def test_what_is_trained_and_what_comes_out_is_an_ordinary_checkpoint(
    tiny_clip: Path, whole_of_all: tuple[FinetuneReport, Path]
) -> None:
    report, folder = whole_of_all
    before, after = weights(tiny_clip), weights(folder)
    assert after.keys() == before.keys()
    assert report.curve.epochs[-1].loss < report.curve.step_losses[0]
    assert not torch.equal(before["text_projection.weight"], after["text_projection.weight"])
    names = {"config.json", "curves.png", "finetune.json", "log.jsonl", "model.safetensors"}
    assert names <= {path.name for path in folder.iterdir()}
    assert not any("adapter" in path.name for path in folder.iterdir())


def test_a_tower_that_nothing_asks_of_stays_as_it_is(tiny_clip: Path, tmp_path: Path) -> None:
    run(write_catalog(tmp_path), tiny_clip, tmp_path / "out", epochs=1, image_path=0, text_image=0)
    before, after = weights(tiny_clip), weights(tmp_path / "out")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert not any(name.startswith(("vision_model.", "visual_projection")) for name in changed)


def test_a_damaged_state_or_one_of_another_run_is_not_gone_on_from(tiny_clip: Path, tmp_path: Path) -> None:
    catalog, out = write_catalog(tmp_path), tmp_path / "out"

    def kill(done: int, _total: int) -> None:
        if done == 6:
            raise Killed

    with pytest.raises(Killed):
        run(catalog, tiny_clip, out, progress=kill)
    kept = tmp_path / "kept"
    shutil.copytree(state_folder(out), kept)
    steps: list[int] = []
    run(catalog, tiny_clip, out, seed=1, progress=lambda done, _total: steps.append(done))
    assert steps[0] == 1
    shutil.copytree(kept, state_folder(out))
    (state_folder(out) / "latest.safetensors").write_bytes(b"cut off")
    steps.clear()
    run(catalog, tiny_clip, out, progress=lambda done, _total: steps.append(done))
    assert steps[0] == 1


@pytest.mark.parametrize("settings", [{"loss": "masked"}, {"loss": "plain"}, {"tree_credit": 0.2}])
def test_the_other_losses_learn_too(tiny_clip: Path, tmp_path: Path, settings: dict[str, object]) -> None:
    report = run(write_catalog(tmp_path), tiny_clip, tmp_path / "out", **settings)
    assert report.curve.epochs[-1].loss < report.curve.step_losses[0]


def test_half_precision_gives_about_the_same_curve(tiny_clip: Path, tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path)
    full = run(catalog, tiny_clip, tmp_path / "full", epochs=1, dtype="float32")
    half = run(catalog, tiny_clip, tmp_path / "half", epochs=1, dtype="bfloat16")
    assert half.curve.step_losses == pytest.approx(full.curve.step_losses, rel=0.05)
    assert half.curve.step_losses != full.curve.step_losses


@pytest.mark.parametrize("chunk_size", [1, 5, 16])
def test_a_batch_in_chunks_gives_the_same_curve_and_weights(
    tiny_clip: Path, tmp_path: Path, small_run: tuple[FinetuneReport, Path], chunk_size: int
) -> None:
    in_chunks = run(write_catalog(tmp_path), tiny_clip, tmp_path / "out", chunk_size=chunk_size, **SMALL)
    report, folder = small_run
    assert in_chunks.key == report.key
    assert in_chunks.curve.step_losses == pytest.approx(report.curve.step_losses, rel=1e-5)
    assert_alike(weights(tmp_path / "out"), weights(folder))


@pytest.mark.parametrize("chunk_size", [None, 3])
def test_two_processes_give_the_same_curve_and_weights_as_one(
    tiny_clip: Path, tmp_path: Path, small_run: tuple[FinetuneReport, Path], chunk_size: int | None
) -> None:
    steps: list[tuple[int, int]] = []
    out = tmp_path / "out"
    catalog = write_catalog(tmp_path)
    shared = run(
        catalog,
        tiny_clip,
        out,
        processes=2,
        chunk_size=chunk_size,
        progress=lambda *done: steps.append(done),
        **SMALL,
    )
    report, folder = small_run
    assert shared.num_processes == 2
    assert shared.key == report.key
    assert shared.curve.step_losses == pytest.approx(report.curve.step_losses, rel=1e-5)
    assert_alike(weights(out), weights(folder))
    assert [done for done, _ in steps] == [*range(1, len(report.curve.step_losses) + 1), len(report.curve.step_losses)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["catalog.parquet", "out"]


def test_a_mistake_that_processes_find_is_told_by_the_command(tiny_clip: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"learning_rate: found 1e\+30, but the loss was not finite"):
        run(write_catalog(tmp_path), tiny_clip, tmp_path / "out", processes=2, learning_rate=1e30, warmup_steps=0)


def test_pictures_in_a_temporary_file_give_the_same_curve(tiny_clip: Path, tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path)
    in_memory = run(catalog, tiny_clip, tmp_path / "a", epochs=1)
    in_a_file = run(catalog, tiny_clip, tmp_path / "b", epochs=1, memory_gb=0)
    assert in_a_file.curve.step_losses == pytest.approx(in_memory.curve.step_losses, rel=1e-5)


@pytest.mark.parametrize("missing", [("image",), ("title", "description", "brand", "cat1")])
def test_a_catalog_may_lack_pictures_or_texts(tiny_clip: Path, tmp_path: Path, missing: tuple[str, ...]) -> None:
    catalog = write_catalog(tmp_path, **{name: [None] * NUM_PRODUCTS for name in missing})
    report = run(catalog, tiny_clip, tmp_path / "out", epochs=1)
    assert report.after is not None
    assert not set(report.after.nearest_path) & set(missing)


def test_before_is_the_published_checkpoint_at_its_own_picture_size(
    tiny_clip: Path, tmp_path: Path, small_run: tuple[FinetuneReport, Path]
) -> None:
    larger = run(write_catalog(tmp_path), tiny_clip, tmp_path / "out", image_size=32, **SMALL)
    assert larger.before == small_run[0].before
    assert larger.after is not None
    assert find_checkpoint(str(tmp_path / "out")).config["vision_config"]["image_size"] == 32


def test_siglip_is_trained_at_its_full_length(tiny_clip: Path, tmp_path: Path) -> None:
    siglip = tmp_path / "siglip"
    shutil.copytree(tiny_clip, siglip)
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = SiglipConfig(
        text_config=tower | {"vocab_size": 64, "max_position_embeddings": 16, "projection_size": 32},
        vision_config=tower | {"image_size": 16, "patch_size": 8},
    )
    torch.manual_seed(0)
    SiglipModel(config).save_pretrained(siglip)
    report = run(
        write_catalog(tmp_path), siglip, tmp_path / "out", trained="last_blocks", last_blocks=1, interpolation=[1.0]
    )
    assert report.curve.epochs[-1].loss < report.curve.step_losses[0]
    before, after = weights(siglip), weights(tmp_path / "out")
    assert not torch.equal(before["vision_model.head.probe"], after["vision_model.head.probe"])
    assert torch.equal(
        before["vision_model.encoder.layers.0.mlp.fc1.weight"], after["vision_model.encoder.layers.0.mlp.fc1.weight"]
    )


def test_only_the_last_blocks_are_trained_where_asked(tiny_clip: Path, tmp_path: Path) -> None:
    run(
        write_catalog(tmp_path),
        tiny_clip,
        tmp_path / "out",
        epochs=1,
        trained="last_blocks",
        last_blocks=1,
        interpolation=[1.0],
    )
    before, after = weights(tiny_clip), weights(tmp_path / "out")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert all("layers.1." in name or "layers" not in name for name in changed)
    assert any("text_model.encoder.layers.1." in name for name in changed)
    assert any("vision_model.encoder.layers.1." in name for name in changed)
    assert not any("embedding" in name for name in changed)
    assert {"visual_projection.weight", "text_projection.weight", "logit_scale"} <= changed


def test_a_mix_with_the_original_lies_between(tiny_clip: Path, tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path)
    report = run(catalog, tiny_clip, tmp_path / "half", epochs=1, interpolation=[0.5])
    run(catalog, tiny_clip, tmp_path / "new", epochs=1, interpolation=[1.0])
    original, new, half = weights(tiny_clip), weights(tmp_path / "new"), weights(tmp_path / "half")
    assert report.interpolation == 0.5
    for name in original:
        torch.testing.assert_close(half[name], (original[name] + new[name]) / 2, rtol=1e-3, atol=1e-4)


def test_without_categories_it_says_which_column_is_wanted(tiny_clip: Path, tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path, google_category_id=[None] * NUM_PRODUCTS)
    with pytest.raises(CatalogError, match="no value in the column google_category_id"):
        run(catalog, tiny_clip, tmp_path / "out")
    catalog = write_catalog(tmp_path, google_category_id=["no such node"] * NUM_PRODUCTS)
    with pytest.raises(TaxonomyError, match=r"120 products .*'no such node'; none is"):
        run(catalog, tiny_clip, tmp_path / "out")
    catalog = write_catalog(tmp_path, google_category_id=[CATEGORIES[0]] * NUM_PRODUCTS)
    with pytest.raises(HeadError, match=r"found 1 category .* wanted 2 or more"):
        run(catalog, tiny_clip, tmp_path / "out")


def test_some_unknown_categories_are_left_out_aloud(
    tiny_clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    labels = [*CATEGORIES * (NUM_PRODUCTS // 4 - 1), "99999999", None, "", CATEGORIES[0]]
    report = run(write_catalog(tmp_path, google_category_id=labels), tiny_clip, tmp_path / "out", epochs=1)
    assert "99999999" in caplog.text
    assert report.num_classes == 4


def test_a_loss_that_is_not_finite_ends_the_run_and_names_the_rate(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"learning_rate: found 1e\+30, but the loss was not finite at step \d"):
        run(write_catalog(tmp_path), make_clip(tmp_path / "clip"), tmp_path / "out", learning_rate=1e30, warmup_steps=0)


def test_what_lies_at_out_is_not_destroyed(tiny_clip: Path, tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path)
    with pytest.raises(ConfigError, match="is the checkpoint to fine-tune"):
        run(catalog, tiny_clip, tiny_clip)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear reader")
    with pytest.raises(ConfigError, match="holds something that fine-tuning did not write"):
        run(catalog, tiny_clip, tmp_path / "mine")
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear reader"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"interpolation": [0.0]}, "above 0 and up to 1"),
        ({"template": ["{image}"]}, r"template: found '\{image\}', wanted one or more of \{title\}"),
        ({"template": []}, "template: found no part"),
        ({"text_path": 0, "feature_path": 0, "image_path": 0, "text_image": 0}, "wanted one above 0"),
        ({"epoch": 3}, "did you mean 'epochs'"),
        ({"tree_credit": 0.2, "loss": "plain"}, "found tree_credit = 0.2 and loss = 'plain'; wanted 'soft'"),
        ({"loss": "hard"}, "'soft', 'masked' or 'plain'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FinetuneConfig.parse(settings, source="pipeline.toml")
