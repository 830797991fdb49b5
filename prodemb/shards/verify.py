"""Checking a shard set: every file against the manifest, byte by byte, and the taxonomy's vectors beside them."""

from prodemb.core.errors import ShardError
from prodemb.core.progress import ProgressCallback
from prodemb.core.text import counted
from prodemb.shards.checked import Checked
from prodemb.shards.folder import AnyFolder, ShardFolder, shard_folder
from prodemb.shards.format import Manifest, ShardRecord, is_replaced, read_manifest
from prodemb.shards.paths import read_path_vectors
from prodemb.shards.reader import find_shard_folders
from prodemb.shards.shard import Shard


def damaged_shards(
    folder: AnyFolder, *, manifest: Manifest, checked: Checked, on_progress: ProgressCallback | None = None
) -> dict[str, str]:
    """The recorded shards that cannot be used, by file name, and what is wrong with each.

    Args:
        checked: those that it knows are not hashed again; adds those that are right.
        on_progress: called with the shards done and the shards in all.
    """
    found, files = {}, shard_folder(folder)
    known = checked.unchanged(manifest.shards)
    for number, record in enumerate(manifest.shards, start=1):
        if record.name not in known:
            found[record.name] = _fault(files, record=record, manifest=manifest, checked=checked)
        if on_progress is not None:
            on_progress(number, len(manifest.shards))
    return {name: fault for name, fault in found.items() if fault is not None}


def verify(folder: AnyFolder, *, on_progress: ProgressCallback | None = None) -> list[str]:
    """Check the shard sets at `folder` and one folder below; what is wrong, one line each, nothing where all is right.

    Sets that are whole are remembered as such, so that `train` and `score` need not hash them.

    Args:
        on_progress: called with the shards done and the shards in all, of each set.

    Raises:
        ShardError: there is no shard set.
    """
    return [
        line for shard_set in find_shard_folders(folder) for line in _verify_one(shard_set, on_progress=on_progress)
    ]


def _verify_one(folder: AnyFolder, *, on_progress: ProgressCallback | None) -> list[str]:
    try:
        manifest = read_manifest(folder)
    except ShardError as error:
        return [str(error)]
    checked = Checked(folder)
    lines = list(damaged_shards(folder, manifest=manifest, checked=checked, on_progress=on_progress).values())
    if (lines or manifest.complete) and is_replaced(folder, manifest=manifest):
        return [f"{folder}: was updated while it was verified; run again"]
    if not manifest.complete:
        lines.append(f"{folder}: unfinished: {counted(manifest.num_products, 'product')} so far; embed again to go on")
    if not lines:
        checked.remember(manifest.shards)
    try:
        read_path_vectors(folder)
    except ShardError as error:
        lines.append(str(error))
    return lines


def _fault(folder: ShardFolder, *, record: ShardRecord, manifest: Manifest, checked: Checked) -> str | None:
    path = folder.place / record.name
    try:
        file = folder.reopen(record)
        shard = Shard(file, record=record)
        if not shard.schema.like(manifest.shard_schema):
            return f"{path}: made by {shard.schema.model} or with other features than its set; embed again to redo it"
        if not shard.has_columns():
            return f"{path}: lacks columns of a shard; embed again to redo it"
        checked.hash(record, file=file)
        shard.check_finite()
    except ShardError as error:
        return str(error)
    return None
