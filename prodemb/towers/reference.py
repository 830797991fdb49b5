"""Our vectors of a loaded checkpoint beside those of transformers' own processor and model, on built-in contents."""

import io
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from prodemb.core.errors import ModelError
from prodemb.towers.decoders import Pixels
from prodemb.towers.load import Towers, pooled, quiet
from prodemb.towers.text import first_line_of, num_positions

logger = logging.getLogger(__name__)

MIN_COSINE = 0.999
"""Less is an error. In one number format the same inputs give 0.9999 and more, whatever they are padded to."""

_TEXTS = {
    "a short text": "Women's ANKLE Boots, red & black (size 39)",
    "a text of other scripts": "男式纯棉衬衫 蓝色 Кружка для кухни 50 % ☕",
    "a long text": "",
}
"""What each is called; the last one is longer than the tower reads."""
_WORDS = "cotton shirt with 2 pockets for men and women red blue kitchen mug steel bottle 750 ml sport shoe".split()
_PIXELS = ("pixel_values", "pixel_attention_mask", "spatial_shapes")
"""What a vision tower takes of a processor's output; the latter two are SigLIP 2 NaFlex's."""
_PICTURE_SIZE = (360, 480)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Cosines of our vectors with the reference's."""

    texts: dict[str, float]
    """By what the built-in text is called."""
    image: float | None = None
    """Of the built-in picture; None of a text encoder."""

    def check(self, name: str) -> None:
        """Raise ModelError where a tower's or text encoder's vectors are others.

        Args:
            name: of the checkpoint.
        """
        worst = min(self.texts, key=lambda text: np.nan_to_num(self.texts[text], nan=-1))
        tower = "text encoder" if self.image is None else "text tower"
        for part, content, cosine in ((tower, worst, self.texts[worst]), ("image tower", "a picture", self.image)):
            if cosine is not None and not cosine >= MIN_COSINE:  # as NaN is not either
                raise ModelError(
                    f"{name}: {part}: found a cosine of {cosine:.4f} between our vector of {content} and "
                    f"transformers' own, wanted at least {MIN_COSINE}; do not use these vectors"
                )


class NoReference(Exception):  # noqa: N818 - names what there is not
    """Transformers' own processor does not load here, or does not take the built-in contents."""


def check_against_reference(towers: Towers) -> None:
    """Hold both towers to the reference; where there is none, warn.

    Raises:
        ModelError: a cosine is below `MIN_COSINE`, or a tower does not run.
    """
    hold_to_reference(towers.checkpoint.name, lambda: compare_with_reference(towers))


def hold_to_reference(name: str, compare: Callable[[], Comparison]) -> None:
    """Compare, and raise where vectors are others; where there is no reference, warn.

    Args:
        name: of the checkpoint.

    Raises:
        ModelError: a cosine is below `MIN_COSINE`, or as `compare`.
    """
    try:
        comparison = compare()
    except NoReference as reason:
        logger.warning("%s: its vectors were not compared with transformers' own: %s", name, reason)
        return
    comparison.check(name)


@torch.inference_mode()
def compare_with_reference(towers: Towers) -> Comparison:
    """Encode three texts and a picture as `embed` does, and as transformers' documentation does.

    Both sides use the loaded weights in their number format. What legitimately differs is left out: the picture comes
    as pixels, since a JPEG is decoded smaller by design; SigLIP's towers get no attention mask, as they were trained;
    SigLIP 2's texts are lower case; and of the reference's vectors too only `truncate_dim` numbers count.

    Raises:
        NoReference: transformers cannot prepare its inputs, such as where an image processor needs torchvision.
        ModelError: a tower does not run on them.
    """
    texts = built_in_texts(towers.text.max_length)
    picture = built_in_picture()
    inputs, pixels = _reference_inputs(towers, list(texts.values()), picture=picture)
    try:
        wanted_texts, wanted_image = _reference(towers, inputs, pixels)
        token_ids, mask = towers.text.pad(towers.text.tokenize(list(texts.values())))
        our_texts = towers.text_vectors(token_ids.to(towers.device), None if mask is None else mask.to(towers.device))
        our_image = towers.image_vectors(torch.from_numpy(towers.image.decode(_as_file(picture))[None]))
    except (RuntimeError, IndexError) as error:
        name = towers.checkpoint.name
        raise ModelError(f"{name}: its towers do not run on built-in contents: {first_line_of(error)}") from error
    return Comparison(
        texts=dict(zip(texts, cosines(our_texts, wanted_texts), strict=True)),
        image=cosines(our_image, wanted_image)[0],
    )


