"""The training loop of fine-tuning: steps, epochs, the best weights so far, and going on after a kill."""

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
from prodemb.finetune.batches import epoch_batches, num_batches
from prodemb.finetune.config import FinetuneConfig
from prodemb.finetune.launch import Progress
from prodemb.finetune.log import TrainingLog
from prodemb.finetune.processes import Processes
from prodemb.finetune.state import Curve, Epoch, StateStore, Weights, optimizer_tensors, restore_optimizer
from prodemb.finetune.step import Step
from prodemb.finetune.trained import choose_trained, remove_lora, snapshot
from prodemb.finetune.validate import Validation
from prodemb.towers.load import Towers

logger = logging.getLogger(__name__)

USUAL_RATE = 2000.0
"""Learning rate times number of trained parameters, where the rate is not given."""

FIRST_SCALE = 1 / 0.07
"""The scale that CLIP starts from (arXiv 2103.00020), where the model has none of its own."""

LORA_FACTOR = 10.0
"""How much higher the usual rate is for LoRA (Biderman et al. 2024, LoRA Learns Less and Forgets Less)."""


class Training:
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
        store: StateStore,
        near: Callable[[int], npt.NDArray[np.int64]],
        processes: Processes,
    ) -> None:
        """
        Args:
            index: the class of each product.
            rows: (n,) the products to train on.
            measure: the score of the towers as they are now; asked in the first process alone.
            near: which classes are near to each, by the towers as they are now and a seed; asked as `measure` is.
        """
        self.curve = Curve()
        self.best: Weights = {}
        self._config, self._towers, self._step = config, towers, step
        self._index, self._rows = index, rows
        self._measure, self._near, self._store, self._processes = measure, near, store, processes
        self._log: TrainingLog | None = None
        self._log_scale = scale_parameter(towers)
        num_parameters = sum(parameter.numel() for parameter in towers.model.parameters())
        self._trained = choose_trained(towers.model, config=config)
        num_trained = sum(parameter.numel() for parameter in self._trained.values())
        usual = LORA_FACTOR * USUAL_RATE / num_parameters if config.trained == "lora" else USUAL_RATE / num_trained
        self.learning_rate = config.learning_rate or usual
        self._optimizer = adamw(
            self._trained.values(),
            learning_rate=self.learning_rate,
            weight_decay=config.weight_decay,
            betas=(0.9, 0.98),
        )
        self._steps_an_epoch = num_batches(len(rows), batch_size=config.batch_size)
        self._num_steps = config.epochs * self._steps_an_epoch
        self._num_warmup = math.ceil(config.warmup_steps * self._num_steps)

    def run(self, *, progress: Progress | None) -> None:
        """Train from where the stored state is, or from the start. Afterwards the model is without adapters.

        Raises:
            ConfigError: the loss is not finite, or TensorBoard is wanted and not installed.
        """
        self._restore()
        with ExitStack() as stack:
            if self._processes.is_first:
                log = TrainingLog(self._store.log, curve=self.curve, tensorboard=self._config.tensorboard)
                self._log = stack.enter_context(log)
            while len(self.curve.epochs) < self._config.epochs and self.curve.epochs_since_best < self._config.patience:
                self._run_epoch(len(self.curve.epochs), progress=progress)
        remove_lora(self._towers.model)
        if progress is not None:
            progress(self._num_steps, self._num_steps)

    def _restore(self) -> None:
        stored = self._store.load()
        if stored is None:
            return
        weights, optimizer, curve = stored
        best = self._store.load_best(epoch=curve.best_epoch.epoch) if curve.epochs else {}
        if best is None:
            return
        self.curve, self.best = curve, best
        self._towers.model.load_state_dict(weights)
        restore_optimizer(self._optimizer, tensors=optimizer, parameters=self._trained)
        logger.info("fine-tuning goes on after step %d of %d", len(curve.step_losses), self._num_steps)

    def _run_epoch(self, epoch: int, *, progress: Progress | None) -> None:
        started = time.perf_counter()
        config = self._config
        batches = epoch_batches(
            self._index[self._rows],
            batch_size=config.batch_size,
            balance=config.balance,
            seed=config.seed,
            epoch=epoch,
            near=self._near_classes(epoch) if config.hard_negatives else None,
            hard=config.hard_negatives,
        )
        begun, end = epoch * self._steps_an_epoch, (epoch + 1) * self._steps_an_epoch
        losses = list(self.curve.step_losses)
        self._towers.model.train()
        for step in range(len(losses), end):
            losses.append(self._update(self._rows[batches[step - begun]], step=step))
            if self._log is not None:
                self._log.step(step + 1, loss=losses[-1])
            if progress is not None:
                progress(step + 1, self._num_steps)
            if (step + 1) % config.save_every == 0 and step + 1 < end:
                self.curve = Curve(step_losses=tuple(losses), epochs=self.curve.epochs)
                self._save()
        done = Epoch(
            epoch=epoch,
            last_step=end,
            loss=float(np.mean(losses[begun:])),
            validation=self._processes.from_first(self._measure() if self._processes.is_first else None),
            seconds=time.perf_counter() - started,
        )
        self.curve = Curve(step_losses=tuple(losses), epochs=(*self.curve.epochs, done))
        score = f"{done.validation.score:.3f}" if done.validation else "none"
        logger.info("epoch %d: loss %.3f, validation score %s, %.0f s", epoch + 1, done.loss, score, done.seconds)
        if self._log is not None:
            self._log.epoch(done)
        if self.curve.best_epoch.epoch == epoch:
            self.best = snapshot(self._towers.model)
            if self._processes.is_first:
                self._store.save_best(weights=self.best, epoch=epoch)
        self._save()

    def _near_classes(self, epoch: int) -> npt.NDArray[np.int64]:
        """Those of this epoch; a run that goes on in its midst takes those that it began with."""
        found = None
        if self._processes.is_first:
            stored = self._store.load_near(epoch=epoch)
            found = self._near(epoch) if stored is None else stored.numpy()
            if stored is None:
                self._store.save_near(torch.from_numpy(found), epoch=epoch)
        found = self._processes.from_first(found)
        assert found is not None
        return found

    def _save(self) -> None:
        if not self._processes.is_first:
            return
        self._store.save(
            weights=self._towers.model.state_dict(),
            optimizer=optimizer_tensors(self._optimizer, parameters=self._trained),
            curve=self.curve,
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
        self._processes.add_gradients(self._trained.values())
        torch.nn.utils.clip_grad_norm_(self._trained.values(), self._config.max_grad_norm)
        self._optimizer.step()
        return value


def scale_parameter(towers: Towers) -> Tensor:
    """The model's own logarithm of the scale, as CLIP and SigLIP have it, or a new one."""
    found = getattr(towers.model, "logit_scale", None)
    if isinstance(found, torch.nn.Parameter):
        return found
    return torch.tensor(math.log(FIRST_SCALE), device=towers.device)
