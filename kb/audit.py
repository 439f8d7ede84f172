"""The append-only trail: each row carries the hash of the one before, so that a changed byte shows."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import JSON, BigInteger, Integer, String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from kb import clock
from kb.access import Actor
from kb.db import Base, take_turn

GENESIS = "0" * 64
VERIFY_BATCH = 1_000


class AuditEntry(Base):
    __tablename__ = "audit_entry"

    sequence: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False
    )
    at: Mapped[datetime]
    actor: Mapped[str]
    actor_id: Mapped[int | None]
    token_id: Mapped[int | None]
    action: Mapped[str] = mapped_column(String(80), index=True)
    object_type: Mapped[str] = mapped_column(String(40))
    object_id: Mapped[str] = mapped_column(String(120), index=True)
    details: Mapped[dict[str, object]] = mapped_column(JSON)
    previous_hash: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64), unique=True)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What reading the whole chain found; `broken_at` is the first row that does not fit."""

    entries: int
    head: str
    broken_at: int | None = None
    reason: str = ""

    @property
    def intact(self) -> bool:
        return self.broken_at is None


def record(session: Session, actor: Actor, action: str, object_type: str, object_id: str, **details: object) -> None:
    """Add one entry in the caller's transaction: the change and its trace are kept together or not at all."""
    take_turn(session, "audit")
    last = _last(session)
    entry = AuditEntry(
        sequence=(last.sequence if last else 0) + 1,
        at=clock.now(),
        actor=actor.name,
        actor_id=actor.user_id,
        token_id=actor.token_id,
        action=action,
        object_type=object_type,
        object_id=object_id,
        details=json.loads(json.dumps(details, default=str)),
        previous_hash=last.hash if last else GENESIS,
    )
    entry.hash = digest(entry)
    session.add(entry)
    session.info["audit_head"] = entry


def _last(session: Session) -> AuditEntry | None:
    kept = session.info.get("audit_head")
    if isinstance(kept, AuditEntry) and kept in session:
        return kept
    return session.scalar(select(AuditEntry).order_by(AuditEntry.sequence.desc()).limit(1))


def digest(entry: AuditEntry) -> str:
    """SHA-256 over the former hash and every column, in one canonical form."""
    fields = {
        "sequence": entry.sequence,
        "at": entry.at.isoformat(),
        "actor": entry.actor,
        "actor_id": entry.actor_id,
        "token_id": entry.token_id,
        "action": entry.action,
        "object_type": entry.object_type,
        "object_id": entry.object_id,
        "details": entry.details,
        "previous": entry.previous_hash,
    }
    canonical = json.dumps(fields, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def verify(session: Session) -> Verdict:
    """Read the chain from its first row, in batches; name the first row that was changed, added or removed."""
    expected, sequence = GENESIS, 0
    for entry in _entries(session):
        sequence += 1
        if entry.sequence != sequence:
            return Verdict(sequence - 1, expected, entry.sequence, f"row {sequence} is missing")
        if entry.previous_hash != expected:
            return Verdict(sequence - 1, expected, sequence, f"row {sequence} does not follow row {sequence - 1}")
        if digest(entry) != entry.hash:
            return Verdict(sequence - 1, expected, sequence, f"row {sequence} was changed")
        expected = entry.hash
    return Verdict(sequence, expected)


def _entries(session: Session) -> Iterator[AuditEntry]:
    statement = select(AuditEntry).order_by(AuditEntry.sequence).execution_options(yield_per=VERIFY_BATCH)
    for batch in session.scalars(statement).partitions():
        yield from batch
        session.expunge_all()
