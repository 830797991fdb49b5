"""The contrastive job of the category path: a checkpoint and a catalog with categories in, a better checkpoint out."""

import logging
import shutil
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from prodemb.catalog.images import ImageLoader, ImagesConfig
from prodemb.catalog.reader import Catalog
from prodemb.core.arrays import sample_rows
from prodemb.core.device import DeviceName, num_devices
from prodemb.core.files import writing_to
from prodemb.core.progress import ProgressCallback
from prodemb.finetune.config import FinetuneConfig
from prodemb.finetune.data import LabelledProducts, Pictures, read_labelled_products, read_pictures
from prodemb.finetune.encode import near_categories
from prodemb.finetune.launch import launch
from prodemb.finetune.output import (
    InputHashes,
    check_out,
    clear_leftovers,
    finished_report,
    publish,
    settle,
    usable_report,
    write_checkpoint,
)
from prodemb.finetune.processes import (
    Processes,
    check_alike,
    check_shared,
    is_launched,
    join_processes,
    local_rank,
)
from prodemb.finetune.report import FinetuneReport
from prodemb.finetune.state import StateFile, Weights, state_folder
from prodemb.finetune.step import Step
from prodemb.finetune.texts import fitting_paths
from prodemb.finetune.trainable import load_mixed, snapshot
from prodemb.finetune.trainer import Trainer
from prodemb.finetune.validate import Validation, validate
from prodemb.taxonomy.gold import tell_gold
from prodemb.taxonomy.taxonomy import Taxonomy
from prodemb.towers.checkpoint import Checkpoint
from prodemb.towers.load import Towers, load_towers
from prodemb.towers.resize import with_image_size

__all__ = ["FinetuneConfig", "FinetuneReport", "finetune"]

logger = logging.getLogger(__name__)


def finetune(
    config: FinetuneConfig,
    *,
    catalog: Catalog,
    images: ImagesConfig,
    taxonomy: Taxonomy,
    checkpoint: Checkpoint,
    device: DeviceName,
    overwrite: bool = False,
    on_progress: ProgressCallback | None = None,
) -> FinetuneReport:
    """Fine-tune a checkpoint on the catalog's training part and write the new one to `config.out`.

    A killed run resumes from its last saved step. A finished one is skipped while checkpoint, catalog, categories and
    settings are the same; where only the catalog has changed, the new checkpoint is kept until more than
    `config.max_changed` of the labelled products are new or changed. Its shard set is made by `embed`.

    With several CUDA devices it starts one process per device. They share every batch: the gradients are those of one
    process with the whole batch. Processes that a launcher has started all call this; the first one decides whether
    there is something to do, and writes.

    Args:
        taxonomy: what resolves the catalog's categories.
        device: where to train.
        overwrite: retrain from scratch even if a finished checkpoint exists; only the steps of an interrupted run with
            `overwrite` are kept.

    Raises:
        CatalogError: the catalog cannot be read, or it has no `google_category_id`.
        TaxonomyError: none of its categories is in the taxonomy.
        HeadError: the training part has fewer than two categories.
        ModelError: the checkpoint cannot be loaded.
        ConfigError: `config.out` holds something else, several machines do not share that folder or have different
            inputs, the loss is not finite, or LoRA is wanted without peft.
        ImagesError: more pictures failed than `[images] max_failure_rate` allows.
        WorkerError: one of several processes died.
        BusyError: another run writes to the same checkpoint.
    """
    out = Path(config.out)
    check_out(out, checkpoint=checkpoint)
    job = _Job(
        config=config,
        catalog=catalog,
        images=images,
        taxonomy=taxonomy,
        checkpoint=checkpoint,
        device=device,
        overwrite=overwrite,
    )
    processes = join_processes(device)
    if processes.is_first:
        settle(out)
    with job.image_loader() as loader:
        products = read_labelled_products(catalog, taxonomy=taxonomy, loader=loader)
        if processes.is_first:
            tell_gold(products.gold, taxonomy_name=taxonomy.source, where=catalog.name)
        report = processes.from_first(job.done(products) if processes.is_first else None)
        if report is not None:
            if processes.is_first:
                clear_leftovers(out, report=report)
            processes.leave()
            return report
        count = config.processes or num_devices(device)
        if count == 1 or is_launched():
            return _Run(job, products=products, loader=loader, processes=processes).finish(on_progress=on_progress)
    launch(partial(_work, job), count=count, on_progress=on_progress)
    # Made from the catalog as the processes have read it, which may have changed since this one did.
    report = finished_report(out)
    assert report is not None, "the processes have ended without an error"
    return report


