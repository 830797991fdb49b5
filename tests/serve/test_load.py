"""What is too much for now may come again, and what is too much alone may not."""

import pytest

from prodemb.serve.config import ServeConfig
from prodemb.serve.load import Load
from prodemb.serve.problem import RequestProblem


def test_who_is_sent_away_is_told_whether_to_come_again() -> None:
    load = Load(ServeConfig(max_waiting_bytes=100))
    with load.reserved() as first, load.reserved() as second:
        first.take(num_bytes=80)
        assert second.would_hold(30)
        with pytest.raises(RequestProblem, match=r"busy: .*: come again later") as busy:
            second.take(num_bytes=30)
        assert (busy.value.status, busy.value.response().headers["retry-after"]) == (503, "1")
        second.take(num_bytes=20)
        assert not second.would_hold(81)
        with pytest.raises(RequestProblem, match="body: found more than 100 bytes; wanted at most so many") as never:
            second.take(num_bytes=81)
        assert never.value.status == 413
        assert load.num_bytes == 100
    assert load.num_bytes == 0