def _reference(towers: Towers, inputs: dict[str, Tensor], pixels: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Vectors of n texts and of a picture by transformers' model alone, (n, dim) and (1, dim)."""
    model: Any = towers.model
    kept = slice(towers.checkpoint.truncate_dim)
    text = model.get_text_features(**{name: part.to(towers.device) for name, part in inputs.items()})
    there = {name: part.to(towers.device) for name, part in pixels.items()}
    image = model.get_image_features(**there | {"pixel_values": there["pixel_values"].to(towers.dtype)})
    return pooled(text)[:, kept], pooled(image)[:, kept]


def _reference_inputs(
    towers: Towers, texts: Sequence[str], *, picture: Pixels
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What transformers' own processor makes of texts and picture.

    Raises:
        NoReference: it does not load, or does not take them.
    """
    from transformers import AutoProcessor

    is_siglip = towers.text.pad_to_max
    try:
        with quiet():
            processor = AutoProcessor.from_pretrained(
                towers.checkpoint.folder, backend="pil", trust_remote_code=False, local_files_only=True
            )
            limits = (
                processor.tokenizer.model_max_length,
                getattr(processor, "text_kwargs", {}).get("max_length"),
                num_positions(towers.checkpoint.config),
            )
            inputs = processor(
                text=[text.lower() if towers.text.lowercase else text for text in texts],
                padding="max_length",
                truncation=True,
                max_length=min(int(limit) for limit in limits if limit),
                return_tensors="pt",
            )
            # Not by the processor itself: that of SigLIP 2 takes patches of 16 pixels whatever the folder says.
            pixels = processor.image_processor(images=Image.fromarray(picture), return_tensors="pt")
    except Exception as error:  # transformers raises anything on settings that do not fit, or packages it lacks
        raise NoReference(first_line_of(error)) from error
    texts_in = {name: part for name, part in inputs.items() if not (is_siglip and name == "attention_mask")}
    return texts_in, {name: pixels[name] for name in _PIXELS if name in pixels}


def cosines(ours: Tensor, reference: Tensor) -> list[float]:
    """Of each of n vectors with its counterpart."""
    found: list[float] = torch.nn.functional.cosine_similarity(ours, reference.float()).tolist()
    return found


def built_in_texts(max_length: int) -> dict[str, str]:
    """The texts by what each is called; the last one has more than `max_length` tokens."""
    # No tokenizer has less than a token for a word.
    long = " ".join(_WORDS[number % len(_WORDS)] for number in range(max_length + len(_WORDS)))
    return {**_TEXTS, list(_TEXTS)[-1]: long}


@cache
def built_in_picture() -> Pixels:
    """(360, 480, 3), the same everywhere: colours that turn, stripes ever finer, rings, a grid."""
    height, width = _PICTURE_SIZE
    rows = np.arange(height, dtype=np.float32)[:, None] / height
    columns = np.arange(width, dtype=np.float32)[None] / height
    stripes = np.sin(70 * columns**2)
    rings = np.sin(25 * np.hypot(rows - 0.4, columns - 0.9))
    grid = np.where((rows * 15).astype(int) % 2 == (columns * 15).astype(int) % 2, 0.25, -0.25)
    red, green, blue = 0.2 + 0.6 * columns + 0.3 * stripes, 0.75 - 0.5 * rows + 0.2 * rings, 0.3 + 0.3 * rings * stripes
    planes = np.stack(np.broadcast_arrays(red, green + grid, blue), axis=2)
    return (planes.clip(0, 1) * 255).astype(np.uint8)


def _as_file(picture: Pixels) -> bytes:
    """A file that loses nothing."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "BMP")
    return file.getvalue()