@dataclass(frozen=True, kw_only=True)
class _Job:
    """What is to be done; it can be sent to the processes that do it."""

    config: FinetuneConfig
    catalog: Catalog
    images: ImagesConfig
    taxonomy: Taxonomy
    checkpoint: Checkpoint
    device: DeviceName
    overwrite: bool

    @property
    def out(self) -> Path:
        return Path(self.config.out)

    def image_loader(self) -> ImageLoader:
        return ImageLoader(self.images, root=self.catalog.image_root)

    def hashes(self, products: LabelledProducts) -> InputHashes:
        return InputHashes.of(self.config, checkpoint=self.checkpoint, products=products)

    def done(self, products: LabelledProducts) -> FinetuneReport | None:
        """The report of a finished checkpoint that will do for these products."""
        if self.overwrite:
            return None
        max_changed = self.config.max_changed
        return usable_report(self.out, hashes=self.hashes(products), products=products, max_changed=max_changed)


def _work(job: _Job, *, on_progress: ProgressCallback | None) -> None:
    """What each of the processes does that `finetune` has started."""
    processes = join_processes(job.device)
    with job.image_loader() as loader:
        products = read_labelled_products(job.catalog, taxonomy=job.taxonomy, loader=loader)
        _Run(job, products=products, loader=loader, processes=processes).finish(on_progress=on_progress)


