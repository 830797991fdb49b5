"""Bodies of all kinds: what is wanted is read, and of the rest none is a server's error or its end."""

import base64
import io
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from starlette.testclient import TestClient

from prodemb.predict.predictor import Predictor
from prodemb.serve.config import ServeConfig
from prodemb.serve.problem import RequestProblem
from prodemb.serve.products import BYTES_PER_PRODUCT, SentProducts, joined, read_products
from prodemb.serve.schema import Product
from tests.conftest import jpeg
from tests.serve.conftest import OpenClient, as_json, product

CONFIG = ServeConfig(max_products=5, max_text_chars=100)
JSON = "application/json"
OWN = product(1)
GOOD = {"products": [as_json(OWN)]}
PICTURE = as_json(OWN)["image"]


def sent(products: list[dict[str, Any]], **own: Any) -> SentProducts:
    body = json.dumps({"products": products}).encode()
    return read_products(body, media_type=JSON, content_type=JSON, config=CONFIG.model_copy(update=own))


def detail_of(body: bytes) -> str:
    with pytest.raises(RequestProblem) as found:
        read_products(body, media_type=JSON, content_type=JSON, config=CONFIG)
    return f"{found.value.status} {found.value}"


@pytest.mark.parametrize(
    ("image", "picture", "error"),
    [
        (PICTURE, OWN["image"], None),
        (f" data:image/jpeg;base64,{PICTURE}\n", OWN["image"], None),
        ("data:image/svg+xml,%3Csvg/%3E", b"<svg/>", None),
        (None, None, None),
        (" ", None, None),
        ("images/0.jpg", None, "not base64"),
        ("../../etc/passwd", None, "not base64"),
        ("file:///etc/passwd", None, "not base64"),
        ("data:image/png;base64", None, "damaged data address"),
        ("data:;base64,@@@", None, "damaged data address"),
        ("\u2603", None, "not base64"),
        ("http://127.0.0.1/a.jpg", None, "addresses are not fetched"),
        ("HTTPS://a.example/a.jpg", None, "addresses are not fetched"),
        ("//a.example/a.jpg", None, "addresses are not fetched"),
    ],
)
def test_a_picture_is_bytes_or_a_reason(image: str | None, picture: bytes | None, error: str | None) -> None:
    rows = sent([{"title": "mug"}, {"title": "mug", "image": image}])
    assert (rows.pictures, rows.errors) == ([None, picture], {} if error is None else {1: error})


def test_an_absolute_path_that_is_base64_too_is_never_a_path() -> None:
    rows = sent([{"image": "/etc/passwd"}], allow_fetch=True)
    assert rows.pictures == [base64.b64decode("/etc/passwd=")]


def test_only_addresses_of_the_web_are_addresses() -> None:
    images = ["https://a.example/a.jpg", "http://a.example/a.jpg", "//a.example/a.jpg", "ftp://a.example/a", "file:/a"]
    rows = sent([{"image": each} for each in images], allow_fetch=True)
    assert rows.pictures == [*images[:3], None, None]
    assert rows.errors == {3: "not base64", 4: "not base64"}


def test_texts_are_cleaned_as_a_catalog_s() -> None:
    first = sent([{"title": " a\tmug &amp; \0", "brand": "n/a"}, {"product_id": "x", "title": "mug"}, {}])
    found = joined([first, sent([{"title": "b"}, {}])]).rows
    assert found["title"].to_pylist()[1:] == ["mug", None, "b", None]
    assert found["brand"].to_pylist() == [None] * 5


def test_ids_come_back_as_they_were_sent(client: TestClient) -> None:
    ids = ["1", None, "x\n\0", "x", " x", "", "n/a", "&amp;"]
    answer = client.post("/predict", json={"products": [{"product_id": each, "title": "mug"} for each in ids]})
    assert [row["product_id"] for row in answer.json()["predictions"]] == ids


