"""A shard is the same file whoever makes it, alone or after any other."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prodemb.catalog.budget import PictureCounts
from prodemb.catalog.images import ImagesConfig
from prodemb.catalog.reader import CatalogConfig, open_catalog
from prodemb.core.errors import ModelError
from prodemb.embed import worker
from prodemb.embed.config import EmbedConfig
from prodemb.embed.plan import Plan, make_plan
from prodemb.embed.worker import embed_shards
from prodemb.shards.checked import Checked
from prodemb.shards.format import ShardRecord, ShardSchema
from prodemb.towers.checkpoint import find_checkpoint
from prodemb.towers.load import Towers, load_towers
from prodemb.towers.text_encoder import TextEncoder, load_text_encoder
from prodemb.workers.job import Seat
from tests.embed.conftest import MakeCatalog, contents, run
from tests.text_encoders import write_encoder

TOWER_PARTS = ("checkpoint", "model", "text", "image", "device", "dtype")


class Recorder:
    """Notes what a worker reports."""

    def __init__(self) -> None:
        self.records: dict[int, ShardRecord] = {}
        self.schema: ShardSchema | None = None
        self.num_products = 0
        self.pictures = PictureCounts()

    def on_start(self, schema: ShardSchema) -> None:
        self.schema = schema

    def on_window(self, index: int, num_products: int, pictures: PictureCounts) -> None:
        self.num_products += num_products
        self.pictures += pictures

    def on_shard(self, index: int, record: ShardRecord) -> None:
        self.records[index] = record


def plan_for(path: Path, out: Path, model: Path, **settings: Any) -> Plan:
    catalog = open_catalog(CatalogConfig(path=str(path)))
    return make_plan(
        config := EmbedConfig(
            model=str(model), out=str(out), shard_size=16, window=8, dtype="float32", workers=1, **settings
        ),
        catalog=catalog,
        images=ImagesConfig(),
        checkpoint=find_checkpoint(str(model)),
        num_products=catalog.check_ids(),
        checked=Checked(out),
        replace_set=False,
        retry="none",
        text_checkpoint=config.text_checkpoint(),
    )


def test_shards_made_alone_and_in_any_order_are_those_of_a_whole_run(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path
) -> None:
    path, out = make_catalog(60), tmp_path / "alone"
    report = run(path, tmp_path / "whole", tiny_clip)
    plan = plan_for(path, out, tiny_clip)
    first, second, third, last = plan.todo
    recorder = Recorder()
    embed_shards(plan, tasks=[third], seat=Seat(), callback=recorder)
    assert recorder.records == {2: report.manifest.shards[2]}
    embed_shards(plan, tasks=[last, first, second], seat=Seat(), callback=recorder)
    assert tuple(recorder.records[index] for index in range(4)) == report.manifest.shards
    assert recorder.schema == report.manifest.shard_schema
    assert recorder.num_products == recorder.pictures.num_tried == 60
    assert recorder.pictures.failed == {("folder images", "file not found"): 9}
    whole = contents(tmp_path / "whole")
    of_the_set = ("manifest.json", "README.md")
    assert contents(out) == {name: content for name, content in whole.items() if name not in of_the_set}


def test_the_first_worker_makes_no_shard_with_vectors_that_are_not_those_of_transformers(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load_badly(*args: Any, **kwargs: Any) -> Towers:
        towers = load_towers(*args, **kwargs)
        image = replace(towers.image, mean=(0.1, 0.2, 0.9))
        return Towers(**{name: getattr(towers, name) for name in TOWER_PARTS} | {"image": image})

    monkeypatch.setattr(worker, "load_towers", load_badly)
    plan, recorder = plan_for(make_catalog(20), tmp_path / "shards", tiny_clip), Recorder()
    with pytest.raises(ModelError, match=r"image tower: found a cosine of -?0\."):
        embed_shards(plan, tasks=plan.todo, seat=Seat(), callback=recorder)
    assert recorder.schema is None
    embed_shards(plan, tasks=plan.todo, seat=Seat(rank=1), callback=recorder)
    assert len(recorder.records) == 2


def test_nor_with_those_of_a_text_encoder_that_reads_otherwise(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load_badly(*args: Any, **kwargs: Any) -> TextEncoder:
        encoder = load_text_encoder(*args, **kwargs)
        encoder.text = replace(encoder.text, max_length=4)
        return encoder

    monkeypatch.setattr(worker, "load_text_encoder", load_badly)
    encoder = write_encoder(tmp_path / "encoder")
    plan = plan_for(make_catalog(20), tmp_path / "shards", tiny_clip, text_model=str(encoder))
    recorder = Recorder()
    with pytest.raises(ModelError, match=r"text encoder: found a cosine of -?0\."):
        embed_shards(plan, tasks=plan.todo, seat=Seat(), callback=recorder)
    assert recorder.schema is None
    embed_shards(plan, tasks=plan.todo, seat=Seat(rank=1), callback=recorder)
    assert len(recorder.records) == 2
