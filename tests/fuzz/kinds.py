"""The kinds of input that prodemb is fuzzed with, and what must hold of each, whatever it is.

A check draws one input and hands it to the code that reads such a thing in a run. Anything but a value or a
`ProdembError` (of pictures, an `AbsentImage`) is a crash, and so is the loss of a row that is sound.
"""

import csv
import io
import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from prodemb.aliases.alias_file import read_aliases, write_aliases
from prodemb.aliases.junk import find_junk
from prodemb.aliases.normalise import normalise_brand, tidy_spelling, words_of
from prodemb.aliases.table import AliasRow, AliasTable
from prodemb.catalog.formats import open_source
from prodemb.catalog.images import AbsentImage, ImageLoader, ImagesConfig
from prodemb.catalog.reader import CatalogConfig, open_catalog
from prodemb.core.errors import ProdembError
from prodemb.core.features import CATALOG_COLUMNS, PRODUCT_COLUMNS
from prodemb.heads.aggregate import AggregateConfig
from prodemb.heads.head import HeadCard, TrainedHead, load_head, save_head
from prodemb.heads.labels import BrandLabel
from prodemb.heads.network import HeadConfig
from prodemb.job.init import guess, write_pipelines
from prodemb.job.pipeline import read_pipeline
from prodemb.shards.format import MANIFEST_NAME, Manifest, ShardSchema, read_manifest, shard_name
from prodemb.shards.lexical import lexical_vectors
from prodemb.shards.reader import open_shard_set
from prodemb.shards.verify import verify
from prodemb.shards.writer import EncodedFeature, write_shard
from prodemb.taxonomy.taxonomy import read_taxonomy, sample_taxonomy
from prodemb.towers.checkpoint import find_checkpoint
from prodemb.towers.image import ImagePreprocessor
from tests.fuzz.changes import changed, changed_json, json_values
from tests.fuzz.handed_over import HANDED_OVER
from tests.fuzz.hostile_pictures import KINDS as PICTURE_KINDS
from tests.fuzz.hostile_pictures import whole

HEADER = "product_id,title,brand,cat1,image"
SQUARE = ImagePreprocessor(size=(16, 16), crop=None, mean=(0, 0, 0), std=(1, 1, 1))
TYPES = [
    *(pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.int8(), pa.int64(), pa.uint64(), pa.bool_()),
    *(pa.float16(), pa.float32(), pa.float64(), pa.decimal128(20, 3), pa.date32(), pa.timestamp("ns"), pa.null()),
    *(pa.timestamp("s", "Europe/Paris"), pa.time64("us"), pa.duration("us"), pa.list_(pa.string())),
    *(pa.struct({"path": pa.string(), "bytes": pa.binary()}), pa.dictionary(pa.int32(), pa.string())),
    *(pa.list_(pa.binary()), pa.map_(pa.string(), pa.int64()), pa.list_(pa.struct({"a": pa.float32()}))),
]
anything = st.text(st.characters(exclude_characters="\r\n"), max_size=60) | st.text(
    ",\"';\t|\\ ab\0\ufeff1=", max_size=30
)


def read_whole(path: Path, *, titled: bool = True) -> list[dict[str, Any]]:
    """All rows of a catalog, as a run reads them."""
    own = {"product_id": "product_id", "title": "title"} if titled else {"product_id": "product_id"}
    catalog = open_catalog(CatalogConfig(path=str(path), columns=own, bad_ids="drop", max_lost_rate=1))
    num_products = catalog.check_ids()
    rows = [row for batch in catalog.batches(3) for row in batch.to_pylist()]
    assert len(rows) == num_products
    return rows


def keeps_sound_rows(data: DataObject, path: Path, *, header: list[str], sound: list[str], hostile: str) -> None:
    place = data.draw(st.integers(0, len(sound)))
    path.write_bytes("\n".join([*header, *sound[:place], hostile, *sound[place:]]).encode("utf-8", "surrogatepass"))
    found = {row["product_id"]: row["title"] for row in read_whole(path)}
    for number in range(len(sound)):
        assert found.get(f"id-{number}") == f"thing {number}", (hostile, place, found)


def csv_rows(data: DataObject, folder: Path) -> None:
    """A hostile line among sound ones."""
    sound = [f"id-{number},thing {number},Acme,mugs,a.jpg" for number in range(4)]
    hostile = data.draw(anything.filter(lambda line: "id-" not in line))
    keeps_sound_rows(data, folder / "c.csv", header=[HEADER], sound=sound, hostile=hostile)


