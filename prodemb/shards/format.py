"""The layout of a shard and of a shard set's manifest, as the one place that knows it.

A shard is ordinary Parquet with one row group. A vector column is `FIXED_LEN_BYTE_ARRAY(2 * dim)` of little-endian
float16, L2-normalised, not null, PLAIN, uncompressed, in one page, so its values are the last `num_products * 2 * dim`
bytes of the column chunk and `prodemb.shards.reader` maps them without a copy. An absent vector is zeros. Columns:

    product_id                     string, not null
    <feature>                      the vector, one column a feature
    <feature>_absent               string, null where the vector is present, else the reason why it is not
    <feature>_hash                 16 bytes, BLAKE2b of what was encoded, null where absent
    supplied_<text feature>        string, what the partner sent
    google_category_id, brand_label    string, gold labels, null where the catalog has none
"""

import json
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
from pydantic import Field, ValidationError, model_validator

from prodemb.config import Config
from prodemb.errors import ShardError
from prodemb.features import (
    ALL_FEATURES,
    GOLD_LABELS,
    TEXT_FEATURES,
    Feature,
    absent_column,
    hash_column,
    supplied_column,
)
from prodemb.files import read_json, write_json
from prodemb.lexical import LexicalKind

SCHEMA_VERSION = 1
MANIFEST_NAME = "manifest.json"
METADATA_KEY = b"prodemb"
MAX_PRODUCTS = 16_384
"""Products a shard at most: pyarrow 26 then writes each vector column as one page, which is what can be mapped."""
HASH_BYTES = 16


class ShardSchema(Config):
    """What all shards of a set have in common; stands in the Parquet metadata of each and in the manifest."""

    schema_version: int = SCHEMA_VERSION
    fingerprint: str
    """Hash of the weights and preprocessing that made the vectors."""
    model: str
    """The checkpoint's name as the user gave it, for people; the fingerprint decides."""
    dim: int
    """Numbers in one vector of CLIP's."""
    lexical: LexicalKind | None = None
    """What made the lexical vectors; None where there are none."""
    features: tuple[Feature, ...]
    """The features that have a vector column, in the order of `prodemb.features.ALL_FEATURES`."""

    @model_validator(mode="after")
    def _lexical_is_told(self) -> Self:
        if ("lexical" in self.features) != (self.lexical is not None):
            raise ValueError("found lexical vectors or their kind without the other, wanted both or none")
        return self

    def dim_of(self, feature: Feature) -> int:
        """Numbers in one vector of the feature."""
        return self.lexical.dim if feature == "lexical" and self.lexical is not None else self.dim

    def arrow(self) -> pa.Schema:
        """The columns of a shard, with this schema as metadata."""
        fields = [pa.field("product_id", pa.string(), nullable=False)]
        for feature in self.features:
            fields.append(pa.field(feature, pa.binary(2 * self.dim_of(feature)), nullable=False))
            fields.append(pa.field(absent_column(feature), pa.string()))
            fields.append(pa.field(hash_column(feature), pa.binary(HASH_BYTES)))
        fields += [pa.field(supplied_column(feature), pa.string()) for feature in TEXT_FEATURES]
        fields += [pa.field(label, pa.string()) for label in GOLD_LABELS]
        return pa.schema(fields, metadata={METADATA_KEY: self.model_dump_json()})

    @classmethod
    def from_metadata(cls, metadata: dict[bytes, bytes] | None, *, path: Path) -> Self:
        """Read the schema out of a Parquet file's metadata.

        Raises:
            ShardError: the file is not a shard, or one of another schema version.
        """
        raw = (metadata or {}).get(METADATA_KEY)
        if raw is None:
            raise ShardError(f"{path}: not a shard: its Parquet metadata has no {METADATA_KEY.decode()!r} entry")
        try:
            values: dict[str, Any] = json.loads(raw)
            version = values.get("schema_version")
        except (ValueError, AttributeError):
            raise ShardError(f"{path}: the {METADATA_KEY.decode()!r} entry of its metadata is not JSON") from None
        if version != SCHEMA_VERSION:
            raise ShardError(f"{path}: found shard schema version {version}, wanted {SCHEMA_VERSION}; embed again")
        return cls.parse(values, source=str(path))


class ShardRecord(Config):
    """One finished shard, as the manifest lists it. What is not listed does not exist."""

    name: str
    num_products: int
    num_bytes: int
    sha256: str
    rows_hash: str
    """Hash of the catalog rows it was made from: when they change, the shard is made again."""
    absences: dict[Feature, dict[str, int]]
    """How many vectors are absent, by feature and reason."""


class Manifest(Config):
    """A shard set's `manifest.json`."""

    shard_schema: ShardSchema
    catalog: str
    """The catalog the shards were made from, as the user gave it."""
    left_out: dict[str, int] = Field(default={})
    """Rows of the catalog that are in no shard, by reason: those that cannot be read, and bad product ids."""
    shard_size: int
    """Products a shard; the last one may hold fewer."""
    complete: bool
    """Whether every row of the catalog is in a recorded shard."""
    shards: tuple[ShardRecord, ...]

    @property
    def num_products(self) -> int:
        """Products in all recorded shards."""
        return sum(shard.num_products for shard in self.shards)

    def absences(self) -> dict[Feature, dict[str, int]]:
        """How many vectors are absent in the whole set, by feature and reason, most frequent reason first."""
        total: dict[Feature, dict[str, int]] = {}
        for shard in self.shards:
            for feature, reasons in shard.absences.items():
                into = total.setdefault(feature, {})
                for reason, count in reasons.items():
                    into[reason] = into.get(reason, 0) + count
        ordered = sorted(total, key=ALL_FEATURES.index)
        return {feature: dict(sorted(total[feature].items(), key=lambda item: -item[1])) for feature in ordered}

    def write(self, folder: Path) -> None:
        """Write `folder/manifest.json` whole."""
        write_json(folder / MANIFEST_NAME, self.model_dump(mode="json"))


def shard_name(index: int) -> str:
    """The file name of the shard with this place in the set."""
    return f"part-{index:05d}.parquet"


def has_manifest(folder: Path) -> bool:
    """Whether `folder` is a shard set."""
    return (folder / MANIFEST_NAME).is_file()


def read_manifest(folder: Path) -> Manifest:
    """Read a shard set's manifest.

    Raises:
        ShardError: there is none, or it is damaged.
    """
    path = folder / MANIFEST_NAME
    if not folder.is_dir():
        raise ShardError(f"{folder}: no such folder; wanted a shard set, as `prodemb embed` writes it")
    try:
        return Manifest.model_validate(read_json(path))
    except FileNotFoundError:
        raise ShardError(f"{folder}: no {MANIFEST_NAME} here, so this is no shard set; run `prodemb embed`") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ShardError(f"{path}: damaged: {where}: {first['msg']}; remove it and embed again") from None
    except ValueError as error:
        raise ShardError(f"{path}: damaged: not JSON ({error}); remove it and embed again") from None
