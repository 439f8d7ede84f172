"""Nearness of meaning for many machines: the passages' vectors in PostgreSQL, under pgvector's HNSW.

What is here is made of the rows of `search.vectors` and follows their stamp; it may be thrown away at any time. The
vectors stand without what they say of their language only, one index a language, since a query is nearer to its own.
A library that is no larger than a process's sample is searched in memory as on one machine. From a larger one the
nearest passages of each language and those of what the words found are measured; the sample tells how near texts of
each language are on the whole, by which languages are brought to one measure.
"""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Final

import numpy as np
import structlog
from pgvector.sqlalchemy import HALFVEC
from psycopg import sql
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Float,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    delete,
    func,
    literal_column,
    select,
    text,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.schema import CreateSchema

from content.models import Asset
from kb.db import Database
from search import languages, vectors
from search.engine import FloatArray, IntArray, Scope, Visible
from search.languages import LANGUAGES, Means
from search.matrix import (
    Agreement,
    Fairness,
    Float32Array,
    Keeper,
    Matrix,
    Near,
    Spot,
    number_of,
    together,
    without_language,
)
from search.postgres_engine import SAMPLE, SCHEMA, among, bucket_of, ddl, sampled, told_sides
from search.vectors import CHUNK, EncoderRow, KnownEncoder

LOCK: Final = 0x6B62_1D9
FIRST: Final = 200
"""So many nearest passages of each language are looked at first, four times as many each time that is not enough."""
FURTHER: Final = 4
MOST_LOOKED_AT: Final = 12_800
MOST_SCANNED: Final = 1_000
"""The widest beam that HNSW takes."""
MOST_ALSO: Final = 250
"""As many of what the words found are measured, the best first."""

log = structlog.get_logger(__name__)

_metadata: Final = MetaData(schema=SCHEMA)
_state: Final = Table(
    "vectors",
    _metadata,
    Column("encoder_id", Integer, primary_key=True),
    Column("stamp", BigInteger, nullable=False),
    Column("assets", Integer, nullable=False),
)


@lru_cache(maxsize=8)
def _passages(encoder_id: int, dimension: int) -> Table:
    return Table(
        f"passage_{encoder_id}",
        MetaData(schema=SCHEMA),
        Column("asset_id", BigInteger, primary_key=True),
        Column("position", Integer, primary_key=True),
        Column("anchor", String, nullable=False),
        Column("begins", Integer, nullable=False),
        Column("ends", Integer, nullable=False),
        Column("language", SmallInteger, nullable=False),
        Column("vector", HALFVEC(dimension), nullable=False),
    )


@lru_cache(maxsize=8)
def _wholes(encoder_id: int) -> Table:
    """One row an asset: one over the length of the sum of its vectors, and the language it is measured with."""
    return Table(
        f"whole_{encoder_id}",
        MetaData(schema=SCHEMA),
        Column("asset_id", BigInteger, primary_key=True),
        Column("share", Float, nullable=False),
        Column("language", SmallInteger, nullable=False),
    )


def catch_up(database: Database, encoder: KnownEncoder, index_from: int = SAMPLE) -> bool:
    """Bring the vectors here to the encoder's stamp; False where another process is at it."""
    with database.engine.connect() as connection:
        if _is_current(connection, encoder):
            return True
        with _alone(connection) as is_alone:
            if is_alone:
                _bring_on(database, connection, encoder, index_from)
            return is_alone


def _is_current(connection: Connection, encoder: KnownEncoder) -> bool:
    if connection.scalar(select(func.to_regclass(_state.fullname))) is None:
        return False
    known = connection.scalar(select(_state.c.stamp).where(_state.c.encoder_id == encoder.id))
    newest = connection.scalar(select(EncoderRow.stamp).where(EncoderRow.id == encoder.id))
    connection.rollback()
    return known == newest


def _bring_on(database: Database, connection: Connection, encoder: KnownEncoder, index_from: int) -> None:
    connection.execute(text("CREATE EXTENSION IF NOT EXISTS vector"))
    connection.execute(CreateSchema(SCHEMA, if_not_exists=True))
    _metadata.create_all(connection)
    passages, wholes = _passages(encoder.id, encoder.dimension), _wholes(encoder.id)
    for table in (passages, wholes):
        table.create(connection, checkfirst=True)
    _forget(connection)
    connection.commit()
    known = connection.scalar(select(_state.c.stamp).where(_state.c.encoder_id == encoder.id)) or 0
    means = Means.from_json(encoder.means)
    with database.reading() as session:
        current = vectors.find(session, encoder.name)
        newest = current.stamp if current else encoder.stamp
        changed = vectors.changed_since(session, encoder.id, known)
        for start in range(0, len(changed), CHUNK):
            _replace(connection, session, encoder, means, changed[start : start + CHUNK])
    assets = connection.scalar(select(func.count()).select_from(wholes)) or 0
    _index(connection, passages, assets, index_from)
    put = postgresql.insert(_state).values(encoder_id=encoder.id, stamp=newest, assets=assets)
    connection.execute(
        put.on_conflict_do_update(
            index_elements=["encoder_id"], set_={"stamp": put.excluded.stamp, "assets": put.excluded.assets}
        )
    )
    connection.commit()


