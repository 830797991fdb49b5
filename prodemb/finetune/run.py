"""One run of fine-tuning: it trains, chooses how much of the original weights to keep, and publishes the checkpoint."""

import logging
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from prodemb import __version__
from prodemb.catalog.images import ImageLoader, ImagesConfig
from prodemb.catalog.reader import Catalog
from prodemb.core.arrays import sample_rows
from prodemb.core.device import DeviceName
from prodemb.core.files import naming
from prodemb.core.folders import holding
from prodemb.core.progress import ProgressCallback
from prodemb.finetune.config import FinetuneConfig
from prodemb.finetune.data import LabelledProducts, Pictures, read_pictures
from prodemb.finetune.encode import near_categories
from prodemb.finetune.output import InputHashes, publish, usable_report, write_checkpoint
from prodemb.finetune.processes import Processes, check_alike, check_shared, local_rank
from prodemb.finetune.report import FinetuneReport
from prodemb.finetune.state import StateFile, Weights, remove_state, state_folder
from prodemb.finetune.step import Step
from prodemb.finetune.texts import fitting_paths
from prodemb.finetune.trainable import load_mixed, snapshot
from prodemb.finetune.trainer import Trainer
from prodemb.finetune.validate import Validation, validate
from prodemb.shards.labels import GivenLabels
from prodemb.taxonomy.taxonomy import Taxonomy
from prodemb.towers.checkpoint import Checkpoint
from prodemb.towers.load import Towers, load_towers
from prodemb.towers.resize import with_image_size

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a run is to do; it can be sent to the processes that do it."""

    config: FinetuneConfig
    catalog: Catalog
    images: ImagesConfig
    taxonomy: Taxonomy
    checkpoint: Checkpoint
    device: DeviceName
    overwrite: bool
    given: GivenLabels | None = None
    """Labels that stand in place of the catalog's own."""

    @property
    def out(self) -> Path:
        """The folder of the new checkpoint."""
        return Path(self.config.out)

    def image_loader(self) -> ImageLoader:
        """What loads the catalog's pictures; to be used in a `with` block."""
        return ImageLoader(self.images, root=self.catalog.image_root)

    def hashes(self, products: LabelledProducts) -> InputHashes:
        """What decides the new checkpoint."""
        return InputHashes.of(self.config, checkpoint=self.checkpoint, products=products)

    def done(self, products: LabelledProducts) -> FinetuneReport | None:
        """The report of a finished checkpoint that will do for these products."""
        if self.overwrite:
            return None
        max_changed = self.config.max_changed
        return usable_report(self.out, hashes=self.hashes(products), products=products, max_changed=max_changed)


class Run:
    """Training and choosing a checkpoint, in one of the processes that share it."""

    def __init__(self, job: Job, *, products: LabelledProducts, loader: ImageLoader, processes: Processes) -> None:
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
        held = holding(self._state, kind="training state") if self._processes.is_first else nullcontext()
        with naming(self._state), held:
            self._processes.from_first(None)
            check_shared(self._state, processes=self._processes)
            report = self._processes.from_first(self._job.done(self._products) if self._processes.is_first else None)
            if report is None:
                report = self._train(before=self._validate_published(), on_progress=on_progress)
            if self._processes.is_first:
                remove_state(self._state)
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
            report = publish(report, out=self._job.out, products=products, catalog=self._job.catalog.name)
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
            date=f"{datetime.now(UTC):%Y-%m-%d}",
            prodemb_version=__version__,
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
