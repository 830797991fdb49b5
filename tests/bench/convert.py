"""Vectors of converted checkpoints beside open_clip's own, on random weights.

    python tests/bench/convert.py                     every shape below
    python tests/bench/convert.py --shape ViT-B-32    one of them, by open_clip's name

It needs the extra `open_clip`. Texts go through open_clip's tokenizer, pictures through its preprocessing; on the other
side is what `prodemb embed` does with the converted folder. Depth and vocabulary are cut, as they change no operation.
"""

import gzip
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from open_clip.push_to_hf_hub import save_for_hf
from PIL import Image
from report import Failure, figure, options_parser, reporting, table
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import CLIPTokenizer, PreTrainedTokenizerFast

from prodemb.job.convert import convert
from prodemb.towers.checkpoint import find_checkpoint
from prodemb.towers.load import Towers, load_towers

WANTED = 0.99999
TEXTS = (
    "Norvik women's running shoe, red_blue (size 42)!",
    "Größe 42,  100 % coton   T-SHIRT\nwith a very long description " + "of many words " * 90,
    "mug",
    "",
)
SHAPES: dict[str, dict[str, Any]] = {
    "ViT-B-32": {"text": {"layers": 3}, "vision": {"layers": 3}},
    "ViT-B-32-quickgelu": {"text": {"layers": 3}, "vision": {"layers": 3}},
    "ViT-L-14-336": {"text": {"layers": 2}, "vision": {"layers": 2}},
    "ViT-H-14": {"text": {"layers": 2}, "vision": {"layers": 2}},
    "ViT-B-32 (timm trunk)": {
        "text": {"layers": 2},
        "vision": {"timm_model_name": "vit_base_patch32_clip_quickgelu_224", "timm_pool": "token"},
    },
    "ViT-H-14-worldwide": {"text": {"layers": 2, "vocab_size": 600}, "vision": {"layers": 2}},
    "ViT-B-16-SigLIP": {"text": {"layers": 3, "vocab_size": 600}},
    "ViT-L-16-SigLIP-256": {"text": {"layers": 2, "vocab_size": 600}},
    "ViT-B-32-SigLIP2-256": {"text": {"layers": 3, "vocab_size": 600}},
    "ViT-SO400M-14-SigLIP": {"text": {"layers": 2, "vocab_size": 600}},
}
"""By open_clip's name; what is set in place of its settings."""


@dataclass(frozen=True, kw_only=True)
class ConvertFigures:
    """The least cosine of a converted checkpoint's vectors with open_clip's."""

    num_tensors: int
    dim: int
    texts: float
    pictures: float


def measure_shape(name: str, *, folder: Path) -> ConvertFigures:
    """Make a checkpoint with open_clip, convert it, and compare the vectors of texts and pictures."""
    changes = SHAPES[name]
    settings = open_clip.get_model_config(name.split(" ")[0])
    settings["text_cfg"] |= changes.get("text", {})
    settings["vision_cfg"] |= changes.get("vision", {})
    torch.manual_seed(0)
    kind = open_clip.model.CustomTextCLIP if settings.pop("custom_text", False) else open_clip.model.CLIP
    model = kind(**settings).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # nothing stays at zero or one, where a mistake would not show
            parameter += 0.02 * torch.randn_like(parameter)
    is_siglip = "SigLIP" in name
    settings["custom_text"] = kind is open_clip.model.CustomTextCLIP
    grey = (0.5, 0.5, 0.5)
    preprocessing = {"size": settings["vision_cfg"]["image_size"], "mode": "RGB"} | (
        {"mean": grey, "std": grey, "interpolation": "bicubic", "resize_mode": "squash"}
        if is_siglip
        else {"mean": open_clip.OPENAI_DATASET_MEAN, "std": open_clip.OPENAI_DATASET_STD}
    )
    open_clip.model.set_model_preprocess_cfg(model, preprocessing)
    own_tokenizer, saved = _tokenizer(settings, folder=folder / "tokenizer")
    save_for_hf(model, saved, settings, str(folder / "open_clip"), safe_serialization=True)
    report = convert(str(folder / "open_clip"), folder / "converted")
    towers = load_towers(find_checkpoint(str(folder / "converted")), device="cpu", dtype="float32")
    transform = open_clip.transform.image_transform_v2(
        open_clip.transform.PreprocessCfg(**preprocessing), is_train=False
    )
    pictures = [_picture(seed, size=size) for seed, size in enumerate([(300, 200), (224, 448), (90, 80)])]
    with torch.inference_mode():
        texts = model.encode_text(own_tokenizer(list(TEXTS)), normalize=True).numpy()
        images = model.encode_image(torch.stack([transform(image) for image in pictures]), normalize=True).numpy()
    own_texts, own_images = _vectors(towers, pictures)
    return ConvertFigures(
        num_tensors=report.num_tensors,
        dim=report.dim,
        texts=float((texts * own_texts).sum(1).min()),
        pictures=float((images * own_images).sum(1).min()),
    )


