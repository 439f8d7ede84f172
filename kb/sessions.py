"""Signed-in browsers as rows: ended by sign-out, by age, or by a change of the person's epoch."""

import hashlib
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ForeignKey, String, delete, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from kb import audit, clock, users
from kb.access import Actor, Permission, require
from kb.db import Base

LIFETIME = timedelta(hours=12)
IDLE = timedelta(hours=4)
TOUCH_EVERY = timedelta(minutes=5)


class SignedIn(Base):
    __tablename__ = "signed_in"

    id: Mapped[int] = mapped_column(primary_key=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id", ondelete="CASCADE"), index=True)
    epoch: Mapped[int]
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    agent: Mapped[str | None] = mapped_column(String(200))
    host: Mapped[str | None] = mapped_column(String(64))


@dataclass(frozen=True, slots=True)
class SessionLine:
    """One browser that is signed in; `agent` and `host` as it said when it signed in."""

    begun_at: datetime
    seen_at: datetime
    agent: str
    host: str
    is_this: bool = False


def open_for(session: Session, user: users.User, agent: str = "", host: str = "") -> str:
    """Start a session and return its secret, which only the browser keeps."""
    token = secrets.token_urlsafe(32)
    now = clock.now()
    session.execute(delete(SignedIn).where(SignedIn.user_id == user.id, SignedIn.created_at < now - LIFETIME))
    session.add(
        SignedIn(
            token_hash=_hash(token),
            user_id=user.id,
            epoch=user.epoch,
            created_at=now,
            seen_at=now,
            agent=agent.replace("\x00", "")[:200],
            host=host[:64],
        )
    )
    return token


def find(session: Session, token: str) -> tuple[Actor, users.Person] | None:
    """Who this secret stands for now; None when the session has ended in any way."""
    row = session.scalar(select(SignedIn).where(SignedIn.token_hash == _hash(token)))
    if row is None or _is_over(row):
        return None
    user = users.find(session, row.user_id)
    if user is None or user.deactivated_at is not None or user.epoch != row.epoch:
        return None
    return users.actor_of(user), users.person_of(user)


def is_due_for_touch(session: Session, token: str) -> bool:
    seen = session.scalar(select(SignedIn.seen_at).where(SignedIn.token_hash == _hash(token)))
    return seen is not None and seen < clock.now() - TOUCH_EVERY


def touch(session: Session, token: str) -> None:
    row = session.scalar(select(SignedIn).where(SignedIn.token_hash == _hash(token)))
    if row is not None and not _is_over(row):
        row.seen_at = clock.now()


def close(session: Session, token: str) -> None:
    session.execute(delete(SignedIn).where(SignedIn.token_hash == _hash(token)))


def list_of(session: Session, user: users.User, token: str = "") -> list[SessionLine]:
    """Browsers in which a person is signed in now, the newest first; `token` is the one that asks."""
    rows = session.scalars(
        select(SignedIn)
        .where(SignedIn.user_id == user.id, SignedIn.epoch == user.epoch)
        .order_by(SignedIn.created_at.desc(), SignedIn.id.desc())
    )
    return [
        SessionLine(row.created_at, row.seen_at, row.agent or "", row.host or "", row.token_hash == _hash(token))
        for row in rows
        if not _is_over(row)
    ]


def list_own(session: Session, actor: Actor, token: str) -> list[SessionLine]:
    """The browsers in which this person is signed in."""
    require(actor, Permission.ACCOUNT)
    user = users.find(session, actor.user_id or 0)
    return list_of(session, user, token) if user is not None else []


def close_others(session: Session, actor: Actor, token: str) -> None:
    """End every other session of this person."""
    require(actor, Permission.ACCOUNT)
    session.execute(delete(SignedIn).where(SignedIn.user_id == actor.user_id, SignedIn.token_hash != _hash(token)))
    audit.record(session, actor, "session.end_others", "user", actor.public_id)


def last_seen(session: Session, user_ids: Collection[int]) -> Mapping[int, datetime]:
    """When a kept session of each asked last."""
    rows = session.execute(
        select(SignedIn.user_id, func.max(SignedIn.seen_at))
        .where(SignedIn.user_id.in_(set(user_ids)))
        .group_by(SignedIn.user_id)
    )
    return {row[0]: row[1] for row in rows}


def _is_over(row: SignedIn) -> bool:
    now = clock.now()
    return row.created_at < now - LIFETIME or row.seen_at < now - IDLE


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
