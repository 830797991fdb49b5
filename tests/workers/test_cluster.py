"""A cluster is found or not, and its machines are shared out."""

import time

import pytest

from prodemb.core.errors import ConfigError, WorkerError
from prodemb.workers import cluster
from prodemb.workers.cluster import Head, Layout, connected, device_of, lay_out

NODE = {"CPU": 4.0, "GPU": 0.0}
GPU_NODE = {"CPU": 16.0, "GPU": 4.0}


@pytest.mark.parametrize(
    ("nodes", "with_gpus", "num_workers", "expected"),
    [
        ([NODE, NODE], False, None, Layout(num_workers=2, num_cores=4, num_gpus=0)),
        ([NODE, NODE], False, 3, Layout(num_workers=3, num_cores=2, num_gpus=0)),
        ([NODE, NODE], False, 99, Layout(num_workers=8, num_cores=1, num_gpus=0)),
        ([NODE, GPU_NODE], True, None, Layout(num_workers=4, num_cores=4, num_gpus=1)),
        ([NODE, GPU_NODE, GPU_NODE], True, 2, Layout(num_workers=2, num_cores=16, num_gpus=1)),
        ([{}, NODE], False, None, Layout(num_workers=1, num_cores=4, num_gpus=0)),
    ],
)
def test_cores_are_shared_out(
    nodes: list[dict[str, float]], with_gpus: bool, num_workers: int | None, expected: Layout
) -> None:
    assert lay_out(nodes, with_gpus=with_gpus, num_workers=num_workers, num_tasks=50) == expected


def test_no_more_workers_than_tasks_and_no_run_without_cores() -> None:
    assert lay_out([NODE, NODE], with_gpus=False, num_workers=8, num_tasks=1).num_workers == 1
    with pytest.raises(ConfigError, match="found no core in the Ray cluster"):
        lay_out([{"CPU": 0.0}], with_gpus=False, num_workers=None, num_tasks=1)


def test_a_head_that_does_not_answer_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "HEAD_SECONDS", 0.01)
    monkeypatch.setattr(cluster, "POLL_SECONDS", 0.01)
    head = Head("127.0.0.1:1", kept="all is kept")
    with pytest.raises(
        WorkerError, match=r"the head of the Ray cluster at 127.0.0.1:1 does not answer any more; all is kept"
    ):
        head.wait()
    assert not head.is_there()


def test_gpus_are_used_where_there_are_any() -> None:
    assert device_of([NODE, GPU_NODE], wanted="auto") == "cuda"
    assert device_of([NODE, GPU_NODE], wanted="cpu") == "cpu"
    assert device_of([NODE], wanted="auto") == "cpu"
    with pytest.raises(ConfigError, match=r"device: found 'cuda', but no machine of the Ray cluster has"):
        device_of([NODE], wanted="cuda")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "head", "head:abc", "127.0.0.1:99999", "ray://127.0.0.1:1"])
def test_a_cluster_that_is_not_there_is_an_error_at_once(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setenv("RAY_ADDRESS", address)
    started = time.monotonic()
    with (
        pytest.raises(ConfigError, match=r"Ray: found no cluster at .*; wanted the address host:port"),
        connected(None, table="embed"),
    ):
        pass
    assert time.monotonic() - started < 10
