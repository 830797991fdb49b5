"""Settings of every step that several machines can do together."""

from typing import Annotated, Literal

from pydantic import AfterValidator

Engine = Literal["local", "ray"]
"""What runs a step: this machine, or a Ray cluster."""


def _no_client(address: str) -> str:
    if "://" in address:
        raise ValueError('found an address with "://", wanted host:port of a cluster that this machine is part of')
    return address


RayAddress = Annotated[str, AfterValidator(_no_client)]
"""Of a Ray cluster's head, `host:port`, or `auto`."""