class _Run:
    """Training and choosing a checkpoint, in one of the processes that share it."""

    def __init__(self, job: _Job, *, products: LabelledProducts, loader: ImageLoader, processes: Processes) -> None:
        self._started = time.perf_counter()
        self._job, self._config, self._products = job, job.config, products
        self._loader, self._processes = loader, processes
        self._hashes = job.hashes(products)
        check_alike(self._hashes.inputs, processes=processes)
        self._state = state_folder(job.out)
        self._towers = self._load_towers()
        if job.config.image_size is not None:
            size = job.config.image_size
            self._towers = with_image_size(self._towers, image_size=size, source="[finetune] image_size")
        self._validation_rows = products.validation[
            sample_rows(len(products.validation), at_most=job.config.validation_products, seed=job.config.seed)
        ]
        self._paths = fitting_paths(
            [label.path for label in products.classes],
            num_tokens=lambda text: len(self._towers.text.tokenizer(text, verbose=False)["input_ids"]),
            most_tokens=self._towers.text.max_length,
        )

    def finish(self, *, on_progress: ProgressCallback | None) -> FinetuneReport:
        """Train and put the new checkpoint folder in place, unless another run has just done so."""
        with writing_to(self._state) if self._processes.is_first else nullcontext():
            self._processes.from_first(None)
            check_shared(self._state, processes=self._processes)
            report = self._processes.from_first(self._job.done(self._products) if self._processes.is_first else None)
            if report is None:
                report = self._train(before=self._validate_published(), on_progress=on_progress)
            if self._processes.is_first:
                # What cannot be removed, such as a mapped file on NFS, is left to the next run.
                shutil.rmtree(self._state, ignore_errors=True)
        self._processes.leave()
        return report

    def _train(self, *, before: Validation | None, on_progress: ProgressCallback | None) -> FinetuneReport:
        """Train, and let the first process choose and publish the weights. Afterwards the pictures are released.

        Args:
            before: the score before training, where it is known already.
        """
        config, products, towers, processes = self._config, self._products, self._towers, self._processes
        original = snapshot(towers.model)
        pictures = self._read_pictures(products, towers=towers)

        def measure() -> Validation | None:
            return validate(towers, products=products, pictures=pictures, rows=self._validation_rows, paths=self._paths)

        def near(epoch: int) -> npt.NDArray[np.int64]:
            seed = config.seed + epoch
            return near_categories(towers, products=products, pictures=pictures, rows=products.train, seed=seed)

        before = measure() if before is None and processes.is_first else before
        trainer = Trainer(
            config,
            towers=towers,
            step=Step(
                config, towers=towers, products=products, pictures=pictures, paths=self._paths, processes=processes
            ),
            index=products.index,
            rows=products.train,
            measure=measure,
            near=near,
            state=StateFile(self._state, inputs=self._hashes.inputs, overwrite=self._job.overwrite),
            processes=processes,
        )
        trainer.run(on_progress=on_progress)
        report = None
        if processes.is_first:
            alpha, after = self._choose_mix(trainer, original=original, measure=measure)
            num_pictures = int(pictures.present.sum())
            report = self._report(trainer, alpha=alpha, before=before, after=after, num_pictures=num_pictures)
            publish(report, out=self._job.out, products=products)
        report = processes.from_first(report)
        assert report is not None
        return report

    def _choose_mix(
        self, trainer: Trainer, *, original: Weights, measure: Callable[[], Validation | None]
    ) -> tuple[float, Validation | None]:
        """Load the mix of best and original weights that validates best, the first of equals."""
        measured: dict[float, Validation | None] = {}
        for alpha in self._config.wise_ft_alphas:
            if alpha == 1.0:
                measured[alpha] = trainer.curve.best_epoch.validation
                continue
            load_mixed(self._towers.model, original=original, new=trainer.best, alpha=alpha)
            measured[alpha] = measure()
        chosen = max(measured, key=lambda alpha: found.score if (found := measured[alpha]) else 0.0)
        load_mixed(self._towers.model, original=original, new=trainer.best, alpha=chosen)
        return chosen, measured[chosen]

    def _report(
        self, trainer: Trainer, *, alpha: float, before: Validation | None, after: Validation | None, num_pictures: int
    ) -> FinetuneReport:
        """Write the chosen weights beside `out`, and what there is to say of them."""
        job, products = self._job, self._products
        if before is not None and after is not None and after.score <= before.score:
            logger.warning(
                "fine-tuning has not helped: score %.3f on the validation products, %.3f before",
                after.score,
                before.score,
            )
        return FinetuneReport(
            inputs_hash=self._hashes.inputs,
            settings_hash=self._hashes.settings,
            model=job.checkpoint.name,
            original_fingerprint=job.checkpoint.fingerprint,
            fingerprint=write_checkpoint(self._towers, out=job.out),
            num_train=len(products.train),
            num_validation=len(products.validation),
            num_pictures=num_pictures,
            num_classes=len(products.classes),
            learning_rate=trainer.learning_rate,
            best_epoch=trainer.curve.best_epoch.epoch,
            wise_ft_alpha=alpha,
            before=before,
            after=after,
            curve=trainer.curve,
            seconds=time.perf_counter() - self._started,
            device=str(self._towers.device),
            num_processes=self._processes.count,
            config=self._config,
        )

    def _validate_published(self) -> Validation | None:
        """The score of the checkpoint as published, where it is trained at another picture size; for the first one."""
        if self._config.image_size is None or not self._processes.is_first or not len(self._validation_rows):
            return None
        towers = self._load_towers()
        products = self._products.take(self._validation_rows)
        pictures = self._read_pictures(products, towers=towers)
        rows = np.arange(len(self._validation_rows))
        return validate(towers, products=products, pictures=pictures, rows=rows, paths=self._paths)

    def _load_towers(self) -> Towers:
        return load_towers(self._job.checkpoint, device=self._job.device, index=local_rank(), for_training=True)

    def _read_pictures(self, products: LabelledProducts, *, towers: Towers) -> Pictures:
        return read_pictures(
            self._job.catalog,
            products=products,
            loader=self._loader,
            preprocessor=towers.image,
            most_bytes=int(self._config.memory_gb * 1e9),
            scratch=self._state,
        )
