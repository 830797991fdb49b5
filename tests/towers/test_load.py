"""The loaded towers against transformers' own model on the same inputs."""

import json
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer, SiglipConfig, SiglipModel

from prodemb.core.errors import ModelError
from prodemb.towers.checkpoint import find_checkpoint
from prodemb.towers.load import Towers, load_towers, save_checkpoint
from prodemb.towers.pool import TowerPool

TEXTS = ["red shoe", "a mug for the kitchen with 3 4 5", "lamp", "", "Norvik leather bag men men men men men men"]


@pytest.fixture(scope="module")
def towers(tiny_clip: Path) -> Towers:
    return load_towers(find_checkpoint(str(tiny_clip)), device="cpu", dtype="float32")


def text_vectors(towers: Towers, texts: list[str], *, batch_tokens: int | None = None) -> np.ndarray:
    with TowerPool(towers, batch_tokens=batch_tokens) as pool:
        return pool.texts(texts).result()


def test_texts_equal_the_reference_in_any_batching(towers: Towers, tiny_clip: Path) -> None:
    model, tokenizer = AutoModel.from_pretrained(tiny_clip), AutoTokenizer.from_pretrained(tiny_clip)
    inputs = tokenizer(TEXTS, padding="max_length", truncation=True, return_tensors="pt")
    with torch.inference_mode():
        reference = torch.nn.functional.normalize(model.get_text_features(**inputs).pooler_output, dim=-1).numpy()
    for batch_tokens in (1, 20, 10_000):
        assert np.allclose(text_vectors(towers, TEXTS, batch_tokens=batch_tokens), reference, atol=2e-3)


def test_pictures_equal_the_reference(towers: Towers, tiny_clip: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (5, 3, 16, 16), dtype=np.uint8)
    values = (torch.from_numpy(pixels) / 255 - 0.5) / 0.25
    with torch.inference_mode():
        output = AutoModel.from_pretrained(tiny_clip).get_image_features(pixel_values=values).pooler_output
    with TowerPool(towers, batch_tokens=20) as pool:
        vectors = pool.images([*pixels]).result()
    assert np.allclose(vectors, torch.nn.functional.normalize(output, dim=-1).numpy(), atol=2e-3)


def test_vectors_are_unit_float16(towers: Towers) -> None:
    vectors = text_vectors(towers, TEXTS)
    assert vectors.dtype == np.float16
    assert np.allclose(np.linalg.norm(vectors.astype(np.float32), axis=1), 1, atol=2e-3)


def test_bfloat16_stays_close_to_float32(towers: Towers, tiny_clip: Path) -> None:
    half = load_towers(find_checkpoint(str(tiny_clip)), device="cpu", dtype="bfloat16")
    a = text_vectors(towers, TEXTS).astype(np.float32)
    b = text_vectors(half, TEXTS).astype(np.float32)
    assert (a * b).sum(axis=1).min() > 0.995


def test_saved_weights_load_again_and_have_another_fingerprint(tiny_clip: Path, tmp_path: Path) -> None:
    towers = load_towers(find_checkpoint(str(tiny_clip)), device="cpu", for_training=True)
    with torch.no_grad():
        for parameter in towers.model.parameters():
            parameter += 0.01
    save_checkpoint(towers, tmp_path)
    again = load_towers(find_checkpoint(str(tmp_path)), device="cpu", dtype="float32")
    assert again.checkpoint.fingerprint != towers.checkpoint.fingerprint
    for (name, a), (_, b) in zip(towers.model.named_parameters(), again.model.named_parameters(), strict=True):
        assert torch.equal(a, b), name


def test_siglip_is_padded_to_its_full_length(tiny_clip: Path, tmp_path: Path) -> None:
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = SiglipConfig(
        text_config=tower | {"vocab_size": 100, "max_position_embeddings": 12, "projection_size": 32},
        vision_config=tower | {"image_size": 16, "patch_size": 8},
    )
    torch.manual_seed(0)
    SiglipModel(config).save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json", "preprocessor_config.json"):
        shutil.copy(tiny_clip / name, tmp_path)
    towers = load_towers(find_checkpoint(str(tmp_path)), device="cpu", dtype="float32")
    token_ids, mask = towers.text.pad(towers.text.tokenize(["red"]))
    assert token_ids.shape == (1, 12)
    assert mask is None
    alone = text_vectors(towers, ["red"])
    beside = text_vectors(towers, ["red", "a mug for the kitchen"])
    assert np.allclose(alone[0], beside[0], atol=2e-3)


def test_truncated_vectors_are_the_first_numbers_at_length_one(towers: Towers, tiny_clip: Path) -> None:
    short = load_towers(find_checkpoint(str(tiny_clip), truncate_dim=16), device="cpu", dtype="float32")
    assert (short.dim, towers.dim) == (16, 24)
    whole = text_vectors(towers, TEXTS)[:, :16].astype(np.float32)
    assert np.allclose(text_vectors(short, TEXTS), whole / np.linalg.norm(whole, axis=1, keepdims=True), atol=2e-3)
    pixels = torch.randint(0, 255, (2, *towers.image.shape), dtype=torch.uint8)
    with torch.inference_mode():
        pictures, wanted = short.image_vectors(pixels), towers.image_vectors(pixels)[:, :16]
    assert torch.allclose(pictures, torch.nn.functional.normalize(wanted, dim=-1), atol=1e-5)
    assert short.checkpoint.fingerprint != towers.checkpoint.fingerprint


