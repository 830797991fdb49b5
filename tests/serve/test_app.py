"""Answers are the predictor's own, whoever asks beside, and whatever else is asked."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from prodemb import __version__
from prodemb.catalog.images import ImagesConfig
from prodemb.core.errors import ConfigError
from prodemb.predict.predictor import Predictor
from prodemb.predict.products import CatalogRows
from prodemb.serve.app import create_app
from prodemb.serve.config import ServeConfig
from tests.serve.conftest import OpenClient, as_json, product

PRODUCTS = [product(number) for number in range(200)]


def test_the_answer_is_that_of_the_predictor_bit_by_bit(open_client: OpenClient, predictor: Predictor) -> None:
    with open_client() as client:
        answer = client.post("/predict", json={"products": [as_json(each) for each in PRODUCTS[:20]]})
    assert answer.status_code == 200
    wanted = predictor.predict(PRODUCTS[:20]).to_dicts()
    assert answer.json()["predictions"] == [row | {"warnings": []} for row in wanted]


def test_200_requests_at_a_time_get_each_its_own_answer(
    open_client: OpenClient, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[CatalogRows] = []

    def recording(rows: CatalogRows) -> tuple[pa.Table, list[str | None]]:
        batches.append(rows)
        return Predictor.predict_rows(predictor, rows)

    monkeypatch.setattr(predictor, "predict_rows", recording)
    with open_client() as client, ThreadPoolExecutor(200) as threads:
        ask = lambda own: client.post("/predict", json={"products": [as_json(own)]}).json()["predictions"]  # noqa: E731
        answers = [answer for (answer,) in threads.map(ask, PRODUCTS)]
    assert [answer["product_id"] for answer in answers] == [each["product_id"] for each in PRODUCTS]
    assert len(batches) < 50
    monkeypatch.undo()
    again = [row for batch in batches for row in predictor.predict_rows(batch)[0].to_pylist()]
    by_id = {row["product_id"]: row | {"warnings": []} for row in again}
    assert answers == [by_id[answer["product_id"]] for answer in answers]
    together = predictor.predict(PRODUCTS).to_dicts()
    for answer, other in zip(answers, together, strict=True):
        assert answer["category_confidence"] == pytest.approx(other["category_confidence"], abs=0.01)


def test_answered_alone_each_is_bit_by_bit_the_same_whatever_is_asked_beside(
    open_client: OpenClient, predictor: Predictor
) -> None:
    with open_client(batch_size=1) as client, ThreadPoolExecutor(8) as threads:
        ask = lambda own: client.post("/predict", json={"products": [as_json(own)]}).json()["predictions"]  # noqa: E731
        answers = [*threads.map(ask, PRODUCTS[:8])]
    assert answers == [[predictor.predict([each]).to_dicts()[0] | {"warnings": []}] for each in PRODUCTS[:8]]


def test_health_says_what_answers(open_client: OpenClient, predictor: Predictor) -> None:
    with open_client() as client:
        answer = client.get("/health")
        found = answer.json()
    assert (answer.status_code, found["ready"], found["version"]) == (200, True, __version__)
    assert {head["target"]: head["fingerprint"] for head in found["heads"]} == {
        card.target: card.fingerprint for card in predictor.cards
    }
    assert all(head["model"] == "tiny" and len(head["weights_sha256"]) == 64 for head in found["heads"])


def test_the_page_asks_nobody_and_the_description_is_whole(open_client: OpenClient) -> None:
    with open_client() as client:
        page, description = client.get("/docs"), client.get("/openapi.json").json()
        assert client.get("/redoc").status_code == 404
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert not {"<script", "src=", "@import", "url("} & {*page.text.split()}
    assert "<script" not in page.text
    assert "list of Prediction" in page.text
    content = description["paths"]["/predict"]["post"]["requestBody"]["content"]
    assert content.keys() == {"application/json", "multipart/form-data"}
    names = set(description["components"]["schemas"])
    refs = {part.split('"')[0] for part in str(description).replace("'", '"').split("#/components/schemas/")[1:]}
    assert {"Product", "Products", "Prediction", "Problem"} <= refs <= names
    declared = {path: {*operations.popitem()[1]["responses"]} for path, operations in description["paths"].items()}
    assert declared == {
        "/predict": {"200", "400", "403", "408", "413", "415", "422", "500", "503"},
        "/health": {"200", "400", "503"},
    }


def test_nobody_is_let_in_from_other_sites(open_client: OpenClient, predictor: Predictor) -> None:
    asked: dict[str, Any] = {"json": {"products": [{"title": "mug"}]}}
    with open_client() as client:
        for headers in ({"origin": "http://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
            assert client.post("/predict", headers=headers, **asked).status_code == 403
        own = client.post("/predict", headers={"origin": "http://testserver", "sec-fetch-site": "same-origin"}, **asked)
        assert own.status_code == 200
        assert "access-control-allow-origin" not in own.headers
        simple = client.post("/predict", content=b'{"products": []}', headers={"content-type": "text/plain"})
        assert simple.status_code == 415
    app = create_app(predictor, config=ServeConfig(), images=ImagesConfig(), hosts=["localhost", "[::1]"])
    with TestClient(app, base_url="http://localhost:8000") as client:
        assert client.get("/health").status_code == 200
        assert client.get("/health", headers={"host": "[::1]:8000"}).status_code == 200
        for path in ("/health", "/docs", "/openapi.json", "/none"):
            answer = client.get(path, headers={"host": "rebound.example"})
            assert answer.status_code == 400
            assert answer.json() == {
                "detail": "host: found 'rebound.example'; wanted a name of this server ([serve] hosts)"
            }


def test_what_nobody_thought_of_is_a_line_too(open_client: OpenClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any, **__: Any) -> None:
        raise LookupError("secret")

    monkeypatch.setattr("prodemb.serve.app.read_products", failing)
    with open_client() as client:
        answer = client.post("/predict", json={"products": []})
    assert (answer.status_code, answer.json()["detail"]) == (
        500,
        "cannot be answered: LookupError; the server's log says why",
    )


def test_a_proxy_hands_on_what_browsers_ask_by_the_names_that_are_set(predictor: Predictor) -> None:
    config = ServeConfig(hosts=("Shop.example",), batch_wait_ms=0)
    app = create_app(predictor, config=config, images=ImagesConfig(), hosts=["localhost", *config.hosts])
    kept, rewritten = {"host": "SHOP.example:8443"}, {"host": "localhost:8000"}
    page = {"origin": "https://shop.example:8443", "sec-fetch-site": "same-origin"}
    with TestClient(app) as client:
        ask = lambda headers: client.post("/predict", json={"products": []}, headers=headers).status_code  # noqa: E731
        assert [ask(way | page) for way in (kept, rewritten)] == [200, 200]
        assert [ask(way | {"origin": "https://evil.example"}) for way in (kept, rewritten)] == [403, 403]
        assert [ask(way | page | {"sec-fetch-site": "cross-site"}) for way in (kept, rewritten)] == [403, 403]
        assert ask({"host": "shop.example.evil.example"}) == 400


@pytest.mark.parametrize("host", ["http://shop.example", "shop.example:80", "*", "", "::1", "a b"])
def test_a_host_that_is_no_name_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match=r"^t: hosts: found .*, wanted names such as 'shop.example', without http"):
        ServeConfig.parse({"hosts": [host]}, source="t")


def test_what_is_too_much_is_told_to_come_again(
    open_client: OpenClient, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, gate = threading.Event(), threading.Event()

    def held(rows: CatalogRows) -> tuple[pa.Table, list[str | None]]:
        entered.set()
        gate.wait(10)
        return Predictor.predict_rows(predictor, rows)

    monkeypatch.setattr(predictor, "predict_rows", held)
    asked = {"products": [{"title": "mug"}] * 3}
    with open_client(max_waiting=5) as client, ThreadPoolExecutor(1) as threads:
        first = threads.submit(client.post, "/predict", json=asked)
        entered.wait(10)
        second = client.post("/predict", json=asked)
        assert (second.status_code, second.headers["retry-after"]) == (503, "1")
        assert second.json()["detail"].startswith("busy: found 3 products that wait; wanted at most 5")
        assert client.get("/health").json()["num_waiting"] == 3
        gate.set()
        assert first.result().status_code == 200
        assert client.post("/predict", json=asked).status_code == 200
        assert client.get("/health").json()["num_waiting"] == 0


def test_an_answer_that_takes_too_long_is_503_and_one_that_fails_500(
    open_client: OpenClient, predictor: Predictor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gate = threading.Event()

    def failing(rows: CatalogRows) -> tuple[pa.Table, list[str | None]]:
        gate.wait(10)
        raise RuntimeError("the tower\nfell")

    monkeypatch.setattr(predictor, "predict_rows", failing)
    asked = {"products": [{"title": "mug"}]}
    with open_client(answer_timeout_s=0.05) as client:
        slow = client.post("/predict", json=asked)
        assert (slow.status_code, slow.json()["detail"]) == (503, "busy: no answer after 0.05 s")
        gate.set()
    with open_client() as client:
        failed = client.post("/predict", json=asked)
    assert failed.status_code == 500
    assert failed.json()["detail"] == r"the products cannot be predicted: RuntimeError: the tower\nfell"
    assert "a request cannot be answered" in caplog.text
