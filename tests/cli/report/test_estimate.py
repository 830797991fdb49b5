"""What a dry run shows: counts, ranges of time, and a warning where the disk is too small."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

from prodemb.cli.report.estimate import estimate_lines
from prodemb.cli.report.results import result_of
from prodemb.embed.estimate import Estimate
from prodemb.embed.executors.pace import ClusterUse
from prodemb.embed.pace import Round
from prodemb.embed.worker import Timings
from prodemb.embed.workload import Workload


def estimate_of(*, is_done: bool = False, num_names: int = 0, num_bytes: int = 2_500_000_000) -> Estimate:
    timings = Timings(num_texts=1_000, num_images=250)
    sample = Round(num_products=256, num_pictures=250, num_words=256, seconds=4.2, timings=timings)
    work = Workload(num_products=1_000_000, present={"title": 999_000, "image": 900_000})
    if not is_done:
        work.num_todo, work.num_texts, work.num_images, work.num_words = 999_424, 1_500_000, 800_000, 990_000
        work.num_known, work.num_remote, work.hosts = 40_000, 900_000, Counter(a=600_000, b=300_000)
    return Estimate(
        catalog="feed.csv",
        model="bundled",
        device="cpu",
        dtype="bfloat16",
        folder=Path("shards"),
        num_shards=0 if is_done else 122,
        workload=work,
        num_names=num_names,
        sample=None if is_done else sample,
        seconds=(4_000.0, 30_000.0),
        fetching=(2_800.0, 28_000.0),
        bottleneck="image tower",
        num_bytes=num_bytes,
        free_bytes=71_600_000_000,
    )


def test_lines_say_what_is_to_be_done_and_how_long_it_takes() -> None:
    assert list(estimate_lines(estimate_of(), sample=None)) == [
        "feed.csv: 1,000,000 products; title 999,000, image 900,000",
        "to make: 122 shards at shards with 999,424 products; to encode with bundled: 1,500,000 distinct texts, "
        "800,000 distinct pictures, 990,000 lexical vectors",
        "40,000 texts and pictures repeat, or have vectors already",
        "to fetch: 900,000 pictures from 2 hosts, 47 min to 7 h 47 min where each takes 0.1 to 1 s",
        "time: 67 min to 8 h 20 min; bottleneck: image tower",
        "measured on cpu in bfloat16: 256 products with 1,000 texts and 250 pictures in 4.2 s",
        "disk: 2.5 GB to write, 71.6 GB free",
        "dry run: nothing was written",
    ]


def test_of_a_cluster_its_gpus_and_what_they_would_take_are_told() -> None:
    cluster = ClusterUse(num_machines=3, num_workers=20, num_cores=12, num_gpus=1)
    lines = list(estimate_lines(replace(estimate_of(), cluster=cluster, host="worker-7", device="cuda"), sample=None))
    assert lines[4:9] == [
        "time: 67 min to 8 h 20 min; bottleneck: image tower",
        "cluster: 3 machines; 20 workers, each with a GPU and 12 cores",
        "that is 33 to 250 products/s, 22.2 to 166.7 GPU hours; assumed: all workers are as fast as the one that was "
        "measured, and nobody else uses them",
        "files: 122 shards of about 20.5 MB; to a bucket, 122 requests would write them",
        "measured on worker-7 (cuda) in bfloat16: 256 products with 1,000 texts and 250 pictures in 4.2 s",
    ]


def test_too_small_a_disk_is_warned_about() -> None:
    assert "WARNING: not enough space: disk: 80.0 GB to write, 71.6 GB free" in estimate_lines(
        estimate_of(num_bytes=80_000_000_000), sample=None
    )


def test_pictures_of_the_sample_that_cannot_be_used_are_told_of() -> None:
    found = estimate_of()
    assert found.sample is not None
    sample = replace(found.sample, num_pictures=50, failed={"file not found": 190, "truncated": 10})
    assert "WARNING: of 250 pictures there, some cannot be used: 190 file not found, 10 truncated" in estimate_lines(
        replace(found, sample=sample), sample=None
    )


def test_where_nothing_is_to_be_done_that_is_all() -> None:
    assert list(estimate_lines(estimate_of(is_done=True), sample=None))[1:] == [
        "shards: already up to date, nothing to do"
    ]


def test_the_names_of_a_taxonomy_are_told_of() -> None:
    names = "to encode for zero-shot: 11,190 texts of the taxonomy's names"
    assert list(estimate_lines(estimate_of(num_names=11_190), sample=None))[2] == names
    done = list(estimate_lines(estimate_of(is_done=True, num_names=11_190), sample=None))
    assert done[1:] == [f"shards: already up to date, {names}"]


def test_a_program_gets_the_same_figures() -> None:
    found = result_of(estimate_of())
    assert (found["num_products"], found["num_new"], found["num_to_fetch"]) == (1_000_000, 999_424, 900_000)
    assert (found["num_workers"], found["gpu_hours_most"], found["num_requests"]) == (None, 0, 122)
    assert (found["seconds_least"], found["seconds_most"], found["num_hosts"]) == (4_000.0, 30_000.0, 2)
