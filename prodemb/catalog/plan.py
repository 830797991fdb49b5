"""The reading plan: all that has to be known to turn a catalog's rows into products, decided once."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from prodemb.catalog.categories import CategoryRule
from prodemb.catalog.choose_id import choose_id
from prodemb.catalog.config import CatalogConfig, TableConfig
from prodemb.catalog.files import CatalogFile, labels_of, names_of, place_of
from prodemb.catalog.formats import Source
from prodemb.catalog.formats.records import RecordsSource
from prodemb.catalog.formats.source import shown_names
from prodemb.catalog.guess import ColumnGuess, TableGuess, guess_table
from prodemb.catalog.nested import is_same_language, parsed
from prodemb.catalog.picture_roots import below, common_root, local_paths, picture_root, root_of_absolute
from prodemb.catalog.pictures import PictureKind, as_pictures, is_list, kind_of
from prodemb.catalog.profile import MAX_LOOKED_AT, Profile, profiles_of
from prodemb.catalog.urls import is_showable
from prodemb.catalog.values import as_texts, is_text
from prodemb.core.errors import CatalogError
from prodemb.core.features import CATALOG_COLUMNS, PARTNER
from prodemb.storage.address import Place
from prodemb.storage.address import place as place_called
from prodemb.taxonomy.taxonomy import Taxonomy, sample_taxonomy

_STANDARD = ("product_id", "title")
"""Columns that say that a file has the standard names."""
_ROWS_LOOKED_AT = 256


@dataclass(frozen=True, kw_only=True)
class FilePlan:
    """How one file's rows are read."""

    file: CatalogFile
    label: str
    """What tells the file from the catalog's others; a partner's name where each has a folder."""
    name: str
    """The file's name in ids that are made."""
    table: TableConfig
    columns: Mapping[str, str]
    """Standard column names that the file has, and its own names for them, in the standard order."""
    pictures_folder: str = ""
    """What to put before a picture's path: its folder, from the catalog's image root."""
    partner: str | None = None
    """The file's column of that name, where it has one; it goes before the label."""
    split: str | None = None
    """The file's column that says which products are held out, where the settings name one that it has."""
    pictures_inside: bool = False
    """Whether the pictures lie in the same archive as the table."""

    lists_categories: bool = False
    """Whether cat1 holds lists, of levels or of paths."""

    @property
    def path(self) -> Place:
        """Where it lies, for people."""
        return place_of(self.file)

    @property
    def categories(self) -> CategoryRule | None:
        """How cat1 is taken apart; None where it is taken as it is."""
        rule = CategoryRule(levels=self.table.category_separator, paths=self.table.category_path_separator)
        return rule if rule.levels or rule.paths or self.lists_categories else None

    @property
    def has_relations(self) -> bool:
        """Whether rows say that they are no products, whose they are, or which language they are in."""
        table = self.table
        return bool(table.row_type or table.parent or table.children or table.language_column)


@dataclass(frozen=True, kw_only=True)
class ReadingPlan:
    """How a catalog's files are read. It is decided once, and workers are handed it."""

    files: tuple[FilePlan, ...]
    image_root: Place
    image_kind: PictureKind | None
    """Whether pictures stand in the catalog or paths and addresses do; None where there is no image column."""
    language: str | None
    id_per_file: bool
    row_language: str | None = None
    """The language of the rows that stand for products, where each row has one; None for rows without any."""
    guesses: Mapping[str, tuple[ColumnGuess, ...]] = field(default_factory=dict)
    """Why each column is taken for what it is, by the file's label; empty where the settings or the standard names say
    it."""
    profiles: Mapping[str, tuple[Profile, ...]] = field(default_factory=dict)
    """What was seen of the columns, by label."""
    notes: tuple[str, ...] = ()
    """What a user should know of what was decided."""

    @property
    def columns(self) -> dict[str, str]:
        """Standard column names that some file has, and what the first such file calls them."""
        found = {name: own for file in reversed(self.files) for name, own in file.columns.items()}
        return {name: found[name] for name in CATALOG_COLUMNS if name in found}


def make_plan(
    config: CatalogConfig, sources: Sequence[Source], *, taxonomies: Sequence[Taxonomy] | None = None
) -> ReadingPlan:
    """Decide how to read a catalog: by its settings, by the standard names, or else by guessing.

    Raises:
        CatalogError: no file has a column that the settings name, or no column holds text.
    """
    return _Planner(config, sources, taxonomies=taxonomies or [sample_taxonomy()]).plan()


