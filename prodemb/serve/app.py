"""The application: its addresses, and the way of a request to the predictor and back."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse
from starlette.requests import ClientDisconnect

from prodemb import __version__
from prodemb.catalog.images import ImagesConfig
from prodemb.predict.predictor import Predictor
from prodemb.serve.batching import Answer, Batcher, PredictionError
from prodemb.serve.body import JSON, MULTIPART, KnownHosts, check_sender, media_type_of, read_body
from prodemb.serve.config import ServeConfig
from prodemb.serve.fetching import Fetcher
from prodemb.serve.load import RETRY_AFTER_S, Load, Reservation
from prodemb.serve.page import page_of
from prodemb.serve.problem import RequestProblem
from prodemb.serve.products import SentProducts, read_products
from prodemb.serve.schema import Health, Prediction, Predictions, Problem, Products, ServedHead

CLIENT_GONE = 499
"""The status that nobody reads; nginx's."""
_REF = "#/components/schemas/{model}"
_REQUEST_BODY = {
    "required": True,
    "content": {
        JSON: {"schema": {"$ref": _REF.format(model="Products")}},
        MULTIPART: {
            "schema": {
                "type": "object",
                "required": ["products"],
                "properties": {"products": {"type": "array", "items": {"$ref": _REF.format(model="Product")}}},
                "additionalProperties": {
                    "type": "string",
                    "format": "binary",
                    "description": "The file of a picture, called like the product's id, or its number from 0.",
                },
            },
            "encoding": {"products": {"contentType": JSON}},
        },
    },
}
_UNKNOWN_HOST: dict[str, Any] = {"description": "Called by a name that is not the server's", "model": Problem}
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"description": "No multipart form, or called by a name that is not the server's"},
    403: {"description": "Sent by a page of another site"},
    408: {"description": "The body did not arrive in time"},
    413: {"description": "The body is too large"},
    415: {"description": f"Neither {JSON} nor {MULTIPART}"},
    422: {"description": "Not the JSON that is wanted"},
    500: {"description": "The products cannot be predicted"},
    503: {"description": "Busy, or not answered in time", "headers": {"Retry-After": {"schema": {"type": "integer"}}}},
}


class _App(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """The description, with the models of requests, which FastAPI does not see."""
        if not self.openapi_schema:
            found = get_openapi(
                title=self.title, version=self.version, description=self.description, routes=self.routes
            )
            own = Products.model_json_schema(ref_template=_REF)
            found["components"]["schemas"] |= own.pop("$defs") | {"Products": own}
            self.openapi_schema = found
        return self.openapi_schema


def create_app(
    predictor: Predictor, *, config: ServeConfig, images: ImagesConfig, hosts: Collection[str] | None = None
) -> FastAPI:
    """An application that answers with a predictor.

    Args:
        images: how pictures are fetched, where `[serve] allow_fetch` lets them be.
        hosts: by which names requests may call this server, without a port, in lower case; None for any.
    """
    service = _Service(predictor, config=config, images=images)
    app = _App(
        title="prodemb",
        version=__version__,
        description="One Google category and one canonical brand for every product.",
        docs_url=None,  # FastAPI's page loads its script from elsewhere
        redoc_url=None,
        lifespan=lambda _: service.running(),
    )
    if hosts is not None:
        app.add_middleware(KnownHosts, hosts=frozenset(hosts))

    @app.post(
        "/predict",
        response_model=Predictions,
        responses={status: each | {"model": Problem} for status, each in _PROBLEMS.items()},
        openapi_extra={"requestBody": _REQUEST_BODY},
    )
    async def predict(request: Request) -> Response:
        """Predict a category and a brand for each product."""
        try:
            return await service.predict(request)
        except RequestProblem as problem:
            return problem.response()
        except ClientDisconnect:
            return Response(status_code=CLIENT_GONE)

    @app.get(
        "/health", responses={400: _UNKNOWN_HOST, 503: {"description": "Requests are not answered", "model": Health}}
    )
    async def health(response: Response) -> Health:
        """Whether requests are answered, and with what."""
        found = service.health()
        response.status_code = 200 if found.ready else 503
        return found

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> Response:
        return RequestProblem(500, f"cannot be answered: {type(error).__name__}; the server's log says why").response()

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(
            page_of(app.openapi()), headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
        )

    return app


class _Service:
    """What answers: the predictor behind its queue, and what has been taken on."""

    def __init__(self, predictor: Predictor, *, config: ServeConfig, images: ImagesConfig) -> None:
        self._cards, self._config, self._images = predictor.cards, config, images
        self._load = Load(config)
        self._batcher = Batcher(
            predictor.predict_rows, batch_size=config.batch_size, wait_s=config.batch_wait_ms / 1000
        )
        self._fetcher: Fetcher | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        with ExitStack() as stack:
            if self._config.allow_fetch:
                timeout_s = self._config.answer_timeout_s / 2
                self._fetcher = stack.enter_context(Fetcher.running(self._images, timeout_s=timeout_s))
            async with self._batcher.running():
                yield

    async def predict(self, request: Request) -> Response:
        """The answer to a request.

        Raises:
            RequestProblem: it gets none.
            ClientDisconnect: nobody waits for it.
        """
        check_sender(request, hosts=self._config.hosts)
        media_type = media_type_of(request)
        with self._load.reserved() as reservation:
            body = await read_body(request, reservation=reservation, config=self._config)
            products = await asyncio.to_thread(
                read_products,
                body,
                media_type=media_type,
                content_type=request.headers["content-type"],
                config=self._config,
            )
            if not len(products):
                return _response([])
            reservation.take(num_products=len(products))
            answer = asyncio.ensure_future(self._answer(products, reservation=reservation))
            predictions, errors = await _unless_gone(answer, request, timeout_s=self._config.answer_timeout_s)
        return _response(
            [
                Prediction(**row | {"product_id": sent["product_id"]}, warnings=[f"image: {error}"] if error else [])
                for row, sent, error in zip(predictions.to_pylist(), products.texts, errors, strict=True)
            ]
        )

    async def _answer(self, products: SentProducts, *, reservation: Reservation) -> Answer:
        if self._fetcher is not None:
            products = await self._fetcher.fetched(products, reservation=reservation)
        try:
            return await self._batcher.predict(products)
        except PredictionError as error:
            raise RequestProblem(500, f"the products cannot be predicted: {error}") from error

    def health(self) -> Health:
        return Health(
            ready=self._batcher.is_running,
            version=__version__,
            heads=[
                ServedHead(
                    target=card.target,
                    model=Path(card.model).name if Path(card.model).is_dir() else card.model,
                    fingerprint=card.fingerprint,
                    weights_sha256=card.weights_sha256,
                )
                for card in self._cards
            ],
            num_waiting=self._load.num_products,
        )


async def _unless_gone(answer: asyncio.Future[Answer], request: Request, *, timeout_s: float) -> Answer:
    """The answer, where it comes in time and the client still waits for it.

    Raises:
        RequestProblem: it does not come in time.
        ClientDisconnect: the client has gone.
    """
    gone = asyncio.ensure_future(_disconnection(request))
    try:
        await asyncio.wait((answer, gone), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        if gone.done():
            raise ClientDisconnect
        raise RequestProblem(503, f"busy: no answer after {timeout_s:g} s", headers={"Retry-After": str(RETRY_AFTER_S)})
    finally:
        answer.cancel()
        gone.cancel()


async def _disconnection(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _response(predictions: list[Prediction]) -> Response:
    return Response(Predictions(predictions=predictions).model_dump_json(), media_type=JSON)
