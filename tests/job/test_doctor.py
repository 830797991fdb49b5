"""What is examined: a project in order, and each thing that may be wrong, as a result and not as an error."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from prodemb.core.progress import no_progress
from prodemb.job import doctor
from prodemb.job.doctor import CheckpointFound, Examination, HeadFound, ShardsFound, examine
from prodemb.job.machine import Machine, look_at_machine
from prodemb.job.pipeline import Pipeline
from prodemb.towers.checkpoint import find_checkpoint
from prodemb.towers.load import Towers
from tests.conftest import make_clip
from tests.embed.conftest import MakeCatalog, run
from tests.predict.heads import write_heads
from tests.text_encoders import write_encoder


@pytest.fixture(scope="module")
def machine() -> Machine:
    return look_at_machine("cpu")


@pytest.fixture(autouse=True)
def _known_machine(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "look_at_machine", lambda _device: machine)


@pytest.fixture
def folder(tmp_path: Path, make_catalog: MakeCatalog, tiny_clip: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a checkpoint of its own, shards and heads."""
    clip = shutil.copytree(tiny_clip, tmp_path / "clip")
    run(make_catalog(20), tmp_path / "shards", clip, lexical_dim=64)
    write_heads(tmp_path / "heads", clip)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pipelines_in(folder: Path, **tables: dict[str, Any]) -> list[Pipeline]:
    values: dict[str, Any] = {
        "catalog": {"path": str(folder / "catalog.parquet")},
        "embed": {"model": str(folder / "clip"), "out": str(folder / "shards"), "dtype": "float32"},
    }
    for table, settings in tables.items():
        values[table] = values.get(table, {}) | settings
    return [Pipeline.parse(values | {"target": target}, source="test") for target in ("brand", "category")]


def examined(folder: Path, **tables: dict[str, Any]) -> Examination:
    return examine(pipelines_in(folder, **tables), device="cpu", fetch=False, progress=no_progress)


def errors_of(found: Examination) -> list[str]:
    things: list[CheckpointFound | ShardsFound | HeadFound] = [*found.checkpoints, *found.shards, *found.heads]
    return [*found.input_errors, *(each.error for each in things if each.error is not None)]


def test_a_project_in_order(folder: Path) -> None:
    found = examined(folder)
    assert errors_of(found) == []
    (checkpoint,) = found.checkpoints
    assert checkpoint.users == ("brand", "heads/brand", "category", "heads/category")
    assert checkpoint.fingerprint == find_checkpoint(str(folder / "clip")).fingerprint
    assert checkpoint.dim == 24
    assert checkpoint.comparison is not None
    assert checkpoint.comparison.image > 0.9999
    (shards,) = found.shards
    assert (shards.num_products, shards.model) == (20, str(folder / "clip"))
    assert [(head.target, head.shards) for head in found.heads] == [
        ("brand", folder / "shards"),
        ("category", folder / "shards"),
    ]
    assert all(head.card is not None for head in found.heads)
    outputs = [output for disk in found.disks for output in disk.outputs]
    assert {str(folder / "shards"), "heads/brand", "checkpoints/category", "out.parquet"} <= {*outputs}
    assert all(disk.free_bytes > 0 for disk in found.disks)


def test_a_project_without_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    both = [Pipeline(target="brand"), Pipeline(target="category")]
    found = examine(both, device="cpu", fetch=False, progress=no_progress)
    assert errors_of(found) == []
    assert [each.model for each in found.checkpoints] == ["bundled"]
    assert [each.num_products for each in found.shards] == [None]
    assert [each.card for each in found.heads] == [None, None]
    assert not list(tmp_path.iterdir())


def test_missing_inputs_are_named(folder: Path) -> None:
    found = examined(folder, catalog={"path": "none.csv"}, train={"taxonomy": "none.txt"})
    assert [error.split(":")[0] for error in found.input_errors] == ["none.csv", "none.txt"]


