"""Each kind of dual encoder in docs/models.md, with random weights: ours beside transformers' own model."""

import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoConfig, AutoModel, AutoTokenizer
from transformers.models.siglip2.image_processing_pil_siglip2 import Siglip2ImageProcessorPil

from prodemb.core.errors import ModelError
from prodemb.towers.checkpoint import find_checkpoint
from prodemb.towers.load import load_towers
from tests.conftest import IMAGE_SIZE, NUM_TOKENS, WORDS, jpeg

DOCS = Path(__file__).parents[2] / "docs" / "models.md"
TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
TEXT = TOWER | {"vocab_size": len(WORDS) + 5, "max_position_embeddings": NUM_TOKENS, "projection_dim": 24}
VISION = TOWER | {"image_size": IMAGE_SIZE, "patch_size": 8, "projection_dim": 24}
ALIGN_SIZE = 64
"""Pixels a side that its convolutions need."""
ALIGN = {"image_size": ALIGN_SIZE, "width_coefficient": 0.2, "depth_coefficient": 0.1, "hidden_dim": 64}
FLAVA = {"text_config": TOWER | {"vocab_size": len(WORDS) + 5, "max_position_embeddings": NUM_TOKENS}}
FLAVA |= {"image_config": VISION, "multimodal_config": TOWER}
NUM_PATCHES = 12
NAFLEX = {"text_config": TEXT | {"projection_size": 32}, "vision_config": TOWER | {"num_patches": 4, "patch_size": 8}}
KINDS: dict[str, dict[str, Any]] = {
    kind: {}
    for kind in ("aimv2", "altclip", "blip", "chinese_clip", "clip", "clipseg", "metaclip_2", "siglip", "tipsv2")
} | {"align": {"vision_config": ALIGN, "projection_dim": 64}, "flava": FLAVA, "siglip2": NAFLEX}
"""By model type; what is set in place of the small towers above."""


def write_checkpoint(kind: str, *, clip: Path, folder: Path) -> Path:
    """A checkpoint of a kind with random weights, the tokenizer and the preprocessing of the tiny CLIP."""
    shutil.copytree(clip, folder)
    own = json.loads((clip / "config.json").read_text())["text_config"]
    text = TEXT | {key: own[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id")}
    config = {"text_config": text, "vision_config": VISION, "projection_dim": 24} | KINDS[kind]
    if kind == "align":
        path = folder / "preprocessor_config.json"
        crop = {"height": ALIGN_SIZE, "width": ALIGN_SIZE}
        path.write_text(json.dumps(json.loads(path.read_text()) | {"size": crop, "crop_size": crop}))
    if kind == "siglip2":
        naflex = {"image_processor_type": "Siglip2ImageProcessor", "patch_size": 8, "max_num_patches": NUM_PATCHES}
        (folder / "preprocessor_config.json").write_text(json.dumps(naflex))
    torch.manual_seed(0)
    model = AutoModel.from_config(AutoConfig.for_model(kind, **config))
    with torch.no_grad():
        for weights in model.parameters():
            if weights.ndim > 1:  # as they are, ALIGN's many layers leave nothing of a picture
                weights.normal_(std=2 * weights[0].numel() ** -0.5)
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_its_vectors_are_those_of_transformers(kind: str, tiny_clip: Path, tmp_path: Path) -> None:
    folder = write_checkpoint(kind, clip=tiny_clip, folder=tmp_path / kind)
    towers = load_towers(find_checkpoint(str(folder)), device="cpu", dtype="float32")
    model, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    texts = ["red shoe", "a mug for the kitchen with 3 4 5"]
    inputs = tokenizer(texts, padding="max_length", max_length=NUM_TOKENS, return_tensors="pt")
    mask = None if kind.startswith("siglip") else inputs["attention_mask"]
    if kind == "siglip2":
        files = [jpeg(1, size=(64, 48)), jpeg(2, size=(20, 90))]
        pixels = torch.from_numpy(np.stack([towers.image.decode(data) for data in files]))
        pictures = [Image.open(io.BytesIO(data)) for data in files]
        seen = Siglip2ImageProcessorPil.from_pretrained(folder)(pictures, return_tensors="pt")
    else:
        pixels = torch.randint(0, 255, (2, *towers.image.shape), dtype=torch.uint8)
        seen = {"pixel_values": (pixels / 255 - 0.5) / 0.25}
    with torch.inference_mode():
        wanted = (
            model.get_text_features(input_ids=inputs["input_ids"], attention_mask=mask).pooler_output,
            model.get_image_features(**seen).pooler_output,
        )
        found = towers.text_vectors(*towers.text.pad(towers.text.tokenize(texts))), towers.image_vectors(pixels)
    for vectors, reference in zip(found, wanted, strict=True):
        first = reference[:, 0] if kind == "flava" else reference
        assert torch.nn.functional.cosine_similarity(vectors, first).min() > 0.9999


def test_a_siglip_2_of_free_sizes_is_not_fine_tuned(tiny_clip: Path, tmp_path: Path) -> None:
    folder = write_checkpoint("siglip2", clip=tiny_clip, folder=tmp_path / "naflex")
    with pytest.raises(ModelError, match="NaFlex"):
        load_towers(find_checkpoint(str(folder)), device="cpu", for_training=True)


def test_the_table_of_the_docs_is_what_is_tested() -> None:
    rows = re.findall(r"^\| [^|]+ \| `(\w+)` \| loads", DOCS.read_text(), flags=re.MULTILINE)
    assert sorted(rows) == sorted(KINDS)
