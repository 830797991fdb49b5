"""The training loop of fine-tuning: steps, epochs, the best weights so far, and resuming after a kill."""

import logging
import math
import time
from collections.abc import Callable
from contextlib import ExitStack

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from prodemb.core.errors import ConfigError
from prodemb.core.optim import adamw, warmup_cosine
from prodemb.core.progress import ProgressCallback
from prodemb.finetune.batches import epoch_batches, num_batches
from prodemb.finetune.config import FinetuneConfig
from prodemb.finetune.log import TrainingLog
from prodemb.finetune.processes import Processes
from prodemb.finetune.report import Curve, EpochResult
from prodemb.finetune.state import StateFile, Weights, optimizer_tensors, restore_optimizer
from prodemb.finetune.step import Step
from prodemb.finetune.trainable import choose_trainable, remove_lora, snapshot
from prodemb.finetune.validate import Validation
from prodemb.towers.load import Towers

logger = logging.getLogger(__name__)

USUAL_RATE = 2000.0
"""Learning rate times number of trained parameters, where the rate is not given."""

FIRST_SCALE = 1 / 0.07
"""The scale that CLIP starts from (arXiv 2103.00020), where the model has none of its own."""

LORA_FACTOR = 10.0
"""How much higher the usual rate is for LoRA (Biderman et al. 2024, LoRA Learns Less and Forgets Less)."""


