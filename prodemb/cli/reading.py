"""`prodemb read`: what a feed is, what is made of it, and what is lost on the way."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from prodemb.cli.display import say
from prodemb.cli.options import PipelineOption
from prodemb.core.text import counted, without_secrets

if TYPE_CHECKING:
    from prodemb.catalog.overview import FileOverview, Overview
    from prodemb.taxonomy.taxonomy import Taxonomy

_SHOWN_FILES = 8
_SHOWN_CHARS = 60

TaxonomyOption = Annotated[
    Path | None,
    typer.Option(
        "--taxonomy",
        help="Google's taxonomy of the feed's language or version, by which gold categories are told.",
        show_default=False,
    ),
]


def read(
    feed: Annotated[
        str, typer.Argument(help="A file, folder or glob: CSV, TSV, JSON, XML, Parquet or Excel, packed or not.")
    ],
    out: Annotated[
        Path | None,
        typer.Argument(help="Where to write the products as a standard catalog (Parquet).", show_default=False),
    ] = None,
    pipeline: PipelineOption = None,
    taxonomy: TaxonomyOption = None,
) -> None:
    """Show what a feed is, which column is taken for what, and how many products come out; with OUT, write them."""
    from prodemb.catalog.overview import read_through
    from prodemb.catalog.reader import CatalogConfig, open_catalog

    if pipeline is not None:
        from prodemb.job.pipeline import read_pipeline

        config = read_pipeline(pipeline).catalog.model_copy(update={"path": feed})
    else:
        # What repeats an id is told below, and is no reason to show nothing.
        config = CatalogConfig(path=feed, bad_ids="drop")
    overview = read_through(open_catalog(config, taxonomies=taxonomies_of(taxonomy)), out=out)
    for line in overview_lines(overview):
        say(line)
    if out is not None:
        say(f"wrote {counted(overview.num_products, 'product')}: {out}")


def taxonomies_of(path: Path | None) -> "list[Taxonomy]":
    """The bundled part of the taxonomy, and the one in a file."""
    from prodemb.taxonomy.taxonomy import read_taxonomy, sample_taxonomy

    return [sample_taxonomy(), *([read_taxonomy(path)] if path is not None else [])]


def overview_lines(overview: "Overview") -> Iterator[str]:
    """What was made of a catalog: first what is wrong, then its files, its columns and its numbers."""
    for warning in overview.warnings:
        yield f"WARNING: {warning}"
    if overview.warnings:
        yield from (f"  to keep them: {advice}" for advice in overview.advice)
        yield ""
    for file in overview.files[:_SHOWN_FILES]:
        yield _file_line(file)
    if len(overview.files) > _SHOWN_FILES:
        yield f"and {counted(len(overview.files) - _SHOWN_FILES, 'more file')}"
    yield ""
    yield from _column_lines(overview)
    unlike = len({each.unused for each in overview.files}) > 1
    for file in overview.files[:_SHOWN_FILES] if unlike else overview.files[:1]:
        if file.unused:
            yield f"not used{f' in {file.label}' if unlike else ''}: {', '.join(file.unused)}"
    yield ""
    yield from _number_lines(overview)
    yield from overview.notes


def _file_line(file: "FileOverview") -> str:
    encoding = (file.encoding or "").replace("utf-8-sig", "utf-8").upper()
    parts = [file.format.upper(), f"packed with {file.compression}" if file.compression else "", encoding]
    if file.delimiter is not None:
        parts.append(f"delimiter {_NAMES.get(file.delimiter, repr(file.delimiter))}")
    if file.header_row is not None:
        parts.append(f"column names in row {file.header_row}")
    return f"{file.path}: {', '.join(part for part in parts if part)}; {counted(file.num_rows, 'row')}"


_NAMES = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "bar", " ": "space"}


def _column_lines(overview: "Overview") -> Iterator[str]:
    """Each standard column, what it is taken from and why; below it two of its values."""
    width = max(len(use.standard) for use in overview.columns)
    for use in overview.columns:
        where = f" in {', '.join(use.files[:3])}{', …' if len(use.files) > 3 else ''}" if use.files else ""
        own = f"{use.own!r}" if use.own else "made"
        yield f"{use.standard:<{width}}  {own}{where}: {use.reason}"
        yield f"{'':<{width}}    {' · '.join(map(_short, use.samples)) or '(empty)'}"


def _number_lines(overview: "Overview") -> Iterator[str]:
    yield (
        f"{counted(overview.num_rows, 'row')} -> {counted(overview.num_products, 'product')}: "
        f"{overview.num_titled:,} with a title, {overview.num_pictured:,} with a picture, "
        f"{overview.num_labelled:,} with a gold label"
    )
    if overview.num_made_ids:
        made = counted(overview.num_made_ids, "product")
        yield f"{made} without an id in the feed: the file's name and the row's number stand for it"
    if overview.num_pictures_looked_for and overview.num_pictures_missing:
        yield (
            f"{overview.num_pictures_missing:,} of {counted(overview.num_pictures_looked_for, 'local picture')} "
            "are not there"
        )
    for each in overview.left_out:
        fate = "lost" if each.is_lost else "left out"
        yield f"{fate}: {counted(each.count, 'row')}: {each.reason} (first: {each.example})"


def _short(text: str) -> str:
    """A value cut to a length; what is secret in an address goes before, or its end could hide that it is one."""
    is_address = "://" in text and "?" in text and "@" not in text
    text = f"{text.partition('?')[0]}…" if is_address else without_secrets(text)
    return text if len(text) <= _SHOWN_CHARS else f"{text[: _SHOWN_CHARS - 1]}…"
