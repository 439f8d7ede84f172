"""The engine of many machines: words, facets and permission in PostgreSQL, nothing on the machines that ask.

    schema kb_index       thrown away and rebuilt at any time, in no backup
    current               which build is searched, and the format it was written in
    entry_<build>         one row an asset: the hashes of its tokens (under a GIN index), how often each stands in
                          title, tags and text, facet codes, fingerprint

Each process keeps a sample of a few thousand entries. A library that is no larger is searched in the sample alone, and
gives exactly what the embedded engine gives. From a larger one the sample tells how rare each word is among what the
reader may see; the database then fetches the candidates that hold the weighty words, a bounded number of them, and
those are scored like any other. So a search costs about the same in a library of ten thousand and of a million.
"""

import contextlib
import hashlib
import threading
import time
import zlib
from collections import Counter, abc
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial, wraps
from itertools import combinations
from typing import Any, Concatenate, Final, ParamSpec, TypeVar
from uuid import uuid4

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql
from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Select,
    Sequence,
    SQLColumnExpression,
    String,
    Table,
    and_,
    bindparam,
    cast,
    delete,
    func,
    inspect,
    literal,
    or_,
    select,
    text,
    update,
)
from sqlalchemy import insert as insert_row
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError
from sqlalchemy.schema import CreateIndex, CreateSchema, CreateTable, DropTable

from content import visibility
from content.models import Asset
from kb.db import Database
from search import analysis, bm25
from search.analysis import Term
from search.bm25 import BOOSTS, K1, LEAST_OF_BEST, LEAST_SHARE, NORMS
from search.engine import (
    Entry,
    FacetTable,
    Fields,
    IndexBusy,
    IndexDamaged,
    IndexMissing,
    IntArray,
    Matches,
    Scope,
    Sides,
    Visible,
)

FORMAT: Final = f"p1a{analysis.VERSION}"
SCHEMA: Final = "kb_index"
LOCK: Final = 0x6B62_1D8
"""The number of the writers' lock."""
SAMPLE: Final = 4_000
"""Entries that a process keeps at most: about 3 kB each."""
DRAWN: Final = 0.5
"""Of a larger library only so much of them: enough to tell how rare words are, and each is asked after in every search."""
MOST_FETCHED: Final = 600
"""Candidates that one search fetches from a larger library."""
MOST_TEASED: Final = 200
"""The same of what is looked for in titles and tags alone: a strip of a few."""
MOSTLY: Final = 0.5
"""Who sees less of the library than this has the candidates narrowed by the rule before they are counted out.

A strip of titles is not worth that: of what it looks at, a bounded number, it shows what the rule lets through.
"""
HEAVY: Final = 4
"""As many of the weightiest common words are asked for together."""
LOCK_SECONDS: Final = 10.0
BUCKETS: Final = 1 << 20
GROWN: Final = 1.2
"""A sample is drawn anew when the library has grown or shrunk by so much since."""
BATCH: Final = 200
LOOKS: Final = 3

Asked = ParamSpec("Asked")
Told = TypeVar("Told")
FIELDS: Final = tuple(BOOSTS)
ITEM: Final = np.dtype([("hash", "<i8"), ("title", "u1"), ("tags", "u1"), ("body", "<u2")])
"""One token of an entry as it is packed: its hash, and how often it stands in each field."""

Meant = tuple[int, ...]
"""The hashes of tokens that mean the same."""
BoolArray = NDArray[np.bool_]
Float32Array = NDArray[np.float32]


@lru_cache(maxsize=500_000)
def hash_of(token: str) -> int:
    """A token as 64 bits, by which it is indexed and compared."""
    return int.from_bytes(hashlib.blake2b(token.encode("utf-8", "surrogatepass"), digest_size=8).digest(), signed=True)


def bucket_of(asset_id: int) -> int:
    """Where an asset stands in the drawing of samples."""
    return zlib.crc32(asset_id.to_bytes(8)) % BUCKETS


