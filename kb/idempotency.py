"""A write that carries an Idempotency-Key happens once: its answer is kept in the transaction of the change itself."""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from kb import clock
from kb.access import Actor
from kb.db import Base, Database, take_turn
from kb.errors import N_, Invalid

KEPT: Final = timedelta(hours=24)
LONGEST_KEY: Final = 80


class KeptAnswer(Base):
    """What a write answered, for as long as its caller may ask again."""

    __tablename__ = "kept_answer"
    __table_args__ = (UniqueConstraint("user_id", "key"), Index("ix_kept_answer_created_at", "created_at"))

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id", ondelete="CASCADE"))
    key: Mapped[str] = mapped_column(String(LONGEST_KEY))
    request_digest: Mapped[str] = mapped_column(String(64))
    status: Mapped[int]
    body: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]


class KeyReused(Invalid):
    """The same key came with another request: one of the two is a mistake."""

    code, message = "idempotency_key_reused", N_("This Idempotency-Key was used for another request. Use a new one.")


class BadKey(Invalid):
    code, message = "idempotency_key", N_("An Idempotency-Key has 1 to 80 printable ASCII characters.")


@dataclass(frozen=True, slots=True)
class Request:
    """Which request this is: its key, and a digest of all that makes it differ from others."""

    key: str
    digest: str

    @classmethod
    def of(cls, key: str, *parts: bytes) -> "Request":
        if not 1 <= len(key) <= LONGEST_KEY or not all(33 <= ord(sign) <= 126 for sign in key):
            raise BadKey()
        return cls(key, hashlib.sha256(b"\x00".join(parts)).hexdigest())


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: str
    is_replayed: bool = False


def once(
    session: Session,
    actor: Actor,
    asked: Request,
    act: Callable[[Session], tuple[int, Mapping[str, object]]],
    secrets: Collection[str] = (),
) -> Answer:
    """What `act` answers, or what it answered before; both in the caller's transaction, so a crash leaves both or none.

    Refusals are not kept: nothing happened, so the caller may try again. Nor are the fields named in `secrets`: they
    are told once, and stand empty when the answer is given again.
    """
    assert actor.user_id is not None
    take_turn(session, f"once:{actor.user_id}:{asked.key}")
    kept = session.scalar(select(KeptAnswer).where(KeptAnswer.user_id == actor.user_id, KeptAnswer.key == asked.key))
    if kept is not None and kept.created_at > clock.now() - KEPT:
        if kept.request_digest != asked.digest:
            raise KeyReused()
        return Answer(kept.status, kept.body, is_replayed=True)
    if kept is not None:
        session.delete(kept)
        session.flush()
    status, body = act(session)
    session.add(
        KeptAnswer(
            user_id=actor.user_id,
            key=asked.key,
            request_digest=asked.digest,
            status=status,
            body=_text({name: "" if name in secrets else value for name, value in body.items()}),
            created_at=clock.now(),
        )
    )
    return Answer(status, _text(body))


def _text(body: Mapping[str, object]) -> str:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def sweep(database: Database) -> Callable[[], None]:
    """Forgets answers that are too old to be asked for again; looks before it writes."""

    def forget() -> None:
        old = KeptAnswer.created_at <= clock.now() - KEPT
        with database.reading() as session:
            if session.scalar(select(KeptAnswer.id).where(old).limit(1)) is None:
                return
        with database.writing() as session:
            session.execute(delete(KeptAnswer).where(old))

    return forget
