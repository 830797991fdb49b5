"""The settings of predicting."""

from prodemb.core.config import Config


class PredictConfig(Config):
    """`[predict]`: where another feed's vectors are kept."""

    cache: str = "shards/predict"
    """The folder for the shard sets of other feeds, below it one folder per model and in that one per feed. The next
    call encodes only what has changed since; what is removed is encoded again."""
