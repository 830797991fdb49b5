"""Canonical brands from supplied strings, on small catalogs."""

from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodemb.aliases.canonicalise import UNBRANDED, UNKNOWN, canonicalise, normalise_brand
from prodemb.aliases.config import BrandsConfig
from prodemb.aliases.counts import count_supplied
from prodemb.aliases.table import AliasRow, AliasTable
from prodemb.core.errors import CatalogError, ConfigError

CONFIG = BrandsConfig()
THINGS = {
    "Apparel": ("Shirt", "Socks", "Jacket", "Cap", "Belt"),
    "Kitchen": ("Pan", "Kettle", "Ladle", "Bowl", "Whisk"),
    "Jewellery": ("Ring", "Necklace", "Anklet", "Brooch", "Bangle"),
    "Electronics": ("Charger", "Cable", "Speaker", "Radio", "Lamp"),
    "Food": ("Tea", "Rice", "Honey", "Lentils", "Mustard"),
}


def products(supplied: str, number: int, *, title: str | None = None, kind: str = "Apparel") -> list[dict[str, str]]:
    """Products of one supplied brand; their titles begin with `title`, or with the supplied brand."""
    name = supplied if title is None else title
    return [
        {"brand": supplied, "title": f"{name} {THINGS[kind][n % 5]} {n}", "cat1": kind, "cat2": f"{kind} {n % 3}"}
        for n in range(number)
    ]


def decide(*catalog: list[dict[str, str]], known: AliasTable | None = None) -> AliasTable:
    rows = [row for part in catalog for row in part]
    counted = count_supplied([pa.Table.from_pylist(rows)], examples=CONFIG.examples)
    return canonicalise(counted, config=CONFIG, known=known)


def silent(part: list[dict[str, str]]) -> list[dict[str, str]]:
    """The same products, with titles that name no brand."""
    return [row | {"title": " ".join(row["title"].split()[-2:])} for row in part]


def bare(**counts: int) -> AliasTable:
    """Decisions on strings and numbers alone, without any evidence."""
    return canonicalise(pl.DataFrame({"supplied": list(counts), "products": list(counts.values())}), config=CONFIG)


def row_of(table: AliasTable, supplied: str) -> AliasRow:
    return next(row for row in table.rows if row.supplied == supplied)


NIKE = [*products("Nike", 40), *products("NIKE", 20, title="NIKE"), *products("Nike®", 4, title="Nike")]


def test_the_example_of_the_readme() -> None:
    table = decide(NIKE, products("Nike Air", 3), products("N/A", 2, title="Plain"), products("Generic", 2))
    assert table.canonical_of(["Nike", "NIKE", "Nike®", "Nike Air"]).to_list() == ["Nike"] * 4
    assert table.canonical_of(["N/A", "Generic"]).to_list() == [None, None]
    assert (table.verdict("N/A"), table.verdict("Generic")) == (UNKNOWN, UNBRANDED)
    rules = {row.supplied: row.rule for row in table.rows}
    assert (rules["NIKE"], rules["Nike®"], rules["Nike Air"], rules["N/A"]) == ("case", "marks", "line", "placeholder")
    assert [row.products for row in table.rows] == sorted((row.products for row in table.rows), reverse=True)


@pytest.mark.parametrize(
    ("frequent", "rare"),
    [
        ("Lee", "Lee Cooper"),
        ("Boss", "Bose"),
        ("Gap", "Gas"),
        ("Puma", "Pumo"),
        ("Lumo", "Luma"),
        ("Force 10", "Force 20"),
        ("Forever", "Forever 21"),
        ("Canon", "Cannon"),
        ("John", "John Galliano"),
        ("Element", "Elements"),
        ("Marvel", "Marvell"),
        ("Nivea", "Nivia"),
        ("Clarks", "Clark"),
        ("Citizen", "Citizens of Humanity"),
        ("Titan", "Titanic"),
        ("Swiss Army", "Swiss Military"),
        ("Samsung", "Samsonite"),
    ],
)
def test_names_that_are_close_stay_apart(frequent: str, rare: str) -> None:
    for table in (
        decide(products(frequent, 90), products(rare, 4)),
        decide(silent(products(frequent, 90)), silent(products(rare, 4))),
        canonicalise(pl.DataFrame({"supplied": [frequent, rare], "products": [90, 4]}), config=CONFIG),
    ):
        assert (table.lookup(frequent), table.lookup(rare)) == (frequent, rare)


