"""Engine, base class, and the only two transactions: reading() and writing(), opened at the edge."""

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ARRAY,
    BindParameter,
    ColumnElement,
    DateTime,
    Dialect,
    Engine,
    Integer,
    MetaData,
    Select,
    String,
    any_,
    bindparam,
    cast,
    create_engine,
    event,
    func,
    literal,
    select,
    text,
)
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.orm import DeclarativeBase, InstrumentedAttribute, ORMExecuteState, Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.types import TypeDecorator

from kb import clock

PUBLIC_ID_BYTES = 12
CACHE_KIBIBYTES = 16_384
"""Of the database in each connection's memory: what a rule is asked of, which is all assets, should fit."""
BUSY_MILLISECONDS = 5_000


class ReadOnly(RuntimeError):
    """A reading session tried to write."""


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC in Python; refuses naive times so that no local time slips in."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without zone cannot be stored")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002  # the name is SQLAlchemy's
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


this_moment = bindparam("this_moment", callable_=lambda: clock.now(), type_=UtcDateTime())  # noqa: PLW0108  # looked up each time: tests move it
"""The present, asked of the clock when a statement runs: for conditions that are kept and used again."""


def days_ago(days: int) -> BindParameter[datetime]:
    """The same of as many days before."""
    return bindparam(f"{days}_days_ago", callable_=lambda: clock.now() - timedelta(days=days), type_=UtcDateTime())


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcDateTime(), str: String()}


def public_id() -> str:
    """An address nobody can guess: 96 random bits."""
    return secrets.token_urlsafe(PUBLIC_ID_BYTES)


class Database:
    """One database and its two session factories."""

    def __init__(self, url: str) -> None:
        self.engine = _make_engine(url)
        self._readers = sessionmaker(
            self.engine.execution_options(kb_write=False),
            autoflush=False,
            expire_on_commit=False,
            info={"reading": True},
        )
        self._writers = sessionmaker(self.engine.execution_options(kb_write=True), expire_on_commit=False)

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def reading(self) -> Iterator[Session]:
        with self._readers() as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        with self._writers() as session, session.begin():
            yield session

    def close(self) -> None:
        self.engine.dispose()


def _make_engine(url: str) -> Engine:
    if make_url(url).get_backend_name() == "sqlite":
        engine = create_engine(
            url,
            json_serializer=_to_json,
            connect_args={"timeout": BUSY_MILLISECONDS / 1000},
            pool_size=20,
            max_overflow=20,
        )
        event.listen(engine, "connect", _set_pragmas)
        event.listen(engine, "begin", _begin_on_sqlite)
        return engine
    engine = create_engine(
        url, json_serializer=_to_json, pool_pre_ping=True, pool_size=10, max_overflow=20, pool_timeout=5
    )
    event.listen(engine, "connect", _without_jit)
    event.listen(engine, "begin", _begin_on_postgresql)
    return engine


def _without_jit(connection: Any, _record: ConnectionPoolEntry) -> None:
    """Compiling the rule of who sees what takes longer than asking it, and is begun as soon as a library is large."""
    connection.execute("SET jit = off")
    connection.commit()


def _to_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _set_pragmas(connection: Any, _record: ConnectionPoolEntry) -> None:
    connection.isolation_level = None
    # recursive_triggers: without it INSERT OR REPLACE removes rows behind the back of the delete triggers
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "recursive_triggers=ON",
        f"busy_timeout={BUSY_MILLISECONDS}",
        f"cache_size=-{CACHE_KIBIBYTES}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_on_sqlite(connection: Connection) -> None:
    """BEGIN IMMEDIATE for writers, so that a write never fails half way on a lock; readers cannot write at all."""
    writes = connection.get_execution_options().get("kb_write", True)
    if connection.info.get("writes") is not writes:  # SQLite forgets all that it has compiled at this pragma
        connection.exec_driver_sql(f"PRAGMA query_only={'OFF' if writes else 'ON'}")
        connection.info["writes"] = writes
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _begin_on_postgresql(connection: Connection) -> None:
    """The driver begins with the first statement, and says then whether it may write."""
    driver: Any = connection.connection.driver_connection
    driver.read_only = None if connection.get_execution_options().get("kb_write", True) else True


@event.listens_for(Session, "before_flush")
def _refuse_flush_when_reading(session: Session, _context: object, _instances: object) -> None:
    if session.info.get("reading") and (session.new or session.dirty or session.deleted):
        raise ReadOnly("this session only reads; open writing() instead")


@event.listens_for(Session, "do_orm_execute")
def _refuse_statements_when_reading(state: ORMExecuteState) -> None:
    if state.session.info.get("reading") and (state.is_insert or state.is_update or state.is_delete):
        raise ReadOnly("this session only reads; open writing() instead")


class _Current:
    database: Database | None = None


def bind(database: Database) -> Database:
    """Make this the database that reading() and writing() open."""
    _Current.database = database
    return database


def current() -> Database:
    if _Current.database is None:
        raise RuntimeError("no database is bound: create_app() or the command line does that")
    return _Current.database


@contextmanager
def reading() -> Iterator[Session]:
    """A session that sees one state of the database and cannot change it."""
    with current().reading() as session:
        yield session


@contextmanager
def writing() -> Iterator[Session]:
    """A transaction: all of it is kept, or nothing."""
    with current().writing() as session:
        yield session


def is_postgresql(session: Session) -> bool:
    return session.get_bind().dialect.name == "postgresql"


def among(session: Session, column: InstrumentedAttribute[int], ids: Sequence[int]) -> ColumnElement[bool]:
    """Whether a column is one of many ids, given as one value: hundreds of them as a value each cost more than the search."""
    if is_postgresql(session):
        return column == any_(cast(list(ids), ARRAY(Integer)))
    return column.in_(_listed(literal(json.dumps(list(ids)))))


def among_given(column: InstrumentedAttribute[int], *, postgresql: bool) -> ColumnElement[bool]:
    """The same for a statement that is made once and asked with `given(ids)`: what is made anew is understood anew."""
    if postgresql:
        return column == any_(bindparam("given", type_=ARRAY(Integer)))
    return column.in_(_listed(bindparam("given", type_=String())))


def given(session: Session, ids: Sequence[int]) -> Mapping[str, object]:
    """The parameters of a statement with `among_given`."""
    return {"given": list(ids) if is_postgresql(session) else json.dumps(list(ids))}


def _listed(ids: ColumnElement[str]) -> Select[Any]:
    return select(func.json_each(ids).table_valued("value").c.value)


def take_turn(session: Session, name: str) -> None:
    """Hold a named lock until this transaction ends; SQLite has one writer anyway."""
    if is_postgresql(session):
        session.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": name})
