"""What the steps of `tests/gpu/all.py` share: options, a checkpoint, a generated catalog, JSON at the end."""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / "bench")]

from products import SHAPES, make_checkpoint

from prodemb.sample.catalog import write_sample


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Where a step works, and on what."""

    folder: Path
    device: Any
    """`cpu` or `cuda`, as the functions of prodemb take it."""
    tiny: bool
    model: str
    """A checkpoint folder, or `bundled`."""

    def catalog(self, num_products: int) -> Path:
        """A generated catalog; of 40 products in the tiny form."""
        return write_sample(self.folder / "sample", num_products=40 if self.tiny else num_products, seed=1)


def run_part(doc: str | None, parts: Mapping[str, Callable[[Setting], dict[str, Any]]]) -> None:
    """Run the part that the command line names, and print its figures as JSON."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=list(parts))
    parser.add_argument("--model", default="bundled", help=f"bundled, {', '.join(SHAPES)}, a folder or a hub id")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="prodemb-gpu-") as temporary:
        folder = Path(temporary)
        model = make_checkpoint(options.model, folder=folder / "checkpoint")
        setting = Setting(folder=folder, device=options.device, tiny=options.tiny, model=model)
        print(json.dumps(parts[options.part](setting)))