def sampled(count: int, most: int) -> int:
    """Below which bucket a library of `count` assets is sampled, where `most` are kept; BUCKETS for all of it."""
    return BUCKETS if count <= most else max(1, int(BUCKETS * most * DRAWN) // count)


@dataclass(frozen=True, slots=True, eq=False)
class Docs:
    """Entries side by side: parallel arrays by entry, and the tokens of all of them one after the other."""

    asset_ids: IntArray
    lengths: NDArray[np.int64]
    """Shape (entries, fields): tokens of title, tags and text."""
    sizes: IntArray
    tokens: NDArray[Any]

    @classmethod
    def of(cls, rows: abc.Sequence[tuple[int, int, int, int, bytes]]) -> "Docs":
        """Rows of asset id, the three lengths, and packed tokens."""
        packed = [bytes(row[4]) for row in rows]
        return cls(
            np.array([row[0] for row in rows], np.int64),
            np.array([row[1:4] for row in rows], np.int64).reshape(-1, 3),
            np.array([len(one) // ITEM.itemsize for one in packed], np.int64),
            np.frombuffer(b"".join(packed), ITEM),
        )

    def __len__(self) -> int:
        return len(self.asset_ids)

    def with_changes(self, changed: IntArray, newer: "Docs") -> "Docs":
        """The same with these entries in place of their former ones, or gone."""
        stay = ~np.isin(self.asset_ids, changed)
        return Docs(
            np.concatenate((self.asset_ids[stay], newer.asset_ids)),
            np.concatenate((self.lengths[stay], newer.lengths)),
            np.concatenate((self.sizes[stay], newer.sizes)),
            np.concatenate((self.tokens[np.repeat(stay, self.sizes)], newer.tokens)),
        )

    def holding(self, hashes: abc.Sequence[int]) -> "list[tuple[IntArray, NDArray[Any]]]":
        """For each hash the entries that hold it, and their tokens."""
        owner = np.repeat(np.arange(len(self)), self.sizes)
        wanted = np.array(hashes, np.int64)
        order = np.argsort(wanted, kind="stable")
        near = np.flatnonzero(np.isin(self.tokens["hash"], wanted))
        which = order[np.searchsorted(wanted[order], self.tokens["hash"][near])]
        return [(owner[near[which == place]], self.tokens[near[which == place]]) for place in range(len(hashes))]


@dataclass(frozen=True, slots=True, eq=False)
class Lexicon:
    """The tokens of entries in the order of their hashes, for those that are asked again and again."""

    hashes: IntArray
    owners: NDArray[np.int32]
    tokens: NDArray[Any]

    @classmethod
    def of(cls, docs: Docs) -> "Lexicon":
        order = np.argsort(docs.tokens["hash"], kind="stable")
        owners = np.repeat(np.arange(len(docs), dtype=np.int32), docs.sizes)
        tokens = docs.tokens[order]
        return cls(np.ascontiguousarray(tokens["hash"]), owners[order], tokens)

    def with_changes(self, stay: BoolArray, newer: Docs) -> "Lexicon":
        """The same as made anew of `Docs.with_changes`; merging what is sorted takes a fifth of sorting all again."""
        kept = stay[self.owners]
        places = (np.cumsum(stay) - 1).astype(np.int32)
        hashes, added = self.hashes[kept], Lexicon.of(newer)
        at = np.searchsorted(hashes, added.hashes, side="right")
        return Lexicon(
            np.insert(hashes, at, added.hashes),
            np.insert(places[self.owners[kept]], at, added.owners + np.int32(stay.sum())),
            np.insert(self.tokens[kept], at, added.tokens),
        )

    def holding(self, hashes: abc.Sequence[int]) -> "list[tuple[IntArray, NDArray[Any]]]":
        """As `Docs.holding`."""
        starts = np.searchsorted(self.hashes, hashes, side="left").tolist()
        ends = np.searchsorted(self.hashes, hashes, side="right").tolist()
        return [
            (self.owners[start:end].astype(np.int64), self.tokens[start:end])
            for start, end in zip(starts, ends, strict=True)
        ]


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """The entries whose bucket lies below `limit`, as of one write; all of them where `is_whole`."""

    build: str
    newest: int
    limit: int
    drawn_of: int
    docs: Docs
    codes: FacetTable
    means: Float32Array
    """Mean lengths of title, tags and text."""
    lexicon: Lexicon

    @property
    def is_whole(self) -> bool:
        return self.limit >= BUCKETS


@dataclass(slots=True)
class _Held:
    """The connection of a thread that asks several things together, and the sample they are all told from."""

    connection: Connection
    sample: Sample | None = None


class _Gone(IndexMissing):
    """A table that was there a moment ago: a rebuild has put another in its place, or there is none."""


def _looking_again(
    read: Callable[Concatenate["PostgresEngine", Asked], Told],
) -> Callable[Concatenate["PostgresEngine", Asked], Told]:
    """Who had just read the name of the former build, when a rebuild ended and dropped it, looks at the new one."""

    @wraps(read)
    def again(engine: "PostgresEngine", /, *args: Asked.args, **kwargs: Asked.kwargs) -> Told:
        for _ in range(LOOKS - 1):
            try:
                return read(engine, *args, **kwargs)
            except _Gone:
                engine.forget()
        return read(engine, *args, **kwargs)

    return again


class PostgresEngine:
    """Engine over a schema of its own; many threads and processes read, one at a time writes."""

    takes_rules = True

    def __init__(
        self,
        database: Database,
        *,
        lock_timeout: float = LOCK_SECONDS,
        sample: int = SAMPLE,
        most: int = MOST_FETCHED,
        most_named: int = 2 * MOST_FETCHED,
        fail_point: Callable[[str], None] = lambda _point: None,
    ) -> None:
        self._database = database
        self._readers = database.engine.execution_options(kb_write=False)
        self._lock_timeout = lock_timeout
        self._size = sample
        self._most = most
        self._most_named = most_named
        self._fail_point = fail_point
        self._holding = threading.RLock()
        self._writer: Connection | None = None
        self._sample: Sample | None = None
        self._sampling = threading.Lock()
        self._thread = threading.local()

    # Writing

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Holds the writers' lock over all machines; what is written goes through the connection that holds it."""
        if not self._holding.acquire(timeout=self._lock_timeout):
            raise IndexBusy("another writer holds the search index")
        try:
            if self._writer is None:
                with self._database.engine.connect() as connection, self._locked(connection):
                    self._writer = connection
                    try:
                        yield
                    finally:
                        self._writer = None
            else:
                yield
        finally:
            self._holding.release()

    @contextlib.contextmanager
    def _locked(self, connection: Connection) -> Iterator[None]:
        until = time.monotonic() + self._lock_timeout
        while not connection.scalar(select(func.pg_try_advisory_lock(LOCK))):
            connection.commit()
            if time.monotonic() > until:
                raise IndexBusy("another writer holds the search index")
            time.sleep(0.02)
        connection.commit()
        try:
            yield
        finally:
            if connection.invalidated:  # the lock went with the connection
                connection.close()
            else:
                connection.rollback()
                connection.execute(select(func.pg_advisory_unlock(LOCK)))
                connection.commit()

    def upsert(self, entries: Iterable[Entry]) -> None:
        self.apply(entries, ())

    def remove(self, asset_ids: Iterable[int]) -> None:
        self.apply((), asset_ids)

    def apply(self, upserts: Iterable[Entry], removals: Iterable[int]) -> None:
        """Both in one commit; an id in both is removed."""
        gone = set(removals)
        wanted = {entry.asset_id: entry for entry in upserts if entry.asset_id not in gone}
        if not gone and not wanted:
            return
        with self.exclusive(), self._damage_told():
            connection = self._writing()
            table = _entries(self._build(connection))
            insert = postgresql.insert(table)
            changes = {name: insert.excluded[name] for name in _WRITTEN if name != "asset_id"}
            upsert = insert.on_conflict_do_update(
                index_elements=["asset_id"], set_=changes | {"written": _written.next_value()}
            )
            entries = list(wanted.values())
            for start in range(0, len(entries), BATCH):
                connection.execute(upsert, [_row(entry) for entry in entries[start : start + BATCH]])
            if gone:
                connection.execute(
                    update(table)
                    .where(among(table.c.asset_id, np.array(sorted(gone), np.int64)), ~table.c.gone)
                    .values(_EMPTY | {"written": _written.next_value()})
                )
            self._fail_point("before_commit")
            connection.commit()
        self._fail_point("after_commit")

    def rebuild(self, entries: Iterable[Entry]) -> None:
        """Fills a new table and swaps; searches go on with the old one until then."""
        with self.exclusive():
            connection = self._writing()
            table = _entries(build := uuid4().hex[:12])
            try:
                connection.execute(CreateSchema(SCHEMA, if_not_exists=True))
                _metadata.create_all(connection)
                connection.execute(CreateTable(table))
                for column, how in (("words", "EXTERNAL"), ("packed", "MAIN")):
                    connection.execute(ddl(f"ALTER TABLE {table.fullname} ALTER {column} SET STORAGE {how}"))
                self._fill(connection, table, entries)
                for index in _indexes(table):
                    connection.execute(CreateIndex(index))
                self._fail_point("before_swap")
                former = [name for name in inspect(connection).get_table_names(SCHEMA) if name.startswith("entry_")]
                connection.execute(delete(_current))
                connection.execute(insert_row(_current), {"build": build, "format": FORMAT})
                connection.commit()
            except BaseException:
                connection.rollback()
                raise
            self._fail_point("after_swap")
            for name in former:
                if name != table.name:
                    connection.execute(DropTable(_entries(name.removeprefix("entry_")), if_exists=True))
                    connection.commit()
            connection.execute(ddl(f"ANALYZE {table.fullname}"))
            connection.commit()

    def _fill(self, connection: Connection, table: Table, entries: Iterable[Entry]) -> None:
        driver: Any = connection.connection.driver_connection
        written: set[int] = set()
        statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
            sql.Identifier(SCHEMA, table.name), sql.SQL(", ").join(map(sql.Identifier, _WRITTEN))
        )
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for entry in entries:
                if entry.asset_id in written:
                    raise ValueError(f"asset {entry.asset_id} is given twice")
                written.add(entry.asset_id)
                row = _row(entry)
                copy.write_row([row[name] for name in _WRITTEN])

    def _writing(self) -> Connection:
        """The connection that holds the writers' lock."""
        assert self._writer is not None
        return self._writer

    # Reading

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        if self._held() is not None:
            yield
            return
        with self._readers.connect() as connection:
            self._thread.held = _Held(connection)
            try:
                yield
            finally:
                self._thread.held = None

    def _held(self) -> _Held | None:
        held: _Held | None = getattr(self._thread, "held", None)
        return held

    def forget(self) -> None:
        """What is known of the index is asked for anew."""
        with self._sampling:
            self._sample = None

    @_looking_again
    def lexical(self, terms: abc.Sequence[Term], visible: Visible, *, fields: Fields = Fields.ALL) -> Matches:
        if not terms:
            return Matches.none()
        with self._reading() as connection:
            sample = self._refreshed(connection)
            hashes = [tuple(map(hash_of, term.tokens)) for term in terms]
            if not isinstance(visible, Scope) and len(visible) <= self._most_named and not sample.is_whole:
                docs = self._named(connection, sample.build, visible)
                return _scored(docs, np.ones(len(docs), np.bool_), terms, hashes, sample.means, fields)
            seen = _seen(connection, sample.docs.asset_ids, visible)
            if sample.is_whole:
                return _scored(
                    sample.docs, seen, terms, hashes, sample.means, fields, held=_holding(sample.lexicon, hashes)
                )
            return self._of_large(connection, sample, seen, terms, hashes, visible, fields)

    def _of_large(
        self,
        connection: Connection,
        sample: Sample,
        seen: BoolArray,
        terms: abc.Sequence[Term],
        hashes: abc.Sequence[Meant],
        visible: Visible,
        fields: Fields,
    ) -> Matches:
        """Fetch what holds the weighty words and score it, by how rare they are in the sample."""
        scale = BUCKETS / sample.limit
        most = self._most if fields is Fields.ALL else min(self._most, MOST_TEASED)
        held = _holding(sample.lexicon, hashes)
        held_in = [_within(owners, tokens, fields) for owners, tokens in held]
        counts = [float(seen[owners].sum()) * scale for owners in held_in]
        weighed = bm25.weights(terms, counts, float(seen.sum()) * scale)
        column = "head" if fields is Fields.TITLE_TAGS else "words"
        is_narrowed = fields is Fields.ALL and float(seen.mean() if len(seen) else 0.0) < MOSTLY
        within = visible if is_narrowed else None
        asked = seen if is_narrowed else np.ones(len(seen), np.bool_)
        holders = [owners[asked[owners]] for owners in held_in]
        any_of, all_of = _wanted(
            weighed, hashes, [len(one) * scale for one in holders], [set(one.tolist()) for one in holders], scale, most
        )
        fetch = partial(self._candidates, connection, _entries(sample.build), within, 2 * most)
        found = fetch(column, any_of, all_of)
        if not any_of and not all_of:
            heaviest = max(weighed, key=lambda one: one[1])[0]
            found = fetch("head", hashes[heaviest], [])
            if len(found) < most and column == "words":
                found = np.union1d(found, fetch(column, hashes[heaviest], []))
        if within is None and fields is Fields.ALL and len(found) >= 2 * most:
            # others' texts may crowd out the few that this reader may see
            fetch, within = partial(self._candidates, connection, _entries(sample.build), visible, 2 * most), visible
            found = fetch(column, any_of or hashes[max(weighed, key=lambda one: one[1])[0]], all_of)
        allowed = found if within is not None else found[_seen(connection, found, visible)]
        docs = self._named(connection, sample.build, allowed)
        return _scored(docs, np.ones(len(docs), np.bool_), terms, hashes, sample.means, fields, weighed)

    def _candidates(
        self,
        connection: Connection,
        table: Table,
        within: Visible | None,
        limit: int,
        column: str,
        any_of: abc.Sequence[int],
        all_of: abc.Sequence[abc.Sequence[Meant]],
    ) -> IntArray:
        """Ids of entries that hold any of the one or all of a group of the other, among `within` where it is given."""
        held: Column[Any] = table.c[column]
        conditions = [_all_held(held, together) for together in all_of]
        if any_of:
            conditions.append(held.overlap(cast(list(any_of), ARRAY(BigInteger))))
        if not conditions:
            return np.zeros(0, np.int64)
        statement = select(table.c.asset_id).where(or_(*conditions))
        if isinstance(within, Scope):
            statement = statement.where(table.c.asset_id.in_(select(Asset.id).where(within.rule)))
        elif within is not None:
            statement = statement.where(among(table.c.asset_id, within))
        found = connection.scalars(statement.limit(limit))
        return np.sort(np.array(found.all(), np.int64))

    def _named(self, connection: Connection, build: str, asset_ids: IntArray) -> Docs:
        table = _entries(build)
        return Docs.of(_fetched(connection, table, _doc_columns(table), asset_ids))

    @_looking_again
    def facets_of(self, asset_ids: IntArray) -> FacetTable:
        with self._reading() as connection:
            sample = self._refreshed(connection)
            wanted = np.asarray(asset_ids, np.int64)
            if sample.is_whole:
                return _of_rows(sample.docs.asset_ids, sample.codes, wanted)
            table = _entries(sample.build)
            rows = _fetched(connection, table, (table.c.asset_id, table.c.codes), wanted)
            return _of_rows(np.array([row[0] for row in rows], np.int64), _codes([row[1] for row in rows]), wanted)

    @_looking_again
    def probe(self) -> None:
        with self._reading() as connection:
            self._build(connection)

    @_looking_again
    def all_ids(self) -> IntArray:
        with self._reading() as connection:
            table = _entries(self._build(connection))
            found = connection.scalars(select(table.c.asset_id).where(~table.c.gone).order_by(table.c.asset_id))
            return np.array(found.all(), np.int64)

    @_looking_again
    def fingerprints(self) -> dict[int, str]:
        with self._reading() as connection:
            table = _entries(self._build(connection))
            rows = connection.execute(select(table.c.asset_id, table.c.fingerprint).where(~table.c.gone))
            return {row[0]: row[1] for row in rows}

    @_looking_again
    def verify(self) -> None:
        """Raises IndexDamaged where an entry is not what was written."""
        with self._reading() as connection:
            table = _entries(self._build(connection))
            is_other = or_(
                func.length(table.c.packed) != ITEM.itemsize * func.cardinality(table.c.words),
                func.sha256(table.c.packed) != table.c.checksum,
            )
            damaged = connection.scalar(select(func.count()).where(~table.c.gone, is_other))
            if damaged:
                raise IndexDamaged(f"{damaged} entries of the search index are not what was written")

    def close(self) -> None:
        self.forget()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Connection]:
        held = self._held()
        if held is None:
            with self._damage_told(), self._readers.connect() as connection:
                yield connection
            return
        try:
            with self._damage_told():
                yield held.connection
        except BaseException:
            held.sample = None
            with contextlib.suppress(DBAPIError):
                held.connection.rollback()  # what comes after it begins anew
            raise

    @contextlib.contextmanager
    def _damage_told(self) -> Iterator[None]:
        try:
            yield
        except ProgrammingError as error:
            raise _Gone(f"there is no search index: {_first_line(error)}") from error
        except DBAPIError as error:
            if error.connection_invalidated or isinstance(error, OperationalError):
                raise
            raise IndexDamaged(f"the search index cannot be read: {_first_line(error)}") from error

    def _build(self, connection: Connection) -> str:
        """The build that is searched; IndexMissing where there is none of this format."""
        row = connection.execute(select(_current.c.build, _current.c.format)).first()
        if row is None:
            raise IndexMissing("there is no search index yet")
        if row.format != FORMAT:
            raise IndexMissing("the search index was built by another version")
        return str(row.build)

    def _refreshed(self, connection: Connection) -> Sample:
        """The sample as of the newest write."""
        held = self._held()
        if held is None:
            return self._of_newest(connection)
        if held.sample is None:
            held.sample = self._of_newest(connection)
        return held.sample

    def _of_newest(self, connection: Connection) -> Sample:
        sample = self._sample
        if sample is not None and self._is_newest(connection, sample):
            return sample
        build = self._build(connection)
        newest = self._newest(connection, build)
        with self._sampling:
            sample = self._sample
            if sample is None or sample.build != build:
                sample = self._drawn(connection, build)
            elif sample.newest < newest:
                sample = self._brought_on(connection, sample)
            self._sample = sample
        return sample

    @staticmethod
    def _is_newest(connection: Connection, sample: Sample) -> bool:
        """Whether nothing was built or written since, asked at once; _Gone where its table is no more."""
        newest = func.coalesce(select(func.max(_entries(sample.build).c.written)).scalar_subquery(), 0)
        row = connection.execute(select(_current.c.build, _current.c.format, newest)).first()
        return row is not None and tuple(row) == (sample.build, FORMAT, sample.newest)

    @staticmethod
    def _newest(connection: Connection, build: str) -> int:
        return connection.scalar(select(func.max(_entries(build).c.written))) or 0

    @staticmethod
    def _count(connection: Connection, build: str) -> int:
        return connection.scalar(select(func.count()).where(~_entries(build).c.gone)) or 0

    @staticmethod
    def _below(connection: Connection, build: str, limit: int, after: int) -> list[Any]:
        table = _entries(build)
        statement = select(*_doc_columns(table), table.c.codes, table.c.gone, table.c.written)
        found = connection.execute(
            statement.where(table.c.bucket < limit, table.c.written > after).order_by(table.c.asset_id)
        )
        return list(found)

    def _drawn(self, connection: Connection, build: str) -> Sample:
        count = self._count(connection, build)
        limit = sampled(count, self._size)
        newest = self._newest(connection, build)
        rows = [row for row in self._below(connection, build, limit, 0) if not row.gone]
        docs = Docs.of([row[:5] for row in rows])
        return Sample(
            build,
            newest,
            limit,
            count,
            docs,
            _codes([row.codes for row in rows]),
            _mean_lengths(docs),
            Lexicon.of(docs),
        )

    def _brought_on(self, connection: Connection, sample: Sample) -> Sample:
        count = self._count(connection, sample.build)
        outgrown = sample.is_whole and count > self._size
        if outgrown or (not sample.is_whole and not 1 / GROWN < count / max(1, sample.drawn_of) < GROWN):
            return self._drawn(connection, sample.build)
        newest = self._newest(connection, sample.build)
        rows = self._below(connection, sample.build, sample.limit, sample.newest)
        changed = np.array([row.asset_id for row in rows], np.int64)
        living = [row for row in rows if not row.gone]
        is_kept = ~np.isin(sample.docs.asset_ids, changed)
        stay = sample.docs.asset_ids[is_kept]
        codes = _joined(_of_rows(sample.docs.asset_ids, sample.codes, stay), len(stay), living)
        newer = Docs.of([row[:5] for row in living])
        docs = sample.docs.with_changes(changed, newer)
        lexicon = sample.lexicon.with_changes(is_kept, newer)
        return Sample(sample.build, newest, sample.limit, sample.drawn_of, docs, codes, _mean_lengths(docs), lexicon)


_WRITTEN: Final = (
    "asset_id",
    "fingerprint",
    "title_length",
    "tags_length",
    "body_length",
    "words",
    "head",
    "packed",
    "checksum",
    "codes",
    "bucket",
    "gone",
)
_EMPTY: Final[dict[str, Any]] = {
    "fingerprint": "",
    "words": [],
    "head": [],
    "packed": b"",
    "codes": b"",
    "gone": True,
}
"""What is left of an asset that was taken out, so that every process hears of it."""


def ddl(statement: str) -> DDL:
    """A statement about tables of ours that SQLAlchemy has no words for; names in it are made here, never given."""
    return DDL(statement)  # type: ignore[no-untyped-call]


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).splitlines()[0] if str(error.orig) else type(error).__name__


