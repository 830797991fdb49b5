"""From bodies of requests to catalog rows: JSON, or forms with JSON and the files of pictures."""

import asyncio
import difflib
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from prodemb.catalog.images import ImagesConfig
from prodemb.catalog.pictures import data_of
from prodemb.core.text import one_line
from prodemb.predict.products import CatalogRows, as_rows
from prodemb.serve.body import JSON
from prodemb.serve.config import ServeConfig
from prodemb.serve.problem import RequestProblem
from prodemb.serve.schema import Product, Products

BYTES_PER_PRODUCT = 1_000
"""Of JSON outside of its strings, spaces included; ten keys of a product need about 40 without spaces."""
_MOST_SHOWN, _LONGEST_SHOWN = 3, 80
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_PIECE_BYTES = 1 << 16
_ADDRESS_STARTS = ("http://", "https://", "//")
_PRODUCTS = TypeAdapter(list[Product])
_IMAGES = ImagesConfig()
"""`as_rows` asks for their bounds, which hold for paths; here are none."""


@dataclass(frozen=True, kw_only=True)
class SentProducts:
    """n products of a request."""

    texts: Sequence[Mapping[str, Any]]
    """(n,) by standard name, as they were sent: also `product_id`, which is None or differs from all others."""
    pictures: Sequence[str | bytes | None]
    """(n,) addresses, or the bytes of files."""
    errors: Mapping[int, str]
    """By row: why a picture that was given cannot be had."""

    def __len__(self) -> int:
        return len(self.texts)


def joined(requests: Sequence[SentProducts]) -> CatalogRows:
    """The products of several requests, one after another, as catalog rows: as many cost about as much as one.

    Their ids are not those that were sent, but as a catalog's.
    """
    errors: dict[int, str] = {}
    start = 0
    for each in requests:
        errors |= {start + row: reason for row, reason in each.errors.items()}
        start += len(each)
    rows = as_rows(
        [product for each in requests for product in each.texts],
        columns={},
        category_separator=None,
        images=_IMAGES,
    )
    return replace(rows, pictures=[picture for each in requests for picture in each.pictures], errors=errors)


def read_products(body: bytes, *, media_type: str, content_type: str, config: ServeConfig) -> SentProducts:
    """The products of a request.

    Their pictures are bytes, or with `[serve] allow_fetch` http(s) addresses; never paths.

    Args:
        media_type: as `prodemb.serve.body.media_type_of` gives it; the header `content_type` says it in full.

    Raises:
        RequestProblem: the body is not what it should be.
    """
    files: Mapping[int, bytes] = {}
    if media_type == JSON:
        products = _from_json(body, whole=True, config=config)
    else:
        products, files = _from_form(body, content_type=content_type, config=config)
    _check_bounds(products, config=config)
    texts = [product.model_dump(exclude={"image"}) for product in products]
    pictures, errors = _pictures(products, files=files, allow_fetch=config.allow_fetch)
    return SentProducts(texts=texts, pictures=pictures, errors=errors)


def _check_bounds(products: Sequence[Product], *, config: ServeConfig) -> None:
    if len(products) > config.max_products:
        raise RequestProblem(422, f"products: found {len(products):,}; wanted at most {config.max_products:,}")
    for row, product in enumerate(products):
        num_chars = sum(len(text) for name, text in product if name != "image" and text)
        if num_chars > config.max_text_chars:
            raise RequestProblem(
                422,
                f"products.{row}: found texts of {num_chars:,} characters; wanted at most {config.max_text_chars:,}",
            )


def _from_json(text: bytes, *, whole: bool, config: ServeConfig) -> list[Product]:
    """The products of a body, or where it is not `whole`, of the part of a form."""
    _check_structure(text, max_bytes=BYTES_PER_PRODUCT * config.max_products)
    try:
        products = Products.model_validate_json(text).products if whole else _PRODUCTS.validate_json(text)
        _check_ids(products)
        return products
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False)
    more = f"; and {len(problems) - _MOST_SHOWN:,} more" if len(problems) > _MOST_SHOWN else ""
    place = () if whole else ("products",)
    lines = [
        _unknown_key((*place, *detail["loc"]))
        if detail["type"] == "extra_forbidden"
        else _explained((*place, *detail["loc"]), str(detail["msg"]), detail["input"])
        for detail in problems[:_MOST_SHOWN]
    ]
    raise RequestProblem(422, "; ".join(lines) + more)


def _check_ids(products: Sequence[Product]) -> None:
    """Refuse ids by which answers would be given to the wrong products."""
    rows: dict[str, int] = {}
    for row, product in enumerate(products):
        name = product.product_id
        if name is not None and (first := rows.setdefault(name, row)) != row:
            raise RequestProblem(
                422,
                f"products.{row}.product_id: found {name[:_LONGEST_SHOWN]!r} as in products.{first}; wanted ids that "
                "differ, or none",
            )


