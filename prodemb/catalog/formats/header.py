"""Where a table's header is, and which rows around it are labels or remarks: title lines, label rows, requirements."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from prodemb.catalog.formats.source import unique_names
from prodemb.core.text import is_whole_number

NUM_LOOKED_AT = 40
"""Records at the start of a table among which the header is looked for."""
_MAX_NAME_LENGTH = 80
_NUM_CELLS = 300
"""Cells of a row that are looked at."""

_NAME_WORDS = frozenset(
    """
    id ids sku skus asin gtin gtins ean eans upc isbn mpn barcode code number no nr ref reference item items product
    products article offer variant parent group handle title titles name names label headline description descriptions
    desc text body short long summary details bullet bullets point points feature features keyword keywords brand brands
    manufacturer maker vendor supplier producer category categories department type types class path breadcrumb taxonomy
    level collection section image images picture pictures photo photos img thumbnail url urls link links src main other
    additional google price prices cost currency sale msrp rrp list availability stock quantity qty inventory condition
    color colour size sizes material weight width height length depth dimensions gender age country language market
    status visible active created updated date tag tags custom url_key slug model series pattern shipping tax rating
    artikel artikelnummer artikelnr bezeichnung artikelbezeichnung produkt produktname titel beschreibung langtext
    kurztext marke hersteller kategorie warengruppe bild bilder bildurl preis lager menge farbe grösse größe gewicht
    référence reference désignation designation libellé libelle titre nom produit descriptif marque fabricant rayon
    catégorie categorie sous rubrique photo image lien prix stock quantité taille couleur poids
    código codigo nombre producto título titulo descripción descripcion marca fabricante categoría categoria imagen
    precio foto referencia codice nome prodotto titolo descrizione produttore immagine prezzo artigo produto descrição
    imagem preço indeks nazwa opis marka producent kategoria zdjęcie cena artikelcode omschrijving merk fabrikant
    categorie afbeelding prijs naam kod název popis značka výrobce obrázek artikelnamn varumärke bild pris beskrivning
    ürün adı açıklama görsel fiyat nimi kuvaus varenummer navn mærke merke billede bilde
    артикул код наименование название товар имя бренд марка производитель категория раздел группа описание фото
    картинка изображение изображения ссылка цена остаток наличие количество цвет размер вес штрихкод
    назва опис виробник категорія     ціна зображення
    """.split()
)
"""Words that column names are made of, in the languages that feeds come in."""
_NAME_SIGNS = (
    "商品 品名 品番 型番 番号 コード 名称 タイトル メーカー ブランド カテゴリ 分類 説明 画像 価格 税込 税抜 在庫 数量"
    " サイズ 编号 编码 名称 标题 品牌 类别 分类 类目 描述 简介 图片 图像 价格 库存 厂家 制造商 型号 规格 編號 名稱 標題"
    " 類別 圖片 價格 상품 품명 코드 이름 브랜드 제조사 카테고리 분류 설명 이미지 가격 재고"
).split()
"""The same for scripts without spaces."""
_DEMANDS = frozenset(
    "required optional recommended preferred mandatory conditional desired conditionally obligatory pflichtfeld pflicht"
    " optional: obligatoire facultatif recommandé obligatorio opcional obbligatorio facoltativo string text number"
    " integer boolean decimal float date url varchar".split()
)
_EXAMPLE = re.compile(
    r"^\W*(?:(?:example|sample|beispiel|exemple|ejemplo|esempio|пример)\b|e\.\s?g\.|eg\.|z\.\s?b\.|p\.\s?ex\.)",
    re.IGNORECASE,
)
_URL = re.compile(r"^\s*(https?:)?//|^\s*www\.", re.IGNORECASE)
_NUMBER = re.compile(r"^\W*\d[\d.,:/\-\s]*\W*([A-Z]{3})?$|^[A-Z]{3}\s[\d.,]+$")
_WORDS = re.compile(r"[^\W_]+")
_FOR_PROGRAMS = re.compile(r"^[a-z0-9_:.#\[\]-]+$")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


@dataclass(frozen=True)
class Header:
    """A table's column names and the rows that belong to them."""

    row: int | None
    """Index of the record with the names, from 0; None where the table has only data."""
    names: tuple[str, ...]
    first_data: int
    """Index of the first record that may be a product."""
    labels: tuple[int, ...]
    """Indices of the records before `first_data` that are labels, title lines, remarks or requirements."""


