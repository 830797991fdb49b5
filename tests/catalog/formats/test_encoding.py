"""The encoding of a feed is found by its content."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodemb.catalog.formats.encoding import encoding_of, utf8_chunks

TEXTS = {
    "ru": ("Артикул;Наименование;Бренд\nА-1;Лампа настольная Кедр белая;Северлис\n", "cp1251 koi8-r cp866"),
    "uk": ("Артикул;Назва;Бренд\n1;Чашка керамічна біла;Їжак\n2;Стілець дерев'яний;Світ\n", "cp1251"),
    "ja": (
        "商品コード,商品名,メーカー\nJP0,木の椅子 あさひ,北灯堂\nJP1,マグカップ ゆき 350ml,ミナト\n",
        "cp932 euc-jp iso2022-jp",
    ),
    "zh": ("商品编号,商品名称,品牌\nCN1,陶瓷马克杯 白色 350毫升,东方之家\n", "gb18030"),
    "tw": ("商品編號,商品名稱,品牌\nCN1,陶瓷馬克杯 白色 350毫升,東方之家\n", "big5"),
    "ko": ("상품코드,상품명,브랜드\nK1,도자기 머그컵 흰색,북등당\n", "cp949"),
    "fr": ("Référence;Désignation;Marque\nFR1;Lampe de bureau Cèdre 12 €;Orvelline\nFR2;Tasse en grès;X\n", "cp1252"),
    "de": ("Artikel-Nr.;Bezeichnung\n1;Spülbürste groß\n2;Schälmesser „Blatt“\n", "cp1252 mac-roman"),
    "sv": ("Artikel;Namn\n1;Trästol med blå dyna\n2;Kökslåda grå\n", "cp1252 mac-roman"),
    "pl": ("Indeks;Nazwa\n1;Łyżka drewniana\n2;Świecznik żelazny, źródło ciepła\n", "cp1250 iso8859-2"),
    "cs": ("Kód;Název;Výrobce\n1;Dřevěná židle;Novák\n2;Hrnek bílý;Žďár\n", "cp1250"),
    "tr": ("Kod;Ürün adı;Marka\n1;Ahşap sandalye;Güneş\n2;Seramik kupa beyaz;İğde\n", "cp1254"),
    "el": ("Κωδικός;Όνομα;Μάρκα\n1;Ξύλινη καρέκλα;Ήλιος\n2;Κούπα λευκή;Θάλασσα\n", "cp1253"),
    "he": ("קוד;שם;מותג\n1;כיסא עץ;שמש\n2;ספל לבן;ים\n", "cp1255"),
    "en": ("id,title\n1,Café mug\n2,Big “Blue” lamp – new\n3,Chair\n", "cp1252"),
}
UNICODE = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")
CASES = [(language, encoding) for language, (_, encodings) in TEXTS.items() for encoding in encodings.split()]


@pytest.mark.parametrize(("language", "encoding"), CASES)
def test_legacy_encodings(language: str, encoding: str) -> None:
    text = TEXTS[language][0]
    content = text.encode(encoding)
    assert content.decode(encoding_of(content, is_whole=True)) == text


@pytest.mark.parametrize("encoding", UNICODE)
@pytest.mark.parametrize("language", TEXTS)
def test_unicode_with_and_without_a_mark(language: str, encoding: str) -> None:
    text = TEXTS[language][0]
    content = text.encode(encoding)
    assert content.decode(encoding_of(content, is_whole=True)).removeprefix("\ufeff") == text


def test_a_character_that_is_cut_off_at_the_samples_end_changes_nothing() -> None:
    assert encoding_of("id;Größe".encode()[:-2], is_whole=False) == "utf-8-sig"


def chunks(content: bytes, encoding: str) -> tuple[str, list[str]]:
    said: list[str] = []
    text = b"".join(utf8_chunks(io.BytesIO(content), encoding, tell=lambda kind, text: said.append(kind)))
    return text.decode(), said


def test_bytes_that_are_not_utf8_are_read_as_cp1252_and_told() -> None:
    content = "Müsli\n".encode() * 3 + "Käse € – x\n".encode("cp1252")
    assert encoding_of(content, is_whole=True) == "utf-8-sig"
    assert chunks(content, "utf-8-sig") == ("Müsli\n" * 3 + "Käse € – x\n", ["encoding"])


def test_nul_characters_are_left_out_and_told() -> None:
    assert chunks(b"id,ti\0tle\n", "utf-8-sig") == ("id,title\n", ["nul"])


@given(st.text(max_size=50), st.sampled_from(UNICODE), st.integers(1, 7))
@settings(deadline=None)
def test_chunks_are_the_text_wherever_they_are_cut(text: str, encoding: str, size: int) -> None:
    class Slow(io.BytesIO):
        def read(self, num_bytes: int | None = -1, /) -> bytes:
            return super().read(size)

    text = text.replace("\0", "").lstrip("\ufeff")
    name = {"utf-8": "utf-8-sig"}.get(encoding, encoding)
    found = b"".join(utf8_chunks(Slow(text.encode(encoding)), name, tell=lambda kind, said: None))
    assert found.decode() == text
