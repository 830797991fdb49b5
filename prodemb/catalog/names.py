"""What a column's name says about it: its words, in many languages, and what they are the words for."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

Role = Literal[
    "product",
    "id",
    "code",
    "title",
    "name",
    "description",
    "body",
    "brand",
    "maker",
    "category",
    "kind",
    "image",
    "google",
    "url",
    "path",
    "main",
    "long",
    "short",
    "sub",
    "other",
    "never",
    "price",
    "parent",
    "group",
    "gtin",
    "filler",
    "level",
    "variant",
    "gold",
    "custom",
]
"""What a word of a column's name stands for."""

WORDS: dict[Role, str] = {
    "product": (
        # The thing itself, which most names of columns say and none is told by.
        "product products item items article articles offer listing feed catalog catalogue shop goods artikel"
        " produkt produkte ware waren produit produits producto productos articulo articulos prodotto prodotti"
        " articolo produto produtos artigo producten produkter produktet vare varer vara varor tuote tuotteen"
        " produktu produktow towar towaru towary vyrobek vyrobku tovar tovaru zbozi polozka termek cikk produs"
        " produsului urun urunun mal san pham barang produk товар товара товары товаров продукт продукта продукции"
        " изделие позиция номенклатура продукту товару 商品 製品 品目 アイテム プロダクト 产品 產品 货品 貨品 宝贝"
        " 상품 제품 품목 προϊον προϊοντος προϊοντα ειδος المنتج منتج המוצר מוצר สินค้า उत्पाद"
    ),
    "id": (
        "id ids sku skus identifier identifiant identificador identificatore identyfikator idnum uniqid uuid guid"
        " артикул артикулы идентификатор ид код_товара 品番 型番 識別子 货号 貨號 编号 編號 품번 아이디 μοναδικο"
        " artnr artno asin handle handleid referenz referencia referenza reference ref riferimento indeks"
        " varenummer varenr tuotenumero tuotekoodi cikkszam artikul artikelnr bestellnummer bestellnr stokkodu"
    ),
    "code": (
        "code codes no nr num number nummer nro numero numer cislo codigo codice kod kodu koodi kode szam номер"
        " код コード 番号 代码 代碼 号 號 코드 번호 κωδικος كود رمز קוד รหัส ma mã"
    ),
    "title": (
        "title titles headline titel titre titulo titolo titlu tytul titul titulek naslov otsikko tittel rubrik"
        " cim baslik bezeichnung libelle designation intitule denominazione denominacion denominacao"
        " omschrijvingkort наименование заголовок тайтл название タイトル 件名 标题 標題 品名 제목 타이틀 τιτλος"
        " عنوان כותרת ชื่อ"
    ),
    "name": (
        "name names nom nombre nome naam navn namn nazwa nazev nazov nev nume isim ad adi nimi имя назва 名 名称"
        " 名稱 名前 이름 명 ονομα ονομασια اسم שם tên ten nama"
    ),
    "description": (
        "description descriptions desc descr beschreibung beschreibungstext langtext produkttext descripcion"
        " descrizione descricao omschrijving beschrijving beskrivelse beskrivning kuvaus opis popis leiras"
        " descriere aciklama aciklamasi descriptif описание опис 説明 説明文 描述 详情 詳情 说明 說明 介绍 介紹"
        " 설명 상세설명 περιγραφη وصف תיאור mota รายละเอียด deskripsi"
    ),
    "body": (
        "body content contents detail details about overview text texte texto testo tekst summary bullet bullets"
        " bulletpoints features feature"
    ),
    "brand": (
        "brand brands brandname marke marken markenname marque marques marca marcas merk merken marka markasi"
        " mærke maerke varemerke varumarke merkki tuotemerkki znacka brend бренд бренды марка торговая ブランド"
        " 品牌 牌子 브랜드 μαρκα ماركة العلامة מותג ยี่ห้อ thuonghieu hãng merek"
    ),
    "maker": (
        "manufacturer manufacturers maker producer vendor hersteller herst fabricante fabricant fabrikant"
        " produttore producent tillverkare produsent valmistaja vyrobce vyrobca gyarto producator uretici"
        " proizvodjac производитель изготовитель виробник поставщик メーカー 製造元 厂家 廠商 厂商 制造商 生产商"
        " 供应商 제조사 제조업체 κατασκευαστης المصنع יצרן ผู้ผลิต store label fornitore lieferant supplier"
    ),
    "category": (
        "category categories cat kat categorie categoria categorias kategorie kategorien kategoria kategori"
        " kategorier kategorisi kategorija kategoriya warengruppe warengruppen produktgruppe artikelgruppe"
        " rubrique rubriek rubryka rubro rayon breadcrumb breadcrumbs taxonomy taxonomie department departement"
        " abteilung reparto departamento sortiment luokka osasto dzial skupina avdeling avdelning varegruppe"
        " varugrupp tuoteryhma tag_category категория категории категорія раздел рубрика группа каталог カテゴリ"
        " カテゴリー 分類 分类 类目 類目 类别 類別 品类 品類 카테고리 분류 κατηγορια κατηγοριες فئة الفئة תצוגה"
        " קטגוריה หมวดหมู่ danhmuc"
    ),
    "kind": (
        "type types typ tipo tipologia soort art тип вид 種類 种类 類型 类型 종류 유형 collection collections"
        " node division classification class family famille familia famiglia familie section group_name"
        " productgroup genre"
    ),
    "image": (
        "image images img imgs picture pictures pic pics photo photos bild bilder produktbild artikelbild foto"
        " fotos fotografia fotografie imagen imagenes immagine immagini imagem imagens imagine afbeelding"
        " afbeeldingen plaatje billede bilde kuva kuvat obraz obrazek zdjecie zdjecia obrazok kep resim gorsel"
        " slika изображение изображения картинка картинки фото фотография фотографии зображення 画像 写真 イメージ"
        " 图片 圖片 主图 主圖 图像 照片 이미지 사진 εικονα φωτογραφια صورة תמונה รูปภาพ hinhanh gambar visuel"
        " cover"
    ),
    "google": "google googles gpc gcategory 谷歌 グーグル 구글 гугл",
    "url": (
        "url urls uri link links src href file filename files datei lien liens enlace enlaces collegamento"
        " fichier archivo adres adresse address baglanti ссылка ссылки файл адрес リンク 链接 鏈接 连接 地址 링크"
        " 주소 συνδεσμος رابط קישור"
    ),
    "path": (
        "path paths pfad percorso chemin ruta caminho pad sti sciezka cesta tree baum hierarchy путь パス 路径 경로"
    ),
    "main": (
        "main primary base default first haupt principal principale hoofd hoved huvud glowna glowny hlavni ana 主"
        " メイン основное основная главное главная front hauptbild hires large big original full top ober master"
        " glavna parent_top"
    ),
    "long": "long lang lange langer longue larga lunga longa html full complete plain 详细 詳細",
    "short": (
        "short kurz kurze kurzer courte court corta breve curta kort krotki kratky сокращенное краткое 短 简短 简要"
    ),
    "sub": "sub unter sous sotto subcat под nivel",
    "level": "level levels ebene niveau livello nivel poziom 级 級 レベル уровень уровня depth lvl",
    "other": (
        "additional other others alternate alternative extra weitere zusatz zusatzliche supplementaire otra otras"
        " altri gallery thumb thumbs thumbnail thumbnails small swatch swatches secondary hover zoom back"
        " дополнительные дополнительное 子 附加 副图 サムネイル サブ 추가 mini preview medium"
    ),
    "never": (
        "alt count counts rating ratings reviews review date time created updated modified published status stock"
        " quantity qty width height length size sizes weight color colour position sort order seo meta keyword"
        " keywords tag tags language locale currency tax shipping availability condition gender age material"
        " attribute attributes option options score visibility visible is has flag comment note notes bought"
        " related similar question unit units year warranty video videos cost margin discount farbe große grosse"
        " menge bestand gewicht datum preis dimension dimensions delivery barcode_type цвет размер вес количество"
        " остаток дата наличие 色 サイズ 重量 在庫 数量 颜色 尺寸 库存 色상 수량 재고 code_type hash code_set set"
        " group_id alttext"
    ),
    "price": (
        "price prices preis preise uvp vk ek brutto netto prix precio prezzo preco prijs pris hinta cena ceny ar"
        " pret fiyat fiyati msrp rrp sale cost amount цена цены стоимость ціна 価格 値段 税込価格 税込 価 价格"
        " 價格 售价 가격 판매가 τιμη سعر מחיר ราคา gia harga"
    ),
    "parent": "parent parents eltern vater padre родитель 親 父 부모 configurable variation_of",
    "group": "group gruppe groupe grupo gruppo groep grupa skupina グループ 组 組 그룹",
    "variant": "variant variants variante varianten variation variations child children option simple",
    "gtin": (
        "gtin ean upc isbn jan barcode barcodes strichcode mpn ean13 gtin13 gtin14 asin_parent штрихкод 条码 條碼"
        " バーコード 바코드 hersteller_nr part"
    ),
    "gold": "gold true canonical",
    "custom": "custom adwords ads label_0 label_1 campaign kampagne",
    "filler": (
        "the of a an and or for de du des la le les l d del della delle dello di da do dos das el los las en et y"
        " e i der die dem und zu mit van het een av og och from with in on by to 的 の を と 및 の他"
    ),
}
"""The words for each role; a word stands under its first. Accents, case and English plurals do not count."""

