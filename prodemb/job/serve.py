"""Serving predictions with the heads of pipelines."""

from collections.abc import Callable, Sequence
from pathlib import Path

from prodemb.catalog.images import ImagesConfig
from prodemb.job.pipeline import Pipeline, agreed
from prodemb.job.score import joint_scoring
from prodemb.predict.predictor import Predictor
from prodemb.serve.app import create_app
from prodemb.serve.config import ServeConfig
from prodemb.serve.server import Server, address_of, allowed_hosts, bound_socket, is_loopback


def joint_serving(brand: Pipeline, *, category: Pipeline) -> Pipeline:
    """The brand pipeline with what the category pipeline says of scoring, serving and pictures.

    Raises:
        ConfigError: the two say different things of it.
    """
    joint = {
        table: agreed(brand, category, table=table, keys=config.model_fields, why="both heads are served together")
        for table, config in (("serve", ServeConfig), ("images", ImagesConfig))
    }
    return joint_scoring(brand, category=category).replaced(joint, source="[serve] and [images] of both pipelines")


def serve(
    heads: Sequence[Path],
    *,
    pipeline: Pipeline,
    on_ready: Callable[[str], None],
    on_open: Callable[[str], None],
) -> None:
    """Answer requests until SIGINT or SIGTERM; a second one, before all are answered, ends the process.

    Args:
        heads: their folders, at most one per target.
        pipeline: says how CLIP runs, what predictions hold, where requests come in and how pictures are fetched;
            private addresses are refused whatever it says.
        on_ready: called with the server's address once requests are answered.
        on_open: called with it before, where it can be reached from other machines.

    Raises:
        ConfigError: the address is taken.
        HeadError, ModelError, FingerprintError: as `Predictor.load`.
    """
    config = pipeline.serve
    with bound_socket(config) as sock:
        address = address_of(sock)
        if not is_loopback(sock):
            on_open(address)
        settings = pipeline.model_dump(mode="json", include={"embed", "images", "score"}, exclude_unset=True)
        app = create_app(
            Predictor.load(heads, settings=settings),
            config=config,
            images=pipeline.images.model_copy(update={"allow_private_hosts": False}),
            hosts=allowed_hosts(sock, config=config),
        )
        Server(app, config=config, on_ready=lambda: on_ready(address)).run(sockets=[sock])
