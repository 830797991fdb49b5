"""Rows become products: nothing titled is lost, and what belongs together comes together."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from prodemb.catalog.ids import describe_repeated
from prodemb.catalog.products import Pass, ProductIndex, RowKeys, hashed, index_products

Row = tuple[str | None, str | None]
"""An id and a title."""


def text(values: Sequence[str | None]) -> pa.LargeStringArray:
    return pa.array(values, pa.large_string())


def keys_of(*files: Sequence[Row], **more: Sequence[str | None]) -> Pass:
    """Keys of rows; `more` has a value for each row of all files."""

    def batches(whole: bool) -> Iterator[RowKeys]:
        start = 0
        for number, rows in enumerate(files):
            titles = hashed(text([title for _, title in rows]))
            here = {name: values[start : start + len(rows)] for name, values in more.items()}
            start += len(rows)
            yield RowKeys(
                file=number,
                rows=np.arange(1, len(rows) + 1),
                ids=text([each for each, _ in rows]),
                titled=titles != 0,
                titles=titles,
                pictured=np.array([value is not None for value in here.get("pictures", [None] * len(rows))], np.bool_),
                kinds=text(here["kinds"]) if "kinds" in here else None,
                parents=hashed(text(here["parents"])) if "parents" in here else None,
            )

    return batches


def index_of(*files: Sequence[Row], id_per_file: bool = False, **more: Sequence[str | None]) -> ProductIndex:
    batches = keys_of(*files, **more)
    return index_products(batches, num_files=len(files), id_per_file=id_per_file, has_relations=bool(more))


def products(index: ProductIndex) -> list[int]:
    return [row for row in range(index.num_rows) if row not in index.other_rows]


def test_each_row_a_product() -> None:
    index = index_of([("a", "A"), ("b", None)], [], [("c", "C")])
    assert (index.num_products, len(index.other_rows), index.rows_of_files) == (3, 0, (2, 0, 1))


def test_rows_of_one_id_are_one_product_wherever_they_stand() -> None:
    rows = [("a", None), ("a", "A"), ("b", "B"), (None, None), ("a", None)]
    index = index_of(rows, pictures=[None, None, None, "p", "q"])
    assert products(index) == [1, 2]
    assert index.picture_rows is not None
    assert [each.tolist() for each in index.picture_rows] == [[1, 2], [4, 3]]
    assert index.merged == {"another row of a product": 3}


def test_a_titled_row_without_an_id_is_a_product() -> None:
    index = index_of([(None, "A"), (None, "B"), (None, None), ("c", None)])
    assert products(index) == [0, 1, 3]
    assert index.made == 2


def test_what_stands_above_the_first_product_is_left_out() -> None:
    index = index_of([(None, None), ("a", "A")], [(None, None), ("b", "B")])
    assert products(index) == [1, 3]
    assert index.merged == {"without an id and a title": 2}


def test_another_title_is_another_product() -> None:
    batches = keys_of([("a", "A"), ("a", "B"), ("b", "C")], [("a", "A"), ("b", "D")])
    index = index_products(batches, num_files=2, has_relations=False)
    assert index.repeated.tolist() == [1, 4]
    assert index.num_repeated_across == 1
    assert products(index) == [0, 1, 2, 4]
    said = str(describe_repeated(index, batches, names=["x.csv", "y.csv"]))
    assert said == "2 rows repeat a product_id ('a' in x.csv row 1 and x.csv row 2; 'b' in x.csv row 3 and y.csv row 2)"
    assert index_products(batches, num_files=2, id_per_file=True, has_relations=False).repeated.tolist() == [1]


def test_kinds_and_parents() -> None:
    rows = [("1", "A"), ("90", "[S]Size=M"), ("91", None), ("2", "B"), ("3", "A, red")]
    index = index_of(rows, kinds=[None, "sku", "image", None, None], parents=[None, None, None, None, "1"])
    assert products(index) == [0, 3]
    assert index.merged == {"variant of another product": 1, "no product but 'sku'": 1, "no product but 'image'": 1}


@given(
    st.lists(st.lists(st.tuples(st.none() | st.sampled_from("abcd"), st.none() | st.sampled_from("ABC"))), max_size=3)
)
def test_every_titled_row_is_in_a_product(files: list[list[Row]]) -> None:
    rows = [row for file in files for row in file]
    index = index_of(*files)
    kept = {rows[place] for place in products(index)}
    assert index.num_rows == len(rows)
    assert {row for row in rows if row[1] is not None} <= kept
    assert {each for each, _ in rows if each} == {each for each, _ in kept if each}
    assert index.num_products + sum(index.merged.values()) == len(rows)


@given(st.lists(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("ABC"), st.none() | st.just("p")))))
def test_rows_with_ids_of_their_own_need_no_second_look(files: list[list[tuple[str, str, str | None]]]) -> None:
    """The same comes out where all rows are looked at, as is done where they may have relations."""
    pictures = [picture for file in files for _, _, picture in file]
    batches = keys_of(*([(each, title) for each, title, _ in file] for file in files), pictures=pictures)
    quick, whole = (
        index_products(batches, num_files=len(files), has_relations=has_relations) for has_relations in (False, True)
    )
    assert as_lists(quick) == as_lists(whole)


def as_lists(index: ProductIndex) -> dict[str, object]:
    pictures = None if index.picture_rows is None else [each.tolist() for each in index.picture_rows]
    arrays = {"other_rows": index.other_rows.tolist(), "repeated": index.repeated.tolist(), "picture_rows": pictures}
    return vars(index) | arrays
