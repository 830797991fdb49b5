"""What fine-tuning reads from a catalog, and that nothing of the test part is in it."""

import threading
import time
import tracemalloc
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from prodemb.catalog.images import ImageLoader, ImagesConfig
from prodemb.catalog.reader import CatalogConfig, open_catalog
from prodemb.core.errors import OutputError
from prodemb.finetune import data
from prodemb.finetune.data import LabelledProducts, read_labelled_products, read_pictures
from prodemb.heads.split import TEST, TRAIN, VALIDATION, groups_of, split_of
from prodemb.shards.labels import GivenLabels
from prodemb.taxonomy.gold import tell_gold
from prodemb.taxonomy.taxonomy import Taxonomy
from prodemb.towers.image import ImagePreprocessor
from tests.conftest import fill, jpeg
from tests.picture_server import PictureServer, running_server

TAXONOMY = Taxonomy(paths={1: "Home", 2: "Home > Mugs", 3: "Shoes"})
NUM_PRODUCTS = 60
TITLES = [f"thing {i}" for i in range(NUM_PRODUCTS)]
IDS = [f"p{i}" for i in range(NUM_PRODUCTS)]
PARTS = split_of(groups_of(pl.Series(TITLES), pl.Series(IDS)))
PREPROCESSOR = ImagePreprocessor(size=16, crop=(16, 16), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def write(
    folder: Path, *, categories: list[str | None], pictures: list[bytes | None], parts: list[str] | None = None
) -> Path:
    frame = pl.DataFrame(
        {
            "product_id": IDS,
            "title": TITLES,
            "brand": [" " if i % 2 else "Acme" for i in range(NUM_PRODUCTS)],
            "image": pictures,
            "google_category_id": categories,
            "part": parts or ["train"] * NUM_PRODUCTS,
        }
    )
    frame.write_parquet(folder / "catalog.parquet")
    return folder / "catalog.parquet"


def read(catalog: Path, *, split: str | None = None) -> LabelledProducts:
    with ImageLoader(ImagesConfig(), root=catalog.parent) as loader:
        opened = open_catalog(CatalogConfig(path=str(catalog), split=split))
        return read_labelled_products(opened, taxonomy=TAXONOMY, loader=loader)


def categories() -> list[str | None]:
    names = ["2", "Shoes", None, "home>mugs", "77"]
    return [names[i % 5] for i in range(NUM_PRODUCTS)]


def test_labelled_products_of_training_and_validation_are_read_in_order(tmp_path: Path) -> None:
    products = read(write(tmp_path, categories=categories(), pictures=[None] * NUM_PRODUCTS))
    labelled = [i for i in range(NUM_PRODUCTS) if i % 5 in (0, 1, 3) and PARTS[i] != TEST]
    assert products.indices.tolist() == labelled
    assert products.texts["title"].to_pylist() == [TITLES[i] for i in labelled]
    assert [products.classes[c].path for c in products.index] == [
        "Shoes" if i % 5 == 1 else "Home > Mugs" for i in labelled
    ]
    assert set(products.texts["brand"].to_pylist()) == {None, "Acme"}
    assert products.train.tolist() == [n for n, i in enumerate(labelled) if PARTS[i] == TRAIN]
    assert products.validation.tolist() == [n for n, i in enumerate(labelled) if PARTS[i] == VALIDATION]


def test_gold_categories_of_another_version_are_told_as_training_the_head_tells_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = ["3", "Home > Mugs > Blue mugs", "2 - Home > Cups", "77"]
    path = write(tmp_path, categories=[names[i % 4] for i in range(NUM_PRODUCTS)], pictures=[None] * NUM_PRODUCTS)
    gold = read(path).gold
    assert not caplog.text
    tell_gold(gold, taxonomy_name="taxonomy", where=str(path))
    said = "15 products with a google_category_id that"
    assert f"{said} is not in taxonomy: '77'; they are left out: give the taxonomy they are from" in caplog.text
    assert f"{said} taxonomy has no more (it counts as the nearest node above): 'Home > Mugs > Blue" in caplog.text
    assert f"{said} taxonomy has under another name (its id decides): '2 - Home > Cups'" in caplog.text


def test_the_test_part_has_no_influence_but_on_the_rows_hash(tmp_path: Path) -> None:
    plain = read(write(tmp_path, categories=categories(), pictures=[None] * NUM_PRODUCTS))
    changed = ["3" if PARTS[i] == TEST else label for i, label in enumerate(categories())]
    other = read(write(tmp_path, categories=changed, pictures=[None] * NUM_PRODUCTS))
    assert other.texts == plain.texts
    assert other.index.tolist() == plain.index.tolist()
    assert other.classes == plain.classes
    assert other.catalog_hash != plain.catalog_hash


def test_what_the_catalog_holds_out_is_not_read(tmp_path: Path) -> None:
    parts = ["test" if i % 3 == 0 else "train" for i in range(NUM_PRODUCTS)]
    path = write(tmp_path, categories=["2", "3"] * 30, pictures=[None] * NUM_PRODUCTS, parts=parts)
    products, by_hash = read(path, split="part"), read(path)
    assert products.indices.tolist() == [i for i in range(NUM_PRODUCTS) if i % 3]
    assert products.catalog_hash != by_hash.catalog_hash
    assert len(products.validation) > 0
    assert len(products.test_hashes) == 20
    # By the hash others are held out: of those, some are learned from now.
    assert np.isin(by_hash.test_hashes, products.row_hashes).any()


def test_reading_holds_few_python_objects_a_product(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts and hashes are arrays, which tracemalloc sees only in part: seven strings would be 500 bytes."""
    num = 4000
    frame = pl.DataFrame(
        {
            "product_id": [f"p{i}" for i in range(num)],
            "title": [f"thing {i}" for i in range(num)],
            "description": [f"the thing number {i}" for i in range(num)],
            "google_category_id": [["2", "3"][i % 2] for i in range(num)],
        }
    )
    frame.write_parquet(tmp_path / "catalog.parquet")
    whole = read(tmp_path / "catalog.parquet")
    monkeypatch.setattr(data, "READ_ROWS", 50)
    tracemalloc.start()
    try:
        products = read(tmp_path / "catalog.parquet")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(products.row_hashes, whole.row_hashes)
    assert peak / num < 200


def test_pictures_go_with_their_products_and_broken_ones_are_absent(tmp_path: Path) -> None:
    pictures = [None if i % 4 == 1 else b"broken" if i % 4 == 2 else jpeg(i) for i in range(NUM_PRODUCTS)]
    path = write(tmp_path, categories=categories(), pictures=pictures)
    products = read(path)
    for most_bytes in (10**9, 0):
        with ImageLoader(ImagesConfig(), root=tmp_path) as loader:
            decoded = read_pictures(
                open_catalog(CatalogConfig(path=str(path))),
                products=products,
                loader=loader,
                preprocessor=PREPROCESSOR,
                most_bytes=most_bytes,
                scratch=tmp_path,
            )
        assert isinstance(decoded.pixels, np.memmap) == (most_bytes == 0)
        assert decoded.present.tolist() == [i % 4 in (0, 3) for i in products.indices]
        for place, i in enumerate(products.indices.tolist()):
            if decoded.present[place]:
                np.testing.assert_array_equal(decoded.pixels[place], PREPROCESSOR.decode(jpeg(i)))
    assert [path.name for path in tmp_path.iterdir()] == ["catalog.parquet"]


def test_a_picture_that_makes_a_library_fail_is_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, categories=categories(), pictures=[jpeg(i) for i in range(NUM_PRODUCTS)])
    products = read(path)
    bad = int(products.indices[3])
    decode = ImagePreprocessor.decode

    def fails_on_one(self: ImagePreprocessor, data: bytes) -> np.ndarray:
        if data == jpeg(bad):
            raise KeyError("nobody thought of this")
        return decode(self, data)

    monkeypatch.setattr(ImagePreprocessor, "decode", fails_on_one)
    with ImageLoader(ImagesConfig(), root=tmp_path) as loader:
        decoded = read_pictures(
            open_catalog(CatalogConfig(path=str(path))),
            products=products,
            loader=loader,
            preprocessor=PREPROCESSOR,
            most_bytes=10**9,
            scratch=tmp_path,
        )
    assert np.flatnonzero(~decoded.present).tolist() == [3]


def test_a_host_that_does_not_answer_holds_up_no_other(tmp_path: Path) -> None:
    with running_server() as slow:
        fast = slow.replace("127.0.0.1", "localhost")
        seeds = range(200, 200 + NUM_PRODUCTS)
        addresses = [f"{slow}/held/{n}" if n < 240 else f"{fast}/jpeg/{n}" for n in seeds]
        path = tmp_path / "catalog.csv"
        frame = pl.DataFrame({"product_id": IDS, "title": TITLES, "image": addresses})
        frame.with_columns(google_category_id=pl.Series(categories())).write_csv(path)
        products = read(path)
        quick = [f"/jpeg/{200 + i}" for i in products.indices if i >= 40]
        assert len(products.index) - len(quick) > 16
        told: list[bool] = []

        def open_gate() -> None:
            until = time.monotonic() + 8
            while not all(PictureServer.asked[name] for name in quick) and time.monotonic() < until:
                time.sleep(0.01)
            told.append(all(PictureServer.asked[name] for name in quick))
            PictureServer.gate.set()

        PictureServer.gate.clear()
        opener = threading.Thread(target=open_gate)
        opener.start()
        try:
            images = ImagesConfig(concurrency=4, host_share=0.5, allow_private_hosts=True, timeout_s=60)
            with ImageLoader(images, root=tmp_path) as loader:
                decoded = read_pictures(
                    open_catalog(CatalogConfig(path=str(path))),
                    products=products,
                    loader=loader,
                    preprocessor=PREPROCESSOR,
                    most_bytes=10**9,
                    scratch=tmp_path,
                )
        finally:
            opener.join()
    assert told == [True]
    assert decoded.present.all()
    for place, i in enumerate(products.indices.tolist()):
        np.testing.assert_array_equal(decoded.pixels[place], PREPROCESSOR.decode(jpeg(200 + i)))


def test_pictures_that_do_not_fit_the_disk_are_an_error_and_no_signal(tmp_path: Path, small_disk: Path) -> None:
    path = write(tmp_path, categories=categories(), pictures=[jpeg(i) for i in range(len(categories()))])
    products = read(path)
    fill(small_disk, leave=8192)
    found = f"{small_disk}: cannot be written: No space left on device, wanted room for "
    with ImageLoader(ImagesConfig(), root=tmp_path) as loader, pytest.raises(OutputError, match=found):
        read_pictures(
            open_catalog(CatalogConfig(path=str(path))),
            products=products,
            loader=loader,
            preprocessor=PREPROCESSOR,
            most_bytes=0,
            scratch=small_disk,
        )


def test_labels_of_a_file_stand_in_place_of_the_catalog_s(tmp_path: Path) -> None:
    catalog = write(tmp_path, categories=[None, "2", *["3"] * 58], pictures=[None] * NUM_PRODUCTS)
    frame = pl.DataFrame(
        {"product_id": ["p0", "p1"], "google_category_id": ["Home > Mugs", "1"], "brand_label": [None, None]},
        schema_overrides={"brand_label": pl.String},
    )
    opened = open_catalog(CatalogConfig(path=str(catalog)))
    with ImageLoader(ImagesConfig(), root=tmp_path) as loader:
        products = read_labelled_products(
            opened, taxonomy=TAXONOMY, loader=loader, given=GivenLabels(frame=frame, source="labels.csv")
        )
    own = read(catalog)
    assert products.catalog_hash != own.catalog_hash
    found = dict(zip(products.indices, [products.classes[i].id for i in products.index], strict=True))
    wanted = {i: node for i, node in enumerate([2, 1, *[3] * 58]) if PARTS[i] != TEST}
    assert found == wanted
