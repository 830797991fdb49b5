"""The layout of a shard and of a shard set's manifest; no other module knows it.

A shard is ordinary Parquet with one row group. A vector column is `FIXED_LEN_BYTE_ARRAY(2 * dim)` of little-endian
float16, L2-normalised, not null, PLAIN, uncompressed, in one page, so its values are the last `num_products * 2 * dim`
bytes of the column chunk and `prodemb.shards.shard` maps them without a copy. An absent vector is zeros. Columns:

    product_id                     string, not null
    partner                        string, who sent the product, null where the catalog is one file that does not say
    <feature>                      the vector, one column per feature
    <feature>_error                string, null where the vector is present, else the reason why it is not
    <feature>_hash                 16 bytes, BLAKE2b of what was encoded, null where absent
    image_source                   16 bytes, hash of where the picture came from (address, or path, size and time),
                                   null where the catalog names none; only where there is the feature
    raw_<text feature>             string, what the partner sent
    google_category_id, brand_label    string, gold labels, null where the catalog has none
    split                          string, `test` or `train`, null where the catalog does not say which are held out
"""

import hashlib
import json
import re
import string
from collections.abc import Container, Iterator
from typing import Annotated, Any, Self

import pyarrow as pa
from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from prodemb.core.bounded import parse_json
from prodemb.core.config import Config
from prodemb.core.errors import ConfigError, ShardError, VersionError
from prodemb.core.features import (
    ALL_FEATURES,
    GOLD_LABELS,
    PARTNER,
    SPLIT,
    TEXT_FEATURES,
    Feature,
    error_column,
    hash_column,
    raw_column,
)
from prodemb.core.files import json_text
from prodemb.core.inputs import inputs_hash
from prodemb.shards.folder import AnyFolder, shard_folder
from prodemb.shards.lexical import LexicalKind
from prodemb.shards.text import MAX_DIM, TextKind
from prodemb.storage.address import Place

SCHEMA_VERSION = 5
MANIFEST_NAME = "manifest.json"
UPDATE_NAME = "update.json"
"""The manifest of the set that an update is making, while the one in place is still valid."""
CHECKSUM_KEY = "sha256"
"""The manifest's checksum, over its other entries."""
METADATA_KEY = b"prodemb"
ROWS_HASH_KEY = b"prodemb_rows_hash"
MAX_PRODUCTS = 16_384
"""Most products in a shard: pyarrow 26 then writes each vector column as one page, which is what can be mapped."""
MAX_SHARDS = 65_536
"""Most shards in a set: its manifest, of 700 to 1,100 bytes for each, is read and written as a whole."""
HASH_BYTES = 16
IMAGE_SOURCE = "image_source"
NO_VALUE = "no value"
"""The reason of a vector that is absent because the catalog's cell is empty."""

Count = Annotated[int, Field(ge=0, le=10**12)]
"""Of products, rows or vectors."""


