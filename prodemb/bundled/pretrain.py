"""Pretraining of the bundled tiny CLIP on the generated sample: `python -m prodemb.bundled.pretrain`.

Titles, descriptions and supplied values are matched with pictures, contrastively, as a published CLIP was made from
web text; gold labels are never looked at. Two million weights learn slowly from pairs alone, so both towers also learn
to land where the latent semantic analysis of all of a product's texts lies. The products come from a seed of their own,
so none of them is in a demo's catalog.
"""

import argparse
import logging
import math
import time
from pathlib import Path
from random import Random

import torch
from torch import Tensor
from transformers import CLIPImageProcessorPil, CLIPModel, PreTrainedTokenizerFast

from prodemb.bundled import CLIP_FOLDER
from prodemb.bundled.architecture import IMAGE_SIZE, build_model
from prodemb.bundled.tokenizer import MAX_TOKENS, train_tokenizer
from prodemb.bundled.training_set import TrainingSet, build_training_set, tokenizer_texts
from prodemb.core.config import Config
from prodemb.core.files import write_text
from prodemb.core.optim import adamw, warmup_cosine

logger = logging.getLogger(__name__)

_TOPIC_TEMPERATURE = 0.1

_CARD = """\
---
license: apache-2.0
library_name: transformers
tags: [clip, product, tiny]
---
# prodemb tiny CLIP

A CLIP of about two million parameters (64 pixels, patch 16, 4 + 4 layers, 32 tokens, 128 numbers) that ships with
prodemb, so that its whole job runs without a network. It learnt from {num_products:,} invented products with drawn
pictures (`prodemb sample`, seed {seed}, {epochs:g} passes): titles were matched with pictures, and both with the latent
semantic analysis of the product's texts. No gold label was used. It knows the sample's world and little else: for real
work choose a published CLIP or SigLIP.

- tokenizer: byte-level BPE, lower case, no accents; the end token has the largest id and stands in the config
- made by: `python -m prodemb.bundled.pretrain`
- use: `AutoModel.from_pretrained(folder)`, `AutoProcessor.from_pretrained(folder)`
"""


class PretrainConfig(Config):
    """How the bundled checkpoint is made."""

    seed: int = 20_240_229
    """Of the sample it learns from, of the weights and of the order; no demo uses it."""
    num_products: int = 12_000
    """Products to learn from."""
    epochs: float = 5
    """Times each product is seen."""
    batch_size: int = 64
    """Products in a batch; all others of the batch are negatives."""
    learning_rate: float = 1e-3
    """At its peak; AdamW, warm-up over a twentieth of the steps, then cosine."""
    weight_decay: float = 0.1
    """Of AdamW, on matrices only."""


def pretrain(config: PretrainConfig, *, out: Path) -> None:
    """Make the checkpoint folder `out`."""
    started = time.perf_counter()
    torch.manual_seed(config.seed)
    tokenizer = train_tokenizer(tokenizer_texts(config.num_products, seed=config.seed))
    training = build_training_set(config.num_products, seed=config.seed)
    logger.info("%d products and the tokenizer in %.0f s", len(training.titles), time.perf_counter() - started)
    model = build_model(tokenizer)
    train(model, tokenizer, training, config=config)
    save(model, tokenizer, config=config, folder=out)
    logger.info("%s written in %.0f s", out, time.perf_counter() - started)


def train(
    model: CLIPModel, tokenizer: PreTrainedTokenizerFast, training: TrainingSet, *, config: PretrainConfig
) -> None:
    """Train `model` in place."""
    rng, num_products = Random(config.seed), len(training.titles)
    steps_per_epoch = max(1, num_products // config.batch_size)
    total = max(1, round(steps_per_epoch * config.epochs))
    optimizer = adamw(
        model.parameters(),
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        betas=(0.9, 0.98),
    )
    num_warmup = max(1, total // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: warmup_cosine(step, num_steps=total, num_warmup=num_warmup)
    )
    model.train()
    for step in range(total):
        if step % steps_per_epoch == 0:
            order, started = rng.sample(range(num_products), num_products), time.perf_counter()
        start = step % steps_per_epoch * config.batch_size
        chosen = order[start : start + config.batch_size]
        loss = _step_loss(model, tokenizer, training, chosen=chosen, rng=rng)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=math.log(100))
        if step % 50 == 0:
            rate = (start + config.batch_size) / (time.perf_counter() - started)
            logger.info("step %d of %d: loss %.3f, %.0f products/s", step, total, loss.item(), rate)
    model.eval()


