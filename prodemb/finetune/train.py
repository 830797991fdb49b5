"""The training loop of fine-tuning: steps, epochs, the best weights so far, and going on after a kill."""

import logging
import math
import re
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from prodemb.errors import ConfigError
from prodemb.finetune.batches import epoch_batches, num_batches
from prodemb.finetune.config import FinetuneConfig
from prodemb.finetune.state import Curve, Epoch, StateStore, Weights, optimizer_tensors, restore_optimizer
from prodemb.finetune.step import Step
from prodemb.finetune.validate import Validation
from prodemb.towers.load import Towers

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Called with the steps done and the steps in all."""

USUAL_RATE = 2000.0
"""Learning rate times number of trained parameters, where the rate is not given."""

FIRST_SCALE = 1 / 0.07
"""The scale that CLIP starts from (arXiv 2103.00020), where the model has none of its own."""

_BLOCK = re.compile(r"(?:^|\.)(text_model|vision_model)\..*?layers\.(\d+)\.")
_BEFORE_BLOCKS = re.compile(r"embedding|pre_layrnorm")


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
    ) -> None:
        """
        Args:
            index: the class of each product.
            rows: (n,) the products to train on.
            measure: the score of the towers as they are now.
        """
        self.curve = Curve()
        self.best: Weights = {}
        self._config, self._towers, self._step = config, towers, step
        self._index, self._rows = index, rows
        self._measure, self._store = measure, store
        self._log_scale = scale_parameter(towers)
        self._trained = choose_trained(towers, last_blocks=config.train_last_blocks)
        num_trained = sum(parameter.numel() for parameter in self._trained.values())
        self.learning_rate = config.learning_rate or USUAL_RATE / num_trained
        self._optimizer = _optimizer(self._trained, learning_rate=self.learning_rate, decay=config.weight_decay)
        self._steps_an_epoch = num_batches(len(rows), batch_size=config.batch_size)
        self._num_steps = config.epochs * self._steps_an_epoch

    def run(self, *, progress: Progress | None) -> None:
        """Train from where the stored state is, or from the start.

        Raises:
            ConfigError: the loss is not finite.
        """
        self._restore()
        while len(self.curve.epochs) < self._config.epochs and self.curve.epochs_since_best < self._config.patience:
            self._run_epoch(len(self.curve.epochs), progress=progress)
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
        )
        begun, end = epoch * self._steps_an_epoch, (epoch + 1) * self._steps_an_epoch
        losses = list(self.curve.step_losses)
        self._towers.model.train()
        for step in range(len(losses), end):
            losses.append(self._update(self._rows[batches[step - begun]], step=step))
            if progress is not None:
                progress(step + 1, self._num_steps)
            if (step + 1) % config.save_every == 0 and step + 1 < end:
                self.curve = Curve(step_losses=tuple(losses), epochs=self.curve.epochs)
                self._save()
        done = Epoch(
            epoch=epoch,
            loss=float(np.mean(losses[begun:])),
            validation=self._measure(),
            seconds=time.perf_counter() - started,
        )
        self.curve = Curve(step_losses=tuple(losses), epochs=(*self.curve.epochs, done))
        score = f"{done.validation.score:.3f}" if done.validation else "none"
        logger.info("epoch %d: loss %.3f, validation score %s, %.0f s", epoch + 1, done.loss, score, done.seconds)
        if self.curve.best_epoch.epoch == epoch:
            self.best = snapshot(self._towers)
            self._store.save_best(weights=self.best, epoch=epoch)
        self._save()

    def _save(self) -> None:
        self._store.save(
            weights=self._towers.model.state_dict(),
            optimizer=optimizer_tensors(self._optimizer, parameters=self._trained),
            curve=self.curve,
        )

    def _update(self, rows: npt.NDArray[np.int64], *, step: int) -> float:
        """One update from the products at `rows`; returns the loss."""
        for group in self._optimizer.param_groups:
            group["lr"] = self.learning_rate * rate_at(step, num_steps=self._num_steps, warmup=self._config.warmup)
        self._optimizer.zero_grad(set_to_none=True)
        value = self._step.backpropagate(rows, step=step, log_scale=self._log_scale)
        if not math.isfinite(value):
            raise ConfigError(
                f"[finetune] learning_rate: found {self.learning_rate:g}, but the loss was not finite at step "
                f"{step + 1} of {self._num_steps}; wanted a lower one"
            )
        torch.nn.utils.clip_grad_norm_(self._trained.values(), self._config.max_grad_norm)
        self._optimizer.step()
        return value


def rate_at(step: int, *, num_steps: int, warmup: float) -> float:
    """The share of the peak learning rate: linear warm-up, then a cosine to zero (SGDR, arXiv 1608.03983)."""
    num_warmup = math.ceil(warmup * num_steps)
    if step < num_warmup:
        return (step + 1) / num_warmup
    return (1 + math.cos(math.pi * (step - num_warmup) / max(1, num_steps - num_warmup))) / 2


def snapshot(towers: Towers) -> Weights:
    """A copy of the model's weights, on the CPU."""
    return {name: tensor.detach().cpu().clone() for name, tensor in towers.model.state_dict().items()}


def load_mixed(towers: Towers, *, original: Weights, new: Weights, share: float) -> None:
    """Load `share` of the new weights and the rest of the original ones (WiSE-FT, arXiv 2109.01903)."""
    mixed = {
        name: torch.lerp(original[name], new[name], share) if new[name].is_floating_point() else new[name]
        for name in new
    }
    towers.model.load_state_dict(mixed)


def choose_trained(towers: Towers, *, last_blocks: int | None) -> dict[str, torch.nn.Parameter]:
    """The parameters to train, by name; the others are frozen. LoRA (issue 5) would wrap the model before this.

    With `last_blocks`, embeddings and earlier blocks are frozen; norms and projections behind the blocks are trained.
    """
    parameters = dict(towers.model.named_parameters())
    if last_blocks is not None:
        num_blocks: dict[str, int] = {}
        for name in parameters:
            if block := _BLOCK.search(name):
                num_blocks[block[1]] = max(num_blocks.get(block[1], 0), int(block[2]) + 1)
        for name, parameter in parameters.items():
            block = _BLOCK.search(name)
            early = int(block[2]) < num_blocks[block[1]] - last_blocks if block else bool(_BEFORE_BLOCKS.search(name))
            parameter.requires_grad_(not early)
    return {name: parameter for name, parameter in parameters.items() if parameter.requires_grad}


def scale_parameter(towers: Towers) -> Tensor:
    """The model's own logarithm of the scale, as CLIP and SigLIP have it, or a new one."""
    found = getattr(towers.model, "logit_scale", None)
    if isinstance(found, torch.nn.Parameter):
        return found
    return torch.tensor(math.log(FIRST_SCALE), device=towers.device)


def _optimizer(trained: dict[str, torch.nn.Parameter], *, learning_rate: float, decay: float) -> torch.optim.Optimizer:
    groups = [
        {"params": [parameter for parameter in trained.values() if parameter.ndim >= 2], "weight_decay": decay},
        {"params": [parameter for parameter in trained.values() if parameter.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.98))