def test_more_numbers_than_there_are_cannot_be_kept(tiny_clip: Path) -> None:
    with pytest.raises(ModelError, match="found vectors of 24 numbers, wanted truncate_dim = 32 of them"):
        load_towers(find_checkpoint(str(tiny_clip), truncate_dim=32), device="cpu")


def test_weights_that_lack_a_tensor_are_refused(tiny_clip: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(tiny_clip, tmp_path, dirs_exist_ok=True)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["text_projection.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lack 'text_projection\.weight'"):
        load_towers(find_checkpoint(str(tmp_path)), device="cpu")


def test_damaged_weights_are_refused(tiny_clip: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_clip, tmp_path, dirs_exist_ok=True)
    (tmp_path / "model.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(ModelError, match=r"model\.safetensors: not a safetensors file"):
        load_towers(find_checkpoint(str(tmp_path)), device="cpu")


def test_the_end_token_is_what_is_pooled(tiny_clip: Path) -> None:
    config = json.loads((tiny_clip / "config.json").read_text())
    assert config["text_config"]["eos_token_id"] != 2


def test_code_that_comes_with_a_checkpoint_never_runs(tiny_clip: Path, tmp_path: Path) -> None:
    folder, witness = shutil.copytree(tiny_clip, tmp_path / "copy"), tmp_path / "witness"
    (folder / "own.py").write_text(f"open({str(witness)!r}, 'w')\nclass Own: pass\n")
    for name, kind in (("config.json", "AutoModel"), ("tokenizer_config.json", "AutoTokenizer")):
        settings = json.loads((folder / name).read_text())
        own: dict[str, object] = {kind: "own.Own", "AutoConfig": "own.Own"}
        (folder / name).write_text(json.dumps(settings | {"auto_map": own}))
    load_towers(find_checkpoint(str(folder)), device="cpu")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "own"}))
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_towers(find_checkpoint(str(folder)), device="cpu")
    assert not witness.exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.safetensors", b""),
        ("model.safetensors", b"\xff" * 8 + b"{}"),
        ("model.safetensors", b"\x80\x04cos\nsystem\n."),
        ("tokenizer.json", b"{}"),
        ("tokenizer.json", b"[" * 100_000),
        ("tokenizer_config.json", b"[]"),
        ("tokenizer_config.json", b'{"model_max_length": "x"}'),
        ("preprocessor_config.json", b"[" * 100_000),
    ],
)
def test_any_file_that_is_damaged_is_named(tiny_clip: Path, tmp_path: Path, name: str, content: bytes) -> None:
    folder = shutil.copytree(tiny_clip, tmp_path / "copy")
    (folder / name).write_bytes(content)
    with pytest.raises(ModelError, match=str(folder)):
        load_towers(find_checkpoint(str(folder)), device="cpu")


@pytest.mark.parametrize("change", [{"num_attention_heads": 0}, {"hidden_size": -1}, {"max_position_embeddings": "x"}])
def test_settings_that_do_not_fit_are_no_traceback(tiny_clip: Path, tmp_path: Path, change: dict[str, object]) -> None:
    folder = shutil.copytree(tiny_clip, tmp_path / "copy")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"text_config": config["text_config"] | change}))
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_towers(find_checkpoint(str(folder)), device="cpu")


def test_weights_that_are_no_numbers_are_refused(tiny_clip: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(tiny_clip, tmp_path, dirs_exist_ok=True)
    weights = load_file(tmp_path / "model.safetensors")
    weights["text_model.embeddings.token_embedding.weight"][2, 3] = torch.nan  # of a token that no text has
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="some of its weights are not finite numbers"):
        load_towers(find_checkpoint(str(tmp_path)), device="cpu")


@pytest.mark.parametrize(
    "normaliser",
    [
        {"type": "Precompiled", "precompiled_charsmap": "/////w=="},  # panics when it is read
        {"type": "Prepend", "prepend": ""},  # panics when it is used
    ],
)
def test_a_tokenizer_that_panics_is_one_error(
    tiny_clip: Path, tmp_path: Path, normaliser: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(tiny_clip, tmp_path, dirs_exist_ok=True)
    values = json.loads((tmp_path / "tokenizer.json").read_text())
    values["pre_tokenizer"] = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    (tmp_path / "tokenizer.json").write_text(json.dumps(values | {"normalizer": normaliser}))
    with pytest.raises(ModelError, match="its tokenizer cannot be loaded: "):
        load_towers(find_checkpoint(str(tmp_path)), device="cpu")
    assert "panicked" not in capfd.readouterr().err


@pytest.mark.parametrize("sizes", [{"vocab_size": 9_000_000}, {"intermediate_size": 900_000, "num_hidden_layers": 90}])
def test_settings_of_a_larger_model_than_the_weights_take_no_memory(
    tiny_clip: Path, tmp_path: Path, sizes: dict[str, int]
) -> None:
    folder = tmp_path / "clip"
    shutil.copytree(tiny_clip, folder)
    config = json.loads((folder / "config.json").read_text())
    config["text_config"] |= sizes
    (folder / "config.json").write_text(json.dumps(config))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(
        ModelError, match=r"config.json: found a model of [0-9,]+ numbers, wanted one of the [0-9,]+ that"
    ):
        load_towers(find_checkpoint(str(folder)), device="cpu")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000


def test_weights_of_other_sizes_are_an_error_that_shows_its_reason(tiny_clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "clip"
    shutil.copytree(tiny_clip, folder)
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["vocab_size"] += 7
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"cannot be loaded: its weights have other sizes than its config.json says"):
        load_towers(find_checkpoint(str(folder)), device="cpu")
