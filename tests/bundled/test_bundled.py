"""The bundled tiny CLIP: its size, how it loads, where it pools, and that its script still makes such a folder."""

import builtins
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import AutoModel, AutoProcessor, AutoTokenizer, CLIPModel

from prodemb.bundled import CLIP_FOLDER
from prodemb.bundled.pretrain import PretrainConfig, pretrain
from prodemb.bundled.tokenizer import END, MAX_TOKENS, PAD, START
from prodemb.sample.catalog import product
from prodemb.towers.image import ImagePreprocessor

FILES = {
    "README.md",
    "config.json",
    "model.safetensors",
    "preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
}


@pytest.fixture(scope="module")
def model() -> CLIPModel:
    return AutoModel.from_pretrained(CLIP_FOLDER, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(CLIP_FOLDER)


def test_the_folder_is_whole_and_small() -> None:
    assert {path.name for path in CLIP_FOLDER.iterdir()} == FILES
    assert sum(path.stat().st_size for path in CLIP_FOLDER.iterdir()) <= 5_000_000


def test_it_loads_as_any_checkpoint_without_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    really_import = builtins.__import__

    def without_torchvision(name: str, *arguments: Any, **named: Any) -> Any:
        if name.partition(".")[0] == "torchvision":
            raise ImportError(name)
        return really_import(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without_torchvision)
    model, loading = AutoModel.from_pretrained(CLIP_FOLDER, output_loading_info=True)
    assert isinstance(model, CLIPModel)
    assert not any(loading.values())
    processor = AutoProcessor.from_pretrained(CLIP_FOLDER)
    picture = Image.new("RGB", (90, 70))
    batch = processor(text=["blue mug"], images=picture, padding=True, truncation=True, return_tensors="pt")
    assert batch["pixel_values"].shape == (1, 3, 64, 64)
    assert model(**batch.to(model.dtype)).logits_per_image.shape == (1, 1)


def test_special_tokens_agree_with_the_config(tokenizer: Any, model: CLIPModel) -> None:
    text = model.config.text_config
    pad, start, end = tokenizer.convert_tokens_to_ids([PAD, START, END])
    assert len({pad, start, end}) == 3
    assert (text.pad_token_id, text.bos_token_id, text.eos_token_id) == (pad, start, end)
    assert end != 2
    assert end == len(tokenizer) - 1 == text.vocab_size - 1
    assert tokenizer.model_max_length == text.max_position_embeddings == MAX_TOKENS


def test_long_texts_are_cut_and_keep_their_end(tokenizer: Any) -> None:
    short, long = tokenizer(["mug", "porcelain coffee mug " * 40], truncation=True)["input_ids"]
    assert len(long) == MAX_TOKENS
    for tokens in (short, long):
        assert tokens[0] == tokenizer.bos_token_id
        assert tokens[-1] == tokenizer.eos_token_id
        assert tokens.count(tokenizer.eos_token_id) == 1


def test_it_pools_at_the_end_token(tokenizer: Any, model: CLIPModel) -> None:
    batch = tokenizer(["mug", "a blue porcelain mug for coffee"], padding=True, return_tensors="pt")
    with torch.inference_mode():
        output = model.text_model(**batch)
    ends = (batch["input_ids"] == tokenizer.eos_token_id).int().argmax(dim=1)
    assert ends[0] < ends[1]
    torch.testing.assert_close(output.pooler_output, output.last_hidden_state[torch.arange(2), ends])


def test_padding_does_not_change_a_vector(tokenizer: Any, model: CLIPModel) -> None:
    alone = tokenizer(["blue mug"], return_tensors="pt")
    padded = tokenizer(["blue mug", "a very long text about porcelain and tea"], padding=True, return_tensors="pt")
    with torch.inference_mode():
        first = model.get_text_features(**alone).pooler_output[0]
        second = model.get_text_features(**padded).pooler_output[0]
    torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-5)


def test_case_and_accents_do_not_matter_and_words_are_whole(tokenizer: Any) -> None:
    assert tokenizer("POÊLE Électrique")["input_ids"] == tokenizer("poele electrique")["input_ids"]
    title = "Women Black Cotton Printed Kurta with Short Sleeves and Leather Handbag"
    assert len(tokenizer(title)["input_ids"]) <= len(title.split()) + 4


def test_any_text_has_tokens(tokenizer: Any) -> None:
    for text in ("", " ", "日本語", "🙂", "\x00", "a" * 10_000, "\u202eabc"):
        tokens = tokenizer(text, truncation=True)["input_ids"]
        assert 2 <= len(tokens) <= MAX_TOKENS


def test_titles_find_their_pictures(tokenizer: Any, model: CLIPModel) -> None:
    """Far better than chance (1 in 64) on products it never saw."""
    processor = AutoProcessor.from_pretrained(CLIP_FOLDER)
    titles, pictures = _titles_and_pictures(64)
    batch = processor(
        text=titles, images=pictures, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
    )
    with torch.inference_mode():
        ranked = model(**batch).logits_per_text.argsort(dim=1, descending=True)
    found = (ranked[:, :8] == torch.arange(64)[:, None]).any(dim=1).float().mean()
    assert found > 0.4


def test_a_tall_picture_is_seen_whole() -> None:
    """Its head too, which a centre crop would cut off."""
    picture = Image.new("RGB", (60, 120), "white")
    picture.paste("black", (0, 0, 60, 24))
    file = BytesIO()
    picture.save(file, "PNG")
    pixels = ImagePreprocessor.from_folder(CLIP_FOLDER).decode(file.getvalue())
    assert pixels[:, :8].max() < 64
    assert pixels[:, -8:].min() > 192


def test_the_script_makes_such_a_folder(tmp_path: Path) -> None:
    pretrain(PretrainConfig(num_products=60, epochs=1, batch_size=16), out=tmp_path / "clip")
    assert {path.name for path in (tmp_path / "clip").iterdir()} == FILES
    assert ImagePreprocessor.from_folder(tmp_path / "clip") == ImagePreprocessor.from_folder(CLIP_FOLDER)
    assert AutoModel.from_pretrained(tmp_path / "clip").config.text_config.eos_token_id != 2
    assert len(AutoTokenizer.from_pretrained(tmp_path / "clip")("mug")["input_ids"]) >= 3


def _titles_and_pictures(number: int) -> tuple[list[str], list[Image.Image]]:
    """Products with a readable picture, of another seed than the checkpoint's."""
    titles, pictures, index = [], [], 0
    while len(titles) < number:
        made = product(index, seed=99)
        index += 1
        try:
            picture = Image.open(BytesIO(made.picture or b"")).convert("RGB")
        except OSError:
            continue
        titles.append(made.row["title"] or "")
        pictures.append(picture)
    return titles, pictures
