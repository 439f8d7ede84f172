"""Reads tables as spreadsheets and CRMs write them: byte order marks, GB 18030, commas, semicolons or tabs.

A line that is not CSV is told with its number and the lines after it are read.
"""

import codecs
import csv
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Final

from content.sources import Failure
from kb.errors import Invalid

DELIMITERS: Final = (",", ";", "\t", "|")
LONGEST_RECORD: Final = 1_000
"""Lines that one row may take; a quotation mark that is never closed is noticed after so many."""
LEAST_CHINESE: Final = 0.6
"""Part of the signs that must be everyday Chinese before bytes that are not UTF-8 are taken for GB 18030."""
EVERYDAY: Final = frozenset([*range(0xA1, 0xA4), *range(0xB0, 0xF8)])
"""First bytes of everyday signs and punctuation; rarer ones of names, and most of Big5, begin with others."""
WORKBOOK: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")

Row = Mapping[str, str]
Lines = Sequence[str]


class Unreadable(Invalid):
    """The whole file is refused, with what to do; `line` where one is to blame."""

    code = "unreadable"

    def __init__(self, code: str, message: str, line: int | None = None) -> None:
        super().__init__(message, code=code)
        self.line = line


@dataclass(frozen=True, slots=True)
class _Record:
    """The values from `line` on, up to the line at the place `after`."""

    line: int
    fields: list[str]
    after: int
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table whose first line has been read."""

    path: Path
    columns: tuple[str, ...]
    notes: tuple[str, ...]
    """What the reader had to guess."""
    _lines: Lines
    _begin: int
    _delimiter: str

    def rows(self) -> Iterator[tuple[int, Row] | Failure]:
        """Every row with the number of its first line; a bad one is a Failure and the rest follows."""
        for record in _records(self._lines, self._begin, self._delimiter):
            if record.problem:
                yield Failure(str(self.path), record.line, "not_csv", record.problem)
            elif any(value.strip() for value in record.fields[len(self.columns) :]):
                told = f"the row has {len(record.fields)} values for {len(self.columns)} columns: quote those with {self._delimiter!r} in them"
                yield Failure(str(self.path), record.line, "too_many_values", told)
            else:
                values = [*record.fields, *[""] * len(self.columns)]
                yield record.line, {name: value.strip() for name, value in zip(self.columns, values, strict=False)}


def read(path: Path, looked_for: Collection[str], *, encoding: str = "", delimiter: str = "") -> Sheet:
    """Open a table; `looked_for` are the columns by which the delimiter is told. Raises Unreadable."""
    raw = _bytes(path)
    text, notes = _decoded(raw, encoding)
    lines: Lines = list(StringIO(text, newline=""))
    begin, told = _excel_hint(lines)
    chosen = delimiter or told or _likeliest(lines, begin, looked_for)
    first = next(_records(lines, begin, chosen), _Record(begin + 1, [], len(lines)))
    if first.problem:
        raise Unreadable("not_csv", first.problem, first.line)
    columns = tuple(name.strip() for name in first.fields)
    doubled = {name for name in columns if columns.count(name) > 1 and name in looked_for}
    if doubled:
        told = f"the first line names {min(doubled)!r} twice: rename one of them"
        raise Unreadable("columns_doubled", told, first.line)
    return Sheet(path, columns, notes, lines, first.after, chosen)


def _bytes(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise Unreadable("not_found", "there is no such file") from None
    except OSError as error:
        raise Unreadable("unreadable", error.strerror or "the file cannot be read") from None
    if raw.startswith(WORKBOOK):
        raise Unreadable("workbook", "this is an Excel workbook: save it as CSV UTF-8")
    return raw


def _decoded(raw: bytes, encoding: str) -> tuple[str, tuple[str, ...]]:
    """The text, and what was guessed about it."""
    if encoding:
        return _exactly(raw, encoding), ()
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _exactly(raw, "utf-16"), ()
    try:
        return raw.decode("utf-8-sig"), ()
    except UnicodeDecodeError:
        return _chinese(raw), ("the file is not UTF-8 and was read as GB 18030: look whether the names are right",)


def _exactly(raw: bytes, encoding: str) -> str:
    try:
        return raw.decode("utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding)
    except UnicodeDecodeError:
        raise Unreadable("not_in_encoding", f"the file is not {encoding}: save it as CSV UTF-8") from None


def _chinese(raw: bytes) -> str:
    """GB 18030, as a Chinese Excel writes it. Western letters would pass for it too, each with the letter after it."""
    try:
        text = raw.decode("gb18030")
    except UnicodeDecodeError:
        text = ""
    pairs = [sign.encode("gb18030") for sign in text if ord(sign) > 127]
    usual = sum(len(pair) == 2 and pair[0] in EVERYDAY and pair[1] > 0xA0 for pair in pairs)
    if not pairs or usual < LEAST_CHINESE * len(pairs):
        told = "the file is neither UTF-8 nor GB 18030: save it as CSV UTF-8, or name its `encoding` in a mapping"
        raise Unreadable("not_utf8", told)
    return text


def _excel_hint(lines: Lines) -> tuple[int, str]:
    """Where the table begins, and the delimiter a first line such as `sep=;` names."""
    first = lines[0].strip() if lines else ""
    is_hint = len(first) == len("sep=;") and first.casefold().startswith("sep=")
    return (1, first[-1]) if is_hint else (0, "")


def _likeliest(lines: Lines, begin: int, looked_for: Collection[str]) -> str:
    """The delimiter that gives most of the columns looked for, else most columns."""

    def found(delimiter: str) -> tuple[int, int]:
        first = next(_records(lines, begin, delimiter), None)
        names = {name.strip() for name in first.fields} if first else set()
        return len(names & set(looked_for)), len(names)

    return max(DELIMITERS, key=found)


def _records(lines: Lines, begin: int, delimiter: str) -> Iterator[_Record]:
    """Each record; one that is not CSV says what is wrong with it, and the next line begins another."""
    at = begin
    while at < len(lines):
        window = (lines[number] for number in range(at, min(at + LONGEST_RECORD, len(lines))))
        reader = csv.reader(window, strict=True, delimiter=delimiter)
        try:
            found = _Record(at + 1, next(reader), at + reader.line_num)
        except csv.Error as error:
            found = _Record(at + 1, [], at + 1, f"the line is not CSV: {_reason(error)}")
        at = found.after
        if found.fields or found.problem:
            yield found


def _reason(error: csv.Error) -> str:
    return "a quotation mark is not closed" if "unexpected end" in str(error) else str(error)