def test_pictures_and_errors_stay_in_place() -> None:
    found = joined([sent([{"image": PICTURE}]), sent([{}, {"image": "a.jpg"}, {"image": PICTURE}])])
    assert (found.pictures, found.errors) == ([OWN["image"], None, None, OWN["image"]], {2: "not base64"})


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (b"", "422 body: invalid JSON: EOF while parsing"),
        (b"[]", "422 body: input should be an object"),
        (b"{}", "422 products: field required"),
        (b'{"products": {}}', "422 products: input should be a valid array"),
        (b'{"products": [3]}', "422 products.0: found 3; input should be an object"),
        (b'{"products": [{"title": 3}]}', "422 products.0.title: found 3; input should be a valid string"),
        (b'{"products": [{"titel": "a"}]}', "422 products.0.titel: no such key; did you mean 'title'?"),
        (b'{"products": [], "model": "x"}', "422 model: no such key; known here: products"),
        (b'{"products": [{"title": "\xff"}]}', "422 body: invalid JSON: invalid unicode code point"),
        (b'{"products": [{"title": "\\ud800"}]}', "422 body: invalid JSON: "),
        (b'{"products": [{"title": NaN}]}', "422 products.0.title: found nan; input should be a valid string"),
        (b'{"products": ' + b"[" * 4000, "422 body: invalid JSON: recursion limit exceeded"),
        (b'{"products": [' + b"{}," * 9000 + b"{}]}", "422 body: found more than 5,000 bytes of JSON outside"),
        (b'{"products": [' + b"{}," * 9 + b"{}]}", "422 products: found 10; wanted at most 5"),
        (b'{"products": [{"title": "' + b"a" * 101 + b'"}]}', "422 products.0: found texts of 101 characters; wanted"),
        (
            b'{"products": [{"product_id": "a"}, {}, {}, {"product_id": "a"}]}',
            "422 products.3.product_id: found 'a' as in products.0; wanted ids that differ, or none",
        ),
        (b'{"products": [{' + b'"a":0,' * 700 + b'"b":0}]}', "422 products.0.a: no such key; known here: product_id, "),
    ],
)
def test_what_is_wrong_is_said_in_a_line(body: bytes, wanted: str) -> None:
    found = detail_of(body)
    assert found.startswith(wanted)
    assert len(found.splitlines()) == 1
    assert len(found) < 500


def test_pretty_json_of_full_products_fits() -> None:
    full = dict.fromkeys(Product.model_fields, "x")
    products = [full | {"product_id": str(row)} for row in range(CONFIG.max_products)]
    body = json.dumps({"products": products}, indent=16).encode()
    assert len(read_products(body, media_type=JSON, content_type=JSON, config=CONFIG)) == 5
    assert BYTES_PER_PRODUCT * 5 == 5_000


FORM = [("products", (None, '[{"title": "mug"}, {"product_id": "b", "title": "lamp"}]', JSON))]


def test_files_of_a_form_belong_to_ids_and_numbers(open_client: OpenClient, predictor: Predictor) -> None:
    files = [*FORM, ("b", ("b.jpg", jpeg(2))), ("0", ("any", jpeg(1)))]
    products = [{"title": "mug", "image": jpeg(1)}, {"product_id": "b", "title": "lamp", "image": jpeg(2)}]
    with open_client() as client:
        answer = client.post("/predict", files=files)
    wanted = [row | {"warnings": []} for row in predictor.predict(products).to_dicts()]
    assert answer.json()["predictions"] == [wanted[0] | {"product_id": None}, wanted[1]]


TWICE = ("products", (None, '[{"product_id": "b"}, {"product_id": "b"}]', JSON))
WITH_PICTURE = ("products", (None, '[{"image": "AAAA"}]', JSON))


@pytest.mark.parametrize(
    ("files", "status", "wanted"),
    [
        ([("0", ("a.jpg", b"x"))], 422, "form: found 0 parts named products; wanted one"),
        ([*FORM, *FORM], 422, "form: found 2 parts named products"),
        ([*FORM, ("7", ("a.jpg", b"x"))], 422, "form: '7': found a part for no product; wanted the id"),
        ([*FORM, ("0", (None, b"x"))], 422, "form: '0': found a field; wanted a file, which has a filename"),
        ([*FORM, ("0", ("a", b"x")), ("0", ("a", b"x"))], 422, "form: '0': found a second picture of product 0"),
        ([WITH_PICTURE, ("0", ("a", b"x"))], 422, "form: '0': found a second picture of product 0"),
        ([TWICE, ("b", ("a", b"x"))], 422, "products.1.product_id: found 'b' as in products.0"),
        ([*FORM, *((str(n), ("a", b"x")) for n in range(300))], 400, "body: Too many files."),
        ([("products", (None, '[{"titel": 1}]', JSON))], 422, "products.0.titel: no such key; did you mean 'title'?"),
        ([("products", ("p.json", b'[{"title": "\xff"}]', JSON))], 422, "products: invalid JSON"),
    ],
)
def test_what_is_wrong_with_a_form_is_said(open_client: OpenClient, files: list[Any], status: int, wanted: str) -> None:
    with open_client() as client:
        answer = client.post("/predict", files=files)
    assert answer.status_code == status
    assert answer.json()["detail"].startswith(wanted)


def bomb() -> bytes:
    buffer = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(buffer, "PNG")
    return buffer.getvalue()


def test_pictures_that_cannot_be_used_cost_their_product_the_picture_alone(
    open_client: OpenClient, predictor: Predictor
) -> None:
    pictures = {"bomb": bomb(), "cut": OWN["image"][:200], "html": b"<html>", "void": b"", "good": OWN["image"]}
    products = [{"product_id": name, "title": "mug"} for name in pictures]
    files = [("products", (None, json.dumps(products), JSON))]
    with open_client() as client:
        answer = client.post("/predict", files=[*files, *((name, ("a", data)) for name, data in pictures.items())])
    found = {row["product_id"]: row for row in answer.json()["predictions"]}
    warnings = {name: row["warnings"] for name, row in found.items()}
    assert warnings == {
        "bomb": ["image: too many pixels"],
        "cut": ["image: truncated"],
        "html": ["image: not a picture"],
        "void": ["image: empty file"],
        "good": [],
    }
    own = predictor.predict([products[0]]).to_dicts()[0]
    assert all(
        found[name]["category_confidence"] == pytest.approx(own["category_confidence"])
        for name in warnings
        if name != "good"
    )