def _row(entry: Entry) -> dict[str, object]:
    counts = {
        "title": Counter(analysis.tokens(entry.title)),
        "tags": Counter(analysis.tokens(entry.tags)),
        "body": Counter(analysis.tokens(entry.body)),
    }
    known = {token: hash_of(token) for field in counts.values() for token in field}
    ordered = sorted(known.items(), key=lambda one: one[1])
    packed = np.zeros(len(ordered), ITEM)
    packed["hash"] = [number for _, number in ordered]
    for field, most in (("title", 255), ("tags", 255), ("body", 65_535)):
        packed[field] = [min(most, counts[field][token]) for token, _ in ordered]
    content = packed.tobytes()
    return {
        "asset_id": entry.asset_id,
        "fingerprint": entry.fingerprint,
        "title_length": counts["title"].total(),
        "tags_length": counts["tags"].total(),
        "body_length": counts["body"].total(),
        "words": packed["hash"].tolist(),
        "head": packed["hash"][(packed["title"] > 0) | (packed["tags"] > 0)].tolist(),
        "packed": content,
        "checksum": hashlib.sha256(content).digest(),
        "codes": np.array(entry.facets, "<i4").tobytes(),
        "bucket": bucket_of(entry.asset_id),
        "gone": False,
    }


_metadata: Final = MetaData(schema=SCHEMA)
_written: Final = Sequence("written", schema=SCHEMA, metadata=_metadata)
_current: Final = Table(
    "current",
    _metadata,
    Column("one", Boolean, primary_key=True, server_default=text("true")),
    Column("build", String, nullable=False),
    Column("format", String, nullable=False),
)


