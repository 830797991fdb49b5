"""Guessing which column of an unknown catalog is which standard column, by its name and by what stands in it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from prodemb.catalog.categories import LEVELS
from prodemb.catalog.config import TableConfig
from prodemb.catalog.gold import GoldColumn, find_gold, repeats
from prodemb.catalog.profile import Profile
from prodemb.catalog.row_types import RowTypes, find_row_types
from prodemb.core.features import CATALOG_COLUMNS
from prodemb.taxonomy.taxonomy import Taxonomy

ENOUGH = 1.0
"""A column with a lower score is not taken."""
NEVER = -99.0


@dataclass(frozen=True)
class ColumnGuess:
    """One column, what it is taken for, and why."""

    standard: str
    own: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class TableGuess:
    """What the columns of a file hold, save for the product id, which is chosen by what it keeps."""

    columns: tuple[ColumnGuess, ...]
    """In the standard order."""
    id_candidates: tuple[ColumnGuess, ...]
    """Columns that may be the product id, the best name first."""
    row_types: RowTypes | None
    language_column: str | None
    parent: str | None
    children: str | None
    category_separator: str | None
    category_path_separator: str | None
    shadowed: tuple[str, ...] = ()
    """Columns with a standard name that do not hold what it says."""

    def own(self, standard: str) -> str | None:
        """The file's column for a standard one."""
        return next((each.own for each in self.columns if each.standard == standard), None)

    def table(self, product_id: ColumnGuess | None, *, parent_key: str | None = None) -> TableConfig:
        """The settings that read the file so; ids are made without `product_id`."""
        columns = {each.standard: each.own for each in self.columns}
        columns |= {name: "" for name in self.shadowed if name not in columns}
        return TableConfig(
            columns={**columns, "product_id": product_id.own if product_id else ""},
            category_separator=self.category_separator,
            category_path_separator=self.category_path_separator,
            row_type=self.row_types.column if self.row_types else None,
            other_rows=self.row_types.others if self.row_types else (),
            language_column=self.language_column,
            parent=self.parent,
            parent_key=parent_key,
            children=self.children,
        )


def guess_table(profiles: Sequence[Profile], *, taxonomies: Sequence[Taxonomy]) -> TableGuess:
    """The best column for each standard one that has any; no column is taken twice.

    A name says more than content does, but content can rule a name out: an `image` of prices is no picture.
    """
    gold = find_gold(profiles, taxonomies=taxonomies)
    row_types = find_row_types(profiles)
    apart = {*gold.columns, *([row_types.column] if row_types else [])}
    free = [profile for profile in profiles if profile.name not in apart]
    taken = _best_of_each(free, profiles)
    parent = _relation(free, "parent", not_one_of={*taken})
    children = next((each.name for each in free if _lists_children(each)), None)
    used = {*apart, *taken, *filter(None, [parent, children])}
    rest = [each for each in free if each.name not in used]
    label = next((each for each in profiles if gold.chosen and each.name == gold.chosen.own), None)
    levels = _categories([each for each in rest if label is None or not repeats(each, label, taxonomies=taxonomies)])
    cat1 = next((each for guess, each in levels if guess.standard == "cat1"), None)
    rule = cat1.categories if cat1 is not None else None
    columns = [*taken.values(), *(guess for guess, _ in levels), *_gold(gold)]
    order = {name: place for place, name in enumerate(CATALOG_COLUMNS)}
    return TableGuess(
        columns=tuple(sorted(columns, key=lambda each: order[each.standard])),
        id_candidates=tuple(_id_candidates(free, taken={*taken} | {each.own for each, _ in levels})),
        row_types=row_types,
        language_column=next((each.name for each in free if _tells_language(each)), None),
        parent=parent,
        children=children,
        category_separator=rule.levels if rule else None,
        category_path_separator=rule.paths if rule else None,
        shadowed=tuple(name for name in CATALOG_COLUMNS if any(each.name == name for each in profiles)),
    )


def _best_of_each(free: Sequence[Profile], profiles: Sequence[Profile]) -> dict[str, ColumnGuess]:
    """The best columns for title, description, brand, picture and brand label, by their own names."""
    scored = []
    for place, profile in enumerate(free):
        for standard, score_of in SCORES.items():
            score, reason = score_of(profile, profiles)
            if score >= ENOUGH:
                scored.append((-score, place, standard, reason))
    found: dict[str, ColumnGuess] = {}
    for _, place, standard, reason in sorted(scored):
        own = free[place].name
        if own not in found and standard not in {each.standard for each in found.values()}:
            found[own] = ColumnGuess(standard, own, reason)
    return found


