"""Stage one into a bucket: the files are those of a local run, whatever happens on the way."""

from pathlib import Path

from prodemb.storage.address import Address
from prodemb.storage.objects import listing, read
from tests.embed.conftest import MakeCatalog, contents, run
from tests.object_store import ObjectStore


def objects(folder: Address) -> dict[str, bytes]:
    """What lies there, but for hidden files."""
    start = len(folder.key) + 1
    found = {info.address.key[start:]: info.address for info in listing(folder)}
    return {name: read(address).content for name, address in found.items() if not name.startswith(".")}


def test_objects_are_the_files_of_a_local_run(
    make_catalog: MakeCatalog, tiny_clip: Path, tmp_path: Path, bucket: Address, object_store: ObjectStore
) -> None:
    catalog = make_catalog(40)
    run(catalog, tmp_path / "local", tiny_clip)
    run(catalog, bucket / "shards", tiny_clip)
    assert objects(bucket / "shards") == contents(tmp_path / "local")
    print(*object_store.requests, sep="\n")
    report = run(catalog, bucket / "shards", tiny_clip)
    assert report.num_new == 0
    assert objects(bucket / "shards") == contents(tmp_path / "local")
