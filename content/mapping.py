"""How the columns of somebody else's table become ours: a small YAML file beside the CSV."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml

from kb.errors import Invalid, KbError

FOLDER: Final = Path(__file__).parent / "mappings"
"""Mappings that come along; a name without a folder is looked up here too."""
TIMES: Final = frozenset({"created_at", "closed_at", "entered_at", "at"})
TOP_KEYS: Final = frozenset({"kind", "about", "time_zone", "date_formats", "columns", "skip"})
COLUMN_KEYS: Final = frozenset(
    {"column", "columns", "join", "value", "default", "values", "replace", "before", "after", "lower", "date_formats"}
)

Row = Mapping[str, str]


class BadMapping(KbError):
    """The mapping file cannot be used; the message names the place and what belongs there."""

    code = "mapping"


@dataclass(frozen=True, slots=True)
class Column:
    """Where one of our columns comes from, and what is done to its value on the way."""

    sources: tuple[str, ...]
    join: str = " "
    constant: str | None = None
    default: str = ""
    values: Mapping[str, str] | None = None
    replace: Mapping[str, str] = field(default_factory=dict)
    before: str = ""
    after: str = ""
    lower: bool = False
    date_formats: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """One mapping: our columns by name, rows to leave out, and how times without an offset are read."""

    kind: str
    columns: Mapping[str, Column]
    skip: Mapping[str, frozenset[str]]
    zone: ZoneInfo
    date_formats: tuple[str, ...] = ()

    @property
    def needed(self) -> frozenset[str]:
        """The columns the table must have."""
        return frozenset(source for column in self.columns.values() for source in column.sources) | self.skip.keys()

    def apply(self, row: Row) -> Row | None:
        """The row in our columns; None where it is to be left out. Raises Invalid for a value that is not mapped."""
        if any(row.get(column, "").strip().casefold() in values for column, values in self.skip.items()):
            return None
        return {name: self._value(name, column, row) for name, column in self.columns.items()}

    def _value(self, name: str, column: Column, row: Row) -> str:
        if column.constant is not None:
            return column.constant
        parts = [value for source in column.sources if (value := row.get(source, "").strip())]
        value = column.join.join(parts)
        if column.values is not None and value:
            value = _chosen(name, column, value)
        for old, new in column.replace.items():
            value = value.replace(old, new)
        value = value.lower() if column.lower else value
        value = f"{column.before}{value}{column.after}" if value else column.default
        formats = column.date_formats or self.date_formats
        return self._moment(name, value, formats) if name in TIMES and value else value

    def _moment(self, name: str, value: str, formats: Sequence[str]) -> str:
        """The time with its offset; one without is in the mapping's time zone."""
        at = _parsed(value, formats)
        if at is None:
            shown = " or ".join(repr(one) for one in formats) or "ISO 8601"
            raise Invalid(f"{name} {value[:40]!r} does not fit {shown}.", code=name)
        return (at if at.tzinfo else at.replace(tzinfo=self.zone)).isoformat()


def _chosen(name: str, column: Column, value: str) -> str:
    assert column.values is not None
    known = {key.casefold(): ours for key, ours in column.values.items()}
    found = known.get(value.casefold(), known.get("*"))
    if found is None:
        raise Invalid(
            f"{name}: the mapping has no value for {value[:60]!r}: add it to `values`, or `'*'` for all others.",
            code="unmapped_value",
        )
    return found


