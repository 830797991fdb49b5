"""The shard sets of feeds that were predicted before: which of them today's feed goes on from."""

import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from prodemb.catalog.reader import Catalog
from prodemb.core.errors import ShardError
from prodemb.core.features import raw_column
from prodemb.embed.index import MIN_SHARED
from prodemb.shards.format import has_manifest, read_manifest
from prodemb.shards.reader import open_shard_set

_ROWS_AT_ONCE = 65_536


def set_of_feed(folder: Path, *, catalog: Catalog) -> Path:
    """The folder below `folder` for the vectors of a feed, which need not exist yet.

    It is that of the last feed of the same path; else of the one that shares most products with this one, by id and
    title, as yesterday's does under another name; else a new one, called like the feed.
    """
    sets = [path for path in sorted(folder.iterdir()) if has_manifest(path)] if folder.is_dir() else []
    for path in sets:
        with suppress(ShardError):
            if read_manifest(path).catalog == catalog.name:
                return path
    shares = _shares(sets, catalog=catalog) if sets else {}
    closest = max(shares, key=lambda path: shares[path], default=None)
    if closest is not None and shares[closest] >= MIN_SHARED:
        return closest
    stem = re.sub(r"\W+", "-", Path(catalog.name).stem).strip("-") or "feed"
    names = (folder / (stem if number == 1 else f"{stem}-{number}") for number in count(1))
    return next(path for path in names if not has_manifest(path))


def _shares(sets: list[Path], *, catalog: Catalog) -> dict[Path, float]:
    """The part of the products that a feed and each of some sets share, of the smaller of the two."""
    own = _hashes(pl.from_arrow(rows) for rows in catalog.batches(_ROWS_AT_ONCE, columns=["product_id", "title"]))
    shares = {}
    for path in sets:
        with suppress(ShardError):
            shards = open_shard_set(path).shards()
            theirs = _hashes(shard.frame(["product_id", raw_column("title")]) for shard in shards)
            shares[path] = np.isin(own, theirs).sum() / max(1, min(len(own), len(theirs)))
    return shares


def _hashes(parts: "Iterator[pl.DataFrame | pl.Series]") -> npt.NDArray[np.uint64]:
    """A hash of id and title of each product, (n,)."""
    hashes = [np.zeros(0, np.uint64)]
    for part in parts:
        pairs = pl.DataFrame(part).select(pl.all().cast(pl.String))
        hashes.append(pairs.rename(dict(zip(pairs.columns, ("id", "title"), strict=True))).hash_rows().to_numpy())
    return np.concatenate(hashes)
