"""Signed-in browsers as rows: ended by sign-out, by age, or by a change of the person's epoch."""

import hashlib
import secrets
from datetime import datetime, timedelta

from sqlalchemy import ForeignKey, String, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from kb import clock, users
from kb.access import Actor
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


def open_for(session: Session, user: users.User) -> str:
    """Start a session and return its secret, which only the browser keeps."""
    token = secrets.token_urlsafe(32)
    now = clock.now()
    session.execute(delete(SignedIn).where(SignedIn.user_id == user.id, SignedIn.created_at < now - LIFETIME))
    session.add(SignedIn(token_hash=_hash(token), user_id=user.id, epoch=user.epoch, created_at=now, seen_at=now))
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


def _is_over(row: SignedIn) -> bool:
    now = clock.now()
    return row.created_at < now - LIFETIME or row.seen_at < now - IDLE


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
