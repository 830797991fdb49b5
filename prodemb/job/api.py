"""The functions of `import prodemb`: the steps of the job for Python, as the commands are for a shell.

Each takes what the command of its name takes, and `settings`: tables and keys as a pipeline file has them, for
everything that has no argument. Arguments that are None have the default of the part that owns them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from prodemb.storage.desk import at_desk, folder_to_read, folder_to_write

if TYPE_CHECKING:
    # At run time each function loads what it needs: a catalog or a shard set is opened without loading torch.
    from prodemb.catalog.reader import Catalog
    from prodemb.embed.embed import EmbedReport
    from prodemb.heads.head import TrainedHead
    from prodemb.job.pipeline import Pipeline
    from prodemb.job.train import TrainReport
    from prodemb.score.score import ScoreReport
    from prodemb.shards.reader import ShardSet

Settings = Mapping[str, Mapping[str, Any]]
"""Values by table and key, such as `{"train": {"epochs": 10}}`."""

Device = Literal["auto", "cpu", "cuda"]
Target = Literal["brand", "category"]


def open_catalog(
    path: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    category_separator: str | None = None,
    image_root: str | Path | None = None,
    bad_ids: Literal["error", "drop"] | None = None,
) -> "Catalog":
    """Open a product feed: Parquet, CSV, TSV or JSON lines.

    >>> import prodemb
    >>> catalog = prodemb.open_catalog("sample/catalog.parquet")
    >>> catalog.features
    ('title', 'description', 'brand', 'cat1', 'cat2', 'cat3', 'image')

    Args:
        path: a file, a folder of files of one format, or a glob.
        columns: standard column name -> the catalog's own, for columns with other names than the standard ones.
        category_separator: what separates the levels where cat1 holds a whole path, such as ">".
        image_root: the folder that picture paths are relative to; by default the catalog's.
        bad_ids: whether rows without a product_id of their own are an error (the default) or dropped.

    Returns:
        The opened catalog; `catalog.batches(n)` streams its products as pyarrow tables of n rows.

    Raises:
        CatalogError: there is no such file, it cannot be read, or it has no column for the product id.
        ConfigError: a setting does not fit.
    """
    from prodemb.catalog.reader import CatalogConfig
    from prodemb.catalog.reader import open_catalog as open_configured

    values = {
        "path": str(path),
        "columns": None if columns is None else dict(columns),
        "category_separator": category_separator,
        "image_root": None if image_root is None else str(image_root),
        "bad_ids": bad_ids,
    }
    given = {key: value for key, value in values.items() if value is not None}
    return open_configured(CatalogConfig.parse(given, source="open_catalog"))


def embed(
    catalog: "Catalog | str | Path",
    out: str | Path | None = None,
    *,
    model: str | Path | None = None,
    revision: str | None = None,
    device: Device | None = None,
    settings: Settings | None = None,
) -> "EmbedReport":
    """Encode a catalog with CLIP into a shard set; of an existing one only what is new or has changed.

    >>> import prodemb
    >>> report = prodemb.embed("sample/catalog.parquet", out="shards/clip", model="bundled")
    >>> report.manifest.complete
    True

    Args:
        catalog: from `open_catalog`, or the path of one with the standard column names.
        out: the folder for the shard set; by default `shards/clip`.
        model: a checkpoint folder, a Hugging Face hub id, or `bundled`, the default.
        revision: a branch, tag or commit of a hub id.
        device: where to run; by default CUDA where there is a GPU.
        settings: further ones, such as `{"embed": {"features": ["title", "image"]}, "images": {"timeout_s": 5}}`.

    Returns:
        The shard set's manifest with the reasons for missing vectors, the number of products embedded now, and the
        seconds spent in each part of the work.

    Raises:
        CatalogError: the catalog cannot be read, or its product ids are not unique.
        ConfigError: a setting does not fit.
        ModelError: the checkpoint cannot be loaded.
        FingerprintError: the folder holds vectors of another model.
        ShardError: the folder holds other features, or another catalog's products.
        ImagesError: more pictures failed than `[images] max_failure_rate` allows.
        BusyError, OutputError: another run writes to the folder, or it cannot be written to.
    """
    from prodemb.core.progress import no_progress
    from prodemb.job.embed import embed_catalog

    opened = open_catalog(catalog) if isinstance(catalog, str | Path) else catalog
    own = {"out": _text(out), "model": _text(model), "revision": revision, "device": device}
    tables = {"catalog": opened.config.model_dump(exclude_unset=True), "embed": own}
    return embed_catalog(_pipeline("brand", settings, tables, source="embed"), progress=no_progress)


def open_shards(folder: str | Path) -> "ShardSet":
    """Open a finished shard set, as `embed` makes it.

    >>> import prodemb
    >>> shards = prodemb.open_shards("shards/clip")
    >>> shards.vectors("title").shape == (len(shards.frame()), shards.schema.dim)
    True

    Returns:
        `vectors(feature)` of it is an (n, dim) float16 array of L2-normalised vectors, zeros where missing; of a single
        shard it is mapped from the file, of several copied out of the maps. `shards()` iterates over the shards, whose
        `vectors(feature)` are always mapped. `present(feature)` is (n,) bool. `frame()` is a polars frame of n rows:
        product ids, supplied values and gold labels. All are in the order of the catalog.

    Raises:
        ShardError: there is no shard set, it is damaged, or its embedding was interrupted. Of a damaged file, when it
            is read.
    """
    from prodemb.shards.reader import open_shard_set
    from prodemb.storage.address import place

    return open_shard_set(place(str(folder)))


@at_desk()
def train(
    target: Target,
    shards: "ShardSet | str | Path",
    *,
    out: str | Path | None = None,
    aliases: str | Path | None = None,
    taxonomy: str | Path | None = None,
    labels: str | Path | None = None,
    device: Device | None = None,
    settings: Settings | None = None,
) -> "TrainReport":
    """Train a head on a shard set, and compare it with baselines on held-out products.

    >>> import prodemb
    >>> report = prodemb.train("brand", "shards/clip", out="heads/brand")
    >>> 0 <= report.head.card.evaluation.methods[-1].metrics.top1 <= 1
    True

    Args:
        target: what the head predicts.
        shards: from `open_shards`, or the folder of one.
        out: the folder for the head; by default `heads/brand` or `heads/category`.
        aliases: for brands, the alias file to update; by default `aliases.csv`.
        taxonomy: for categories, Google's taxonomy file; by default the part of it that comes with prodemb.
        labels: a file of labels, as `prodemb label` writes it, filled in.
        device: where to run; by default CUDA where there is a GPU.
        settings: further ones, such as `{"train": {"epochs": 10}, "head": {"dropout": 0.2}}`.

    Returns:
        The head with its card (classes, figures, settings), its folder, and for brands the alias table.

    Raises:
        ConfigError: a setting does not fit.
        ShardError: the shards cannot be used.
        FewLabelsError: too few products are labelled.
        TaxonomyError: the taxonomy cannot be read, or has none of the categories.
        OutputError: the folder cannot be written to.
    """
    from prodemb.core.progress import no_progress
    from prodemb.job.train import train as train_pipeline
    from prodemb.storage.address import place

    tables: Settings = {
        "train": {"out": _text(out), "taxonomy": _text(taxonomy), "labels": _text(labels)},
        "brands": {"aliases": _text(aliases)},
        "embed": {"device": device},
    }
    pipeline = _pipeline(target, settings, tables, source="train")
    read = place(str(shards)) if isinstance(shards, str | Path) else shards.folder
    return train_pipeline(pipeline, shards=read, folder=folder_to_write(pipeline.head_name), progress=no_progress)


def load_head(folder: str | Path) -> "TrainedHead":
    """Load a trained head; needs neither the catalog nor the taxonomy nor CLIP.

    >>> import prodemb
    >>> head = prodemb.load_head("heads/brand")
    >>> head.card.target, head.card.features[0]
    ('brand', 'title')

    Returns:
        The head on the CPU: its card, and its network from the vectors of `card.features` to one logit per class.

    Raises:
        HeadError: the folder holds no head, or is damaged.
    """
    from prodemb.heads.head import load_head as load

    return load(folder_to_read(folder))


@at_desk()
def score(
    shards: "ShardSet | str | Path | Sequence[ShardSet]",
    out: str | Path,
    *,
    heads: Sequence[str | Path],
    labels: str | Path | None = None,
    changed_since: str | Path | None = None,
    device: Device | None = None,
    settings: Settings | None = None,
) -> "ScoreReport":
    """Predict a category and a brand for every product of the shards: a Parquet file, or a folder of several.

    >>> import prodemb, polars
    >>> report = prodemb.score("shards/clip", "out.parquet", heads=["heads/brand"])
    >>> polars.read_parquet("out.parquet", columns=["product_id", "brand"]).height == report.num_products
    True

    Args:
        shards: from `open_shards`, or a folder: of a shard set, or of shard sets of one catalog. Each head reads the
            one that it was trained on.
        out: the `.parquet` file to write, or a folder: one row per product, in the order of the catalog.
        heads: folders of heads, at most one per target; columns of a target without a head are null.
        labels: a file of labels, which answer for the products that carry one.
        changed_since: earlier predictions of all products; only what was added, changed or removed is written.
        device: where to run; by default CUDA where there is a GPU.
        settings: further ones, such as `{"score": {"min_brand_confidence": 0.8}}`.

    Returns:
        The number of products, those without a prediction, and which shards were read.

    Raises:
        ConfigError: a setting does not fit, or `out` is neither.
        HeadError: a folder holds no head, or two heads are of one target.
        FingerprintError: no shard set is of the model that a head was trained on.
        ShardError: the shards cannot be used, or hold the products of different catalogs.
        BusyError, OutputError: another run writes to `out`, or it cannot be written.
    """
    from prodemb.core.progress import no_progress
    from prodemb.job.given_labels import with_given_labels
    from prodemb.job.score import predictions_to_write, score_shards
    from prodemb.score.bucket import predictions_to_read
    from prodemb.shards.reader import ShardSet, find_shard_sets
    from prodemb.storage.address import place

    if isinstance(shards, str | Path):
        shards = find_shard_sets(place(str(shards)))
    tables: Settings = {"embed": {"device": device}, "train": {"labels": _text(labels)}}
    both: tuple[Target, ...] = ("brand", "category")
    pipelines = [_pipeline(target, settings, tables, source="score") for target in both]
    return score_shards(
        with_given_labels([shards] if isinstance(shards, ShardSet) else shards, pipelines=pipelines),
        out=predictions_to_write(out),
        heads=[folder_to_read(head) for head in heads],
        pipeline=pipelines[0],
        progress=no_progress,
        since=None if changed_since is None else predictions_to_read(changed_since),
    )


def _pipeline(target: Target, settings: Settings | None, tables: Settings, *, source: str) -> "Pipeline":
    """All defaults, with `settings` and then a function's own arguments in their place."""
    from prodemb.job.pipeline import Pipeline

    pipeline = Pipeline.parse({"target": target}, source=source)
    return pipeline.replaced(settings or {}, source=source).replaced(tables, source=source)


def _text(path: str | Path | None) -> str | None:
    return None if path is None else str(path)
