"""The Google product taxonomy: its nodes, official ids and paths, read from Google's own files."""

import html
import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Literal

from prodemb.core.bounded import read_text
from prodemb.core.errors import TaxonomyError
from prodemb.core.files import replacing
from prodemb.taxonomy.mapping import CategoryMapping
from prodemb.taxonomy.paths import plain_path
from prodemb.taxonomy.sample_nodes import NODES, VERSION

logger = logging.getLogger(__name__)

TAXONOMY_URL = "https://www.google.com/basepages/producttype/taxonomy-with-ids.{locale}.txt"
"""Where Google publishes the taxonomy of a locale."""

SEPARATOR = " > "
"""Between the names of a path."""

_VERSION_LINE = re.compile(r"#\s*Google_Product_Taxonomy_Version:\s*(\S+)")
_NODE_LINE = re.compile(r"(\d{1,12}) - (\S.*)")
_ID = re.compile(r"(\d{1,12})(?:\.0+)?")
_LOCALE = re.compile(r"[a-z]{2,3}-[A-Z]{2}")
_FETCH_SECONDS = 30.0


Found = Literal["as it is", "renamed", "removed", "unknown"]
"""How a label was resolved: to the node of that path; by its id, under another name; to the nearest remaining node
above a removed one; not at all."""


@dataclass(frozen=True, kw_only=True)
class Trace:
    """How a category value of a feed is resolved in a taxonomy."""

    node: int | None
    found: Found


