"""What is shown of a new catalog: the guessed columns, and what is missing for good predictions."""

import re
from pathlib import Path

import polars as pl

from prodemb.cli.report.init import guess_lines
from prodemb.job.init import guess
from tests.job.own_catalog import PRODUCTS, write


def test_guessed_and_unused_columns_are_listed(tmp_path: Path) -> None:
    lines = list(guess_lines(guess(write(tmp_path))))
    assert lines[0].split() == "Artikelnummer -> product_id (by its name, each row has its own)".split()
    assert "not found: description, cat2, cat3, brand_label" in lines
    assert "not used: Preis" in lines
    assert f"pictures found in {tmp_path}/fotos" in lines


def test_missing_gold_labels_and_brands_are_named(tmp_path: Path) -> None:
    lines = list(guess_lines(guess(write(tmp_path, PRODUCTS.drop("google_product_category", "Marke")))))
    assert any("categories will be zero-shot" in line for line in lines)
    assert any("no brand head can be trained" in line for line in lines)


def test_categories_that_the_bundled_taxonomy_lacks_are_counted(tmp_path: Path) -> None:
    lacking = PRODUCTS.with_columns(google_product_category=pl.Series(["187", "1985"] * 20))
    lines = list(guess_lines(guess(write(tmp_path, lacking))))
    assert any(
        re.match(r"20 of the first 40 values .* `prodemb taxonomy FILE`, which downloads it", line) for line in lines
    )
    known = PRODUCTS.with_columns(google_product_category=pl.lit("187"))
    assert not any("would be ignored" in line for line in guess_lines(guess(write(tmp_path, known))))
