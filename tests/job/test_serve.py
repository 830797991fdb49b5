"""One server for both pipelines: what either says of it counts, and they must not contradict each other."""

from typing import Any

import pytest

from prodemb.core.errors import ConfigError
from prodemb.job.pipeline import Pipeline
from prodemb.job.serve import joint_serving


def joint(brand: dict[str, Any], category: dict[str, Any]) -> Pipeline:
    one, other = (
        Pipeline.parse({"target": target, **tables}, source="test")
        for target, tables in (("brand", brand), ("category", category))
    )
    return joint_serving(one, category=other)


def test_what_counts_for_the_server_may_stand_in_either_pipeline() -> None:
    found = joint(
        {"serve": {"port": 9000, "hosts": ["a.example"]}, "images": {"retries": 1}, "score": {"top": 3}},
        {"serve": {"port": 9000, "max_products": 7}, "images": {"max_bytes": 5}, "score": {"precision": 0.9, "top": 4}},
    )
    assert (found.serve.port, found.serve.hosts, found.serve.max_products) == (9000, ("a.example",), 7)
    assert (found.images.retries, found.images.max_bytes, found.images.concurrency) == (1, 5, 32)
    assert (found.score.precision, found.score.top) == (0.9, 3)


@pytest.mark.parametrize(
    ("table", "key", "one", "other"), [("serve", "port", 1, 8000), ("images", "allow_private_hosts", True, False)]
)
def test_two_values_for_one_server_are_refused(table: str, key: str, one: Any, other: Any) -> None:
    with pytest.raises(
        ConfigError,
        match=rf"^\[{table}\] {key}: found {one} in the brand pipeline and {other} in the category pipeline; "
        "wanted one value, since both heads are served together$",
    ):
        joint({table: {key: one}}, {table: {key: other}})
