"""Gold categories resolved in a taxonomy: the node of each, and warnings about renamed, removed and unknown ones."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from prodemb.core.errors import TaxonomyError
from prodemb.core.text import counted, some_of
from prodemb.taxonomy.taxonomy import Found, Taxonomy

logger = logging.getLogger(__name__)

_RENAMED = "under another name (its id decides)"
_REMOVED = "no more (it counts as the nearest node above)"


@dataclass(frozen=True, kw_only=True)
class GoldCategories:
    """How the distinct gold categories of some products are resolved."""

    nodes: dict[str, int | None]
    """The node of each, None where it is unknown."""
    unknown: dict[str, int]
    """Those that are in no taxonomy, most frequent first, and how many products carry each."""
    renamed: dict[str, int]
    """Likewise those that the taxonomy has under another name: their id decides."""
    removed: dict[str, int]
    """Likewise those whose node the taxonomy no longer has: they count as the nearest node above it."""


def trace_gold(counts: Mapping[str, int], *, taxonomy: Taxonomy, taxonomy_name: str, where: str) -> GoldCategories:
    """Resolve gold categories to nodes; `tell_gold` reports those that are renamed, removed or unknown.

    Args:
        counts: how many products have each.
        taxonomy_name: the name of the taxonomy for messages.
        where: the catalog or shard set that they are from.

    Raises:
        TaxonomyError: none of them is in the taxonomy.
    """
    traces = {text: taxonomy.trace(text) for text in counts}
    found: dict[Found, dict[str, int]] = {"renamed": {}, "removed": {}, "unknown": {}, "as it is": {}}
    for text, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        kind: Found = traces[text].found
        found[kind][text] = count
    unknown = found["unknown"]
    if unknown and len(unknown) == len(traces):
        message = _unknown_line(unknown, taxonomy_name=taxonomy_name, where=where)
        raise TaxonomyError(f'{message}; none is, so wanted the taxonomy they are from: [train] taxonomy = "PATH"')
    return GoldCategories(
        nodes={text: trace.node for text, trace in traces.items()},
        unknown=unknown,
        renamed=found["renamed"],
        removed=found["removed"],
    )


def tell_gold(gold: GoldCategories, *, taxonomy_name: str, where: str) -> None:
    """Log unknown, renamed and removed gold categories, one line each; arguments as of `trace_gold`."""
    if gold.unknown:
        message = _unknown_line(gold.unknown, taxonomy_name=taxonomy_name, where=where)
        logger.warning('%s; they are left out: give the taxonomy they are from, [train] taxonomy = "PATH"', message)
    for some, fate in ((gold.renamed, _RENAMED), (gold.removed, _REMOVED)):
        if some:
            logger.warning(
                "%s: %s with a google_category_id that %s has %s: %s",
                where,
                counted(sum(some.values()), "product"),
                taxonomy_name,
                fate,
                some_of([*some]),
            )


def _unknown_line(unknown: Mapping[str, int], *, taxonomy_name: str, where: str) -> str:
    num = counted(sum(unknown.values()), "product")
    return f"{where}: {num} with a google_category_id that is not in {taxonomy_name}: {some_of([*unknown])}"