def _gold(gold: GoldColumn) -> Iterator[ColumnGuess]:
    if gold.chosen is not None:
        yield ColumnGuess("google_category_id", gold.chosen.own, gold.chosen.reason)


# --- the product id -------------------------------------------------------------------------------------------------


def _id_candidates(profiles: Sequence[Profile], *, taken: set[str]) -> list[ColumnGuess]:
    scored = []
    for place, profile in enumerate(profiles):
        if profile.name in taken:
            continue
        score, reason = _product_id(profile)
        if score >= ENOUGH:
            scored.append((-score, place, reason))
    return [ColumnGuess("product_id", profiles[place].name, reason) for _, place, reason in sorted(scored)]


def _product_id(profile: Profile) -> tuple[float, str]:
    if not profile.values or profile.length > 100 or profile.addresses > 0.5 or profile.num_words > 6:
        return NEVER, ""
    by_name = _id_name(profile)
    if by_name:
        return by_name, "by its name"
    name = profile.read
    if name.roles and set(name.roles) - {"product", "filler", "main"}:
        return 0.0, ""
    if profile.is_counter or profile.codes < 0.95 or profile.distinct < 1.0 or profile.filled < 0.9:
        return 0.0, ""
    is_short_number = profile.numbers > 0.5 and profile.length < 5
    return (0.0, "") if is_short_number else (1.2, "each row has a code of its own")


def _id_name(profile: Profile) -> float:
    name = profile.read
    if profile.name == "product_id":
        return 4.0
    if name.has("image", "brand", "category", "price", "url", "never", "title", "description", "google", "custom"):
        return 0.0
    if name.has("kind", "body", "group", "sub", "level", "gold"):
        return 0.0
    less = 0.3 * len(name.unknown) + 0.6 * name.has("variant", "other") + 0.9 * name.has("parent")
    if "id" in name.roles:
        first = 3.0 if {"id", "sku"} & {*name.words} else 2.9
        # A handle is an address made of the title, a reference may be anything.
        first -= 0.2 * bool({"handle", "handleid", "ref", "reference", "referenz"} & {*name.words})
        # An id that says whose it is, in a table that may have products of its own.
        return first - less - 0.9 * name.has("maker") - 0.9 * name.has("gtin")
    if name.has("gtin"):
        return 2.0 - less
    if name.has("code"):
        return (2.8 if name.has("product") else 2.5 if name.roles == ("code",) else 1.5) - less - name.has("maker")
    is_counted = profile.read.roles == ("product",) and profile.codes > 0.9
    return 2.2 if is_counted else 0.0


# --- texts and pictures ---------------------------------------------------------------------------------------------


def _is_no_text(profile: Profile) -> bool:
    return (
        not profile.values
        or profile.numbers > 0.5
        or profile.addresses > 0.5
        or profile.pictures > 0.5
        or profile.dates > 0.5
    )


def _says_nothing(profile: Profile) -> bool:
    """Whether a name leaves open what a column holds."""
    return not {*profile.read.roles} - {"product", "filler", "main", "long", "short", "url", "path"}


def _title(profile: Profile, _: Sequence[Profile]) -> tuple[float, str]:
    if _is_no_text(profile):
        return NEVER, ""
    by_name = _title_name(profile)
    is_like = 1.5 <= profile.num_words <= 30 and profile.length <= 250 and profile.distinct > 0.4
    if is_like and not profile.categories.levels and (by_name or _says_nothing(profile)):
        return by_name + 1.1 + 0.2 * profile.distinct, _because(by_name, "a few words, seldom repeated")
    return by_name - 0.6, _because(by_name)


def _title_name(profile: Profile) -> float:
    name = profile.read
    if profile.name == "title":
        return 4.0
    if name.has("image", "brand", "maker", "category", "price", "url", "never", "description", "google", "custom"):
        return 0.0
    if name.has("id", "code", "kind", "gtin", "gold", "level"):
        return 0.0
    less = 0.2 * len(name.unknown) + 0.3 * name.has("short") + 0.6 * name.has("variant", "parent", "sub", "other")
    less += 0.4 * ((name.number or 1) > 1)
    if name.has("title"):
        return 3.0 - less
    if name.has("name") and not name.has("group", "body"):
        return (2.95 if name.has("product") else 2.9) - less
    return 1.6 - less if name.has("product") and not name.has("body", "group") else 0.0


def _description(profile: Profile, profiles: Sequence[Profile]) -> tuple[float, str]:
    if _is_no_text(profile):
        return NEVER, ""
    by_name = _description_name(profile)
    longest = max(each.length for each in profiles)
    if profile.num_words > 12 and profile.distinct > 0.3 and (by_name or _says_nothing(profile)):
        reason = f"long texts, {profile.length:.0f} characters on average"
        return by_name + 1.2 + 0.3 * profile.length / max(longest, 1), _because(by_name, reason)
    return by_name, _because(by_name)