class Trainer:
    """One run over the training products; after `run`, `best` holds the weights to keep."""

    def __init__(
        self,
        config: FinetuneConfig,
        *,
        towers: Towers,
        step: Step,
        index: npt.NDArray[np.int64],
        rows: npt.NDArray[np.int64],
        measure: Callable[[], Validation | None],
        state: StateFile,
        near: Callable[[int], npt.NDArray[np.int64]],
        processes: Processes,
    ) -> None:
        """
        Args:
            index: the class of each product.
            rows: (n,) the products to train on.
            measure: validates the towers as they are now; called in the first process alone.
            near: near classes of each class, by the towers as they are now, for an epoch; called as `measure` is.
        """
        self.curve = Curve()
        self.best: Weights = {}
        self._config, self._towers, self._step = config, towers, step
        self._index, self._rows = index, rows
        self._measure, self._near, self._state, self._processes = measure, near, state, processes
        self._log: TrainingLog | None = None
        self._epoch_near: npt.NDArray[np.int64] | None = None
        self._log_scale = scale_parameter(towers)
        num_parameters = sum(parameter.numel() for parameter in towers.model.parameters())
        self._trainable = choose_trainable(towers.model, config=config)
        num_trainable = sum(parameter.numel() for parameter in self._trainable.values())
        usual = LORA_FACTOR * USUAL_RATE / num_parameters if config.trainable == "lora" else USUAL_RATE / num_trainable
        self.learning_rate = config.learning_rate or usual
        self._optimizer = adamw(
            self._trainable.values(),
            learning_rate=self.learning_rate,
            weight_decay=config.weight_decay,
            betas=(0.9, 0.98),
        )
        self._steps_per_epoch = num_batches(len(rows), batch_size=config.batch_size)
        self._num_steps = config.epochs * self._steps_per_epoch
        self._num_warmup = math.ceil(config.warmup_steps * self._num_steps)

    def run(self, *, on_progress: ProgressCallback | None) -> None:
        """Train from where the stored state is, or from the start. Afterwards the model is without adapters.

        Raises:
            ConfigError: the loss is not finite, or TensorBoard is wanted and not installed.
        """
        self._restore()
        with ExitStack() as stack:
            if self._processes.is_first:
                log = TrainingLog(self._state.log, curve=self.curve, tensorboard=self._config.tensorboard)
                self._log = stack.enter_context(log)
            while len(self.curve.epochs) < self._config.epochs and self.curve.epochs_since_best < self._config.patience:
                self._run_epoch(len(self.curve.epochs), on_progress=on_progress)
        remove_lora(self._towers.model)
        if on_progress is not None:
            on_progress(self._num_steps, self._num_steps)

    def _restore(self) -> None:
        stored = self._state.load()
        if stored is None:
            return
        parts, self.curve = stored
        self._towers.model.load_state_dict(parts["model"])
        restore_optimizer(self._optimizer, tensors=parts["optimizer"])
        self.best = parts.get("best", {})
        self._epoch_near = parts["epoch"]["near"].numpy() if "epoch" in parts else None
        logger.info("resuming after step %d of %d", len(self.curve.step_losses), self._num_steps)

    def _save(self) -> None:
        if not self._processes.is_first:
            return
        parts = {
            "model": self._towers.model.state_dict(),
            "optimizer": optimizer_tensors(self._optimizer),
            "best": self.best,
        }
        if self._epoch_near is not None:
            parts["epoch"] = {"near": torch.from_numpy(self._epoch_near)}
        self._state.save(parts, curve=self.curve)

    def _run_epoch(self, epoch: int, *, on_progress: ProgressCallback | None) -> None:
        started = time.perf_counter()
        first, end = epoch * self._steps_per_epoch, (epoch + 1) * self._steps_per_epoch
        batches = self._batches(epoch)
        losses = list(self.curve.step_losses)
        self._towers.model.train()
        for step in range(len(losses), end):
            losses.append(self._update(self._rows[batches[step - first]], step=step))
            if self._log is not None:
                self._log.step(step + 1, loss=losses[-1])
            if on_progress is not None:
                on_progress(step + 1, self._num_steps)
            if (step + 1) % self._config.save_steps == 0 and step + 1 < end:
                self.curve = Curve(step_losses=tuple(losses), epochs=self.curve.epochs)
                self._save()
        result = EpochResult(
            epoch=epoch,
            last_step=end,
            loss=float(np.mean(losses[first:])),
            validation=self._processes.from_first(self._measure() if self._processes.is_first else None),
            seconds=time.perf_counter() - started,
        )
        self.curve = Curve(step_losses=tuple(losses), epochs=(*self.curve.epochs, result))
        score = f"{result.validation.score:.3f}" if result.validation else "none"
        logger.info("epoch %d: loss %.3f, validation score %s, %.0f s", epoch + 1, result.loss, score, result.seconds)
        if self._log is not None:
            self._log.epoch(result)
        if self.curve.best_epoch.epoch == epoch:
            self.best = snapshot(self._towers.model)
        self._epoch_near = None
        self._save()

    def _batches(self, epoch: int) -> list[npt.NDArray[np.int64]]:
        """The batches of an epoch; a run that resumes in the middle of it takes the near classes it began with."""
        if self._config.hard_negatives and self._epoch_near is None:
            self._epoch_near = self._processes.from_first(self._near(epoch) if self._processes.is_first else None)
        return epoch_batches(
            self._index[self._rows],
            batch_size=self._config.batch_size,
            sampling_alpha=self._config.sampling_alpha,
            seed=self._config.seed,
            epoch=epoch,
            near=self._epoch_near,
            hard=self._config.hard_negatives,
        )

    def _update(self, rows: npt.NDArray[np.int64], *, step: int) -> float:
        """One update from the products at `rows`; returns the loss."""
        for group in self._optimizer.param_groups:
            group["lr"] = self.learning_rate * warmup_cosine(
                step, num_steps=self._num_steps, num_warmup=self._num_warmup
            )
        self._optimizer.zero_grad(set_to_none=True)
        value = self._step.backpropagate(rows, step=step, log_scale=self._log_scale)
        if not math.isfinite(value):
            raise ConfigError(
                f"[finetune] learning_rate: found {self.learning_rate:g}, but the loss was not finite at step "
                f"{step + 1} of {self._num_steps}; wanted a lower one"
            )
        self._processes.add_gradients(self._trainable.values())
        torch.nn.utils.clip_grad_norm_(self._trainable.values(), self._config.max_grad_norm)
        self._optimizer.step()
        return value


def scale_parameter(towers: Towers) -> Tensor:
    """The model's own logarithm of the scale, as CLIP and SigLIP have it, or a new one."""
    found = getattr(towers.model, "logit_scale", None)
    if isinstance(found, torch.nn.Parameter):
        return found
    return torch.tensor(math.log(FIRST_SCALE), device=towers.device)
