"""Pretraining of the bundled tiny CLIP on the generated sample: `python -m prodemb.bundled.pretrain`.

Titles, descriptions and supplied values are matched with pictures and with each other, contrastively, as a published
CLIP was made from web text; gold labels are never looked at. Its products come of a seed of its own, so none of them
is in a demo's catalog.
"""

import argparse
import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from random import Random

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, PreTrainedTokenizerFast

from prodemb.bundled import CLIP_FOLDER
from prodemb.bundled.card import write_card
from prodemb.bundled.tokenizer import MAX_TOKENS, VOCABULARY, save_tokenizer, train_tokenizer
from prodemb.bundled.words import WORDS
from prodemb.catalog.sample import Product, product
from prodemb.catalog.taxonomy import sample_taxonomy
from prodemb.config import Config

logger = logging.getLogger(__name__)

IMAGE_SIZE = 64
"""Pixels on a side that the vision tower sees."""

_TEXTS = ("title", "description", "brand", "cat1", "cat2", "cat3")


class PretrainConfig(Config):
    """How the bundled checkpoint is made."""

    seed: int = 20_240_229
    """Of the sample it learns from, of the weights and of the order; no demo uses it."""
    num_products: int = 16_000
    """Products to learn from."""
    passes: float = 8
    """Times each product is seen."""
    batch_size: int = 128
    """Products in a batch; all others of the batch are negatives."""
    learning_rate: float = 1e-3
    """At its peak; AdamW, warm-up over a twentieth of the steps, then cosine."""
    weight_decay: float = 0.1
    """Of AdamW, on matrices only."""
    seen_patches: float = 0.25
    """Share of picture patches that a training step sees (Li et al. 2023, FLIP): a fifth of the cost of all."""
    settling: float = 0.1
    """Share of the steps, the last ones, that see all patches."""


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """Products with a readable picture: `pictures` is (n, 3, size, size) uint8, the texts are n long."""

    pictures: Tensor
    titles: list[str]
    others: list[tuple[str, ...]]
    """Other texts of the same product."""


def build_model(*, start: int, end: int, pad: int) -> CLIPModel:
    """An untrained tiny CLIP: 64 pixels, patch 8, 4 + 4 layers, 32 tokens, projection 128."""
    config = CLIPConfig(
        text_config={
            "vocab_size": VOCABULARY,
            "hidden_size": 128,
            "intermediate_size": 512,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "max_position_embeddings": MAX_TOKENS,
            "bos_token_id": start,
            "eos_token_id": end,
            "pad_token_id": pad,
        },
        vision_config={
            "hidden_size": 144,
            "intermediate_size": 576,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "image_size": IMAGE_SIZE,
            "patch_size": 8,
        },
        projection_dim=128,
    )
    return CLIPModel(config)


def build_tokenizer(config: PretrainConfig) -> PreTrainedTokenizerFast:
    """The tokenizer, learnt from the sample's texts, taxonomy paths and general product words."""
    return train_tokenizer(_tokenizer_texts(config))


def _tokenizer_texts(config: PretrainConfig) -> Iterator[str]:
    for word in WORDS:
        yield from [word] * 40
    taxonomy = sample_taxonomy()
    for node in taxonomy.ids:
        yield from [taxonomy.path_of(node)] * 10
    for index in range(min(config.num_products, 8_000)):
        row = product(index, seed=config.seed).row
        yield from (text for name in _TEXTS if (text := row[name]) is not None)


def build_training_set(config: PretrainConfig) -> TrainingSet:
    """Make the products to learn from; those without a readable picture are left out."""
    pictures, titles, others = [], [], []
    for index in range(config.num_products):
        made = product(index, seed=config.seed)
        pixels = _pixels(made)
        if pixels is None:
            continue
        pictures.append(pixels)
        titles.append(made.row["title"] or "")
        others.append(_other_texts(made))
    stacked = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()
    return TrainingSet(pictures=stacked, titles=titles, others=others)


def _pixels(made: Product) -> np.ndarray | None:
    """The picture as (size, size, 3) uint8, or None where it is missing or broken."""
    if made.picture is None:
        return None
    try:
        with Image.open(BytesIO(made.picture)) as image:
            return np.asarray(image.convert("RGB").resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BICUBIC))
    except OSError:
        return None


def _other_texts(made: Product) -> tuple[str, ...]:
    """What else is said of the product: the description, and brand and categories as one text."""
    row = made.row
    supplied = " ".join(value for name in ("brand", "cat1", "cat2", "cat3") if (value := row[name]) is not None)
    return tuple(text for text in (row["description"], supplied) if text) or (row["title"] or "",)


def pretrain(config: PretrainConfig, *, out: Path) -> None:
    """Make the checkpoint folder `out`."""
    started = time.perf_counter()
    torch.manual_seed(config.seed)
    tokenizer = build_tokenizer(config)
    training = build_training_set(config)
    logger.info("%d products and the tokenizer in %.0f s", len(training.titles), time.perf_counter() - started)
    model = build_model(start=tokenizer.bos_token_id, end=tokenizer.eos_token_id, pad=tokenizer.pad_token_id)
    train(model, tokenizer, training, config=config)
    save(model, tokenizer, config=config, folder=out)
    logger.info("%s written in %.0f s", out, time.perf_counter() - started)


