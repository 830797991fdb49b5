"""Processor time and peak memory of each hostile picture, in a process of its own.

    python tests/bench/picture_bounds.py                      all of them, a minute or two
    python tests/bench/picture_bounds.py gif "png text"       those whose name contains one of these

The files are those of `tests/fuzz/hostile_pictures.py`; memory is what decoding adds to a process that is ready for it,
and all of the process that decodes for it where there is one.
A row fails where decoding ends in anything but pixels or the reason why there are none.
"""

import json
import os
import resource
import sys
import time
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from measure import RowError
from PIL import Image
from report import figure, options_parser, reporting, table

from prodemb.catalog.images import AbsentImage
from prodemb.towers.decoders import DECODERS
from prodemb.towers.image import ImagePreprocessor

sys.path.append(str(Path(__file__).parents[1] / "fuzz"))

from hostile_pictures import BUILDERS

PREPROCESSOR = ImagePreprocessor(size=224, crop=(224, 224), mean=(0, 0, 0), std=(1, 1, 1))
MAX_SECONDS = 120
"""Processor time after which a picture counts as a hang."""


@dataclass(frozen=True, kw_only=True)
class PictureFigures:
    """One file."""

    file_mb: float
    seconds: float
    """Of processor time."""
    peak_mb: float
    outcome: str
    """`pixels`, or the reason why there are none."""


def measure(name: str) -> PictureFigures:
    """Decode one hostile picture in a child of this process.

    Raises:
        RowError: decoding crashed, or took too long.
    """
    data = BUILDERS[name]()
    receiving, sending = os.pipe()
    child = os.fork()
    if not child:
        os.write(sending, json.dumps(_decode(data)).encode())
        os._exit(0)
    os.close(sending)
    with os.fdopen(receiving, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    if not answer:
        raise RowError(
            f"its process ended with status {os.waitstatus_to_exitcode(status)}, after {MAX_SECONDS} s of "
            "processor time or out of memory"
        )
    seconds, peak_mb, outcome, error = json.loads(answer)
    if error:
        raise RowError(error)
    return PictureFigures(file_mb=len(data) / 1e6, seconds=seconds, peak_mb=peak_mb, outcome=outcome)


def _decode(data: bytes) -> tuple[float, float, str, str]:
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_SECONDS, MAX_SECONDS))
    error = ""
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, started = _peak_mb("self"), time.process_time()
    try:
        PREPROCESSOR.decode(data)
        outcome = "pixels"
    except AbsentImage as absent:
        outcome = absent.reason
    except BaseException as raised:
        outcome, error = "crash", repr(raised)
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    peak_mb = _peak_mb("self") - before + sum(_peak_mb(child) for child in children)
    DECODERS.end()
    decoders = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() - started + decoders.ru_utime + decoders.ru_stime, peak_mb, outcome, error


def _peak_mb(process: str) -> float:
    (line,) = (line for line in Path(f"/proc/{process}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def main() -> None:
    parser = options_parser(__doc__)
    parser.add_argument("names", nargs="*", help="parts of the names of the files [all]")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    Image.init()
    chosen = [name for name in BUILDERS if not options.names or any(part in name for part in options.names)]
    with reporting(options) as report:
        pictures = {name: report.attempt(name, partial(measure, name)) for name in chosen}
        text = table(["picture", "file MB", "seconds", "peak MB", "outcome"], pictures, cells=_cells)
        measured = {name: found for name, found in pictures.items() if isinstance(found, PictureFigures)}
        if measured:
            largest = max(measured, key=lambda name: measured[name].peak_mb)
            slowest = max(measured, key=lambda name: measured[name].seconds)
            peak, seconds = measured[largest].peak_mb, measured[slowest].seconds
            text += f"\n\nat most {peak:,.0f} MB ({largest}) and {seconds:.1f} s ({slowest})"
        report.add(text, pictures=pictures)


def _cells(picture: PictureFigures) -> list[str]:
    return [figure(picture.file_mb), figure(picture.seconds), figure(picture.peak_mb, digits=0), picture.outcome]


if __name__ == "__main__":
    main()
