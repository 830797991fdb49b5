"""Addresses in requests: fetched where that is allowed, and no slow one holds up others."""

from collections.abc import Iterator

import pytest

from prodemb.catalog.images import ImagesConfig
from prodemb.predict.predictor import Predictor
from tests.conftest import jpeg
from tests.picture_server import PictureServer, running_server
from tests.serve.conftest import OpenClient

OPEN = ImagesConfig(allow_private_hosts=True, retries=0, timeout_s=2)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_server() as address:
        yield address


def test_a_fetched_picture_counts_as_its_bytes(open_client: OpenClient, predictor: Predictor, server: str) -> None:
    images = [f"{server}/jpeg/3", f"{server}/none.jpg", f"{server}/to-file", f"{server}/html", "ftp://a.example/a"]
    with open_client(allow_fetch=True, images=OPEN) as client:
        answer = client.post("/predict", json={"products": [{"title": "mug", "image": each} for each in images]})
    found = answer.json()["predictions"]
    assert [row.pop("warnings") for row in found] == [
        [],
        ["image: HTTP 404"],
        ["image: unsupported address"],
        ["image: not a picture"],
        ["image: not base64"],
    ]
    wanted = predictor.predict([{"title": "mug", "image": each} for each in (jpeg(3), None, None, None, None)])
    assert found == [row | {"product_id": None} for row in wanted.to_dicts()]


def test_nothing_is_fetched_unless_it_is_allowed_and_private_addresses_never(
    open_client: OpenClient, server: str
) -> None:
    PictureServer.asked.clear()
    asked = {"products": [{"image": f"{server}/jpeg/3"}]}
    with open_client() as client:
        found = client.post("/predict", json=asked).json()["predictions"]
        assert found[0]["warnings"] == ["image: addresses are not fetched"]
    with open_client(allow_fetch=True) as client:
        found = client.post("/predict", json=asked).json()["predictions"]
        assert found[0]["warnings"] == ["image: private address"]
    assert not PictureServer.asked


def test_a_slow_host_costs_its_product_the_picture_and_others_nothing(open_client: OpenClient, server: str) -> None:
    with open_client(allow_fetch=True, images=OPEN, answer_timeout_s=0.8) as client:
        found = client.post("/predict", json={"products": [{"title": "mug", "image": f"{server}/slow"}]})
        assert found.json()["predictions"][0]["warnings"] == ["image: timed out"]
        assert client.post("/predict", json={"products": [{"title": "mug"}]}).status_code == 200


def test_what_is_fetched_counts_for_the_bound_of_bytes(open_client: OpenClient, server: str) -> None:
    asked = {"products": [{"image": f"{server}/jpeg/{number}"} for number in range(3)]}
    with open_client(allow_fetch=True, images=OPEN, max_waiting_bytes=1_000) as client:
        answer = client.post("/predict", json=asked)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert client.get("/health").json()["num_waiting"] == 0
