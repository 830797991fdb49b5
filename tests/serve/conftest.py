"""An application with small heads, and clients for it."""

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from prodemb.catalog.images import ImagesConfig
from prodemb.predict.predictor import Predictor
from prodemb.serve.app import create_app
from prodemb.serve.config import ServeConfig
from tests.conftest import WORDS, jpeg
from tests.predict.heads import write_heads

OpenClient = Callable[..., Any]


@pytest.fixture(scope="session")
def predictor(tiny_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    heads = tmp_path_factory.mktemp("serve") / "heads"
    write_heads(heads, tiny_clip)
    return Predictor.load(heads, settings={"score": {"min_brand_confidence": 0.0}})


@pytest.fixture
def open_client(predictor: Predictor) -> OpenClient:
    """Opens a client of an application with these settings; an exception in it is status 500."""

    @contextmanager
    def opened(*, images: ImagesConfig | None = None, **settings: Any) -> Iterator[TestClient]:
        app = create_app(predictor, config=ServeConfig(**settings), images=images or ImagesConfig())
        with TestClient(app, raise_server_exceptions=False) as client:
            yield client

    return opened


def product(number: int) -> dict[str, Any]:
    """A product of its own for each number, with the bytes of its picture."""
    return {
        "product_id": f"p{number}",
        "title": " ".join(WORDS[(number * step) % len(WORDS)] for step in (1, 3, 7, 11)),
        "brand": f"Brand {number % 9}",
        "cat1": WORDS[number % 5],
        "image": jpeg(number),
    }


def as_json(own: dict[str, Any]) -> dict[str, Any]:
    """A product with its picture in base64."""
    return own | {"image": base64.b64encode(own["image"]).decode()}
