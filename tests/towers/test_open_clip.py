"""open_clip's settings and preprocessing in transformers' words, and what is refused. `tests/bench/convert.py` has the
proof against open_clip itself."""

from pathlib import Path
from typing import Any

import pytest

from prodemb.core.errors import ModelError
from prodemb.towers.open_clip import hugging_face_preprocessing, read_open_clip
from tests.towers.open_clip_folder import CLIP_CONFIG, SIGLIP_CONFIG, write_open_clip


def changed(config: dict[str, Any], table: str, values: dict[str, Any]) -> dict[str, Any]:
    return config | {"model_cfg": config["model_cfg"] | {table: config["model_cfg"][table] | values}}


@pytest.mark.parametrize(
    ("config", "table", "values", "said"),
    [
        (CLIP_CONFIG, "text_cfg", {"no_causal_mask": True}, "pool_type = 'argmax' with no_causal_mask = True"),
        (CLIP_CONFIG, "text_cfg", {"hf_model_name": "roberta-base"}, "hf_model_name = 'roberta-base'"),
        (CLIP_CONFIG, "text_cfg", {"qk_norm": True}, "qk_norm = True"),
        (CLIP_CONFIG, "text_cfg", {"proj_type": "none"}, "proj_type = 'none'"),
        (CLIP_CONFIG, "vision_cfg", {"ls_init_value": 1e-5}, "ls_init_value = 1e-05"),
        (CLIP_CONFIG, "vision_cfg", {"pool_type": "avg"}, "pool_type = 'avg'"),
        (CLIP_CONFIG, "vision_cfg", {"a_setting_of_tomorrow": 3}, "a_setting_of_tomorrow = 3"),
        (SIGLIP_CONFIG, "vision_cfg", {"timm_model_name": "convnext_base"}, "'convnext_base'"),
        (SIGLIP_CONFIG, "vision_cfg", {"timm_pool": "avg"}, r"\('avg', 'none'\)"),
    ],
)
def test_what_transformers_does_not_compute_is_refused_by_name(
    tmp_path: Path, config: dict[str, Any], table: str, values: dict[str, Any], said: str
) -> None:
    folder = write_open_clip(tmp_path / "source", config=changed(config, table, values))
    with pytest.raises(ModelError, match=rf"open_clip_config\.json: {table}: found .*{said}.*; wanted"):
        _ = read_open_clip(folder).kind


@pytest.mark.parametrize("content", ["[]", "{", "{}", '{"model_cfg": []}', '{"model_cfg": {"text_cfg": 3}}'])
def test_settings_that_are_none(tmp_path: Path, content: str) -> None:
    folder = write_open_clip(tmp_path / "source", config=CLIP_CONFIG)
    (folder / "open_clip_config.json").write_text(content)
    with pytest.raises(ModelError, match="not the settings of an open_clip checkpoint"):
        read_open_clip(folder)


def test_weights_that_are_pickled_are_not_read(tmp_path: Path) -> None:
    folder = write_open_clip(tmp_path / "source", config=CLIP_CONFIG)
    (folder / "open_clip_model.safetensors").rename(folder / "open_clip_pytorch_model.bin")
    with pytest.raises(ModelError, match="only safetensors weights are read"):
        read_open_clip(folder)


def test_pictures_are_cropped_or_squashed_as_open_clip_does(tmp_path: Path) -> None:
    clip = hugging_face_preprocessing(read_open_clip(write_open_clip(tmp_path / "clip", config=CLIP_CONFIG)))
    assert clip["size"] == {"shortest_edge": 16}
    assert clip["crop_size"] == {"height": 16, "width": 16}
    siglip = hugging_face_preprocessing(read_open_clip(write_open_clip(tmp_path / "siglip", config=SIGLIP_CONFIG)))
    assert (siglip["size"], siglip["do_center_crop"]) == ({"height": 224, "width": 224}, False)
    folder = write_open_clip(tmp_path / "padded", config=CLIP_CONFIG | {"preprocess_cfg": {"resize_mode": "longest"}})
    with pytest.raises(ModelError, match="resize_mode = 'longest'"):
        hugging_face_preprocessing(read_open_clip(folder))


def test_the_settings_say_which_tokenizer(tmp_path: Path) -> None:
    assert (
        read_open_clip(write_open_clip(tmp_path / "a", config=CLIP_CONFIG)).tokenizer == "openai/clip-vit-base-patch32"
    )
    assert read_open_clip(write_open_clip(tmp_path / "b", config=SIGLIP_CONFIG)).tokenizer == "timm/ViT-B-16-SigLIP"
