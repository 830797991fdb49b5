"""Of several category paths the first counts, and of its levels the first three."""

import pyarrow as pa
import pytest

from prodemb.catalog.categories import CategoryRule, category_rule, split_categories


@pytest.mark.parametrize(
    ("cells", "levels", "paths", "first"),
    [
        (["Toys > Bears, Toys > Sale", "Home > Rugs, Home", "Home > Pots"], ">", ",", ["Toys", "Bears"]),
        (["All/Gear/Bags,All/Gear", "All/Home", "All/Home/Pots"], "/", ",", ["All", "Gear", "Bags"]),
        (["All/Toys;All", "All/Toys/Bears;All"], "/", ";", ["All", "Toys"]),
        (["Bags;Spring;All", "Pots;Spring", "Rugs"], None, ";", ["Bags"]),
        (["Home;Rugs", "Home;Pots;Small", "Toys;Bears", "Toys;Cars"], ";", None, ["Home", "Rugs"]),
        (["Home|Rugs", "Home|Pots", "Toys|Bears", "Toys|Cars"], "|", None, ["Home", "Rugs"]),
        (["Дом/Свет", "Дом/Декор", "Кухня/Ножи", "Кухня/Посуда"], "/", None, ["Дом", "Свет"]),
        (["Bags, Wallets & Cases > Bags", "Toys"], ">", None, ["Bags, Wallets & Cases", "Bags"]),
        (["Salt & Pepper, Mills", "Mugs, Cups", "Knives"], None, None, ["Salt & Pepper, Mills"]),
        (["Wool/Cotton", "Mugs", "Pots", "Rugs"], None, None, ["Wool/Cotton"]),
        (["Kitchen &amp; Dining", "Living"], None, None, ["Kitchen & Dining"]),
        (["['Home', 'Rugs', 'Small']", "['Toys']"], None, None, ["Home", "Rugs", "Small"]),
        (['[["Home", "Rugs"], ["Sale"]]'], None, None, ["Home", "Rugs"]),
        (['["Home > Rugs", "Sale > All"]', "Toys"], ">", None, ["Home", "Rugs"]),
        (['[{"node_id": 1, "node_name": "/Home/Rugs"}]'] * 2, "/", None, ["Home", "Rugs"]),
    ],
)
def test_separators_are_told_by_what_they_stand_between(
    cells: list[str], levels: str | None, paths: str | None, first: list[str]
) -> None:
    rule = category_rule(cells)
    assert rule.path_of(cells[0]) == first
    if "node_name" not in cells[0]:
        assert (rule.levels, rule.paths) == (levels, paths)


def test_columns_are_split() -> None:
    column = pa.array(["Home > Kitchen > Mugs > Blue", "Home>Kitchen", "Toys", None, " > ", "NULL"])
    levels = split_categories(column, rule=CategoryRule(levels=">"))
    assert list(zip(*(level.to_pylist() for level in levels), strict=True)) == [
        ("Home", "Kitchen", "Mugs"),
        ("Home", "Kitchen", None),
        ("Toys", None, None),
        (None, None, None),
        (None, None, None),
        (None, None, None),
    ]
    lists = pa.array([["Home", None, "Mugs"], [], None])
    (first, second) = split_categories(lists, rule=CategoryRule(), num_levels=2)
    assert (first.to_pylist(), second.to_pylist()) == (["Home", None, None], ["Mugs", None, None])