def jsonl_rows(data: DataObject, folder: Path) -> None:
    """A hostile line among sound ones."""
    sound = [json.dumps({"product_id": f"id-{number}", "title": f"thing {number}"}) for number in range(4)]
    rows = st.dictionaries(st.sampled_from(CATALOG_COLUMNS) | st.text(max_size=5), json_values, max_size=5)
    hostile = data.draw((anything | rows.map(json.dumps)).filter(lambda line: "id-" not in line))
    keeps_sound_rows(data, folder / "c.jsonl", header=[], sound=sound, hostile=hostile)


def parquet_rows(data: DataObject, folder: Path) -> None:
    """Columns of any type hold as many rows as the file; without a usable id it is an error."""
    columns = {"product_id": pa.array(["a", "b", "c"])}
    for name in data.draw(st.lists(st.sampled_from(["title", "brand", "image", "cat1"]), unique=True)):
        kind = data.draw(st.sampled_from(TYPES))
        values = data.draw(st.lists(_value_of(kind), min_size=3, max_size=3))
        columns[name] = pa.array(values, kind)
    pq.write_table(pa.table(columns), folder / "c.parquet")
    assert [row["product_id"] for row in read_whole(folder / "c.parquet", titled=False)] == ["a", "b", "c"]


def _value_of(kind: pa.DataType) -> st.SearchStrategy[Any]:
    """A value of an Arrow type, or none."""
    if pa.types.is_struct(kind):
        return st.none() | st.fixed_dictionaries({field.name: _value_of(field.type) for field in kind})
    if pa.types.is_map(kind):
        return st.none() | st.lists(st.tuples(st.text(max_size=5), _value_of(kind.item_type)), max_size=2)
    if pa.types.is_list(kind):
        return st.none() | st.lists(_value_of(kind.value_type), max_size=2)
    if pa.types.is_dictionary(kind):
        return _value_of(kind.value_type)
    if pa.types.is_boolean(kind):
        return st.none() | st.booleans()
    if pa.types.is_floating(kind):
        return st.none() | (
            st.floats(width=16) if kind == pa.float16() else st.floats(width=32 if kind == pa.float32() else 64)
        )
    if pa.types.is_decimal(kind):
        return st.none() | st.decimals(-(10**15), 10**15, places=3, allow_nan=False)
    if pa.types.is_binary(kind):
        return st.none() | st.binary(max_size=9)
    if "string" in str(kind):
        return st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    if pa.types.is_null(kind):
        return st.none()
    width = {pa.int8(): 7, pa.date32(): 31}.get(kind, 63)
    low = 0 if kind == pa.uint64() or pa.types.is_time(kind) else -(2**width)
    high = 86_399_999_999 if pa.types.is_time(kind) else 2**width - 1
    scale = 10_000 if "[s" in str(kind) else 1  # Parquet keeps milliseconds
    return st.none() | st.integers(low // scale, high // scale)


@cache
def _catalog(suffix: str) -> bytes:
    """A sound catalog file."""
    rows = [{"product_id": f"p{n}", "title": f"a thing {n}", "brand": "Acmé", "image": f"{n}.jpg"} for n in range(20)]
    match suffix:
        case ".csv":
            lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
            return "\n".join(lines).encode()
        case ".jsonl":
            return "\n".join(map(json.dumps, rows)).encode()
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return bytes(sink.getvalue())


def catalog_files(data: DataObject, folder: Path) -> None:
    """A damaged catalog file, as `embed` and as `init` see it."""
    suffix = data.draw(st.sampled_from([".csv", ".jsonl", ".parquet"]))
    path = folder / f"c{suffix}"
    path.write_bytes(changed(data, _catalog(suffix)))
    with suppress(ProdembError):
        read_whole(path)
    with suppress(ProdembError):
        write_pipelines(guess(path), folder)
        read_pipeline(folder / "brand.toml")


def nested_parquet(data: DataObject, folder: Path) -> None:
    """A damaged Parquet file with lists, objects, maps and dictionaries of texts."""
    texts = data.draw(st.lists(st.none() | st.text(max_size=4) | st.just("x" * 3000), min_size=4, max_size=4))
    columns = {
        "product_id": [*"abcd"],
        "title": texts,
        "tags": pa.array([[text, "b"] for text in texts]),
        "object": pa.array([{"en": text, "all": [text]} for text in texts]),
        "map": pa.array([[("k", text)] for text in texts], pa.map_(pa.string(), pa.string())),
        "view": pa.array(texts, pa.string_view()),
    }
    path = folder / "c.parquet"
    pq.write_table(pa.table(columns), path, compression="none", row_group_size=data.draw(st.integers(1, 4)))
    assert [row["product_id"] for row in read_whole(path)] == [*"abcd"]
    path.write_bytes(changed(data, path.read_bytes()))
    with suppress(ProdembError):
        for batch in open_source(path).batches():
            batch.table.validate()


def pictures(data: DataObject, folder: Path) -> None:
    """A damaged picture of each format."""
    content = changed(data, whole(data.draw(st.sampled_from(PICTURE_KINDS))))
    with suppress(AbsentImage):
        assert SQUARE.decode(content).shape == SQUARE.shape


def picture_values(data: DataObject, folder: Path) -> None:
    """Whatever stands in an image column; private hosts are refused, so nothing is fetched."""
    local = st.text(st.characters(), max_size=40) | st.text("./\\~a\0:", max_size=20)
    address = st.text("ab:@/?#[]%.1 \\", max_size=20).map(lambda rest: f"http://127.0.0.1{rest}")
    with ImageLoader(ImagesConfig(retries=0, deadline_s=0.01), root=folder) as loader, suppress(AbsentImage):
        value = data.draw(local | address | st.binary(max_size=9))
        assert loader.load(value) == value


def taxonomy_files(data: DataObject, folder: Path) -> None:
    """A damaged taxonomy file; what can be read answers any label."""
    lines = [f"{node} - {path}" for node, path in list(sample_taxonomy().paths.items())[:40]]
    path = folder / "taxonomy.txt"
    path.write_bytes(changed(data, "\n".join(["# Google_Product_Taxonomy_Version: 2021-09-21", *lines]).encode()))
    with suppress(ProdembError):
        taxonomy = read_taxonomy(path)
        node = taxonomy.resolve(data.draw(anything | st.sampled_from(lines)))
        assert node is None or node in taxonomy
        assert all(taxonomy.ancestors(each) is not None for each in taxonomy.ids)


def pipeline_files(data: DataObject, folder: Path) -> None:
    """A damaged pipeline file."""
    tables = [
        "[catalog]",
        "path = 'c'",
        "[images]",
        "timeout_s = 3",
        "[embed]",
        "shard_size = 9",
        "features = ['title']",
    ]
    tables += [
        "[catalog.columns]",
        "title = 'name'",
        "[head]",
        "hidden_layer_sizes = [9, 9]",
        "[train.baselines]",
        "run = true",
    ]
    values = st.sampled_from(["0", "-1", "nan", "1e400", "''", "[]", "{}", "true", "99999999999999999999", "'\\u0000'"])
    place = data.draw(st.integers(0, len(tables) - 1))
    if "=" in tables[place]:
        tables[place] = f"{tables[place].partition('=')[0]}= {data.draw(values)}"
    path = folder / "p.toml"
    path.write_bytes(changed(data, "\n".join(["target = 'brand'", *tables]).encode()))
    with suppress(ProdembError):
        read_pipeline(path)


def alias_tables(data: DataObject, folder: Path) -> None:
    """Any table comes back from its file as it was, with nothing in it that a spreadsheet would run."""
    names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.text("=+-@'\"\t\r\n,; a", max_size=8)
    supplied = data.draw(st.lists(names.filter(bool), unique=True, min_size=1, max_size=5))
    rows = [AliasRow(name, data.draw(names.map(str.strip).filter(bool)), products=3) for name in supplied]
    suffix = data.draw(st.sampled_from([".csv", ".parquet"]))
    path = folder / f"aliases{suffix}"
    write_aliases(AliasTable(rows), path)
    if suffix == ".csv":
        cells = [cell for row in csv.reader(io.StringIO(path.read_text("utf-8"), newline="")) for cell in row]
        assert not [cell for cell in cells if cell.lstrip()[:1] in tuple("=+-@＝＋－＠")]
    found = read_aliases(path)
    assert [(row.supplied, row.canonical) for row in found.rows] == [(row.supplied, row.canonical) for row in rows]


def alias_files(data: DataObject, folder: Path) -> None:
    """A damaged alias file."""
    path = folder / "aliases.csv"
    write_aliases(AliasTable([AliasRow("NIKE", "Nike"), AliasRow("=1+1", "One"), AliasRow("a,b", "Ab")]), path)
    path.write_bytes(changed(data, path.read_bytes()))
    with suppress(ProdembError):
        table = read_aliases(path)
        write_aliases(table, path)
        assert [row.supplied for row in read_aliases(path).rows] == [row.supplied for row in table.rows]


def texts(data: DataObject, folder: Path) -> None:
    """Any text is a title and a brand."""
    text = data.draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=80))
    assert normalise_brand(normalise_brand(text)) == normalise_brand(text)
    find_junk(text)
    words_of(tidy_spelling(text))
    vectors = lexical_vectors([[text], [None]], dim=64)
    assert np.isfinite(vectors).all()


