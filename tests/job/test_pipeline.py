"""Pipeline files: every shipped one parses, and every mistake is named with its file."""

from pathlib import Path

import pytest

from prodemb.core.errors import ConfigError
from prodemb.job.pipeline import Pipeline, own_pipeline, read_pipeline

SHIPPED = sorted((Path(__file__).parents[2] / "pipelines").glob("*.toml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_every_shipped_pipeline_parses_and_says_how_to_run_it(path: Path) -> None:
    assert read_pipeline(path).target == path.stem
    assert path.read_text().splitlines()[0] == f"# prodemb run pipelines/{path.name}"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_pipelines_say_what_the_defaults_are(path: Path) -> None:
    shipped, defaults = read_pipeline(path), Pipeline(target="brand")
    assert shipped.catalog == defaults.catalog
    assert shipped.embed == defaults.embed
    assert shipped.brands == defaults.brands
    quicker = shipped.finetune.model_copy(update={"epochs": 16, "batch_size": 128})
    assert quicker == defaults.finetune
    assert shipped.head_folder == Pipeline(target=shipped.target).head_folder


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("target = ", "not a TOML file"),
        (f"target = {'9' * 5000}", "not a TOML file: found a number of thousands of digits"),
        (f'target = "brand"\n[score]\nmin_brand_confidence = {"9" * 4000}', "not a TOML file: found a number of 13"),
        ('target = "brand"\n[head]\nhidden_layer_sizes = [9, 70000]', "wanted at most 64 widths from 1 to 65,536"),
        ('target = "brand"\n[aggregate]\nweights = {title = inf}', "found inf, wanted a finite number"),
        (f'target = "{"x" * 5000}"', r"p\.toml: target: found 'x{199}\.\.\., wanted"),
        ("", r"p\.toml: target: .*wanted"),
        ('target = "colour"', r"p\.toml: target: found 'colour', wanted 'category' or 'brand'"),
        ('target = "brand"\n[embedd]\n', r"p\.toml: embedd: no such key; did you mean 'embed'\?"),
        ('target = "brand"\n[embed]\nmodle = "x"', r"p\.toml: \[embed\] modle: no such key; did you mean 'model'\?"),
        ('target = "brand"\n[train.feature_dropout]\ntitle = 2', r"\[train\.feature_dropout\] title: found 2, wanted"),
        ('target = "brand"\n[finetune]\nshards = "shards/clip"', r"are both 'shards/clip'; wanted two folders"),
        (
            'target = "brand"\n[score]\nout = "s3://key:secret@bucket/out.parquet"',
            r"p\.toml: \[score\] out: an address that begins with s3:// holds '@' before its bucket, [^:]*, s3://bucket/",
        ),
        ('target = "brand"\n[score]\nout = "https://x/?secret"', r"\[score\] out: found a URL, wanted a local path$"),
        (
            'target = "brand"\n[predict]\ncache = "s3://shop/cache"',
            r"\[predict\] cache: found an address, wanted a local path; addresses may stand in \[catalog\] path",
        ),
        ('target = "brand"\n[catalog]\ncolumns = {titel = "x"}', r"found the column 'titel'; did you mean 'title'"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "p.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        read_pipeline(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_hints_at_close_names(tmp_path: Path) -> None:
    (tmp_path / "brand.toml").write_text('target = "brand"')
    with pytest.raises(ConfigError, match=r"brnd\.toml: no such pipeline file; did you mean .*brand\.toml\?"):
        read_pipeline(tmp_path / "brnd.toml")


def test_the_project_s_own_pipeline_or_all_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert own_pipeline("brand") == Pipeline(target="brand")
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "brand.toml").write_text('target = "brand"\n[embed]\nmodel = "x/y"')
    assert own_pipeline("brand").embed.model == "x/y"
    (tmp_path / "pipelines" / "category.toml").write_text('target = "brand"')
    with pytest.raises(ConfigError, match="found 'brand', wanted 'category'"):
        own_pipeline("category")


def test_replaced_settings_are_checked_and_none_changes_nothing() -> None:
    pipeline = Pipeline(target="brand")
    assert pipeline.replaced({"embed": {"model": None}}, source="x") == pipeline
    changed = pipeline.replaced({"embed": {"model": "a/b", "out": None}}, source="x")
    assert (changed.embed.model, changed.embed.out) == ("a/b", pipeline.embed.out)
    with pytest.raises(ConfigError, match=r"^command line: \[embed\] device: found 'tpu', wanted"):
        pipeline.replaced({"embed": {"device": "tpu"}}, source="command line")