LETTERS_ALONE = 3
"""A shorter word is looked for only where it stands alone, or in scripts that write words without spaces."""
LETTERS_OF_AN_ENDING = 5
_LINKS = ("", "s", "n", "en", "e", "es")
"""What stands between the parts of a German, Dutch or Nordic compound."""
_ORDINAL = re.compile(r"([一二三])[级級]")
_ORDINALS = {"一": 1, "二": 2, "三": 3, "first": 1, "second": 2, "third": 3}


@dataclass(frozen=True, kw_only=True)
class Name:
    """A column's name, read."""

    words: tuple[str, ...]
    """Its words, plain: lower case and without accents; compounds stand whole."""
    roles: tuple[Role, ...]
    """What its words stand for, in their order; words that nobody knows have none."""
    unknown: tuple[str, ...]
    number: int | None = None
    """A number in it: `category 2`, `image_1`."""

    def has(self, *roles: Role) -> bool:
        """Whether any of its words stands for one of these."""
        return any(role in self.roles for role in roles)


@cache
def read_name(name: str) -> Name:
    """Read a column's name: in camelCase, snake_case or words, of several scripts, with compounds taken apart."""
    words = plain_words(name)
    roles: list[Role] = []
    unknown: list[str] = []
    number: int | None = None
    for word in words:
        if word.isdigit():
            number = int(word) if number is None and len(word) < 4 and word.isdecimal() else number
            continue
        if word in _ORDINALS:
            number = _ORDINALS[word]
            continue
        if ordinal := _ORDINAL.match(word):
            number, word = _ORDINALS[ordinal[1]], word[ordinal.end() :]
        found = _roles_of(word) if word else ()
        if found is None:
            unknown.append(word)
            found = _ending(word)
        roles += found
    return Name(words=words, roles=tuple(roles), unknown=tuple(unknown), number=number)


