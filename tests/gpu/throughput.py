"""Where the time of stage one goes on a device, and what could make it faster.

python tests/gpu/throughput.py workers --model vit-b-32     embed with 1, 2 and 4 workers, with the time by part
python tests/gpu/throughput.py compile --model vit-b-32     the vision tower as it is, compiled, and in CUDA graphs
python tests/gpu/throughput.py decode --model vit-b-32      JPEGs decoded by prodemb and, where it is there, nvJPEG
"""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import torch
from setting import Setting, run_part

import prodemb
from prodemb.towers.checkpoint import find_checkpoint
from prodemb.towers.load import Towers, load_towers

BATCHES = (64, 256, 1024)


def workers(setting: Setting) -> dict[str, Any]:
    """Products per second from JPEG bytes and texts to shards, by number of processes on one device."""
    catalog, figures = setting.catalog(20_000), {}
    for number in (1, 2) if setting.tiny else (1, 2, 4):
        settings = {"embed": {"workers": number, "shard_size": 16 if setting.tiny else 2048}}
        out = setting.folder / f"shards-{number}"
        report = prodemb.embed(catalog, out, model=setting.model, device=setting.device, settings=settings)
        figures[number] = {
            "products_per_s": report.num_new / report.seconds,
            "seconds": report.seconds,
            "bottleneck": report.bottleneck,
            "thread_seconds": asdict(report.timings),
        }
    return {"num_cores": os.cpu_count(), "workers": figures}


def compile(setting: Setting) -> dict[str, Any]:
    """Pictures per second of the bare vision tower, by batch size."""
    towers = load_towers(find_checkpoint(setting.model), device=setting.device)
    figures: dict[str, Any] = {"dtype": str(towers.dtype).removeprefix("torch."), "pictures_per_s": {}}
    for size in (2,) if setting.tiny else BATCHES:
        pixels = torch.randint(0, 255, (size, *towers.image.shape), dtype=torch.uint8, device=towers.device)
        rates = {"eager": _rate(towers, partial(towers.image_vectors, pixels), size=size)}
        if towers.device.type == "cuda":
            for name, mode in (("compiled", "default"), ("graphs", "reduce-overhead")):
                torch.compiler.reset()
                compiled = torch.compile(towers.image_vectors, mode=mode)
                rates[name] = _rate(towers, partial(compiled, pixels), size=size)
        figures["pictures_per_s"][size] = rates
    return figures


@torch.inference_mode()
def _rate(towers: Towers, run: Callable[[], torch.Tensor], *, size: int, seconds: float = 1.0) -> float:
    """Contents per second, after three runs that are not timed."""
    for _ in range(3):
        run()
    _wait(towers)
    started, num_runs = time.perf_counter(), 0
    while num_runs < 2 or time.perf_counter() - started < seconds:
        run()
        _wait(towers)
        num_runs += 1
    return num_runs * size / (time.perf_counter() - started)


def _wait(towers: Towers) -> None:
    if towers.device.type == "cuda":
        torch.cuda.synchronize(towers.device)


def decode(setting: Setting) -> dict[str, Any]:
    """Pictures per second from JPEG bytes: on all cores by prodemb, and on the device by nvJPEG."""
    catalog = setting.catalog(2000)
    contents = [path.read_bytes() for path in sorted((catalog.parent / "images").iterdir()) if path.suffix == ".jpg"]
    towers = load_towers(find_checkpoint(setting.model), device=setting.device)
    started = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(towers.image.decode, contents))
    rates = {"prodemb, all cores": len(contents) / (time.perf_counter() - started)}
    found: dict[str, Any] = {"num_pictures": len(contents), "num_cores": os.cpu_count(), "pictures_per_s": rates}
    if towers.device.type == "cuda":
        try:
            from torchvision.io import decode_jpeg
        except ImportError as error:
            return found | {"nvjpeg": f"left out: {error}"}
        tensors = [torch.from_numpy(np.frombuffer(content, dtype=np.uint8).copy()) for content in contents]
        decode_jpeg(tensors[:8], device=towers.device)
        started = time.perf_counter()
        for first in range(0, len(tensors), 64):
            decode_jpeg(tensors[first : first + 64], device=towers.device)
        _wait(towers)
        rates["nvJPEG"] = len(contents) / (time.perf_counter() - started)
    return found


if __name__ == "__main__":
    run_part(__doc__, {"workers": workers, "compile": compile, "decode": decode})