@dataclass(frozen=True, kw_only=True)
class Taxonomy:
    """Taxonomy nodes by id, in the order of their file; every parent of a node is a node too."""

    paths: dict[int, str]
    """Full path by id: "Apparel & Accessories > Shoes"."""
    version: str | None = None
    """Google's date of the version, where the file gives it."""
    source: str = "taxonomy"
    """The name of the taxonomy in messages."""
    of_labels: "Taxonomy | None" = None
    """The version or locale that labels are written in, where it is another one; ids are the same in all locales."""
    mapping: CategoryMapping | None = None
    """Which categories Shopify's own are, where labels may be such."""
    _parents: dict[int, int | None] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Link each node to its parent.

        Raises:
            TaxonomyError: two ids have one path, or a node's parent is missing.
        """
        by_path: dict[str, int] = {}
        for node, path in self.paths.items():
            if (other := by_path.setdefault(path, node)) != node:
                raise TaxonomyError(f"{self.source}: ids {other} and {node} have one path: {path!r}")
        parents: dict[int, int | None] = {}
        for node, path in self.paths.items():
            above = path.rpartition(SEPARATOR)[0]
            if above and above not in by_path:
                raise TaxonomyError(f"{self.source}: id {node}: no line for its parent {above!r}")
            parents[node] = by_path[above] if above else None
        object.__setattr__(self, "_parents", parents)

    def __len__(self) -> int:
        return len(self.paths)

    def __contains__(self, node: object) -> bool:
        return node in self.paths

    @property
    def ids(self) -> tuple[int, ...]:
        """All ids, in the order of the file."""
        return tuple(self.paths)

    @cached_property
    def leaves(self) -> tuple[int, ...]:
        """The ids of the nodes without children, in the order of the file."""
        return tuple(node for node in self.paths if not self._children[node])

    @cached_property
    def roots(self) -> tuple[int, ...]:
        """The ids of the nodes without a parent: the top-level branches."""
        return tuple(node for node, parent in self._parents.items() if parent is None)

    def path_of(self, node: int) -> str:
        """The full path of a node. Raises TaxonomyError for an id that is not in the taxonomy."""
        try:
            return self.paths[node]
        except KeyError:
            raise self._lacks(node) from None

    def parent(self, node: int) -> int | None:
        """The node above, or None at the top. Raises TaxonomyError for an id that is not in the taxonomy."""
        try:
            return self._parents[node]
        except KeyError:
            raise self._lacks(node) from None

    def ancestors(self, node: int) -> tuple[int, ...]:
        """The nodes above, the top-level branch first. Raises TaxonomyError for an id that is not in the taxonomy."""
        above: list[int] = []
        parent = self.parent(node)
        while parent is not None:
            above.append(parent)
            parent = self._parents[parent]
        return tuple(reversed(above))

    def children(self, node: int) -> tuple[int, ...]:
        """The nodes right below. Raises TaxonomyError for an id that is not in the taxonomy."""
        if node not in self.paths:
            raise self._lacks(node)
        return self._children[node]

    def depth(self, node: int) -> int:
        """The number of names in a node's path, 1 at the top. Raises TaxonomyError for an unknown id."""
        return self.path_of(node).count(SEPARATOR) + 1

    def resolve(self, label: str) -> int | None:
        """The id that a feed's category value stands for, or None; see `trace`."""
        return self.trace(label).node

    def trace(self, label: str) -> Trace:
        """The id that a feed's category value stands for, and how it was resolved.

        Feeds have the id ("187"), the full path in any case and spacing ("apparel & accessories>Shoes", also with
        "&amp;" and "&gt;"), or both as in Google's files ("187 - Apparel & Accessories > Shoes"), of this version and
        locale or of another. The id decides, since Google renames nodes and keeps their ids. A removed node
        is replaced by the nearest one above it, on the path in the label or in `of_labels`. Ids and paths of Shopify
        are resolved by `mapping`; a path that Google has too is Google's.
        """
        text = html.unescape(label).strip()
        if self.mapping is not None and not self._has_path(text):
            text = self.mapping.google(text) or text
        node, path = None, text
        if found := _ID.fullmatch(text):
            node, path = int(found[1]), ""
        elif found := _NODE_LINE.fullmatch(text):
            node, path = int(found[1]), found[2]
        elif (known := self._by_plain_path.get(plain_path(text))) is not None:
            return Trace(node=known, found="as it is")
        elif self.of_labels is not None:
            node = self.of_labels._by_plain_path.get(plain_path(text))
        if node in self.paths:
            same = not path or plain_path(self.paths[node]) == plain_path(path)
            return Trace(node=node, found="as it is" if same else "renamed")
        above = self._above(node, path=path)
        return Trace(node=above, found="unknown" if above is None else "removed")

    def _has_path(self, text: str) -> bool:
        """Whether this is a path of the taxonomy, or of the one that labels are written in."""
        known = (self._by_plain_path, {} if self.of_labels is None else self.of_labels._by_plain_path)
        return any(plain_path(text) in paths for paths in known)

    def _above(self, removed: int | None, *, path: str) -> int | None:
        """The nearest node above a removed one, by the ids above it in `of_labels`, or else by its path."""
        other = self.of_labels
        for node in (
            reversed(other.ancestors(removed)) if other is not None and removed is not None and removed in other else ()
        ):
            if node in self.paths:
                return node
        # No deeper than any path of the taxonomy, however many levels a label has.
        names = [plain_path(name) for name in path.split(">", self._max_depth)[: self._max_depth]]
        above = (">".join(names[:level]) for level in range(len(names), 0, -1))
        return next((self._by_plain_path[names] for names in above if names in self._by_plain_path), None)

    @cached_property
    def _max_depth(self) -> int:
        return max(map(self.depth, self.paths), default=0)

    @cached_property
    def _children(self) -> dict[int, tuple[int, ...]]:
        below: dict[int, list[int]] = {node: [] for node in self.paths}
        for node, parent in self._parents.items():
            if parent is not None:
                below[parent].append(node)
        return {node: tuple(nodes) for node, nodes in below.items()}

    @cached_property
    def _by_plain_path(self) -> dict[str, int]:
        return {plain_path(path): node for node, path in self.paths.items()}

    def _lacks(self, node: int) -> TaxonomyError:
        return TaxonomyError(f"{self.source}: no category id {node}; wanted one of its {len(self.paths)} nodes")


