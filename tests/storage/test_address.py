from pathlib import Path

import pytest

from prodemb.core.errors import ConfigError
from prodemb.storage.address import Address, is_address, place


def test_a_place_is_an_address_or_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert place("s3://shop/a b/ü%41.csv") == Address("s3", "shop", "a b/ü%41.csv")
    assert str(place("gs://shop/folder/")) == "gs://shop/folder"
    assert place("AZ://container/key") == Address("az", "container", "key")
    assert place("s3://shop") == place("s3://shop/") == Address("s3", "shop", "")
    assert place("file:///tmp/a%20b.csv") == place("file://localhost/tmp/a%20b.csv") == Path("/tmp/a b.csv")
    assert place("~/catalog.csv") == Path("/home/someone/catalog.csv")
    assert place("a:b//c.csv") == Path("a:b//c.csv")
    assert [is_address(text) for text in ("s3://a/b", "file:///a", "https://a/b", "s3:/a")] == [True, *[False] * 3]


def test_an_address_has_the_parts_of_a_path() -> None:
    address = Address("s3", "shop", "feeds/today.csv.gz")
    assert (address.name, address.suffix, address.stem) == ("today.csv.gz", ".gz", "today.csv")
    assert address.parent / "other" == Address("s3", "shop", "feeds/other")
    assert address.parent.parent == address.parent.parent.parent == Address("s3", "shop", "")
    assert str(Address("s3", "shop", "") / "a/b") == "s3://shop/a/b"


@pytest.mark.parametrize(
    "text",
    [
        "s3://key:hunter2@shop/a",
        "s3://shop/a?X-Amz-Signature=hunter2",
        "gs://shop/a#hunter2",
        "ftp://user:hunter2@host/a",
        "https://host/a?hunter2",
        "file://hunter2@host/a",
        "s3://hunter2 /a",
    ],
)
def test_an_address_with_a_secret_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        place(text)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("text", ["s3://", "s3:///a", "s3://shop/a//b", "s3://shop/../b", "s3://shop/a\nb"])
def test_an_address_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="wanted"):
        place(text)