@cache
def _sound_folder() -> Path:
    """A shard set, a head and a checkpoint, made once a process."""
    import tempfile

    from tests.conftest import make_clip

    folder = Path(tempfile.mkdtemp(prefix="prodemb-fuzz-"))
    schema = ShardSchema(fingerprint="f", model="m", dim=8, features=("title",))
    columns = {name: pa.nulls(5, pa.string()) for name in PRODUCT_COLUMNS}
    columns |= {"product_id": pa.array(list("abcde")), "title": pa.array(["x"] * 5)}
    encoded = EncodedFeature(
        vectors=np.full((5, 8), 0.35, "<f2"), absent=pa.nulls(5, pa.string()), hashes=pa.nulls(5, pa.binary(16))
    )
    (folder / "shards").mkdir()
    record = write_shard(
        folder / "shards", index=0, schema=schema, rows=pa.table(columns), encoded={"title": encoded}, rows_hash="r"
    )
    Manifest(shard_schema=schema, catalog="c", shard_size=5, complete=True, shards=(record,)).write(folder / "shards")
    card = HeadCard(
        target="brand",
        fingerprint="f",
        model="m",
        features=("title",),
        dims=(8,),
        aggregate=AggregateConfig(),
        head=HeadConfig(hidden_layer_sizes=(4,)),
        num_train=1,
        classes=tuple(BrandLabel(name=name) for name in ("Acme", "Lumo")),
    )
    save_head(folder / "head", TrainedHead.untrained(card))
    make_clip(folder / "clip")
    return folder