def plain_words(name: str) -> tuple[str, ...]:
    """The words of a name, plain: in lower case, without accents and marks, parted where script or case changes."""
    text = unicodedata.normalize("NFKC", name)
    text = re.sub(r"(?<=[a-z\d])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z]{2})", " ", text)
    words = re.findall(r"[^\W\d_]+|\d+", _plain(text))
    return tuple(part for word in words for part in _by_script(word))


def _plain(text: str) -> str:
    """Text in lower case without accents; marks of Japanese and other scripts that change a letter stay."""
    spread = unicodedata.normalize("NFKD", text.casefold())
    kept = "".join(
        mark for before, mark in zip(" " + spread, spread, strict=False) if not (_is_accent(mark) and before < "\u0500")
    )
    return unicodedata.normalize("NFC", kept).replace("ı", "i").replace("ł", "l").replace("ø", "o").replace("đ", "d")


def _is_accent(mark: str) -> bool:
    return unicodedata.combining(mark) > 0


def _by_script(word: str) -> list[str]:
    """A word where letters of several scripts meet: `画像url` is two."""
    parts: list[str] = []
    script = ""
    for letter in word:
        now = "latin" if letter < "\u0250" else "cjk" if _is_cjk(letter) else "other"
        if parts and now == script:
            parts[-1] += letter
        else:
            parts.append(letter)
        script = now
    return parts


def _is_cjk(letter: str) -> bool:
    return "\u3000" <= letter <= "\u9fff" or "\uac00" <= letter <= "\ud7af" or "\uf900" <= letter <= "\ufaff"


@cache
def _table() -> dict[str, Role]:
    table: dict[str, Role] = {}
    for role, words in WORDS.items():
        for word in words.split():
            for plain in ("".join(plain_words(word)) or word, word if "_" not in word else ""):
                if plain:
                    table.setdefault(plain, role)
    return table


def _roles_of(word: str) -> Sequence[Role] | None:
    """What a word stands for, or the parts of a compound; None where nobody knows it."""
    table = _table()
    if word in table:
        return (table[word],)
    if word.endswith("s") and word[:-1] in table and len(word) > LETTERS_ALONE:
        return (table[word[:-1]],)
    return _compound(word)


def _ending(word: str) -> Sequence[Role]:
    """What the end of a compound stands for whose beginning nobody knows: `Bestandskategorie`."""
    table = _table()
    ends = (word[start:] for start in range(2, len(word) - LETTERS_OF_AN_ENDING + 1))
    return next(((table[end],) for end in ends if end in table), ())


@cache
def _compound(word: str) -> tuple[Role, ...] | None:
    """The roles of a compound's parts, the longest parts first: `Artikelbezeichnung`, `商品コード`, `imageurl`."""
    table = _table()
    least = 1 if _is_cjk(word[0]) else LETTERS_ALONE
    for end in range(len(word) - 1, 0, -1):
        first = word[:end]
        if first not in table or (len(first) < least and first not in ("id", "nr")):
            continue
        for link in _LINKS if least > 1 else ("",):
            if not word.startswith(link, end):
                continue
            rest = word[end + len(link) :]
            if not rest:
                continue
            if rest in table and (len(rest) >= least or rest in ("id", "nr", "no")):
                return (table[first], table[rest])
            if len(rest) > least and (more := _compound(rest)) is not None:
                return (table[first], *more)
    return None
