"""Which shards had the right checksum, and whether they are still the very files that were hashed then.

Hashing costs about a second a gigabyte and core, mapping nothing. So whoever opens a shard hashes it only where the
file is not the one that `prodemb embed` or `prodemb verify` has hashed: every ordinary way to alter, copy or replace a
file shows in its inode, size or times. What the disk alone has altered `prodemb verify` finds, which hashes all.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Self

from prodemb.errors import OutputError, ShardError
from prodemb.files import read_json, sha256_of, write_json
from prodemb.shards.format import ShardRecord

CHECKED_NAME = ".checked.json"

Stamp = list[str | int]
"""A checksum, and what the file system says of the file that has it: inode, size, and the times of its last changes."""


class Checked:
    """The files of one folder whose checksum was found right."""

    def __init__(self, folder: Path, *, stamps: dict[str, Stamp] | None = None) -> None:
        """Know of no file, or of those with these stamps, as `read` gives them."""
        self._folder = folder
        self._stamps: dict[str, Stamp] = {} if stamps is None else stamps

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What was remembered of a folder; nothing where that cannot be read."""
        try:
            found = read_json(folder / CHECKED_NAME)
        except (OSError, ValueError, RecursionError):
            found = {}
        return cls(folder, stamps=found if isinstance(found, dict) else {})

    def hold(self, record: ShardRecord) -> None:
        """Hash a shard unless that was done.

        Raises:
            ShardError: it has not its recorded checksum.
        """
        path = self._folder / record.name
        if self._stamps.get(record.name) != _stamp(path, record=record):
            self.hash(record)

    def hash(self, record: ShardRecord) -> None:
        """Hash a shard, whatever is known of it.

        Raises:
            ShardError: it has not its recorded checksum.
        """
        path = self._folder / record.name
        stamp = _stamp(path, record=record)  # before, so that what is written meanwhile shows
        if sha256_of(path) != record.sha256:
            raise ShardError(f"{path}: altered: its checksum is not the recorded one; embed again to redo it")
        self._stamps[record.name] = stamp

    def note(self, record: ShardRecord) -> None:
        """Take in a shard that was hashed as it was written."""
        self._stamps[record.name] = _stamp(self._folder / record.name, record=record)

    def remember(self, records: Iterable[ShardRecord]) -> None:
        """Write down which of these shards are what they were when they were hashed.

        Where nothing can be written, that is no loss.
        """
        stamps = {
            record.name: stamp
            for record in records
            if (stamp := self._stamps.get(record.name)) is not None
            and stamp == _stamp(self._folder / record.name, record=record)
        }
        if Checked.read(self._folder)._stamps == stamps:
            return
        try:
            write_json(self._folder / CHECKED_NAME, stamps)
        except OutputError:
            return


def _stamp(path: Path, *, record: ShardRecord) -> Stamp:
    status = path.stat()
    return [record.sha256, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
