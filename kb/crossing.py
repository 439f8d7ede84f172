"""A backup of one kind of database in the other kind: SQLite's file into PostgreSQL, PostgreSQL's tables into a file.

Rows keep their numbers, moments and texts to the last sign; the trail must verify afterwards as it did before. Types
are those that the target's own schema declares, so that older schemas cross as well.
"""

import json
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from psycopg import sql
from sqlalchemy import Connection, inspect, types

from kb import tables
from kb.archive import Damaged, Numbering

ROWS: Final = 500
_ESCAPED: Final = re.compile(r"\\(.)")
_SIGNS: Final[Mapping[str, str]] = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_SECONDS_ONLY: Final = 19
Cell = Any
Turn = Callable[[Any], Cell]


def into_postgresql(connection: Connection, source: Path) -> None:
    """Fill empty tables with the rows of an SQLite file of the same schema, in the caller's transaction."""
    numberings: list[Numbering] = []
    with closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as base:
        for table in tables.names(connection):
            columns = {
                column["name"]: _to_postgresql(column["type"]) for column in inspect(connection).get_columns(table)
            }
            _copy(connection, table, columns, _rows(base, table, list(columns)))
            numberings += _numberings(connection, base, table, columns)
    tables.go_on_counting(connection, numberings)


def _rows(base: sqlite3.Connection, table: str, columns: Sequence[str]) -> Iterator[Sequence[Cell]]:
    listed = ", ".join(f'"{column}"' for column in columns)
    return iter(base.execute(f'SELECT {listed} FROM "{table}"'))  # noqa: S608  # nosec B608  # our own names


def _copy(connection: Connection, table: str, columns: Mapping[str, Turn], found: Iterable[Sequence[Cell]]) -> None:
    """One statement a table: keys that refer to rows of the same table are checked at its end."""
    command = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    driver: Any = connection.connection.driver_connection
    turns = list(columns.values())
    with driver.cursor() as cursor, cursor.copy(command) as copy:
        for row in found:
            copy.write_row([None if cell is None else turn(cell) for turn, cell in zip(turns, row, strict=True)])


def _to_postgresql(kind: types.TypeEngine[Any]) -> Turn:
    """What makes a value out of what SQLite keeps for a column of this kind."""
    if isinstance(kind, types.Boolean):
        return bool
    if isinstance(kind, types.DateTime):
        return lambda cell: datetime.fromisoformat(str(cell)).replace(tzinfo=UTC)
    if isinstance(kind, types.Date):
        return lambda cell: date.fromisoformat(str(cell))
    if isinstance(kind, types.Float):
        return float
    if isinstance(kind, types.Numeric):
        return lambda cell: Decimal(str(cell))
    if isinstance(kind, types.LargeBinary):
        return bytes
    return lambda cell: cell


def _numberings(
    connection: Connection, base: sqlite3.Connection, table: str, columns: Iterable[str]
) -> Iterator[Numbering]:
    """How far a table has counted: to its highest number, or, where SQLite remembers, to the highest there ever was."""
    for one in tables.numberings(connection, [table]):
        if one.column in set(columns):
            highest = base.execute(f'SELECT max("{one.column}") FROM "{table}"').fetchone()[0]  # noqa: S608  # nosec B608
            yield Numbering(table=table, column=one.column, last=int(highest or 0))


def into_sqlite(
    connection: Connection, columns: Mapping[str, Sequence[str]], read: Callable[[str], Iterator[bytes]]
) -> None:
    """Fill empty tables with what PostgreSQL's COPY wrote; `read` gives a table's text in chunks.

    Keys are checked by whoever looks through the finished file: the order of rows within a table is any.
    """
    for table in tables.names(connection):
        if table not in columns:
            raise Damaged("The backup holds other tables than its schema has: use another one.")
        kinds = {column["name"]: column["type"] for column in inspect(connection).get_columns(table)}
        turns = [_to_sqlite(kinds[name]) for name in columns[table]]
        listed = ", ".join(f'"{name}"' for name in columns[table])
        places = ", ".join("?" for _ in columns[table])
        statement = f'INSERT INTO "{table}" ({listed}) VALUES ({places})'  # noqa: S608  # nosec B608  # our own names
        lot: list[tuple[Cell, ...]] = []
        for cells in _written_rows(read(table)):
            lot.append(tuple(None if cell is None else turn(cell) for turn, cell in zip(turns, cells, strict=True)))
            if len(lot) == ROWS:
                connection.exec_driver_sql(statement, lot)
                lot = []
        if lot:
            connection.exec_driver_sql(statement, lot)


def _written_rows(chunks: Iterable[bytes]) -> Iterator[list[str | None]]:
    """The cells of each line of COPY's text, None for NULL."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield [_unescaped(cell) for cell in line.decode().split("\t")]
    if rest:
        yield [_unescaped(cell) for cell in rest.decode().split("\t")]


def _unescaped(cell: str) -> str | None:
    if cell == r"\N":
        return None
    return _ESCAPED.sub(lambda found: _SIGNS.get(found[1], found[1]), cell) if "\\" in cell else cell


def _to_sqlite(kind: types.TypeEngine[Any]) -> Turn:
    """What SQLite keeps for a column of this kind, as SQLAlchemy writes it there."""
    if isinstance(kind, types.Boolean):
        return lambda cell: int(cell == "t")
    if isinstance(kind, types.DateTime):
        return _moment
    if isinstance(kind, types.Float):
        return float
    if isinstance(kind, types.Numeric):
        return lambda cell: float(Decimal(cell))
    if isinstance(kind, types.Integer):
        return int
    if isinstance(kind, types.LargeBinary):
        return lambda cell: bytes.fromhex(cell.removeprefix("\\x"))
    if isinstance(kind, types.JSON):
        return lambda cell: json.dumps(json.loads(cell), ensure_ascii=False, separators=(",", ":"))
    return str


def _moment(cell: str) -> str:
    at = datetime.fromisoformat(cell if len(cell) > _SECONDS_ONLY else f"{cell}+00")
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