def _vectors(towers: Towers, pictures: list[Image.Image]) -> tuple[np.ndarray, np.ndarray]:
    """Through prodemb; pictures as prodemb resizes them, from pixels, since a JPEG is decoded smaller by design."""
    token_ids, mask = towers.text.pad(towers.text.tokenize(TEXTS))
    pixels = [towers.image._fitted(np.array(image), full=(image.height, image.width)) for image in pictures]
    with torch.inference_mode():
        texts = towers.text_vectors(token_ids, mask)
        images = towers.image_vectors(torch.from_numpy(np.stack(pixels)))
    return texts.numpy(), images.numpy()


def _picture(seed: int, *, size: tuple[int, int]) -> Image.Image:
    colours = np.random.default_rng(seed).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(colours).resize(size, Image.Resampling.BICUBIC)


def _tokenizer(settings: dict[str, Any], *, folder: Path) -> tuple[Any, Any]:
    """The tokenizer that open_clip uses, and the one of transformers that is saved beside its weights."""
    text = settings["text_cfg"]
    if "hf_tokenizer_name" not in text:
        return open_clip.tokenizer.SimpleTokenizer(context_length=text["context_length"]), _clip_tokenizer(folder)
    _word_pieces(text["vocab_size"], end=text.get("eos_id", 1)).save_pretrained(folder)
    options = text.get("tokenizer_kwargs", {})
    own = open_clip.tokenizer.HFTokenizer(str(folder), context_length=text["context_length"], **options)
    return own, own.tokenizer


def _clip_tokenizer(folder: Path) -> CLIPTokenizer:
    """CLIP's tokenizer of transformers, from the vocabulary that open_clip ships."""
    folder.mkdir(parents=True)
    own = open_clip.tokenizer.SimpleTokenizer()
    names = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    vocabulary = {names.get(token, token): number for token, number in own.encoder.items()}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    merges = gzip.decompress(Path(open_clip.tokenizer.default_bpe()).read_bytes()).decode().split("\n")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges[1 : 49152 - 256 - 2 + 1]]) + "\n")
    return CLIPTokenizer.from_pretrained(folder)


def _word_pieces(size: int, *, end: int) -> PreTrainedTokenizerFast:
    """A small cased tokenizer with an end token of the given id, trained on the texts above."""
    special = ["<pad>", "</s>"] if end == 1 else ["<s>", "<pad>", "</s>"]
    tokenizer = Tokenizer(models.BPE(unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size - 50, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", end)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>")


def main() -> None:
    parser = options_parser(__doc__)
    parser.add_argument("--shape", action="append", choices=list(SHAPES), help="may be repeated [all]")
    options = parser.parse_args()
    shapes: dict[str, ConvertFigures | Failure] = {}
    with reporting(options) as report:
        for name in options.shape or SHAPES:
            with tempfile.TemporaryDirectory(prefix="prodemb-bench-") as folder:
                shapes[name] = report.attempt(name, lambda: measure_shape(name, folder=Path(folder)))  # noqa: B023
        columns = ["open_clip shape", "tensors", "dim", "text cosine", "picture cosine"]
        report.add(table(columns, shapes, cells=_cells), shapes=shapes)
        for name, found in shapes.items():
            if isinstance(found, ConvertFigures) and min(found.texts, found.pictures) < WANTED:
                report.fail(name, f"wanted cosines of at least {WANTED}")


def _cells(found: ConvertFigures) -> list[str]:
    cosines = (figure(cosine, digits=7) for cosine in (found.texts, found.pictures))
    return [str(found.num_tensors), str(found.dim), *cosines]


if __name__ == "__main__":
    main()
