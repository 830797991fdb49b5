"""The difference between two predictions of a catalog: products that were added, changed or removed."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from prodemb.core.bounded import opened_parquet, parquet_footer
from prodemb.core.errors import ConfigError
from prodemb.core.features import PARTNER
from prodemb.score.folder import prediction_files
from prodemb.shards.keys import NOT_FOUND, SortedKeys, keys_of

CHANGE = "change"
"""The column that says `added`, `changed` or `removed`."""
_ROWS_AT_ONCE = 65_536
_NOT_COMPARED = ("_confidence", "_known")


class Earlier:
    """Earlier predictions, in memory as about 50 bytes per product.

    A product has changed when it has another category or brand, or one of them from another source. Confidences, what
    is known and the lists of further predictions do not count, since a head that is trained again moves them all a
    little; nor does the partner, which is no answer.
    """

    def __init__(self, path: Path, *, schema: pa.Schema) -> None:
        """Read them, a file or a folder.

        Args:
            schema: of the new predictions; a column that the earlier ones lack counts as null there.

        Raises:
            ConfigError: there is no such file, or it does not hold every product's predictions.
        """
        self._files, self._schema = prediction_files(path), schema
        self._compared = [field.name for field in schema if _is_compared(field)]
        try:
            names = self._names = parquet_footer(self._files[0]).schema.to_arrow_schema().names
            if "product_id" not in names or CHANGE in names:
                what = "only what had changed" if CHANGE in names else "no column 'product_id'"
                raise ConfigError(f"{path}: found {what}, wanted predictions of all products as `prodemb score` writes")
            read = [(keys_of(rows["product_id"]), self._row_hashes_of(rows)) for rows in self._rows(*self._compared)]
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path}: cannot be read as predictions ({error}); wanted a Parquet file") from None
        self._row_hashes = np.concatenate([np.zeros(0, np.uint64), *(hashes for _, hashes in read)])
        keys = np.concatenate([np.zeros((0, 2), np.uint64), *(keys for keys, _ in read)])
        self._rows_by_key = SortedKeys.build(keys, np.arange(len(keys)))
        self._seen = np.zeros(len(keys), dtype=bool)
        self.counts = {"added": 0, "changed": 0, "removed": 0, "unchanged": 0}

    def changed(self, new: pa.Table) -> pa.Table:
        """Those of some new predictions that were added or changed, with the column `CHANGE`."""
        predictions = pl.DataFrame(pl.from_arrow(new.select(["product_id", *self._compared])))
        rows = self._rows_by_key.find(keys_of(predictions["product_id"]))
        known = rows != NOT_FOUND
        self._seen[rows[known]] = True
        same = np.zeros(len(rows), dtype=bool)
        same[known] = self._row_hashes[rows[known]] == self._row_hashes_of(predictions)[known]
        self.counts["added"] += int((~known).sum())
        self.counts["unchanged"] += int(same.sum())
        self.counts["changed"] += int((known & ~same).sum())
        change = pa.array(np.where(known, "changed", "added"), pa.string())
        return new.append_column(CHANGE, change).filter(pa.array(~same))

    def removed(self) -> Iterator[pa.Table]:
        """The products that the new predictions lack, without answers; call it once `changed` has seen all of those."""
        start = 0
        for rows in self._rows(PARTNER):
            gone = rows.filter(pl.Series(~self._seen[start : start + len(rows)]))
            start += len(rows)
            self.counts["removed"] += len(gone)
            columns = {field.name: pa.nulls(len(gone), field.type) for field in self._schema}
            columns |= {name: gone[name].to_arrow().cast(pa.string()) for name in gone.columns}
            yield pa.table(columns).append_column(CHANGE, pa.array(["removed"] * len(gone), pa.string()))

    def _rows(self, *columns: str) -> Iterator[pl.DataFrame]:
        """The ids and some columns, as far as the files have them."""
        wanted = ["product_id", *(name for name in columns if name in self._names)]
        for path in self._files:
            with opened_parquet(path) as file:
                for batch in file.iter_batches(_ROWS_AT_ONCE, columns=wanted):
                    yield pl.DataFrame(pl.from_arrow(batch)).with_columns(pl.col("product_id").cast(pl.String))

    def _row_hashes_of(self, rows: pl.DataFrame) -> npt.NDArray[np.uint64]:
        """A hash of the compared columns of each row, (n,) uint64."""
        absent = [pl.lit(None).alias(name) for name in self._compared if name not in rows.columns]
        texts = rows.with_columns(absent).select(pl.col(self._compared).cast(pl.String))
        return texts.hash_rows(seed=1).to_numpy()


def changes_schema(schema: pa.Schema) -> pa.Schema:
    """The columns of a file that holds only changes."""
    return schema.append(pa.field(CHANGE, pa.string()))


def _is_compared(field: pa.Field) -> bool:
    is_list = pa.types.is_list(field.type)
    return not is_list and field.name not in ("product_id", PARTNER) and not field.name.endswith(_NOT_COMPARED)
