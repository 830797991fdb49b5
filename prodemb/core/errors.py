"""The errors a user can cause, as one tree.

ProdembError
├── ConfigError         a pipeline file or an option
├── CatalogError        a catalog file, column or row
│   └── LostRowsError       more of its rows cannot be read than is allowed
├── TaxonomyError       a taxonomy file or category id
├── ModelError          a checkpoint
│   └── NotFetchedError     one of the hub's that is not in the cache
├── ShardError          a shard or manifest
│   ├── FingerprintError    vectors of two models would mix
│   └── VersionError        a shard set of another schema version
├── HeadError           a head folder, or too little to train one from
│   └── FewLabelsError      too few products of too few classes
├── BusyError           another run is writing to the same folder or file
├── OutputError         a file cannot be written
├── StorageError        object storage refuses, or does not answer
│   ├── MissingObjectError  there is no such object, or no such bucket
│   └── ConflictError       somebody else wrote the object first
├── ImagesError         too many of a catalog's pictures cannot be had
└── WorkerError         a process of the run died

Every message names the thing (file, key, row), what was found and what is wanted, in one line.
"""


class ProdembError(Exception):
    """Anything a user can put right; the command line prints its message, and exits with the status of its kind."""


class ConfigError(ProdembError):
    """A pipeline file or an option cannot be used."""


class CatalogError(ProdembError):
    """A catalog cannot be read: its file, a column or its product ids."""


class LostRowsError(CatalogError):
    """More of a catalog's rows would be lost than is allowed."""


class TaxonomyError(ProdembError):
    """A taxonomy file cannot be read, or it lacks a category id."""


class ModelError(ProdembError):
    """A checkpoint cannot be loaded, or is not a dual encoder."""


class NotFetchedError(ModelError):
    """A checkpoint of the hub is not in the cache, and was not to be fetched."""


class ShardError(ProdembError):
    """A shard or a manifest is missing, damaged or of another layout."""


class FingerprintError(ShardError):
    """Vectors of two models would mix."""


class VersionError(ShardError):
    """A shard set is of another schema version."""


class HeadError(ProdembError):
    """A head folder cannot be used, or there is too little to train one from."""


class FewLabelsError(HeadError):
    """Too few products are labelled to learn from."""


class BusyError(ProdembError):
    """Another run is writing to the same folder or file."""


class OutputError(ProdembError):
    """A file cannot be written: the disk is full, or the folder read-only."""


class StorageError(ProdembError):
    """Object storage refuses a request, or does not answer."""

    def __init__(self, message: str, *, reason: str = "cannot be read", is_temporary: bool = False) -> None:
        """
        Args:
            reason: what was found, without the object's name, so that such errors can be counted.
            is_temporary: whether the store did not answer, or said to come back later.
        """
        super().__init__(message)
        self.reason = reason
        self.is_temporary = is_temporary


class MissingObjectError(StorageError):
    """There is no object of that address, or no such bucket."""


class ConflictError(StorageError):
    """An object was not written: somebody else wrote it first."""


class ImagesError(ProdembError):
    """Too many of a catalog's pictures cannot be had, so the run stopped."""


class WorkerError(ProdembError):
    """A process that worked for a run died."""
