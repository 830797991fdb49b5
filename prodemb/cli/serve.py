"""`prodemb serve`: predictions over HTTP."""

from importlib.util import find_spec
from typing import Annotated

import typer

from prodemb.cli.display import say, started, tell
from prodemb.cli.options import DeviceOption, HeadsOption, chosen_heads
from prodemb.core.errors import ConfigError

_NEEDED = {"fastapi": "fastapi", "uvicorn": "uvicorn", "python_multipart": "python-multipart"}
"""Packages of the extra, by the name that they are imported by."""


def serve(
    heads: HeadsOption = None,
    host: Annotated[
        str | None, typer.Option(help="The address to listen at. Default: 127.0.0.1.", show_default=False)
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="The port; 0 takes any that is free. Default: 8000.", show_default=False)
    ] = None,
    allow_fetch: Annotated[
        bool | None,
        typer.Option(
            "--allow-fetch",
            help="Fetch pictures from http(s) addresses in requests; private addresses never.",
            show_default=False,
        ),
    ] = None,
    device: DeviceOption = None,
) -> None:
    """Answer requests over HTTP with the heads that are trained, until Ctrl-C. Needs the extra `serve`."""
    if missing := [package for name, package in _NEEDED.items() if find_spec(name) is None]:
        raise ConfigError(f"serve: found no {', '.join(missing)}, which it needs; wanted pip install 'prodemb[serve]'")
    from prodemb.job.pipeline import own_pipeline
    from prodemb.job.score import own_heads
    from prodemb.job.serve import joint_serving
    from prodemb.job.serve import serve as serve_heads

    own = [own_pipeline("brand"), own_pipeline("category")]
    pipeline = joint_serving(own[0], category=own[1]).replaced(
        {"embed": {"device": device}, "serve": {"host": host, "port": port, "allow_fetch": allow_fetch}},
        source="command line",
    )
    folders = chosen_heads(heads, default=lambda: own_heads(own))
    serve_heads(folders, pipeline=pipeline, on_ready=_say_ready, on_open=_warn_open)
    tell("stopped", "stopped")


def _say_ready(address: str) -> None:
    started("serve", where=address)
    say(f"serving at {address}: POST /predict, GET /health, GET /docs; Ctrl-C stops it")


def _warn_open(address: str) -> None:
    tell("warning", f"{address} can be reached from other machines, and nobody is asked who they are")
