"""What the loss of fine-tuning, and what of the model is trained, do for categories.

    python tests/bench/finetune_ablation.py                                     the generated sample
    python tests/bench/finetune_ablation.py --catalog mine.parquet --taxonomy taxonomy-with-ids.en-US.txt --limit 4000
    python tests/bench/finetune_ablation.py --losses soft plain --trained all LoRA --epochs 2

Each row fine-tunes the same checkpoint, embeds the catalog with the result, and evaluates on the test products, which
neither has seen: a linear probe (scikit-learn's logistic regression on standardised vectors) of the title's vector, of
the picture's, and of all features of CLIP side by side, and prodemb's own head on all features of CLIP. The lexical
vector is left out. `frozen` is the checkpoint as published. Top-1 of a probe is over the test products that have the
feature. One seed: differences of a point are noise on a few hundred test products.
"""

import argparse
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from report import Failure, figure, options_parser, reporting, table
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from prodemb.category.labels import CategoryLabels, category_labels
from prodemb.core.arrays import NO_ANSWER
from prodemb.core.device import choose_device
from prodemb.core.features import FEATURES
from prodemb.core.progress import no_progress
from prodemb.heads.examples import Examples
from prodemb.heads.head import TrainedHead
from prodemb.heads.labels import CategoryLabel
from prodemb.heads.train import Labelled, load_labelled, train_head
from prodemb.job.embed import embed_catalog, with_checkpoint
from prodemb.job.finetune import finetune_category
from prodemb.job.pipeline import Pipeline
from prodemb.sample.catalog import write_sample
from prodemb.shards.product_set import read_products
from prodemb.shards.reader import open_shard_set
from prodemb.taxonomy.taxonomy import read_taxonomy, sample_taxonomy

LOSSES: dict[str, dict[str, object]] = {
    "plain": {"loss": "plain"},
    "masked": {"loss": "masked"},
    "soft": {"loss": "soft"},
    "soft + tree credit": {"loss": "soft", "tree_credit": 0.1},
}
TRAINED: dict[str, dict[str, object]] = {
    "all": {"trainable": "all"},
    "last 2 blocks": {"trainable": "last_blocks", "last_blocks": 2},
    "LoRA": {"trainable": "lora"},
}
SAMPLE_PRODUCTS = 3000
PROBES = ("title", "picture", "all")
Figures = dict[str, float | None]


def main() -> None:
    parser = options_parser(__doc__)
    parser.add_argument("--catalog", type=Path, help="a catalog with google_category_id [the generated sample]")
    parser.add_argument("--taxonomy", type=Path, help="a taxonomy-with-ids file [the sample's]")
    parser.add_argument("--limit", type=int, help="products taken at random")
    parser.add_argument("--model", default="bundled", help="the checkpoint to fine-tune [bundled]")
    parser.add_argument("--epochs", type=int, help="passes [as in [finetune]]")
    parser.add_argument("--head-epochs", type=int, help="passes of the head [as in [train]]")
    parser.add_argument("--losses", nargs="+", choices=list(LOSSES), default=list(LOSSES), help="[all]")
    parser.add_argument("--trained", nargs="+", choices=list(TRAINED), default=list(TRAINED), help="[all]")
    options = parser.parse_args()
    with reporting(options) as report, tempfile.TemporaryDirectory(prefix="prodemb-bench-") as folder:
        pipeline = make_pipeline(Path(folder), options=options)
        rows: dict[str, Figures | Failure] = {"frozen": report.attempt("frozen", lambda: frozen(pipeline))}
        for loss in options.losses:
            for trained in options.trained:
                settings = LOSSES[loss] | TRAINED[trained] | {"epochs": options.epochs}
                changed, name = pipeline.replaced({"finetune": settings}, source="ablation"), f"{loss}, {trained}"
                rows[name] = report.attempt(name, partial(finetuned, changed))
        report.add(table(["loss, what is trained", *PROBES, "head", "minutes"], rows, cells=_cells), rows=rows)


def _cells(row: Figures) -> list[str]:
    return [*(figure(row[probe], digits=3) for probe in (*PROBES, "head")), figure(row["minutes"], digits=1)]


