"""SIGKILL at random moments, over and over: the result in the end is that of an uninterrupted run, bit for bit.

    python tests/faults/kills.py                                    50 kills of embed and of an update, 10 of the others
    python tests/faults/kills.py --embed 5 --update 5 --train 2 --finetune 1 --score 2 --products 300 --json

Five tasks, each on the generated sample with the bundled CLIP: `embed` of a whole catalog; `update` of its shard set to
a catalog with products changed, added, removed and moved; `train` of a brand head in the place of another one, which
goes on scoring until then; `finetune` (the checkpoint); `score` (the predictions). Each first runs uninterrupted. Then
it is killed at a moment drawn from the length of that run, started again and killed again; when it finishes before the
kill, its files are compared and it starts over from nothing, until it has been killed as often as wanted. Every file is
compared, except locks and the seconds in a head's card, a fine-tuning report and log; so a stray file is a failure too.
Every product must be in the shards once, in the catalog's order. During an update, the set must be either the old or
the new one after every kill. The exit status is 1 where a file differs.
"""

import argparse
import json
import multiprocessing
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from prodemb.brand.store import load_fuser
from prodemb.catalog.images import ImagesConfig
from prodemb.catalog.reader import CatalogConfig, open_catalog
from prodemb.embed.config import EmbedConfig
from prodemb.embed.embed import embed
from prodemb.finetune.config import FinetuneConfig
from prodemb.finetune.finetune import finetune
from prodemb.heads.head import load_head
from prodemb.job.pipeline import Pipeline
from prodemb.job.score import score_shards
from prodemb.job.train import train
from prodemb.sample.catalog import write_sample
from prodemb.shards.format import MANIFEST_NAME, UPDATE_NAME, read_manifest
from prodemb.shards.reader import open_shard_set
from prodemb.shards.verify import verify
from prodemb.taxonomy.taxonomy import sample_taxonomy
from prodemb.towers.checkpoint import BUNDLED, find_checkpoint

TaskName = Literal["embed", "update", "train", "finetune", "score"]

_MODELS = "transformers.models"
_PRELOADED = (
    "prodemb.job.score",
    "prodemb.job.train",
    f"{_MODELS}.clip.modeling_clip",
    *(f"{_MODELS}.auto.{part}_auto" for part in ("modeling", "processing", "tokenization", "image_processing")),
    "accelerate",
    "sklearn",
)
_NOT_COMPARED = (".prodemb", ".checked.json")
_WITH_SECONDS = ("head.json", "finetune.json", "log.jsonl")
_TIMEOUT = 600.0


@dataclass(frozen=True, kw_only=True)
class Task:
    """Something to kill."""

    run: Callable[[Path], None]
    """Does all of it in a folder; runs as a process of its own."""
    prepare: Callable[[Path], None]
    """Puts into the empty folder what the task starts from."""
    state: Callable[[Path], str]
    """How far a killed run got, in a word. Raises AssertionError for a state that must not occur."""


@dataclass(frozen=True, kw_only=True)
class Survival:
    """What became of one task."""

    name: str
    kills: int
    finished: int
    """How often it finished, and was compared."""
    equal: bool
    states: dict[str, int]
    """Counts of the states after the kills."""
    uninterrupted_s: float


