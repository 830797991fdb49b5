"""Feeds of many kinds, as shops and partners send them, and the products that a careful reader finds in each."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from prodemb.catalog.reader import CatalogConfig, open_catalog
from prodemb.core.features import PARTNER
from tests.conftest import jpeg

PICTURE = jpeg(1)
DATA = base64.b64encode(PICTURE).decode()

KETTLE = "Copper Kettle Two Litres"
STOOL = "Low Oak Stool"
LAMP = "Reading Lamp With Clamp"
SOAP = "Olive Soap Bar"
TEXTS = {
    KETTLE: "A kettle with a long spout, made of copper, that whistles twice when the water is ready.",
    STOOL: "Three legs of oak and a round seat, waxed by hand, for a kitchen or a small workshop floor.",
    LAMP: "Clamps to any shelf up to four centimetres thick and bends where the light is wanted most.",
    SOAP: "Pressed from olive oil and salt water, dried for six weeks, and wrapped in plain brown paper.",
}
TITLES = [*TEXTS]


@dataclass(frozen=True)
class Kind:
    """A feed, and what must come of it."""

    files: dict[str, str | bytes]
    rows: list[dict[str, Any]]
    """All products, each with the columns that are judged."""
    feed: str = ""
    left_out: int | None = None
    """Rows that are no products, where that is judged."""
    encoding: str = "utf-8"


def lines(*rows: str) -> str:
    return "\n".join(rows) + "\n"


def texts_of(title: str) -> str:
    return f'"{TEXTS[title]}"'


KINDS = {
    # --- several rows per product -------------------------------------------------------------------------------
    "shopify, title repeated, a picture in a later row": Kind(
        {
            "export.csv": lines(
                "Handle,Title,Body (HTML),Vendor,Product Category,Type,Option1 Value,Variant SKU,Image Src,Status",
                f"kettle,{KETTLE},<p>{TEXTS[KETTLE].replace(',', '')}</p>,Morrow,,Kettles,1 l,K-1,,active",
                "kettle,,,,,,2 l,K-2,https://i.example/k.jpg,",
                f"stool,{STOOL},<p>Oak.</p>,Tarn,,Stools,,S-1,https://i.example/s.jpg,active",
                f"lamp,{LAMP},,Tarn,,Lamps,red,L-1,https://i.example/l.jpg,active",
                "lamp,,,,,,blue,L-2,https://i.example/l2.jpg,",
                "kettle,,,,,,3 l,K-3,,",
            )
        },
        [
            {
                "product_id": "kettle",
                "title": KETTLE,
                "brand": "Morrow",
                "cat1": "Kettles",
                "image": "https://i.example/k.jpg",
            },
            {"product_id": "stool", "description": "Oak.", "image": "https://i.example/s.jpg"},
            {"product_id": "lamp", "image": "https://i.example/l.jpg", "cat1": "Lamps"},
        ],
        left_out=3,
    ),
    "woocommerce, parents by id, children before and after": Kind(
        {
            "wc.csv": lines(
                "ID,Type,SKU,Name,Description,Categories,Images,Parent,Brands",
                f"11,variation,K-L,{KETTLE} - large,,,https://i.example/kl.jpg,id:10,",
                f'10,variable,K,{KETTLE},{texts_of(KETTLE)},"Kitchen > Kettles, Sale",,,Morrow',
                f'20,simple,,{STOOL},{texts_of(STOOL)},"Home > Stools, Home","https://i.example/s.jpg, https://i.example/t.jpg",,Tarn',
                f"30,simple,,{LAMP},{texts_of(LAMP)},Sale,https://i.example/l.jpg,,Tarn",
                f"12,variation,K-S,{KETTLE} - small,,,https://i.example/ks.jpg,id:10,",
            )
        },
        [
            {
                "product_id": "10",
                "title": KETTLE,
                "cat1": "Kitchen",
                "cat2": "Kettles",
                "image": "https://i.example/kl.jpg",
            },
            {"product_id": "20", "cat1": "Home", "cat2": "Stools", "image": "https://i.example/s.jpg"},
            {"product_id": "30", "cat1": "Sale", "cat2": None},
        ],
    ),
    "magento, a configurable product lists its variants, store views repeat it": Kind(
        {
            "magento.csv": lines(
                "sku,store_view_code,product_type,categories,name,description,base_image,configurable_variations",
                f"k-red,,simple,Default/Kitchen,{KETTLE} red,{texts_of(KETTLE)},/k/r.jpg,",
                f"k-blue,,simple,Default/Kitchen,{KETTLE} blue,{texts_of(KETTLE)},/k/b.jpg,",
                f'k,,configurable,"Default/Kitchen,Default",{KETTLE},{texts_of(KETTLE)},/k/k.jpg,"sku=k-red,color=red|sku=k-blue,color=blue"',
                "k,de,,,Kupferkessel,,,",
                f"s,,simple,Default/Home,{STOOL},{texts_of(STOOL)},/s/s.jpg,",
                "s,de,,,Hocker,,,",
            ),
            "media/s/s.jpg": PICTURE,
        },
        [
            {"product_id": "k", "title": KETTLE, "cat1": "Default", "cat2": "Kitchen", "image": "/k/k.jpg"},
            {"product_id": "s", "title": STOOL, "image": "/s/s.jpg"},
        ],
    ),
    "rows of pictures and of variants below each product, by a column that says so": Kind(
        {
            "bc.csv": lines(
                "Item,ID,Name,Type,SKU,Description,Brand,Categories,Image URL",
                f"Product,1,{KETTLE},physical,K,{texts_of(KETTLE)},Morrow,Kitchen/Kettles;Kitchen,",
                "Variant,90,,,K-1,,,,",
                "Image,500,,,,,,,https://i.example/k.jpg",
                "Image,501,,,,,,,https://i.example/k2.jpg",
                f"Product,2,{STOOL},physical,S,{texts_of(STOOL)},Tarn,Home/Stools,",
                "Image,502,,,,,,,https://i.example/s.jpg",
                f"Product,3,{LAMP},physical,L,{texts_of(LAMP)},Tarn,Home/Lamps;Home,",
            )
        },
        [
            {
                "product_id": "1",
                "title": KETTLE,
                "cat1": "Kitchen",
                "cat2": "Kettles",
                "image": "https://i.example/k.jpg",
            },
            {"product_id": "2", "image": "https://i.example/s.jpg", "cat2": "Stools"},
            {"product_id": "3", "image": None},
        ],
        left_out=4,
    ),
    "variants below a product, without its title, each with a number of its own": Kind(
        {
            "list.csv": lines(
                "Relationship;Custom label;Title;Description;Pic URL",
                f";K;{KETTLE};{TEXTS[KETTLE]};https://i.example/k.jpg",
                "Variation;K-1;;;",
                "Variation;K-2;;;",
                f";S;{STOOL};{TEXTS[STOOL]};https://i.example/s.jpg",
            )
        },
        [{"title": KETTLE, "image": "https://i.example/k.jpg"}, {"title": STOOL}],
        left_out=2,
    ),
    "a family tree of a marketplace": Kind(
        {
            "flat.tsv": lines(
                "item_sku\tparent_child\tparent_sku\titem_name\tbrand_name\tmain_image_url\tproduct_description",
                f"K\tparent\t\t{KETTLE}\tMorrow\t\t{TEXTS[KETTLE]}",
                f"K-1\tchild\tK\t{KETTLE}, red\tMorrow\thttps://i.example/k.jpg\t{TEXTS[KETTLE]}",
                f"K-2\tchild\tK\t{KETTLE}, blue\tMorrow\thttps://i.example/k2.jpg\t{TEXTS[KETTLE]}",
                f"S\t\t\t{STOOL}\tTarn\thttps://i.example/s.jpg\t{TEXTS[STOOL]}",
            )
        },
        [{"product_id": "K", "title": KETTLE, "image": "https://i.example/k.jpg"}, {"product_id": "S"}],
    ),
    "variants with ids and titles of their own are products": Kind(
        {
            "feed.tsv": lines(
                "id\titem_group_id\ttitle\tdescription\timage_link\tbrand",
                f"1\tG\t{KETTLE}\t{TEXTS[KETTLE]}\thttps://i.example/1.jpg\tMorrow",
                f"2\tG\t{KETTLE}\t{TEXTS[KETTLE]}\thttps://i.example/2.jpg\tMorrow",
                f"3\tH\t{STOOL}\t{TEXTS[STOOL]}\thttps://i.example/3.jpg\tTarn",
            )
        },
        [{"product_id": "1"}, {"product_id": "2"}, {"product_id": "3"}],
    ),
    "the same row twice": Kind(
        {"feed.csv": lines("sku,title,brand", f"1,{KETTLE},Morrow", f"2,{STOOL},Tarn", f"1,{KETTLE},Morrow")},
        [{"product_id": "1"}, {"product_id": "2"}],
        left_out=1,
    ),
    "a style number is no id where sizes have titles of their own": Kind(
        {
            "feed.csv": lines(
                "style_code,article,name,brand",
                f"A,A1,{KETTLE} small,Morrow",
                f"A,A2,{KETTLE} large,Morrow",
                f"B,B1,{STOOL},Tarn",
                f"B,B2,{STOOL} for children,Tarn",
            )
        },
        [{"product_id": "A1"}, {"product_id": "A2"}, {"product_id": "B1"}, {"product_id": "B2"}],
    ),
    "no id at all": Kind(
        {"feed.csv": lines("name,maker,price", f"{KETTLE},Morrow,10.50", f"{STOOL},Tarn,22.10", f"{LAMP},Tarn,9.90")},
        [{"product_id": "feed.csv#2"}, {"product_id": "feed.csv#3", "title": STOOL}, {"product_id": "feed.csv#4"}],
    ),
    "some without an id": Kind(
        {
            "feed.csv": lines(
                "sku,name,maker", f"A-1,{KETTLE},Morrow", f",{STOOL},Tarn", f"-,{LAMP},Tarn", f"A-4,{SOAP},X"
            )
        },
        [{"product_id": "A-1"}, {"product_id": "feed.csv#3"}, {"product_id": "feed.csv#4"}, {"product_id": "A-4"}],
    ),
    # --- columns in many languages ------------------------------------------------------------------------------
    "spanish": Kind(
        {
            "productos.csv": lines(
                "Código;Nombre del producto;Descripción;Fabricante;Categoría principal;Subcategoría;Imagen;Precio",
                f"001;{KETTLE};{TEXTS[KETTLE]};Morrow;Cocina;Teteras;https://i.example/1.jpg;10,50",
                f"002;{STOOL};{TEXTS[STOOL]};Tarn;Hogar;Taburetes;https://i.example/2.jpg;12,00",
            )
        },
        [
            {"product_id": "001", "title": KETTLE, "brand": "Morrow", "cat1": "Cocina", "cat2": "Teteras"},
            {"product_id": "002", "description": TEXTS[STOOL], "image": "https://i.example/2.jpg"},
        ],
    ),
    "italian": Kind(
        {
            "prodotti.csv": lines(
                "Codice articolo;Titolo;Descrizione;Marca;Categoria;Immagine principale;Prezzo",
                f"IT-1;{KETTLE};{TEXTS[KETTLE]};Morrow;Cucina > Bollitori;https://i.example/1.jpg;10,50",
                f"IT-2;{STOOL};{TEXTS[STOOL]};Tarn;Casa > Sgabelli;https://i.example/2.jpg;9,00",
            )
        },
        [{"product_id": "IT-1", "title": KETTLE, "cat1": "Cucina", "cat2": "Bollitori"}, {"product_id": "IT-2"}],
    ),
    "polish": Kind(
        {
            "produkty.csv": lines(
                "Numer katalogowy;Nazwa produktu;Opis;Producent;Kategoria;Zdjęcie główne;Cena brutto",
                f"PL1;{KETTLE};{TEXTS[KETTLE]};Morrow;Kuchnia/Czajniki;https://i.example/1.jpg;10,50",
                f"PL2;{STOOL};{TEXTS[STOOL]};Tarn;Kuchnia/Stołki;https://i.example/2.jpg;9,00",
                f"PL3;{LAMP};{TEXTS[LAMP]};Tarn;Dom/Lampy;https://i.example/3.jpg;7,00",
                f"PL4;{SOAP};{TEXTS[SOAP]};Tarn;Dom/Mydło;https://i.example/4.jpg;7,00",
            )
        },
        [
            {"product_id": "PL1", "title": KETTLE, "brand": "Morrow", "cat1": "Kuchnia", "cat2": "Czajniki"},
            {"product_id": "PL2", "image": "https://i.example/2.jpg"},
            {"product_id": "PL3"},
            {"product_id": "PL4"},
        ],
    ),
    "dutch": Kind(
        {
            "producten.csv": lines(
                "Artikelnummer;Productnaam;Omschrijving;Merk;Hoofdcategorie;Subcategorie;Afbeelding 1;Afbeelding 2",
                f"NL1;{KETTLE};{TEXTS[KETTLE]};Morrow;Keuken;Ketels;https://i.example/1.jpg;https://i.example/1b.jpg",
                f"NL2;{STOOL};{TEXTS[STOOL]};Tarn;Wonen;Krukken;https://i.example/2.jpg;https://i.example/2b.jpg",
            )
        },
        [
            {
                "product_id": "NL1",
                "title": KETTLE,
                "cat1": "Keuken",
                "cat2": "Ketels",
                "image": "https://i.example/1.jpg",
            },
            {},
        ],
    ),
    "portuguese": Kind(
        {
            "produtos.csv": lines(
                "Referência;Nome do produto;Descrição;Marca;Categoria;Foto",
                f"R1;{KETTLE};{TEXTS[KETTLE]};Morrow;Cozinha;https://i.example/1.jpg",
                f"R2;{STOOL};{TEXTS[STOOL]};Tarn;Casa;https://i.example/2.jpg",
            )
        },
        [{"product_id": "R1", "title": KETTLE, "brand": "Morrow", "cat1": "Cozinha"}, {"product_id": "R2"}],
    ),
    "turkish": Kind(
        {
            "urunler.csv": lines(
                "Ürün Kodu;Ürün Adı;Açıklama;Marka;Kategori;Görsel;Fiyat",
                f"T1;{KETTLE};{TEXTS[KETTLE]};Morrow;Mutfak;https://i.example/1.jpg;10,50",
                f"T2;{STOOL};{TEXTS[STOOL]};Tarn;Ev;https://i.example/2.jpg;7,00",
            )
        },
        [
            {
                "product_id": "T1",
                "title": KETTLE,
                "brand": "Morrow",
                "cat1": "Mutfak",
                "image": "https://i.example/1.jpg",
            },
            {},
        ],
    ),
    "swedish": Kind(
        {
            "varor.csv": lines(
                "Artikelnr;Benämning;Beskrivning;Varumärke;Varugrupp;Bild",
                f"S1;{KETTLE};{TEXTS[KETTLE]};Morrow;Kök;https://i.example/1.jpg",
                f"S2;{STOOL};{TEXTS[STOOL]};Tarn;Hem;https://i.example/2.jpg",
            )
        },
        [{"product_id": "S1", "title": KETTLE, "brand": "Morrow", "cat1": "Kök"}, {"product_id": "S2"}],
    ),
    "czech": Kind(
        {
            "zbozi.csv": lines(
                "Kód;Název;Popis;Výrobce;Kategorie;Obrázek",
                f"C1;{KETTLE};{TEXTS[KETTLE]};Morrow;Kuchyně;https://i.example/1.jpg",
                f"C2;{STOOL};{TEXTS[STOOL]};Tarn;Dům;https://i.example/2.jpg",
            )
        },
        [{"product_id": "C1", "title": KETTLE, "brand": "Morrow", "cat1": "Kuchyně"}, {"product_id": "C2"}],
    ),
    "german, other words": Kind(
        {
            "artikel.csv": lines(
                "Bestellnummer\tProduktbezeichnung\tKurzbeschreibung\tProduktbeschreibung\tMarke\tHauptkategorie\tUnterkategorie\tProduktbild",
                f"D1\t{KETTLE}\tKurz.\t{TEXTS[KETTLE]}\tMorrow\tKüche\tKessel\thttps://i.example/1.jpg",
                f"D2\t{STOOL}\tKurz.\t{TEXTS[STOOL]}\tTarn\tWohnen\tHocker\thttps://i.example/2.jpg",
            )
        },
        [{"product_id": "D1", "title": KETTLE, "description": TEXTS[KETTLE], "cat1": "Küche", "cat2": "Kessel"}, {}],
    ),
    "chinese": Kind(
        {
            "shangpin.csv": lines(
                "产品编号,产品名称,产品描述,品牌,一级分类,二级分类,主图链接,售价",
                "CN1,铜制水壶 两升,一把长嘴铜壶，水开时会响两声，适合家庭厨房每天使用。,莫罗,厨房,水壶,https://i.example/1.jpg,128",
                "CN2,橡木矮凳,三条橡木腿和圆形座面，手工上蜡，适合厨房或者小工作间。,塔恩,家居,凳子,https://i.example/2.jpg,99",
            )
        },
        [
            {
                "product_id": "CN1",
                "title": "铜制水壶 两升",
                "brand": "莫罗",
                "cat1": "厨房",
                "cat2": "水壶",
                "image": "https://i.example/1.jpg",
            },
            {"product_id": "CN2", "cat1": "家居"},
        ],
    ),
    "korean": Kind(
        {
            "sangpum.csv": lines(
                "상품코드,상품명,상품설명,브랜드,카테고리,대표이미지,판매가",
                "KR1,구리 주전자 2리터,긴 주둥이가 달린 구리 주전자로 물이 끓으면 두 번 소리가 납니다.,모로,주방 > 주전자,https://i.example/1.jpg,12000",
                "KR2,낮은 참나무 의자,참나무 다리 세 개와 둥근 좌판을 손으로 왁스칠했습니다.,타른,가구 > 의자,https://i.example/2.jpg,9000",
            )
        },
        [
            {"product_id": "KR1", "title": "구리 주전자 2리터", "brand": "모로", "cat1": "주방", "cat2": "주전자"},
            {"product_id": "KR2", "image": "https://i.example/2.jpg"},
        ],
    ),
    "ukrainian": Kind(
        {
            "tovary.csv": lines(
                "Код товару;Назва;Опис;Виробник;Категорія;Зображення;Ціна",
                f"U1;{KETTLE};{TEXTS[KETTLE]};Morrow;Кухня;https://i.example/1.jpg;10,50",
                f"U2;{STOOL};{TEXTS[STOOL]};Tarn;Дім;https://i.example/2.jpg;7,00",
            )
        },
        [{"product_id": "U1", "title": KETTLE, "brand": "Morrow", "cat1": "Кухня"}, {"product_id": "U2"}],
    ),
    "plural and camelCase names": Kind(
        {
            "feed.csv": lines(
                "productId,productNames,descriptions,brands,categoryPaths,imageUrls",
                f"7,{KETTLE},{texts_of(KETTLE)},Morrow,Kitchen|Kettles,https://i.example/1.jpg",
                f"8,{STOOL},{texts_of(STOOL)},Tarn,Home|Stools,https://i.example/2.jpg",
                f"9,{LAMP},{texts_of(LAMP)},Tarn,Home|Lamps,https://i.example/3.jpg",
                f"10,{SOAP},{texts_of(SOAP)},Tarn,Kitchen|Soap,https://i.example/3.jpg",
            )
        },
        [{"product_id": "7", "title": KETTLE, "brand": "Morrow", "cat1": "Kitchen", "cat2": "Kettles"}, {}, {}, {}],
    ),
    # --- gold categories ----------------------------------------------------------------------------------------
    "gold ids under another name, shop's own words beside them": Kind(
        {
            "feed.csv": lines(
                "sku,name,shop_category,category_id",
                f"1,{KETTLE},Kettles,2169",
                f"2,{STOOL},Stools,3032",
                f"3,{LAMP},Lamps,4636",
                f"4,{SOAP},Soap,187",
            )
        },
        [{"google_category_id": "2169", "cat1": "Kettles"}, {"google_category_id": "3032"}, {}, {}],
    ),
    "a shop's own numbers are no gold": Kind(
        {
            "feed.csv": lines(
                "sku,name,category,category_id",
                f"1,{KETTLE},Kettles,900001",
                f"2,{STOOL},Stools,900002",
                f"3,{LAMP},Lamps,900003",
            )
        },
        [{"google_category_id": None, "cat1": "Kettles"}, {}, {}],
    ),
    "gold paths of another locale": Kind(
        {
            "feed.csv": lines(
                "id,title,google_product_category,product_type",
                f"1,{KETTLE},Maison et jardin > Cuisine,Bouilloires",
                f"2,{STOOL},Meubles,Tabourets",
                f"3,{LAMP},632,Lampes",
            )
        },
        [
            {"google_category_id": "Maison et jardin > Cuisine", "cat1": "Bouilloires"},
            {"google_category_id": "Meubles"},
            {},
        ],
    ),
    "gold paths with entities, and the same once more as a product type": Kind(
        {
            "feed.tsv": lines(
                "id\ttitle\tproduct_type\tgoogle_product_category",
                f"1\t{KETTLE}\tHome &amp; Garden &gt; Decor\tHome &amp; Garden &gt; Decor",
                f"2\t{STOOL}\tFurniture\tFurniture",
                f"3\t{LAMP}\tHome &amp; Garden &gt; Lighting\tHome &amp; Garden &gt; Lighting",
            )
        },
        [{"google_category_id": "Home & Garden > Decor", "cat1": None}, {"google_category_id": "Furniture"}, {}],
    ),
    "campaign labels and a constant are no categories": Kind(
        {
            "feed.tsv": lines(
                "id\ttitle\tcustom_label_0\tcustom_label_1\tproduct_type\ttype",
                f"1\t{KETTLE}\tbest\tspring\tKitchen > Kettles\tProduct",
                f"2\t{STOOL}\tbest\tspring\tHome > Stools > Low\tProduct",
                f"3\t{LAMP}\tsale\tspring\tHome > Lamps\tProduct",
                f"4\t{SOAP}\tsale\tspring\tKitchen\tProduct",
                f"5\tGreen {SOAP}\tsale\tspring\tKitchen\tProduct",
            )
        },
        [
            {"cat1": "Kitchen", "cat2": "Kettles", "cat3": None},
            {"cat1": "Home", "cat2": "Stools", "cat3": "Low"},
            {},
            {"cat1": "Kitchen", "cat2": None},
            {},
        ],
    ),
    "a path of four levels": Kind(
        {"feed.csv": lines("id,title,category", f"1,{KETTLE},A > B > C > D", f"2,{STOOL},A > E")},
        [{"cat1": "A", "cat2": "B", "cat3": "C"}, {"cat1": "A", "cat2": "E", "cat3": None}],
    ),
    # --- values -------------------------------------------------------------------------------------------------
    "markup, entities and words for nothing": Kind(
        {
            "feed.csv": lines(
                "id,title,description,brand",
                'A1,"Kettle &amp;amp; Lid","<style>p{}</style><p>Boils&nbsp;fast &lt; 3 min</p>",NULL',
                "A2,Stool &#8211; low,#N/A,N/A",
                "A3,Lamp for R&D &copy,<ul><li>One</li><li>Two</li></ul>,None",
                "A4,Soap 5 < 6,-,nan",
            )
        },
        [
            {"title": "Kettle & Lid", "description": "Boils fast < 3 min", "brand": None},
            {"title": "Stool – low", "description": None},
            {"title": "Lamp for R&D &copy", "description": "One Two"},
            {"title": "Soap 5 < 6", "description": None, "brand": None},
        ],
    ),
    "objects and languages in JSON": Kind(
        {
            "feed.jsonl": lines(
                json.dumps({"sku": "1", "name": {"en": KETTLE, "de": "Kessel"}, "brand": {"id": 4, "name": "Morrow"}}),
                json.dumps({"sku": "2", "name": {"de": "Hocker", "en": STOOL}, "brand": {"id": 5, "name": "Tarn"}}),
                json.dumps({"sku": "3", "name": {"en": LAMP}, "brand": {"id": 5, "name": "Tarn"}}),
            )
        },
        [{"title": KETTLE, "brand": "Morrow"}, {"title": STOOL, "brand": "Tarn"}, {"title": LAMP}],
    ),
    "lists of texts, and of category objects": Kind(
        {
            "feed.json": json.dumps(
                {
                    "total": 2,
                    "items": [
                        {
                            "id": n,
                            "title": title,
                            "description": TEXTS[title].split(", "),
                            "categories": [{"id": 1, "name": "Home"}, {"id": 2, "name": f"Kind {n}"}],
                        }
                        for n, title in enumerate(TITLES, start=70)
                    ],
                }
            )
        },
        [
            {"product_id": "70", "cat1": "Home", "cat2": "Kind 70", "description": TEXTS[KETTLE].replace(",", "")},
            {},
            {},
            {},
        ],
    ),
    # --- pictures -----------------------------------------------------------------------------------------------
    "pictures in every spelling": Kind(
        {
            "feed.csv": lines(
                "id,title,photos",
                f'1,{KETTLE},"[""https://i.example/1.jpg"", ""https://i.example/1b.jpg""]"',
                f"2,{STOOL},\"['https://i.example/2.jpg' 'https://i.example/2b.jpg']\"",
                f"3,{LAMP},https://i.example/3.jpg;https://i.example/3b.jpg",
                f"4,{SOAP},//i.example/4.jpg",
                f"5,Green {SOAP},www.shop.example/5.jpg",
                f'6,Red {SOAP},"=IMAGE(""https://i.example/6.jpg"";1)"',
                f"7,Blue {SOAP},https://i.example/7.jpg?a=1&amp;reg=2",
                f"8,Black {SOAP},\"[{{'large': 'https://i.example/8l.jpg', 'thumb': 'https://i.example/8t.jpg'}}]\"",
            )
        },
        [
            {"image": "https://i.example/1.jpg"},
            {"image": "https://i.example/2.jpg"},
            {"image": "https://i.example/3.jpg"},
            {"image": "//i.example/4.jpg"},
            {"image": "https://www.shop.example/5.jpg"},
            {"image": "https://i.example/6.jpg"},
            {"image": "https://i.example/7.jpg?a=1&reg=2"},
            {"image": "https://i.example/8l.jpg"},
        ],
    ),
    "pictures in the feed": Kind(
        {
            "feed.jsonl": lines(
                json.dumps({"id": "1", "title": KETTLE, "image": f"data:image/jpeg;base64,{DATA}"}),
                json.dumps({"id": "2", "title": STOOL, "image": DATA}),
                json.dumps({"id": "3", "title": LAMP, "image": None}),
            )
        },
        [{"image": PICTURE}, {"image": PICTURE}, {"image": None}],
    ),
    "pictures in the feed, and addresses": Kind(
        {
            "feed.jsonl": lines(
                json.dumps({"id": "1", "title": KETTLE, "image": DATA}),
                json.dumps({"id": "2", "title": STOOL, "image": "https://i.example/2.jpg"}),
            )
        },
        [{"image": f"data:;base64,{DATA}"}, {"image": "https://i.example/2.jpg"}],
    ),
    # --- several partners ---------------------------------------------------------------------------------------
    "partners with columns of their own": Kind(
        {
            "feeds/alder/feed.csv": lines(
                "id,title,brand,image", f"A1,{KETTLE},Morrow,p/1.jpg", f"A2,{STOOL},Tarn,p/2.jpg"
            ),
            "feeds/alder/p/1.jpg": PICTURE,
            "feeds/borea/feed.csv": lines("Artikelnummer;Bezeichnung;Bild", f"B1;{LAMP};p/1.jpg", f"B2;{SOAP};p/2.jpg"),
            "feeds/borea/p/1.jpg": PICTURE,
        },
        [
            {"product_id": "A1", "brand": "Morrow", "image": "alder/p/1.jpg", "partner": "alder"},
            {"product_id": "A2"},
            {"product_id": "B1", "title": LAMP, "brand": None, "image": "borea/p/1.jpg", "partner": "borea"},
            {"product_id": "B2"},
        ],
        feed="feeds/*/feed.csv",
    ),
    "partners who number alike": Kind(
        {
            "in/north.csv": lines("id,title,brand", f"1,{KETTLE},Morrow", f"2,{STOOL},Tarn"),
            "in/south.csv": lines("id,title,brand", f"1,{LAMP},Morrow", f"2,{SOAP},Tarn"),
        },
        [
            {"product_id": "north/1", "title": KETTLE},
            {"product_id": "north/2"},
            {"product_id": "south/1", "title": LAMP},
            {"product_id": "south/2"},
        ],
        feed="in",
    ),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_feed_of_this_kind_is_read(tmp_path: Path, name: str) -> None:
    kind = KINDS[name]
    for file, content in kind.files.items():
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode(kind.encoding))
    feed = kind.feed or next(iter(kind.files))
    catalog = open_catalog(CatalogConfig(path=str(tmp_path / feed), bad_ids="drop"))
    columns = sorted({key for row in kind.rows for key in row} | {"product_id", "title"})
    found = [row for table in catalog.batches(2, columns=columns) for row in table.to_pylist()]
    assert len(found) == len(kind.rows), [row["title"] for row in found]
    for row, expected in zip(found, kind.rows, strict=True):
        assert {key: row[key] for key in expected} == expected
    if kind.left_out is not None:
        assert sum(catalog.index.merged.values()) == kind.left_out
    assert PARTNER in columns or PARTNER not in found[0]
