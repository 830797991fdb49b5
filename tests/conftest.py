"""Small real things that many tests need: a CLIP with random weights, and a catalog with pictures."""

import io
import json
import multiprocessing
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import settings
from PIL import Image

from tests.command_line import InheritingContext
from tests.warm_python import serving

# A busy machine takes its time; that is no fault of an example.
settings.register_profile("prodemb", deadline=None)
settings.load_profile("prodemb")

WORDS = (
    "red blue green shoe mug lamp bottle bag watch shirt sofa drill camera toy chair phone sock ring hat brush "
    "Norvik Lumo Acme men women kids steel cotton leather with and for the home kitchen sport 1 2 3 4 5 6 7 8 9 0"
).split()
IMAGE_SIZE = 16
NUM_TOKENS = 16


def make_clip(folder: Path, *, seed: int = 0, dim: int = 24) -> Path:
    """Write a CLIP with random weights and a word-level tokenizer in Hugging Face's format."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast

    vocabulary = {word: place for place, word in enumerate(["<pad>", "<unk>", "<unused>", *WORDS, "<start>", "<end>"])}
    start, end = vocabulary["<start>"], vocabulary["<end>"]
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", start), ("<end>", end)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<start>",
        eos_token="<end>",
        pad_token="<pad>",
        unk_token="<unk>",
        model_max_length=NUM_TOKENS,
    )
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {"vocab_size": len(vocabulary), "max_position_embeddings": NUM_TOKENS}
    text |= {"bos_token_id": start, "eos_token_id": end, "pad_token_id": 0}
    config = CLIPConfig(
        text_config=tower | text,
        vision_config=tower | {"image_size": IMAGE_SIZE, "patch_size": 8},
        projection_dim=dim,
    )
    torch.manual_seed(seed)
    CLIPModel(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    preprocessor = {
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": IMAGE_SIZE},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": {"height": IMAGE_SIZE, "width": IMAGE_SIZE},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.25, 0.25, 0.25],
        "do_convert_rgb": True,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return folder


def jpeg(seed: int, *, size: tuple[int, int] = (40, 30)) -> bytes:
    """A small JPEG of its own colours for each seed."""
    colours = np.random.default_rng(seed).integers(0, 255, (2, 2, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(colours).resize(size).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def warm_python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A `python` whose libraries are loaded already; see `tests.warm_python`."""
    with serving(tmp_path_factory.mktemp("warm")) as executable:
        yield executable


@pytest.fixture
def warm_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that prodemb spawns are forked from one whose libraries are loaded; what they print is not captured."""
    monkeypatch.setattr(multiprocessing, "get_context", lambda _method: InheritingContext())


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a CLIP of two narrow layers and random weights."""
    return make_clip(tmp_path_factory.mktemp("clip") / "tiny")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], check=False, capture_output=True)
    if mount.returncode:
        pytest.skip("no file system may be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(disk: Path, *, leave: int) -> None:
    """Leave so many bytes of a disk free."""
    status = os.statvfs(disk)
    with (disk / "filler").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, status.f_bavail * status.f_frsize - leave)


@pytest.fixture
def make_catalog(tmp_path: Path) -> Callable[[int], Path]:
    """Writes catalog.parquet with that many products, some without text or picture, and their pictures."""

    def write(num_products: int) -> Path:
        (tmp_path / "images").mkdir(exist_ok=True)
        for i in range(num_products):
            if i % 7 != 3:
                (tmp_path / "images" / f"{i}.jpg").write_bytes(jpeg(i % 11))
        frame = pl.DataFrame(
            {
                "product_id": [f"p{i}" for i in range(num_products)],
                "title": [f"{WORDS[i % 20]} {WORDS[(i * 3) % 20]} for men" for i in range(num_products)],
                "description": [None if i % 5 == 0 else f"the {WORDS[i % 20]} {i % 10}" for i in range(num_products)],
                "brand": [["Norvik", "NORVIK", "Lumo", None][i % 4] for i in range(num_products)],
                "cat1": [WORDS[i % 3] for i in range(num_products)],
                "image": [f"images/{i}.jpg" for i in range(num_products)],
            }
        )
        frame.write_parquet(tmp_path / "catalog.parquet")
        return tmp_path / "catalog.parquet"

    return write