class Scene:
    """The sample, its shards and a head, made once; and the five tasks on them."""

    def __init__(self, folder: Path, *, products: int, shard_size: int) -> None:
        self._folder, self._shard_size = folder, shard_size
        self.catalog = write_sample(folder / "sample", num_products=products, seed=5)
        self.tomorrow = self.catalog.with_name("tomorrow.parquet")
        _tomorrow(pl.read_parquet(self.catalog)).write_parquet(self.tomorrow)
        self._base = folder / "base"
        self._embed(self.catalog, self._base)
        self._head = folder / "head"

    def task(self, name: TaskName) -> Task:
        """One of the five."""
        if name == "embed":
            return Task(run=self.embed, prepare=_nothing, state=self._shards_state)
        if name == "update":
            return Task(run=self.update, prepare=self._copy_base, state=self._update_state)
        if name == "finetune":
            return Task(run=self.finetune, prepare=_nothing, state=_checkpoint_state)
        self._train_once()
        if name == "train":
            return Task(run=self.train, prepare=self._copy_head, state=self._head_state)
        return Task(run=self.score, prepare=_nothing, state=lambda folder: "there" if any(folder.iterdir()) else "none")

    def embed(self, folder: Path) -> None:
        """Embed the whole catalog."""
        self._embed(self.catalog, folder / "shards")

    def update(self, folder: Path) -> None:
        """Embed tomorrow's catalog onto today's shards."""
        self._embed(self.tomorrow, folder / "shards")

    def train(self, folder: Path) -> None:
        """Train a brand head with other settings than the one that is there, and its alias file."""
        values: dict[str, dict[str, Any]] = {"brands": {"aliases": str(folder / "aliases.csv")}, "train": {"epochs": 4}}
        pipeline = self._pipeline.replaced(values, source="kills")
        train(pipeline, shards=self._base, folder=folder / "head", progress=_unwatched)

    def finetune(self, folder: Path) -> None:
        """Fine-tune the bundled CLIP for a few steps."""
        config = FinetuneConfig(out=str(folder / "checkpoint"), epochs=2, batch_size=16, save_steps=2)
        config = config.model_copy(
            update={"validation_products": 50, "paths_per_step": 32, "wise_ft_alphas": (1.0, 0.5)}
        )
        finetune(
            config,
            catalog=open_catalog(CatalogConfig(path=str(self.catalog))),
            images=ImagesConfig(),
            taxonomy=sample_taxonomy(),
            checkpoint=find_checkpoint(BUNDLED),
            device="cpu",
        )

    def score(self, folder: Path) -> None:
        """Score the shards with a brand head."""
        out = folder / "out.parquet"
        shards = [open_shard_set(self._base)]
        score_shards(shards, out=out, heads=[self._head], pipeline=self._pipeline, progress=_unwatched)

    @property
    def _pipeline(self) -> Pipeline:
        values: dict[str, dict[str, Any]] = {
            "brands": {"aliases": str(self._folder / "aliases.csv")},
            "train": {"epochs": 3, "out": str(self._head)},
        }
        return Pipeline(target="brand").replaced(values, source="kills")

    def _embed(self, catalog: Path, out: Path) -> None:
        config = EmbedConfig(out=str(out), shard_size=self._shard_size, window=self._shard_size)
        embed(config, catalog=open_catalog(CatalogConfig(path=str(catalog))), images=ImagesConfig())

    def _train_once(self) -> None:
        if not self._head.exists():
            train(self._pipeline, shards=self._base, folder=self._head, progress=_unwatched)

    def _copy_head(self, folder: Path) -> None:
        shutil.copytree(self._head, folder / "head")

    def _head_state(self, folder: Path) -> str:
        head = load_head(folder / "head")
        load_fuser(folder / "head", card=head.card)
        return "old" if head.card == load_head(self._head).card else "new"

    def _copy_base(self, folder: Path) -> None:
        shutil.copytree(self._base, folder / "shards")

    def _shards_state(self, folder: Path) -> str:
        shards = folder / "shards"
        if not (shards / MANIFEST_NAME).exists():
            return "no manifest"
        manifest = read_manifest(shards)
        if manifest.complete:
            _check_rows(shards, catalog=self.catalog)
            return "complete"
        return "some shards" if manifest.shards else "no shard"

    def _update_state(self, folder: Path) -> str:
        shards = folder / "shards"
        is_under_way = (shards / UPDATE_NAME).exists()
        try:
            _check_rows(shards, catalog=self.catalog)
        except AssertionError:
            _check_rows(shards, catalog=self.tomorrow)
            return "new"
        return "old, update under way" if is_under_way else "old"


def survive(name: TaskName, task: Task, *, folder: Path, kills: int, rng: random.Random) -> Survival:
    """Kill a task so many times, and compare each run that finishes with an uninterrupted one."""
    wanted, seconds = _uninterrupted(task, folder=folder / "whole")
    broken = folder / "broken"
    states: dict[str, int] = {}
    num_killed = finished = 0
    equal = True
    _start_over(task, broken)
    while num_killed < kills:
        process = _context().Process(target=task.run, args=(broken,))
        process.start()
        process.join(rng.uniform(0, seconds))
        if process.exitcode is None:
            process.kill()
            process.join(_TIMEOUT)
            num_killed += 1
            state = task.state(broken)
            states[state] = states.get(state, 0) + 1
            print(f"{name}: {num_killed} of {kills} kills, {state}", file=sys.stderr)
            continue
        if process.exitcode != 0:
            raise SystemExit(f"{name}: a run after {num_killed} kills ended with status {process.exitcode}")
        finished += 1
        equal &= _is_equal(_files(broken), wanted)
        _start_over(task, broken)
    process = _context().Process(target=task.run, args=(broken,))
    process.start()
    process.join(_TIMEOUT)
    equal &= process.exitcode == 0 and _is_equal(_files(broken), wanted)
    task.state(broken)
    return Survival(
        name=name,
        kills=num_killed,
        finished=finished + 1,
        equal=equal,
        states=states,
        uninterrupted_s=round(seconds, 2),
    )


