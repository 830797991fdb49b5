"""The settings of fine-tuning, the TOML table [finetune]."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from prodemb.core.config import Config
from prodemb.core.template import Template
from prodemb.towers.load import DtypeName
from prodemb.workers.config import Engine, RayAddress

LossKind = Literal["soft", "masked", "plain"]
"""What a pair of one category counts as: a positive (`soft`), nothing (`masked`), or a negative (`plain`)."""

TrainableKind = Literal["all", "last_blocks", "lora"]
"""Which weights of the model are trained."""


class LoraSettings(Config):
    """The TOML table [finetune.lora]: the matrices of low rank (LoRA, arXiv 2106.09685)."""

    rank: int = Field(default=16, ge=1)
    """Rank of the change of each weight matrix."""
    alpha: float = Field(default=32.0, gt=0.0)
    """The change is scaled by alpha / rank."""


class FinetuneConfig(Config):
    """The TOML table [finetune]: how the category path's CLIP is trained, and where it goes."""

    out: str = "checkpoints/category"
    """The folder of the new checkpoint. The original stays as it is."""
    shards: str = "shards/category"
    """The shard set of the new checkpoint."""
    max_changed: float = Field(default=0.2, ge=0.0, le=1.0)
    """The checkpoint of an earlier catalog is kept while no larger share of the labelled products is new, or has other
    texts or another category, than when it was made; `prodemb finetune-category --overwrite` trains from scratch."""
    epochs: int = Field(default=16, ge=1)
    """Passes over the training products, at most. Texts are learned in two or three; pictures keep improving."""
    patience: int = Field(default=4, ge=1)
    """Stop after this many epochs without a better score on the validation products."""
    batch_size: int = Field(default=128, ge=2)
    """Products per step, in all processes together: more of them are more negatives."""
    mini_batch_size: int | None = Field(default=None, ge=1)
    """Texts or pictures whose activations are in memory at once, where the whole batch does not fit: the same
    gradients for about a third more time (gradient caching, arXiv 2101.06983). By default all."""
    learning_rate: float | None = Field(default=None, gt=0.0)
    """Peak of AdamW's learning rate. By default 2,000 / the number of trained parameters, which gives the 1e-5 that is
    usual for CLIP ViT-B/32 (151 million; Wortsman et al. 2022, arXiv 2109.01903) and more for smaller models; for LoRA
    ten times what training all would have (Biderman et al. 2024, arXiv 2405.09673)."""
    weight_decay: float = Field(default=0.05, ge=0.0)
    """AdamW's, on matrices only."""
    warmup_steps: float = Field(default=0.1, ge=0.0, lt=1.0)
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
    template: tuple[str, ...] = ("{title}", "{description}", "{brand}", "{cat1} > {cat2} > {cat3}")
    """The parts of a product's text, joined by ". "; words may stand around the fields: "Brand: {brand}". A part
    without any of its fields is left out. Fields that no part names are not trained on."""
    field_dropout: float = Field(default=0.3, ge=0.0, lt=1.0)
    """How often each of title, description and brand is dropped from the joined text."""
    category_dropout: float = Field(default=0.6, ge=0.0, le=1.0)
    """How often cat1-3 are dropped from the joined text, so that the model does not rely on one partner's names."""
    sampling_alpha: float = Field(default=0.5, ge=0.0, le=1.0)
    """Categories are sampled in proportion to their frequency to this power: 1 as they come, 0 all equally often."""
    hard_negatives: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Share of each batch that is of categories near to those of the rest: near by the mean vectors that the model
    gives their products when the epoch begins. It costs an encoding of up to 16 products per category and epoch."""
    paths_per_step: int = Field(default=256, ge=1)
    """Category paths encoded per step: those of the batch, filled up with others as negatives."""
    augment: bool = True
    """Whether pictures are randomly flipped, shifted, zoomed and tinted a little."""
    image_size: int | None = Field(default=None, ge=1)
    """Side in pixels of the pictures that the new checkpoint takes; by default what the original takes. A larger one
    shows finer patches, and costs as many more of them."""
    patch_dropout: float = Field(default=0.5, ge=0.0, lt=1.0)
    """Share of each picture's patches that a step drops, at random: without half of them it costs half as much
    (FLIP, arXiv 2212.00794)."""
    trainable: TrainableKind = "all"
    """`all` weights, those of the `last_blocks` of each tower and what follows them, or `lora`: small matrices beside
    the linear layers, merged into them at the end."""
    last_blocks: int = Field(default=2, ge=0)
    """How many, with trainable = "last_blocks"."""
    lora: LoraSettings = LoraSettings()
    """With trainable = "lora"."""
    wise_ft_alphas: tuple[float, ...] = (1.0, 0.75, 0.5)
    """Shares of the new weights in a mix with the original ones; the validation products choose one
    (WiSE-FT, Wortsman et al. 2022, arXiv 2109.01903)."""
    validation_products: int = Field(default=500, ge=1)
    """Validation products measured after each epoch, at most."""
    memory_gb: float = Field(default=4.0, ge=0.0)
    """Decoded pictures beyond this are kept in a temporary file instead of memory; each process holds them all."""
    dtype: DtypeName = "auto"
    """What the towers multiply in while they train: `float32`, `bfloat16` or `auto`, bfloat16 where the hardware
    multiplies it. Weights, vectors and losses are float32 in each case."""
    workers: int | None = Field(default=None, ge=1)
    """Processes that share every batch; by default one per CUDA device, and one on a CPU. The command starts them
    itself. Where `accelerate launch -m prodemb.cli finetune-category` (or torchrun, which also starts several on a CPU)
    has started some, also on several machines with one file system, these are used and none are added. On a Ray
    cluster: by default one per GPU, and without any one per machine."""
    engine: Engine = "local"
    """`local`: this machine, or what a launcher has started. `ray`: the machines of a Ray cluster. The catalog is then
    embedded by `[embed] engine`."""
    ray_address: RayAddress | None = None
    """As `[embed] ray_address`."""
    save_steps: int = Field(default=200, ge=1)
    """Steps between two saved states, beside the one after each epoch: what a killed run loses at most."""
    tensorboard: str | None = None
    """A folder for TensorBoard events, which then needs the extra `plots`. The same figures are in log.jsonl in the
    checkpoint folder, and as curves.png."""
    seed: int = Field(default=0, ge=0)
    """The seed of everything random."""

    @field_validator("template")
    @classmethod
    def _is_template(cls, parts: tuple[str, ...]) -> tuple[str, ...]:
        if not Template(parts).features:
            raise ValueError("found no part, wanted one or more such as '{title}'")
        return parts

    @field_validator("wise_ft_alphas")
    @classmethod
    def _are_alphas(cls, alphas: tuple[float, ...]) -> tuple[float, ...]:
        if not alphas or not all(0 < alpha <= 1 for alpha in alphas):
            raise ValueError(f"found {list(alphas)}, wanted one or more numbers above 0 and up to 1")
        return alphas

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