def _description_name(profile: Profile) -> float:
    name = profile.read
    if profile.name == "description":
        return 4.0
    if name.has("image", "brand", "maker", "category", "price", "url", "never", "id", "code", "variant", "custom"):
        return 0.0
    less = 0.2 * len(name.unknown) + 0.6 * name.has("short") + 0.4 * ((name.number or 1) > 1)
    if name.has("description"):
        return 3.0 - less - 0.5 * name.has("title", "name")
    return 2.3 - less + 0.1 * name.has("long") if name.has("body") and not name.has("title", "name") else 0.0


def _brand(profile: Profile, profiles: Sequence[Profile]) -> tuple[float, str]:
    if _is_no_text(profile) or profile.num_words > 8:
        return NEVER, ""
    by_name = _brand_name(profile)
    repeats_itself = profile.distinct < 0.95 and profile.num_words < 4.5 and not profile.categories.levels
    titles = [each for each in profiles if each is not profile and 1.5 < each.num_words < 30 and each.distinct > 0.4]
    share = max((profile.begins(title) for title in titles), default=0.0)
    if repeats_itself and share > 0.3 and (by_name or _says_nothing(profile)):
        reason = f"{share:.0%} of the titles begin with one of its values"
        return by_name + 1.0 + share, _because(by_name, reason)
    return by_name, _because(by_name)


def _brand_name(profile: Profile) -> float:
    name = profile.read
    if profile.name == "brand":
        return 4.0
    if name.has("image", "category", "price", "url", "never", "description", "code", "gtin", "gold", "custom", "kind"):
        return 0.0
    if name.has("id", "parent", "google", "title"):
        return 0.0
    less = 0.2 * len(name.unknown) + 0.4 * ((name.number or 1) > 1)
    if name.has("brand"):
        return 3.0 - less
    if not name.has("maker"):
        return 0.0
    weak = {"store", "supplier", "label", "fornitore", "lieferant", "поставщик", "供应商"} & {*name.words}
    return (1.2 if weak else 2.5) - less


def _image(profile: Profile, _: Sequence[Profile]) -> tuple[float, str]:
    by_name = _image_name(profile)
    if profile.holds_pictures:
        return by_name + 3.0, "holds pictures themselves"
    if profile.is_binary:
        return (by_name, "by its name, bytes") if by_name else (NEVER, "")
    if not profile.values or profile.numbers > 0.5:
        return NEVER, ""
    if profile.inline_pictures > 0.5:
        return by_name + 2.0, "holds pictures themselves, as text"
    if profile.pictures > 0.5:
        kind = "addresses" if profile.addresses > 0.5 else "names"
        return by_name + 1.5, _because(by_name, f"{kind} of picture files")
    if profile.addresses > 0.5:
        return by_name + 0.5, _because(by_name, "addresses")
    return by_name - 1.0, _because(by_name)


def _image_name(profile: Profile) -> float:
    name = profile.read
    if profile.name == "image":
        return 4.0
    if not name.has("image") or name.has("never", "description", "id", "code", "category", "price", "kind", "group"):
        return 0.0
    less = 0.1 * len(name.unknown) + 0.9 * name.has("other") + 0.8 * name.has("variant") + 0.6 * name.has("title")
    less += 0.6 * name.has("brand", "maker")
    less += 0.2 * ((name.number or 1) - 1 if (name.number or 1) < 5 else 4) if name.number else 0.02
    return 3.0 - less + 0.05 * name.has("main", "long")


def _brand_label(profile: Profile, _: Sequence[Profile]) -> tuple[float, str]:
    name = profile.read
    is_named = profile.name == "brand_label" or (name.has("gold") and name.has("brand"))
    return (NEVER, "") if _is_no_text(profile) or not is_named else (4.5, "by its name")


SCORES = {
    "brand_label": _brand_label,
    "title": _title,
    "description": _description,
    "brand": _brand,
    "image": _image,
}


def _because(by_name: float, content: str = "") -> str:
    return ", ".join(part for part in ("by its name" if by_name else "", content) if part)


# --- categories -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Category:
    profile: Profile
    score: float
    level: int | None
    reason: str

    @property
    def holds_paths(self) -> bool:
        return self.profile.categories.levels is not None or self.profile.lists > 0.5