class _Planner:
    """A plan in the making."""

    def __init__(self, config: CatalogConfig, sources: Sequence[Source], *, taxonomies: Sequence[Taxonomy]) -> None:
        self._config = config
        self._sources = sources
        self._taxonomies = taxonomies
        self._labels = labels_of([source.path for source in sources])
        self._names = names_of([source.path for source in sources])
        self._guesses: dict[str, tuple[ColumnGuess, ...]] = {}
        self._profiles: dict[str, tuple[Profile, ...]] = {}
        self._notes: list[str] = []

    def plan(self) -> ReadingPlan:
        tables = self._tables()
        columns = [
            _effective(source, table) if table.columns or _is_standard(source) else {}
            for source, table in zip(self._sources, tables, strict=True)
        ]
        self._check_named(columns)
        self._check_split(tables)
        language = self._config.language or self._most_frequent_language(columns)
        kind = self._image_kind(columns)
        inside, roots = self._picture_roots(columns, kind=kind)
        image_root = common_root(roots) if roots else self._sources[0].path.parent
        files = tuple(
            FilePlan(
                file=source.file,
                label=label,
                name=name,
                table=table,
                columns=own,
                partner=PARTNER if PARTNER in source.columns else None,
                split=table.split if table.split and _has(source, table.split) else None,
                lists_categories="cat1" in own and _holds_lists(source, own["cat1"]),
                pictures_folder=below(root, image_root),
                pictures_inside=is_inside,
            )
            for source, label, name, table, own, root, is_inside in zip(
                self._sources, self._labels, self._names, tables, columns, roots, inside, strict=True
            )
        )
        return ReadingPlan(
            files=files,
            image_root=image_root,
            image_kind="bytes" if any(inside) else kind,
            language=language,
            id_per_file=self._config.id_per_file,
            row_language=self._row_language(tables),
            guesses=self._guesses,
            profiles=self._profiles,
            notes=tuple(self._notes),
        )

    # --- columns ---

    def _tables(self) -> list[TableConfig]:
        """The settings of each file; where there are none they are guessed, once for files with the same columns."""
        tables: list[TableConfig | None] = []
        for source, label in zip(self._sources, self._labels, strict=True):
            own = self._config.files.get(label)
            if own is None and (self._config.columns or _is_standard(source)):
                own = TableConfig(**{key: getattr(self._config, key) for key in TableConfig.model_fields})
            tables.append(own)
        groups: dict[tuple[str, ...], list[int]] = {}
        for place, table in enumerate(tables):
            if table is None:
                groups.setdefault(self._sources[place].columns, []).append(place)
        for places in groups.values():
            table = self._guessed([self._sources[place] for place in places], [self._labels[place] for place in places])
            for place in places:
                tables[place] = table
        self._look_at_standard(tables)
        return [table or TableConfig() for table in tables]

    def _guessed(self, sources: Sequence[Source], labels: Sequence[str]) -> TableConfig:
        profiles = [each for each in profiles_of(sources) if each.name != self._config.split]
        found = guess_table(profiles, taxonomies=self._taxonomies)
        chosen, parent_key = choose_id(sources, found, max_lost_rate=self._config.max_lost_rate)
        guesses = (*([chosen] if chosen else []), *found.columns)
        for label in labels:
            self._guesses[label] = guesses
            self._profiles[label] = tuple(profiles)
        if chosen is None:
            self._notes.append(_made_ids(sources[0], found))
        if (num_columns := len(sources[0].columns)) > MAX_LOOKED_AT:
            self._notes.append(
                f"columns: looked at {MAX_LOOKED_AT:,} of {num_columns:,}, those with telling names first; name others "
                "in [catalog] columns"
            )
        table = found.table(chosen, parent_key=parent_key)
        given = {key: getattr(self._config, key) for key in self._config.model_fields_set & {*TableConfig.model_fields}}
        return table.model_copy(update={key: value for key, value in given.items() if key != "columns"})

    def _look_at_standard(self, tables: list[TableConfig | None]) -> None:
        """Of files with the standard names only the category paths have to be looked at, in their first rows."""
        for place, (source, label) in enumerate(zip(self._sources, self._labels, strict=True)):
            table = tables[place]
            if table is None or label in self._guesses or table.columns or label in self._config.files:
                continue
            if "cat1" not in source.columns or not {"cat2", "cat3"}.isdisjoint(source.columns):
                continue
            if table.category_separator or table.category_path_separator:
                continue
            profiles = profiles_of([source], whole=False)
            rule = next(each for each in profiles if each.name == "cat1").categories
            tables[place] = table.model_copy(
                update={"category_separator": rule.levels, "category_path_separator": rule.paths}
            )

    def _check_named(self, columns: Sequence[Mapping[str, str]]) -> None:
        """Each column that the settings name must be in some file."""
        for name, own in self._config.columns.items():
            if own and not any(_has(source, own) for source in self._sources):
                first = self._sources[0]
                close = difflib.get_close_matches(own, first.columns, n=1)
                hint = f"did you mean {close[0]!r}? " if close else ""
                raise CatalogError(
                    f"{first.path}: no column {own!r}, which [catalog] names as {name}; {hint}{_there(first)}"
                )
        for source, label, own_columns in zip(self._sources, self._labels, columns, strict=True):
            if label in self._guesses and not own_columns.keys() - {"product_id", "google_category_id", "brand_label"}:
                raise CatalogError(
                    f"{source.path}: no column holds text or pictures, wanted at least a title; {_there(source)}"
                )

    def _check_split(self, tables: Sequence[TableConfig]) -> None:
        """The column that says which products are held out must be in some file whose settings name it."""
        for split in dict.fromkeys(table.split for table in tables if table.split):
            asked = [source for source, table in zip(self._sources, tables, strict=True) if table.split == split]
            if not any(_has(source, split) for source in asked):
                raise CatalogError(
                    f"{asked[0].path}: no column {split!r}, which [catalog] names as split; {_there(asked[0])}"
                )

    def _most_frequent_language(self, columns: Sequence[Mapping[str, str]]) -> str | None:
        counts: dict[str, int] = {}
        for label, own in zip(self._labels, columns, strict=True):
            names = {own[name] for name in ("title", "description", "brand") if name in own}
            for profile in self._profiles.get(label, ()):
                for language, count in profile.languages.items() if profile.name in names else ():
                    counts[language] = counts.get(language, 0) + count
        return max(counts, key=lambda language: counts[language]) if counts else None

    def _row_language(self, tables: Sequence[TableConfig]) -> str | None:
        """The language whose rows stand for products: the one asked for, or the most frequent."""
        counts: dict[str | None, int] = {}
        for source, table in zip(self._sources, tables, strict=True):
            if table.language_column is None or table.language_column not in source.columns:
                continue
            for batch in source.batches(columns=[table.language_column], stop=_ROWS_LOOKED_AT * 16):
                for value in as_texts(batch.table.column(table.language_column).combine_chunks()).to_pylist():
                    counts[value] = counts.get(value, 0) + 1
        asked = self._config.language
        if asked is not None:
            return next((value for value in counts if value and is_same_language(value, asked)), None)
        return None if None in counts or not counts else max(counts, key=lambda value: counts[value])

    # --- pictures ---

    def _image_kind(self, columns: Sequence[Mapping[str, str]]) -> PictureKind | None:
        kinds: dict[str, PictureKind] = {}
        for source, label, own in zip(self._sources, self._labels, columns, strict=True):
            if "image" not in own:
                continue
            kind = self._kind_in(source, own["image"], label=label)
            if kind is not None:
                kinds[label] = kind
        if len({*kinds.values()}) > 1:
            first, *others = kinds
            other = next(label for label in others if kinds[label] != kinds[first])
            raise CatalogError(
                f"{self._config.path}: the image column of {other} holds {_in_words(kinds[other])}, and that of "
                f"{first} {_in_words(kinds[first])}; wanted one kind in all files of a catalog"
            )
        if kinds:
            return next(iter(kinds.values()))
        return "path" if any("image" in own for own in columns) else None

    def _kind_in(self, source: Source, own: str, *, label: str) -> PictureKind | None:
        """What an image column holds; None where that cannot be seen, for it is empty."""
        batch = next(source.batches(columns=[own], stop=_ROWS_LOOKED_AT), None)
        if batch is None:
            return None
        column = batch.table.column(own)
        if kind_of(column.type) == "bytes":
            is_bytes = as_pictures(column, kind="bytes").null_count < len(column)
            return "path" if not is_bytes and _has_paths(column) else "bytes"
        profile = next((each for each in self._profiles.get(label, ()) if each.name == own), None)
        if profile is not None and profile.cells and all(isinstance(cell, str) for cell in profile.cells):
            return "bytes" if profile.inline_pictures == 1.0 else "path"
        values = as_pictures(column, kind="path").drop_null().to_pylist()
        if not values:
            return None
        return "bytes" if all(value.startswith("data:") for value in values) else "path"

    def _picture_roots(
        self, columns: Sequence[Mapping[str, str]], *, kind: PictureKind | None
    ) -> tuple[list[bool], list[Place]]:
        """Of each file whether its pictures are in its own archive, and the folder that their paths start from."""
        inside: list[bool] = []
        roots: list[Place] = []
        for source, own in zip(self._sources, columns, strict=True):
            given = self._config.image_root
            root = place_called(given) if given else _absolute(source.path).parent
            is_inside = False
            if kind == "path" and "image" in own and not given:
                values = _first_pictures(source, own["image"])
                paths = local_paths(values)
                is_inside = any(source.read_beside(path) is not None for path in paths[:5])
                found = None if is_inside else picture_root(values, folder=root)
                if paths and not is_inside and found is None:
                    self._tell_of_lost_pictures(source, paths, own["image"])
                root = found or root
            inside.append(is_inside)
            roots.append(root)
        if not self._config.image_root and len({*roots}) == 1:
            # As the user wrote it, where it is the file's own folder.
            shown = self._sources[0].path.parent
            roots = [shown if root == _absolute(shown) else root for root in roots]
        return inside, roots

    def _tell_of_lost_pictures(self, source: Source, paths: Sequence[str], own: str) -> None:
        elsewhere = root_of_absolute(paths)
        where = (
            f"they lie under {elsewhere}: allow that, image_root = {str(elsewhere)!r} in [catalog]"
            if elsewhere is not None
            else f"none was found under {source.path.parent}; say where they lie: image_root in [catalog]"
        )
        shown = next((f" such as {path!r}" for path in paths if is_showable(path)), "")
        self._notes.append(f"pictures: {own!r} of {source.path.name} names files{shown}; {where}")


