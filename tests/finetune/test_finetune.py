"""Fine-tuning end to end on a random CLIP: it helps, its options do what they say, mistakes are named."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import SiglipConfig, SiglipModel

from prodemb.core.errors import CatalogError, ConfigError, HeadError, TaxonomyError
from prodemb.finetune.finetune import FinetuneConfig
from prodemb.finetune.state import state_folder
from prodemb.towers.checkpoint import find_checkpoint
from prodemb.towers.load import load_towers
from prodemb.towers.pool import TowerPool
from tests.finetune.conftest import Finished
from tests.finetune.shop import CATEGORIES, NUM_PRODUCTS, SMALL, Settings, files, run, weights, write_catalog


def test_it_learns_the_categories_and_leaves_the_original_alone(catalog: Path, tiny_clip: Path, tmp_path: Path) -> None:
    before = files(tiny_clip)
    out = tmp_path / "checkpoints" / "category"
    steps: list[tuple[int, int | None]] = []
    report = run(catalog, tiny_clip, out, epochs=6, patience=6, on_progress=lambda *done: steps.append(done))
    assert report.before is not None
    assert report.after is not None
    assert report.after.nearest_path["title"] > 0.9 > report.before.nearest_path["title"]
    assert report.after.nearest_path["image"] > 0.9
    assert report.after.score > report.before.score + 0.2
    assert report.num_train + report.num_validation < NUM_PRODUCTS
    assert steps[-1][0] == steps[-1][1] == len(report.curve.step_losses)
    assert files(tiny_clip) == before
    made = find_checkpoint(str(out))
    assert made.fingerprint == report.fingerprint != report.original_fingerprint
    assert load_towers(made, device="cpu").dim == load_towers(find_checkpoint(str(tiny_clip)), device="cpu").dim
    assert not state_folder(out).exists()
    assert sorted(path.name for path in out.parent.iterdir()) == ["category"]


def test_the_new_text_tower_pools_at_the_end_token_of_texts_of_any_length(small_run: Finished) -> None:
    towers = load_towers(find_checkpoint(str(small_run[1])), device="cpu", dtype="float32")
    short, long = "red shoe", "red " * 100
    assert towers.text.tokenize([long])[0][-1] == towers.text.tokenizer.eos_token_id
    with TowerPool(towers) as pool:
        together = pool.texts([short, long]).result()
        alone = np.concatenate([pool.texts([text]).result() for text in (short, long)])
    np.testing.assert_allclose(together, alone, atol=2e-3)


def test_whatever_is_trained_an_ordinary_checkpoint_comes_out(tiny_clip: Path, run_of_all: Finished) -> None:
    report, folder = run_of_all
    before, after = weights(tiny_clip), weights(folder)
    assert after.keys() == before.keys()
    assert report.curve.epochs[-1].loss < report.curve.step_losses[0]
    assert not torch.equal(before["text_projection.weight"], after["text_projection.weight"])
    names = {"config.json", "curves.png", "finetune.json", "log.jsonl", "model.safetensors"}
    assert names <= {path.name for path in folder.iterdir()}
    assert not any("adapter" in path.name for path in folder.iterdir())


def test_the_report_in_the_folder_is_the_one_that_is_returned(small_run: Finished) -> None:
    report, folder = small_run
    assert json.loads((folder / "finetune.json").read_text()) == report.model_dump(
        mode="json", exclude={"changed", "was_done"}
    )


def test_a_tower_that_nothing_asks_of_stays_as_it_is(catalog: Path, tiny_clip: Path, tmp_path: Path) -> None:
    run(catalog, tiny_clip, tmp_path / "out", epochs=1, image_path=0, text_image=0)
    before, after = weights(tiny_clip), weights(tmp_path / "out")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert not any(name.startswith(("vision_model.", "visual_projection")) for name in changed)


@pytest.mark.parametrize("settings", [{"loss": "masked"}, {"loss": "plain"}, {"tree_credit": 0.2}])
def test_the_other_losses_learn_too(catalog: Path, tiny_clip: Path, tmp_path: Path, settings: Settings) -> None:
    report = run(catalog, tiny_clip, tmp_path / "out", **settings)
    assert report.curve.epochs[-1].loss < report.curve.step_losses[0]


def test_half_precision_gives_about_the_same_curve(
    catalog: Path, tiny_clip: Path, tmp_path: Path, small_run: Finished
) -> None:
    full = small_run[0]
    half = run(catalog, tiny_clip, tmp_path / "half", **SMALL | {"dtype": "bfloat16"})
    assert half.curve.step_losses == pytest.approx(full.curve.step_losses, rel=0.05)
    assert half.curve.step_losses != full.curve.step_losses


def test_pictures_in_a_temporary_file_give_the_same_curve(
    catalog: Path, tiny_clip: Path, tmp_path: Path, small_run: Finished
) -> None:
    in_a_file = run(catalog, tiny_clip, tmp_path / "out", memory_gb=0, **SMALL)
    assert in_a_file.curve.step_losses == pytest.approx(small_run[0].curve.step_losses, rel=1e-5)


@pytest.mark.parametrize("missing", [("image",), ("title", "description", "brand", "cat1")])
def test_a_catalog_may_lack_pictures_or_texts(tiny_clip: Path, tmp_path: Path, missing: tuple[str, ...]) -> None:
    lacking = write_catalog(tmp_path, **{name: [None] * NUM_PRODUCTS for name in missing})
    report = run(lacking, tiny_clip, tmp_path / "out", epochs=1)
    assert report.after is not None
    assert not set(report.after.nearest_path) & set(missing)


def test_before_is_the_published_checkpoint_at_its_own_picture_size(
    catalog: Path, tiny_clip: Path, tmp_path: Path, small_run: Finished
) -> None:
    larger = run(catalog, tiny_clip, tmp_path / "out", image_size=32, **SMALL)
    assert larger.before == small_run[0].before
    assert larger.after is not None
    assert find_checkpoint(str(tmp_path / "out")).config["vision_config"]["image_size"] == 32


def test_siglip_is_trained_at_its_full_length(catalog: Path, tiny_clip: Path, tmp_path: Path) -> None:
    siglip = tmp_path / "siglip"
    shutil.copytree(tiny_clip, siglip)
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = SiglipConfig(
        text_config=tower | {"vocab_size": 64, "max_position_embeddings": 16, "projection_size": 32},
        vision_config=tower | {"image_size": 16, "patch_size": 8},
    )
    torch.manual_seed(0)
    SiglipModel(config).save_pretrained(siglip)
    out = tmp_path / "out"
    report = run(catalog, siglip, out, trainable="last_blocks", last_blocks=1, wise_ft_alphas=[1.0])
    assert report.curve.epochs[-1].loss < report.curve.step_losses[0]
    before, after = weights(siglip), weights(out)
    assert not torch.equal(before["vision_model.head.probe"], after["vision_model.head.probe"])
    assert torch.equal(
        before["vision_model.encoder.layers.0.mlp.fc1.weight"], after["vision_model.encoder.layers.0.mlp.fc1.weight"]
    )


def test_only_the_last_blocks_are_trained_where_asked(catalog: Path, tiny_clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(catalog, tiny_clip, out, epochs=1, trainable="last_blocks", last_blocks=1, wise_ft_alphas=[1.0])
    before, after = weights(tiny_clip), weights(out)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert all("layers.1." in name or "layers" not in name for name in changed)
    assert any("text_model.encoder.layers.1." in name for name in changed)
    assert any("vision_model.encoder.layers.1." in name for name in changed)
    assert not any("embedding" in name for name in changed)
    assert {"visual_projection.weight", "text_projection.weight", "logit_scale"} <= changed


def test_a_mix_with_the_original_lies_between(
    catalog: Path, tiny_clip: Path, tmp_path: Path, small_run: Finished
) -> None:
    report = run(catalog, tiny_clip, tmp_path / "half", **SMALL | {"wise_ft_alphas": [0.5]})
    original, new, half = weights(tiny_clip), weights(small_run[1]), weights(tmp_path / "half")
    assert report.wise_ft_alpha == 0.5
    for name in original:
        torch.testing.assert_close(half[name], (original[name] + new[name]) / 2, rtol=1e-3, atol=1e-4)


def test_without_categories_it_says_which_column_is_wanted(tiny_clip: Path, tmp_path: Path) -> None:
    unlabelled = write_catalog(tmp_path, google_category_id=[None] * NUM_PRODUCTS)
    with pytest.raises(CatalogError, match="no value in the column google_category_id"):
        run(unlabelled, tiny_clip, tmp_path / "out")
    unknown = write_catalog(tmp_path, google_category_id=["no such node"] * NUM_PRODUCTS)
    with pytest.raises(TaxonomyError, match=r"120 products .*'no such node'; none is"):
        run(unknown, tiny_clip, tmp_path / "out")
    of_one = write_catalog(tmp_path, google_category_id=[CATEGORIES[0]] * NUM_PRODUCTS)
    with pytest.raises(HeadError, match=r"found 1 category .* wanted 2 or more"):
        run(of_one, tiny_clip, tmp_path / "out")


def test_some_unknown_categories_are_left_out_aloud(
    tiny_clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    labels = [*CATEGORIES * (NUM_PRODUCTS // 4 - 1), "99999999", None, "", CATEGORIES[0]]
    report = run(write_catalog(tmp_path, google_category_id=labels), tiny_clip, tmp_path / "out", epochs=1)
    assert "99999999" in caplog.text
    assert report.num_classes == 4


@pytest.mark.usefixtures("warm_processes")
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_loss_that_is_not_finite_ends_the_run_and_names_the_rate(
    catalog: Path, tiny_clip: Path, tmp_path: Path, workers: int
) -> None:
    with pytest.raises(ConfigError, match=r"learning_rate: found 1e\+30, but the loss was not finite at step \d"):
        run(catalog, tiny_clip, tmp_path / "out", workers=workers, learning_rate=1e30, warmup_steps=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"wise_ft_alphas": [0.0]}, "above 0 and up to 1"),
        ({"patch_dropout": 1.0}, r"patch_dropout: found 1.0, wanted less than 1"),
        ({"template": ["{image}"]}, r"template: found '\{image\}', wanted one or more of \{title\}"),
        ({"template": []}, "template: found no part"),
        ({"text_path": 0, "feature_path": 0, "image_path": 0, "text_image": 0}, "wanted one above 0"),
        ({"epoch": 3}, "did you mean 'epochs'"),
        ({"tree_credit": 0.2, "loss": "plain"}, "found tree_credit = 0.2 and loss = 'plain'; wanted 'soft'"),
        ({"loss": "hard"}, "'soft', 'masked' or 'plain'"),
        ({"ray_address": "ray://head:6379"}, r"ray_address: .*wanted host:port of a cluster"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: Settings, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FinetuneConfig.parse(settings, source="pipeline.toml")
