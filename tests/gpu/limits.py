"""What happens where a device ends.

python tests/gpu/limits.py trial            which batch size is found by trial
python tests/gpu/limits.py out_of_memory    memory that is gone in the middle: the same vectors
python tests/gpu/limits.py two_processes    fine-tuning in two processes on one device
"""

from typing import Any

import numpy as np
import torch
from setting import Setting, run_part

from prodemb.core.progress import no_progress
from prodemb.job.finetune import finetune_category
from prodemb.job.pipeline import Pipeline
from prodemb.towers.checkpoint import find_checkpoint
from prodemb.towers.load import load_towers
from prodemb.towers.pool import TowerPool

HEADROOM = 64 << 20
"""Bytes that are left to the towers where memory is short."""


def trial(setting: Setting) -> dict[str, Any]:
    """The batch size that a pool starts with."""
    towers = load_towers(find_checkpoint(setting.model), device=setting.device)
    with TowerPool(towers) as pool:
        return {"batch_tokens": pool.batch_tokens, "pictures_per_batch": pool.pictures_per_batch}


def out_of_memory(setting: Setting) -> dict[str, Any]:
    """Encode pictures, take the memory away, and encode them again."""
    towers = load_towers(find_checkpoint(setting.model), device=setting.device)
    random = np.random.default_rng(0)
    pictures = [*random.integers(0, 255, (16 if setting.tiny else 4096, *towers.image.shape), dtype=np.uint8)]
    with TowerPool(towers, batch_tokens=None if not setting.tiny else 64) as pool:
        before, vectors = pool.batch_tokens, pool.images(pictures).result()
        if towers.device.type == "cuda":
            torch.cuda.empty_cache()
            _, total = torch.cuda.mem_get_info(towers.device)
            allowed = torch.cuda.memory_allocated(towers.device) + HEADROOM
            torch.cuda.set_per_process_memory_fraction(allowed / total, towers.device)
        again = pool.images(pictures).result()
        after = pool.batch_tokens
    cosines = (vectors.astype(np.float32) * again.astype(np.float32)).sum(1)
    return {"batch_tokens": [before, after], "worst_cosine": float(cosines.min()), "holds": bool(cosines.min() > 0.99)}


def two_processes(setting: Setting) -> dict[str, Any]:
    """Fine-tune for one pass in two processes that share the device."""
    tables = {
        "target": "category",
        "catalog": {"path": str(setting.catalog(400))},
        "embed": {"model": setting.model, "device": setting.device},
        "finetune": {
            "out": str(setting.folder / "tuned"),
            "processes": 2,
            "batch_size": 16,
            "epochs": 1,
            "validation_products": 5,
        },
    }
    report = finetune_category(Pipeline.parse(tables, source="tests/gpu"), progress=no_progress)
    return {"num_steps": len(report.curve.step_losses), "last_loss": report.curve.step_losses[-1]}


if __name__ == "__main__":
    run_part(__doc__, {"trial": trial, "out_of_memory": out_of_memory, "two_processes": two_processes})