def _forget(connection: Connection) -> None:
    """Drop the vectors of encoders that are gone."""
    for encoder_id in connection.scalars(
        select(_state.c.encoder_id).where(_state.c.encoder_id.not_in(select(EncoderRow.id)))
    ).all():
        for name in (f"passage_{encoder_id}", f"whole_{encoder_id}"):
            connection.execute(ddl(f"DROP TABLE IF EXISTS {SCHEMA}.{name}"))
        connection.execute(delete(_state).where(_state.c.encoder_id == encoder_id))


class Mirror:
    """Keeps the vectors here at the encoder's stamp; where they cannot be kept, every process holds all in memory."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._has_failed = False

    def __call__(self, encoder: KnownEncoder) -> None:
        try:
            catch_up(self._database, encoder)
            self._has_failed = False
        except DBAPIError as error:  # no pgvector, no right to make a schema, a lost connection: looked at again
            if not self._has_failed:
                log.warning("vectors.not_kept_in_database", reason=str(error.orig).partition("\n")[0])
            self._has_failed = True


@contextlib.contextmanager
def _alone(connection: Connection) -> Iterator[bool]:
    is_alone = bool(connection.scalar(select(func.pg_try_advisory_lock(LOCK))))
    connection.commit()
    try:
        yield is_alone
    finally:
        if is_alone and not connection.invalidated:
            connection.rollback()
            connection.execute(select(func.pg_advisory_unlock(LOCK)))
            connection.commit()


def _replace(
    connection: Connection, session: Session, encoder: KnownEncoder, means: Means, asset_ids: Sequence[int]
) -> None:
    """Put these assets' vectors in the place of their former ones."""
    passages, wholes = _passages(encoder.id, encoder.dimension), _wholes(encoder.id)
    ids = np.array(asset_ids, np.int64)
    for table in (passages, wholes):
        connection.execute(delete(table).where(among(table.c.asset_id, ids)))
    held = vectors.load(session, encoder, asset_ids)
    if not len(held.asset_ids):
        return
    centred = without_language(held, means)
    numbers = number_of(held.languages)
    starts = np.flatnonzero(np.diff(held.asset_ids, prepend=-1))
    sizes = np.diff(starts, append=len(held.asset_ids))
    positions = np.arange(len(held.asset_ids)) - np.repeat(starts, sizes)
    driver: Any = connection.connection.driver_connection
    names = ("asset_id", "position", "anchor", "begins", "ends", "language", "vector")
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(SCHEMA, passages.name), sql.SQL(", ").join(map(sql.Identifier, names))
    )
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        for row in range(len(held.asset_ids)):
            begins, ends = held.spans[row].tolist()
            copy.write_row(
                (
                    int(held.asset_ids[row]),
                    int(positions[row]),
                    held.anchors[row],
                    begins,
                    ends,
                    int(numbers[row]),
                    str(centred[row].tolist()),
                )
            )
    rows = [
        {"asset_id": int(held.asset_ids[start]), "share": float(share), "language": int(numbers[start])}
        for start, share in zip(starts.tolist(), together(centred, starts), strict=True)
    ]
    connection.execute(wholes.insert(), rows)


def _index(connection: Connection, passages: Table, assets: int, index_from: int) -> None:
    """Indexes for nearness, once there is so much that reading all of it takes longer; in the same commit as the rows."""
    if assets <= index_from:
        return
    connection.execute(text("SET LOCAL maintenance_work_mem = '1GB'"))
    for number in range(len(LANGUAGES)):
        name = f"ix_{passages.name}_near_{number}"
        of_language = f"USING hnsw (vector halfvec_ip_ops) WHERE language = {number}"
        connection.execute(ddl(f"CREATE INDEX IF NOT EXISTS {name} ON {passages.fullname} {of_language}"))
    connection.execute(ddl(f"ANALYZE {passages.fullname}"))


@dataclass(frozen=True, slots=True)
class _State:
    stamp: int
    assets: int


