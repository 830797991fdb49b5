"""Where names are placed: stars around a root, rings and chains undone, shops told from brands."""

import numpy as np
import polars as pl
import pytest

from prodemb.aliases import clusters
from prodemb.aliases.clusters import Placement, find_sellers, place_names, proposals_by_rule
from prodemb.aliases.config import BrandsConfig
from prodemb.aliases.evidence import Evidence
from prodemb.aliases.links import Link, Names

CONFIG = BrandsConfig()


def names_of(catalog: dict[str, int]) -> Names:
    words = [tuple(name.split()) for name in sorted(catalog, key=lambda name: name.replace(" ", ""))]
    keys = ["".join(told) for told in words]
    return Names(keys, words, [catalog[" ".join(told)] for told in words], {key: row for row, key in enumerate(keys)})


def evidence_of(names: Names, titles: dict[str, list[str]]) -> Evidence:
    rows = [(names.index[key], title, "Things") for key in sorted(titles) for title in titles[key]]
    schema = {"name": pl.Int64, "title": pl.String, "category": pl.String}
    return Evidence(pl.DataFrame(rows, schema=schema, orient="row"), num_names=len(names.keys))


def placed(catalog: dict[str, int], titles: dict[str, list[str]]) -> tuple[Names, dict[int, Placement]]:
    names = names_of(catalog)
    undecided = range(len(names.keys))
    return names, place_names(names, undecided=undecided, evidence=evidence_of(names, titles), config=CONFIG)


def test_a_member_of_a_member_joins_the_root_where_it_fits_it() -> None:
    catalog = {"adidas": 90, "adidas originals": 9, "adkdas originals": 1}
    originals = ["adidas originals shoe", "adidas originals cap"]
    titles = {"adidas": ["adidas shoe", "adidas cap"], "adidasoriginals": originals, "adkdasoriginals": originals[:1]}
    names, places = placed(catalog, titles)
    root = names.index["adidas"]
    assert {place.root for place in places.values()} == {root}


def test_decided_names_are_targets_and_are_not_placed() -> None:
    names = names_of({"fastrack": 30, "fastrak": 1})
    evidence = evidence_of(names, {"fastrack": ["fastrack watch"], "fastrak": ["fastrack watch"]})
    places = place_names(names, undecided=[names.index["fastrak"]], evidence=evidence, config=CONFIG)
    assert places == {1: Placement(0, places[1].link)}
    assert proposals_by_rule(places) == {"typo": 1}


def test_two_spellings_that_name_each_other_make_no_ring() -> None:
    titles = {"marantzo": ["marantza radio"], "marantza": ["marantzo radio"]}
    _, places = placed({"marantzo": 5, "marantza": 5}, titles)
    assert len({place.root for place in places.values()}) in (1, 2)
    assert all(places[place.root].root == place.root for place in places.values())


def test_doubtful_links_are_counted_apart() -> None:
    places = {0: Placement(0), 1: Placement(1, Link(0, "typo", 0.7, accepted=False), proposed=0)}
    assert proposals_by_rule(places) == {"typo (review)": 1}


def test_a_seller_has_titles_of_many_brands_and_none_of_its_own() -> None:
    makers = ["nokira", "samsona", "philco", "bravio", "tefalo"]
    names = names_of(dict.fromkeys([*makers, "retailo"], 12))
    own = {maker: [f"{maker} radio"] for maker in makers}
    sold = [f"{maker} radio {n}" for maker in makers for n in range(2)]
    every = range(len(names.keys))
    shop = evidence_of(names, {**own, "retailo": sold})
    assert find_sellers(names, undecided=every, evidence=shop) == {names.index["retailo"]}
    brand = evidence_of(names, {**own, "retailo": [f"{title} by retailo" for title in sold]})
    assert find_sellers(names, undecided=every, evidence=brand) == set()


CROWDED = {"fastrack": 40, "fastraks": 40, "fastra": 40, "fastrak": 2}
CROWDED_TITLES = {"fastrack": ["fastrack watch"], "fastrak": ["a watch by fastrack"]}
ONE_NEIGHBOUR = BrandsConfig(neighbours=1)


def crowded(vectors: np.ndarray | None) -> tuple[Names, Placement]:
    """Where "fastrak" goes when only its nearest neighbour by spelling, which is another brand, is looked at."""
    names = names_of(CROWDED)
    evidence = evidence_of(names, CROWDED_TITLES)
    every = range(len(names.keys))
    places = place_names(names, undecided=every, evidence=evidence, config=ONE_NEIGHBOUR, vectors=vectors)
    return names, places[names.index["fastrak"]]


def test_like_vectors_give_more_names_to_look_at() -> None:
    names, alone = crowded(None)
    assert alone.root == names.index["fastrak"]
    vectors = np.zeros((len(names.keys), 3), dtype=np.float16)
    vectors[[names.index["fastrak"], names.index["fastrack"]], 0] = 1
    names, place = crowded(vectors)
    assert (place.root, place.link and place.link.rule) == (names.index["fastrack"], "typo")


def test_like_vectors_alone_merge_nothing() -> None:
    names = names_of({"marantzo": 40, "kenwoodo": 2, "philco": 9})
    vectors = np.zeros((len(names.keys), 3), dtype=np.float16)
    vectors[:, 0] = 1
    evidence = evidence_of(names, {key: [f"{key} radio"] for key in names.keys})
    every = range(len(names.keys))
    places = place_names(names, undecided=every, evidence=evidence, config=CONFIG, vectors=vectors)
    assert places == {name: Placement(name) for name in every}


def test_progress_counts_every_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "_AT_ONCE", 2)
    names = names_of({"nokira": 3, "samsona": 3, "philco": 3, "bravio": 3, "tefalo": 3})
    told: list[tuple[int, int]] = []
    evidence = evidence_of(names, {})
    place_names(
        names,
        undecided=range(5),
        evidence=evidence,
        config=CONFIG,
        on_progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(2, 5), (4, 5), (5, 5)]
