"""Pictures that are objects of a bucket: beneath the image root, within the bounds of `[images]`."""

from prodemb.catalog.urls import object_of
from prodemb.core.errors import ConfigError, StorageError
from prodemb.storage.address import Address, place
from prodemb.storage.client import Patience, store_of
from prodemb.storage.objects import read


class NoStoredPicture(Exception):  # noqa: N818 - as `AbsentImage`, which it becomes
    """There is no such picture: the reason, and the bucket or object."""

    def __init__(self, reason: str, *, detail: str, is_temporary: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.detail, self.is_temporary = reason, detail, is_temporary


class StoredPictures:
    """Reads pictures from buckets; one serves many threads."""

    def __init__(self, root: Address | None, *, outside: bool, max_bytes: int, patience: Patience) -> None:
        """
        Args:
            root: the image root, where that lies in a bucket.
            outside: whether pictures may lie elsewhere.

        Raises:
            ConfigError, StorageError: the root's bucket cannot be asked: no client, or no credentials.
        """
        self._root, self._outside, self._max_bytes, self._patience = root, outside, max_bytes, patience
        if root is not None:
            store_of(root, patience=patience)

    def address_of(self, value: str) -> Address:
        """The object that a picture's value names: an address, or a path from the image root on.

        Raises:
            NoStoredPicture: it is no address, or one that does not lie beneath the root though it must.
        """
        try:
            address = place(value) if "://" in value or self._root is None else object_of(value, root=self._root)
        except ConfigError:
            address = None
        if address is None:
            raise NoStoredPicture("invalid address", detail="")
        assert isinstance(address, Address)
        if not (self._outside or self._is_beneath_root(address)):
            raise NoStoredPicture("outside the image root", detail=str(address))
        return address

    def load(self, address: Address) -> bytes:
        """The bytes of a picture, at most `max_bytes` of them; one request, and more where it is tried again.

        Raises:
            NoStoredPicture: it cannot be had.
        """
        try:
            return read(address, max_bytes=self._max_bytes, patience=self._patience).content
        except StorageError as error:
            raise NoStoredPicture(error.reason, detail=str(address), is_temporary=error.is_temporary) from None
        except ConfigError:
            raise NoStoredPicture("no client of object storage", detail=str(address)) from None

    def _is_beneath_root(self, address: Address) -> bool:
        root = self._root
        if root is None or (root.scheme, root.bucket) != (address.scheme, address.bucket):
            return False
        return not root.key or address.key.startswith(f"{root.key}/")
