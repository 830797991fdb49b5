"""The settings of a catalog (`[catalog]`): which files, and how their rows become products."""

import difflib
from typing import Literal

from pydantic import Field, field_validator

from prodemb.core.config import Config
from prodemb.core.features import CATALOG_COLUMNS


class TableConfig(Config):
    """How the rows of one kind of file become products. `prodemb init` writes these settings."""

    columns: dict[str, str] = Field(default_factory=dict)
    """Standard column name = the file's own. A column with a standard name needs no entry; "" leaves one out. With
    `product_id = ""` ids are made: the file's name and the row's number. Without any entry prodemb guesses."""
    category_separator: str | None = None
    """Where cat1 holds a whole path ("Home > Kitchen > Mugs"): what stands between its levels."""
    category_path_separator: str | None = None
    """Where a cell holds several category paths: what stands between them. The first path counts."""
    row_type: str | None = None
    """A column that says what a row is, where not each row is a product."""
    other_rows: tuple[str, ...] = ()
    """Values of `row_type`, in lower case, whose rows are no products: they belong to `parent`, or to the one above."""
    language_column: str | None = None
    """A column with the language or store view of a row, where a product has a row for each."""
    parent: str | None = None
    """A column that names the product whose row this is a variant of, by its `parent_key`."""
    parent_key: str | None = None
    """The column whose values `parent` and `children` hold; default: the product's id."""
    children: str | None = None
    """A column in which a product lists the rows that are its variants, as Magento does."""
    split: str | None = None
    """A column that says which products are held out from training: those with `test`; `train`, `validation` (also
    `valid`, `val`, `dev`) and empty cells are trained on. By default a hash of the title decides."""

    @field_validator("columns")
    @classmethod
    def _are_standard(cls, columns: dict[str, str]) -> dict[str, str]:
        for name in columns:
            if name not in CATALOG_COLUMNS:
                close = difflib.get_close_matches(name, CATALOG_COLUMNS, n=1)
                hint = f"did you mean {close[0]!r}?" if close else f"wanted one of {', '.join(CATALOG_COLUMNS)}"
                raise ValueError(f"found the column {name!r}; {hint}")
        return columns


class CatalogConfig(TableConfig):
    """Which catalog to read, and how (`[catalog]`)."""

    path: str = "sample/catalog.parquet"
    """A file, a glob, or a folder of files, in any of the formats that docs/catalogs.md lists, packed or not."""
    image_root: str | None = None
    """The folder that picture paths start from; default: the file's own folder, or where its pictures are found."""
    bad_ids: Literal["error", "drop"] = "error"
    """What to do about a product whose id an earlier one with another title has."""
    id_per_file: bool = False
    """Whether an id counts within its file only, as where partners number their products alike: the file's label then
    stands before it (`alder/1001`)."""
    language: str | None = None
    """Where texts stand in several languages: which one to take ("en", "de_DE"); default: the most frequent one."""
    max_lost_rate: float = Field(default=0.02, ge=0, le=1)
    """A larger share of rows that cannot be read, or of products left out, ends the run."""
    files: dict[str, TableConfig] = Field(default_factory=dict)
    """Settings of single files, by their label (the folder, or the name, that tells them apart), in place of those
    above: `[catalog.files.alder]`."""
