"""Addresses in requests: fetched where that is allowed, and no slow one holds up others."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest

from prodemb.catalog.images import ImagesConfig
from prodemb.predict.predictor import Predictor
from prodemb.predict.products import CatalogRows
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


def test_a_request_holds_no_more_pictures_than_fit_and_fetches_no_further_ones(
    open_client: OpenClient, server: str
) -> None:
    PictureServer.asked.clear()
    asked = {"products": [{"image": f"{server}/large?{number:02}"} for number in range(40)]}
    images = OPEN.model_copy(update={"concurrency": 2})
    with open_client(allow_fetch=True, images=images, max_waiting_bytes=30_000) as client:
        answer = client.post("/predict", json=asked)
        assert client.get("/health").json()["num_waiting"] == 0
    warnings = Counter(row["warnings"][0] for row in answer.json()["predictions"])
    assert warnings == {
        "image: not a picture": 5,
        "image: the pictures of one request are too large together": 35,
    }
    assert PictureServer.asked.total() <= 10


def test_what_other_requests_leave_no_room_for_may_come_again(
    open_client: OpenClient, predictor: Predictor, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, gate = threading.Event(), threading.Event()

    def held(rows: CatalogRows) -> tuple[pa.Table, list[str | None]]:
        entered.set()
        gate.wait(10)
        return Predictor.predict_rows(predictor, rows)

    monkeypatch.setattr(predictor, "predict_rows", held)
    with (
        open_client(allow_fetch=True, images=OPEN, max_waiting_bytes=13_000) as client,
        ThreadPoolExecutor(1) as thread,
    ):
        first = thread.submit(client.post, "/predict", json={"products": [{"title": "a" * 9_000}]})
        entered.wait(10)
        asked = {"products": [{"image": f"{server}/large"}]}
        second = client.post("/predict", json=asked)
        assert (second.status_code, second.headers["retry-after"]) == (503, "1")
        gate.set()
        assert first.result().status_code == 200
        assert client.post("/predict", json=asked).status_code == 200