class ShardSchema(Config):
    """What all shards of a set have in common; in the Parquet metadata of each and in the manifest."""

    schema_version: int = SCHEMA_VERSION
    fingerprint: str
    """Hash of the weights and preprocessing that made the vectors."""
    model: str
    """The checkpoint's name as the user gave it, for people; the fingerprint decides."""
    dim: int = Field(ge=1, le=MAX_DIM)
    """Numbers in one vector of CLIP's."""
    lexical: LexicalKind | None = None
    """What made the lexical vectors; None where there are none."""
    text: TextKind | None = None
    """What made the text vectors; None where there are none."""
    features: tuple[Feature, ...]
    """The features that have a vector column, in the order of `prodemb.core.features.ALL_FEATURES`."""
    fine_tuned: bool = False
    """Whether prodemb fine-tuned the model: it has then learned from the labels of the training part, so vectors of
    these products are better than those of new ones."""

    @field_validator("features")
    @classmethod
    def _in_their_order(cls, features: tuple[Feature, ...]) -> tuple[Feature, ...]:
        if not features or list(features) != sorted(set(features), key=ALL_FEATURES.index):
            raise ValueError(
                f"found {', '.join(features) or 'none'}, wanted some of {', '.join(ALL_FEATURES)}, in order"
            )
        return features

    @model_validator(mode="after")
    def _has_kinds(self) -> Self:
        for feature, kind in (("lexical", self.lexical), ("text", self.text)):
            if (feature in self.features) != (kind is not None):
                raise ValueError(f"found {feature} vectors or their kind without the other, wanted both or none")
        return self

    @model_serializer(mode="wrap")
    def _without_no_text(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Shards without text vectors are byte by byte as if there were no such feature."""
        values: dict[str, Any] = dump(self)
        return values if self.text is not None else {key: values[key] for key in values if key != "text"}

    def dim_of(self, feature: Feature) -> int:
        """Numbers in one vector of the feature."""
        kind = {"lexical": self.lexical, "text": self.text}.get(feature)
        return self.dim if kind is None else kind.dim

    @property
    def joined(self) -> tuple[Feature, ...]:
        """The fields that a text vector is made of; none where there is no such vector."""
        return self.text.features if self.text is not None else ()

    def encoder_of(self, feature: Feature) -> str:
        """What made the feature's vectors: vectors of two sets may be in one where this is the same."""
        return encoder(feature, fingerprint=self.fingerprint, lexical=self.lexical, text=self._text_encoder)

    def inputs_hash(self, rows_hash: str) -> str:
        """The `shard_inputs_hash` of a shard of this schema made from rows with this hash."""
        return shard_inputs_hash(
            rows_hash,
            fingerprint=self.fingerprint,
            features=self.features,
            lexical=self.lexical,
            text=self._text_encoder,
        )

    def like(self, other: "ShardSchema") -> bool:
        """Whether shards of both can be in one set: all is the same but the names that the user gave the models."""
        return self._unnamed() == other._unnamed()

    def _unnamed(self) -> "ShardSchema":
        text = self.text and self.text.model_copy(update={"model": ""})
        return self.model_copy(update={"model": "", "text": text})

    @property
    def _text_encoder(self) -> str | None:
        return None if self.text is None else self.text.encoder

    def arrow(self, *, rows_hash: str) -> pa.Schema:
        """The columns of a shard, with this schema and the hash of its catalog rows as metadata."""
        fields = [pa.field("product_id", pa.string(), nullable=False), pa.field(PARTNER, pa.string())]
        for feature in self.features:
            fields.append(pa.field(feature, pa.binary(2 * self.dim_of(feature)), nullable=False))
            fields.append(pa.field(error_column(feature), pa.string()))
            fields.append(pa.field(hash_column(feature), pa.binary(HASH_BYTES)))
        if "image" in self.features:
            fields.append(pa.field(IMAGE_SOURCE, pa.binary(HASH_BYTES)))
        fields += [pa.field(raw_column(feature), pa.string()) for feature in TEXT_FEATURES]
        fields += [pa.field(name, pa.string()) for name in (*GOLD_LABELS, SPLIT)]
        return pa.schema(fields, metadata={METADATA_KEY: self.model_dump_json(), ROWS_HASH_KEY: rows_hash})

    @classmethod
    def from_metadata(cls, metadata: dict[bytes, bytes] | None, *, path: Place) -> Self:
        """Read the schema out of a Parquet file's metadata.

        Raises:
            ShardError: the file is not a shard, or one of another schema version.
        """
        raw = (metadata or {}).get(METADATA_KEY)
        if raw is None:
            raise ShardError(f"{path}: not a shard: its Parquet metadata has no {METADATA_KEY.decode()!r} entry")
        try:
            values: dict[str, Any] = parse_json(raw)
            version = values.get("schema_version")
        except (ValueError, AttributeError):
            raise ShardError(f"{path}: the {METADATA_KEY.decode()!r} entry of its metadata is not JSON") from None
        if version != SCHEMA_VERSION:
            raise VersionError(f"{path}: found shard schema version {version}, wanted {SCHEMA_VERSION}; embed again")
        try:
            return cls.parse(values, source=str(path))
        except ConfigError as error:
            raise ShardError(f"{error}: its metadata is damaged; embed again to redo it") from None


def shard_inputs_hash(
    rows_hash: str,
    *,
    fingerprint: str,
    features: tuple[Feature, ...],
    lexical: LexicalKind | None,
    text: str | None = None,
) -> str:
    """The `prodemb.core.inputs.inputs_hash` of a shard: a shard with the hash that is wanted is done.

    The shard does not hold it but what it is made of: the rows hash and, in its schema, the settings.

    Args:
        rows_hash: of its catalog rows (`prodemb.shards.hashes.RowsHash`).
        text: the `prodemb.shards.text.text_encoder` of its text vectors, if any.
    """
    settings = {"fingerprint": fingerprint, "lexical": lexical and lexical.model_dump()}
    if text is not None:
        settings["text"] = text
    return inputs_hash(rows=rows_hash, features=features, **settings)


def encoder(feature: Feature, *, fingerprint: str, lexical: LexicalKind | None, text: str | None) -> str:
    """The name of what makes a feature's vectors under these settings; `text` as in `shard_inputs_hash`."""
    match feature:
        case "lexical":
            return f"lexical {lexical.model_dump_json() if lexical else None}"
        case "text":
            return text or "text None"
        case _:
            return fingerprint


class Changes(Config):
    """What an update found against the set before it."""

    added: Count = 0
    """Products that were not there."""
    changed: Count = 0
    """Products with other contents in any feature."""
    changed_features: dict[Feature, Count] = Field(default={})
    """How many of them in which feature."""
    unchanged: Count = 0
    """Products with the same contents in all features, in whatever order."""
    unknown: Count = 0
    """Products that are in no undamaged shard of the set before, and may have been in its damaged ones."""
    removed: Count = 0
    """Products of its undamaged shards that are gone."""
    vectors_reused: Count = 0
    vectors_encoded: Count = 0

    def __add__(self, other: "Changes") -> "Changes":
        features = {
            feature: self.changed_features.get(feature, 0) + other.changed_features.get(feature, 0)
            for feature in ALL_FEATURES
            if feature in self.changed_features or feature in other.changed_features
        }
        numbers = self.model_dump(exclude={"changed_features"})
        return Changes(
            **{name: number + getattr(other, name) for name, number in numbers.items()}, changed_features=features
        )


class ShardRecord(Config):
    """One finished shard, as the manifest lists it. What is not listed does not exist."""

    name: str
    num_products: int = Field(ge=1, le=MAX_PRODUCTS)
    num_bytes: int = Field(ge=1, lt=2**63)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    rows_hash: str = Field(max_length=64)
    """Hash of the catalog rows it was made from (`RowsHash`); with the schema, its inputs hash."""
    null_counts: dict[Feature, dict[str, Count]]
    """How many vectors are absent, by feature and reason."""
    changes: Changes | None = None
    """Against the set before; only while an update is under way."""

    @field_validator("name")
    @classmethod
    def _is_shard_name(cls, name: str) -> str:
        if shard_index(name) is None:
            raise ValueError(f"found the name {name!r}, wanted one such as {shard_name(0)}")
        return name


class Manifest(Config):
    """A shard set's `manifest.json`."""

    shard_schema: ShardSchema
    catalog: str
    """The catalog the shards were made from, as the user gave it."""
    num_rows: Count = 0
    """Rows that the catalog had when the run began: each is in one shard of a complete set, or skipped."""
    skipped_rows: dict[str, Count] = Field(default={})
    """Rows of the catalog that are in no shard, by reason: those that cannot be read, and bad product ids."""
    shard_size: int = Field(ge=1, le=MAX_PRODUCTS)
    """Products per shard; the last one may hold fewer."""
    complete: bool
    """Whether every row of the catalog is in a recorded shard."""
    shards: tuple[ShardRecord, ...]
    changes: Changes | None = None
    """What the last update found against the set before it; None where all was made at once."""
    base_checksum: str | None = None
    """The checksum of the manifest that this one is to replace; only while an update is under way."""

    @field_validator("shards")
    @classmethod
    def _names_are_distinct(cls, shards: tuple[ShardRecord, ...]) -> tuple[ShardRecord, ...]:
        if len({record.name for record in shards}) < len(shards):
            raise ValueError("found one shard listed twice")
        return shards

    @property
    def num_products(self) -> int:
        """Products in all recorded shards."""
        return sum(shard.num_products for shard in self.shards)

    def null_counts(self) -> dict[Feature, dict[str, int]]:
        """How many vectors are absent in the whole set, by feature and reason, most frequent reason first."""
        total: dict[Feature, dict[str, int]] = {}
        for shard in self.shards:
            for feature, reasons in shard.null_counts.items():
                into = total.setdefault(feature, {})
                for reason, count in reasons.items():
                    into[reason] = into.get(reason, 0) + count
        ordered = sorted(total, key=ALL_FEATURES.index)
        return {feature: dict(sorted(total[feature].items(), key=lambda item: -item[1])) for feature in ordered}

    def checksum(self) -> str:
        """The SHA-256 over all entries, in hexadecimal."""
        return _checksum(self.model_dump(mode="json"))

    def write(self, folder: AnyFolder, *, name: str = MANIFEST_NAME) -> None:
        """Write `folder/manifest.json` whole, with its checksum."""
        values, files = self.model_dump(mode="json"), shard_folder(folder)
        files.commit(name, json_text(values | {CHECKSUM_KEY: _checksum(values)}, of=files.place / name))


def _checksum(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def shard_names(index: int, *, reserved: Container[str] = ()) -> Iterator[str]:
    """The file names that the shard with this index in the set may have, the first one first, without the reserved."""
    stem = f"part-{index:05d}"
    names = (f"{stem}.parquet", *(f"{stem}-{letter}.parquet" for letter in string.ascii_lowercase[1:]))
    return (name for name in names if name not in reserved)


def shard_name(index: int) -> str:
    """The first of `shard_names`."""
    return next(shard_names(index))


def shard_index(name: str) -> int | None:
    """The index in the set that a shard's file name says, or None if it is no such name."""
    found = re.fullmatch(r"part-([0-9]{5,12})(-[b-z])?\.parquet", name)
    return int(found[1]) if found else None


def has_manifest(folder: AnyFolder) -> bool:
    """Whether `folder` is a shard set."""
    return shard_folder(folder).has(MANIFEST_NAME)


def read_manifest(folder: AnyFolder, *, name: str = MANIFEST_NAME) -> Manifest:
    """Read a shard set's manifest.

    Raises:
        ShardError: there is none, or it is damaged or altered.
        VersionError: it is of another schema version.
    """
    files = shard_folder(folder)
    path = files.place / name
    try:
        values = parse_json(files.read(name))
    except (FileNotFoundError, NotADirectoryError):
        if not files.is_there():
            raise ShardError(
                f"{files.place}: no such folder; wanted a shard set, as `prodemb embed` writes it"
            ) from None
        raise ShardError(f"{files.place}: no {name} here, so this is no shard set; run `prodemb embed`") from None
    except ValueError as error:
        raise ShardError(f"{path}: damaged: not JSON ({error}); embed again to redo it") from None
    return _parsed(values, path=path)


def is_replaced(folder: AnyFolder, *, manifest: Manifest) -> bool:
    """Whether a shard set's folder holds another manifest than this one by now."""
    try:
        return read_manifest(folder) != manifest
    except ShardError:
        return False


def _parsed(values: Any, *, path: Place) -> Manifest:
    if not isinstance(values, dict) or not isinstance(values.get("shard_schema"), dict):
        raise ShardError(f"{path}: damaged: no manifest of a shard set; embed again to redo it")
    version = values["shard_schema"].get("schema_version")
    if version != SCHEMA_VERSION:
        raise VersionError(
            f"{path}: found shard schema version {version}, wanted {SCHEMA_VERSION}; remove the folder and embed again"
        )
    found = values.pop(CHECKSUM_KEY, None)
    try:
        manifest = Manifest.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ShardError(f"{path}: damaged: {where}: {first['msg']}; embed again to redo it") from None
    if found != _checksum(values):
        raise ShardError(f"{path}: altered: its checksum is not the recorded one; embed again to redo it")
    return manifest
