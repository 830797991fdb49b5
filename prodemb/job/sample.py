"""The sample catalog, where a pipeline reads it."""

from pathlib import Path

from prodemb.catalog.reader import CatalogConfig
from prodemb.job.pipeline import Pipeline
from prodemb.sample.catalog import write_sample

SAMPLE_PRODUCTS = 3000
SAMPLE_SEED = 5
SAMPLE_FOLDER = Path(CatalogConfig().path).parent


def is_sample_missing(pipeline: Pipeline) -> bool:
    """Whether the pipeline reads the sample catalog, and it has not been generated yet."""
    return pipeline.catalog.path == CatalogConfig().path and not Path(pipeline.catalog.path).exists()


def generate_sample() -> Path:
    """Generate the sample catalog at its place; the catalog file."""
    return write_sample(SAMPLE_FOLDER, num_products=SAMPLE_PRODUCTS, seed=SAMPLE_SEED)
