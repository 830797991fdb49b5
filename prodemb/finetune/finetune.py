"""The contrastive job of the category path: a checkpoint and a catalog with categories in, a better checkpoint out."""

import logging
import shutil
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from prodemb.catalog.images import ImageLoader, ImagesConfig
from prodemb.catalog.reader import Catalog
from prodemb.core.arrays import sample_rows
from prodemb.core.device import DeviceName, num_devices
from prodemb.core.files import writing_to
from prodemb.finetune.batches import fitting_paths
from prodemb.finetune.config import FinetuneConfig
from prodemb.finetune.data import Pictures, Products, read_pictures, read_products
from prodemb.finetune.done import finished, key_of, made, recipe_of, settle, usable, write_marks
from prodemb.finetune.launch import Progress, launch
from prodemb.finetune.log import draw_curves
from prodemb.finetune.near import near_categories
from prodemb.finetune.processes import (
    Processes,
    check_alike,
    check_shared,
    is_launched,
    is_started_here,
    join_processes,
    local_rank,
)
from prodemb.finetune.report import FinetuneReport
from prodemb.finetune.state import (
    LOG,
    PICTURE,
    StateStore,
    again_mark,
    begin_again,
    check_out,
    clear_leftovers,
    publish,
    put_in_place,
    state_folder,
    unfinished_folder,
)
from prodemb.finetune.step import Step
from prodemb.finetune.train import Training
from prodemb.finetune.trained import load_mixed, snapshot
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
    again: bool = False,
    progress: Progress | None = None,
) -> FinetuneReport:
    """Fine-tune a checkpoint on the catalog's training part and write the new one to `config.out`.

    A run that was killed goes on from its last state; one that is done is not repeated while checkpoint, catalog,
    categories and settings stay as they were. Where but the catalog has changed, the new checkpoint is kept until more
    than `config.max_changed` of the labelled products are new or changed. Making its shard set is `embed`'s work.

    On several CUDA devices it starts a process for each, which share every batch: the gradients are those of one
    process with the whole batch. Processes that a launcher has started all call this; the first one decides whether
    there is something to do, and writes.

    Args:
        taxonomy: what resolves the catalog's categories.
        device: where to train.
        again: keep no checkpoint that is there, and begin from the start; what an interrupted run of this kind has done
            stays done.

    Raises:
        CatalogError: the catalog cannot be read, or it has no `google_category_id`.
        TaxonomyError: none of its categories is in the taxonomy.
        HeadError: the training part has fewer than two categories.
        ModelError: the checkpoint cannot be loaded.
        ConfigError: `config.out` holds something else, several machines do not share its place or differ in what they
            are to do, the loss is not finite, or LoRA is wanted without peft.
        ImagesError: more pictures failed than `[images] max_failure_rate` allows.
        WorkerError: one of several processes died.
        BusyError: another run writes to the same checkpoint.
    """
    out = Path(config.out)
    check_out(out, checkpoint=checkpoint)
    processes = join_processes(device)
    if processes.is_first:
        settle(out)
    with ImageLoader(images, root=catalog.image_root) as loader:
        products = read_products(catalog, taxonomy=taxonomy, loader=loader)
        if processes.is_first and not is_started_here():
            tell_gold(products.gold, taxonomy_name=taxonomy.source, where=catalog.name)
        recipe = recipe_of(config, checkpoint=checkpoint)
        key = key_of(recipe, products=products)
        check_alike(key, processes=processes)
        report = None
        if processes.is_first and not again:
            report = usable(out, key=key, recipe=recipe, products=products, max_changed=config.max_changed)
            if report is not None:
                clear_leftovers(out, key=report.key)
        report = processes.from_first(report)
        if report is not None:
            processes.leave()
            return report
        count = config.processes or num_devices(device)
        if count == 1 or is_launched():
            run = _Run(
                config,
                key=key,
                recipe=recipe,
                catalog=catalog,
                products=products,
                checkpoint=checkpoint,
                device=device,
                processes=processes,
            )
            return run.finish(loader=loader, again=again, progress=progress)
    work = partial(finetune, config, catalog=catalog, images=images, taxonomy=taxonomy)
    launch(partial(work, checkpoint=checkpoint, device=device, again=again), count=count, progress=progress)
    # Of the catalog as the processes have read it, which may have changed since this one did.
    report = made(out)
    assert report is not None, "the processes have ended without an error"
    return report