def find_header(records: Sequence[Sequence[str]]) -> Header | None:
    """The header among a table's first records; None where no record has a value.

    The first row that looks like names is the header. Where other rows of names stand beside it (a template's labels
    above or below its field names), it is the one with the most names that are known, and of two alike the one whose
    names are for programs, or else the lower.
    """
    records = records[:NUM_LOOKED_AT]
    filled = [sum(1 for cell in record if cell.strip()) for record in records]
    if not any(filled):
        return None
    width = _usual_width(records, filled)
    wide_enough = max(min(width, 2), (width + 1) // 2)
    first = next(
        (place for place, record in enumerate(records) if filled[place] >= wide_enough and _is_row_of_names(record)),
        None,
    )
    if first is None:
        # Names among which are numbers ("2024") or other things that no name is.
        first = next(
            (
                place
                for place, record in enumerate(records)
                if filled[place] >= wide_enough and sum(map(is_known, record[:_NUM_CELLS])) > 1 + 0.2 * filled[place]
            ),
            None,
        )
    if first is None:
        start = next(place for place, count in enumerate(filled) if count >= min(wide_enough, max(filled)))
        names = unique_names("" for _ in range(max(width, len(records[start]))))
        return Header(None, names, start, tuple(place for place in range(start) if filled[place]))
    # Where a remark looks like names, known names below it are better.
    known = {
        place: known_share(record)
        for place, record in enumerate(records)
        if place >= first and filled[place] >= wide_enough and _is_row_of_names(record)
    }
    first = next((place for place, share in known.items() if share >= max(0.5, known[first] + 0.3)), first)
    rows_of_names = [first]
    for place in range(first + 1, min(first + 4, len(records))):
        if filled[place] >= wide_enough and _is_row_of_labels(records[place], records[first]):
            rows_of_names.append(place)
        elif not _is_row_of_demands(records[place]):
            break
    row = max(
        rows_of_names, key=lambda place: (round(known_share(records[place]), 1), _for_programs(records[place]), place)
    )
    first_data = rows_of_names[-1] + 1
    while first_data < len(records) and filled[first_data] and _is_row_of_demands(records[first_data]):
        first_data += 1
    own = list(records[row])
    after = [record for record in records[first_data:] if any(cell.strip() for cell in record)]
    # A header that ends with delimiters, as its rows do.
    while len(own) > 1 and not own[-1].strip() and not any(_filled_at(each, len(own) - 1) for each in after):
        own.pop()
    own = _with_row_numbers(own, after)
    labels = tuple(place for place in range(first_data) if filled[place] and place != row)
    return Header(row, unique_names(own), first_data, labels)


def _usual_width(records: Sequence[Sequence[str]], filled: Sequence[int]) -> int:
    """Cells with a value that a row usually has: of the wider rows, the most frequent, so that remarks do not count."""
    counts = Counter(count for count in filled if count)
    widest = max(counts)
    wide = [count for count in counts.elements() if count * 2 >= widest]
    return sorted(wide)[len(wide) // 2] if wide else widest


def _is_row_of_names(record: Sequence[str]) -> bool:
    cells = [cell.strip() for cell in record[:_NUM_CELLS] if cell.strip()]
    if not cells or _is_row_of_demands(record):
        return False
    if any(_URL.match(cell) for cell in cells):
        return False
    names = sum(map(_may_be_name, cells))
    distinct = len({cell.casefold() for cell in cells})
    if names < 0.8 * len(cells) or distinct < 0.7 * len(cells):
        return False
    # One number among names is no header of a product table unless the names are known ones ("2024", "Price 1").
    return not any(_NUMBER.match(cell) for cell in cells) or known_share(record) >= 0.4


def _may_be_name(cell: str) -> bool:
    """Whether a cell may be a column's name: short, no sentence, no address, no setting, no number, no markup."""
    if len(cell) > _MAX_NAME_LENGTH or _URL.match(cell) or _NUMBER.match(cell) or cell.startswith("#"):
        return False
    if "<" in cell or re.search(r"\w=\w|[.!?]\s+\w{2,}.*[.!?]$|[^.]\w{2}[.!]$", cell):
        return is_known(cell)
    return len(_WORDS.findall(cell)) <= 8


def is_known(cell: str) -> bool:
    words = [word.casefold() for word in _WORDS.findall(_CAMEL.sub(" ", cell))]
    words = [re.sub(r"\d+$", "", word) or word for word in words]
    if not words or len(words) > 8:
        return False
    return sum(word in _NAME_WORDS for word in words) * 2 >= len(words) or any(sign in cell for sign in _NAME_SIGNS)


def known_share(record: Sequence[str]) -> float:
    """Share of a row's cells that are made of words that column names are made of."""
    cells = [cell for cell in record[:_NUM_CELLS] if cell.strip()]
    return sum(map(is_known, cells)) / max(1, len(cells))


def _for_programs(record: Sequence[str]) -> bool:
    """Whether most names are written as programs have them: `item_sku`, not "Seller SKU"."""
    cells = [cell.strip() for cell in record[:_NUM_CELLS] if cell.strip()]
    return 2 * sum(bool(_FOR_PROGRAMS.match(cell)) for cell in cells) > len(cells)


def _is_row_of_labels(record: Sequence[str], header: Sequence[str]) -> bool:
    """Whether a row below a row of names holds names too: known ones, or the same ones in other words."""
    cells = [cell.strip() for cell in record[:_NUM_CELLS] if cell.strip()]
    if any(_URL.match(cell) or _NUMBER.match(cell) for cell in cells) or not all(map(_may_be_name, cells)):
        return False
    pairs = [(above, below) for above, below in zip(header, record, strict=False) if above.strip() and below.strip()]
    pairs = pairs[:_NUM_CELLS]
    alike = sum(bool(_stems(above) & _stems(below)) for above, below in pairs)
    share_alike, share_known = alike / max(1, len(pairs)), known_share(record)
    return share_known >= 0.7 or (share_alike >= 0.5 and share_known >= 0.4)


def _stems(name: str) -> set[str]:
    return {word.casefold()[:5] for word in _WORDS.findall(_CAMEL.sub(" ", name))}


def _is_row_of_demands(record: Sequence[str]) -> bool:
    """Whether a row says what its columns want: remarks with #, "Required", data types, examples."""
    cells = [cell.strip() for cell in record[:_NUM_CELLS] if cell.strip()]
    if not cells:
        return False
    demands = sum(cell.casefold().strip("()*[].") in _DEMANDS for cell in cells)
    remarks = sum(cell.startswith("#") for cell in cells)
    examples = sum(bool(_EXAMPLE.match(cell)) for cell in cells)
    return max(demands, remarks, examples) * 2 > len(cells) or demands + remarks + examples > 0.7 * len(cells)


def _with_row_numbers(names: list[str], after: Sequence[Sequence[str]]) -> list[str]:
    """The names, with one more where each row has one more value: first where those count up, otherwise last."""
    width = len(names)
    if len(after) < 3 or sum(len(record) == width + 1 and bool(record[-1].strip()) for record in after) < 0.9 * len(
        after
    ):
        return names
    firsts = [record[0].strip() for record in after]
    count_up = all(is_whole_number(first) for first in firsts) and all(
        int(later) == int(first) + 1 for first, later in pairwise(firsts)
    )
    return ["", *names] if count_up else [*names, ""]


def _filled_at(record: Sequence[str], place: int) -> bool:
    return len(record) > place and bool(record[place].strip())