def _step_loss(
    model: CLIPModel,
    tokenizer: PreTrainedTokenizerFast,
    training: TrainingSet,
    *,
    chosen: list[int],
    rng: Random,
) -> Tensor:
    """The loss of one batch of products; of a quarter of them another text than the title is encoded too."""
    quarter = max(1, len(chosen) // 4)
    titles = [training.titles[index] for index in chosen]
    others = [rng.choice(training.others[index]) for index in chosen[:quarter]]
    picture = _encode_pictures(model, _augmented(training.pictures[chosen]))
    title, other = _encode_texts(model, tokenizer, titles), _encode_texts(model, tokenizer, others)
    topics = training.topics[chosen]
    on_topic = _on_topic(picture, topics) + _on_topic(title, topics) + 0.5 * _on_topic(other, topics[:quarter])
    return on_topic + 0.5 * _contrast(title, picture, scale=model.logit_scale.exp(), same=_equal(titles))


def _on_topic(vectors: Tensor, topics: Tensor) -> Tensor:
    """Cross-entropy against the similarity of the batch's topics; products about the same thing are no negatives."""
    wanted = torch.softmax(topics @ topics.T / _TOPIC_TEMPERATURE, dim=-1)
    found = torch.log_softmax(vectors @ topics.T / _TOPIC_TEMPERATURE, dim=-1)
    return -(wanted * found).sum(dim=-1).mean()


def _equal(texts: list[str]) -> Tensor:
    """Which products of the batch have the same text: (n, n) bool, the diagonal false."""
    ids: dict[str, int] = {}
    keys = torch.tensor([ids.setdefault(text, len(ids)) for text in texts])
    return (keys[:, None] == keys[None, :]) & ~torch.eye(len(texts), dtype=torch.bool)


def _contrast(left: Tensor, right: Tensor, *, scale: Tensor, same: Tensor) -> Tensor:
    """InfoNCE in both directions (Radford et al. 2021); pairs of equal text are no negatives."""
    logits = (scale * left @ right.T).masked_fill(same, -torch.inf)
    target = torch.arange(len(logits))
    loss: Tensor = torch.nn.functional.cross_entropy(logits, target)
    return (loss + torch.nn.functional.cross_entropy(logits.T, target)) / 2


def _encode_texts(model: CLIPModel, tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> Tensor:
    tokens = tokenizer(texts, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
    vectors = model.get_text_features(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"])
    return torch.nn.functional.normalize(vectors.pooler_output, dim=-1)


def _encode_pictures(model: CLIPModel, pixels: Tensor) -> Tensor:
    return torch.nn.functional.normalize(model.get_image_features(pixel_values=pixels).pooler_output, dim=-1)


def _augmented(pictures: Tensor) -> Tensor:
    """Normalised float pictures, shifted by up to four pixels, a tenth of them without colour."""
    processor = CLIPImageProcessorPil()
    pixels = pictures.float() / 255
    grey = torch.rand(len(pixels), 1, 1, 1) < 0.1
    pixels = torch.where(grey, pixels.mean(dim=1, keepdim=True), pixels)
    down, right = (int(torch.randint(-4, 5, ())) for _ in range(2))
    pixels = pixels.roll((down, right), dims=(2, 3))
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (processor.image_mean, processor.image_std))
    return (pixels - mean) / std


def save(model: CLIPModel, tokenizer: PreTrainedTokenizerFast, *, config: PretrainConfig, folder: Path) -> None:
    """Write the checkpoint: float16 weights, tokenizer, preprocessing and model card."""
    model.half().save_pretrained(folder)
    # safetensors leaves the file readable to its owner alone.
    (folder / "model.safetensors").chmod(0o644)
    tokenizer.save_pretrained(folder)
    # Whole pictures, as `training_set` shows them: a centre crop would cut head and feet off a tall one.
    size = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    processor = CLIPImageProcessorPil(size=size, crop_size=size, do_center_crop=False)
    processor.save_pretrained(folder)
    card = _CARD.format(num_products=config.num_products, epochs=config.epochs, seed=config.seed)
    write_text(folder / "README.md", card)


def main() -> None:
    """Make the bundled checkpoint again, or another one elsewhere."""
    defaults = PretrainConfig()
    parser = argparse.ArgumentParser(description="Pretrain the bundled tiny CLIP on the generated sample.")
    parser.add_argument("--out", type=Path, default=CLIP_FOLDER)
    parser.add_argument("--products", type=int, default=defaults.num_products)
    parser.add_argument("--epochs", type=float, default=defaults.epochs)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    pretrain(PretrainConfig(num_products=arguments.products, epochs=arguments.epochs), out=arguments.out)


if __name__ == "__main__":
    main()
