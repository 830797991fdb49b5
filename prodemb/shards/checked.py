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

    def __init__(self, folder: Path, stamps: dict[str, Stamp]) -> None:
        self._folder = folder
        self._stamps = stamps

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What was remembered of a folder; nothing where that cannot be read."""
        try:
            found = read_json(folder / CHECKED_NAME)
        except (OSError, ValueError, RecursionError):
            found = {}
        return cls(folder, found if isinstance(found, dict) else {})

    def hold(self, record: ShardRecord) -> None:
        """Hash a shard unless that was done.

        Raises:
            ShardError: it has not its recorded checksum.
        """
        path = self._folder / record.name
        stamp: Stamp = [record.sha256, *_stamp(path)]
        if self._stamps.get(record.name) == stamp:
            return
        if sha256_of(path) != record.sha256:
            raise ShardError(f"{path}: altered: its checksum is not the recorded one; embed again to redo it")
        self._stamps[record.name] = stamp


def remember(folder: Path, records: Iterable[ShardRecord]) -> None:
    """Note that these shards have their recorded checksums; where nothing can be written, that is no loss."""
    stamps = {record.name: [record.sha256, *_stamp(folder / record.name)] for record in records}
    if Checked.read(folder)._stamps == stamps:
        return
    try:
        write_json(folder / CHECKED_NAME, stamps)
    except OutputError:
        return


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