def read_taxonomy(path: Path) -> Taxonomy:
    """Read a `taxonomy-with-ids.*.txt` of any locale.

    Raises:
        TaxonomyError: there is no such file, it holds no node, or a line is not `id - A > B`, repeats an id or a path,
            or lacks its parent; the message names file and line.
    """
    try:
        text = read_text(path)
    except FileNotFoundError:
        raise TaxonomyError(f"{path}: no such file; wanted a taxonomy-with-ids.*.txt of Google") from None
    except (OSError, ValueError) as error:
        raise TaxonomyError(f"{path}: cannot be read as UTF-8 text: {error}") from None
    return parse_taxonomy(text.splitlines(), source=str(path))


def parse_taxonomy(lines: Iterable[str], *, source: str) -> Taxonomy:
    """Parse the lines of a `taxonomy-with-ids` file; `source` names it in messages. Raises as `read_taxonomy`."""
    version: str | None = None
    paths: dict[int, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if line.startswith("#"):
            if version is None and (found := _VERSION_LINE.match(line)):
                version = found[1]
            continue
        node, path = _parse_line(line, where=f"{source}, line {number}")
        if node in paths:
            raise TaxonomyError(f"{source}, line {number}: id {node} stands twice: {paths[node]!r} and {path!r}")
        paths[node] = path
    if not paths:
        raise TaxonomyError(f"{source}: holds no node; wanted lines of `id - A > B`")
    return Taxonomy(paths=paths, version=version, source=source)


def fetch_taxonomy(locale: str, *, out: Path, url: str = TAXONOMY_URL) -> Taxonomy:
    """Download a locale's taxonomy ("en-US", "fr-FR") to the file `out`; `url` may hold `{locale}`.

    Raises:
        TaxonomyError: the locale is not of that form, the server does not answer with the file, or it is no taxonomy;
            or `out` is a file of another kind, which is left alone.
    """
    # Imported here because it is slow, and used by this function alone.
    import httpx

    if not _LOCALE.fullmatch(locale):
        raise TaxonomyError(f"locale: found {locale!r}, wanted a form like 'en-US'")
    if out.exists():
        try:
            read_taxonomy(out)
        except TaxonomyError as error:
            raise TaxonomyError(f"{out}: is no taxonomy and is not replaced ({error}); wanted another name") from None
    address = url.replace("{locale}", locale)
    try:
        answer = httpx.get(address, timeout=_FETCH_SECONDS, follow_redirects=True).raise_for_status()
    except httpx.HTTPStatusError as error:
        raise TaxonomyError(f"{address}: answered {error.response.status_code}, wanted the taxonomy file") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise TaxonomyError(f"{address}: cannot be fetched: {error or type(error).__name__}") from None
    try:
        text = answer.content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise TaxonomyError(f"{address}: answered something that is not UTF-8, wanted the taxonomy file") from None
    taxonomy = parse_taxonomy(text.splitlines(), source=address)
    with replacing(out) as temporary:
        temporary.write_bytes(answer.content)
    logger.info("%s: %d nodes, version %s", out, len(taxonomy), taxonomy.version)
    return taxonomy


@cache
def sample_taxonomy() -> Taxonomy:
    """The part of the taxonomy that the sample uses: its categories and all their ancestors, with Google's ids."""
    return Taxonomy(
        paths=dict(_sample_paths()), version=VERSION, source="the part of the taxonomy that prodemb carries"
    )


def _sample_paths() -> Iterator[tuple[int, str]]:
    """Ids and full paths out of the indented list."""
    above: list[str] = []
    for line in NODES.strip().splitlines():
        node, name = line.split(maxsplit=1)
        level = (len(line) - len(line.lstrip())) // 4
        above = [*above[:level], name]
        yield int(node), SEPARATOR.join(above)


def _parse_line(line: str, *, where: str) -> tuple[int, str]:
    found = _NODE_LINE.fullmatch(line.strip())
    names = [name.strip() for name in found[2].split(">")] if found else []
    if found is None or not all(names):
        shown = line.strip() if len(line) <= 80 else f"{line.strip()[:80]}…"
        raise TaxonomyError(f"{where}: found {shown!r}, wanted `id - A > B`")
    return int(found[1]), SEPARATOR.join(names)
