"""Processor time and peak memory of each hostile picture, in a process of its own.

    python tests/bench/picture_bounds.py                      all of them, a minute or two
    python tests/bench/picture_bounds.py gif "png text"       those whose name holds one of these
    python tests/bench/picture_bounds.py --json

The files are those of `tests/fuzz/hostile_pictures.py`; memory is what decoding adds to a process that is ready for it.
"""

import argparse
import json
import os
import resource
import sys
import time
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image
from report import figure, headline, machine, table

from prodemb.catalog.images import AbsentImage
from prodemb.towers.image import ImagePreprocessor

sys.path.append(str(Path(__file__).parents[1] / "fuzz"))

from hostile_pictures import BUILDERS

PREPROCESSOR = ImagePreprocessor(size=224, crop=(224, 224), mean=(0, 0, 0), std=(1, 1, 1))
MAX_SECONDS = 120
"""Processor time after which a picture counts as a hang."""


@dataclass(frozen=True, kw_only=True)
class PictureFigures:
    """One file."""

    name: str
    file_mb: float
    seconds: float
    """Of processors."""
    peak_mb: float
    outcome: str
    """`pixels`, the reason of the absence, or how the process died."""


def measure(name: str) -> PictureFigures:
    """Decode one hostile picture in a child of this process."""
    data = BUILDERS[name]()
    receiving, sending = os.pipe()
    child = os.fork()
    if not child:
        os.write(sending, json.dumps(_decode(data)).encode())
        os._exit(0)
    os.close(sending)
    with os.fdopen(receiving, "rb") as pipe:
        told = pipe.read()
    _, status = os.waitpid(child, 0)
    seconds, peak_mb, outcome = json.loads(told) if told else (MAX_SECONDS, 0.0, f"died: {status}")
    return PictureFigures(name=name, file_mb=len(data) / 1e6, seconds=seconds, peak_mb=peak_mb, outcome=outcome)


def _decode(data: bytes) -> tuple[float, float, str]:
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_SECONDS, MAX_SECONDS))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    try:
        PREPROCESSOR.decode(data)
        outcome = "pixels"
    except AbsentImage as absent:
        outcome = absent.reason
    except BaseException as error:
        outcome = f"crash: {error!r}"
    seconds = time.process_time() - started
    return seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="parts of the names of the files [all]")
    parser.add_argument("--json", action="store_true", help="one JSON object in place of a table")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    Image.init()
    chosen = [name for name in BUILDERS if not options.names or any(part in name for part in options.names)]
    figures = [measure(name) for name in chosen]
    about = machine()
    if options.json:
        print(json.dumps({"machine": about, "pictures": [asdict(f) for f in figures]}, indent=2))
        return
    rows = [[f.name, figure(f.file_mb), figure(f.seconds), figure(f.peak_mb, digits=0), f.outcome] for f in figures]
    print(headline(about), end="\n\n")
    print(table(["picture", "file MB", "seconds", "peak MB", "outcome"], rows=rows), end="\n\n")
    worst = max(figures, key=lambda f: f.peak_mb), max(figures, key=lambda f: f.seconds)
    print(f"at most {worst[0].peak_mb:,.0f} MB ({worst[0].name}) and {worst[1].seconds:.1f} s ({worst[1].name})")


if __name__ == "__main__":
    main()
