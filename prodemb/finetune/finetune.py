"""The contrastive job of the category path: a checkpoint and a catalog with categories in, a better checkpoint out."""

from functools import partial

from prodemb.catalog.images import ImagesConfig
from prodemb.catalog.reader import Catalog
from prodemb.core.device import DeviceName, num_devices
from prodemb.core.errors import ConfigError
from prodemb.core.progress import ProgressCallback
from prodemb.finetune.config import FinetuneConfig
from prodemb.finetune.data import read_labelled_products
from prodemb.finetune.launch import launch
from prodemb.finetune.output import check_out, clear_leftovers, finished_report, settle, settle_readme
from prodemb.finetune.processes import is_launched, join_processes
from prodemb.finetune.ray import launch_on_ray
from prodemb.finetune.report import FinetuneReport
from prodemb.finetune.run import Job, Run
from prodemb.shards.labels import GivenLabels
from prodemb.taxonomy.gold import tell_gold
from prodemb.taxonomy.taxonomy import Taxonomy
from prodemb.towers.checkpoint import Checkpoint

__all__ = ["FinetuneConfig", "FinetuneReport", "finetune"]


def finetune(
    config: FinetuneConfig,
    *,
    catalog: Catalog,
    images: ImagesConfig,
    taxonomy: Taxonomy,
    checkpoint: Checkpoint,
    device: DeviceName,
    overwrite: bool = False,
    given: GivenLabels | None = None,
    on_progress: ProgressCallback | None = None,
) -> FinetuneReport:
    """Fine-tune a checkpoint on the catalog's training part and write the new one to `config.out`.

    A killed run resumes from its last saved step. A finished one is skipped while checkpoint, catalog, categories and
    settings are the same; where only the catalog has changed, the new checkpoint is kept until more than
    `config.max_changed` of the labelled products are new or changed. Its shard set is made by `embed`.

    With several CUDA devices it starts one process per device, with `config.engine = "ray"` one per GPU or machine of
    the cluster. They share every batch: the gradients are those of one process with the whole batch. Processes that a
    launcher has started all call this; the first one decides whether there is something to do, and writes.

    Args:
        taxonomy: what resolves the catalog's categories.
        device: where to train.
        given: labels that stand in place of the catalog's own.
        overwrite: retrain from scratch even if a finished checkpoint exists; only the steps of an interrupted run with
            `overwrite` are kept.

    Raises:
        CatalogError: the catalog cannot be read, or it has no `google_category_id`.
        TaxonomyError: none of its categories is in the taxonomy.
        HeadError: the training part has fewer than two categories.
        ModelError: the checkpoint cannot be loaded.
        ConfigError: `config.out` holds something else, several machines do not share that folder or have different
            inputs, the loss is not finite, LoRA is wanted without peft, or the Ray cluster is not there.
        ImagesError: more pictures failed than `[images] max_failure_rate` allows.
        WorkerError: one of several processes died, on a Ray cluster again and again.
        BusyError: another run writes to the same checkpoint.
    """
    job = Job(
        config=config,
        catalog=catalog,
        images=images,
        taxonomy=taxonomy,
        checkpoint=checkpoint,
        device=device,
        overwrite=overwrite,
        given=given,
    )
    if config.engine == "ray" and is_launched():
        raise ConfigError(
            "[finetune] engine: found 'ray' in a process that a launcher has started beside others; wanted 'local' "
            "there, or no launcher"
        )
    check_out(job.out, checkpoint=checkpoint)
    processes = join_processes(device)
    if processes.is_first:
        settle(job.out)
    with job.image_loader() as loader:
        products = read_labelled_products(catalog, taxonomy=taxonomy, loader=loader, given=given)
        if processes.is_first:
            tell_gold(products.gold, taxonomy_name=taxonomy.source, where=catalog.name)
        report = processes.from_first(job.done(products) if processes.is_first else None)
        if report is not None:
            if processes.is_first:
                clear_leftovers(job.out, report=report)
                settle_readme(report, out=job.out, catalog=catalog.name)
            processes.leave()
            return report
        count = None if config.engine == "ray" else config.workers or num_devices(device)
        if count == 1 or is_launched():
            return Run(job, products=products, loader=loader, processes=processes).finish(on_progress=on_progress)
    work = partial(_work, job)
    if count is None:
        launch_on_ray(work, config=config, device=device, paths=(checkpoint.folder,), on_progress=on_progress)
    else:
        launch(work, count=count, on_progress=on_progress)
    # Made from the catalog as the processes have read it, which may have changed since this one did.
    report = finished_report(job.out)
    assert report is not None, "the processes have ended without an error"
    return report


def _work(job: Job, *, on_progress: ProgressCallback | None) -> None:
    """What each of the processes does that `finetune` has started."""
    processes = join_processes(job.device)
    with job.image_loader() as loader:
        products = read_labelled_products(job.catalog, taxonomy=job.taxonomy, loader=loader, given=job.given)
        Run(job, products=products, loader=loader, processes=processes).finish(on_progress=on_progress)
