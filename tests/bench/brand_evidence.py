"""What each source adds to the brand: head, labelled neighbours and supplied value, title, and the lexical vector.

    python tests/bench/brand_evidence.py --pipeline pipelines/brand.toml

Reads the pipeline's shard set and alias file, which `prodemb train-brand` writes, and trains with the same split and
seed each time. Figures are top-1 in percent of all test products whose true brand is known: as supplied, with the
supplied brand withheld, and with that of another product in its place.
"""

from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import polars as pl
import torch
from report import Failure, options_parser, reporting, table

from prodemb.aliases.alias_file import read_aliases
from prodemb.aliases.table import AliasTable
from prodemb.brand.conditions import AS_SUPPLIED, brand_conditions, true_names, without_strings_of
from prodemb.brand.fit import Recipe, cross_fit
from prodemb.brand.labels import BrandLabels, brand_labels
from prodemb.brand.names import BrandNames, Mentions
from prodemb.brand.predict import BrandPredictor
from prodemb.core.features import BRAND_FEATURES
from prodemb.core.progress import no_progress
from prodemb.heads.train import Labelled, load_labelled
from prodemb.job.pipeline import Pipeline, read_pipeline
from prodemb.shards.product_set import read_products
from prodemb.shards.reader import ShardSet, open_shard_set

Rates = dict[str, float]
"""Top-1 by condition."""


def main() -> None:
    parser = options_parser(__doc__)
    parser.add_argument("--pipeline", type=Path, default=Path("pipelines/brand.toml"), help="[pipelines/brand.toml]")
    options = parser.parse_args()
    with reporting(options) as report:
        pipeline = read_pipeline(options.pipeline)
        shard_set = open_shard_set(Path(pipeline.embed.out))
        aliases = read_aliases(Path(pipeline.brands.aliases))
        clip = tuple(feature for feature in shard_set.schema.features if feature != "lexical")
        figures: dict[str, Rates | Failure] = {}
        for vectors, features in {"CLIP": clip, "CLIP and lexical": shard_set.schema.features}.items():
            found = report.attempt(
                f"head on {vectors}",
                partial(measure, pipeline, shard_set, aliases=aliases, vectors=vectors, wanted=set(features)),
            )
            figures |= {f"head on {vectors}": found} if isinstance(found, Failure) else found
        named = next((list(rates) for rates in figures.values() if not isinstance(rates, Failure)), [])
        report.add(table(["top-1 in percent", *named], figures, cells=_cells), figures=figures)


def _cells(rates: Rates) -> list[str]:
    return [f"{100 * rate:.1f}" for rate in rates.values()]


def measure(
    pipeline: Pipeline, shard_set: ShardSet, *, aliases: AliasTable, vectors: str, wanted: set[str]
) -> dict[str, Rates]:
    """One head and what is fused with it, step by step."""
    labels = brand_labels(shard_set, canonical_of=aliases.canonical_of)
    features = tuple(feature for feature in (*BRAND_FEATURES, "lexical") if feature in wanted)
    config = pipeline.train.model_copy(update={"features": features})
    data = load_labelled(shard_set, labels=labels, config=config, device=torch.device("cpu"))
    recipe = Recipe(train=config, aggregate=pipeline.aggregate, head=pipeline.head, fuse=pipeline.fuse, aliases=aliases)
    figures = {}
    with patch.object(BrandNames, "mentions", _mentions_without_titles):
        predictor = fitted(data, recipe=recipe)
        figures[f"head on {vectors}"] = top1(data, predictor, recipe=recipe, fused=False)
        figures[f"  with neighbours and the supplied brand ({vectors})"] = top1(data, predictor, recipe=recipe)
    figures[f"  and the title ({vectors})"] = top1(data, fitted(data, recipe=recipe), recipe=recipe)
    return figures


def fitted(data: Labelled[BrandLabels], *, recipe: Recipe) -> BrandPredictor:
    """A predictor that has not seen the test part."""
    weights = cross_fit(data, recipe=recipe, progress=no_progress)
    own = recipe.fit(data, data.outside_test, gold=weights.gold, title="", progress=no_progress)
    return weights.weighing(own)


def top1(data: Labelled[BrandLabels], predictor: BrandPredictor, *, recipe: Recipe, fused: bool = True) -> Rates:
    """Top-1 in each condition, of the fused answer or of the head alone."""
    rows, fuser, head = data.rows[data.test], predictor.fuser, predictor.head
    products = read_products(data.shard_set, features=data.features, rows=rows)
    names = true_names(data, rows=rows)
    known = without_strings_of(data, data.test, aliases=recipe.aliases)
    blind = fuser.with_aliases(known, rare=fuser.names.rare)
    rates: Rates = {}
    for name, some in brand_conditions(products, truth=fuser.names.ids_of(names), fuser=fuser, seed=recipe.fuse.seed):
        answering = fuser if name == AS_SUPPLIED else blind
        if fused:
            answers = answering.predict(some, head=head, k=1).brands[:, 0]
        else:
            answers = head.predict(some.vectors, present=some.present)
        truth = answering.names.ids_of(names)
        rates[name] = float(np.mean((answers == truth) & (truth >= 0)))
    return rates


_mentions = BrandNames.mentions


def _mentions_without_titles(names: BrandNames, *, supplied: pl.Series, titles: pl.Series) -> Mentions:
    return _mentions(names, supplied=supplied, titles=pl.Series([None] * len(titles), dtype=pl.String))


if __name__ == "__main__":
    main()
