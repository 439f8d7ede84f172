"""Rows of an import that were refused: kept with their reason until somebody corrects them or sets them aside."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from sqlalchemy import JSON, Index, String, Text, func, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from kb import audit, clock
from kb.access import Actor, Permission, require
from kb.db import Base, Database, public_id
from kb.errors import NotFound

MOST_OF_A_RUN: Final = 5_000
"""Refused rows of one run that are kept; all are told in its report."""
KEPT: Final = timedelta(days=90)
KEYS: Final[Mapping[str, str]] = {
    "users": "email",
    "deals": "external_id",
    "stages": "deal_external_id",
    "usage": "event_id",
}
"""What names a row of each kind."""


class RejectedRow(Base):
    """One row as it was read, in our columns, and why it was refused."""

    __tablename__ = "rejected_row"
    __table_args__ = (
        Index(
            "ix_rejected_row_open",
            "kind",
            "key",
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(24), unique=True, default=public_id)
    kind: Mapped[str] = mapped_column(String(20))
    key: Mapped[str] = mapped_column(String(120))
    source: Mapped[str] = mapped_column(String(200))
    line: Mapped[int | None]
    row: Mapped[dict[str, str]] = mapped_column(JSON)
    code: Mapped[str] = mapped_column(String(80))
    message: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(default=clock.now)
    ended_at: Mapped[datetime | None]
    ended_how: Mapped[str] = mapped_column(String(20), default="")
    """`accepted` once a row of that name was taken, `set_aside` by a person."""


class SyncCursor(Base):
    """How far another system has sent us its changes; what the cursor means is its own affair."""

    __tablename__ = "sync_cursor"

    source: Mapped[str] = mapped_column(String(80), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20), primary_key=True)
    cursor: Mapped[str] = mapped_column(String(200), default="")
    moved_at: Mapped[datetime] = mapped_column(default=clock.now)
    rows: Mapped[int] = mapped_column(default=0)
    """Rows taken since the beginning."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A refused row as pages and programs read it."""

    public_id: str
    kind: str
    key: str
    source: str
    line: int | None
    row: Mapping[str, str]
    code: str
    message: str
    at: datetime


def keep(
    session: Session, kind: str, source: str, line: int | None, row: Mapping[str, str], code: str, message: str
) -> None:
    """Keep a refused row; the same row refused again takes the place of its former refusal.

    Rows without a name, and the many stages of one deal, are the same only where they say the same.
    """
    key = row.get(KEYS[kind], "")[:120]
    given = {name: value.replace("\x00", "�") for name, value in row.items()}
    same = session.scalars(
        select(RejectedRow)
        .where(RejectedRow.kind == kind, RejectedRow.key == key, RejectedRow.ended_at.is_(None))
        .order_by(RejectedRow.id)
    ).all()
    is_named = bool(key) and kind != "stages"
    found = next((one for one in same if is_named or one.row == given), None)
    if found is None:
        found = RejectedRow(kind=kind, key=key)
        session.add(found)
    found.source, found.line, found.row = source[:200], line, given
    found.code, found.message, found.at = code[:80], message, clock.now()
    session.flush()


def accepted(session: Session, kind: str, keys: Sequence[str]) -> None:
    """Rows of these names were taken: what was refused of them before is over. Stages share names and are ended by hand."""
    if kind == "stages" or not keys:
        return
    for row in session.scalars(
        select(RejectedRow).where(RejectedRow.kind == kind, RejectedRow.key.in_(keys), RejectedRow.ended_at.is_(None))
    ):
        row.ended_at, row.ended_how = clock.now(), "accepted"


def is_empty(session: Session, kind: str) -> bool:
    """Whether nothing of this kind waits, so that an import need not ask row by row."""
    waiting = select(RejectedRow.id).where(RejectedRow.kind == kind, RejectedRow.ended_at.is_(None)).limit(1)
    return session.scalar(waiting) is None


def list_open(session: Session, actor: Actor, kind: str = "", limit: int = 200) -> Sequence[Refused]:
    """What waits to be corrected, newest first."""
    require(actor, Permission.IMPORT)
    statement = select(RejectedRow).where(RejectedRow.ended_at.is_(None))
    if kind:
        statement = statement.where(RejectedRow.kind == kind)
    rows = session.scalars(statement.order_by(RejectedRow.at.desc(), RejectedRow.id.desc()).limit(limit))
    return [_shown(row) for row in rows]


def count_open(session: Session) -> Mapping[str, int]:
    rows = session.execute(
        select(RejectedRow.kind, func.count()).where(RejectedRow.ended_at.is_(None)).group_by(RejectedRow.kind)
    )
    return {row[0]: row[1] for row in rows}


def get(session: Session, actor: Actor, reference: str) -> Refused:
    """One row that waits; NotFound for one that does not."""
    require(actor, Permission.IMPORT)
    return _shown(_open(session, reference))


def end(session: Session, actor: Actor, reference: str, how: str) -> None:
    """The row was taken after all, or a person set it aside."""
    require(actor, Permission.IMPORT)
    row = _open(session, reference)
    row.ended_at, row.ended_how = clock.now(), how
    audit.record(session, actor, f"import.row_{how}", "import", row.key or row.public_id, kind=row.kind)


def forget_old(session: Session) -> None:
    """Rows that are over hold names of customers, and are not kept for longer than they serve."""
    for row in session.scalars(select(RejectedRow).where(RejectedRow.ended_at < clock.now() - KEPT)):
        session.delete(row)


def sweep(database: Database) -> Callable[[], None]:
    """Once a day, what is over and old is forgotten."""
    last: list[date] = []

    def run() -> None:
        today = clock.now().date()
        if last != [today]:
            last[:] = [today]
            with database.writing() as session:
                forget_old(session)

    return run


def _open(session: Session, reference: str) -> RejectedRow:
    row = session.scalar(select(RejectedRow).where(RejectedRow.public_id == reference, RejectedRow.ended_at.is_(None)))
    if row is None:
        raise NotFound()
    return row


def _shown(row: RejectedRow) -> Refused:
    return Refused(row.public_id, row.kind, row.key, row.source, row.line, row.row, row.code, row.message, row.at)


def end_if_open(session: Session, actor: Actor, reference: str) -> None:
    """The row was taken as corrected; an import may have ended it already by its name."""
    row = session.scalar(select(RejectedRow).where(RejectedRow.public_id == reference))
    if row is not None and row.ended_at is None:
        end(session, actor, reference, "accepted")


def corrected(session: Session, reference: str, given: Mapping[str, str], code: str, message: str) -> None:
    """Keep what was corrected so far, with the reason why it still cannot be taken."""
    row = _open(session, reference)
    again = session.scalars(
        select(RejectedRow).where(
            RejectedRow.kind == row.kind,
            RejectedRow.ended_at.is_(None),
            RejectedRow.id > row.id,
            RejectedRow.source == row.source,
            RejectedRow.code == code,
        )
    ).all()
    for other in again:
        if other.row == dict(given):
            session.delete(other)
    row.row, row.code, row.message = dict(given), code[:80], message
