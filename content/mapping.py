"""How the columns of somebody else's table become ours: a small YAML file beside the CSV.

Every value in it is read as the word that stands there, so that `yes`, `007` and `2026-01-02` mean themselves.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, time
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml

from content import spreadsheet
from content.sources import Failure
from content.spreadsheet import Row, Unreadable
from kb.errors import Invalid, KbError

FOLDER: Final = Path(__file__).parent / "mappings"
"""Mappings that come along; a name without a folder is looked up here too."""
TIMES: Final = frozenset({"created_at", "closed_at", "entered_at", "at", "modified_at"})
MAX_BYTES: Final = 1_000_000
TOP_KEYS: Final = frozenset({"kind", "about", "encoding", "delimiter", "time_zone", "date_formats", "columns", "skip"})
COLUMN_KEYS: Final = frozenset(
    [
        "column", "columns", "join", "value", "optional", "lookup", "values", "replace", "lower", "before", "after",
        "default", "only_when", "date_formats", "time",
    ]
)  # fmt: skip
LOOKUP_KEYS: Final = frozenset({"file", "key", "value"})
HAS_TIME: Final = re.compile(r"%[HIXc]|[T ]\d")
ALL_OTHERS: Final = "*"


class BadMapping(KbError):
    """The mapping file cannot be used; the message names the place and what belongs there."""

    code = "mapping"


@dataclass(frozen=True, slots=True)
class Lookup:
    """Another table beside the one imported: the value in the row whose `key` column holds ours."""

    file: str
    key: str
    value: str
    found: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Column:
    """Where one of our columns comes from, and what is done to its value on the way.

    Each source is one column of the table, by the first of its names that the table has.
    """

    sources: tuple[tuple[str, ...], ...]
    join: str = " "
    constant: str | None = None
    optional: bool = False
    lookup: Lookup | None = None
    values: Mapping[str, str] | None = None
    replace: Mapping[str, str] = field(default_factory=dict)
    lower: bool = False
    before: str = ""
    after: str = ""
    default: str = ""
    only_when: Mapping[str, frozenset[str]] = field(default_factory=dict)
    date_formats: tuple[str, ...] = ()
    time: time = time.min


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """One mapping: our columns by name, rows to leave out, and how times without an offset are read."""

    kind: str
    columns: Mapping[str, Column]
    skip: Mapping[str, frozenset[str]] = field(default_factory=dict)
    zone: ZoneInfo | None = None
    date_formats: tuple[str, ...] = ()
    encoding: str = ""
    delimiter: str = ""
    name: str = ""

    @property
    def names(self) -> frozenset[str]:
        """Every column of the table that the mapping speaks of."""
        sources = {name for column in self.columns.values() for names in column.sources for name in names}
        return frozenset(sources | self.skip.keys())

    def missing(self, there: Collection[str]) -> list[str]:
        """The columns the table must have and has not."""
        wanted = [names for one in self.columns.values() if not one.optional for names in one.sources]
        return sorted({" or ".join(names) for names in wanted if not set(names) & set(there)})

    def fitted(self, there: Collection[str], folder: Path) -> "ColumnMap":
        """The same for a table with these columns; tables to look up in are read. Raises Unreadable."""
        return replace(self, columns={name: _fitted(one, there, folder) for name, one in self.columns.items()})

    def apply(self, row: Row) -> Row | None:
        """The row in our columns; None where it is to be left out. Raises Invalid for a value that is not mapped."""
        if any(row.get(column, "").strip().casefold() in values for column, values in self.skip.items()):
            return None
        always = {name: self._value(name, one, row) for name, one in self.columns.items() if not one.only_when}
        return always | {
            name: self._value(name, one, row) if _applies(one, always) else ""
            for name, one in self.columns.items()
            if one.only_when
        }

    def _value(self, name: str, column: Column, row: Row) -> str:
        if column.constant is not None:
            return column.constant
        parts = [value for names in column.sources for one in names if (value := row.get(one, "").strip())]
        value = column.join.join(parts)
        if column.lookup is not None and value:
            value = column.lookup.found.get(value.casefold(), "")
        for old, new in column.replace.items():
            value = value.replace(old, new)
        if column.values is not None and value:
            value = _chosen(name, column.values, value)
        value = value.lower() if column.lower else value
        value = f"{column.before}{value}{column.after}" if value else column.default
        return self._moment(name, column, value) if name in TIMES and value else value

    def _moment(self, name: str, column: Column, value: str) -> str:
        """The time with its offset; one without is in the mapping's time zone, a day begins at the column's time."""
        formats = column.date_formats or self.date_formats
        found = _parsed(value, formats)
        if found is None:
            shown = " or ".join(repr(one) for one in formats) or "ISO 8601"
            raise Invalid(f"{name} {value[:40]!r} does not fit {shown}.", code=name)
        at, has_time = found
        at = at if has_time else datetime.combine(at.date(), column.time, at.tzinfo)
        if at.tzinfo is None and self.zone is None:
            raise Invalid(f"{name} {value[:40]!r} has no offset: give the mapping a `time_zone`.", code=name)
        return (at if at.tzinfo else at.replace(tzinfo=self.zone)).isoformat()


def _fitted(column: Column, there: Collection[str], folder: Path) -> Column:
    sources = (next(((one,) for one in names if one in there), ()) for names in column.sources)
    lookup = replace(column.lookup, found=_looked_up(column.lookup, folder)) if column.lookup else None
    return replace(column, sources=tuple(names for names in sources if names), lookup=lookup)


def _looked_up(lookup: Lookup, folder: Path) -> Mapping[str, str]:
    wanted = (lookup.key, lookup.value)
    try:
        sheet = spreadsheet.read(folder / lookup.file, wanted)
    except Unreadable as refusal:
        raise Unreadable(refusal.code, f"{lookup.file}, in which the mapping looks up, {refusal.text}") from None
    if missing := sorted(set(wanted) - set(sheet.columns)):
        raise Unreadable("columns_missing", f"{lookup.file} has no column {missing[0]!r} to look up")
    rows = (found for found in sheet.rows() if not isinstance(found, Failure))
    return {row[lookup.key].casefold(): row[lookup.value] for _, row in rows}


def _applies(column: Column, ours: Row) -> bool:
    return all(ours.get(name, "").casefold() in values for name, values in column.only_when.items())


def _chosen(name: str, values: Mapping[str, str], value: str) -> str:
    found = values.get(value.casefold(), values.get(ALL_OTHERS))
    if found is None:
        raise Invalid(
            f"{name}: the mapping has no value for {value[:60]!r}: add it to `values`, or `'*'` for all others.",
            code="unmapped_value",
        )
    return found


def _parsed(value: str, formats: Sequence[str]) -> tuple[datetime, bool] | None:
    """The time and whether it is more than a day."""
    for one in formats:
        try:
            return datetime.strptime(value, one), bool(HAS_TIME.search(one))  # noqa: DTZ007  # the zone comes next
        except ValueError:
            continue
    try:
        return datetime.fromisoformat(value), bool(HAS_TIME.search(value))
    except ValueError:
        return None


def load(path: Path, kind: str, known: Iterable[str]) -> ColumnMap:
    """Read a mapping for this kind of table; raises BadMapping with the first mistake, its line and its key."""
    place = path if path.exists() or path.parent != Path() else FOLDER / path.with_suffix(".yaml").name
    try:
        raw = place.read_bytes()
        if len(raw) > MAX_BYTES:
            raise BadMapping(f"{path} is larger than {MAX_BYTES // 1000} kB: no mapping is.")
        root = yaml.compose(raw.decode("utf-8-sig"), Loader=yaml.SafeLoader)
    except OSError as error:
        shipped = ", ".join(sorted(one.stem for one in FOLDER.glob("*.yaml")))
        raise BadMapping(f"{path} cannot be read: {error.strerror}. These come along: {shipped}.") from None
    except UnicodeDecodeError:
        raise BadMapping(f"{path} is not UTF-8.") from None
    except RecursionError:
        raise BadMapping(f"{path} is nested too deep.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise BadMapping(f"{path}{line} is not YAML: {getattr(error, 'problem', None) or 'check the signs'}.") from None
    return _Reader(str(path), kind, frozenset(known)).read(root)


class _Reader:
    """Checks a mapping as written; every refusal names line and key."""

    def __init__(self, path: str, kind: str, known: frozenset[str]) -> None:
        self._path = path
        self._kind = kind
        self._known = known

    def read(self, root: yaml.Node | None) -> ColumnMap:
        if root is None:
            raise BadMapping(f"{self._path}: the file is empty: name our columns under `columns`.")
        top = self._mapping(root, "the file", TOP_KEYS)
        if (kind := self._text(top.get("kind"), "kind")) not in {"", self._kind}:
            raise self._wrong(top["kind"], "kind", f"is {kind!r}, but this imports {self._kind}")
        columns = self._mapping(top.get("columns"), "columns", at=root)
        if not columns:
            raise self._wrong(top["columns"], "columns", "must name our columns, such as `external_id: Opportunity ID`")
        for name, node in columns.items():
            if name not in self._known:
                told = f"is none of our columns: {', '.join(sorted(self._known))}"
                raise self._wrong(node, f"columns.{name}", told)
        read = {name: self._column(f"columns.{name}", node) for name, node in columns.items()}
        self._check_conditions(columns, read)
        return ColumnMap(
            kind=self._kind,
            columns=read,
            skip=self._conditions(top.get("skip"), "skip"),
            zone=self._zone(top.get("time_zone")),
            date_formats=self._formats(top.get("date_formats"), "date_formats"),
            encoding=self._encoding(top.get("encoding")),
            delimiter=self._delimiter(top.get("delimiter")),
            name=Path(self._path).name,
        )

    def _column(self, place: str, node: yaml.Node) -> Column:
        if isinstance(node, yaml.ScalarNode) and node.value:
            return Column(((node.value,),))
        found = self._mapping(node, place, COLUMN_KEYS)
        given = found.keys() & {"column", "columns", "value"}
        if len(given) != 1:
            raise self._wrong(node, place, "needs one of `column`, `columns` and `value`")
        names = self._words(found.get("column"), f"{place}.column")
        joined = self._words(found.get("columns"), f"{place}.columns")
        if "value" not in given and not (names or joined):
            raise self._wrong(node, place, "names no column")
        return Column(
            sources=(tuple(names),) if names else tuple((one,) for one in joined),
            join=self._text(found.get("join"), f"{place}.join", default=" "),
            constant=self._text(found["value"], f"{place}.value") if "value" in found else None,
            optional=self._flag(found.get("optional"), f"{place}.optional"),
            lookup=self._lookup(found.get("lookup"), f"{place}.lookup"),
            values=self._values(found.get("values"), f"{place}.values"),
            replace=self._texts(found.get("replace"), f"{place}.replace"),
            lower=self._flag(found.get("lower"), f"{place}.lower"),
            before=self._text(found.get("before"), f"{place}.before"),
            after=self._text(found.get("after"), f"{place}.after"),
            default=self._text(found.get("default"), f"{place}.default"),
            only_when=self._conditions(found.get("only_when"), f"{place}.only_when"),
            date_formats=self._formats(found.get("date_formats"), f"{place}.date_formats"),
            time=self._time(found.get("time"), f"{place}.time"),
        )

    def _check_conditions(self, nodes: Mapping[str, yaml.Node], read: Mapping[str, Column]) -> None:
        """A condition names another of our columns, which has none itself."""
        plain = {name for name, column in read.items() if not column.only_when}
        for name, column in read.items():
            for other in column.only_when.keys() - plain:
                told = f"names {other!r}, which is no column of this mapping without a condition of its own"
                raise self._wrong(nodes[name], f"columns.{name}.only_when", told)

    def _lookup(self, node: yaml.Node | None, place: str) -> Lookup | None:
        if node is None:
            return None
        found = self._mapping(node, place, LOOKUP_KEYS)
        file, key, value = (self._text(found.get(name), f"{place}.{name}") for name in ("file", "key", "value"))
        if not (file and key and value):
            raise self._wrong(node, place, "needs `file`, `key` and `value`")
        if Path(file).name != file:
            raise self._wrong(found["file"], f"{place}.file", "must be the name of a file beside the table")
        return Lookup(file, key, value)

    def _values(self, node: yaml.Node | None, place: str) -> Mapping[str, str] | None:
        if node is None:
            return None
        return {key.strip().casefold(): value for key, value in self._texts(node, place).items()}

    def _conditions(self, node: yaml.Node | None, place: str) -> Mapping[str, frozenset[str]]:
        found = {} if node is None else self._mapping(node, place)
        return {
            name: frozenset(word.strip().casefold() for word in self._words(value, f"{place}.{name}") or [""])
            for name, value in found.items()
        }

    def _mapping(
        self, node: yaml.Node | None, place: str, keys: frozenset[str] = frozenset(), at: yaml.Node | None = None
    ) -> dict[str, yaml.Node]:
        if not isinstance(node, yaml.MappingNode):
            raise self._wrong(node or at, place, "must be lines of `key: value`")
        found: dict[str, yaml.Node] = {}
        for key_node, value in node.value:
            key = self._text(key_node, place)
            if keys and key not in keys:
                raise self._wrong(key_node, f"{place}.{key}", f"is unknown here: use {', '.join(sorted(keys))}")
            if key in found:
                raise self._wrong(key_node, f"{place}.{key}", "stands there twice")
            found[key] = value
        return found

    def _texts(self, node: yaml.Node | None, place: str) -> Mapping[str, str]:
        found = {} if node is None else self._mapping(node, place)
        return {key: self._text(value, f"{place}.{key}") for key, value in found.items()}

    def _words(self, node: yaml.Node | None, place: str) -> list[str]:
        if isinstance(node, yaml.SequenceNode):
            return [self._text(one, place) for one in node.value]
        return [self._text(node, place)] if node is not None and self._text(node, place) else []

    def _text(self, node: yaml.Node | None, place: str, default: str = "") -> str:
        if node is None:
            return default
        if not isinstance(node, yaml.ScalarNode):
            raise self._wrong(node, place, "must be one word or text")
        return "" if node.tag == "tag:yaml.org,2002:null" and node.value != "null" else str(node.value)

    def _flag(self, node: yaml.Node | None, place: str) -> bool:
        word = self._text(node, place, "false").casefold()
        if word not in {"true", "false", "yes", "no"}:
            raise self._wrong(node, place, "must be true or false")
        return word in {"true", "yes"}

    def _formats(self, node: yaml.Node | None, place: str) -> tuple[str, ...]:
        formats = tuple(self._words(node, place))
        for one in formats:
            if not re.search(r"%[a-zA-Z]", one):
                raise self._wrong(node, place, f"holds {one!r}, which is no form such as '%d/%m/%Y %H:%M'")
        return formats

    def _time(self, node: yaml.Node | None, place: str) -> time:
        try:
            return time.fromisoformat(self._text(node, place, "00:00"))
        except ValueError:
            raise self._wrong(node, place, "is no time of day such as '18:00'") from None

    def _zone(self, node: yaml.Node | None) -> ZoneInfo | None:
        name = self._text(node, "time_zone")
        try:
            return ZoneInfo(name) if name else None
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise self._wrong(node, "time_zone", f"{name!r} is no time zone such as Asia/Shanghai") from None

    def _encoding(self, node: yaml.Node | None) -> str:
        name = self._text(node, "encoding")
        try:
            "a".encode(name or "utf-8")
        except (LookupError, ValueError):
            raise self._wrong(node, "encoding", f"{name!r} is no encoding such as gb18030 or cp1252") from None
        return name

    def _delimiter(self, node: yaml.Node | None) -> str:
        given = self._text(node, "delimiter")
        delimiter = {"tab": "\t", "\\t": "\t"}.get(given, given)
        if given and (len(delimiter) != 1 or delimiter in '"\r\n'):
            raise self._wrong(node, "delimiter", "must be one sign such as ';', or tab")
        return delimiter

    def _wrong(self, node: yaml.Node | None, place: str, what: str) -> BadMapping:
        line = f", line {node.start_mark.line + 1}" if node is not None else ""
        return BadMapping(f"{self._path}{line}: {place} {what}.")
