"""What is shown of embedding, whatever the numbers."""

from dataclasses import replace
from pathlib import Path

import pytest

from prodemb.cli.report.embed import embed_lines, time_line
from prodemb.embed.embed import EmbedReport
from prodemb.embed.worker import Timings
from prodemb.shards.format import Manifest, ShardRecord, ShardSchema


def manifest(num_products: int) -> Manifest:
    record = ShardRecord(
        name="part-00000.parquet", num_products=num_products, num_bytes=1, sha256="0" * 64, rows_hash="", null_counts={}
    )
    schema = ShardSchema(fingerprint="f", model="m", dim=4, features=("title",))
    return Manifest(
        shard_schema=schema, catalog="c", shard_size=4, num_rows=num_products, complete=True, shards=(record,)
    )


@pytest.mark.parametrize(
    ("number", "products", "texts"), [(1, "1 product", "1 distinct text"), (3, "3 products", "3 distinct texts")]
)
def test_embedding_a_single_product_is_shown_in_the_singular(number: int, products: str, texts: str) -> None:
    report = EmbedReport(
        manifest=manifest(number),
        num_new=number,
        seconds=1.0,
        timings=Timings(num_texts=number),
        num_workers=1,
        device="cpu",
    )
    lines = embed_lines(report, folder=Path("shards"))
    assert lines[0].startswith(f"{products} in 1 shard at shards;")
    assert f"({texts})" in lines[1]
    assert f"= {products} in shards + 0 skipped" in lines[-1]


def test_a_text_encoder_is_shown_where_there_is_one_and_may_be_the_bottleneck() -> None:
    timings = Timings(text_tower=0.1, text_encoder=0.9, num_joined=2, num_tower_threads=1)
    report = EmbedReport(manifest=manifest(2), num_new=2, seconds=1.0, timings=timings, num_workers=1, device="cpu")
    assert "text encoder 0.9 s (2 distinct texts)," in time_line(report)
    assert time_line(report).endswith("bottleneck: text encoder")
    assert "text encoder" not in time_line(replace(report, timings=Timings()))
