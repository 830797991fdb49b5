"""A folder of predictions in a bucket: the names and bytes of a local one.

A worker makes a file on its own machine and uploads it to `.unfinished`, under a name with the hash of what it is made
from. An upload is there whole or not at all, and one that comes late, of a worker that was given up or of an earlier
run, is either the same file or goes under a name that nobody asks for. To publish, the bucket copies the files to their
names, and the record is written last, on the condition that there is none. Which files of an earlier run are there is
told by one listing; what they counted and their row groups, which the command wants of each file anyway, stand at their
ends, which are read of the version that was listed.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from prodemb.core.errors import BusyError, ConfigError, ConflictError, MissingObjectError, OutputError
from prodemb.core.files import json_text
from prodemb.score.predictions import ScoreCounts, counts_in, is_of_predictions
from prodemb.score.record import (
    METADATA_NAME,
    RECORD_NAME,
    UNFINISHED,
    Part,
    PredictionsRecord,
    no_predictions,
    parse_record,
    part_name,
    write_metadata,
)
from prodemb.storage.address import Address, place
from prodemb.storage.cache import entry
from prodemb.storage.desk import MAX_CONDITIONAL_BYTES, file_to_read
from prodemb.storage.folder import holding, objects_in, parquet_footer, temporary_file
from prodemb.storage.lease import Lease
from prodemb.storage.names import name_copy
from prodemb.storage.objects import ObjectInfo, copy, delete, download, exists, listing, put_bytes, read, upload

LEASE_NAME = ".predictions.lease.json"
"""Who writes to the folder; it stays behind, marked as released, and says that the folder is prodemb's. A shard set's
has another name, so neither takes the other's folder for its own."""
_AT_ONCE = 16
"""Requests for different files."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class BucketPredictions:
    """A folder of objects."""

    place: Address

    @contextmanager
    def holding(self) -> Iterator["_HeldBucket"]:
        with holding(self.place, lease_name=LEASE_NAME, kind="folder of predictions", is_own=self.is_there) as lease:
            yield _HeldBucket(self, lease)

    @contextmanager
    def making(self, part: Part) -> Iterator[Path]:
        with temporary_file(part_name(part.index)) as path:
            yield path
            upload(path, self.waiting(part))

    def waiting(self, part: Part) -> Address:
        """Where a part waits to be published."""
        return self.place / UNFINISHED / f"{Path(part_name(part.index)).stem}-{part.inputs_hash}.parquet"

    def is_there(self) -> bool:
        """Whether it is one of predictions, complete or not."""
        return exists(self.place / LEASE_NAME) or exists(self.place / RECORD_NAME)


@dataclass(frozen=True)
class _Made:
    """A part that is there."""

    info: ObjectInfo
    footer: pq.FileMetaData
    counts: ScoreCounts


class _HeldBucket:
    """See `prodemb.score.folder.HeldPredictions`."""

    def __init__(self, folder: BucketPredictions, lease: Lease) -> None:
        self._folder, self._place, self._lease = folder, folder.place, lease
        self._made: dict[int, _Made] = {}

    def check(self) -> None:
        self._lease.check()

    def complete(self, parts: Sequence[Part], *, inputs_hash: str) -> PredictionsRecord | None:
        """A part that was not written since the record was is the one that it is of; others are looked at."""
        found = _read_record(self._place)
        if found is None or found[0].inputs.get("inputs_hash") != inputs_hash:
            return None
        record, written = found
        infos = dict(objects_in(self._place))
        newer = []
        for part in parts:
            if (info := infos.get(part_name(part.index))) is None:
                return None
            if info.modified > written.modified:
                newer.append((part, info))
        if not all(_on_each(lambda each: _look_at(each[1], part=each[0]) is not None, newer)):
            return None
        self._clear()
        return record

    def made(self, parts: Sequence[Part]) -> dict[int, ScoreCounts]:
        infos = {info.address: info for info in listing(self._place)}

        def look(part: Part) -> _Made | None:
            for address in (self._folder.waiting(part), self._place / part_name(part.index)):
                if (info := infos.get(address)) is not None and (made := _look_at(info, part=part)) is not None:
                    return made
            return None

        looked = zip(parts, _on_each(look, parts), strict=True)
        found = {part.index: made for part, made in looked if made is not None}
        self._made |= found
        return {index: made.counts for index, made in found.items()}

    def require(self, parts: Sequence[Part]) -> dict[int, ScoreCounts]:
        made = self.made(parts)
        for part in parts:
            if part.index not in made:
                raise OutputError(
                    f"{self._folder.waiting(part)}: found no whole file, though a worker uploaded it; run again"
                )
        return made

    def publish(self, record: PredictionsRecord, *, schema: pa.Schema) -> None:
        self.check()
        delete(self._place / RECORD_NAME, self._place / METADATA_NAME)
        parts = {name: self._made[index] for index, name in enumerate(record.names)}

        def put(name: str) -> None:
            self.check()
            copy(parts[name].info.address, self._place / name)

        _on_each(put, [name for name, part in parts.items() if part.info.address != self._place / name])
        self._tidy(parts)
        with temporary_file(METADATA_NAME) as path:
            write_metadata(path, {name: part.footer for name, part in parts.items()}, schema=schema)
            if path.stat().st_size > MAX_CONDITIONAL_BYTES:
                self.check()
                upload(path, self._place / METADATA_NAME)
            else:
                self._create(METADATA_NAME, path.read_bytes())
        text = json_text(record.model_dump(mode="json"), of=self._place / RECORD_NAME)
        self._create(RECORD_NAME, text.encode())
        self._clear()

    def _tidy(self, parts: dict[str, _Made]) -> None:
        """See that all parts are in place, and remove those of earlier predictions."""
        infos = {name: info for name, info in objects_in(self._place) if Path(name).match("part-*.parquet")}
        for name, part in parts.items():
            found = infos.pop(name).num_bytes if name in infos else 0
            if found != part.info.num_bytes:
                raise OutputError(
                    f"{self._place / name}: found {found:,} bytes after it was copied there, wanted "
                    f"{part.info.num_bytes:,}; run again"
                )
        delete(*(info.address for info in infos.values() if _is_predictions(info)))

    def _create(self, name: str, content: bytes) -> None:
        """Put a file there that nobody else has put meanwhile."""
        self.check()
        try:
            put_bytes(self._place / name, content, create=True)
        except ConflictError:
            raise BusyError(f"{self._place / name}: another run has written it meanwhile; run again") from None

    def _clear(self) -> None:
        delete(*(info.address for info in listing(self._place / UNFINISHED)))


def predictions_to_read(text: str | Path) -> Path:
    """The predictions that a setting or an argument names: a local path, or a copy in the cache.

    In a bucket a name without an ending is that of a folder. Its record and files are fetched, whole.

    Raises:
        ConfigError: a folder of a bucket holds no complete predictions; or as `prodemb.storage.address.place`.
        StorageError: they cannot be fetched.
    """
    found = text if isinstance(text, Path) else place(text)
    return file_to_read(text) if isinstance(found, Path) or found.suffix else _fetched(found)


def _fetched(folder: Address) -> Path:
    found = _read_record(folder)
    if found is None:
        raise no_predictions(folder, is_marked=exists(folder / LEASE_NAME))
    record, written = found
    infos = dict(objects_in(folder)) | {RECORD_NAME: written}
    for name, num_rows in zip(record.names, record.num_rows, strict=True):
        if name not in infos:
            raise ConfigError(f"{folder / name}: found no file, wanted {num_rows:,} rows; score again to redo it")
    wanted = [infos[name] for name in (*record.names, RECORD_NAME)]

    def make(to: Path) -> None:
        to.mkdir()
        for info in wanted:
            download(info, to / info.address.name)

    versions = "\n".join(f"{info.address}\n{info.version}\n{info.num_bytes}\n{info.modified}" for info in wanted)
    key = hashlib.sha256(versions.encode()).hexdigest()
    return name_copy(entry(key, name=folder.name or folder.bucket, make=make), folder)


def _read_record(folder: Address) -> tuple[PredictionsRecord, ObjectInfo] | None:
    try:
        content, info = read(folder / RECORD_NAME)
    except MissingObjectError as error:
        if error.reason == "no such bucket":
            raise
        return None
    record = parse_record(content, source=folder / RECORD_NAME)
    return None if record is None else (record, info)


def _look_at(info: ObjectInfo, *, part: Part) -> _Made | None:
    """A part, where an object is it."""
    try:
        footer = parquet_footer(info)
    except (ValueError, ConflictError, MissingObjectError):
        return None
    counts = counts_in(footer, inputs_hash=part.inputs_hash, source=info.address)
    return None if counts is None else _Made(info, footer, counts)


def _is_predictions(info: ObjectInfo) -> bool:
    try:
        return is_of_predictions(parquet_footer(info))
    except ValueError:
        return False


def _on_each(function: Callable[[T], R], values: Sequence[T]) -> list[R]:
    """What a function returns of each, several at once."""
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="predictions") as pool:
        try:
            return list(pool.map(function, values))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
