"""The report of a fine-tuning run, as the checkpoint folder keeps it."""

from prodemb.core.config import Config
from prodemb.finetune.config import FinetuneConfig
from prodemb.finetune.state import Curve
from prodemb.finetune.validate import Validation


class FinetuneReport(Config):
    """What a run did; `finetune.json` in the checkpoint folder."""

    key: str
    """The hash of checkpoint, catalog, categories and settings."""
    recipe: str
    """The hash of checkpoint and settings alone."""
    model: str
    """The checkpoint that was fine-tuned, as it was called."""
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
    interpolation: float
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
    changed: float | None = None
    """Where the checkpoint was kept for a catalog that has changed since, the share of labelled products that are new
    or changed (`prodemb.finetune.done`); the file never holds it."""
    was_done: bool = False
    """Whether an earlier run made it and this one did nothing; the file never holds it."""
