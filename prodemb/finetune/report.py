"""The report of a fine-tuning run, as the checkpoint folder keeps it: its inputs, its curve and its validation."""

from prodemb.core.config import Config
from prodemb.finetune.config import FinetuneConfig
from prodemb.finetune.validate import Validation


class EpochResult(Config):
    """One pass over the training products."""

    epoch: int
    last_step: int
    """Steps done after it, since the start of training."""
    loss: float
    """Mean over its steps."""
    validation: Validation | None
    """None where no validation product is labelled."""
    seconds: float


class Curve(Config):
    """How training went so far."""

    step_losses: tuple[float, ...] = ()
    epochs: tuple[EpochResult, ...] = ()

    @property
    def best_epoch(self) -> EpochResult:
        """The first epoch with the best score; the last one where nothing was validated. There must be one."""
        scored = [epoch for epoch in self.epochs if epoch.validation is not None]
        return max(
            scored, key=lambda epoch: epoch.validation.score if epoch.validation else 0.0, default=self.epochs[-1]
        )

    @property
    def epochs_since_best(self) -> int:
        """How many epochs have not been better."""
        return len(self.epochs) - 1 - self.best_epoch.epoch if self.epochs else 0


class FinetuneReport(Config):
    """What a run did; `finetune.json` in the checkpoint folder."""

    inputs_hash: str
    """The hash of checkpoint, settings, catalog and categories (`prodemb.core.inputs`)."""
    settings_hash: str
    """The hash of checkpoint and settings alone."""
    model: str
    """The checkpoint that was fine-tuned, as the pipeline names it."""
    date: str = ""
    """The day on which it was made, in UTC; empty where not known."""
    prodemb_version: str = ""
    """By which version; empty where not known."""
    original_fingerprint: str
    fingerprint: str
    """The new checkpoint's."""
    num_train: int
    num_validation: int
    num_pictures: int
    """Products of both parts with a picture."""
    num_classes: int
    learning_rate: float
    best_epoch: int
    wise_ft_alpha: float
    """The share of the new weights in the mix that was kept."""
    before: Validation | None
    """The original on validation products, at its own picture size; None where none is labelled."""
    after: Validation | None
    curve: Curve
    seconds: float
    """Of the run that finished it, reading included."""
    device: str
    num_processes: int
    config: FinetuneConfig
    files: tuple[str, ...] = ()
    """What the checkpoint folder consists of; whatever else is in it belongs to somebody else."""
    changed: float | None = None
    """Where the checkpoint was kept for a catalog that has changed since, the share of labelled products that are new
    or changed; the file never holds it."""
    was_done: bool = False
    """Whether an earlier run made it and this one did nothing; the file never holds it."""