@pytest.mark.parametrize("typo", ["Fastrak", "Fasttrack", "FASTARCK", "Fastrack", "Fastrazk Inc."])
def test_typos_join_where_titles_name_the_brand(typo: str) -> None:
    table = decide(products("Fastrack", 30), products(typo, 2, title="Fastrack"))
    assert table.lookup(typo) == "Fastrack"


def test_short_names_join_only_where_titles_say_so() -> None:
    assert decide(products("Fila", 30), products("Fla", 1, title="Fila")).lookup("Fla") == "Fila"
    assert decide(products("Fila", 30), products("Fla", 1, title="Some")).lookup("Fla") == "Fla"


def test_a_typo_that_titles_do_not_settle_needs_like_products_and_few_of_them() -> None:
    silent = [row | {"title": "a thing"} for row in products("Timberland", 30)]
    for kind, number, expected in (
        ("Apparel", 2, "Timberland"),
        ("Kitchen", 2, "Timberlnad"),
        ("Apparel", 20, "Timberlnad"),
    ):
        typo = [row | {"title": THINGS[kind][n % 5]} for n, row in enumerate(products("Timberlnad", number, kind=kind))]
        assert decide(silent, typo).lookup("Timberlnad") == expected


def test_extra_words_and_lines() -> None:
    table = decide(
        NIKE,
        products("Puma", 50),
        products("Puma India Pvt Ltd", 2, title="Puma"),
        products("Puma Store", 2),
        products("Nike Panama", 1, title="Nike"),
        products("Griffin", 30, kind="Electronics"),
        products("Griffin Technology", 9, kind="Electronics"),
    )
    for supplied in ("Puma India Pvt Ltd", "Puma Store"):
        assert table.lookup(supplied) == "Puma"
    assert table.lookup("Nike Panama") == "Nike"
    assert table.lookup("Griffin Technology") == "Griffin"


def lines(*counts: tuple[str, int]) -> list[dict[str, str]]:
    return [row for name, number in counts for row in products(name, number)]


def test_a_rare_bare_name_with_several_lines_is_their_brand() -> None:
    named = [("Corvano Enticer", 20), ("Corvano Youth", 6), ("Corvano Sheen", 5), ("Corvano Edifice", 4)]
    table = decide(lines(("Corvano", 2), *named, ("Corvano Typhoon", 1)))
    assert {row.effective for row in table.rows} == {"Corvano"}
    assert row_of(table, "Corvano Enticer").rule == "line"
    # One other name is no line of it, nor are that name's misspellings.
    table = decide(lines(("Corvano", 2), ("Corvano Cooper", 20), ("Corvano Coopr", 4), ("Corvano Cooperr", 4)))
    assert table.lookup("Corvano Cooper") == "Corvano Cooper"
    # Products of the bare name that bear one line's name show that the name does not stand alone.
    table = decide(products("Corvano", 2, title="Corvano Youth"), lines(*named))
    assert table.lookup("Corvano Enticer") == "Corvano Enticer"
    # Neither does an ordinary word or a people's name become a brand so.
    swiss = [(name.replace("Corvano", "Swiss"), number) for name, number in named]
    assert decide(lines(("Swiss", 2), *swiss)).lookup("Swiss Enticer") == "Swiss Enticer"


def test_words_in_front_of_a_brand_go_where_titles_leave_them_out() -> None:
    for supplied in ("Robert Zanussa GmbH", "Official Zanussa Store", "The House of Zanussa"):
        assert decide(products("Zanussa", 20), products(supplied, 3, title="Zanussa")).lookup(supplied) == "Zanussa"
        assert decide(products("Zanussa", 20), products(supplied, 3)).lookup(supplied) != "Zanussa"


def test_a_colour_of_another_language_may_be_a_name() -> None:
    assert decide(products("Schwarz", 9)).lookup("Schwarz") == "Schwarz"
    assert decide(products("Schwarz", 9, title="Acme")).verdict("Schwarz") == UNKNOWN


def test_a_department_of_another_trade_is_left_to_a_person() -> None:
    table = decide(products("Kiara", 20), products("Kiara Jewellery", 15, kind="Jewellery"))
    row = row_of(table, "Kiara Jewellery")
    assert (row.status, row.canonical, row.proposed) == ("review", "Kiara Jewellery", "Kiara")


def test_initials_join_on_evidence() -> None:
    long = "United Colors of Zenetton"
    assert decide(products(long, 30), products("UCZ", 4)).lookup("UCZ") == long
    assert decide(products(long, 30), products("UCZ", 4, kind="Food")).lookup("UCZ") == "UCZ"
    assert (
        decide(products("Hewlett-Packard", 30), products("HP", 4, title="Hewlett Packard")).lookup("HP")
        == "Hewlett-Packard"
    )