def train(
    model: CLIPModel, tokenizer: PreTrainedTokenizerFast, training: TrainingSet, *, config: PretrainConfig
) -> None:
    """Train `model` in place: title ↔ picture, another text ↔ picture, title ↔ another text."""
    rng, num_products = Random(config.seed), len(training.titles)
    steps_a_pass = num_products // config.batch_size
    total = max(1, round(steps_a_pass * config.passes))
    optimizer = _optimizer(model, config=config)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, total=total))
    model.train()
    for step in range(total):
        if step % steps_a_pass == 0:
            order, started = rng.sample(range(num_products), num_products), time.perf_counter()
        place = step % steps_a_pass * config.batch_size
        chosen = order[place : place + config.batch_size]
        seen = config.seen_patches if step < total * (1 - config.settling) else 1.0
        loss = _step_loss(model, tokenizer, training, chosen=chosen, seen=seen, rng=rng)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=math.log(100))
        if step % 20 == 0:
            rate = (place + config.batch_size) / (time.perf_counter() - started)
            logger.info("step %d of %d: loss %.3f, %.0f products/s", step, total, loss.item(), rate)
    model.eval()


def _optimizer(model: CLIPModel, *, config: PretrainConfig) -> torch.optim.Optimizer:
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98))


def _rate(step: int, *, total: int) -> float:
    warm = max(1, total // 20)
    return (step + 1) / warm if step < warm else 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))


def _step_loss(
    model: CLIPModel,
    tokenizer: PreTrainedTokenizerFast,
    training: TrainingSet,
    *,
    chosen: list[int],
    seen: float,
    rng: Random,
) -> Tensor:
    """The loss of one batch of products; of half of them another text than the title is encoded too."""
    half = len(chosen) // 2
    titles = [training.titles[index] for index in chosen]
    others = [rng.choice(training.others[index]) for index in chosen[:half]]
    picture = _encode_pictures(model, _augmented(training.pictures[chosen]), seen=seen)
    title, other = _encode_texts(model, tokenizer, titles), _encode_texts(model, tokenizer, others)
    scale, same = model.logit_scale.exp(), _equal(others)
    return (
        _contrast(title, picture, scale=scale, same=_equal(titles))
        + 0.5 * _contrast(other, picture[:half], scale=scale, same=same)
        + 0.5 * _contrast(other, title[:half], scale=scale, same=same)
    ) / 2


def _equal(texts: list[str]) -> Tensor:
    """Which products of the batch say the very same: (n, n) bool, the diagonal false."""
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


def _encode_pictures(model: CLIPModel, pixels: Tensor, *, seen: float) -> Tensor:
    """Vectors of pictures of which the tower sees a random share `seen` of the patches."""
    vision = model.vision_model
    hidden = vision.embeddings(pixels)
    if seen < 1:
        num_patches = hidden.shape[1] - 1
        keep = torch.rand(len(pixels), num_patches).argsort(dim=1)[:, : round(num_patches * seen)] + 1
        keep = torch.cat([torch.zeros(len(pixels), 1, dtype=torch.long), keep], dim=1)
        hidden = hidden.gather(1, keep[:, :, None].expand(-1, -1, hidden.shape[2]))
    hidden = vision.encoder(inputs_embeds=vision.pre_layrnorm(hidden)).last_hidden_state[:, 0]
    return torch.nn.functional.normalize(model.visual_projection(vision.post_layernorm(hidden)), dim=-1)


def _augmented(pictures: Tensor) -> Tensor:
    """Normalised float pictures, each shifted by up to four pixels, mirrored half of the time, some without colour."""
    processor = CLIPImageProcessorPil()
    pixels = pictures.float() / 255
    grey = torch.rand(len(pixels), 1, 1, 1) < 0.1
    pixels = torch.where(grey, pixels.mean(dim=1, keepdim=True), pixels)
    mirrored = torch.rand(len(pixels), 1, 1, 1) < 0.5
    pixels = torch.where(mirrored, pixels.flip(3), pixels)
    down, right = (int(torch.randint(-4, 5, ())) for _ in range(2))
    pixels = pixels.roll((down, right), dims=(2, 3))
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (processor.image_mean, processor.image_std))
    return (pixels - mean) / std


def save(model: CLIPModel, tokenizer: PreTrainedTokenizerFast, *, config: PretrainConfig, folder: Path) -> None:
    """Write the checkpoint: float16 weights, tokenizer, preprocessing and model card."""
    model.half().save_pretrained(folder)
    # safetensors leaves the file readable to its owner alone.
    (folder / "model.safetensors").chmod(0o644)
    save_tokenizer(tokenizer, folder)
    processor = CLIPImageProcessorPil(
        size={"shortest_edge": IMAGE_SIZE}, crop_size={"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    )
    processor.save_pretrained(folder)
    write_card(folder, num_products=config.num_products, passes=config.passes, seed=config.seed)


def main() -> None:
    """Make the bundled checkpoint anew, or another one elsewhere."""
    defaults = PretrainConfig()
    parser = argparse.ArgumentParser(description="Pretrain the bundled tiny CLIP on the generated sample.")
    parser.add_argument("--out", type=Path, default=CLIP_FOLDER)
    parser.add_argument("--products", type=int, default=defaults.num_products)
    parser.add_argument("--passes", type=float, default=defaults.passes)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    pretrain(PretrainConfig(num_products=arguments.products, passes=arguments.passes), out=arguments.out)


if __name__ == "__main__":
    main()
