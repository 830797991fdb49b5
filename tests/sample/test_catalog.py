"""The sample catalog: determinism, breadth, habits of its partners, and its pictures."""

import hashlib
from collections import Counter
from io import BytesIO
from pathlib import Path
from random import Random

import pyarrow.parquet as pq
import pytest
from PIL import Image, UnidentifiedImageError

from prodemb.core.errors import ConfigError, OutputError
from prodemb.core.features import CATALOG_COLUMNS, PARTNER
from prodemb.core.folders import MARKER
from prodemb.sample.brands import BRAND_OF, BRANDS, MAKERS
from prodemb.sample.catalog import Product, product, write_sample
from prodemb.sample.drawings import DRAWINGS
from prodemb.sample.items import COLOURS, make_item
from prodemb.sample.kinds import KIND_OF, KINDS
from prodemb.sample.partners import JUNK_BRANDS, PARTNERS, Partner, list_item
from prodemb.sample.pictures import SIZE, Look, render
from prodemb.sample.texts import misspell
from prodemb.taxonomy.taxonomy import sample_taxonomy


@pytest.fixture(scope="module")
def made() -> list[Product]:
    return [product(index, seed=5) for index in range(1200)]


def test_every_kind_is_a_leaf_with_words_brands_and_drawings() -> None:
    taxonomy = sample_taxonomy()
    assert len(KINDS) >= 48
    assert len(KIND_OF) == len(KINDS)
    assert set(taxonomy.leaves) == set(KIND_OF) == set(DRAWINGS)
    assert len(taxonomy.roots) >= 10
    assert all(len(MAKERS[kind.category]) >= 4 for kind in KINDS)


def test_brands_are_many_and_some_are_close() -> None:
    assert len(BRANDS) >= 80
    assert len(BRAND_OF) == len(BRANDS)
    assert {"Lumo", "Luma", "Norvik", "Norvig"} <= set(BRAND_OF)
    assert {brand.name for makers in MAKERS.values() for brand in makers} == set(BRAND_OF)


def test_partners_shares_sum_to_one() -> None:
    assert sum(partner.share for partner in PARTNERS) == pytest.approx(1)


def test_a_product_depends_on_seed_and_index_alone(tmp_path: Path) -> None:
    small = write_sample(tmp_path / "small", num_products=20, seed=5)
    large = write_sample(tmp_path / "large", num_products=60, seed=5)
    rows = pq.read_table(large).to_pylist()
    assert pq.read_table(small).to_pylist() == rows[:20]
    assert [product(index, seed=5).row for index in range(60)] == rows
    for row in rows[:20]:
        if row["image"] and (small.parent / row["image"]).exists():
            assert (small.parent / row["image"]).read_bytes() == (large.parent / row["image"]).read_bytes()


def test_two_runs_write_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    first, again, other = (
        write_sample(tmp_path / name, num_products=30, seed=seed) for name, seed in (("a", 7), ("b", 7), ("c", 8))
    )
    assert _digest(first.parent) == _digest(again.parent)
    assert _digest(first.parent) != _digest(other.parent)


def test_the_same_sample_is_not_written_again_and_another_is(tmp_path: Path) -> None:
    catalog = write_sample(tmp_path, num_products=10, seed=1)
    before = catalog.stat().st_mtime_ns
    assert write_sample(tmp_path, num_products=10, seed=1) == catalog
    assert catalog.stat().st_mtime_ns == before
    write_sample(tmp_path, num_products=12, seed=1)
    assert pq.read_metadata(catalog).num_rows == 12


def test_the_catalog_has_the_standard_columns(tmp_path: Path) -> None:
    catalog = write_sample(tmp_path, num_products=5, seed=5)
    assert tuple(pq.read_schema(catalog).names) == (*CATALOG_COLUMNS, PARTNER)
    assert sorted(path.name for path in tmp_path.iterdir()) == [MARKER, "catalog.parquet", "images"]


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "catalog.parquet").write_bytes(b"mine")
    with pytest.raises(OutputError, match="holds what prodemb did not make"):
        write_sample(tmp_path, num_products=5, seed=5)
    assert (tmp_path / "catalog.parquet").read_bytes() == b"mine"
    assert [*(tmp_path / "images").iterdir()] == []