class PostgresKeeper:
    """One process's way to the vectors: all of a small library in memory, a sample of a larger one."""

    def __init__(self, size: int = SAMPLE) -> None:
        self._size = size
        self._whole = Keeper()
        self._sampled: tuple[int, int, Matrix] | None = None
        self._sampling = threading.Lock()

    def refreshed(self, session: Session, encoder: KnownEncoder) -> "WholeSpace | PostgresSpace":
        state = _state_of(session, encoder)
        if state is None or state.assets <= self._size:
            return WholeSpace(session, self._whole.refreshed(session, encoder))
        return PostgresSpace(session, encoder, self._sample(session, encoder, state))

    def _sample(self, session: Session, encoder: KnownEncoder, state: _State) -> Matrix:
        limit = sampled(state.assets, self._size)
        held = self._sampled
        if held is not None and held[0] == encoder.id and held[2].stamp >= encoder.stamp:
            return held[2]
        with self._sampling:
            held = self._sampled
            if held is None or held[0] != encoder.id or not limit / 2 <= held[1] <= 2 * limit:
                ids = vectors.embedded_ids(session, encoder.id)
                wanted = [asset_id for asset_id in ids if bucket_of(asset_id) < limit]
                matrix = Matrix(vectors.load(session, encoder, wanted), Means.from_json(encoder.means), encoder.stamp)
                held = (encoder.id, limit, matrix)
            elif held[2].stamp < encoder.stamp:
                changed = [
                    asset_id
                    for asset_id in vectors.changed_since(session, encoder.id, held[2].stamp)
                    if bucket_of(asset_id) < held[1]
                ]
                newer = held[2].with_changes(changed, vectors.load(session, encoder, changed), encoder.stamp)
                held = (encoder.id, held[1], newer)
            self._sampled = held
            return held[2]


def _state_of(session: Session, encoder: KnownEncoder) -> _State | None:
    """How far the vectors here are; None where they were never made."""
    if session.scalar(select(func.to_regclass(_state.fullname))) is None:
        return None
    row = session.execute(select(_state.c.stamp, _state.c.assets).where(_state.c.encoder_id == encoder.id)).first()
    return _State(*row) if row else None


class WholeSpace:
    """All passages in memory, for the length of one request; whom the rule lets through is asked of the database."""

    def __init__(self, session: Session, matrix: Matrix) -> None:
        self.means = matrix.means
        self._session = session
        self._matrix = matrix

    def __len__(self) -> int:
        return len(self._matrix)

    def spot(self, row: int) -> Spot:
        return self._matrix.spot(row)

    def nearest(self, vector: Float32Array, visible: Visible, limit: int, also: IntArray | None = None) -> Near:
        return self._matrix.nearest(vector, ids_of(self._session, visible), limit, also)

    def agreement(self, passages: Float32Array, declared: Sequence[str], visible: Visible) -> Agreement:
        return self._matrix.agreement(passages, declared, ids_of(self._session, visible))

    def middle_of(self, asset_id: int, anchor: str = "") -> Float32Array | None:
        return self._matrix.middle_of(asset_id, anchor)

    def best_of(self, asset_id: int, vector: Float32Array) -> Float32Array | None:
        return self._matrix.best_of(asset_id, vector)


@dataclass(frozen=True, slots=True, eq=False)
class _Measured:
    """Parallel arrays; `spots` are the best passages."""

    asset_ids: IntArray
    closeness: FloatArray
    languages: IntArray
    spots: list[Spot]