def test_clusters_do_not_chain() -> None:
    # Each is one letter from the next, but the last is far from the first.
    table = decide(
        products("Marantzo", 200), products("Marantza", 30, title="Marantzo"), products("Marintza", 4, title="Marantza")
    )
    assert table.lookup("Marantza") == "Marantzo"
    assert table.lookup("Marintza") == "Marintza"
    assert row_of(table, "Marintza").status == "review"


def test_colours_are_brands_where_titles_open_with_them() -> None:
    table = decide(
        products("Red Rose", 5), products("Red Rose Blue", 1, title="Red Rose"), products("Light Blue", 9, title="Acme")
    )
    assert table.lookup("Red Rose") == table.lookup("Red Rose Blue") == "Red Rose"
    assert table.verdict("Light Blue") == UNKNOWN
    assert row_of(table, "Red Rose").proposed == UNKNOWN


def test_a_shop_in_the_brand_field_is_unknown() -> None:
    makers = ["Nokira", "Samsona", "Philco", "Bravio", "Tefalo", "Movado"]
    sold = [row for maker in makers for row in products("WS Retail", 2, title=maker)]
    table = decide(*[products(maker, 6) for maker in makers], sold, products("WS Retail Ltd.", 1, title="Philco"))
    assert table.verdict("WS Retail") == table.verdict("WS Retail Ltd.") == UNKNOWN
    assert row_of(table, "WS Retail").rule == "seller"
    assert table.lookup("Philco") == "Philco"


def test_a_shop_that_sells_rare_makers_is_found_by_their_number() -> None:
    makers = ["Nokira", "Samsona", "Philco", "Bravio", "Tefalo", "Movado", "Zanussa", "Kenwira", "Marantzo", "Lumaro"]
    sold = [row for maker in makers for row in products("WS Retail", 1, title=maker)]
    nameless = silent(products("WS Retail", 30))[10:]
    table = decide(*[products(maker, 1) for maker in makers], sold, nameless[:12])
    assert row_of(table, "WS Retail").rule == "seller"
    few = [row for maker in makers[:4] for row in products("Acme", 5, title=maker)]
    assert decide(*[products(maker, 1) for maker in makers], few).lookup("Acme") == "Acme"


def test_tomorrow_keeps_all_decisions_and_adds_the_new() -> None:
    today = decide(NIKE, products("Nike Air", 3))
    tomorrow = decide(NIKE, NIKE, products("Nikke", 1, title="Nike"), products("Puma", 9), known=today)
    assert {row.supplied for row in tomorrow.rows} == {"Nike", "NIKE", "Nike®", "Nike Air", "Nikke", "Puma"}
    kept = {row.supplied: row for row in tomorrow.rows}
    for row in today.rows:
        assert replace(kept[row.supplied], products=row.products) == row
    assert kept["Nike"].products == 80
    assert kept["Nike Air"].products == 3
    assert tomorrow.lookup("Nikke") == "Nike"


def test_edits_win_and_carry_over() -> None:
    today = decide(NIKE, products("Nike Air", 3), products("Acme", 5), products("Zed", 5))
    edits = {"Nike Air": "Air", "Acme": UNBRANDED, "Nike": "Nike Group", "NIKE": "Nike Group", "Nike®": "Nike Group"}
    edited = AliasTable([replace(row, canonical=edits.get(row.supplied, row.canonical)) for row in today.rows])
    new = [*products("Nike Air™", 1), *products("ACME Ltd", 1), *products("Nikke", 1, title="Nike")]
    table = decide(NIKE, products("Nike Air", 3), new, known=edited)
    assert table.canonical_of(["Nike Air", "Nike Air™", "Nikke", "nike"]).to_list() == [
        "Air",
        "Air",
        "Nike Group",
        "Nike Group",
    ]
    assert table.verdict("ACME Ltd") == UNBRANDED


NAMES = st.sampled_from(
    [
        "Nike",
        "NIKE",
        "Nikee",
        "Nike Air",
        "Puma",
        "Pumo",
        "Puma Ltd",
        "Red",
        "n/a",
        "Generic",
        "Lee",
        "Lee Cooper",
        "Fastrack",
        "Fastrak",
        "UCB",
        "©",
        "ナイキ",
    ]
)
CATALOGS: Any = st.dictionaries(NAMES | st.text(max_size=6), st.integers(1, 60), max_size=12)


