"""A run over pictures from hostile servers ends, with a reason for each; and no secret of an address is written."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from tests.command_line import prodemb
from tests.conftest import make_clip
from tests.picture_server import running_server

OUTCOMES = {
    "jpeg": None,
    "moved-jpeg": "HTTP 404",
    "absent.jpg": "HTTP 404",
    "secret": "HTTP 401",
    "down": "HTTP 503",
    "tomorrow": "HTTP 429",
    "hang": "timed out",
    "slow": "timed out",
    "wait": "timed out",
    "cut": "connection broken off",
    "noise": "connection broken off",
    "headers": "connection broken off",
    "endless": "too large",
    "circle": "too many redirects",
    "there": "too many redirects",
    "to-file": "unsupported address",
    "nowhere": "invalid address",
    "void": "empty file",
    "html": "not a picture",
    "packed": "not a picture",
    "short": "not a picture",
    "twice": "not a picture",
}
USER, PASSWORD, TOKEN, SIGNATURE = "secretuser", "secretpassword", "secrettoken", "secretsignature"
ELSEWHERE = {
    f"ftp://{USER}:{PASSWORD}@127.0.0.1/a.jpg": "unsupported address",
    f"http://{USER}:{PASSWORD}@127.0.0.1:1/a.jpg?token={TOKEN}": "no connection",
    f"http://{USER}:{PASSWORD}@no-such-host.invalid/a.jpg?sig={SIGNATURE}": "no such host",
    f"http://{USER}:{PASSWORD}@[::1/a.jpg?sig={SIGNATURE}": "invalid address",
    f"http://{USER}:{PASSWORD}@127.0.0.1:99999/a.jpg?sig={SIGNATURE}": "invalid address",
    f"https:/{USER}:{PASSWORD}@127.0.0.1/a.jpg?sig={SIGNATURE}": "file not found",
}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_server() as address:
        yield address


def test_a_run_survives_all_servers_and_writes_no_secret(server: str, tmp_path: Path) -> None:
    address = server.replace("http://", f"http://{USER}:{PASSWORD}@")
    images = {f"{address}/{path}?token={TOKEN}&X-Amz-Signature={SIGNATURE}": why for path, why in OUTCOMES.items()}
    # Last what times out: a host that has given nothing for its whole deadline is left alone from then on.
    images = dict(sorted((images | ELSEWHERE).items(), key=lambda item: (item[1] == "timed out", item[1] is not None)))
    titles = [f"red shoe {number}" for number in range(len(images))]
    pl.DataFrame(
        {"product_id": [f"p{n}" for n in range(len(images))], "title": titles, "brand": "Norvik", "image": [*images]}
    ).write_csv(tmp_path / "catalog.csv")
    make_clip(tmp_path / "clip")
    (tmp_path / "own.toml").write_text(
        'target = "brand"\n[catalog]\npath = "catalog.csv"\n[embed]\nmodel = "./clip"\nout = "shards/clip"\n'
        "[images]\nallow_private_hosts = true\nretries = 1\ntimeout_s = 0.8\ndeadline_s = 5\nmax_bytes = 100_000\n"
        "max_host_failures = 1000\n"
    )
    commands = (("embed", "--pipeline", "own.toml"), ("inspect", "shards"), ("read", "catalog.csv"))
    results = [prodemb(*words, cwd=tmp_path) for words in commands]
    printed = "".join(result.stdout + result.stderr for result in results)

    shard = pl.read_parquet(tmp_path / "shards" / "clip" / "part-00000.parquet")
    found = dict(zip(images, shard["image_error"].to_list(), strict=True))
    assert found == images
    for reason, count in Counter(why for why in images.values() if why).items():
        assert any(reason in line and str(count) in line for line in printed.splitlines()), (reason, printed)
    assert "Traceback" not in printed

    secrets = [secret.encode() for secret in (USER, PASSWORD, TOKEN, SIGNATURE)]
    written = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name != "catalog.csv"}
    for where, content in [("screen", printed.encode()), *written.items()]:
        assert not [secret for secret in secrets if secret in content], (where, content[-2000:])
