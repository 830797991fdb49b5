"""A small Ray cluster on this machine, for tests."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


@contextmanager
def two_nodes(python: Path) -> Iterator[Any]:
    """Two machines of one core; this process is part of the first.

    Args:
        python: starts Ray's own processes and its workers.
    """
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    small = {"num_cpus": 1, "object_store_memory": 80 << 20}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("OMP_NUM_THREADS", "1")
        with pytest.MonkeyPatch.context() as starting:
            starting.setattr(sys, "executable", str(python))
            cluster = Cluster(initialize_head=True, head_node_args={**small, "include_dashboard": False})
            cluster.add_node(**small)
        ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
        try:
            yield cluster
        finally:
            ray.shutdown()
            cluster.shutdown()
