"""Notices to one person inside the product: what happened, to which object, read or not."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import JSON, ForeignKey, Index, String, UniqueConstraint, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, Session, mapped_column

from kb import audit, clock
from kb.access import Actor, Permission, require
from kb.db import Base, is_postgresql


class Notice(Base):
    """One line for one person; `key` keeps the same thing from being told twice; `mailed_at` when it went out by mail."""

    __tablename__ = "notice"
    __table_args__ = (UniqueConstraint("user_id", "key"), Index("ix_notice_user_read", "user_id", "read_at", "at"))

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(40))
    object_id: Mapped[int]
    key: Mapped[str] = mapped_column(String(120))
    details: Mapped[dict[str, object]] = mapped_column(JSON, default=dict)
    at: Mapped[datetime] = mapped_column(default=clock.now)
    read_at: Mapped[datetime | None]
    mailed_at: Mapped[datetime | None]


@dataclass(frozen=True, slots=True)
class Told:
    """A notice as pages show it; what it is about is looked up by whoever may see it."""

    id: int
    kind: str
    object_id: int
    details: dict[str, object]
    at: datetime
    is_read: bool


def tell(session: Session, user_id: int, kind: str, object_id: int, key: str, **details: object) -> None:
    """Tell a person once; the same key is never told again."""
    insert = (postgresql if is_postgresql(session) else sqlite).insert
    values = {
        "user_id": user_id,
        "kind": kind,
        "object_id": object_id,
        "key": key[:120],
        "details": details,
        "at": clock.now(),
    }
    session.execute(insert(Notice).values(values).on_conflict_do_nothing())


def known_keys(session: Session, keys: Collection[str]) -> set[tuple[int, str]]:
    """Which of these were told to whom already."""
    rows = session.execute(select(Notice.user_id, Notice.key).where(Notice.key.in_(keys)))
    return {(row.user_id, row.key) for row in rows}


def unread(session: Session, user_id: int) -> int:
    return session.scalar(select(func.count()).where(Notice.user_id == user_id, Notice.read_at.is_(None))) or 0


def list_newest(session: Session, user_id: int, limit: int = 50) -> Sequence[Told]:
    """The newest notices of a person, unread first."""
    rows = session.scalars(
        select(Notice)
        .where(Notice.user_id == user_id)
        .order_by(Notice.read_at.is_not(None), Notice.at.desc(), Notice.id.desc())
        .limit(limit)
    )
    return [Told(row.id, row.kind, row.object_id, dict(row.details), row.at, row.read_at is not None) for row in rows]


def mark_all_read(session: Session, actor: Actor) -> None:
    """All notices of a person were seen."""
    require(actor, Permission.ACCOUNT)
    now = clock.now()
    rows = session.scalars(select(Notice).where(Notice.user_id == actor.user_id, Notice.read_at.is_(None))).all()
    for row in rows:
        row.read_at = now
    audit.record(session, actor, "notices.read", "user", actor.public_id, count=len(rows))