class PostgresSpace:
    """The passages of a large library, for the length of one request."""

    def __init__(self, session: Session, encoder: KnownEncoder, sample: Matrix) -> None:
        self.means = sample.means
        self._session = session
        self._encoder = encoder
        self._sample = sample
        self._passages = _passages(encoder.id, encoder.dimension)
        self._wholes = _wholes(encoder.id)
        self._spots: list[Spot] = []

    def __len__(self) -> int:
        return self._session.scalar(select(_state.c.assets).where(_state.c.encoder_id == self._encoder.id)) or 0

    def spot(self, row: int) -> Spot:
        return self._spots[row]

    def nearest(self, vector: Float32Array, visible: Visible, limit: int, also: IntArray | None = None) -> Near:
        """As `Matrix.nearest`; the nearest are found by pgvector, language by language."""
        fairness = self._fairness(vector, visible)
        wanted = self._near(vector, visible, limit)
        if also is not None:
            wanted = np.union1d(wanted, also[:MOST_ALSO])
        if not len(wanted):
            return Near.none()
        found = self._measured(vector, wanted)
        ids = found.asset_ids
        closeness = fairness.applied(found.closeness, found.languages)
        order = np.lexsort((ids, -closeness))
        kept = np.arange(len(order)) < limit
        if also is not None and len(also):
            kept |= np.isin(ids[order], also)
        chosen = order[kept]
        first = len(self._spots)
        self._spots += [found.spots[row] for row in chosen]
        return Near(ids[chosen], closeness[chosen], np.arange(first, first + len(chosen)))

    def _fairness(self, vector: Float32Array, visible: Visible) -> Fairness:
        return self._sample.fairness(vector, self._visible(np.sort(self._sample.asset_ids()), visible))

    def _visible(self, ids: IntArray, visible: Visible) -> IntArray:
        if not isinstance(visible, Scope):
            return np.intersect1d(ids, np.asarray(visible, np.int64))
        seen = visible.seen(ids, partial(told_sides, self._session.connection()))
        return np.sort(ids[seen])

    def _near(self, vector: Float32Array, visible: Visible, limit: int) -> IntArray:
        """The visible among the nearest of each language; more are looked at until there are enough."""
        found = np.zeros(0, np.int64)
        for number in range(len(LANGUAGES)):
            looked_at = FIRST
            while True:
                ids = self._passages_near(vector, number, looked_at)
                seen = self._visible(np.unique(ids), visible)
                if len(seen) >= limit or len(ids) < looked_at or looked_at >= MOST_LOOKED_AT:
                    break
                looked_at *= FURTHER
            found = np.union1d(found, seen)
        return found

    def _passages_near(self, vector: Float32Array, number: int, most: int) -> IntArray:
        self._session.execute(text(f"SET LOCAL hnsw.ef_search = {min(most, MOST_SCANNED)}"))
        if most > MOST_SCANNED:
            self._session.execute(text("SET LOCAL hnsw.iterative_scan = relaxed_order"))
        table = self._passages
        statement = (
            select(table.c.asset_id)
            .where(literal_column(f"language = {number}"))
            .order_by(table.c.vector.max_inner_product(vector))
            .limit(most)
        )
        return np.array(self._session.scalars(statement).all(), np.int64)

    def _measured(self, vector: Float32Array, wanted: IntArray) -> "_Measured":
        """These assets' closeness before languages are brought to one measure, and their best passages."""
        table, wholes = self._passages, self._wholes
        inner = -table.c.vector.max_inner_product(vector)
        place = (table.c.anchor, table.c.begins, table.c.ends)
        each = (
            select(table.c.asset_id, table.c.position, *place, inner.label("inner"))
            .where(among(table.c.asset_id, wanted))
            .offset(0)  # keeps PostgreSQL from making every product several times over
            .subquery()
        )
        best = (
            select(each, func.sum(each.c.inner).over(partition_by=each.c.asset_id).label("total"))
            .ext(postgresql.distinct_on(each.c.asset_id))
            .order_by(each.c.asset_id, each.c.inner.desc(), each.c.position)
            .subquery()
        )
        statement = select(
            best.c.asset_id,
            best.c.inner,
            best.c.total * wholes.c.share,
            wholes.c.language,
            best.c.anchor,
            best.c.begins,
            best.c.ends,
        ).join(wholes, wholes.c.asset_id == best.c.asset_id)
        rows = self._session.connection().execute(statement).all()
        ids, best_inner, whole, of_language, *spots = zip(*rows, strict=True) if rows else ((),) * 7
        return _Measured(
            np.array(ids, np.int64),
            Matrix.closeness_of(np.array(best_inner, np.float64), np.array(whole, np.float64)),
            np.array(of_language, np.int64),
            [Spot(*spot) for spot in zip(*spots, strict=True)],
        )

    def agreement(self, passages: Float32Array, declared: Sequence[str], visible: Visible) -> Agreement:
        """As `Matrix.agreement`, among the assets nearest to any of the passages."""
        if not len(passages):
            return Agreement.none()
        own = languages.normal(passages - self.means.passage_means()[number_of(declared)])
        near = [self._near(vector, visible, FIRST // 4) for vector in own]
        ids = np.unique(np.concatenate([np.zeros(0, np.int64), *near]))
        return self._some(ids).agreement(passages, declared, ids)

    def middle_of(self, asset_id: int, anchor: str = "") -> Float32Array | None:
        return self._some(np.array([asset_id], np.int64)).middle_of(asset_id, anchor)

    def best_of(self, asset_id: int, vector: Float32Array) -> Float32Array | None:
        """As `Matrix.best_of`."""
        rows = self._session.scalars(select(self._passages.c.vector).where(self._passages.c.asset_id == asset_id)).all()
        if not rows:
            return None
        held = np.array(rows, np.float32)
        best: Float32Array = held[int((held @ vector).argmax())]
        return best

    def _some(self, ids: IntArray) -> Matrix:
        held = vectors.load(self._session, self._encoder, ids.tolist())
        return Matrix(held, self.means, self._encoder.stamp)


def ids_of(session: Session, visible: Visible) -> IntArray:
    """The ids that a rule lets through, ascending."""
    if not isinstance(visible, Scope):
        return visible
    return np.sort(np.array(session.scalars(select(Asset.id).where(visible.rule)).all(), np.int64))