def test_a_device_that_is_not_there_is_named_and_the_cpu_taken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    pipelines = pipelines_in(folder, embed={"device": "cuda"})
    found = examine(pipelines, device="cuda", fetch=False, progress=no_progress, setting_errors=["p.toml: no"])
    assert found.setting_errors == (
        "p.toml: no",
        "device: found 'cuda', but torch sees no CUDA device here; wanted 'cpu' or 'auto'",
    )
    (checkpoint,) = found.checkpoints
    assert (checkpoint.error, checkpoint.dim) == (None, 24)
    found = examine(pipelines, device="cpu", fetch=False, progress=no_progress)
    assert len(found.setting_errors) == 1


def test_damaged_things_are_named(folder: Path) -> None:
    (folder / "shards" / "manifest.json").write_text("{")
    (folder / "heads" / "brand" / "head.safetensors").write_bytes(b"x")
    (folder / "clip" / "model.safetensors").write_bytes(b"12345678")
    found = examined(folder)
    (checkpoint,), (shards,), (brand, category) = found.checkpoints, found.shards, found.heads
    assert "model.safetensors" in str(checkpoint.error)
    assert "manifest.json" in str(shards.error)
    assert "head.safetensors" in str(brand.error)
    assert (category.error, category.shards) == (None, None)


def test_heads_of_another_model_than_the_shards_are_named(folder: Path) -> None:
    shutil.rmtree(folder / "clip")
    make_clip(folder / "clip", seed=7)
    shutil.rmtree(folder / "shards")
    run(folder / "catalog.parquet", folder / "shards", folder / "clip", lexical_dim=64)
    found = examined(folder)
    for head in found.heads:
        assert "which no shard set here holds" in str(head.error)
        assert head.card is not None
        assert head.card.fingerprint != found.checkpoints[0].fingerprint


def test_a_fine_tuned_checkpoint_is_checked_once_it_is_complete(folder: Path) -> None:
    tuned = shutil.copytree(folder / "clip", folder / "tuned")
    settings = {"out": "./tuned", "shards": "own"}
    assert len(examined(folder, finetune=settings).checkpoints) == 1
    (tuned / "finetune.json").write_text("{}")
    first, second = examined(folder, finetune=settings).checkpoints
    assert (second.model, second.users, second.error) == ("./tuned", ("[finetune]",), None)
    assert first.users == ("brand", "heads/brand", "category", "heads/category")


def test_vectors_that_are_not_those_of_transformers_are_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = Towers.image_vectors
    monkeypatch.setattr(Towers, "image_vectors", lambda self, pixels: vectors(self, 255 - pixels))
    (checkpoint,) = examined(folder).checkpoints
    assert "image tower: found a cosine of" in str(checkpoint.error)
    assert checkpoint.comparison is not None


def test_what_transformers_cannot_prepare_is_no_error(folder: Path) -> None:
    path = folder / "clip" / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"image_processor_type": "OddImageProcessor"}))
    (checkpoint,) = examined(folder, embed={"out": "others"}).checkpoints
    assert checkpoint.error is None
    assert checkpoint.no_reference


def test_a_checkpoint_of_the_hub_is_not_fetched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder / "cache"))
    first, *_ = examined(folder, embed={"model": "shop/clip", "out": "others"}).checkpoints
    assert (first.model, first.is_here, first.error) == ("shop/clip", False, None)


def test_a_text_encoder_is_loaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder / "cache"))
    write_encoder(folder / "encoder")
    embed = {"text_model": str(folder / "encoder"), "out": "others"}
    _, encoder = examined(folder, embed=embed).checkpoints
    assert encoder.fingerprint is not None
    assert encoder.users == ("brand's text", "category's text")
    assert encoder.error is None
    (folder / "encoder" / "modules.json").write_text("[]")
    assert "modules" in str(examined(folder, embed=embed).checkpoints[-1].error)
    fetched = examined(folder, embed=embed | {"text_model": "shop/texts"}).checkpoints[-1]
    assert (fetched.model, fetched.is_here, fetched.error) == ("shop/texts", False, None)