def shards(data: DataObject, folder: Path) -> None:
    """A damaged shard is always found."""
    shutil.copytree(_sound_folder() / "shards", folder / "shards")
    path = folder / "shards" / shard_name(0)
    before = path.read_bytes()
    path.write_bytes(changed(data, before))
    assert (verify(folder / "shards") == []) == (path.read_bytes() == before)


def manifests(data: DataObject, folder: Path) -> None:
    """A damaged manifest is read or refused."""
    shutil.copytree(_sound_folder() / "shards", folder / "shards")
    path = folder / "shards" / MANIFEST_NAME
    content = path.read_bytes()
    if data.draw(st.booleans()):
        path.write_bytes(changed(data, content))
    else:
        path.write_text(json.dumps(changed_json(data, json.loads(content))), encoding="utf-8", errors="replace")
    with suppress(ProdembError):
        read_manifest(folder / "shards")
        shard_set = open_shard_set(folder / "shards")
        for shard in shard_set.shards():
            shard.frame(["product_id"])


def head_cards(data: DataObject, folder: Path) -> None:
    """A damaged head card is read or refused."""
    shutil.copytree(_sound_folder() / "head", folder / "head")
    path = folder / "head" / "head.json"
    content = path.read_bytes()
    if data.draw(st.booleans()):
        path.write_bytes(changed(data, content))
    else:
        path.write_text(json.dumps(changed_json(data, json.loads(content))), encoding="utf-8", errors="replace")
    with suppress(ProdembError):
        load_head(folder / "head")


def checkpoints(data: DataObject, folder: Path) -> None:
    """A damaged settings file of a checkpoint is read or refused."""
    clip = folder / "clip"
    clip.mkdir()
    for each in (_sound_folder() / "clip").iterdir():
        (clip / each.name).symlink_to(each)
    name = data.draw(st.sampled_from(["config.json", "preprocessor_config.json"]))
    content = (clip / name).read_bytes()
    (clip / name).unlink()
    if data.draw(st.booleans()):
        (clip / name).write_bytes(changed(data, content))
    else:
        value = changed_json(data, json.loads(content))
        (clip / name).write_text(json.dumps(value), encoding="utf-8", errors="replace")
    with suppress(ProdembError):
        assert find_checkpoint(str(clip)).fingerprint
        assert min(ImagePreprocessor.from_folder(clip).shape) > 0


CHECKS: dict[str, Callable[[DataObject, Path], None]] = {
    check.__name__: check
    for check in (
        *(csv_rows, jsonl_rows, parquet_rows, nested_parquet, catalog_files, pictures, picture_values, taxonomy_files),
        *(pipeline_files, alias_tables, alias_files, texts, shards, manifests, head_cards, checkpoints, *HANDED_OVER),
    )
}
"""Every kind by name."""
