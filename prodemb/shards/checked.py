"""Which shards had the right checksum, and whether they are still the same files as when they were hashed.

Hashing costs about a second per gigabyte and core, mapping nothing. So a shard that is opened is hashed only where the
file is not the one that `prodemb embed` or `prodemb verify` has hashed: every ordinary way to alter, copy or replace a
file shows in its inode, size or times. What the disk alone has altered is found by `prodemb verify`, which hashes all.

Of a bucket the store's own ETag and the size count. They are not asked for by who reads: what comes into the cache is
hashed as it comes. But an update need not fetch what nobody has written since it was hashed.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Self

from prodemb.core.bounded import parse_json
from prodemb.core.errors import BusyError, OutputError, ShardError, StorageError
from prodemb.core.files import json_text
from prodemb.shards.file import ShardFile, State
from prodemb.shards.folder import AnyFolder, shard_folder
from prodemb.shards.format import ShardRecord

CHECKED_NAME = ".checked.json"

Stamp = list[str | int]
"""A checksum, and the file's inode, size and times of last changes when it had that."""


class Checked:
    """The files of one folder whose checksum was found right."""

    def __init__(self, folder: AnyFolder, *, stamps: dict[str, Stamp] | None = None) -> None:
        """Know of no file, or of those with these stamps, as `read` gives them."""
        self._folder = shard_folder(folder)
        self._stamps: dict[str, Stamp] = {} if stamps is None else stamps

    @classmethod
    def read(cls, folder: AnyFolder) -> Self:
        """What was remembered of a folder; nothing where that cannot be read."""
        try:
            found = parse_json(shard_folder(folder).read(CHECKED_NAME))
        except (OSError, ValueError):
            found = {}
        return cls(folder, stamps=found if isinstance(found, dict) else {})

    def unchanged(self, records: Sequence[ShardRecord]) -> set[str]:
        """The names of those of some shards that are what they were when they were hashed."""
        known = [record for record in records if record.name in self._stamps]
        found = self._folder.states([record.name for record in known])
        return {
            record.name
            for record in known
            if record.name in found and _stamp(record, state=found[record.name]) == self._stamps[record.name]
        }

    def hold(self, record: ShardRecord, *, file: ShardFile) -> bool:
        """Hash a shard's file unless that was done already; whether it was done now.

        Raises:
            ShardError: its checksum is not the recorded one.
        """
        is_new = self._stamps.get(record.name) != _stamp(record, state=file.state())
        if is_new:
            self.hash(record, file=file)
        return is_new

    def hash(self, record: ShardRecord, *, file: ShardFile) -> None:
        """Hash a shard's file, whatever is known of it.

        Raises:
            ShardError: its checksum is not the recorded one.
        """
        state = file.state()  # before, so that what is written meanwhile shows
        if file.sha256() != record.sha256:
            raise ShardError(f"{file.place}: altered: its checksum is not the recorded one; embed again to redo it")
        self._stamps[record.name] = _stamp(record, state=state)

    def note(self, record: ShardRecord) -> None:
        """Add a shard that was hashed as it was written.

        Raises:
            ShardError: its file is missing.
        """
        found = self._folder.states([record.name])
        if record.name not in found:
            path = self._folder.place / record.name
            raise ShardError(f"{path}: missing, though the manifest lists it; embed again to redo it")
        self._stamps[record.name] = _stamp(record, state=found[record.name])

    def remember(self, records: Sequence[ShardRecord]) -> None:
        """Write down which of these shards are what they were when they were hashed.

        Where nothing can be written, or another run writes the same file or removes its temporary file as a leftover,
        nothing is lost: the next reader hashes what is not written down.
        """
        unchanged = self.unchanged(records)
        stamps = {record.name: self._stamps[record.name] for record in records if record.name in unchanged}
        if Checked.read(self._folder)._stamps != stamps:
            self._write(stamps)

    def write(self) -> None:
        """Write down all that is known, whatever has become of it; the next one who reads it sees that."""
        self._write(self._stamps)

    def _write(self, stamps: dict[str, Stamp]) -> None:
        with suppress(BusyError, OutputError, StorageError, OSError):
            self._folder.write(CHECKED_NAME, json_text(stamps, of=self._folder.place / CHECKED_NAME))


def _stamp(record: ShardRecord, *, state: State) -> Stamp:
    return [record.sha256, *state]
