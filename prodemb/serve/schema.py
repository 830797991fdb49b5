"""What requests and answers look like: the models from which their OpenAPI description is made."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str | None, Field(default=None)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)


class Product(_Model):
    """A product as a partner sends it; whatever is not known is left out, or null."""

    product_id: Text
    """Comes back as it is. No two products of a request have the same."""
    partner: Text
    title: Text
    description: Text
    brand: Text
    cat1: Text
    """The category in the partner's words, the top level."""
    cat2: Text
    cat3: Text
    image: Text
    """The bytes of a picture's file in base64, as they are or as a `data:` address; with `--allow-fetch` also an
    http(s) address. Paths are never read."""


class Products(_Model):
    """A request."""

    products: Annotated[list[Product], Field(fail_fast=True)]


class RankedCategory(_Model):
    """A category."""

    id: int
    """Google's."""
    path: str
    probability: float | None


class RankedBrand(_Model):
    """A brand."""

    name: str
    probability: float | None


class Prediction(_Model):
    """The answer for one product: the columns of the predictions file, and what could not be used of it."""

    product_id: str | None
    """As it was sent; null where none was."""
    partner: str | None
    category_id: int | None
    category_path: str | None
    category_level: int | None
    category_confidence: float | None
    category_source: str | None
    category_known: bool | None
    category_ancestors: list[RankedCategory] | None
    category_top: list[RankedCategory] | None
    brand: str | None
    brand_confidence: float | None
    brand_source: str | None
    brand_known: bool | None
    brand_top: list[RankedBrand] | None
    warnings: list[str]
    """Why the picture was not used, where it could not be; the answer is then that without one."""


class Predictions(_Model):
    """An answer: one prediction per product, in the order of the request."""

    predictions: list[Prediction]


class ServedHead(_Model):
    """A head that answers."""

    target: str
    model: str
    """The checkpoint that its vectors come from; of a folder its name."""
    fingerprint: str
    """Of that checkpoint with its preprocessing."""
    weights_sha256: str
    """Of the head."""


class Health(_Model):
    """The state of the server."""

    ready: bool
    version: str
    """Of prodemb."""
    heads: list[ServedHead]
    num_waiting: int
    """Products that are being answered or wait."""


class Problem(_Model):
    """Why a request is not answered."""

    detail: str
    """One line: where, what was found, and what is wanted."""
