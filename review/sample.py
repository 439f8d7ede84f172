"""The sample company's registers: evidence its texts cite, and what its customers allowed."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final

import yaml
from sqlalchemy import select
from sqlalchemy.orm import Session

from content import sample
from content.kinds import Handling
from kb import clock
from kb.access import Actor
from kb.db import Database
from review import registers
from review.models import Evidence, ReferencePermission
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
