"""The clients of serving.py, in a process of their own, which costs the server no thread: `clients.py HOST PORT FILE`.

FILE is a JSON list of lists of bodies: those of an inner list are sent one after another, the lists all at a time, each
request on a connection of its own. Prints the seconds of all, those of each request, and the ids that were answered, in
the order of the file.
"""

import asyncio
import json
import sys
import time
from pathlib import Path


async def ask(host: str, port: int, body: str) -> tuple[float, list[str]]:
    """One request: the seconds from before the connection to the last byte, and the products answered."""
    data = body.encode()
    head = f"POST /predict HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\nconnection: close\r\n"
    started = time.perf_counter()
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(f"{head}content-length: {len(data)}\r\n\r\n".encode() + data)
    answer = await reader.read()
    seconds = time.perf_counter() - started
    writer.close()
    status, _, found = answer.partition(b"\r\n\r\n")
    if not status.startswith(b"HTTP/1.1 200 "):
        sys.exit(f"{answer[:200]!r}")
    return seconds, [product["product_id"] for product in json.loads(found)["predictions"]]


async def ask_all(host: str, port: int, clients: list[list[str]]) -> dict[str, object]:
    """What is printed."""

    async def client(bodies: list[str]) -> list[tuple[float, list[str]]]:
        return [await ask(host, port, body) for body in bodies]

    started = time.perf_counter()
    found = await asyncio.gather(*map(client, clients))
    seconds = time.perf_counter() - started
    answers = [answer for each in found for answer in each]
    return {
        "seconds": seconds,
        "latencies": [latency for latency, _ in answers],
        "product_ids": [name for _, ids in answers for name in ids],
    }


if __name__ == "__main__":
    own_host, own_port, path = sys.argv[1:]
    print(json.dumps(asyncio.run(ask_all(own_host, int(own_port), json.loads(Path(path).read_text())))))