@settings(deadline=None, max_examples=15)
@given(CATALOGS, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(catalog: dict[str, int], random: Random) -> None:
    parts = [products(supplied, min(number, 9)) for supplied, number in catalog.items()]
    shuffled = random.sample(parts, len(parts))
    if parts:
        assert decide(*parts).rows == decide(*shuffled).rows


@settings(deadline=None, max_examples=25)
@given(CATALOGS, CATALOGS, st.dictionaries(NAMES, st.sampled_from(["Mine", "Nike", UNKNOWN, UNBRANDED])))
def test_known_decisions_stand(catalog: dict[str, int], later: dict[str, int], edits: dict[str, str]) -> None:
    known = AliasTable(replace(row, canonical=edits.get(row.supplied, row.canonical)) for row in bare(**catalog).rows)
    table = canonicalise(
        pl.DataFrame(
            {"supplied": list(later), "products": list(later.values())},
            schema={"supplied": pl.String, "products": pl.Int64},
        ),
        config=CONFIG,
        known=known,
    )
    assert {row.supplied for row in table.rows} == catalog.keys() | later.keys()
    for row in known.rows:
        assert table.verdict(row.supplied) == row.effective == known.verdict(row.supplied)


@settings(deadline=None, max_examples=25)
@given(CATALOGS)
def test_every_canonical_stands_for_itself(catalog: dict[str, int]) -> None:
    table = bare(**catalog)
    for row in table.rows:
        if row.effective not in (UNKNOWN, UNBRANDED):
            assert table.lookup(row.effective) == row.effective
            assert normalise_brand(row.effective)


def test_bad_input_is_named() -> None:
    with pytest.raises(CatalogError, match="wanted also 'products'"):
        canonicalise(pl.DataFrame({"supplied": ["x"]}), config=CONFIG)
    with pytest.raises(ConfigError, match=r"brand\.toml: min_overlap: found 2"):
        BrandsConfig.parse({"min_overlap": 2}, source="brand.toml")
    assert len(canonicalise(pl.DataFrame(schema={"supplied": pl.String, "products": pl.Int64}), config=CONFIG)) == 0


def test_repeated_rows_are_added_up() -> None:
    supplied = pl.DataFrame({"supplied": ["Nike", "Nike", None], "products": [2, 3, 9]})
    assert [(row.supplied, row.products) for row in canonicalise(supplied, config=CONFIG).rows] == [("Nike", 5)]


def test_vectors_of_some_strings_change_no_earlier_decision() -> None:
    rows = [*NIKE, *products("Nikke", 1, title="Nike"), *products("Puma", 9)]
    counted = count_supplied([pa.Table.from_pylist(rows)], examples=CONFIG.examples)
    without = canonicalise(counted, config=CONFIG)
    vectors = (["Puma", "NIKE", "not here", "Nike"], np.eye(4, dtype=np.float16))
    assert canonicalise(counted, config=CONFIG, vectors=vectors).rows == without.rows
    assert canonicalise(counted, config=CONFIG, vectors=vectors, known=without).rows == without.rows
    assert canonicalise(counted, config=CONFIG, vectors=([], np.empty((0, 4), np.float16))).rows == without.rows


def test_a_colour_that_is_used_like_the_shop_s_own_brand_is_left_to_a_person() -> None:
    own = [row for kind in THINGS for row in silent(products("Rosa Rose", 12, kind=kind))]
    row = row_of(decide(own, products("Norvik", 5)), "Rosa Rose")
    assert (row.canonical, row.status, row.proposed) == ("Rosa Rose", "review", UNKNOWN)
    again = decide(own, products("Norvik", 5), known=decide(own, products("Norvik", 5)))
    assert row_of(again, "Rosa Rose").effective == "Rosa Rose"


def test_a_column_of_colours_holds_no_brand() -> None:
    colours = [row for colour in ("Black", "White", "Red") for row in silent(products(colour, 40))]
    assert {row.canonical for row in decide(colours, products("Norvik", 5)).rows} == {"Norvik", UNKNOWN}


def test_a_colour_that_titles_hold_is_no_brand() -> None:
    red = [
        row | {"title": f"{row['title']} in red"} for kind in THINGS for row in silent(products("Red", 12, kind=kind))
    ]
    assert row_of(decide(red, products("Norvik", 5)), "Red").canonical == UNKNOWN


def test_a_placeholder_is_no_brand_however_frequent() -> None:
    nobody = [row for kind in THINGS for row in silent(products("N/A", 12, kind=kind))]
    assert row_of(decide(nobody, products("Norvik", 5)), "N/A").canonical == UNKNOWN
