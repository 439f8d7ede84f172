"""What must happen later: rows written with the change that wants them. The row is the truth."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection, Index, String, Text, delete, func, or_, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from kb import clock
from kb.db import Base, Database, is_postgresql

LEASE = timedelta(seconds=60)
MAX_ATTEMPTS = 8
BATCH = 200
CHANNEL = "kb_outbox"


class WishKind(StrEnum):
    """What can be wished for; the names live here, the handlers where the work is done."""

    INDEX_ASSET = "index_asset"
    REBUILD_INDEX = "rebuild_index"
    EMBED_ASSET = "embed_asset"
    READ_FILE = "read_file"
    CONVERT_FILE = "convert_file"
    MAIL_DIGEST = "mail_digest"


PATIENT = frozenset({WishKind.EMBED_ASSET, WishKind.MAIL_DIGEST})
"""What may wait for hours without harm to the service: a large import takes a model its time, a mail server may be away."""


class Wish(Base):
    __tablename__ = "wish"
    __table_args__ = (Index("ix_wish_due", "dead_at", "due_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(40))
    object_id: Mapped[int]
    due_at: Mapped[datetime]
    lease_until: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    error: Mapped[str] = mapped_column(Text, default="")
    dead_at: Mapped[datetime | None]


@dataclass(frozen=True, slots=True)
class Claimed:
    """Wishes of one kind under lease: their rows' ids and what they are about."""

    kind: WishKind
    ids: tuple[int, ...]
    object_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits and what is dead; `oldest_due_at` speaks of what should be done at once."""

    waiting: int
    dead: int
    oldest_due_at: datetime | None


Handler = Callable[[Sequence[int]], None]
"""Takes the ids of the objects, reads their present state, may run twice."""


def add(session: Session, kind: WishKind, object_id: int, due_at: datetime | None = None) -> None:
    """Wish for something in the caller's transaction."""
    session.add(Wish(kind=kind.value, object_id=object_id, due_at=due_at or clock.now()))
    if is_postgresql(session):
        session.execute(select(func.pg_notify(CHANNEL, "")))


def claim(session: Session, kinds: Sequence[WishKind], limit: int = BATCH) -> Claimed | None:
    """Lease the due wishes of one kind, oldest first; one that failed before goes alone, so that it spoils no batch."""
    now = clock.now()
    due = (
        select(Wish.id, Wish.kind, Wish.attempts)
        .where(
            Wish.dead_at.is_(None),
            Wish.due_at <= now,
            or_(Wish.lease_until.is_(None), Wish.lease_until < now),
            Wish.kind.in_([k.value for k in kinds]),
        )
        .order_by(Wish.due_at, Wish.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = session.execute(due).all()
    if not rows:
        return None
    kind, tried = rows[0].kind, rows[0].attempts > 0
    ids = [rows[0].id] if tried else [row.id for row in rows if row.kind == kind and row.attempts == 0]
    leased = session.execute(
        update(Wish)
        .where(Wish.id.in_(ids))
        .values(lease_until=now + LEASE, attempts=Wish.attempts + 1)
        .returning(Wish.id, Wish.object_id),
        execution_options={"synchronize_session": False},
    ).all()
    ordered = sorted(leased, key=lambda row: row.id)
    return Claimed(WishKind(kind), tuple(row.id for row in ordered), tuple(row.object_id for row in ordered))


def done(session: Session, claimed: Claimed) -> None:
    session.execute(delete(Wish).where(Wish.id.in_(claimed.ids)), execution_options={"synchronize_session": False})


def failed(session: Session, claimed: Claimed, error: str) -> None:
    """Put the wishes back with a growing gap; after eight tries they are dead letters that a person must look at."""
    now = clock.now()
    for wish in session.scalars(select(Wish).where(Wish.id.in_(claimed.ids))):
        wish.lease_until = None
        wish.error = error[:500]
        if wish.attempts >= MAX_ATTEMPTS:
            wish.dead_at = now
        else:
            wish.due_at = now + timedelta(seconds=2 ** (wish.attempts - 1))


def postponed(session: Session, claimed: Claimed, until: datetime) -> None:
    """Put the wishes back without counting the try: the handler could not even begin."""
    session.execute(
        update(Wish).where(Wish.id.in_(claimed.ids)).values(lease_until=None, due_at=until, attempts=Wish.attempts - 1),
        execution_options={"synchronize_session": False},
    )


def release(session: Session, kinds: Sequence[WishKind]) -> None:
    """End every lease of these kinds: for the one worker of an embedded installation, after a crash of the former one."""
    session.execute(
        update(Wish)
        .where(Wish.lease_until.is_not(None), Wish.kind.in_([kind.value for kind in kinds]))
        .values(lease_until=None),
        execution_options={"synchronize_session": False},
    )


def backlog(session: Session) -> Backlog:
    is_alive = Wish.dead_at.is_(None)
    waiting = session.scalar(select(func.count()).where(is_alive)) or 0
    patient = [kind.value for kind in PATIENT]
    oldest = session.scalar(select(func.min(Wish.due_at)).where(is_alive, Wish.kind.not_in(patient)))
    dead = session.scalar(select(func.count()).where(Wish.dead_at.is_not(None))) or 0
    return Backlog(waiting, dead, oldest)


def revive(session: Session) -> int:
    """Give every dead letter its tries again; returns how many."""
    dead = list(session.scalars(select(Wish).where(Wish.dead_at.is_not(None))))
    for wish in dead:
        wish.dead_at, wish.attempts, wish.due_at = None, 0, clock.now()
    return len(dead)


class NotNow(Exception):
    """A handler's word that it cannot begin yet (a lock is held, a server is away): tried again, not counted as a failure."""

    def __init__(self, after: timedelta = timedelta(seconds=1)) -> None:
        super().__init__()
        self.after = after


def drain(database: Database, handlers: Mapping[WishKind, Handler], limit: int = BATCH) -> int:
    """Do what is due now, batch by batch; returns how many wishes were fulfilled."""
    fulfilled = 0
    while claimed := _claim(database, handlers, limit):
        if _fulfil(database, handlers[claimed.kind], claimed):
            fulfilled += len(claimed.ids)
    return fulfilled


def is_due(connection: Connection, kinds: Iterable[WishKind]) -> bool:
    """Whether a wish of these kinds waits for somebody; a look so light that every commit may cause one."""
    due = select(Wish.id).where(
        Wish.dead_at.is_(None), Wish.due_at <= clock.now(), Wish.kind.in_([kind.value for kind in kinds])
    )
    return connection.scalar(due.limit(1)) is not None


def _claim(database: Database, handlers: Mapping[WishKind, Handler], limit: int) -> Claimed | None:
    with database.reading() as session:
        if not is_due(session.connection(), handlers):
            return None
    with database.writing() as session:
        return claim(session, list(handlers), limit)


def _fulfil(database: Database, handler: Handler, claimed: Claimed) -> bool:
    try:
        handler(tuple(dict.fromkeys(claimed.object_ids)))
    except NotNow as not_now:
        with database.writing() as session:
            postponed(session, claimed, clock.now() + not_now.after)
        return False
    except Exception as error:  # a handler may fail in any way; the row keeps the reason and is tried again
        with database.writing() as session:
            failed(session, claimed, f"{type(error).__name__}: {error}")
        return False
    with database.writing() as session:
        done(session, claimed)
    return True
