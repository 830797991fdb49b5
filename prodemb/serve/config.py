"""The settings of serving."""

import re

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, field_validator

from prodemb.core.config import Config

_NAME = re.compile(r"[\w.-]+|\[[0-9A-Fa-f:.]+\]", re.ASCII)


class ServeConfig(Config):
    """`[serve]`: where `prodemb serve` listens, and what it takes on."""

    host: str = "127.0.0.1"
    """The address to listen at. Nobody is asked who they are: beyond this machine, something else must do that."""
    port: int = Field(default=8000, ge=0, le=65_535)
    """0 takes any that is free."""
    hosts: tuple[str, ...] = ()
    """Names, without a port, by which a proxy or its visitors call the server, beside those of this machine."""
    allow_fetch: bool = False
    """Whether pictures are fetched from http(s) addresses in requests, private ones always excepted."""
    max_body_bytes: PositiveInt = 32_000_000
    """Size limit of one request."""
    max_products: PositiveInt = 256
    """Products in one request."""
    max_text_chars: PositiveInt = 20_000
    """Characters of one product's texts together: a million take about a second, for everybody who waits."""
    max_waiting: PositiveInt = 1024
    """Products of all requests that are being answered or wait; further requests are sent away with status 503."""
    max_waiting_bytes: PositiveInt = 512_000_000
    """The same for the bytes of their bodies, and of the pictures that were fetched for them. A request that has more
    alone gets status 413, or if these are pictures no further ones."""
    batch_size: PositiveInt = 64
    """Products after which requests that wait are not joined by further ones. With 1 each request is answered alone."""
    batch_wait_ms: NonNegativeFloat = 5.0
    """How long a request waits for others to join it."""
    body_timeout_s: PositiveFloat = 30.0
    """Seconds in which a request must have arrived, its header lines and its body each."""
    answer_timeout_s: PositiveFloat = 60.0
    """Seconds after which a request that is still not answered gets status 503; also how long answers may take once
    the server is asked to stop. Pictures are fetched for half as long at most."""

    @field_validator("hosts")
    @classmethod
    def _are_names(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if not _NAME.fullmatch(host):
                raise ValueError(f"found {host!r}, wanted names such as 'shop.example', without http:// and a port")
        return tuple(host.lower() for host in hosts)
