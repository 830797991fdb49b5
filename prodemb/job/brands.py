"""The alias file of a pipeline, brought up to date with its catalog."""

from collections.abc import Iterator

import pyarrow as pa

from prodemb.aliases.alias_file import read_aliases, write_aliases
from prodemb.aliases.canonicalise import canonicalise
from prodemb.aliases.config import BrandsConfig
from prodemb.aliases.counts import count_supplied
from prodemb.aliases.table import AliasTable
from prodemb.core.features import TEXT_FEATURES, raw_column
from prodemb.core.progress import Progress, ProgressCallback
from prodemb.shards.reader import ShardSet
from prodemb.storage.desk import file_to_write


def update_aliases(
    config: BrandsConfig,
    *,
    batches: Iterator[pa.Table],
    progress: Progress,
    num_products: int | None = None,
    shards: ShardSet | None = None,
) -> AliasTable:
    """Bring the alias file at `config.aliases` up to date with a catalog's supplied brands.

    What the file already says is kept, edited or not; only new strings are decided.

    Args:
        batches: the catalog's supplied values.
        num_products: how many products they hold, where that is known.
        shards: a shard set of the catalog, to compare brands by their text vectors too.
    """
    path = file_to_write(config.aliases)
    known = read_aliases(path) if path.exists() else None
    with progress("Counting brands") as on_progress:
        counted = count_supplied(_counted(batches, num_products, on_progress=on_progress), examples=config.examples)
    with progress("Deciding brands") as on_progress:
        vectors = None if shards is None else shards.text_vectors("brand")
        table = canonicalise(counted, config=config, known=known, vectors=vectors, on_progress=on_progress)
    if known is None or table.rows != known.rows:
        write_aliases(table, path)
    return table


def _counted(
    batches: Iterator[pa.Table], num_products: int | None, *, on_progress: ProgressCallback
) -> Iterator[pa.Table]:
    """The same batches; reports how many products have passed."""
    done = 0
    for batch in batches:
        yield batch
        done += batch.num_rows
        on_progress(done, num_products)


def supplied_batches(shard_set: ShardSet) -> Iterator[pa.Table]:
    """The supplied values of a shard set under their catalog names, shard by shard."""
    names = {raw_column(feature): feature for feature in TEXT_FEATURES if feature != "description"}
    for shard in shard_set.shards():
        yield shard.frame(list(names)).rename(dict(names)).to_arrow()
