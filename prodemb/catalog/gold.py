"""Finding the column with gold categories by asking the taxonomy what its values mean."""

from collections.abc import Sequence
from dataclasses import dataclass

from prodemb.catalog.plain_text import plain_text
from prodemb.catalog.profile import Profile
from prodemb.core.text import is_whole_number
from prodemb.taxonomy.taxonomy import Taxonomy

MIN_KNOWN = 0.9
"""Share of the distinct values that must be categories as they are, for a column that is not called Google's."""
MIN_DISTINCT = 2
MIN_MEDIAN_ID = 100


@dataclass(frozen=True)
class GoldGuess:
    """A column of gold categories, and why it is taken for one."""

    own: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class GoldColumn:
    """The column of gold categories, if any, and all columns that hold any: none of them may be an input."""

    chosen: GoldGuess | None
    columns: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Known:
    """Shares of a column's distinct values."""

    whole: float
    """That are categories of a taxonomy, as they are or under another name."""
    part: float
    """That are, or whose path begins with one, as where only a part of the taxonomy is at hand."""


def find_gold(profiles: Sequence[Profile], *, taxonomies: Sequence[Taxonomy]) -> GoldColumn:
    """The column whose values are Google categories: ids, paths or both, of any locale and version that is at hand.

    A column that is called Google's category holds some, also where the taxonomy at hand knows none of them; any other
    must be known nearly throughout.
    """
    found: list[tuple[float, str, str]] = []
    for profile in profiles:
        name = profile.read
        is_named = profile.name == "google_category_id" or (
            name.has("google") and (name.has("category", "kind") or name.roles in (("google",), ("google", "product")))
        )
        is_no_label = not profile.values or profile.addresses > 0.5 or profile.pictures > 0.5 or name.has("url")
        if is_no_label or (name.has("brand", "maker", "price", "title", "description", "custom", "image")):
            continue
        if is_named and not _are_measures(profile):
            known = known_in(profile.values, taxonomies)
            found.append((2.0 + known.part * profile.filled, profile.name, _reason(known, named=True)))
        elif name.has("category") and not name.has("never", "variant", "sub", "parent") and not profile.is_constant:
            known = known_in(profile.values, taxonomies)
            if known.whole >= MIN_KNOWN and _are_certain(profile):
                found.append((1.0 + known.whole * profile.filled, profile.name, _reason(known, named=False)))
    found.sort(reverse=True)
    chosen = GoldGuess(found[0][1], found[0][2]) if found else None
    return GoldColumn(chosen=chosen, columns=tuple(own for _, own, _ in found))


def known_in(values: Sequence[str], taxonomies: Sequence[Taxonomy]) -> Known:
    """How many of the distinct values are categories of one of the taxonomies."""
    distinct = [*dict.fromkeys(values)]
    traces = [[taxonomy.trace(value).found for taxonomy in taxonomies] for value in distinct]
    whole = sum(any(each in ("as it is", "renamed") for each in found) for found in traces)
    part = sum(any(each != "unknown" for each in found) for found in traces)
    return Known(whole=whole / max(1, len(distinct)), part=part / max(1, len(distinct)))


def repeats(profile: Profile, label: Profile, *, taxonomies: Sequence[Taxonomy]) -> bool:
    """Whether a column says what the gold column says, so that as an input it would give the answer away."""
    both = profile.present & label.present
    if both.sum() < 3 or profile.is_binary or label.is_binary:
        return False
    mine = dict(zip(profile.present.nonzero()[0].tolist(), profile.values, strict=True))
    theirs = dict(zip(label.present.nonzero()[0].tolist(), label.values, strict=True))
    rows = both.nonzero()[0].tolist()
    same = sum(_meaning(mine[row], taxonomies) == _meaning(theirs[row], taxonomies) for row in rows)
    return same / len(rows) > MIN_KNOWN


def _meaning(value: str, taxonomies: Sequence[Taxonomy]) -> int | str:
    for taxonomy in taxonomies:
        found = taxonomy.trace(value)
        if found.node is not None and found.found != "removed":
            return found.node
    return " ".join((plain_text(value) or "").casefold().split())


def _are_certain(profile: Profile) -> bool:
    """Whether values can be told from a shop's own words: several of them, with ids or paths of several levels."""
    distinct = {*profile.values}
    if profile.numbers > 0.9:
        # Shops number their own categories from 1.
        numbers = sorted(int(value) for value in distinct if is_whole_number(value))
        return len(numbers) > MIN_DISTINCT and numbers[len(numbers) // 2] >= MIN_MEDIAN_ID
    deep = sum(">" in value for value in distinct) / max(1, len(distinct))
    return len(distinct) >= MIN_DISTINCT and deep >= 0.5


def _are_measures(profile: Profile) -> bool:
    """Whether values are numbers, but no ids."""
    decimals = sum("." in value.removesuffix(".0") or "," in value for value in profile.values)
    return profile.numbers > 0.5 and decimals > 0.5 * len(profile.values)


def _reason(known: Known, *, named: bool) -> str:
    share = f"{known.part:.0%} of its values are in the taxonomy at hand"
    if named:
        return f"by its name, {share}" if known.part else "by its name, though the taxonomy at hand has none of them"
    return share
