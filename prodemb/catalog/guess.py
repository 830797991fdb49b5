"""Guessing which column of an unknown catalog is which standard column, by its name and by what stands in it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from prodemb.catalog.profile import Profile
from prodemb.core.features import CATALOG_COLUMNS

NAMES = {
    "product_id": (
        "product_id id productid uniq_id unique_id item_id offer_id sku variant_sku product_sku asin pid article_id"
        " article_number item_number product_code articlenumber artikelnummer artikel_nr artnr product_number ref"
        " reference reference_produit referencia codigo codice code identifiant variant_id handle gtin ean upc mpn"
    ),
    "title": (
        "title product_title product_name name item_name productname product_display_name display_name item_title titel"
        " titre titolo titulo nom nom_produit nom_du_produit libelle designation bezeichnung produktname artikelname"
        " produktbezeichnung nombre nombre_producto nome nome_prodotto naam productnaam short_title headline"
    ),
    "description": (
        "description product_description long_description desc body_html body beschreibung produktbeschreibung"
        " descripcion descrizione descricao omschrijving description_produit descriptif about_product details text"
        " product_details short_description summary content"
    ),
    "brand": (
        "brand brand_name product_brand marke markenname marque marca merk manufacturer manufacturer_name hersteller"
        " fabricant fabricante produttore maker vendor label brandname"
    ),
    "cat1": (
        "cat1 category1 category_1 category_level_1 level1 level_1 l1 main_category master_category product_type"
        " category category_path product_category product_category_tree categories category_name kategorie"
        " produktkategorie warengruppe categorie categoria rubrique rayon breadcrumb breadcrumbs department type"
        " article_group"
    ),
    "cat2": (
        "cat2 category2 category_2 category_level_2 level2 level_2 l2 sub_category subcategory sous_categorie"
        " unterkategorie subcategoria sottocategoria custom_label_0"
    ),
    "cat3": (
        "cat3 category3 category_3 category_level_3 level3 level_3 l3 sub_sub_category subsubcategory article_type"
        " leaf_category sous_sous_categorie"
    ),
    "image": (
        "image image_link image_url image_src image_path main_image primary_image main_image_url picture picture_url"
        " photo photo_url img img_url img_path images image_links image_urls bild bild_url bildlink bildpfad imagen"
        " url_imagen immagine imagem foto afbeelding url_image lien_image thumbnail thumbnail_url imageurl imagelink"
    ),
    "google_category_id": (
        "google_category_id google_product_category google_product_category_id google_category googleproductcategory"
        " google_taxonomy_id google_taxonomy taxonomy_id"
    ),
    "brand_label": "brand_label canonical_brand gold_brand true_brand",
}
"""Names that such columns go by, in several languages and export formats, the usual ones first."""

BY_NAME = 3.0
"""Score of a name in the list; a hundredth less for each place further down."""
BY_PART_OF_NAME = 1.6
"""Score of a name that holds a listed one (`fr_titre_produit`)."""
ENOUGH = 1.0


@dataclass(frozen=True)
class ColumnGuess:
    """One column, what it is taken for, and why."""

    standard: str
    own: str
    reason: str


def guess_columns(profiles: Sequence[Profile]) -> list[ColumnGuess]:
    """The best column for each standard one that has any, in the standard order; no column is taken twice.

    A name says more than content does, but content can rule a name out: an `image` of prices is no picture.
    """
    scored = []
    for place, profile in enumerate(profiles):
        for standard in CATALOG_COLUMNS:
            score, reason = _score(standard, profile, profiles)
            if score >= ENOUGH:
                scored.append((-score, place, standard, reason))
    taken: dict[str, ColumnGuess] = {}
    used: set[int] = set()
    for _, place, standard, reason in sorted(scored):
        if standard not in taken and place not in used:
            taken[standard] = ColumnGuess(standard, profiles[place].name, reason)
            used.add(place)
    return [taken[standard] for standard in CATALOG_COLUMNS if standard in taken]


def _score(standard: str, profile: Profile, profiles: Sequence[Profile]) -> tuple[float, str]:
    by_name, said = _by_name(standard, profile)
    by_content, seen = CONTENT[standard](profile, profiles)
    return by_name + by_content, ", ".join(part for part in (said, seen) if part)


def _by_name(standard: str, profile: Profile) -> tuple[float, str]:
    names = NAMES[standard].split()
    if profile.words in names:
        return BY_NAME - names.index(profile.words) / 100, "by its name"
    parts = [name for name in names if len(name) > 3 and f"_{name}_" in f"_{profile.words}_"]
    # An `image_alt_text` or a `category_id` is about the thing, but it is not the thing.
    if parts and not any(word in profile.words.split("_") for word in ("alt", "count", "num", "rating", "date")):
        return BY_PART_OF_NAME + len(max(parts, key=len)) / 100, "by a part of its name"
    return 0.0, ""


NEVER = (-99.0, "")
NOTHING = (0.0, "")


def _product_id(profile: Profile, _: Sequence[Profile]) -> tuple[float, str]:
    if not profile.values or profile.length > 100 or profile.picture_names > 0.5:
        return NEVER
    if not profile.is_unique:
        return -1.5, "though not every row has a value of its own"
    is_code = profile.num_words < 1.5 and profile.addresses < 0.5
    return 1.2 if is_code else 0.2, "each row has its own"


def _title(profile: Profile, _: Sequence[Profile]) -> tuple[float, str]:
    if _is_no_text(profile):
        return NEVER
    if 2 <= profile.num_words <= 30 and profile.length <= 200 and profile.distinct > 0.4 and not profile.separator:
        return 1.1 + 0.2 * profile.distinct, "a few words, seldom repeated"
    return NOTHING


def _description(profile: Profile, profiles: Sequence[Profile]) -> tuple[float, str]:
    if _is_no_text(profile):
        return NEVER
    longest = max(each.length for each in profiles)
    if profile.num_words > 15 and profile.distinct > 0.3:
        return 1.2 + 0.3 * profile.length / max(longest, 1), f"long texts, {profile.length:.0f} characters on average"
    return NOTHING


def _brand(profile: Profile, profiles: Sequence[Profile]) -> tuple[float, str]:
    if _is_no_text(profile) or profile.num_words > 6:
        return NEVER
    repeats = profile.distinct < 0.95 and profile.num_words < 3.5 and not profile.separator
    titles = [each for each in profiles if each is not profile and 2 < each.num_words < 30 and each.distinct > 0.4]
    share = max((profile.begins(title) for title in titles), default=0.0)
    if repeats and share > 0.3:
        return 1.0 + share, f"{share:.0%} of the titles begin with one of its values"
    return NOTHING


def _category(profile: Profile, _: Sequence[Profile]) -> tuple[float, str]:
    if _is_no_text(profile) or profile.num_words > 25:
        return NEVER
    if profile.separator and profile.distinct < 0.9 and profile.num_words > 2 and profile.separator != "/":
        return 1.2, f"paths with {profile.separator!r} between their levels"
    return (0.2, "values repeat") if profile.distinct < 0.7 else NOTHING


def _deeper_category(profile: Profile, profiles: Sequence[Profile]) -> tuple[float, str]:
    score, reason = _category(profile, profiles)
    return min(score, 0.2), reason


def _image(profile: Profile, _: Sequence[Profile]) -> tuple[float, str]:
    if profile.holds_pictures:
        return 3.0, "holds pictures themselves"
    if not profile.values or profile.numbers > 0.5:
        return NEVER
    if profile.picture_names > 0.5:
        kind = "addresses" if profile.addresses > 0.5 else "names"
        return 1.5, f"{kind} of picture files"
    return (0.5, "addresses") if profile.addresses > 0.5 else (-1.0, "")


def _google_category_id(profile: Profile, _: Sequence[Profile]) -> tuple[float, str]:
    is_id = profile.numbers > 0.9
    is_path = profile.separator == ">"
    if not profile.values or not (is_id or is_path):
        return NEVER
    return 0.0, "numbers" if is_id else "paths"


def _brand_label(profile: Profile, _: Sequence[Profile]) -> tuple[float, str]:
    return NEVER if _is_no_text(profile) else NOTHING


def _is_no_text(profile: Profile) -> bool:
    return not profile.values or profile.numbers > 0.5 or profile.addresses > 0.5 or profile.picture_names > 0.5


CONTENT: dict[str, Callable[[Profile, Sequence[Profile]], tuple[float, str]]] = {
    "product_id": _product_id,
    "title": _title,
    "description": _description,
    "brand": _brand,
    "cat1": _category,
    "cat2": _deeper_category,
    "cat3": _deeper_category,
    "image": _image,
    "google_category_id": _google_category_id,
    "brand_label": _brand_label,
}


def unused(profiles: Sequence[Profile], guesses: Sequence[ColumnGuess]) -> Iterator[str]:
    """The columns that are not taken for anything."""
    used = {guess.own for guess in guesses}
    return (profile.name for profile in profiles if profile.name not in used)