class _Run:
    """A run that is not done yet, in one of the processes that share it."""

    def __init__(
        self,
        config: FinetuneConfig,
        *,
        key: str,
        recipe: str,
        catalog: Catalog,
        products: Products,
        checkpoint: Checkpoint,
        device: DeviceName,
        processes: Processes,
    ) -> None:
        self._started = time.perf_counter()
        self._processes = processes
        self._config, self._key, self._recipe = config, key, recipe
        self._catalog, self._products = catalog, products
        self._out, self._state = Path(config.out), state_folder(Path(config.out))
        self._checkpoint, self._device = checkpoint, device
        self._towers = load_towers(checkpoint, device=device, index=local_rank(), for_training=True)
        if config.image_size is not None:
            size = config.image_size
            self._towers = with_image_size(self._towers, image_size=size, source="[finetune] image_size")
        self._original = snapshot(self._towers.model)
        self._measured = products.validation[
            sample_rows(len(products.validation), at_most=config.validation_products, seed=config.seed)
        ]
        self._paths = fitting_paths(
            [label.path for label in products.classes],
            num_tokens=lambda text: len(self._towers.text.tokenizer(text, verbose=False)["input_ids"]),
            most_tokens=self._towers.text.max_length,
        )

    def finish(self, *, loader: ImageLoader, again: bool, progress: Progress | None) -> FinetuneReport:
        """Train, and put the new checkpoint folder in place; nothing where another run has done so."""
        with writing_to(self._state) if self._processes.is_first else nullcontext():
            self._processes.wait()
            check_shared(self._state, processes=self._processes, device=self._towers.device)
            if again and self._processes.is_first:
                begin_again(self._state, key=self._key)
            # Another run may have done it just before this one got here.
            done = finished(self._out, key=self._key) if self._processes.is_first and not again else None
            report = self._processes.from_first(done)
            if report is None:
                report = self._make(loader=loader, progress=progress)
            if self._processes.is_first:
                # What cannot be removed, as of a map on NFS, is left to the next run.
                shutil.rmtree(self._state, ignore_errors=True)
        self._processes.leave()
        return report

    def _make(self, *, loader: ImageLoader, progress: Progress | None) -> FinetuneReport:
        """Train, and let the first process put the folder in place."""
        resized = self._config.image_size is not None
        before = self._published(loader=loader) if resized and self._processes.is_first else None
        report = self._train(before=before, loader=loader, progress=progress)
        if self._processes.is_first:
            folder = unfinished_folder(self._out)
            shutil.copyfile(self._state / LOG, folder / LOG)
            write_marks(folder, products=self._products)
            draw_curves(report.curve, folder / PICTURE, title=f"{report.model}, {report.num_train:,} products")
            again_mark(self._state).unlink(missing_ok=True)
            put_in_place(report.model_dump(mode="json", exclude={"changed", "was_done"}), out=self._out)
        return report

    def _published(self, *, loader: ImageLoader) -> Validation | None:
        """How the checkpoint does as it was published, where it is trained at another picture size."""
        if not len(self._measured):
            return None
        towers = load_towers(self._checkpoint, device=self._device, index=local_rank(), for_training=True)
        products = self._products.take(self._measured)
        pictures = self._read_pictures(products, loader=loader, towers=towers)
        rows = np.arange(len(self._measured))
        return validate(towers, products=products, pictures=pictures, rows=rows, paths=self._paths)

    def _read_pictures(self, products: Products, *, loader: ImageLoader, towers: Towers) -> Pictures:
        return read_pictures(
            self._catalog,
            products=products,
            loader=loader,
            preprocessor=towers.image,
            most_bytes=int(self._config.memory_gb * 1e9),
            scratch=self._state,
        )

    def _train(self, *, before: Validation | None, loader: ImageLoader, progress: Progress | None) -> FinetuneReport:
        """Train, and let the first process choose and write what is kept. Afterwards the pictures are released.

        Args:
            before: the score before training, where it is known already.
        """
        config, products, towers, processes = self._config, self._products, self._towers, self._processes
        pictures = self._read_pictures(products, loader=loader, towers=towers)
        rows = self._measured

        def measure() -> Validation | None:
            return validate(towers, products=products, pictures=pictures, rows=rows, paths=self._paths)

        def near(epoch: int) -> npt.NDArray[np.int64]:
            seed = config.seed + epoch
            return near_categories(towers, products=products, pictures=pictures, rows=products.train, seed=seed)

        before = measure() if before is None and processes.is_first else before
        training = Training(
            config,
            towers=towers,
            step=Step(
                config, towers=towers, products=products, pictures=pictures, paths=self._paths, processes=processes
            ),
            index=products.index,
            rows=products.train,
            measure=measure,
            near=near,
            store=StateStore(self._state, key=self._key),
            processes=processes,
        )
        training.run(progress=progress)
        report = None
        if processes.is_first:
            num_pictures = int(pictures.present.sum())
            report = self._report(training, before=before, measure=measure, num_pictures=num_pictures)
        report = processes.from_first(report)
        assert report is not None
        return report

    def _report(
        self,
        training: Training,
        *,
        before: Validation | None,
        measure: Callable[[], Validation | None],
        num_pictures: int,
    ) -> FinetuneReport:
        """Choose the mix of new and original weights, and write the folder under its temporary name."""
        products, towers = self._products, self._towers
        share, after = self._choose_mix(training, measure=measure)
        if before is not None and after is not None and after.score <= before.score:
            logger.warning(
                "fine-tuning has not helped: score %.3f on the validation products, %.3f before",
                after.score,
                before.score,
            )
        return FinetuneReport(
            key=self._key,
            recipe=self._recipe,
            model=self._checkpoint.name,
            original_fingerprint=self._checkpoint.fingerprint,
            fingerprint=publish(towers, out=self._out),
            num_train=len(products.train),
            num_validation=len(products.validation),
            num_pictures=num_pictures,
            num_classes=len(products.classes),
            learning_rate=training.learning_rate,
            best_epoch=training.curve.best_epoch.epoch,
            interpolation=share,
            before=before,
            after=after,
            curve=training.curve,
            seconds=time.perf_counter() - self._started,
            device=str(towers.device),
            num_processes=self._processes.count,
            config=self._config,
        )

    def _choose_mix(
        self, training: Training, *, measure: Callable[[], Validation | None]
    ) -> tuple[float, Validation | None]:
        """Load the mix of best and original weights that validates best, the first of equals."""
        model, original, new = self._towers.model, self._original, training.best
        measured: dict[float, Validation | None] = {}
        for share in self._config.interpolation:
            if share == 1.0:
                measured[share] = training.curve.best_epoch.validation
                continue
            load_mixed(model, original=original, new=new, share=share)
            measured[share] = measure()
        chosen = max(measured, key=lambda share: found.score if (found := measured[share]) else 0.0)
        load_mixed(model, original=original, new=new, share=chosen)
        return chosen, measured[chosen]
