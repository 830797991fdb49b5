"""What a person is asked to look at: merges with products of both sides, those of the most products first."""

from pathlib import Path

from prodemb.aliases.table import AliasRow, AliasTable
from prodemb.report.review import NUM_TITLES, merges
from tests.shard_sets import write_columns


def test_a_merge_shows_products_of_both_brands(tmp_path: Path) -> None:
    shards = write_columns(
        tmp_path,
        brand=["Sonaro", "SONARA", "Sonara", "Sonaro", "Other", None, *["Sonara"] * 5],
        title=["one", "two", "three", "four", "five", "six", *["more"] * 5],
    )
    table = AliasTable(
        [
            AliasRow("Othar", "Othar", status="review", proposed="Other", products=1),
            AliasRow("Sonaro", "Sonaro", rule="typo", score=0.5, status="review", proposed="Sonara", products=2),
            AliasRow("SONARA", "Sonara"),
            AliasRow("Sonara", "Sonara"),
            AliasRow("Other", "Other", status="accepted"),
        ]
    )
    found = merges(table, path=Path("aliases.csv"), shard_set=shards)
    assert found.num_merges == 2
    first, second = found.merges
    assert (first.supplied, first.proposed, first.titles) == ("Sonaro", "Sonara", ("one", "four"))
    assert first.proposed_titles[:2] == ("two", "three")
    assert len(first.proposed_titles) == NUM_TITLES
    assert (second.titles, second.proposed_titles) == ((), ("five",))


def test_nothing_in_doubt_reads_no_shard(tmp_path: Path) -> None:
    shards = write_columns(tmp_path, brand=["A"])
    assert merges(AliasTable([]), path=Path("aliases.csv"), shard_set=shards).merges == ()