def make_pipeline(work: Path, *, options: argparse.Namespace) -> Pipeline:
    """The category pipeline on the catalog that is asked for, everything it makes in `work`."""
    source = options.catalog or write_sample(work / "sample", num_products=options.limit or SAMPLE_PRODUCTS, seed=5)
    catalog = {"path": str(source), "image_root": str(source.parent)}
    if options.catalog and options.limit:
        read = pl.read_parquet if source.suffix == ".parquet" else pl.read_csv
        read(source).sample(options.limit, seed=0).write_parquet(work / "catalog.parquet")
        catalog["path"] = str(work / "catalog.parquet")
    return Pipeline.parse(
        {
            "target": "category",
            "catalog": catalog,
            "embed": {"model": options.model, "out": str(work / "frozen"), "features": FEATURES},
            "train": {"taxonomy": str(options.taxonomy) if options.taxonomy else None, "epochs": options.head_epochs},
            "finetune": {"out": str(work / "checkpoint"), "shards": str(work / "finetuned")},
        },
        source="ablation",
    )


def frozen(pipeline: Pipeline) -> Figures:
    """The figures of the checkpoint as published."""
    embed_catalog(pipeline, progress=no_progress)
    return measured(pipeline, shards=Path(pipeline.embed.out), minutes=None)


def finetuned(pipeline: Pipeline) -> Figures:
    """The figures after fine-tuning, and how long that took without embedding and heads."""
    started = time.perf_counter()
    finetune_category(pipeline, progress=no_progress)
    minutes = (time.perf_counter() - started) / 60
    embed_catalog(pipeline, config=with_checkpoint(pipeline), replace=True, progress=no_progress)
    return measured(pipeline, shards=Path(pipeline.finetune.shards), minutes=minutes)


def measured(pipeline: Pipeline, *, shards: Path, minutes: float | None) -> Figures:
    """Top-1 of the probes and of the head on the test products of a shard set."""
    shard_set = open_shard_set(shards)
    taxonomy = read_taxonomy(Path(pipeline.train.taxonomy)) if pipeline.train.taxonomy else sample_taxonomy()
    labels = category_labels(shard_set, taxonomy=taxonomy, taxonomy_name="the taxonomy")
    data = load_labelled(shard_set, labels=labels, config=pipeline.train, device=choose_device("auto"))
    learned = data.outside_test
    head = train_head(data, learned, config=pipeline.train, aggregate=pipeline.aggregate, head=pipeline.head)
    everything = np.arange(len(data.features))
    return {
        "title": probed(data, features=np.array([data.features.index("title")])),
        "picture": probed(data, features=np.array([data.features.index("image")])),
        "all": probed(data, features=everything),
        "head": of_head(data, head=head),
        "minutes": minutes,
    }


def of_head(data: Labelled[CategoryLabels], *, head: TrainedHead) -> float | None:
    """Top-1 of the head on the test products."""
    if not len(data.test):
        return None
    products = read_products(data.shard_set, features=data.features, rows=data.rows[data.test])
    numbers = {label: number for number, label in enumerate(data.labels.classes)}
    own = [numbers.get(label, NO_ANSWER) for label in head.card.classes if isinstance(label, CategoryLabel)]
    predicted = head.predict(products.vectors, present=products.present)
    return float((np.array([*own, NO_ANSWER])[predicted] == data.index_of(data.test)).mean())


def probed(data: Labelled[CategoryLabels], *, features: npt.NDArray[np.int64]) -> float | None:
    """Top-1 of logistic regression on these features, over the products that have one of them."""
    assert isinstance(data.examples, Examples)
    present: npt.NDArray[np.bool_] = np.any(data.examples.present.cpu().numpy()[:, features], axis=1)
    dim = data.shard_set.schema.dim
    columns = (features[:, None] * dim + np.arange(dim)).flatten()
    vectors = data.examples.vectors.float().cpu().numpy()[:, columns]
    train, test = data.outside_test[present[data.outside_test]], data.test[present[data.test]]
    if not len(test) or not len(train):
        return None
    targets = data.examples.labels.cpu().numpy()
    scaler = StandardScaler().fit(vectors[train])
    probe = LogisticRegression(C=0.1, max_iter=200)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that it has not converged, or that products are few
        probe.fit(scaler.transform(vectors[train]), targets[train])
    return float((probe.predict(scaler.transform(vectors[test])) == targets[test]).mean())


if __name__ == "__main__":
    main()
