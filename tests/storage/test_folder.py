"""Folders of a bucket that runs write to: what lies in them, and the local files that are made for them."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prodemb.core.errors import ConflictError
from prodemb.storage.address import Address
from prodemb.storage.cache import cache_folder
from prodemb.storage.folder import objects_in, parquet_footer, temporary_file
from prodemb.storage.objects import head, put_bytes, upload
from tests.object_store import ObjectStore


def test_local_files_are_removed_also_those_of_killed_processes(bucket: Address) -> None:
    scratch = cache_folder() / "scratch"
    (scratch / "file-of-a-killed-process").mkdir(parents=True)
    (scratch / "file-of-a-killed-process" / "part.parquet").write_bytes(b"half")
    with temporary_file("one") as one, temporary_file("two") as two:
        one.write_bytes(b"1")
        assert [path for path in scratch.iterdir() if path not in (one.parent, two.parent)] == []
        with temporary_file("three"):
            assert one.read_bytes() == b"1"
    assert not [*scratch.iterdir()]


def test_objects_below_do_not_lie_in_a_folder(bucket: Address) -> None:
    for name in ("a/one", "a/b/two", "ab", "a/three"):
        put_bytes(bucket / name, b"")
    assert [name for name, _ in objects_in(bucket / "a")] == ["one", "three"]
    assert [name for name, _ in objects_in(bucket)] == ["ab"]


@pytest.mark.parametrize(("num_groups", "num_requests"), [(1, 1), (3000, 2)])
def test_a_footer_is_read_alone_and_of_the_version_that_was_found(
    bucket: Address, object_store: ObjectStore, tmp_path: Path, num_groups: int, num_requests: int
) -> None:
    table = pa.table({"x": range(num_groups)})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=1)
    info = upload(tmp_path / "x.parquet", bucket / "x.parquet")
    object_store.requests.clear()
    footer = parquet_footer(info)
    assert (footer.num_row_groups, len(object_store.requests)) == (num_groups, num_requests)
    put_bytes(bucket / "x.parquet", b"another")
    with pytest.raises(ConflictError):
        parquet_footer(info)
    with pytest.raises(ValueError, match="Parquet"):
        parquet_footer(head(bucket / "x.parquet"))