def test_no_products_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="products: found 0, wanted at least 1"):
        write_sample(tmp_path, num_products=0, seed=5)


def test_labels_are_real_and_long_tailed(made: list[Product]) -> None:
    taxonomy = sample_taxonomy()
    categories = Counter(each.row["google_category_id"] for each in made)
    brands = Counter(each.row["brand_label"] for each in made)
    assert all(taxonomy.resolve(category or "") in taxonomy.leaves for category in categories)
    assert len(categories) >= 70
    assert len(brands) >= 100
    assert set(brands) - {None} <= set(BRAND_OF)
    assert categories.most_common(1)[0][1] > 8 * min(categories.values())
    assert brands.most_common(1)[0][1] > 8 * min(brands.values())


def test_ids_are_unique_and_every_product_has_a_title(made: list[Product]) -> None:
    assert len({each.row["product_id"] for each in made}) == len(made)
    assert all(each.row["title"] for each in made)
    texts = [value for each in made for value in each.row.values() if value is not None]
    assert all(text == text.strip() and "  " not in text for text in texts)


def test_supplied_values_are_missing_and_wrong_as_partners_make_them(made: list[Product]) -> None:
    missing = Counter(name for each in made for name, value in each.row.items() if value is None)
    assert 0.1 < missing["description"] / len(made) < 0.4
    assert 0.1 < missing["brand"] / len(made) < 0.4
    assert missing["cat2"] < missing["cat3"]
    assert 0 < missing["image"] / len(made) < 0.1
    assert missing["google_category_id"] == 0
    supplied = Counter(each.row["brand"] for each in made)
    assert sum(supplied[junk] for junk in JUNK_BRANDS) > 20
    assert sum(count for brand, count in supplied.items() if brand in BRAND_OF) < 0.7 * len(made)


def test_about_a_third_of_the_titles_do_not_name_the_kind(made: list[Product]) -> None:
    def names_kind(each: Product) -> bool:
        kind = KIND_OF[int(each.row["google_category_id"] or "")]
        title = (each.row["title"] or "").casefold()
        return any(word.casefold() in title for word in (*kind.english, *kind.french))

    assert 0.6 < sum(map(names_kind, made)) / len(made) < 0.8


def test_pictures_are_jpegs_but_for_a_few(made: list[Product]) -> None:
    lost, cut = 0, 0
    for each in made:
        if each.picture is None:
            lost += each.row["image"] is not None
            continue
        try:
            with Image.open(BytesIO(each.picture)) as image:
                assert image.size == (SIZE, SIZE)
                image.load()
        except (OSError, UnidentifiedImageError):
            cut += 1
    assert 0 < lost < 0.03 * len(made)
    assert 0 < cut < 0.02 * len(made)


def test_relisted_products_share_their_picture(made: list[Product]) -> None:
    pictures = Counter(each.picture for each in made if each.picture)
    assert sum(count > 1 for count in pictures.values()) > 10


@pytest.mark.parametrize("partner", PARTNERS, ids=lambda partner: partner.name)
def test_every_partner_lists_any_item(partner: Partner) -> None:
    for index in range(200):
        listing = list_item(make_item(f"test/{index}"), partner=partner, rng=Random(index))
        assert listing.title


@pytest.mark.parametrize("category", DRAWINGS)
def test_every_drawing_can_be_told_from_the_background(category: int) -> None:
    look = Look(category=category, colour=COLOURS[2].rgb, logo=("disc", (230, 120, 0)))
    for number in range(3):
        picture = render(look, shape=Random(number), photo=Random(number))
        with Image.open(BytesIO(picture)) as image:
            assert len(set(image.convert("L").tobytes())) > 20


@pytest.mark.parametrize("text", ["", "a", "1-2", "ab", "Norvik"])
def test_misspelling_any_text(text: str) -> None:
    spelt = misspell(text, rng=Random(1))
    assert abs(len(spelt) - len(text)) <= 1
    assert spelt == text or len(text) > 2


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()
