"""Out-of-fold predictors: each labelled product once, by one that has learned from neither it nor its variants."""

from pathlib import Path

import numpy as np
import torch

from prodemb.aliases.alias_file import read_aliases
from prodemb.brand.fit import out_of_fold as brands_out_of_fold
from prodemb.brand.labels import brand_labels
from prodemb.category.fit import out_of_fold as categories_out_of_fold
from prodemb.core.progress import no_progress
from prodemb.heads.train import load_labelled
from prodemb.job.targets import CategoryTarget, brand_recipe
from prodemb.shards.reader import open_shard_set
from tests.audit.conftest import pipeline_of

CPU = torch.device("cpu")


def test_categories(project: Path) -> None:
    pipeline, shard_set = pipeline_of(project, "category"), open_shard_set(project / "shards")
    target = CategoryTarget(pipeline, shard_set=shard_set)
    data = load_labelled(shard_set, labels=target.labels(), config=pipeline.train, device=CPU)
    parts = [*categories_out_of_fold(data, recipe=target.recipe(), progress=no_progress)]
    assert len(parts) == data.num_folds + 1
    assert sorted(np.concatenate([inside for inside, _ in parts]).tolist()) == data.everything.tolist()
    for inside, predictor in parts:
        learned = predictor.voices.neighbours.rows
        assert not {*data.groups[learned].tolist()} & {*data.groups[data.rows[inside]].tolist()}
        assert len(learned) == int(predictor.voices.counts.sum()) == len(np.setdiff1d(data.outside_test, inside))
    models = [predictor.model.weights.tobytes() for _, predictor in parts]
    assert len(set(models)) == len(models)


def test_brands(project: Path) -> None:
    pipeline, shard_set = pipeline_of(project, "brand"), open_shard_set(project / "shards")
    aliases = read_aliases(Path(pipeline.brands.aliases))
    labels = brand_labels(shard_set, canonical_of=aliases.canonical_of, corrected=aliases.corrected)
    data = load_labelled(shard_set, labels=labels, config=pipeline.train, device=CPU)
    parts = [*brands_out_of_fold(data, recipe=brand_recipe(pipeline, aliases=aliases), progress=no_progress)]
    assert sorted(np.concatenate([inside for inside, _ in parts]).tolist()) == data.everything.tolist()
    for inside, predictor in parts:
        assert predictor.fuser.neighbours is not None
        learned = predictor.fuser.neighbours.rows
        assert not {*data.groups[learned].tolist()} & {*data.groups[data.rows[inside]].tolist()}
    assert len({predictor.fuser.model.weights.tobytes() for _, predictor in parts}) == len(parts)