@lru_cache(maxsize=4)
def _entries(build: str) -> Table:
    """The table of a build; its indexes are made once it is filled."""
    return Table(
        f"entry_{build}",
        MetaData(schema=SCHEMA),
        Column("asset_id", BigInteger, nullable=False),
        Column("fingerprint", String, nullable=False),
        Column("title_length", Integer, nullable=False),
        Column("tags_length", Integer, nullable=False),
        Column("body_length", Integer, nullable=False),
        Column("words", ARRAY(BigInteger), nullable=False),
        Column("head", ARRAY(BigInteger), nullable=False),
        Column("packed", LargeBinary, nullable=False),
        Column("checksum", LargeBinary, nullable=False),
        Column("codes", LargeBinary, nullable=False),
        Column("bucket", Integer, nullable=False),
        Column("gone", Boolean, nullable=False),
        Column("written", BigInteger, nullable=False, server_default=_written.next_value()),
    )


def _indexes(table: Table) -> tuple[Index, ...]:
    name = table.name
    return (
        Index(f"uq_{name}", table.c.asset_id, unique=True),
        Index(f"ix_{name}_words", table.c.words, postgresql_using="gin"),
        Index(f"ix_{name}_head", table.c.head, postgresql_using="gin"),
        Index(f"ix_{name}_bucket", table.c.bucket),
        Index(f"ix_{name}_written", table.c.written),
    )


