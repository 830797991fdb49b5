"""Catalogs of every format stream the same products, and what is wrong with them is named."""

import gzip
import json
import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodemb.catalog.nested import parsed
from prodemb.catalog.plain_text import plain_text
from prodemb.catalog.reader import Catalog, CatalogConfig, open_catalog
from prodemb.catalog.values import text_of
from prodemb.core.errors import CatalogError, ConfigError
from prodemb.core.features import CATALOG_COLUMNS

PRODUCTS: list[dict[str, Any]] = [
    {
        "product_id": "7",
        "title": "Mug, blue",
        "description": 'Says "hi"\nand more',
        "image": "blue-mug-7.jpg",
        "cat1": "Home",
    },
    {"product_id": "8", "title": "Café crème ☕", "description": None, "image": "b.jpg", "cat1": None},
    {"product_id": "9", "title": "Pan", "description": "  ", "image": None, "cat1": "Home"},
    {"product_id": "10", "title": "Pot", "description": "x" * 70_000, "image": "d.jpg", "cat1": "Home"},
]
CLEANED = [{k: v and plain_text(v) for k, v in product.items()} for product in PRODUCTS]


def write(path: Path, products: list[dict[str, Any]] = PRODUCTS) -> Path:
    """Write products in the format that the name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frame = pl.DataFrame(products, infer_schema_length=None)
    names = [suffix for suffix in path.suffixes if suffix != ".gz"]
    match names[-1]:
        case ".parquet":
            frame.write_parquet(path, row_group_size=3)
            return path
        case ".csv":
            text = frame.write_csv()
        case ".tsv":
            text = frame.write_csv(separator="\t")
        case _:
            text = "".join(json.dumps(product, ensure_ascii=False) + "\n" for product in products)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def opened(path: Path | str, **settings: Any) -> Catalog:
    return open_catalog(CatalogConfig.parse({"path": str(path), **settings}, source="test"))


def products_of(catalog: Catalog, num_rows: int = 3) -> list[dict[str, Any]]:
    return [row for table in catalog.batches(num_rows) for row in table.to_pylist()]


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl.gz"])
@pytest.mark.parametrize("has_bad_ids", [False, True])
def test_a_range_of_rows_is_that_part_of_the_whole(tmp_path: Path, suffix: str, has_bad_ids: bool) -> None:
    rows = [{"product_id": str(i), "title": f"mug {i}", "cat1": "Home > Mugs"} for i in range(11)]
    if has_bad_ids:
        rows[0] = rows[4] = rows[5] = rows[10] | {"product_id": "1"}
    for number in range(2):
        write(tmp_path / f"part-{number}{suffix}", rows[6 * number : 6 * number + 6])
    catalog = opened(tmp_path, bad_ids="drop", category_separator=">")
    whole = products_of(catalog)
    assert len(whole) == (8 if has_bad_ids else 11)
    for start in range(13):
        for stop in (*range(start, 13), None):
            tables = list(catalog.batches(3, start=start, stop=stop))
            assert [row for table in tables for row in table.to_pylist()] == whole[start:stop]
            assert all(table.num_rows == 3 for table in tables[:-1])


def message(make: Callable[[], Any]) -> str:
    with pytest.raises(CatalogError) as caught:
        make()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["c.parquet", "c.csv", "c.tsv", "c.jsonl", "c.ndjson", "c.json", "c.csv.gz", "c.tsv.gz", "c.jsonl.gz", "C.v2.CSV"],
)
def test_every_format_streams_the_same(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write(path.with_name(name.lower())).rename(path)
    catalog = opened(path)
    assert catalog.check_ids() == 4
    assert list(catalog.columns) == ["product_id", "title", "description", "cat1", "image"]
    assert catalog.features == ("title", "description", "cat1", "image")
    tables = list(catalog.batches(3))
    assert [table.num_rows for table in tables] == [3, 1]
    for table in tables:
        assert table.column_names == list(CATALOG_COLUMNS)
        assert set(table.schema.types) == {pa.large_string()}
    nulls = dict.fromkeys(CATALOG_COLUMNS)
    assert products_of(catalog) == [nulls | product for product in CLEANED]
    assert (catalog.image_root, catalog.image_kind) == (tmp_path, "path")
    assert catalog.skipped_rows.count == 0


@pytest.mark.parametrize("where", ["", "*.parquet", "part-?.parquet", "**/part-*.parquet"])
def test_several_files_are_one_catalog(tmp_path: Path, where: str) -> None:
    for number in range(3):
        write(
            tmp_path / f"part-{number}.parquet",
            [product | {"product_id": f"{number}{product['product_id']}"} for product in PRODUCTS],
        )
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / "manifest.json").write_text("{}")
    catalog = opened(tmp_path / where if where else tmp_path)
    assert catalog.check_ids() == 12
    tables = list(catalog.batches(5))
    assert [table.num_rows for table in tables] == [5, 5, 2]
    ids = [each for table in tables for each in table.column("product_id").to_pylist()]
    assert ids == [f"{number}{product['product_id']}" for number in range(3) for product in PRODUCTS]


def test_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    catalog = opened(write(tmp_path / "c.parquet"))
    (table,) = catalog.batches(10, columns=["brand", "title"])
    assert table.column_names == ["title", "brand"]
    assert table.column("brand").null_count == 4


def test_the_partner_is_a_column_or_the_file_s_label_where_there_are_several(tmp_path: Path) -> None:
    def partners(path: Path) -> list[str | None]:
        return [row["partner"] for table in opened(path).batches(10, columns=["partner"]) for row in table.to_pylist()]

    (tmp_path / "alder.csv").write_text("product_id,title\n1,Mug\n2,Pan\n")
    assert partners(tmp_path / "alder.csv") == [None, None]
    (tmp_path / "borea.csv").write_text("product_id,title,partner\n3,Mug,Cedar\n4,Pan,\n")
    assert partners(tmp_path / "borea.csv") == ["Cedar", None]
    assert partners(tmp_path) == ["alder", "alder", "Cedar", "borea"]


def test_a_split_is_read_where_it_is_asked_for(tmp_path: Path) -> None:
    def parts(path: Path, **settings: Any) -> list[str | None]:
        tables = opened(path, **settings).batches(10, columns=["split", "title"])
        return [row["split"] for table in tables for row in table.to_pylist()]

    own = tmp_path / "alder.csv"
    own.write_text("product_id,title,split\n1,Mug,TEST\n2,Pan,train\n3,Pot,Valid\n4,Cup,\n")
    assert parts(own) == [None] * 4
    assert parts(own, split="split") == ["test", "train", "train", "train"]
    (tmp_path / "borea.csv").write_text("product_id,title\n5,Jug\n")
    assert parts(tmp_path, split="split") == ["test", "train", "train", "train", "train"]
    assert parts(tmp_path, files={"alder": {"split": "split"}}) == ["test", "train", "train", "train", "train"]
    with pytest.raises(CatalogError, match=r"no column 'part', which \[catalog\] names as split; columns there: "):
        opened(own, split="part")
    with pytest.raises(CatalogError, match=r"alder.csv row 2: title: found 'Mug', 'Pan', 'Pot', 'Cup'; wanted test, t"):
        parts(own, split="title")


def test_a_split_is_no_input_though_its_column_looks_like_one(tmp_path: Path) -> None:
    path = tmp_path / "feed.csv"
    path.write_text("sku,name,category\n" + "".join(f"a{i},Mug {i},{('train', 'test')[i % 2]}\n" for i in range(40)))
    assert opened(path).columns["cat1"] == "category"
    catalog = opened(path, split="category")
    assert "cat1" not in catalog.columns
    (table,) = catalog.batches(100, columns=["split"])
    assert table["split"].to_pylist() == ["train", "test"] * 20


def test_columns_are_mapped_and_left_out(tmp_path: Path) -> None:
    renamed = [{"sku": p["product_id"], "name": p["title"], "description": "x", "category": 5} for p in PRODUCTS]
    columns = {"product_id": "sku", "title": "name", "google_category_id": "category", "description": ""}
    for name in ("c.parquet", "c.csv", "c.jsonl"):
        catalog = opened(write(tmp_path / name, renamed), columns=columns)
        assert catalog.columns == {"product_id": "sku", "title": "name", "google_category_id": "category"}
        first = products_of(catalog)[0]
        assert (first["product_id"], first["title"], first["google_category_id"]) == ("7", "Mug, blue", "5")
        assert first["description"] is None


def test_category_paths_are_split_where_told(tmp_path: Path) -> None:
    path = write(
        tmp_path / "c.csv",
        [{"product_id": 1, "cat1": "Home > Kitchen > Mugs > Blue"}, {"product_id": 2, "cat1": "Toys"}],
    )
    catalog = opened(path, category_separator=">")
    assert catalog.features == ("cat1", "cat2", "cat3")
    assert [(row["cat1"], row["cat2"], row["cat3"]) for row in products_of(catalog)] == [
        ("Home", "Kitchen", "Mugs"),
        ("Toys", None, None),
    ]
    (table,) = catalog.batches(9, columns=["cat2"])
    assert table.column("cat2").to_pylist() == ["Kitchen", None]


def test_pictures_may_stand_in_the_catalog(tmp_path: Path) -> None:
    pictures = [b"\xff\xd8 one", None, b"\xff\xd8 two"] * 200
    ids = [str(n) for n in range(600)]
    faces = [{"bytes": each, "path": f"{n}.jpg"} for n, each in enumerate(pictures)]
    for column in (pa.array(pictures), pa.array(pictures, pa.large_binary()), pa.array(faces)):
        pq.write_table(pa.table({"product_id": ids, "image": column}), tmp_path / "c.parquet")
        catalog = opened(tmp_path / "c.parquet")
        assert catalog.image_kind == "bytes"
        tables = list(catalog.batches(500))
        assert [table.num_rows for table in tables] == [500, 100]
        assert tables[0].schema.field("image").type == pa.large_binary()
        assert [each for table in tables for each in table.column("image").to_pylist()] == pictures


def test_pictures_of_a_struct_may_be_paths(tmp_path: Path) -> None:
    faces = [{"bytes": None, "path": "a.jpg"}, {"bytes": None, "path": "b.jpg"}]
    pq.write_table(pa.table({"product_id": ["1", "2"], "image": faces}), tmp_path / "c.parquet")
    assert [row["image"] for row in products_of(opened(tmp_path / "c.parquet"))] == ["a.jpg", "b.jpg"]


def test_bad_rows_are_counted_and_named(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text('{"product_id": 1, "title": "Mug"}\n{"product_id": 2, "ti\n{"product_id": 3, "title": "Pan"}\n')
    catalog = opened(path, max_lost_rate=0.5)
    assert catalog.check_ids() == 2
    assert [row["product_id"] for row in products_of(catalog)] == ["1", "3"]
    (skipped,) = catalog.skipped_rows.first
    assert str(skipped).startswith(f"{path}: row 2: ")
    assert catalog.skipped_rows.by_reason == {skipped.reason: 1}
    said = message(opened(path).check_ids)
    assert said.startswith(
        f"{path}: 1 of 3 rows are lost (33.3%): 1 {skipped.reason}; the first is row 2; wanted at most"
    )
    assert "max_lost_rate = 0.34" in said


def test_bytes_that_are_not_utf8_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("product_id,Größe\n1,Käse\n2,Öl\n".encode("cp1252"))
    (tmp_path / "b.csv").write_bytes("product_id,Größe\n3,Käse\n".encode("cp1252"))
    catalog = opened(tmp_path, columns={"title": "Größe"})
    for _ in range(2):
        assert catalog.check_ids() == 3
        assert [row["title"] for row in products_of(catalog)] == ["Käse", "Öl", "Käse"]
    assert products_of(pickle.loads(pickle.dumps(catalog))) == products_of(catalog)


def test_a_key_that_comes_late_is_found_or_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    rows = [{"product_id": n} for n in range(10_001)] + [{"product_id": -1, "title": "Blue mug"}] * 2
    path = write(tmp_path / "c.jsonl", rows)
    catalog = opened(path, columns={"product_id": "product_id", "brand": ""}, max_lost_rate=1)
    for _ in range(2):
        assert products_of(catalog, 9_999)[-1]["title"] is None
    assert [record.getMessage().count("'title' comes first in row 10002") for record in caplog.records] == [1]
    assert products_of(opened(path, columns={"title": "title"}), 9_999)[-1]["title"] == "Blue mug"
    assert products_of(opened(path), 9_999)[-1]["title"] == "Blue mug"


@pytest.mark.parametrize("name", ["c.parquet", "c.csv", "c.jsonl"])
def test_repeated_ids_end_the_run_or_are_dropped(tmp_path: Path, name: str) -> None:
    ids = ["a", None, "b", "a", "c", "b"]
    path = write(tmp_path / name, [{"product_id": each, "title": f"t{n}"} for n, each in enumerate(ids)])
    said = message(opened(path).check_ids)
    first, fourth = (2, 5) if name == "c.csv" else (1, 4)
    assert said.startswith(f"{path}: 2 rows repeat a product_id ('a' in {name} row {first} and {name} row {fourth}")
    catalog = opened(path, bad_ids="drop", max_lost_rate=1)
    assert catalog.check_ids() == 4
    rows = products_of(catalog, 2)
    assert [row["title"] for row in rows] == ["t0", "t1", "t2", "t4"]
    assert [row["product_id"] for row in rows] == ["a", f"{name}#{first + 1}", "b", "c"]
    assert catalog.bad_ids is not None
    assert catalog.bad_ids.num_repeated == 2
    assert "2 of 6 rows are lost" in message(opened(path, bad_ids="drop").check_ids)


def test_without_titles_rows_of_one_id_are_no_product_together_wherever_they_stand(tmp_path: Path) -> None:
    """Also as the first row of two files, or of two batches of one."""
    for number in range(2):
        rows = {"product_id": ["a", f"b{number}"], "description": [f"an oak desk {number}", "a mug"]}
        pl.DataFrame(rows).write_parquet(tmp_path / f"{number}.parquet")
    catalog = open_catalog(CatalogConfig(path=str(tmp_path), columns={name: name for name in rows}))
    with pytest.raises(
        CatalogError, match=r"1 row repeats a product_id \('a' in 0.parquet row 1 and 1.parquet row 1\)"
    ):
        catalog.check_ids()


def test_numbers_become_texts(tmp_path: Path) -> None:
    frame = pl.DataFrame({"product_id": [1, 2], "google_category_id": [187.0, None], "title": ["a\0b", ""]})
    frame.write_parquet(tmp_path / "c.parquet")
    first, second = products_of(opened(tmp_path / "c.parquet"))
    assert (first["product_id"], first["google_category_id"], first["title"]) == ("1", "187", "ab")
    assert (second["google_category_id"], second["title"]) == (None, None)


def test_a_catalog_s_address_is_refused_and_not_shown() -> None:
    said = message(lambda: opened("https://ann:secret@shop.example/feed.csv?sig=secret"))
    assert "shop.example" in said
    assert "secret" not in said


def test_a_missing_file_is_named_with_its_likes(tmp_path: Path) -> None:
    write(tmp_path / "catalog.csv")
    assert message(lambda: opened(tmp_path / "catalogue.csv")) == (
        f"{tmp_path}/catalogue.csv: no such file; did you mean 'catalog.csv'?"
    )
    assert "there is no folder" in message(lambda: opened(tmp_path / "nowhere" / "c.csv"))
    assert "no such file" in message(lambda: opened(tmp_path / "*.parquet"))


@pytest.mark.parametrize(
    ("files", "path", "said"),
    [
        ({"a.md": b"x"}, "", "no catalog file in this folder"),
        ({"c.parquet": b"PAR1 and so on"}, "c.parquet", "c.parquet: "),
        ({"c.csv": b""}, "c.csv", "the file is empty"),
        ({"c.jsonl": b"\n"}, "c.jsonl", "the file is empty"),
        ({"c.csv": b"product_id,price\n1,2.5\n"}, "c.csv", "no column holds text or pictures"),
        ({"c.jsonl": b'{"a": \n{"a"\n'}, "c.jsonl", "c.jsonl: "),
    ],
)
def test_what_is_no_catalog_is_named(tmp_path: Path, files: dict[str, bytes], path: str, said: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    assert said in message(lambda: opened(tmp_path / path))


def test_files_with_unequal_columns_are_one_catalog(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("product_id,title,brand\n1,Blue mug,Acme\n")
    pl.DataFrame({"product_id": ["2"], "title": ["Green pan"], "cat1": ["Home"]}).write_parquet(tmp_path / "b.parquet")
    catalog = opened(tmp_path)
    assert list(catalog.columns) == ["product_id", "title", "brand", "cat1"]
    assert [(row["title"], row["brand"], row["cat1"]) for row in products_of(catalog)] == [
        ("Blue mug", "Acme", None),
        ("Green pan", None, "Home"),
    ]


@pytest.mark.parametrize("name", ["c.parquet", "c.csv", "c.jsonl"])
def test_an_unknown_column_is_named(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name)
    assert message(lambda: opened(path, columns={"brand": "titel"})) == (
        f"{path}: no column 'titel', which [catalog] names as brand; did you mean 'title'? "
        "columns there: product_id, title, description, image, cat1"
    )


def test_an_empty_parquet_file_is_no_catalog(tmp_path: Path) -> None:
    pl.DataFrame({"product_id": [], "title": []}).write_parquet(tmp_path / "c.parquet")
    assert "found no product" in message(lambda: opened(tmp_path / "c.parquet"))


def test_files_with_pictures_of_two_kinds_do_not_mix(tmp_path: Path) -> None:
    pl.DataFrame({"product_id": ["1"], "image": ["a.jpg"]}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"product_id": ["2"], "image": [b"x"]}).write_parquet(tmp_path / "b.parquet")
    assert "holds pictures themselves, and that of a paths or addresses" in message(lambda: opened(tmp_path))


@pytest.mark.parametrize("index", [pa.int8(), pa.int16(), pa.int32(), pa.uint32(), pa.int64(), None])
def test_a_value_that_is_not_utf8_costs_nothing_more_in_a_dictionary(tmp_path: Path, index: pa.DataType | None) -> None:
    words = pa.array([b"Caf\xe9", b"Mug", b" "], pa.binary())
    texts = pa.Array.from_buffers(pa.string(), 3, words.buffers())
    places = pa.array([0, 1, 2, None, 1, 0], index or pa.int32())
    column = texts.take(places) if index is None else pa.DictionaryArray.from_arrays(places, texts)
    ids = pa.array([str(n) for n in range(6)]).dictionary_encode()
    table = pa.table({"product_id": ids, "title": column, "tags": pa.array([["a", "b"]] * 6)})
    pq.write_table(table, tmp_path / "c.parquet", row_group_size=4)
    catalog = opened(tmp_path / "c.parquet", columns={"cat1": "tags"})
    assert catalog.check_ids() == 6
    found = products_of(catalog, num_rows=5)
    assert [row["title"] for row in found] == ["Café", "Mug", None, None, "Mug", "Café"]
    assert {(row["cat1"], row["cat2"]) for row in found} == {("a", "b")}


def test_dictionaries_in_lists_are_read(tmp_path: Path) -> None:
    words = pa.array(["Home", "Mugs", "Home", "Pans"]).cast(pa.dictionary(pa.int8(), pa.string()))
    column = pa.ListArray.from_arrays(pa.array([0, 2, 4], pa.int32()), words)
    pq.write_table(pa.table({"product_id": ["1", "2"], "cat1": column}), tmp_path / "c.parquet", row_group_size=1)
    rows = products_of(opened(tmp_path / "c.parquet"))
    assert [(row["cat1"], row["cat2"]) for row in rows] == [("Home", "Mugs"), ("Home", "Pans")]


def test_a_parquet_column_that_ends_early_loses_no_row_in_silence(tmp_path: Path) -> None:
    path = tmp_path / "catalog.parquet"
    pq.write_table(
        pa.table({"product_id": [f"p{n}" for n in range(20)], "title": [f"a thing {n}" for n in range(20)]}), path
    )
    sound, column = path.read_bytes(), pq.read_metadata(path).row_group(0).column(1)
    start = column.dictionary_page_offset
    for place in range(start, start + column.total_compressed_size):
        path.write_bytes(sound[:place] + b"\x01" + sound[place + 1 :])
        try:
            short = (
                sum(batch.num_rows for batch in pq.ParquetFile(path).iter_batches(columns=["product_id", "title"])) < 20
            )
        except (pa.ArrowException, OSError):
            continue
        if short:
            break
    else:
        pytest.skip("pyarrow tells of such a file")
    with pytest.raises(
        CatalogError, match=r"catalog\.parquet: damaged Parquet: a column ends after row 0, wanted 20 rows"
    ):
        list(open_catalog(CatalogConfig(path=str(path))).batches(3))


def test_a_damaged_parquet_file_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "c.parquet", [{"product_id": str(n), "title": f"t{n}" * 9} for n in range(9_000)])
    data = bytearray(path.read_bytes())
    data[1_000:20_000] = bytes(19_000)
    path.write_bytes(data)
    assert str(path) in message(lambda: products_of(opened(path)))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"columns": {"titel": "a"}}, r"columns: found the column 'titel'; did you mean 'title'\?"),
        ({"columns": {"price": "a"}}, "wanted one of product_id, title"),
        ({"bad_ids": "ignore"}, "bad_ids: found 'ignore'"),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        CatalogConfig.parse(settings, source="brand.toml")


texts = st.text(max_size=8) | st.none()


@settings(deadline=None, max_examples=60)
@given(
    products=st.lists(
        st.fixed_dictionaries({"title": texts, "brand": texts, "description": texts}), min_size=1, max_size=9
    ),
    num_rows=st.integers(1, 10),
    name=st.sampled_from(["c.parquet", "c.csv", "c.jsonl", "c.tsv.gz"]),
)
def test_no_text_loses_a_row(
    tmp_path_factory: pytest.TempPathFactory, products: list[dict[str, Any]], num_rows: int, name: str
) -> None:
    whole = [
        {"product_id": str(n), **{k: v and v.encode("utf-8", "replace").decode() for k, v in product.items()}}
        for n, product in enumerate(products)
    ]
    catalog = opened(write(tmp_path_factory.getbasetemp() / name, whole))
    assert catalog.check_ids() == len(whole)
    tables = list(catalog.batches(num_rows))
    assert all(table.num_rows == num_rows for table in tables[:-1])
    found = [
        row for table in tables for row in table.select(["product_id", "title", "description", "brand"]).to_pylist()
    ]
    assert found == [{k: text_of(parsed(v)) if v else None for k, v in product.items()} for product in whole]
