"""The sample catalog, where a pipeline reads it."""

from pathlib import Path

from prodemb.catalog.reader import CatalogConfig
from prodemb.job.pipeline import Pipeline
from prodemb.sample.catalog import write_sample

SAMPLE_PRODUCTS = 3000
SAMPLE_SEED = 5
SAMPLE_FOLDER = Path(CatalogConfig().path).parent


def ensure_sample(pipeline: Pipeline) -> bool:
    """Generate the sample catalog if the pipeline reads it and it is not there; whether it was generated."""
    if pipeline.catalog.path != CatalogConfig().path or Path(pipeline.catalog.path).exists():
        return False
    write_sample(SAMPLE_FOLDER, num_products=SAMPLE_PRODUCTS, seed=SAMPLE_SEED)
    return True