def mixed(form: str, *, name: str = "products", boundary: str = "x") -> dict[str, Any]:
    body = form.replace("NAME", name).replace("\n", "\r\n").encode("latin-1")
    return {"content": body, "headers": {"content-type": f"multipart/form-data; boundary={boundary}"}}


PART = '--x\nContent-Disposition: form-data; name="NAME"\n\n[]\n--x--\n'
HOSTILE: dict[str, dict[str, Any]] = {
    "a path": {"json": {"products": [{"image": "/etc/passwd"}, {"image": "../secret.png"}]}},
    "nul": {"json": {"products": [{"title": "a\0b", "product_id": "\0", "image": "\0"}]}},
    "a lone surrogate": {"content": b'{"products": [{"title": "\\udc00"}]}', "headers": {"content-type": JSON}},
    "a lone surrogate's bytes": {
        "content": b'{"products": [{"title": "\xed\xa0\x80"}]}',
        "headers": {"content-type": JSON},
    },
    "depth": {"content": b'{"products": ' * 90_000, "headers": {"content-type": JSON}},
    "a number without end": {"content": b'{"products": ' + b"9" * 200_000, "headers": {"content-type": JSON}},
    "a string without end": {"content": b'{"products": "' + b"\\" * 200_001, "headers": {"content-type": JSON}},
    "no type": {"content": b"{}"},
    "another type": {"content": b"a=b", "headers": {"content-type": "application/x-www-form-urlencoded"}},
    "packed": {"content": b"{}", "headers": {"content-type": JSON, "content-encoding": "gzip"}},
    "no boundary": {"content": b"x", "headers": {"content-type": "multipart/form-data"}},
    "a long boundary": mixed(PART, boundary="y" * 5000),
    "no name": mixed("--x\nContent-Disposition: form-data\n\n[]\n--x--\n"),
    "no disposition": mixed("--x\n\n[]\n--x--\n"),
    "no end": mixed('--x\nContent-Disposition: form-data; name="products"\n\n[]'),
    "nothing of it": mixed("what?"),
    "an odd name": mixed(PART, name='\x00"; filename="../../etc/passwd'),
    "many headers": mixed("--x\n" + "A: b\n" * 10_000 + "\n[]\n--x--\n"),
    "a codec that is none": {
        "content": PART.replace("\n", "\r\n").encode(),
        "headers": {"content-type": "multipart/form-data; boundary=x; charset=idna"},
    },
    "many dashes": mixed("--x\n" + "\n--" * 50_000),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bodies_are_no_error_of_the_server(client: TestClient, name: str) -> None:
    answer = client.post("/predict", **HOSTILE[name])
    assert answer.status_code in (200, 400, 415, 422), answer.text
    if answer.status_code != 200:
        assert set(answer.json()) == {"detail"}
    assert client.post("/predict", json=GOOD).status_code == 200


@pytest.fixture(scope="module")
def client(predictor: Predictor) -> Any:
    from prodemb.catalog.images import ImagesConfig
    from prodemb.serve.app import create_app

    app = create_app(predictor, config=ServeConfig(batch_wait_ms=0), images=ImagesConfig())
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | st.sampled_from([PICTURE, "data:,x", "http://a.example"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*Product.model_fields, "products", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)
BODIES = st.binary(max_size=60) | JSON_VALUES.map(lambda value: json.dumps(value).encode())
TYPES = st.sampled_from([JSON, "multipart/form-data; boundary=x", "text/plain", "application/json; charset=latin-1"])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(BODIES | JSON_VALUES.map(lambda value: json.dumps({"products": [value]}).encode()), TYPES)
def test_no_body_is_an_error_of_the_server(client: TestClient, body: bytes, kind: str) -> None:
    answer = client.post("/predict", content=body, headers={"content-type": kind})
    assert answer.status_code in (200, 400, 415, 422), answer.text


TEXTS = st.none() | st.text(st.characters(exclude_categories=["Cs"]))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(Product.model_fields, TEXTS)), max_size=3))
def test_whatever_texts_products_have_each_gets_an_answer(client: TestClient, products: list[dict[str, Any]]) -> None:
    answer = client.post("/predict", json={"products": products})
    ids = [each.get("product_id") for each in products]
    own = [each for each in ids if each is not None]
    assert answer.status_code == (200 if len({*own}) == len(own) else 422), answer.text
    if answer.is_success:
        assert [row["product_id"] for row in answer.json()["predictions"]] == ids
