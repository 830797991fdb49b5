"""The taxonomy that a pipeline names."""

from dataclasses import replace
from pathlib import Path

from prodemb.core.errors import TaxonomyError
from prodemb.job.pipeline import Pipeline
from prodemb.storage.desk import file_to_read
from prodemb.taxonomy.mapping import read_mapping
from prodemb.taxonomy.taxonomy import Taxonomy, read_taxonomy, sample_taxonomy


def pipeline_taxonomy(pipeline: Pipeline) -> tuple[Taxonomy, str]:
    """The pipeline's taxonomy, which knows those that labels are written in, and how to call it."""
    own, other = pipeline.train.taxonomy, pipeline.train.label_taxonomy
    taxonomy = sample_taxonomy() if own is None else read_taxonomy(existing_taxonomy(own))
    of_labels = None if other is None else read_taxonomy(existing_taxonomy(other))
    mapping = None if pipeline.train.mapping is None else read_mapping(file_to_read(pipeline.train.mapping))
    return replace(taxonomy, of_labels=of_labels, mapping=mapping), own or taxonomy.source


def existing_taxonomy(taxonomy: str) -> Path:
    path = file_to_read(taxonomy)
    if not path.is_file():
        raise TaxonomyError(
            f"{path}: no such taxonomy file; `prodemb taxonomy {path}` fetches Google's, or correct [train] taxonomy"
        )
    return path
