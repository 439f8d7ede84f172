"""The sample company's registers and verdicts: evidence its texts cite, what its customers allowed, what was cleared."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final

import yaml
from sqlalchemy import select
from sqlalchemy.orm import Session

from content import sample, sample_desk, submission
from content.kinds import Handling
from content.models import Asset
from kb import clock, users
from kb.access import Actor, Party
from kb.config import Settings
from kb.db import Database
from review import registers, rounds
from review.machine import Answer, RoundState
from review.models import Evidence, ReferencePermission, Round
from review.registers import EvidenceFields, EvidenceKind, Part, PermissionFields

FILE: Final = sample.FOLDER / "registers.yaml"

Entry = Mapping[str, Any]


def load(database: Database, actor: Actor) -> None:
    """Put on file what is not there yet; safe to run again, and to be ended half way."""
    found: Mapping[str, list[Entry]] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    with database.writing() as session:
        numbers = set(session.scalars(select(Evidence.number)))
        customers = set(session.scalars(select(ReferencePermission.customer)))
        for entry in found["evidence"]:
            if entry["number"] not in numbers:
                _evidence(session, actor, entry)
        for entry in found["permissions"]:
            if entry["customer"] not in customers:
                _permission(session, actor, entry)


def decide(database: Database, settings: Settings) -> None:
    """Reviewers clear what the desk schedules, and publication waits for its day; safe to run again."""
    for entry in sample_desk.read_desk()["edits"]:
        if entry["goes_to"] != "scheduled":
            continue
        with database.writing() as session:
            _clear(session, settings, entry)


def _clear(session: Session, settings: Settings, entry: Entry) -> None:
    found = session.execute(
        select(Round, Asset)
        .join(Asset, Asset.id == Round.asset_id)
        .where(Asset.external_id == entry["asset"], Round.state == RoundState.OPEN.value)
    ).first()
    if found is None:
        return
    for party, email in entry["cleared_by"].items():
        person = users.actor_of(users.get_by_email(session, email))
        rounds.decide(session, person, found.Round.public_id, Party(party), Answer.APPROVE, found.Round.digest)
    author = users.actor_of(users.get_by_email(session, entry["by"]))
    submission.publish(session, author, found.Asset.public_id, sample_desk.moment_of(settings, entry))


def _end(entry: Entry) -> date | None:
    if "ends_in_days" in entry:
        return clock.now().date() + timedelta(days=entry["ends_in_days"])
    end: date | None = entry.get("valid_until")
    return end


def _evidence(session: Session, actor: Actor, entry: Entry) -> None:
    fields = EvidenceFields(
        EvidenceKind(entry["kind"]),
        entry["statement"],
        entry["issuer"],
        entry["dated_on"],
        entry.get("scope", ""),
        _end(entry),
        entry["number"],
    )
    registers.put_evidence(session, actor, "", fields)


def _permission(session: Session, actor: Actor, entry: Entry) -> None:
    covers = frozenset(Part(part) for part in entry["covers"])
    fields = PermissionFields(
        entry["customer"],
        Handling(entry["handling"]),
        tuple(entry["aliases"]),
        covers,
        _end(entry),
        entry.get("note", ""),
    )
    registers.put_permission(session, actor, "", fields)
