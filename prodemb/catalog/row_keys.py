"""What of a catalog's rows decides which product they belong to, read out of their own columns."""

import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from prodemb.catalog.choose_id import is_one_of, is_value, parent_keys
from prodemb.catalog.formats import RowBatch
from prodemb.catalog.pictures import kind_of
from prodemb.catalog.plan import FilePlan, ReadingPlan
from prodemb.catalog.products import Flags, RowKeys, hashed
from prodemb.catalog.values import as_texts, is_present

MIN_OTHER_COLUMNS = 2
"""So many columns besides id and title must be empty for a row to be a remark."""
_SKU = re.compile(r"(?:^|[|,;])\s*sku=([^,|;]+)")


class KeyMaker:
    """Makes the keys of rows, in one of the two passes that find the products."""

    def __init__(self, plan: ReadingPlan, *, whole: bool) -> None:
        """In the first pass, not `whole`, only ids and titles are read."""
        self._plan = plan
        self._whole = whole
        self._has_titles = "title" in plan.columns

    def columns(self, file: FilePlan) -> list[str]:
        """A file's own columns that are needed."""
        own = [file.columns.get("product_id"), file.columns.get("title")]
        if self._whole:
            table = file.table
            own += [table.row_type, table.language_column, table.parent, table.parent_key, table.children]
            own += [name for standard, name in file.columns.items() if self._is_light(standard)]
        return [*dict.fromkeys(name for name in own if name)]

    def keys_of(self, batch: RowBatch, *, file: FilePlan, number: int) -> RowKeys:
        """The keys of some rows of a file, which is the catalog's `number`-th."""
        num_rows = len(batch.rows)
        title = file.columns.get("title")
        # Without titles nothing tells that two rows with one id are one product.
        titles = batch.rows.astype(np.uint64) + (np.uint64(number + 1) << np.uint64(48))
        if self._has_titles:
            titles = hashed(_texts(batch, title))
        keys = RowKeys(
            file=number,
            rows=batch.rows,
            ids=_texts(batch, file.columns.get("product_id")),
            titled=titles != 0,
            titles=titles,
            pictured=np.zeros(num_rows, np.bool_),
        )
        return self._with_relations(keys, batch, file=file) if self._whole else keys

    def _with_relations(self, keys: RowKeys, batch: RowBatch, *, file: FilePlan) -> RowKeys:
        table = file.table
        salt = keys.file if self._plan.id_per_file else 0
        kinds = translated = parents = parent_key = None
        if table.row_type is not None:
            kinds = _kinds(_texts(batch, table.row_type), table.other_rows)
        if table.language_column is not None:
            translated = ~is_value(_texts(batch, table.language_column), self._plan.row_language)
        if table.parent is not None:
            parents = hashed(parent_keys(_texts(batch, table.parent)), salt=salt)
        if table.parent_key is not None:
            parent_key = hashed(_texts(batch, table.parent_key), salt=salt)
        lists = [] if table.children is None else _texts(batch, table.children).to_pylist()
        present = {
            standard: _present(batch, own)
            for standard, own in file.columns.items()
            if standard not in ("product_id", "title") and self._is_light(standard)
        }
        image = file.columns.get("image")
        has_paths = "image" in present and kind_of(batch.table.column(image).type) == "path"
        return RowKeys(
            file=keys.file,
            rows=keys.rows,
            ids=keys.ids,
            titled=keys.titled,
            titles=keys.titles,
            pictured=present["image"] if has_paths else keys.pictured,
            bare=~np.any([*present.values()], axis=0) if len(present) >= MIN_OTHER_COLUMNS else None,
            kinds=kinds,
            translated=translated,
            parents=parents,
            keys=parent_key,
            children=[(row, _listed(text)) for row, text in enumerate(lists) if text],
        )

    def _is_light(self, standard: str) -> bool:
        """Whether a column can be read only to see what is there; pictures themselves are too large for that."""
        return standard != "image" or self._plan.image_kind == "path"


def array_of(table: pa.Table, name: str) -> pa.Array:
    """A column of a table in one piece."""
    column = table.column(name).combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        return column.chunk(0) if column.num_chunks else pa.array([], column.type)
    return column


def _texts(batch: RowBatch, own: str | None) -> pa.LargeStringArray:
    if own is None:
        return pa.nulls(len(batch.rows), pa.large_string())
    return as_texts(array_of(batch.table, own))


def _present(batch: RowBatch, own: str) -> Flags:
    return np.asarray(is_present(array_of(batch.table, own)).to_numpy(zero_copy_only=False), np.bool_)


def _kinds(values: pa.LargeStringArray, others: Sequence[str]) -> pa.LargeStringArray:
    """What rows are that are no products; null for products."""
    is_other = is_one_of(values, others)
    lower = (value.casefold() if other else None for value, other in zip(values.to_pylist(), is_other, strict=True))
    return pa.array(lower, pa.large_string())


def _listed(text: str) -> list[str]:
    """The keys in a cell that lists rows: Magento's `sku=A,size=S|sku=B,size=M`, or a plain list."""
    return [each.strip() for each in (_SKU.findall(text) or re.split(r"[,|;]", text)) if each.strip()]
