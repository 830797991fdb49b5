"""The files of a shard set's folder: which of them are prodemb's, and which the manifest lists."""

from collections.abc import Iterator
from pathlib import Path

from prodemb.core.bounded import parquet_footer
from prodemb.core.errors import OutputError, ShardError, VersionError
from prodemb.shards.format import MANIFEST_NAME, METADATA_KEY, UPDATE_NAME, Manifest, read_manifest, shard_index


def holds_shards(folder: Path) -> bool:
    """Whether a folder holds a shard set: a manifest of prodemb's, or shards where that is damaged."""
    try:
        read_manifest(folder)
    except VersionError:
        return True
    except ShardError:
        return any(is_shard(path) for path in _parts(folder))
    return True


def is_shard(path: Path) -> bool:
    """Whether a file is a shard of any version, as its Parquet metadata says."""
    if path.is_symlink() or not path.is_file():
        return False
    try:
        return METADATA_KEY in (parquet_footer(path).metadata or {})
    except (OSError, ValueError):
        return False


def check_unlisted(folder: Path) -> None:
    """Raise OutputError where a file has a shard's name but is none of prodemb's, so that it is never replaced."""
    listed = _listed(folder)
    for path in _parts(folder):
        if path.name not in listed and not is_shard(path):
            raise OutputError(f"{path}: prodemb did not make it, but it has the name of a shard; move it elsewhere")


def check_listed(folder: Path, *, manifest: Manifest) -> None:
    """Raise OutputError where a shard that a manifest lists is not in its folder as it was written."""
    for record in manifest.shards:
        path = folder / record.name
        try:
            num_bytes = path.lstat().st_size
        except FileNotFoundError:
            raise OutputError(f"{path}: was removed while this run wrote to its folder; run again") from None
        if num_bytes != record.num_bytes:
            raise OutputError(f"{path}: was changed while this run wrote to its folder; run again")


def remove_unlisted(folder: Path, *, manifest: Manifest, old: Manifest | None) -> None:
    """Remove the shards that a set no longer holds: those of the set before, and those of killed runs."""
    kept = {record.name for record in manifest.shards}
    known = {record.name for record in old.shards} if old is not None else set()
    for path in _parts(folder):
        if path.name not in kept and (path.name in known or is_shard(path)):
            path.unlink()


def _parts(folder: Path) -> Iterator[Path]:
    return (path for path in folder.glob("part-*.parquet") if shard_index(path.name) is not None)


def _listed(folder: Path) -> set[str]:
    """The names that the manifest and the journal of an update list."""
    names: set[str] = set()
    for name in (MANIFEST_NAME, UPDATE_NAME):
        try:
            names |= {record.name for record in read_manifest(folder, name=name).shards}
        except ShardError:
            continue
    return names
