"""The header is found below title lines and among rows of labels."""

import pytest

from prodemb.catalog.formats.header import find_header

DATA = [
    ["A1", "Blue Mug", "Acme", "https://x.example/1.jpg", "3.00"],
    ["A2", "Cup", "Bolt", "https://x.example/2.jpg", "4"],
]
NAMES = ["sku", "title", "brand", "image_link", "price"]
LABELS = ["Seller SKU", "Product Name", "Brand Name", "Main Image URL", "Standard Price"]
MACHINE = ["item_sku", "item_name", "brand_name", "main_image_url", "standard_price"]


def blank(*first: str) -> list[str]:
    return [*first, *[""] * (5 - len(first))]


@pytest.mark.parametrize(
    ("above", "names", "below"),
    [
        ([], NAMES, []),
        ([blank("Price list for partners")], NAMES, []),
        ([["Price list for partners"], ["Spring, as of 3 November 2025"], [""]], NAMES, []),
        ([blank("Shop:", "Example", "Date:", "2025-11-03"), blank()], NAMES, []),
        ([["# Required | The id", "# Required | Name", "# Optional", "# Required", "# Required"]], NAMES, []),
        ([["TemplateType=x", "Version=2025.1", "Leave these rows.", "", ""], LABELS], MACHINE, []),
        ([], MACHINE, [LABELS]),
        ([LABELS], MACHINE, [["Required", "Required", "Optional", "Optional", "Required"]]),
        ([], NAMES, [["string", "string", "string", "URL", "number"]]),
        ([], NAMES, [["e.g. SKU-1", "e.g. Mug", "e.g. Acme", "e.g. https://x", "e.g. 3.00"]]),
        ([], ["Артикул", "Наименование", "Бренд", "Фото", "Цена, руб."], []),
        ([["Прайс-лист", "", "", "", ""]], ["Артикул", "Название товара", "Марка", "Картинка", "Цена"], []),
        ([], ["商品コード", "商品名", "メーカー", "画像URL", "税込価格"], []),
        ([], ["Art.-Nr.", "Bezeichnung", "Hersteller", "Bild-URL 1", "VK brutto (€)"], []),
        ([], ["κωδ", "όνομα", "μάρκα", "εικόνα", "τιμή"], []),
    ],
)
def test_header(above: list[list[str]], names: list[str], below: list[list[str]]) -> None:
    header = find_header([*above, names, *below, *DATA])
    assert header is not None
    assert (header.row, header.names) == (len(above), tuple(names))
    assert header.first_data == len(above) + 1 + len(below)
    told = [place for place, record in enumerate([*above, names, *below]) if any(record) and place != header.row]
    assert header.labels == tuple(told)


def test_a_first_product_that_looks_like_names_is_a_product() -> None:
    records = [["name", "brand", "category"], ["Mug", "Acme", "Kitchen"], ["Title", "Bolt", "Books"]]
    header = find_header(records)
    assert header is not None
    assert (header.row, header.first_data) == (0, 1)


def test_a_table_without_a_header_keeps_its_first_row() -> None:
    header = find_header(DATA)
    assert header is not None
    assert (header.row, header.first_data, header.names[0]) == (None, 0, "column_1")


def test_numbers_among_known_names() -> None:
    header = find_header([["sku", "title", "2023", "2024"], ["A1", "Mug", "1", "2"], ["A2", "Cup", "3", "4"]])
    assert header is not None
    assert header.names == ("sku", "title", "2023", "2024")


def test_row_numbers_without_a_name_come_first() -> None:
    rows = [[str(number), f"A{number}", "Mug"] for number in range(1, 6)]
    header = find_header([["sku", "title"], *rows])
    assert header is not None
    assert header.names == ("column_1", "sku", "title")


def test_trailing_delimiters_of_all_rows_name_no_column() -> None:
    header = find_header([[*NAMES, ""], *([*row, ""] for row in DATA)])
    assert header is not None
    assert header.names == tuple(NAMES)


def test_nothing_has_no_header() -> None:
    assert find_header([]) is None
    assert find_header([["", " "]]) is None