def _check_structure(text: bytes, *, max_bytes: int) -> None:
    """Refuse JSON of many small values, each of which would take many times its size."""
    outside = position = 0
    for string in _STRING.finditer(text):
        outside += string.start() - position + 1
        position = string.end()
        if outside > max_bytes:
            break
    else:
        outside += len(text) - position
    if outside > max_bytes:
        raise RequestProblem(
            422, f"body: found more than {max_bytes:,} bytes of JSON outside of its strings; wanted less"
        )


def _explained(where: Sequence[str | int], message: str, found: object) -> str:
    """One of pydantic's errors as `products.0.title: found 3; input should be a valid string`."""
    shown = "" if isinstance(found, bytes | dict | list) else repr(found)
    shown = f"found {shown[:_LONGEST_SHOWN]}; " if shown else ""
    return f"{_path(where)}: {shown}{message[:1].lower()}{message[1:]}"


def _unknown_key(where: Sequence[str | int]) -> str:
    *place, key = where
    known = [*Product.model_fields] if place else [*Products.model_fields]
    close = difflib.get_close_matches(str(key)[:_LONGEST_SHOWN], known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known here: {', '.join(known)}"
    return f"{_path(where)}: no such key; {hint}"


def _path(where: Sequence[str | int]) -> str:
    return ".".join(str(part)[:_LONGEST_SHOWN] for part in where) or "body"


def _from_form(body: bytes, *, content_type: str, config: ServeConfig) -> tuple[list[Product], dict[int, bytes]]:
    """The products of a form, and by product the file of its picture."""
    try:
        parts = asyncio.run(_parts(body, content_type=content_type, max_parts=config.max_products + 1))
    except MultiPartException as error:
        raise RequestProblem(400, f"body: {one_line(error)} Wanted {content_type[:_LONGEST_SHOWN]}") from None
    except Exception as error:  # parsers of forms raise anything on hostile input
        raise RequestProblem(400, f"body: no multipart form ({type(error).__name__})") from None
    own = [content for name, content in parts if name == "products"]
    if len(own) != 1:
        raise RequestProblem(422, f"form: found {len(own):,} parts named products; wanted one, with a list in JSON")
    text = own[0] if isinstance(own[0], bytes) else own[0].encode("utf-8", "surrogatepass")
    products = _from_json(text, whole=False, config=config)
    return products, _files([part for part in parts if part[0] != "products"], products=products)


async def _parts(body: bytes, *, content_type: str, max_parts: int) -> list[tuple[str, bytes | str]]:
    """The parts of a form by name: files as bytes, other fields as texts."""

    async def pieces() -> AsyncGenerator[bytes, None]:
        for start in range(0, len(body), _PIECE_BYTES):
            yield body[start : start + _PIECE_BYTES]

    headers = Headers({"content-type": content_type})
    parser = MultiPartParser(headers, pieces(), max_files=max_parts, max_fields=max_parts, max_part_size=len(body))
    parser.spool_max_size = len(body) + 1  # nothing goes to a disk
    form = await parser.parse()
    try:
        return [
            (name, await part.read() if isinstance(part, UploadFile) else part) for name, part in form.multi_items()
        ]
    finally:
        await form.close()


def _files(parts: Sequence[tuple[str, bytes | str]], *, products: Sequence[Product]) -> dict[int, bytes]:
    """The files of a form by the product that they belong to: each is called like its id, or else its number."""
    rows = {str(row): row for row in range(len(products))}
    rows |= {product.product_id: row for row, product in enumerate(products) if product.product_id is not None}
    files: dict[int, bytes] = {}
    for name, content in parts:
        shown = repr(name[:_LONGEST_SHOWN])
        if name not in rows:
            raise RequestProblem(
                422, f"form: {shown}: found a part for no product; wanted the id of one product, or its number"
            )
        if isinstance(content, str):
            raise RequestProblem(422, f"form: {shown}: found a field; wanted a file, which has a filename")
        row = rows[name]
        if row in files or products[row].image is not None:
            raise RequestProblem(422, f"form: {shown}: found a second picture of product {row}; wanted one")
        files[row] = content
    return files


def _pictures(
    products: Sequence[Product], *, files: Mapping[int, bytes], allow_fetch: bool
) -> tuple[list[str | bytes | None], dict[int, str]]:
    """The picture of each product, and by row why one cannot be had."""
    pictures: list[str | bytes | None] = []
    errors: dict[int, str] = {}
    for row, product in enumerate(products):
        image = (product.image or "").strip()
        if row in files:
            found: str | bytes | None = files[row]
            reason = "empty file"
        elif image[:8].lower().startswith(_ADDRESS_STARTS):
            found = image if allow_fetch else None
            reason = "addresses are not fetched"
        elif image[:5].lower() == "data:":
            found, reason = data_of(image), "damaged data address"
        else:
            found, reason = data_of(f"data:;base64,{image}"), "not base64"
        if not found and (image or row in files):
            errors[row] = reason
        pictures.append(found or None)
    return pictures, errors
