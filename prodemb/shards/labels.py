"""Labels that people gave to products in a file of their own: they stand in place of the gold labels of a catalog."""

from dataclasses import dataclass
from functools import cached_property

import polars as pl
import pyarrow as pa

from prodemb.core.features import GOLD_LABELS
from prodemb.core.inputs import inputs_hash


@dataclass(frozen=True, kw_only=True)
class GivenLabels:
    """Gold labels by product id, wherever the products stand and whatever a catalog says of them."""

    frame: pl.DataFrame
    """`product_id`, each once, and the columns `GOLD_LABELS`; null where a product has no such label here."""
    source: str
    """The file that they are from, for messages."""

    @cached_property
    def inputs_hash(self) -> str:
        """The `prodemb.core.inputs.inputs_hash` of the labels, in whatever order and file they stand."""
        return inputs_hash(labels=self.frame.sort("product_id").rows())

    def onto(self, products: pl.DataFrame) -> pl.DataFrame:
        """Products with these labels where there are any, and their own where there are none.

        Args:
            products: `product_id` and one or both of the columns `GOLD_LABELS`, beside others.
        """
        columns = [name for name in GOLD_LABELS if name in products.columns]
        joined = products.join(
            self.frame.select("product_id", *columns),
            on="product_id",
            how="left",
            suffix="_given",
            maintain_order="left",
        )
        return joined.with_columns(pl.coalesce(f"{name}_given", name).alias(name) for name in columns).select(
            products.columns
        )

    def onto_rows(self, rows: pa.Table) -> pa.Table:
        """The same for catalog rows, whose columns and types stay."""
        shown = self.onto(pl.DataFrame(pl.from_arrow(rows.select(["product_id", *GOLD_LABELS]))))
        for name in GOLD_LABELS:
            place = rows.schema.get_field_index(name)
            rows = rows.set_column(
                place, rows.schema.field(place), shown[name].to_arrow().cast(rows.schema.types[place])
            )
        return rows