def _categories(profiles: Sequence[Profile]) -> list[tuple[ColumnGuess, Profile]]:
    """The columns for cat1, cat2 and cat3: one that holds whole paths, or one for each level."""
    found = sorted((each for profile in profiles if (each := _category(profile))), key=lambda each: -each.score)
    tops = [each for each in found if each.level in (None, 1)]
    if not tops:
        deeper = sorted((each for each in found if each.level), key=lambda each: each.level or 0)
        return _named(deeper[:3])
    first = tops[0]
    if first.holds_paths:
        return _named([first])
    numbered = next((each for each in tops if each.level == 1), None)
    if numbered is not None and numbered.score > first.score - 1.0:
        first = numbered
    chosen = [first]
    for level in (2, 3):
        below = [each for each in found if each.level == level]
        if level == 2 and numbered is first and not below:
            # `main_category`, `category`, and perhaps `sub_category`.
            below = [each for each in tops if each.level is None and not each.holds_paths and each.score > 2.5]
        if not below:
            break
        chosen.append(below[0])
    return _named(chosen)


def _named(chosen: Sequence[_Category]) -> list[tuple[ColumnGuess, Profile]]:
    return [
        (ColumnGuess(standard, each.profile.name, each.reason), each.profile)
        for standard, each in zip(LEVELS, chosen, strict=False)
    ]


def _category(profile: Profile) -> _Category | None:
    if _is_no_text(profile) or profile.num_words > 25 or profile.is_constant:
        return None
    by_name = _category_name(profile)
    level = _level(profile)
    separator = profile.categories.levels
    reason = f"paths with {separator!r} between their levels" if separator else ""
    if by_name:
        more = 0.5 if separator or (profile.lists > 0.5 and level is None) else 0.0
        less = 0.5 * (profile.filled < 0.3) + 0.5 * (profile.distinct > 0.95 and len(profile.values) > 20)
        return _Category(profile=profile, score=by_name + more - less, level=level, reason=_because(by_name, reason))
    is_path = separator is not None and separator in (">", ">>", "»", "›", "→", "|") and profile.distinct < 0.95
    names = profile.read
    if is_path and not names.has("never", "custom", "google", "price", "description", "title", "image"):
        return _Category(profile=profile, score=1.2, level=None, reason=reason)
    return None


def _category_name(profile: Profile) -> float:
    name = profile.read
    if profile.name in LEVELS:
        return 4.0
    if name.has("image", "price", "url", "never", "description", "google", "custom", "gold", "brand", "gtin"):
        return 0.0
    is_named = name.has("category", "level") or (name.has("kind") and not name.has("variant"))
    if not is_named or (name.has("id", "code", "parent") and not profile.categories.levels):
        return 0.0
    less = 0.2 * len(name.unknown) + 0.3 * name.has("other") + 0.5 * name.has("group")
    if name.has("category"):
        return 3.0 - less
    if name.has("level"):
        return 2.4 - less if name.number else 0.0
    return (2.7 if name.has("product") else 2.2) - less


def _level(profile: Profile) -> int | None:
    name = profile.read
    if profile.name in LEVELS:
        return LEVELS.index(profile.name) + 1
    if name.number is not None and 1 <= name.number <= 5:
        return name.number
    depth = name.roles.count("sub")
    if depth:
        return min(depth, 2) + 1
    return 1 if name.has("main") else None


# --- relations between rows -----------------------------------------------------------------------------------------


def _relation(profiles: Sequence[Profile], role: str, *, not_one_of: set[str]) -> str | None:
    """The column in which rows name the product that they are a variant of: not each row has one, and some share it."""
    for profile in profiles:
        name = profile.read
        is_named = "parent" in name.roles and not name.has("category", "title", "name", "image", "variant")
        is_code = profile.num_words <= 3 and profile.length <= 100 and profile.addresses < 0.5
        is_partly = bool(profile.values) and profile.filled < 0.999
        if is_named and is_code and is_partly and profile.name not in not_one_of:
            return profile.name
    return None


_LANGUAGE_WORDS = frozenset(
    "language lang locale sprache langue idioma lingua jezyk taal язык мова 语言 語言 言語".split()
)


def _tells_language(profile: Profile) -> bool:
    """Whether a column says which language or store view a row is in, of several."""
    words = {*profile.read.words}
    is_named = bool(_LANGUAGE_WORDS & words) or {"store", "view"} <= words
    several = len({*profile.values}) + (profile.filled < 1.0) > 1
    return is_named and bool(profile.values) and several and profile.num_words < 2.5


def _lists_children(profile: Profile) -> bool:
    name = profile.read
    is_named = name.has("variant") and (name.has("parent") or {"skus", "ids", "children"} & {*name.words} != set())
    return is_named and bool(profile.values) and profile.filled < 0.999 and profile.addresses < 0.5
