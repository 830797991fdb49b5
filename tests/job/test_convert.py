"""Converting open_clip checkpoints: every tensor has its place, and the folder is one that stage one loads."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from prodemb.core.errors import ConfigError, ModelError
from prodemb.job.convert import convert
from prodemb.towers.checkpoint import find_checkpoint
from prodemb.towers.load import load_towers
from tests.towers.open_clip_folder import CLIP_CONFIG, SIGLIP_CONFIG, write_open_clip

WEIGHTS = "open_clip_model.safetensors"
Change = Callable[[dict[str, torch.Tensor]], object]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_open_clip(tmp_path / "clip", config=CLIP_CONFIG)


def test_a_clip_is_converted_whole(clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    report = convert(str(clip), tmp_path / "out")
    assert (report.model_type, report.dim) == ("clip", 24)
    source, made = load_file(clip / WEIGHTS), load_file(tmp_path / "out" / "model.safetensors")
    assert report.num_tensors == len(source)
    assert sum(tensor.numel() for tensor in made.values()) == sum(tensor.numel() for tensor in source.values())
    assert torch.equal(made["text_projection.weight"], source["text_projection"].T)
    keys = source["visual.transformer.resblocks.1.attn.in_proj_weight"].chunk(3)[1]
    assert torch.equal(made["vision_model.encoder.layers.1.self_attn.k_proj.weight"], keys)
    card = tmp_path / "out" / "README.md"
    assert f"fingerprint: `{find_checkpoint(str(card.parent)).fingerprint}`" in card.read_text()
    assert "base_model" not in card.read_text()
    card.write_text(mine := card.read_text().replace("\n## ", "\nMine.\n\n## "))
    assert convert(str(clip), tmp_path / "out").dim == 24  # its own folder may be made again
    assert card.read_text() == mine
    assert "README.md" not in caplog.text
    assert convert(str(shutil.copytree(clip, tmp_path / "moved")), tmp_path / "out").dim == 24
    assert "README.md: was edited" in caplog.text


def test_a_siglip_reads_texts_as_open_clip_cleans_them(tmp_path: Path) -> None:
    folder = write_open_clip(tmp_path / "siglip", config=SIGLIP_CONFIG)
    assert convert(str(folder), tmp_path / "out").model_type == "siglip"
    towers = load_towers(find_checkpoint(str(tmp_path / "out")), device="cpu", dtype="float32")
    plain, messy = towers.text.tokenize(["red mug for men", "RED_mug, (for)  MEN!"])
    assert plain == messy
    token_ids, _ = towers.text.pad([plain])
    assert token_ids.shape == (1, 16)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda tensors: tensors.update({"visual.extra": torch.ones(3)}), r"has 'visual\.extra' and 0 more weights"),
        (lambda tensors: tensors.pop("visual.ln_pre.bias"), r"lacks 'vision_model\.pre_layrnorm\.bias'"),
        (lambda tensors: tensors.pop("token_embedding.weight"), r"lacks .*'text_model\.embeddings\.token_embedding"),
        (lambda tensors: tensors.update({"ln_final.bias": torch.ones(3)}), r"has 'text_model\.final_layer_norm\.bias'"),
        (
            lambda tensors: tensors.update({"visual.positional_embedding": torch.ones(7, 32)}),
            "found image_size 16 and 6 patches of 8 pixels",
        ),
    ],
)
def test_each_tensor_is_accounted_for(clip: Path, tmp_path: Path, change: Change, said: str) -> None:
    tensors = load_file(clip / WEIGHTS)
    change(tensors)
    save_file(tensors, clip / WEIGHTS)
    with pytest.raises(ModelError, match=said):
        convert(str(clip), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_names_of_a_wrapper_around_the_model_are_read(clip: Path, tmp_path: Path) -> None:
    tensors = {f"model.{name}": tensor for name, tensor in load_file(clip / WEIGHTS).items()}
    (clip / WEIGHTS).unlink()
    save_file(tensors, clip / "model.safetensors")
    assert convert(str(clip), tmp_path / "out").dim == 24


def test_a_checkpoint_without_tokenizer_takes_another_s(clip: Path, tmp_path: Path) -> None:
    words = tmp_path / "words"
    words.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (clip / name).rename(words / name)
    assert convert(str(clip), tmp_path / "out", tokenizer=str(words)).dim == 24


def test_a_checkpoint_is_not_converted_onto_itself(clip: Path) -> None:
    with pytest.raises(ConfigError, match="is the checkpoint to convert"):
        convert(str(clip), clip)


def test_stage_one_says_that_it_wants_converting_and_how(clip: Path) -> None:
    with pytest.raises(
        ModelError, match=r'`prodemb convert .*/clip checkpoints/clip`, and use model = "checkpoints/clip"'
    ):
        find_checkpoint(str(clip))