def _uninterrupted(task: Task, *, folder: Path) -> tuple[dict[str, bytes], float]:
    """The files of a run that is not killed, and its seconds: the shorter of two runs, since the first warms up."""
    seconds = []
    for _ in range(2):
        _start_over(task, folder)
        started = time.perf_counter()
        process = _context().Process(target=task.run, args=(folder,))
        process.start()
        process.join(_TIMEOUT)
        seconds.append(time.perf_counter() - started)
        if process.exitcode != 0:
            raise SystemExit(f"an uninterrupted run ended with status {process.exitcode}")
    return _files(folder), min(seconds)


def _start_over(task: Task, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    task.prepare(folder)


def _context() -> Any:
    """Processes that start with everything imported and nothing computed."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, *_PRELOADED])
    return context


def _files(folder: Path) -> dict[str, bytes]:
    """Every file by its path."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in _NOT_COMPARED:
            name = str(path.relative_to(folder))
            found[name] = path.read_bytes() if path.name not in _WITH_SECONDS else _without_seconds(path)
    return found


def _is_equal(found: dict[str, bytes], wanted: dict[str, bytes]) -> bool:
    """Whether all files are the same; those that are not are named."""
    others = [name for name in sorted({*found, *wanted}) if found.get(name) != wanted.get(name)]
    if others:
        print(f"not as in an uninterrupted run: {', '.join(others)}", file=sys.stderr)
    return not others


def _without_seconds(path: Path) -> bytes:
    entries = (
        [json.loads(line) for line in path.read_text().splitlines()]
        if path.suffix == ".jsonl"
        else [json.loads(path.read_text())]
    )
    for entry in entries:
        entry.get("config", {}).pop("out", None)
        _drop_seconds(entry)
    return json.dumps(entries).encode()


def _drop_seconds(value: Any) -> None:
    """Remove `seconds` and `date` wherever they stand in JSON."""
    if isinstance(value, dict):
        value.pop("seconds", None)
        value.pop("date", None)
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _drop_seconds(inner)


def _check_rows(shards: Path, *, catalog: Path) -> None:
    """Every product of the catalog is in the shards once and in order, with its own values."""
    found = open_shard_set(shards).frame(["product_id", "raw_title", "raw_description"])
    wanted = pl.read_parquet(catalog).select("product_id", "title", "description")
    assert found.rows() == [(i, t or None, d or None) for i, t, d in wanted.rows()], f"{shards}: other rows"


def _checkpoint_state(folder: Path) -> str:
    if (folder / "checkpoint").exists():
        return "there"
    states = list(folder.glob("checkpoint.state/*.safetensors"))
    return "some steps" if states else "none"


def _tomorrow(frame: pl.DataFrame) -> pl.DataFrame:
    """Titles and descriptions changed here and there, a product removed, one added, and some moved."""
    row = pl.int_range(pl.len())
    changed = frame.with_columns(
        title=pl.when(row % 23 == 0).then(pl.lit("New ") + pl.col("title").fill_null("")).otherwise("title"),
        description=pl.when(row % 31 == 0).then(pl.lit("as new")).otherwise("description"),
        image=pl.when(row % 29 == 0).then(pl.col("image").shift(1)).otherwise("image"),
    )
    added = changed.tail(1).with_columns(product_id=pl.lit("new"), title=pl.lit("A new thing"))
    half = len(frame) // 2
    return pl.concat([changed.slice(half, 5), added, changed.head(half), changed.slice(half + 6)])


def _nothing(_: Path) -> None:
    return


@contextmanager
def _unwatched(_: str) -> Iterator[Callable[[int, int | None], None]]:
    yield lambda _done, _total: None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    defaults: dict[TaskName, int] = {"embed": 50, "update": 50, "train": 10, "finetune": 10, "score": 10}
    for name, kills in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=kills, help=f"kills of {name}")
    parser.add_argument("--products", type=int, default=1000)
    parser.add_argument("--shard-size", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        scene = Scene(folder / "scene", products=arguments.products, shard_size=arguments.shard_size)
        survivals = [
            survive(task, scene.task(task), folder=folder / task, kills=kills, rng=rng)
            for task in defaults
            if (kills := vars(arguments)[task])
        ]
        assert not arguments.embed or not verify(folder / "embed" / "broken")
    if arguments.json:
        print(json.dumps([asdict(survival) for survival in survivals], indent=2))
    for found in survivals if not arguments.json else ():
        states = ", ".join(f"{state} {count}" for state, count in found.states.items())
        outcome = "equal bit for bit" if found.equal else "FAILED: files differ"
        print(
            f"{found.name:9}{found.kills:4} kills, {found.finished:3} runs compared: {outcome}; an uninterrupted run "
            f"takes {found.uninterrupted_s} s; after the kills: {states}"
        )
    if not all(found.equal for found in survivals):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
