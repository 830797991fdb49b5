"""The object store that these tests use."""

from tests.object_store import bucket, object_store, running_store

__all__ = ["bucket", "object_store", "running_store"]
