"""First steps with a catalog of one's own: guess which column is what, and write pipelines that are ready to run."""

import hashlib
import itertools
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from prodemb.catalog.config import CatalogConfig, TableConfig
from prodemb.catalog.files import has_table_suffix, stem_of
from prodemb.catalog.gold import known_in
from prodemb.catalog.overview import Overview, read_through
from prodemb.catalog.plan import ReadingPlan
from prodemb.catalog.reader import Catalog, open_catalog
from prodemb.core.features import CATALOG_COLUMNS
from prodemb.core.files import write_text
from prodemb.core.text import counted
from prodemb.storage.address import Address, Place
from prodemb.storage.address import place as place_called
from prodemb.taxonomy.taxonomy import Taxonomy, sample_taxonomy

TARGETS = ("brand", "category")
_LABELS_LOOKED_AT = 3_000
_WILD = frozenset("*?[")


RUNS = "runs"
"""The folder that each catalog's results get a folder of their own in."""


@dataclass(frozen=True, kw_only=True)
class Guess:
    """What a catalog seems to hold."""

    path: str
    """As the user gave it; the pipelines name it so."""
    overview: Overview
    """What came out of the whole of it, read so."""
    plan: ReadingPlan
    notes: tuple[str, ...]
    """What the user should know before the first run."""

    @property
    def runs(self) -> str:
        """The folder for the results of this catalog, and of no other: `runs/<name>`."""
        return f"{RUNS}/{_folder_name(self.path)}"


GENERIC_NAMES = ("catalog", "catalogue", "products", "feed", "data", "export")
"""File names that say nothing about whose catalog it is; its folder's name says more."""


@dataclass(frozen=True)
class Written:
    """The pipeline files of a catalog."""

    files: tuple[Path, ...]
    kept: tuple[tuple[Path, Path], ...]
    """Earlier files of these names with other content, and the names that they were kept under."""


def guess(path: str | Path, *, taxonomies: Sequence[Taxonomy] | None = None) -> Guess:
    """Look at a catalog, all of it, and decide how to read it.

    Args:
        path: a file, folder or glob.
        taxonomies: where gold categories are looked up; default: the part that is bundled.

    Raises:
        CatalogError: it cannot be read, or there is neither text nor a picture.
    """
    catalog = open_catalog(CatalogConfig(path=str(path), bad_ids="drop"), taxonomies=taxonomies)
    overview = read_through(catalog)
    notes = (*_label_notes(catalog, taxonomies or [sample_taxonomy()]),)
    return Guess(path=str(path), overview=overview, plan=catalog.plan, notes=notes)


def write_pipelines(guess: Guess, folder: Path) -> Written:
    """Write `brand.toml` and `category.toml`; earlier files with other content are kept as `brand.1.toml` and so on."""
    kept = []
    texts = {folder / f"{target}.toml": _pipeline(guess, target=target, folder=folder) for target in TARGETS}
    for path, text in texts.items():
        if path.exists() and path.read_bytes() != text.encode():
            numbered = (path.with_name(f"{path.stem}.{number}.toml") for number in itertools.count(1))
            # Copied, not moved: if the new file cannot be written, the old one is still there.
            kept.append((path, Path(shutil.copy2(path, next(free for free in numbered if not free.exists())))))
        write_text(path, text)
    return Written(tuple(texts), tuple(kept))


def _label_notes(catalog: Catalog, taxonomies: Sequence[Taxonomy]) -> Iterator[str]:
    fetch = "`prodemb taxonomy FILE` fetches the whole, and [train] taxonomy in category.toml takes FILE"
    if "google_category_id" not in catalog.columns:
        yield (
            "no column holds ids or paths of the Google product taxonomy, so categories are answered zero-shot, by the "
            f"names of the part of it that prodemb carries: {fetch}; or add a column google_category_id for some "
            "products to train a head"
        )
    else:
        first = next(catalog.batches(_LABELS_LOOKED_AT, columns=["google_category_id"]), None)
        labels = [] if first is None else first.column(0).drop_null().to_pylist()
        unknown = sum(known_in([label], taxonomies).part == 0 for label in labels)
        if unknown:
            yield (
                f"{unknown:,} of the first {counted(len(labels), 'value')} of google_category_id cannot be learned: "
                f"they are not in the part of the taxonomy that prodemb carries; {fetch}"
            )
    if not catalog.columns.keys() & {"brand", "brand_label"}:
        yield "no column holds brands, so there is nothing to train brands on"


def _folder_name(path: str) -> str:
    """A catalog's name, fit for a folder; other catalogs get other names.

    A file or folder in the working folder lends its own name. Any other one, and one whose name has to be changed, also
    gets a hash of its path, because something else may have the same name.
    """
    found = place_called(str(path))
    if isinstance(found, Address):
        return _named_by(stem_of(found) if not _WILD & set(found.name) else found.parent.name, str(found))
    relative = os.path.relpath(found)
    place = Path(relative)
    while _WILD & set(place.name):
        place = place.parent
    is_here = relative == place.name and relative not in (".", "..")
    own = _without_suffix(place if is_here else place.resolve())
    if not is_here and own.lower() in GENERIC_NAMES:
        own = place.resolve().parent.name or own
    name = re.sub(r"[^\w.-]+", "-", own, flags=re.ASCII).strip("-.") or "catalog"
    if is_here and name == own and not _has_namesake(place):
        return name
    return _named_by(own, relative)


def _named_by(own: str, path: str) -> str:
    """A name of letters that all folders may have, and a hash of the path."""
    name = re.sub(r"[^\w.-]+", "-", own, flags=re.ASCII).strip("-.") or "catalog"
    return f"{name}-{hashlib.sha256(path.encode()).hexdigest()[:6]}"


