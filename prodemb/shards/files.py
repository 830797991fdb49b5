"""The files of a shard set's folder: which of them are prodemb's, and which the manifest lists."""

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from prodemb.core.errors import OutputError, ShardError, VersionError
from prodemb.core.folders import check_apart
from prodemb.shards.folder import AnyFolder, Held, ShardFolder, shard_folder
from prodemb.shards.format import MANIFEST_NAME, METADATA_KEY, UPDATE_NAME, Manifest, read_manifest, shard_index
from prodemb.storage.address import Address, Place


def hold_shards(folder: AnyFolder) -> AbstractContextManager[Held]:
    """Hold the folder of a shard set for this run alone; see `ShardFolder.holding`."""
    files = shard_folder(folder)
    return files.holding(is_own=lambda: holds_shards(files))


def holds_shards(folder: AnyFolder) -> bool:
    """Whether a folder holds a shard set: a manifest of prodemb's, or shards where that is damaged."""
    files = shard_folder(folder)
    try:
        read_manifest(files)
    except VersionError:
        return True
    except ShardError:
        return any(_is_shard(files, name) for name in _parts(files))
    return True


def check_outside(folder: ShardFolder, inputs: Collection[Place]) -> None:
    """Raise OutputError where the folder of a shard set holds one of a run's input files."""
    match folder.place:
        case Path() as path:
            check_apart(path, [each for each in inputs if isinstance(each, Path)])
        case Address() as address:
            for each in inputs:
                if isinstance(each, Address) and str(each).startswith(f"{address}/"):
                    raise OutputError(
                        f"{address}: holds the catalog file {each}; wanted a folder apart from the catalog"
                    )


def check_unlisted(folder: ShardFolder) -> None:
    """Raise OutputError where a file has a shard's name but is none of prodemb's, so that it is never replaced."""
    listed = _listed(folder)
    for name in _parts(folder):
        if name not in listed and not _is_shard(folder, name):
            path = folder.place / name
            raise OutputError(f"{path}: prodemb did not make it, but it has the name of a shard; move it elsewhere")


def check_listed(folder: ShardFolder, *, manifest: Manifest) -> None:
    """Raise OutputError where a shard that a manifest lists is not in its folder as it was written."""
    sizes = folder.sizes([record.name for record in manifest.shards])
    for record in manifest.shards:
        path = folder.place / record.name
        if record.name not in sizes:
            raise OutputError(f"{path}: was removed while this run wrote to its folder; run again")
        if sizes[record.name] != record.num_bytes:
            raise OutputError(f"{path}: was changed while this run wrote to its folder; run again")


def remove_unlisted(folder: ShardFolder, *, held: Held, manifest: Manifest, old: Manifest | None) -> None:
    """Remove the shards that a set no longer holds: those of the set before, and those of killed runs.

    Raises:
        OutputError, BusyError: the folder is held no longer.
    """
    kept = {record.name for record in manifest.shards}
    known = {record.name for record in old.shards} if old is not None else set()
    for name in _parts(folder):
        if name not in kept and (name in known or _is_shard(folder, name)):
            held.check()
            folder.remove(name)


def _is_shard(folder: ShardFolder, name: str) -> bool:
    """Whether a file is a shard of any version, as its Parquet metadata says."""
    try:
        return METADATA_KEY in (folder.footer(name).metadata or {})
    except (OSError, ValueError):
        return False


def _parts(folder: ShardFolder) -> Sequence[str]:
    return [name for name in folder.parts() if shard_index(name) is not None]


def _listed(folder: ShardFolder) -> set[str]:
    """The names that the manifest and the journal of an update list."""
    names: set[str] = set()
    for name in (MANIFEST_NAME, UPDATE_NAME):
        try:
            names |= {record.name for record in read_manifest(folder, name=name).shards}
        except ShardError:
            continue
    return names
