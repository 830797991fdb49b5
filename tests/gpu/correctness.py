"""Whether a device computes what a CPU does, and the same twice.

python tests/gpu/correctness.py vectors       cosines of its vectors with those of the CPU in float32
python tests/gpu/correctness.py update        a set that was made in two runs, bit by bit that of one run
python tests/gpu/correctness.py heads         answers of heads trained and scored on each
python tests/gpu/correctness.py finetune      losses of the first 50 steps on each
"""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from setting import Setting, run_part

import prodemb
from prodemb.core.progress import no_progress
from prodemb.job.finetune import finetune_category
from prodemb.job.pipeline import Pipeline
from prodemb.shards.reader import open_shard_set

WANTED_COSINE, WANTED_LOSS, WANTED_SHARE = 0.99, 0.1, 0.05
"""Least cosine; largest difference of a mean loss, as a share; largest difference of shares of right answers."""


def vectors(setting: Setting) -> dict[str, Any]:
    """The worst and the mean cosine of each feature."""
    catalog, out = setting.catalog(2000), setting.folder / "shards"
    exact = {"embed": {"dtype": "float32"}}
    prodemb.embed(catalog, out / "cpu", model=setting.model, device="cpu", settings=exact)
    prodemb.embed(catalog, out / "device", model=setting.model, device=setting.device)
    one, other = open_shard_set(out / "cpu"), open_shard_set(out / "device")
    figures = {}
    for feature in one.schema.features:
        pairs = [s.vectors(feature).astype(np.float64) for s in (one, other)]
        lengths = np.linalg.norm(pairs[0], axis=1) * np.linalg.norm(pairs[1], axis=1)
        cosines = ((pairs[0] * pairs[1]).sum(1) / np.maximum(lengths, 1e-12))[lengths > 0]
        if len(cosines):
            figures[feature] = {"mean": float(cosines.mean()), "worst": float(cosines.min()), "num": len(cosines)}
    worst = min(found["worst"] for found in figures.values())
    return {"cosines": figures, "worst": worst, "holds": worst >= WANTED_COSINE}


def update(setting: Setting) -> dict[str, Any]:
    """Embed a catalog at once and again, and in two runs of which the first lacks a part of the products."""
    catalog, out = setting.catalog(2000), setting.folder / "shards"
    part = catalog.with_name("part.parquet")
    frame = pl.read_parquet(catalog)
    frame.head(len(frame) * 2 // 3).write_parquet(part)
    settings = {"embed": {"shard_size": 8 if setting.tiny else 256}}

    def embed(path: Path, name: str) -> None:
        prodemb.embed(path, out / name, model=setting.model, device=setting.device, settings=settings)

    embed(catalog, "once")
    embed(catalog, "again")
    embed(part, "twice")
    embed(catalog, "twice")
    same = {name: _same(out / "once", out / name) for name in ("again", "twice")}
    return {"share_of_equal_vectors": same, "holds": min(same.values()) == 1.0}


def _same(one: Path, other: Path) -> float:
    """The share of vectors that are equal bit by bit."""
    first, second = open_shard_set(one), open_shard_set(other)
    equal = [(first.vectors(feature) == second.vectors(feature)).all(1).mean() for feature in first.schema.features]
    return float(np.mean(equal))


def heads(setting: Setting) -> dict[str, Any]:
    """Train both heads on one shard set on the CPU and on the device, and score it with each."""
    catalog, shards = setting.catalog(2000), setting.folder / "shards"
    prodemb.embed(catalog, shards, model=setting.model, device=setting.device)
    settings = {"train": {"epochs": 2 if setting.tiny else 10, "baselines": {"run": False}}}
    targets: tuple[Literal["brand", "category"], ...] = ("category",) if setting.tiny else ("category", "brand")
    shares: dict[str, dict[str, float]] = {}
    for device in dict.fromkeys(("cpu", setting.device)):
        folder = setting.folder / f"heads-{device}"
        shares[device] = {}
        for target in targets:
            aliases = setting.folder / f"aliases-{device}.csv" if target == "brand" else None
            report = prodemb.train(
                target, shards, out=folder / target, aliases=aliases, device=device, settings=settings
            )
            evaluation = report.head.card.evaluation
            shares[device][target] = (evaluation.out_of_fold if evaluation else None) or 0.0
        trained = [folder / target for target in targets]
        prodemb.score(shards, setting.folder / f"{device}.parquet", heads=trained, device=device)
    ids = [pl.read_parquet(setting.folder / f"{device}.parquet")["category_id"] for device in shares]
    agreement = float(np.mean(ids[0].eq_missing(ids[-1]).to_numpy()))
    gaps = [abs(shares["cpu"][target] - shares[setting.device][target]) for target in targets]
    return {"right_out_of_fold": shares, "same_category": agreement, "holds": max(gaps) <= WANTED_SHARE}


def finetune(setting: Setting) -> dict[str, Any]:
    """The losses of the first steps of fine-tuning, without what is drawn at random on the device."""
    catalog = setting.catalog(2000)
    steps = 2 if setting.tiny else 50
    losses: dict[str, list[float]] = {}
    for device in dict.fromkeys(("cpu", setting.device)):
        tables = {
            "target": "category",
            "catalog": {"path": str(catalog)},
            "embed": {"model": setting.model, "device": device},
            "finetune": {
                "out": str(setting.folder / f"tuned-{device}"),
                "batch_size": 16 if setting.tiny else 32,
                "epochs": 1,
                "patch_dropout": 0.0,
                "augment": False,
                "validation_products": 5 if setting.tiny else 50,
            },
        }
        report = finetune_category(Pipeline.parse(tables, source="tests/gpu"), progress=no_progress)
        losses[device] = list(report.curve.step_losses[:steps])
    means = {device: float(np.mean(values)) for device, values in losses.items()}
    gap = abs(means["cpu"] - means[setting.device]) / means["cpu"]
    return {"losses": losses, "mean": means, "holds": gap <= WANTED_LOSS}


if __name__ == "__main__":
    run_part(__doc__, {"vectors": vectors, "update": update, "heads": heads, "finetune": finetune})