def _absolute(path: Place) -> Place:
    return path.absolute() if isinstance(path, Path) else path


def _is_standard(source: Source) -> bool:
    return all(name in source.columns for name in _STANDARD)


def _has(source: Source, own: str) -> bool:
    """Whether a file has a column; of records all are looked at where the first ones lack it."""
    if own in source.columns or not isinstance(source, RecordsSource):
        return own in source.columns
    return any(batch.table.column(own).null_count < len(batch.rows) for batch in source.batches(columns=[own]))


def _holds_lists(source: Source, own: str) -> bool:
    """Whether most values of a column, in the first rows, are lists."""
    batch = next(source.batches(columns=[own], stop=_ROWS_LOOKED_AT), None)
    if batch is None:
        return False
    column = batch.table.column(own)
    if not is_text(column.type):
        return is_list(column.type)
    values = column.drop_null().to_pylist()
    return bool(values) and sum(isinstance(parsed(value), list) for value in values) > len(values) / 2


def _effective(source: Source, table: TableConfig) -> dict[str, str]:
    """A file's columns by their standard names: those that the settings name, and those with standard names."""
    found = {name: name for name in CATALOG_COLUMNS if name in source.columns}
    may_have_any = isinstance(source, RecordsSource)
    named = {name: own for name, own in table.columns.items() if not own or may_have_any or own in source.columns}
    effective = found | named
    return {name: effective[name] for name in CATALOG_COLUMNS if effective.get(name)}


def _first_pictures(source: Source, own: str) -> list[str]:
    batch = next(source.batches(columns=[own], stop=_ROWS_LOOKED_AT * 4), None)
    if batch is None:
        return []
    return [value for value in as_pictures(batch.table.column(own), kind="path").to_pylist() if value]


def _has_paths(column: object) -> bool:
    return any(as_pictures(column, kind="path").to_pylist())


def _in_words(kind: PictureKind) -> str:
    return "pictures themselves" if kind == "bytes" else "paths or addresses"


def _made_ids(source: Source, found: TableGuess) -> str:
    names = ", ".join(repr(each.own) for each in found.id_candidates[:3])
    why = f"{names} would lose products" if names else "no column holds any"
    return f"ids are made, such as {source.path.name}#2: {why}"


def _there(source: Source) -> str:
    return f"columns there: {shown_names(source.columns)}" if source.columns else "it has no columns"
