"""Opening and reading shard sets."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from prodemb.core.errors import FingerprintError, ShardError
from prodemb.core.features import GOLD_LABELS, PARTNER, TEXT_FEATURES, Feature, error_column, raw_column
from prodemb.core.text import counted
from prodemb.shards.checked import Checked
from prodemb.shards.file import ShardFile
from prodemb.shards.folder import AnyFolder, shard_folder
from prodemb.shards.format import (
    Manifest,
    ShardRecord,
    has_manifest,
    is_replaced,
    read_manifest,
)
from prodemb.shards.labels import GivenLabels
from prodemb.shards.shard import Shard, Vectors
from prodemb.storage.address import Place

VALUE_COLUMNS = ("product_id", PARTNER, *(raw_column(feature) for feature in TEXT_FEATURES), *GOLD_LABELS)
"""The columns of a shard that a catalog's own values are in."""
_TRIES = 3
"""How often a set is opened that is updated just then."""


@dataclass(frozen=True, kw_only=True)
class Coded:
    """A text column of n products as its distinct values, at four bytes per product."""

    values: pl.Series
    """(k,) string, in the order in which they come first."""
    codes: npt.NDArray[np.int32]
    """(n,) which of them each product has; -1 for none."""

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """(k,) how many products have each."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.values))

    def mapped(self, numbers: Iterable[int], *, none: int) -> npt.NDArray[np.int32]:
        """For each product the number of its value, (n,).

        Args:
            numbers: one for each of the k values.
            none: where there is no value.
        """
        return np.array([*numbers, none], dtype=np.int32)[self.codes]


class ShardSet:
    """All recorded shards of one model, in catalog order, as they were when the set was opened."""

    def __init__(self, folder: Place, *, manifest: Manifest, files: Mapping[str, ShardFile]) -> None:
        """The set that a manifest lists.

        Args:
            files: its files by name; one that is not there is opened each time it is read.
        """
        self.folder = folder
        self.manifest = manifest
        self.schema = manifest.shard_schema
        self.num_products = manifest.num_products
        self.labels: GivenLabels | None = None
        """What stands in place of gold labels of the shards, see `with_labels`."""
        self._ends = np.cumsum([record.num_products for record in manifest.shards])
        self._files = files
        self._folder = shard_folder(folder)
        # What comes from a bucket is hashed as it comes.
        self._checked = Checked.read(folder) if self._folder.is_local else Checked(folder)

    @property
    def name(self) -> str:
        """The folder, and where other labels come from, for messages."""
        return str(self.folder) if self.labels is None else f"{self.folder} with {self.labels.source}"

    def with_labels(self, labels: GivenLabels | None) -> "ShardSet":
        """The same set, whose frames show these gold labels in place of its own; all as it is where there are none."""
        labelled = copy(self)
        labelled.labels = labels
        return labelled

    def shard_of(self, row: int) -> int:
        """The number of the shard that holds a product."""
        return int(np.searchsorted(self._ends, row, side="right"))

    def start_of(self, shard: int) -> int:
        """The row of the first product of a shard."""
        return int(self._ends[shard - 1]) if shard else 0

    def __getstate__(self) -> dict[str, Any]:
        """The set for another process, which opens the files itself."""
        return self.__dict__ | {"_files": {}}

    def shards(self, *, first: int = 0) -> Iterator[Shard]:
        """Map the shards one after another, from the `first` on.

        A file that is not just as it was when its checksum was last found right is hashed first.

        Raises:
            ShardError: a file is missing, truncated, altered or not a shard; or an update has replaced the set since it
                was opened, and its files were more than the process may hold open.
            FingerprintError: a file was made by another model than the manifest says.
        """
        records = self.manifest.shards[first:]
        for number, record in enumerate(records):
            try:
                shard = self._opened(record)
            except ShardError as error:
                if is_replaced(self.folder, manifest=self.manifest):
                    raise ShardError(f"{self.folder}: was updated while it was read; run again") from error
                raise
            if 0 < number < len(records) - 1:  # who has asked for a second one is likely to ask for all
                self._folder.expect(records[number + 1])
            yield shard

    def _opened(self, record: ShardRecord) -> Shard:
        file = self._files.get(record.name) or self._folder.open(record)
        shard = Shard(file, record=record, labels=self.labels)
        if shard.schema.fingerprint != self.schema.fingerprint:
            raise FingerprintError(
                f"{shard.path}: made by {shard.schema.model} ({shard.schema.fingerprint}), but its set by "
                f"{self.schema.model} ({self.schema.fingerprint}); embed again"
            )
        if not shard.schema.like(self.schema) or not shard.has_columns():
            raise ShardError(f"{shard.path}: has other columns than its set; embed again to redo it")
        if self._checked.hold(record, file=file):
            shard.check_finite()
        return shard

    def vectors(self, feature: Feature) -> Vectors:
        """The feature's vectors of all products, (n, dim) float16, L2-normalised; zeros where it is absent.

        A set of one shard gives a read-only view of the mapped file; of several, a copy in one array of n * dim * 2
        bytes. `shards` gives one after another without a copy.

        Raises:
            ShardError: the set has no such feature; or as `shards`.
            FingerprintError: as `shards`.
        """
        if len(self.manifest.shards) == 1:
            return next(self.shards()).vectors(feature)
        out = np.empty((self.num_products, self.schema.dim_of(feature)), dtype="<f2")
        start = 0
        for shard in self.shards():
            out[start : start + shard.num_products] = shard.vectors(feature)
            start += shard.num_products
        return out

    def present(self, feature: Feature) -> npt.NDArray[np.bool_]:
        """Whether each product has the feature, (n,) bool."""
        return np.concatenate([shard.present(feature) for shard in self.shards()])

    def text_vectors(self, feature: Feature) -> tuple[list[str], Vectors]:
        """The distinct supplied texts of a feature, and for each the vector of the first product that carries it.

        Texts without a vector are left out, and so is everything where the shards lack the feature. Memory grows with
        the distinct texts, not with the products.

        Returns:
            n texts in catalog order, and their vectors (n, dim) float16.
        """
        texts: dict[str, None] = {}
        found: list[Vectors] = [np.empty((0, self.schema.dim), dtype="<f2")]
        for shard in self.shards() if feature in self.schema.features else ():
            column = shard.frame([raw_column(feature), error_column(feature)]).with_row_index("row")
            column = column.filter(pl.col(error_column(feature)).is_null()).drop_nulls(raw_column(feature))
            column = column.unique(raw_column(feature), keep="first", maintain_order=True)
            rows = column.select("row", raw_column(feature)).iter_rows()
            new = {text: row for row, text in rows if text not in texts}
            texts.update(dict.fromkeys(new))
            found.append(shard.vectors(feature)[list(new.values())])
        return list(texts), np.concatenate(found)

    def frame(self, columns: Sequence[str] = VALUE_COLUMNS) -> pl.DataFrame:
        """Some columns of all products, n rows in catalog order, as those of `vectors`.

        Args:
            columns: by default `product_id`, `partner`, the supplied values (`raw_*`) and the gold labels; all of them
                strings.
        """
        return pl.concat([shard.frame(columns) for shard in self.shards()])

    def coded(self, column: str) -> Coded:
        """A text column of all products."""
        code_of: dict[str, int] = {}
        codes = [np.empty(0, dtype=np.int32)]
        for shard in self.shards():
            texts = shard.frame([column]).to_series().cast(pl.String)
            distinct = texts.unique(maintain_order=True).drop_nulls()
            found = [code_of.setdefault(text, len(code_of)) for text in distinct]
            codes.append(texts.replace_strict(distinct, found, default=-1, return_dtype=pl.Int32).to_numpy())
        return Coded(values=pl.Series(column, list(code_of), dtype=pl.String), codes=np.concatenate(codes))


def open_shard_set(folder: Place) -> ShardSet:
    """Open a finished shard set, with all its files: what is read from it is this set, whatever an update does.

    Holds one file descriptor per shard. Where the process may not hold so many (`prodemb.core.rlimits`), and of a set
    in a bucket, files are opened when they are read, and an update ends the reading. A damaged file shows when it is
    read.

    Raises:
        ShardError: the folder is none, is damaged, or its embedding was interrupted.
    """
    where = shard_folder(folder)
    for _ in range(_TRIES):
        manifest = read_manifest(folder)
        if not manifest.complete:
            raise ShardError(
                f"{folder}: unfinished: {counted(manifest.num_products, 'product')} so far; run the same "
                "`prodemb embed` again, it goes on where it stopped"
            )
        files = where.open_all(manifest.shards)
        is_held = len(files) == len(manifest.shards) or not where.is_local
        if is_held or not is_replaced(folder, manifest=manifest):
            return ShardSet(folder, manifest=manifest, files=files)
    raise ShardError(f"{folder}: was updated while it was read; run again")


def find_shard_sets(folder: Place) -> list[ShardSet]:
    """The finished shard sets at `folder`, opened: itself, and its direct subfolders.

    Raises:
        ShardError: there is none, or none is finished.
    """
    folders = find_shard_folders(folder)
    finished = [f for f in folders if read_manifest(f).complete]
    return [open_shard_set(f) for f in finished or folders[:1]]


def find_shard_folders(folder: AnyFolder) -> list[Place]:
    """The folders of the shard sets at `folder`: itself, and its direct subfolders.

    Raises:
        ShardError: there is none.
    """
    files = shard_folder(folder)
    if not files.is_there():
        raise ShardError(f"{files.place}: no such folder; wanted shards, as `prodemb embed` writes them")
    folders = [each.place for each in (files, *files.below()) if has_manifest(each)]
    if not folders:
        raise ShardError(f"{files.place}: no shard set here or one folder below; run `prodemb embed`")
    return folders
