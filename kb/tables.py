"""Copies PostgreSQL's tables out and in as text, in the caller's transaction; needs no program beside the driver."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from psycopg import Connection as Driver
from psycopg import sql
from sqlalchemy import Connection, inspect, text

from kb.archive import Numbering

OF_THE_SCHEMA = frozenset({"alembic_version", "schema_promise"})
"""What whoever migrates writes: no backup takes it along."""


def names(connection: Connection) -> list[str]:
    """Our tables, each after those it refers to."""
    ordered = inspect(connection).get_sorted_table_and_fkc_names()
    return [name for name, _ in ordered if name is not None and name not in OF_THE_SCHEMA]


def columns(connection: Connection, table: str) -> tuple[str, ...]:
    return tuple(column["name"] for column in inspect(connection).get_columns(table))


def numberings(connection: Connection, tables: Iterable[str]) -> tuple[Numbering, ...]:
    """How far each table that numbers its rows has counted."""
    found = []
    for table in tables:
        for column in inspect(connection).get_columns(table):
            name = _sequence(connection, table, column["name"])
            if name is not None:
                last = connection.scalar(text("SELECT pg_sequence_last_value(CAST(:name AS regclass))"), {"name": name})
                found.append(Numbering(table=table, column=column["name"], last=last or 0))
    return tuple(found)


def _sequence(connection: Connection, table: str, column: str) -> str | None:
    found: str | None = connection.scalar(
        text("SELECT pg_get_serial_sequence(quote_ident(:table), :column)"), {"table": table, "column": column}
    )
    return found


def dump(connection: Connection, table: str, wanted: Sequence[str]) -> Iterator[bytes | bytearray | memoryview]:
    """All rows of a table, as COPY writes them."""
    command = sql.SQL("COPY {} ({}) TO STDOUT").format(sql.Identifier(table), _list(wanted))
    with _driver(connection).cursor() as cursor, cursor.copy(command) as copy:
        yield from copy


def load(connection: Connection, table: str, wanted: Sequence[str], chunks: Iterable[bytes]) -> None:
    """Fill a table with what `dump` wrote; keys to other rows are checked by the database."""
    command = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), _list(wanted))
    with _driver(connection).cursor() as cursor, cursor.copy(command) as copy:
        for chunk in chunks:
            copy.write(chunk)


def go_on_counting(connection: Connection, numbering: Iterable[Numbering]) -> None:
    """Let new rows take the numbers after those that were ever given."""
    for one in numbering:
        name = _sequence(connection, one.table, one.column)
        if name is not None and one.last:
            connection.execute(text("SELECT setval(CAST(:name AS regclass), :last)"), {"name": name, "last": one.last})


def plainly(connection: Connection) -> None:
    """Write times and numbers the same way whatever the server's settings are."""
    for setting in ("DateStyle = 'ISO'", "TimeZone = 'UTC'", "extra_float_digits = 1", "bytea_output = 'hex'"):
        connection.exec_driver_sql(f"SET LOCAL {setting}")


def move_aside(connection: Connection, schema: str) -> None:
    """Rename the schema of what stands there and begin an empty one; extensions stay with the new one."""
    present = connection.scalar(text("SELECT current_schema()"))
    extensions = connection.scalars(
        text(
            "SELECT extname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE n.nspname = :name"
        ),
        {"name": present},
    ).all()
    quote = connection.dialect.identifier_preparer.quote
    connection.exec_driver_sql(f"ALTER SCHEMA {quote(str(present))} RENAME TO {quote(schema)}")
    connection.exec_driver_sql(f"CREATE SCHEMA {quote(str(present))}")
    for extension in extensions:
        connection.exec_driver_sql(f"ALTER EXTENSION {quote(extension)} SET SCHEMA {quote(str(present))}")


def others(connection: Connection) -> int:
    """How many other sessions are in this database."""
    asked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    return int(connection.scalar(text(f"{asked} AND backend_type = 'client backend'")) or 0)


def counts(connection: Connection, tables: Iterable[str]) -> Mapping[str, int]:
    quote = connection.dialect.identifier_preparer.quote
    return {
        table: int(connection.exec_driver_sql(f"SELECT count(*) FROM {quote(table)}").scalar_one())  # noqa: S608  # nosec B608  # our own tables, quoted
        for table in tables
    }


def _list(wanted: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, wanted))


def _driver(connection: Connection) -> Driver[tuple[object, ...]]:
    driver = connection.connection.driver_connection
    assert isinstance(driver, Driver)
    return driver
