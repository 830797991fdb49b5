"""What is shown of a shard set: its state, and the vectors that are missing."""

from pathlib import Path

from prodemb.cli.report.shards import shard_set_table, vector_table
from prodemb.shards.format import Manifest, ShardRecord, ShardSchema
from prodemb.shards.text import TextKind

NULLS = {"title": {"no value": 1}, "image": {"truncated": 2, "file not found": 1}}


def manifest(*, complete: bool) -> Manifest:
    record = ShardRecord(
        name="part-00000.parquet", num_products=4, num_bytes=4200, sha256="0" * 64, rows_hash="", null_counts=NULLS
    )
    schema = ShardSchema(fingerprint="f", model="m", dim=4, features=("title", "image"))
    return Manifest(
        shard_schema=schema,
        catalog="c",
        shard_size=4,
        num_rows=6,
        skipped_rows={"no product_id": 2},
        complete=complete,
        shards=(record,),
    )


def test_counts_size_and_state() -> None:
    names, values = (
        [str(cell) for cell in column.cells]
        for column in shard_set_table(manifest(complete=True), folder=Path("s")).columns
    )
    shown = dict(zip(names, values, strict=True))
    assert shown["size"] == "4.2 KB, 1,050 bytes per product"
    assert shown["skipped rows"] == "2 no product_id"
    assert shown["state"].startswith("complete")
    unfinished = shard_set_table(manifest(complete=False), folder=Path("s")).columns[1]
    assert str(list(unfinished.cells)[-1]).startswith("unfinished: run the same `prodemb embed` again")


def test_missing_vectors_have_their_reasons() -> None:
    columns = [list(column.cells) for column in vector_table(manifest(complete=True)).columns]
    assert columns == [
        ["title", "image"],
        ["3", "1"],
        ["1", "3"],
        ["no value: 1", "truncated: 2, file not found: 1"],
    ]


def test_text_vectors_have_their_model_and_length() -> None:
    kind = TextKind(fingerprint="e" * 16, model="encoder", template=("{title}",), dim=384)
    schema = ShardSchema(fingerprint="f", model="m", dim=4, features=("title", "text"), text=kind)
    found = manifest(complete=True).model_copy(update={"shard_schema": schema})
    names, values = ([str(cell) for cell in column.cells] for column in shard_set_table(found, folder=Path()).columns)
    shown = dict(zip(names, values, strict=True))
    assert shown["vectors"].endswith("; text 384 x float16")
    assert shown["text model"] == f"encoder (fingerprint {'e' * 16})"