def _fetched(
    connection: Connection, table: Table, columns: abc.Iterable[Column[Any]], asset_ids: IntArray
) -> list[tuple[Any, ...]]:
    """Rows of these assets in the driver's binary form: as text, in which others come, bytes take twice as long."""
    statement = sql.SQL("SELECT {} FROM {} WHERE asset_id = ANY(%s::bigint[]) AND NOT gone").format(
        sql.SQL(", ").join(sql.Identifier(column.name) for column in columns), sql.Identifier(SCHEMA, table.name)
    )
    driver: Any = connection.connection.driver_connection
    try:
        with driver.cursor(binary=True) as cursor:
            rows: list[tuple[Any, ...]] = cursor.execute(statement, [_array(asset_ids)]).fetchall()
            return rows
    except psycopg.OperationalError as error:
        connection.invalidate(error)
        raise OperationalError("", {}, error, connection_invalidated=True) from error
    except psycopg.ProgrammingError as error:
        raise ProgrammingError("", {}, error) from error
    except psycopg.Error as error:
        raise DBAPIError("", {}, error) from error


def _doc_columns(table: Table) -> tuple[Column[Any], ...]:
    return (table.c.asset_id, table.c.title_length, table.c.tags_length, table.c.body_length, table.c.packed)


def among(column: SQLColumnExpression[int], ids: IntArray) -> ColumnElement[bool]:
    """Whether a column is one of these ids, as one parameter."""
    return column == func.any(cast(literal(_array(ids), String), ARRAY(BigInteger)))


