"""First steps with a catalog of one's own: guess which column is what, and write pipelines that are ready to run."""

import hashlib
import itertools
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from prodemb.catalog.guess import ColumnGuess, guess_columns, unused
from prodemb.catalog.ids import BadIds
from prodemb.catalog.profile import ADDRESS, Profile, picture_root, profiles_of
from prodemb.catalog.reader import CatalogConfig, open_catalog
from prodemb.catalog.sources import find_files, format_of, open_file
from prodemb.catalog.urls import is_showable
from prodemb.core.errors import CatalogError
from prodemb.core.features import CATALOG_COLUMNS, TEXT_FEATURES
from prodemb.core.files import write_text
from prodemb.taxonomy.taxonomy import sample_taxonomy

TARGETS = ("brand", "category")


RUNS = "runs"
"""The folder that each catalog's results get a folder of their own in."""

GENERIC_NAMES = ("catalog", "catalogue", "products", "feed", "data", "export")
"""File names that say nothing about whose catalog it is; its folder's name says more."""


@dataclass(frozen=True, kw_only=True)
class Guess:
    """What a catalog seems to hold, from its first rows and all its ids."""

    path: str
    """As the user gave it; the pipelines name it so."""
    columns: tuple[ColumnGuess, ...]
    unused: tuple[str, ...]
    """Columns that are not used for anything."""
    shadowed: tuple[str, ...]
    """Standard names of columns that do not hold what the name says."""
    category_separator: str | None
    image_root: str | None
    """The folder of the pictures, if it is not the catalog's own."""
    missing_image: str | None
    """The first picture, where none of the first ones was found; empty where it is not fit to be shown."""
    num_labels: int
    """Gold categories among the first rows."""
    num_unknown_labels: int
    """Those of them that the bundled part of the taxonomy lacks."""
    bad_ids: BadIds

    def own(self, standard: str) -> str | None:
        """The catalog's own name of a standard column; None where it has no such column."""
        return next((column.own for column in self.columns if column.standard == standard), None)

    @property
    def runs(self) -> str:
        """The folder for the results of this catalog, and of no other: `runs/<name>`."""
        return f"{RUNS}/{_folder_name(self.path)}"


@dataclass(frozen=True)
class Written:
    """The pipeline files of a catalog."""

    files: tuple[Path, ...]
    kept: tuple[tuple[Path, Path], ...]
    """Earlier files of these names with other content, and the names that they were kept under."""


def guess(path: str | Path) -> Guess:
    """Look at the first rows of a catalog, and at all its ids.

    Raises:
        CatalogError: it cannot be read, no column can be the product id, or there is no text at all.
    """
    files = find_files(str(path))
    file = open_file(files[0])
    profiles = profiles_of(file)
    columns = guess_columns(profiles)
    by_standard = {each.standard: each for each in columns}
    _refuse_useless(by_standard, profiles, path=files[0])
    of = {each.standard: next(p for p in profiles if p.name == each.own) for each in columns}
    shadowed = tuple(name for name in file.names if name in CATALOG_COLUMNS and name not in by_standard)
    separator = of["cat1"].separator if "cat1" in of and not {"cat2", "cat3"} & of.keys() else None
    image_root, missing_image = _image_root(of.get("image"), folder=files[0].parent)
    labels = of["google_category_id"].values if "google_category_id" in of else ()
    bundled = sample_taxonomy()
    config = CatalogConfig(
        path=str(path),
        columns={name: each.own for name, each in by_standard.items()} | dict.fromkeys(shadowed, ""),
        bad_ids="drop",
    )
    catalog = open_catalog(config)
    catalog.check_ids()
    assert catalog.bad_ids is not None
    return Guess(
        path=str(path),
        columns=tuple(columns),
        unused=tuple(unused(profiles, columns)),
        shadowed=shadowed,
        category_separator=separator,
        image_root=image_root,
        missing_image=missing_image,
        num_labels=len(labels),
        num_unknown_labels=sum(bundled.resolve(label) is None for label in labels),
        bad_ids=catalog.bad_ids,
    )


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


def _refuse_useless(found: Mapping[str, ColumnGuess], profiles: list[Profile], *, path: Path) -> None:
    there = ", ".join(profile.name for profile in profiles)
    if "product_id" not in found:
        raise CatalogError(
            f"{path}: no column can be the product_id: none is called like one, and in none does each row have a "
            f"short value of its own; columns there: {there}"
        )
    if not found.keys() & set(TEXT_FEATURES):
        raise CatalogError(f"{path}: no column holds text, wanted at least a title; columns there: {there}")


def _image_root(images: Profile | None, *, folder: Path) -> tuple[str | None, str | None]:
    """The folder of local pictures if it is not `folder`, and the first picture where none is found."""
    if images is None or images.holds_pictures or not images.values or images.addresses > 0.5:
        return None, None
    root = picture_root(images.values, folder=folder)
    if root is None:
        # No address, which may hold a password.
        return None, next((value for value in images.values if not ADDRESS.match(value) and is_showable(value)), "")
    return (None if root == folder else str(root)), None


def _folder_name(path: str) -> str:
    """A catalog's name, fit for a folder; other catalogs get other names.

    A file or folder in the working folder lends its own name. Any other one, and one whose name has to be changed, also
    gets a hash of its path, because something else may have the same name.
    """
    relative = os.path.relpath(Path(path).expanduser())
    place = Path(relative)
    while set("*?[") & set(place.name):
        place = place.parent
    is_here = relative == place.name and relative not in (".", "..")
    own = _without_suffix(place if is_here else place.resolve())
    if not is_here and own.lower() in GENERIC_NAMES:
        own = place.resolve().parent.name or own
    name = re.sub(r"[^\w.-]+", "-", own, flags=re.ASCII).strip("-.") or "catalog"
    if is_here and name == own and not _has_namesake(place):
        return name
    return f"{name}-{hashlib.sha256(relative.encode()).hexdigest()[:6]}"


def _without_suffix(path: Path) -> str:
    """A file's name without the suffix of its format; other dots stay."""
    return Path(path.name.removesuffix(".gz")).stem if format_of(path) else path.name


def _has_namesake(path: Path) -> bool:
    """Whether another catalog beside this one differs from it by its format alone."""
    beside = (other for other in path.absolute().parent.iterdir() if other.name != path.name)
    return any(_without_suffix(other) == _without_suffix(path) and _is_catalog(other) for other in beside)


def _is_catalog(path: Path) -> bool:
    inside = path.iterdir() if path.is_dir() else [path]
    return any(format_of(each) for each in inside)


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
    lines = ["[catalog]", f"path = {_toml(guess.path)}"]
    if guess.image_root:
        lines.append(f"image_root = {_toml(guess.image_root)}")
    if guess.category_separator:
        lines.append(f"category_separator = {_toml(guess.category_separator)}    # splits cat1 into cat1, cat2, cat3")
    if guess.bad_ids:
        lines.append('bad_ids = "drop"           # "error" stops at rows without an id of their own')
    lines += ["", "[catalog.columns]"]
    lines += [f"{each.standard} = {_toml(each.own)}    # {each.reason}" for each in guess.columns]
    lines += [f'{name} = ""    # not used: it does not hold what its name says' for name in guess.shadowed]
    return lines


def _one_line(path: str | Path) -> str:
    """A path in a comment: a line break in it must not end the comment."""
    return " ".join(str(path).splitlines())


def _toml(text: str) -> str:
    """A TOML basic string; JSON's escapes are TOML's, save that TOML wants DEL escaped too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
