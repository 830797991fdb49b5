"""The settings of fine-tuning, the TOML table [finetune]."""

from typing import Self

from pydantic import Field, field_validator, model_validator

from prodemb.config import Config
from prodemb.features import TEXT_FEATURES, Feature
from prodemb.finetune.contrastive import LossKind


class FinetuneConfig(Config):
    """The TOML table [finetune]: how the category path's CLIP is trained, and where it goes."""

    out: str = "checkpoints/category"
    """The folder of the new checkpoint. The original stays as it is."""
    shards: str = "shards/category"
    """The shard set of the new checkpoint."""
    epochs: int = Field(default=4, ge=1)
    """Passes over the training products, at most."""
    patience: int = Field(default=2, ge=1)
    """Stop after this many passes without a better score on the validation products."""
    batch_size: int = Field(default=64, ge=2)
    """Products a step, in all processes together: more of them are more negatives."""
    chunk_size: int | None = Field(default=None, ge=1)
    """Texts or pictures whose activations are held at once, where memory is too small for the whole batch: the same
    gradients for about a third more time (gradient caching, arXiv 2101.06983). By default all."""
    learning_rate: float | None = Field(default=None, gt=0.0)
    """Peak of AdamW's learning rate. By default 2,000 / the number of trained parameters, which gives the 1e-5 that is
    usual for CLIP ViT-B/32 (151 million; Wortsman et al. 2022, arXiv 2109.01903) and more for smaller models."""
    weight_decay: float = Field(default=0.05, ge=0.0)
    """AdamW's, on matrices only."""
    warmup: float = Field(default=0.1, ge=0.0, lt=1.0)
    """Share of the steps in which the learning rate rises; then it falls to zero along a cosine."""
    max_grad_norm: float = Field(default=1.0, gt=0.0)
    """Gradients are clipped to this norm."""
    loss: LossKind = "soft"
    """What pairs of one category are: positives (`soft`), left out (`masked`), or negatives (`plain`)."""
    tree_credit: float = Field(default=0.0, ge=0.0, lt=1.0)
    """With `soft`: the share of each target that other categories get, the more the nearer in the taxonomy
    (arXiv 1912.09393)."""
    max_scale: float = Field(default=100.0, gt=1.0)
    """Bound on the learned scale of the similarities, one over the temperature."""
    text_path: float = Field(default=1.0, ge=0.0)
    """Weight of the pairs product text and category path; the text is all fields joined, some dropped at random."""
    feature_path: float = Field(default=1.0, ge=0.0)
    """Weight of the pairs single field and category path: shards hold a vector for each field alone."""
    image_path: float = Field(default=1.0, ge=0.0)
    """Weight of the pairs picture and category path."""
    text_image: float = Field(default=0.5, ge=0.0)
    """Weight of the pairs product text and picture."""
    text_features: tuple[Feature, ...] = TEXT_FEATURES
    """The fields that go into product texts."""
    field_dropout: float = Field(default=0.3, ge=0.0, lt=1.0)
    """How often each of title, description and brand is left out of the joined text."""
    category_dropout: float = Field(default=0.6, ge=0.0, le=1.0)
    """How often cat1-3 are left out of the joined text, so that it does not lean on what one partner calls things."""
    balance: float = Field(default=0.5, ge=0.0, le=1.0)
    """Categories are drawn in proportion to their frequency to this power: 1 as they come, 0 all alike."""
    paths_per_step: int = Field(default=256, ge=1)
    """Category paths encoded a step: those of the batch, filled up with others as negatives."""
    augment: bool = True
    """Whether pictures are flipped, shifted, zoomed and tinted a little at random."""
    seen_patches: float = Field(default=0.5, gt=0.0, le=1.0)
    """Share of each picture's patches that a step sees, at random: half of them cost half as much
    (FLIP, arXiv 2212.00794)."""
    train_last_blocks: int | None = Field(default=None, ge=0)
    """Train only the last so many blocks of each tower and what follows them; by default everything."""
    interpolation: tuple[float, ...] = (1.0, 0.75, 0.5)
    """Shares of the new weights in a mix with the original ones; the validation products choose one
    (WiSE-FT, Wortsman et al. 2022, arXiv 2109.01903)."""
    validation_products: int = Field(default=500, ge=1)
    """Validation products measured after each pass, at most."""
    memory_gb: float = Field(default=4.0, ge=0.0)
    """Decoded pictures beyond this lie in a temporary file instead of memory."""
    save_every: int = Field(default=200, ge=1)
    """Steps between two states on disk, beside the one after each pass: what a killed run loses at most."""
    seed: int = Field(default=0, ge=0)
    """Of everything drawn at random."""

    @field_validator("text_features")
    @classmethod
    def _texts_in_order(cls, features: tuple[Feature, ...]) -> tuple[Feature, ...]:
        if not features or "image" in features:
            raise ValueError(f"found {list(features)}, wanted one or more of {', '.join(TEXT_FEATURES)}")
        return tuple(feature for feature in TEXT_FEATURES if feature in features)

    @field_validator("interpolation")
    @classmethod
    def _shares(cls, shares: tuple[float, ...]) -> tuple[float, ...]:
        if not shares or not all(0 < share <= 1 for share in shares):
            raise ValueError(f"found {list(shares)}, wanted one or more numbers above 0 and up to 1")
        return shares

    @model_validator(mode="after")
    def _some_pair(self) -> Self:
        if not (self.text_path or self.feature_path or self.image_path or self.text_image):
            raise ValueError("text_path, feature_path, image_path and text_image are all 0; wanted one above 0")
        return self

    @model_validator(mode="after")
    def _credit_is_soft(self) -> Self:
        if self.tree_credit and self.loss != "soft":
            raise ValueError(
                f"found tree_credit = {self.tree_credit:g} and loss = {self.loss!r}; wanted 'soft' with it"
            )
        return self
