"""Names of columns are read by their words, in whatever script."""

import pytest

from prodemb.catalog.names import plain_words, read_name


@pytest.mark.parametrize(
    ("name", "roles"),
    [
        ("product_id", "product id"),
        ("productDisplayName", "product name"),
        ("Product Code/SKU", "product code id"),
        ("Google Shopping / Google Product Category", "google google product category"),
        ("Artikelbezeichnung", "product title"),
        ("Artikel-Nr.", "product code"),
        ("Bild-URL 1", "image url"),
        ("Sous-catégorie", "sub category"),
        ("Référence", "id"),
        ("Ürün Adı", "product name"),
        ("Nazwa produktu", "name product"),
        ("Категория", "category"),
        ("商品コード", "product code"),
        ("画像URL", "image url"),
        ("产品名称", "product name"),
        ("一级类目", "category"),
        ("상품명", "product name"),
        ("custom_label_0", "custom maker"),
        ("brands", "brand"),
        ("xyz", ""),
    ],
)
def test_words_stand_for_roles(name: str, roles: str) -> None:
    assert " ".join(read_name(name).roles) == roles


def test_numbers_are_kept() -> None:
    assert [read_name(name).number for name in ("cat1", "Warengruppe 2", "二级分类", "brand")] == [1, 2, 2, None]
    assert plain_words("IMAGELink_2") == ("image", "link", "2")