def _seen(connection: Connection, asset_ids: IntArray, visible: Visible) -> BoolArray:
    """Which of these ids the reader may see; the database is asked where a rule says so."""
    if not isinstance(visible, Scope):
        return np.isin(asset_ids, np.asarray(visible, np.int64))
    return visible.seen(asset_ids, partial(told_sides, connection))


def told_sides(connection: Connection, sides: Sides, asset_ids: IntArray) -> abc.Sequence[abc.Sequence[int]]:
    """Where those of these assets stand that exist for a reader, each with its id."""
    return connection.execute(_sides(sides.exists, sides.number), {"given": _array(asset_ids)}).all()


@lru_cache(maxsize=visibility.KEPT)
def _sides(exists: ColumnElement[bool], number: ColumnElement[int]) -> Select[int, int]:
    """Kept as the rules are: they are long, and a statement made anew is understood anew."""
    given = Asset.id == func.any(cast(bindparam("given", type_=String()), ARRAY(BigInteger)))
    return select(Asset.id, number).where(given, exists)


def _array(ids: IntArray) -> str:
    """Ids as PostgreSQL writes them: the driver takes ten times as long over a list."""
    return "{" + ",".join(map(str, ids.tolist())) + "}"


def _codes(packed: abc.Sequence[bytes]) -> FacetTable:
    counts = np.array([len(one) // 4 for one in packed], np.int64)
    codes = np.frombuffer(b"".join(map(bytes, packed)), "<i4").astype(np.int64)
    return FacetTable(np.repeat(np.arange(len(packed)), counts), codes)


def _of_rows(ids: IntArray, table: FacetTable, wanted: IntArray) -> FacetTable:
    """The codes of `wanted`, by their places there; `table` speaks of places in `ids`."""
    order = np.argsort(wanted, kind="stable")
    if not len(wanted):
        return FacetTable(np.zeros(0, np.int64), np.zeros(0, np.int64))
    places = np.minimum(np.searchsorted(wanted[order], ids), len(wanted) - 1)
    there = wanted[order][places] == ids
    kept = there[table.rows]
    rows = order[places[table.rows[kept]]]
    sorting = np.argsort(rows, kind="stable")
    return FacetTable(rows[sorting], table.codes[kept][sorting])


def _joined(before: FacetTable, count: int, rows: abc.Sequence[Any]) -> FacetTable:
    added = _codes([row.codes for row in rows])
    return FacetTable(np.concatenate((before.rows, added.rows + count)), np.concatenate((before.codes, added.codes)))


def _mean_lengths(docs: Docs) -> Float32Array:
    means = docs.lengths.mean(axis=0) if len(docs) else np.zeros(3)
    return np.maximum(means, 1.0).astype(np.float32)


def _holding(source: Docs | Lexicon, groups: abc.Sequence[Meant]) -> list[tuple[IntArray, NDArray[Any]]]:
    """For each group the entries that hold any of it, and how often they do in each field."""
    wanted = list(dict.fromkeys(one for group in groups for one in group))
    alone = dict(zip(wanted, source.holding(wanted), strict=True))
    return [_as_one([alone[one] for one in group]) for group in groups]


def _as_one(found: abc.Sequence[tuple[IntArray, NDArray[Any]]]) -> tuple[IntArray, NDArray[Any]]:
    if len(found) == 1:
        return found[0]
    owners, places = np.unique(np.concatenate([one for one, _ in found]), return_inverse=True)
    tokens = np.concatenate([one for _, one in found])
    summed = np.zeros(len(owners), [(field, "<u4") for field in FIELDS])
    for field in FIELDS:
        np.add.at(summed[field], places, tokens[field])
    return owners, summed


def _all_held(held: Column[Any], together: abc.Sequence[Meant]) -> ColumnElement[bool]:
    """All of the words, of each any token; where each has but one, in one step of the index."""
    if all(len(one) == 1 for one in together):
        return held.contains(cast([one for (one,) in together], ARRAY(BigInteger)))
    return and_(*(held.overlap(cast(list(one), ARRAY(BigInteger))) for one in together))


def _within(owners: IntArray, tokens: NDArray[Any], fields: Fields) -> IntArray:
    """The entries that hold a token in the fields that are searched."""
    if fields is Fields.ALL:
        return owners
    return owners[(tokens["title"] > 0) | (tokens["tags"] > 0)]


def _scored(
    docs: Docs,
    seen: BoolArray,
    terms: abc.Sequence[Term],
    hashes: abc.Sequence[Meant],
    means: Float32Array,
    fields: Fields,
    weighed: abc.Sequence[tuple[int, float]] | None = None,
    held: abc.Sequence[tuple[IntArray, NDArray[Any]]] | None = None,
) -> Matches:
    """BM25F of the entries that are seen, as `search.bm25` has it; weights are counted here unless they are given."""
    if not seen.any():
        return Matches.none()
    held = _holding(docs, hashes) if held is None else held
    if weighed is None:
        counts = [float(seen[_within(owners, tokens, fields)].sum()) for owners, tokens in held]
        weighed = bm25.weights(terms, counts, float(seen.sum()))
    total = sum(weight for _, weight in weighed)
    if total <= 0:
        return Matches.none()
    norms = [(1 - NORMS[f] + NORMS[f] * docs.lengths[:, i].astype(np.float32) / means[i]) for i, f in enumerate(FIELDS)]
    searched = ("title", "tags") if fields is Fields.TITLE_TAGS else FIELDS
    scores, share, headed = np.zeros(len(docs)), np.zeros(len(docs)), np.zeros(len(docs))
    for place, weight in weighed:
        owners, tokens = held[place]
        frequency = np.zeros(len(owners), np.float32)
        for number, field in enumerate(FIELDS):
            if field in searched:
                frequency += BOOSTS[field] * tokens[field] / norms[number][owners]
        there = frequency > 0
        strength = frequency[there] * (K1 + 1) / (frequency[there] + K1)
        scores[owners[there]] += weight * strength
        share[owners[there]] += weight / total
        headed[owners[(tokens["title"] > 0) | (tokens["tags"] > 0)]] += weight / total
    hits = np.flatnonzero(seen & (share >= LEAST_SHARE))
    if not len(hits):
        return Matches.none()
    hits = hits[share[hits] >= LEAST_OF_BEST * share[hits].max()]
    order = hits[np.lexsort((docs.asset_ids[hits], -scores[hits]))]
    return Matches(
        asset_ids=docs.asset_ids[order],
        scores=scores[order],
        coverage=np.minimum(scores[order] / (total * (K1 + 1)), 1.0),
        share=np.minimum(share[order], 1.0),
        title_share=np.minimum(headed[order], 1.0),
    )


def _wanted(
    weighed: abc.Sequence[tuple[int, float]],
    hashes: abc.Sequence[Meant],
    counts: abc.Sequence[float],
    holders: abc.Sequence[set[int]],
    scale: float,
    most: int,
) -> tuple[list[int], list[list[Meant]]]:
    """Which words alone, and which together, to ask for, so that about `most` entries come.

    The weightiest words first, each alone while that stays in bounds; then the weightiest common ones together, all
    of them, three, two. What holds only words that come later scores less than what is fetched.
    """
    budget, any_of, common = float(most), list[int](), list[int]()
    best = max((weight for _, weight in weighed), default=0.0)
    for place, weight in sorted(weighed, key=lambda one: -one[1]):
        if weight < LEAST_SHARE * best:
            continue
        if counts[place] <= budget:
            any_of += hashes[place]
            budget -= counts[place]
        elif len(common) < HEAVY:
            common.append(place)
    all_of: list[list[Meant]] = []
    for size in range(len(common), 1, -1):
        for group in combinations(common, size):
            together = len(set.intersection(*(holders[place] for place in group))) * scale
            if together <= budget:
                all_of.append([hashes[place] for place in group])
                budget -= together
    return any_of, all_of