def _without_suffix(path: Path) -> str:
    """A file's name without the suffix of its format; other dots stay."""
    return stem_of(path) if has_table_suffix(path) else path.name


def _has_namesake(path: Path) -> bool:
    """Whether another catalog beside this one differs from it by its format alone."""
    beside = (other for other in path.absolute().parent.iterdir() if other.name != path.name)
    return any(_without_suffix(other) == _without_suffix(path) and _is_catalog(other) for other in beside)


def _is_catalog(path: Path) -> bool:
    inside = path.iterdir() if path.is_dir() else [path]
    return any(has_table_suffix(each) for each in inside)


def _pipeline(guess: Guess, *, target: str, folder: Path) -> str:
    """The text of one pipeline file."""
    path = folder / f"{target}.toml"
    runs = guess.runs
    tables = [
        f"# prodemb run {_one_line(path)}",
        "#",
        f"# Written by `prodemb init {_one_line(guess.path)}`. Keys that are not here have their defaults.",
        "",
        f"target = {_toml(target)}",
        "",
        *_catalog_table(guess),
        "",
        "[embed]",
        'model = "bundled"          # or a checkpoint folder, or a hub id: "openai/clip-vit-base-patch32"',
        f"out = {_toml(f'{runs}/shards/clip')}",
        "",
    ]
    if target == "brand":
        tables += [
            "[brands]",
            f"aliases = {_toml(f'{runs}/aliases.csv')}    # supplied string -> canonical brand; your edits win",
            "",
        ]
    else:
        tables += [
            "[finetune]",
            f"out = {_toml(f'{runs}/checkpoints/category')}",
            f"shards = {_toml(f'{runs}/shards/category')}",
            "",
        ]
    tables += ["[train]", f"out = {_toml(f'{runs}/heads/{target}')}"]
    if target == "category":
        tables += [
            '# taxonomy = "taxonomy-with-ids.en-US.txt"   # Google\'s file, where the bundled part is not enough'
        ]
    tables += ["", "[score]", f"out = {_toml(f'{runs}/out.parquet')}"]
    return "\n".join(tables) + "\n"


def _catalog_table(guess: Guess) -> list[str]:
    """`[catalog]`: the settings by which the catalog was read, so that it is read the same from now on."""
    plan, overview = guess.plan, guess.overview
    tables = {file.label: file.table for file in plan.files}
    common = _most_common([*tables.values()])
    lines = ["[catalog]", f"path = {_toml(guess.path)}"]
    if not any(file.pictures_folder or file.pictures_inside for file in plan.files) and plan.image_kind == "path":
        folders = {_absolute(file.path).parent for file in plan.files}
        if {_absolute(plan.image_root)} != folders:
            lines.append(f"image_root = {_toml(str(plan.image_root))}")
    lines += _settings(common)
    if plan.language:
        lines.append(f"language = {_toml(plan.language)}")
    if plan.id_per_file:
        lines.append("id_per_file = true         # the same ids mean other products in other files")
    if any(each.is_repeated_id for each in overview.left_out):
        lines.append('bad_ids = "drop"           # "error" ends the run where an id stands for several products')
    if overview.lost_rate > overview.max_lost_rate:
        lines.append(
            f"# max_lost_rate = {overview.lost_rate:.2f}       # reads it all the same: {overview.warnings[0]}"
        )
    reasons = {use.standard: use.reason for use in overview.columns}
    lines += ["", "[catalog.columns]", *_columns(common, reasons)]
    for label, other in tables.items():
        if other != common:
            lines += ["", f"[catalog.files.{_toml(label)}]", *_settings(other)]
            lines += ["", f"[catalog.files.{_toml(label)}.columns]", *_columns(other, {})]
    return lines


def _absolute(path: Place) -> Place:
    return path.absolute() if isinstance(path, Path) else path


def _most_common(tables: Sequence[TableConfig]) -> TableConfig:
    counts = Counter(table.model_dump_json() for table in tables)
    best = counts.most_common(1)[0][0]
    return next(table for table in tables if table.model_dump_json() == best)


def _settings(table: TableConfig) -> list[str]:
    """The settings of a table but its columns."""
    lines = []
    for key, remark in _SETTING_REMARKS.items():
        if value := getattr(table, key):
            text = f"[{', '.join(map(_toml, value))}]" if isinstance(value, tuple) else _toml(value)
            lines.append(f"{key} = {text}    # {remark}")
    return lines


_SETTING_REMARKS = {
    "category_separator": "splits cat1 into cat1, cat2, cat3",
    "category_path_separator": "of several category paths the first counts",
    "row_type": "says what a row is",
    "other_rows": "such rows are no products",
    "language_column": "a product has a row in each language",
    "parent": "names the product that a row is a variant of",
    "parent_key": "by this column",
    "children": "lists the variants of a product",
}


def _columns(table: TableConfig, reasons: dict[str, str]) -> list[str]:
    lines = []
    for name in CATALOG_COLUMNS:
        own = table.columns.get(name)
        if own:
            lines.append(f"{name} = {_toml(own)}" + (f"    # {_one_line(reasons[name])}" if name in reasons else ""))
        elif own == "":
            why = (
                "made of the file's name and the row" if name == "product_id" else "it does not hold what its name says"
            )
            lines.append(f'{name} = ""    # {"" if name == "product_id" else "left out: "}{why}')
    return lines


def _one_line(path: str | Path) -> str:
    """A path in a comment: a line break in it must not end the comment."""
    return " ".join(str(path).splitlines())


def _toml(text: str) -> str:
    """A TOML basic string; JSON's escapes are TOML's, save that TOML wants DEL escaped too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
