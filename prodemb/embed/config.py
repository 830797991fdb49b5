"""The settings of stage one."""

from typing import Self

from pydantic import Field, field_validator, model_validator

from prodemb.core.config import Config
from prodemb.core.device import DeviceName
from prodemb.core.features import ALL_FEATURES, FEATURES, Feature
from prodemb.core.template import Template
from prodemb.shards.format import MAX_PRODUCTS
from prodemb.shards.lexical import LexicalKind
from prodemb.towers.checkpoint import BUNDLED
from prodemb.towers.load import DtypeName
from prodemb.towers.text_checkpoint import TextCheckpoint, find_text_checkpoint
from prodemb.workers.config import Engine, RayAddress


class EmbedConfig(Config):
    """The TOML table [embed]: which CLIP, and how it runs."""

    model: str = BUNDLED
    """`bundled`, a checkpoint folder, or a Hugging Face hub id of a dual encoder (CLIP, SigLIP, SigLIP 2)."""
    revision: str | None = None
    """A branch, tag or commit of a hub id."""
    truncate_dim: int | None = Field(default=None, ge=8)
    """Numbers kept of each vector, the first ones, scaled to length one again: for models that were trained so that
    these suffice (Matryoshka). Part of the fingerprint: sets of two lengths never mix."""
    out: str = "shards/clip"
    """The shard set's folder."""
    features: tuple[Feature, ...] = (*FEATURES, "lexical")
    """What is encoded. The brand path needs no cat1-3, but strings that repeat cost next to nothing. `lexical` does not
    go through CLIP: it is the words of title and description, hashed. `text` is added by `text_model`."""
    lexical_dim: int = Field(default=LexicalKind().dim, ge=64, le=8192)
    """Numbers in a lexical vector, a power of two."""
    text_model: str | None = None
    """A text encoder beside CLIP, for texts that are longer than CLIP reads or in other languages: a folder or a hub id
    in sentence-transformers' format. It makes one more vector of a product, `text`."""
    text_model_revision: str | None = None
    """A branch, tag or commit of its hub id."""
    text_template: tuple[str, ...] = ("{title}", "{description}")
    """The parts of the text that it reads, joined by ". ", as in `[finetune] template`. Part of the vectors'
    identity."""
    shard_size: int = Field(default=8192, ge=1, le=MAX_PRODUCTS)
    """Products per shard: what an interrupted run loses at most."""
    window: int = Field(default=512, ge=1)
    """Rows whose texts are sorted by length and batched together; lowered to a divisor of shard_size."""
    device: DeviceName = "auto"
    """`cpu`, `cuda` or `auto`."""
    dtype: DtypeName = "auto"
    """`float32`, `bfloat16` or `auto`: bfloat16 where the hardware supports it."""
    workers: int | None = Field(default=None, ge=1)
    """Processes that make shards side by side; by default one per CUDA device, and one on a CPU. Where there are more
    workers than devices, they share them. On a Ray cluster: by default one per GPU, and without any one per machine."""
    engine: Engine = "local"
    """`local`: this machine. `ray`: the machines of a Ray cluster."""
    ray_address: RayAddress | None = None
    """Of the cluster's head, `host:port`, or `auto`; by default what RAY_ADDRESS says, else a Ray that is started on
    this machine for the run."""
    batch_tokens: int | None = Field(default=None, ge=1)
    """Padded tokens per batch, of texts or of pictures (a patch is a token); by default 512 on a CPU, where a batch
    runs on one core, and on CUDA found by trial: the size from which doubling no longer pays."""
    decode_workers: int | None = Field(default=None, ge=1)
    """Pictures decoded at a time; by default one per core. How many are fetched at a time is `[images] concurrency`."""

    def window_size(self) -> int:
        """The largest divisor of shard_size that is at most `window`: windows never cross a shard's border."""
        return next(size for size in range(min(self.window, self.shard_size), 0, -1) if self.shard_size % size == 0)

    @field_validator("features")
    @classmethod
    def _in_order(cls, features: tuple[Feature, ...]) -> tuple[Feature, ...]:
        if not features:
            raise ValueError("found no feature, wanted at least one")
        return tuple(feature for feature in ALL_FEATURES if feature in features)

    @field_validator("lexical_dim")
    @classmethod
    def _power_of_two(cls, dim: int) -> int:
        if dim & (dim - 1):
            raise ValueError(f"found lexical_dim = {dim}, wanted a power of two")
        return dim

    @field_validator("text_template")
    @classmethod
    def _is_template(cls, parts: tuple[str, ...]) -> tuple[str, ...]:
        if not Template(parts).features:
            raise ValueError("found no part, wanted one or more such as '{title}'")
        return parts

    @model_validator(mode="after")
    def _text_with_its_model(self) -> Self:
        if self.text_model is None and "text" in self.features:
            raise ValueError("features: found text without text_model, wanted both or none")
        if self.text_model is not None and "text" not in self.features:
            object.__setattr__(self, "features", (*self.features, "text"))  # frozen, but not yet in anybody's hands
        return self

    def text_checkpoint(self) -> TextCheckpoint | None:
        """The text encoder, if there is one; a hub id is fetched.

        Raises:
            ModelError: it is not there, or no text encoder that prodemb computes.
        """
        if self.text_model is None:
            return None
        return find_text_checkpoint(self.text_model, revision=self.text_model_revision)

    @property
    def lexical(self) -> LexicalKind | None:
        """The kind of the lexical vectors, if any are made."""
        return LexicalKind(dim=self.lexical_dim) if "lexical" in self.features else None
