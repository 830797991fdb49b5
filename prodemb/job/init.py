"""First steps with somebody's own catalog: guess which column is what, and write pipelines that are ready to run."""

import itertools
import json
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from prodemb.catalog.guess import ColumnGuess, guess_columns, unused
from prodemb.catalog.ids import BadIds
from prodemb.catalog.profile import ADDRESS, Profile, picture_root, profiles_of
from prodemb.catalog.reader import CatalogConfig, open_catalog
from prodemb.catalog.sources import find_files, open_file
from prodemb.catalog.urls import is_showable
from prodemb.core.errors import CatalogError
from prodemb.core.features import CATALOG_COLUMNS, TEXT_FEATURES
from prodemb.core.files import write_text
from prodemb.core.text import counted
from prodemb.taxonomy.taxonomy import sample_taxonomy

TARGETS = ("brand", "category")


@dataclass(frozen=True, kw_only=True)
class Guess:
    """What a catalog seems to hold."""

    path: str
    """As the user gave it; the pipelines name it so."""
    columns: tuple[ColumnGuess, ...]
    unused: tuple[str, ...]
    """Columns that are not taken for anything."""
    shadowed: tuple[str, ...]
    """Standard names that a column has which does not hold what the name says."""
    category_separator: str | None
    image_root: str | None
    """Where pictures lie, if not beside the catalog."""
    notes: tuple[str, ...]
    """What the user should know before the first run."""
    bad_ids: BadIds

    @property
    def name(self) -> str:
        """The catalog's name, fit for a folder."""
        place = Path(self.path)
        while place.name and set("*?[") & set(place.name):
            place = place.parent
        stem = place.name.partition(".")[0] or place.resolve().name
        if stem.lower() in GENERIC_NAMES:
            stem = place.resolve().parent.name or stem
        return re.sub(r"[^\w-]+", "-", stem, flags=re.ASCII).strip("-") or "catalog"

    def lines(self) -> Iterator[str]:
        """The guess in words."""
        width = max(len(guess.own) for guess in self.columns)
        for guess in self.columns:
            yield f"{guess.own:<{width}}  is  {guess.standard:<18}  {guess.reason}"
        missing = [name for name in CATALOG_COLUMNS if name not in {guess.standard for guess in self.columns}]
        if missing:
            yield f"not found: {', '.join(missing)}"
        if self.unused:
            yield f"not used: {', '.join(self.unused)}"
        yield from self.notes


GENERIC_NAMES = ("catalog", "catalogue", "products", "feed", "data", "export")
"""File names that say nothing about whose catalog it is; its folder's name says more."""


@dataclass(frozen=True)
class Written:
    """Pipeline files that were written, or stood there just so."""

    files: tuple[Path, ...]
    kept: tuple[tuple[Path, Path], ...]
    """Files that stood there with something else, and what they are called now."""

    def lines(self) -> Iterator[str]:
        """What was written, what became of what stood there, and what to do next."""
        if self.kept:
            now = " and ".join(f"{before} as {now}" for before, now in self.kept)
            back = " && ".join(shlex.join(["mv", str(now), str(before)]) for before, now in self.kept)
            yield f"kept {now}; to go back: {back}"
        yield f"wrote {' and '.join(str(file) for file in self.files)}; look them over, then:"
        yield shlex.join(["prodemb", "run", *map(str, self.files)])


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
    image_root, image_note = _image_root(of.get("image"), folder=files[0].parent)
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
        notes=(*_id_notes(catalog.bad_ids, by_standard["product_id"]), *image_note, *_label_notes(of)),
        bad_ids=catalog.bad_ids,
    )


def write_pipelines(guess: Guess, folder: Path) -> Written:
    """Write `brand.toml` and `category.toml`; other content under these names is kept under the next free number."""
    kept = []
    texts = {folder / f"{target}.toml": _pipeline(guess, target=target, folder=folder) for target in TARGETS}
    for path, text in texts.items():
        if path.exists() and path.read_bytes() != text.encode():
            numbered = (path.with_name(f"{path.stem}.{number}.toml") for number in itertools.count(1))
            # Copied, not moved: should the new file not come about, the old one still stands.
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


def _image_root(images: Profile | None, *, folder: Path) -> tuple[str | None, list[str]]:
    """The root of local pictures if it is not `folder`, and what to say about them."""
    if images is None or images.holds_pictures or not images.values or images.addresses > 0.5:
        return None, []
    root = picture_root(images.values, folder=folder)
    if root is None:
        # Not an address, which may hold a password.
        first = next((value for value in images.values if not ADDRESS.match(value) and is_showable(value)), "")
        return None, [
            f"none of the pictures that {images.name!r} names first ({first!r}) was found under {folder}; "
            "say where they lie: image_root in [catalog]"
        ]
    return (None, []) if root == folder else (str(root), [f"pictures were found under {root}"])


def _id_notes(bad_ids: BadIds, column: ColumnGuess) -> list[str]:
    if not bad_ids:
        return []
    return [f"{column.own!r} is not an id of each row: {bad_ids}; such rows are left out (bad_ids in [catalog])"]


def _label_notes(found: Mapping[str, Profile]) -> list[str]:
    notes = []
    fetch = "`prodemb taxonomy FILE` fetches the whole, and [train] taxonomy in category.toml takes FILE"
    if "google_category_id" not in found:
        notes.append(
            "no column holds ids or paths of the Google product taxonomy, so categories are answered zero-shot, by the "
            f"names of the part of it that prodemb carries: {fetch}; or add a column google_category_id for some "
            "products to train a head"
        )
    else:
        labels, carried = found["google_category_id"].values, sample_taxonomy()
        unknown = sum(carried.resolve(label) is None for label in labels)
        if unknown:
            notes.append(
                f"{unknown:,} of the first {counted(len(labels), 'value')} of google_category_id cannot be learned: "
                f"they are not in the part of the taxonomy that prodemb carries; {fetch}"
            )
    if not found.keys() & {"brand", "brand_label"}:
        notes.append("no column holds brands, so there is nothing to train brands on")
    return notes


def _pipeline(guess: Guess, *, target: str, folder: Path) -> str:
    """The text of one pipeline file."""
    path = folder / f"{target}.toml"
    runs = f"runs/{guess.name}"
    tables = [
        f"# prodemb run {_one_line(path)}",
        "#",
        f"# Written by `prodemb init {_one_line(guess.path)}`. Keys that are left out have their defaults.",
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
        lines.append('bad_ids = "drop"           # "error" ends the run at rows without an id of their own')
    lines += ["", "[catalog.columns]"]
    lines += [f"{each.standard} = {_toml(each.own)}    # {each.reason}" for each in guess.columns]
    lines += [f'{name} = ""    # left out: it does not hold what its name says' for name in guess.shadowed]
    return lines


def _one_line(path: str | Path) -> str:
    """A path in a comment: a line break in it must not end the comment."""
    return " ".join(str(path).splitlines())


def _toml(text: str) -> str:
    """A TOML basic string; JSON's escapes are TOML's, save that TOML wants DEL escaped too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