def _parsed(value: str, formats: Sequence[str]) -> datetime | None:
    for one in formats:
        try:
            return datetime.strptime(value, one)  # noqa: DTZ007  # the zone comes next
        except ValueError:
            continue
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def load(path: Path, kind: str, known: Iterable[str]) -> ColumnMap:
    """Read a mapping for this kind of table; raises BadMapping with the first mistake and its place."""
    place = path if path.exists() or path.parent != Path() else FOLDER / path.name
    try:
        given = yaml.safe_load(place.read_text(encoding="utf-8-sig"))
    except OSError as error:
        shipped = ", ".join(sorted(one.name for one in FOLDER.glob("*.yaml")))
        raise BadMapping(f"{path} cannot be read: {error.strerror}. These come along: {shipped}.") from None
    except UnicodeDecodeError:
        raise BadMapping(f"{path} is not UTF-8.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise BadMapping(f"{path}{line} is not YAML: {getattr(error, 'problem', None) or 'check the signs'}.") from None
    return _Reader(str(path), kind, frozenset(known)).read(given)


class _Reader:
    """Checks a mapping as written; every refusal names the key."""

    def __init__(self, path: str, kind: str, known: frozenset[str]) -> None:
        self._path = path
        self._kind = kind
        self._known = known

    def read(self, given: Any) -> ColumnMap:
        top = self._mapping(given, "the file", TOP_KEYS)
        if str(top.get("kind", self._kind)) != self._kind:
            raise self._wrong("kind", f"is {top['kind']!r}, but this imports {self._kind}")
        columns = self._mapping(top.get("columns"), "columns")
        if not columns:
            raise self._wrong("columns", "must name our columns, such as `external_id: Opportunity ID`")
        for name in columns:
            if name not in self._known:
                raise self._wrong(f"columns.{name}", f"is none of our columns: {', '.join(sorted(self._known))}")
        skip = self._mapping(top.get("skip") or {}, "skip")
        return ColumnMap(
            kind=self._kind,
            columns={name: self._column(f"columns.{name}", value) for name, value in columns.items()},
            skip={
                str(name): frozenset(word.strip().casefold() for word in self._words(f"skip.{name}", value))
                for name, value in skip.items()
            },
            zone=self._zone(str(top.get("time_zone") or "UTC")),
            date_formats=self._formats("date_formats", top.get("date_formats")),
        )

    def _column(self, place: str, value: Any) -> Column:
        if isinstance(value, str):
            return Column((value,))
        found = self._mapping(value, place, COLUMN_KEYS)
        if not found.keys() & {"column", "columns", "value"}:
            raise self._wrong(place, "needs `column`, `columns` or `value`")
        sources = [str(found["column"])] if "column" in found else self._words(f"{place}.columns", found.get("columns"))
        values = found.get("values")
        return Column(
            sources=tuple(sources),
            join=str(found.get("join", " ")),
            constant=str(found["value"]) if "value" in found else None,
            default=str(found.get("default", "")),
            values=None if values is None else self._texts(f"{place}.values", values),
            replace=self._texts(f"{place}.replace", found.get("replace") or {}),
            before=str(found.get("before", "")),
            after=str(found.get("after", "")),
            lower=bool(found.get("lower", False)),
            date_formats=self._formats(f"{place}.date_formats", found.get("date_formats")),
        )

    def _mapping(self, value: Any, place: str, keys: frozenset[str] = frozenset()) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            raise self._wrong(place, "must be lines of `key: value`")
        for key in value:
            if keys and str(key) not in keys:
                raise self._wrong(f"{place}.{key}", f"is unknown here: use {', '.join(sorted(keys))}")
        return {str(key): one for key, one in value.items()}

    def _texts(self, place: str, value: Any) -> Mapping[str, str]:
        return {key: "" if one is None else str(one) for key, one in self._mapping(value, place).items()}

    def _words(self, place: str, value: Any) -> list[str]:
        if value is None:
            return []
        if isinstance(value, str):
            return [value]
        if not isinstance(value, list):
            raise self._wrong(place, "must be a word or a list of words")
        return [str(one) for one in value]

    def _formats(self, place: str, value: Any) -> tuple[str, ...]:
        formats = tuple(self._words(place, value))
        for one in formats:
            if not re.search(r"%[a-zA-Z]", one):
                raise self._wrong(place, f"holds {one!r}, which is no form such as '%d/%m/%Y %H:%M'")
        return formats

    def _zone(self, name: str) -> ZoneInfo:
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            raise self._wrong("time_zone", f"{name!r} is no time zone such as Asia/Shanghai") from None

    def _wrong(self, place: str, what: str) -> BadMapping:
        return BadMapping(f"{self._path}: {place} {what}.")
