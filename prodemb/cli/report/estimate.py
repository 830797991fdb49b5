"""What is shown of a dry run: what is there, what of it is to be done, and what that will take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prodemb.cli.progress import span
from prodemb.cli.report.shards import size_text
from prodemb.core.text import counted
from prodemb.embed.estimate import FETCH_S

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prodemb.embed.estimate import Estimate
    from prodemb.embed.executors.pace import ClusterUse


def estimate_lines(found: Estimate, *, sample: Path | None) -> Iterator[str]:
    """Counts, times as ranges, and space; the last line says what was written: nothing, or a sample catalog.

    Args:
        sample: the sample catalog, where it was generated for this.
    """
    work = found.workload
    present = ", ".join(f"{feature} {count:,}" for feature, count in work.present.items())
    yield f"{found.catalog}: {counted(work.num_products, 'product')}{f'; {present}' if present else ''}"
    names = f"to encode for zero-shot: {counted(found.num_names, 'text')} of the taxonomy's names"
    if found.sample is None:
        yield f"{found.folder}: already up to date, {names if found.num_names else 'nothing to do'}"
        return
    yield (
        f"to make: {counted(found.num_shards, 'shard')} at {found.folder} with {counted(work.num_todo, 'product')}; "
        f"to encode with {found.model}: {counted(work.num_texts, 'distinct text')}, "
        f"{counted(work.num_images, 'distinct picture')}, {counted(work.num_words, 'lexical vector')}"
        + (f", {counted(work.num_joined, 'text vector')}" if work.num_joined else "")
    )
    if found.num_names:
        yield names
    if work.num_known:
        yield f"{counted(work.num_known, 'text and picture', 'texts and pictures')} repeat, or have vectors already"
    if work.num_remote:
        yield (
            f"to fetch: {counted(work.num_remote, 'picture')} from {counted(len(work.hosts), 'host')}, "
            f"{_range(found.fetching)} where each takes {FETCH_S[0]:g} to {FETCH_S[1]:g} s"
        )
    yield f"time: {_range(found.seconds)}; bottleneck: {found.bottleneck}"
    if found.cluster is not None:
        yield from _cluster_lines(found, cluster=found.cluster)
    measured = found.sample
    where = found.device if found.host is None else f"{found.host} ({found.device})"
    yield (
        f"measured on {where} in {found.dtype}: {counted(measured.num_products, 'product')} with "
        f"{counted(measured.timings.num_texts, 'text')} and {counted(measured.timings.num_images, 'picture')} in "
        f"{measured.seconds:.1f} s"
    )
    if measured.failed:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in measured.failed.items())
        num_tried = measured.num_pictures + sum(measured.failed.values())
        yield f"WARNING: of {counted(num_tried, 'picture')} there, some cannot be used: {reasons}"
    is_enough = found.num_bytes < found.free_bytes
    warning = "" if is_enough else "WARNING: not enough space: "
    yield f"{warning}disk: {size_text(found.num_bytes)} to write, {size_text(found.free_bytes)} free"
    written = "nothing" if sample is None else f"nothing but the sample catalog at {sample.parent}"
    yield f"dry run: {written} was written"


def _cluster_lines(found: Estimate, *, cluster: ClusterUse) -> Iterator[str]:
    """What a run would have of a cluster, and what it would take of it."""
    cores = counted(cluster.num_cores, "core")
    yield (
        f"cluster: {counted(cluster.num_machines, 'machine')}; {counted(cluster.num_workers, 'worker')}"
        f"{', each' if cluster.num_workers > 1 else ''} with {f'a GPU and {cores}' if cluster.num_gpus else cores}"
    )
    slowest, fastest = found.products_per_s
    hours = [f"{hours:,.1f}" for hours in found.gpu_hours]
    yield (
        f"that is {slowest:,.0f} to {fastest:,.0f} products/s"
        + (f", {' to '.join(hours)} GPU hours" if cluster.num_gpus else "")
        + "; assumed: all workers are as fast as the one that was measured, and nobody else uses them"
    )
    yield (
        f"files: {counted(found.num_shards, 'shard')} of about {size_text(found.num_bytes // found.num_shards)}; to a "
        f"bucket, {counted(found.num_requests, 'request')} would write them"
    )


def _range(seconds: tuple[float, float]) -> str:
    least, most = map(span, seconds)
    return f"about {least}" if least == most else f"{least} to {most}"
