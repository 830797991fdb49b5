"""What a person is asked to look at: brand merges in doubt, and the findings of an audit."""

from pathlib import Path

import polars as pl

from prodemb.aliases.table import AliasTable
from prodemb.audit.table import SCHEMA, is_audit
from prodemb.core.bounded import read_table
from prodemb.core.errors import ConfigError
from prodemb.core.features import raw_column
from prodemb.core.text import one_line
from prodemb.report.summary import Audit, Merge, Merges
from prodemb.shards.reader import ShardSet

MAX_MERGES = 100
MAX_FINDINGS = 100
NUM_TITLES = 3
"""Products that are shown of each side of a merge."""

_COLUMNS = ("product_id", "partner", "title", "target", "kind", "given", "given_name", "suggestion", "confidence")
_BRAND, _TITLE = raw_column("brand"), raw_column("title")


def merges(table: AliasTable, *, path: Path, shard_set: ShardSet) -> Merges:
    """The merges in doubt, those of the most products first, with titles of products of both sides.

    Args:
        path: the alias file.
        shard_set: of the catalog that the brands are of.
    """
    waiting = sorted(
        (row for row in table.rows if row.status == "review" and row.proposed),
        key=lambda row: (-row.products, row.supplied),
    )
    shown = waiting[:MAX_MERGES]
    proposed = {row.proposed for row in shown}
    spellings = {row.supplied: row.effective for row in table.rows if row.effective in proposed}
    titles = _titles(shard_set, brands={row.supplied for row in shown} | spellings.keys())
    of_brand: dict[str, list[str]] = {}
    for supplied, brand in spellings.items():
        of_brand.setdefault(brand, []).extend(titles.get(supplied, []))
    return Merges(
        aliases=str(path),
        num_merges=len(waiting),
        merges=tuple(
            Merge(
                supplied=row.supplied,
                proposed=row.proposed or "",
                rule=row.rule,
                score=row.score,
                num_products=row.products,
                titles=tuple(titles.get(row.supplied, [])),
                proposed_titles=tuple(of_brand.get(row.proposed or "", [])[:NUM_TITLES]),
            )
            for row in shown
        ),
    )


def _titles(shard_set: ShardSet, *, brands: set[str]) -> dict[str, list[str]]:
    """Titles of the first products that are supplied with each of some brands."""
    wanted = pl.Series(_BRAND, sorted(brands), dtype=pl.String)
    frames = [
        shard.frame([_BRAND, _TITLE])
        .with_columns(pl.all().cast(pl.String))
        .drop_nulls()
        .filter(pl.col(_BRAND).is_in(wanted.implode()))
        .group_by(_BRAND, maintain_order=True)
        .head(NUM_TITLES)
        for shard in (shard_set.shards() if brands else ())
    ]
    if not frames:
        return {}
    found = pl.concat(frames).group_by(_BRAND, maintain_order=True).agg(pl.col(_TITLE).head(NUM_TITLES))
    return dict(found.iter_rows())


def audit_of(path: Path) -> Audit:
    """The surest findings of an audit.

    Raises:
        ConfigError: the file holds none, or is damaged.
    """
    if not is_audit(path):
        raise ConfigError(f"{path}: holds no findings; wanted a file that `prodemb audit` wrote")
    try:
        frame = pl.DataFrame(pl.from_arrow(read_table(path)))
    except (ValueError, OSError) as error:
        raise ConfigError(f"{path}: damaged: {one_line(error)}; audit again") from None
    if not {*SCHEMA} <= {*frame.columns}:
        raise ConfigError(f"{path}: has other columns than an audit's; audit again")
    return Audit(source=str(path), num_findings=len(frame), findings=frame.select(_COLUMNS).head(MAX_FINDINGS))
