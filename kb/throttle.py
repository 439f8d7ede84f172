"""Wrong tries, counted across processes: who guesses is made to wait, whatever name or machine they try from."""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Index, String, delete, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from kb import clock
from kb.db import Base
from kb.errors import TooMuch

WINDOW = timedelta(minutes=15)
TRIES_PER_OBJECT = 10
"""At one address of a person, or one link."""
TRIES_PER_HOST = 100

Keys = Sequence[tuple[str, int]]
"""Hashes of what is tried at and from where, each with the wrong tries it stands in a window."""


class SignInTry(Base):
    """A wrong try; only hashes are kept, for the window."""

    __tablename__ = "sign_in_try"
    __table_args__ = (Index("ix_sign_in_try_what_at", "what", "at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    what: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]


def keys_of(kind: str, value: str, host: str) -> Keys:
    """What is counted for a try at one object from one machine."""
    return ((_key(kind, value), TRIES_PER_OBJECT), (_key("host", host), TRIES_PER_HOST))


def refuse(session: Session, keys: Keys) -> None:
    """Raise TooMuch, with the seconds to wait, where too many tries were wrong."""
    since = clock.now() - WINDOW
    for key, limit in keys:
        count, oldest = session.execute(
            select(func.count(), func.min(SignInTry.at)).where(SignInTry.what == key, SignInTry.at > since)
        ).one()
        if count >= limit:
            raise TooMuch(retry_after=max(1, int((oldest + WINDOW - clock.now()).total_seconds())))


def note(session: Session, keys: Keys) -> None:
    """Count one wrong try."""
    now = clock.now()
    session.execute(delete(SignInTry).where(SignInTry.at < now - WINDOW))
    session.add_all(SignInTry(what=key, at=now) for key, _ in keys)


def forget(session: Session, keys: Keys) -> None:
    """The right answer was given: the tries at this object count no longer."""
    session.execute(delete(SignInTry).where(SignInTry.what == keys[0][0]))


def _key(kind: str, value: str) -> str:
    return hashlib.sha256(f"{kind}\0{value}".encode("utf-8", "surrogatepass")).hexdigest()
