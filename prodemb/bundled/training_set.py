"""What the tiny CLIP learns from: generated products, their pictures, their texts and what these are about."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import torch
from PIL import Image
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from torch import Tensor

from prodemb.bundled.architecture import DIM, IMAGE_SIZE
from prodemb.bundled.words import WORDS
from prodemb.sample.catalog import Product, product
from prodemb.taxonomy.taxonomy import sample_taxonomy

_TEXTS = ("title", "description", "brand", "cat1", "cat2", "cat3")
_TOKENIZER_PRODUCTS = 8_000
_WORD_REPEATS, _PATH_REPEATS = 40, 10


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """Products with a readable picture, n of them."""

    pictures: Tensor
    """(n, 3, size, size) uint8."""
    titles: list[str]
    others: list[tuple[str, ...]]
    """Other texts of the same product: its description, and its brand and categories as one text."""
    topics: Tensor
    """(n, dim) float32, unit length: what all texts of the product together are about."""


def build_training_set(num_products: int, *, seed: int) -> TrainingSet:
    """Make the products to learn from; those without a readable picture are left out."""
    pictures, titles, others = [], [], []
    for index in range(num_products):
        made = product(index, seed=seed)
        pixels = _pixels(made)
        if pixels is None:
            continue
        pictures.append(pixels)
        titles.append(made.row["title"] or "")
        others.append(_other_texts(made))
    stacked = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()
    texts = [" ".join((title, *more)) for title, more in zip(titles, others, strict=True)]
    return TrainingSet(pictures=stacked, titles=titles, others=others, topics=_topics(texts, seed=seed))


def tokenizer_texts(num_products: int, *, seed: int) -> Iterator[str]:
    """Texts to learn a tokenizer from: general product words, taxonomy paths, and the sample's own texts."""
    for word in WORDS:
        yield from [word] * _WORD_REPEATS
    taxonomy = sample_taxonomy()
    for node in taxonomy.ids:
        yield from [taxonomy.path_of(node)] * _PATH_REPEATS
    for index in range(min(num_products, _TOKENIZER_PRODUCTS)):
        row = product(index, seed=seed).row
        yield from (text for name in _TEXTS if (text := row[name]) is not None)


def _topics(texts: list[str], *, seed: int) -> Tensor:
    """Latent semantic analysis (Deerwester et al. 1990) of the texts, centred: (n, dim) of unit length."""
    words = TfidfVectorizer(sublinear_tf=True, min_df=2, max_df=0.3, strip_accents="unicode").fit_transform(texts)
    components = min(DIM, *(side - 1 for side in words.shape))
    topics = TruncatedSVD(components, random_state=seed % 2**31).fit_transform(words)
    padded = np.pad(topics - topics.mean(axis=0), ((0, 0), (0, DIM - components)))
    return torch.nn.functional.normalize(torch.from_numpy(padded).float(), dim=-1)


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
    row = made.row
    supplied = " ".join(value for name in ("brand", "cat1", "cat2", "cat3") if (value := row[name]) is not None)
    return tuple(text for text in (row["description"], supplied) if text) or (row["title"] or "",)
