"""The sample company's registers and verdicts: evidence its texts cite, what its customers allowed, what was cleared."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final

import yaml
from sqlalchemy import select
from sqlalchemy.orm import Session

from content import deals, drafting, sample, sample_desk, service, submission, taxonomy
from content.deals import Deal
from content.kinds import Handling
from content.models import Asset
from kb import clock, users
from kb.access import Actor, Party
from kb.config import Settings
from kb.db import Database
from review import profiles, recalls, registers, rounds, urgent
from review.machine import Answer, RoundState
from review.models import Evidence, Recall, RecallLine, ReferencePermission, ReviewerProfile, Round, UrgentCase
from review.recalls import Given
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
        for entry in found["reviewers"]:
            _reviewer(session, actor, entry)


def _reviewer(session: Session, actor: Actor, entry: Entry) -> None:
    person = users.get_by_email(session, entry["email"])
    if session.get(ReviewerProfile, person.id) is None:
        said = {name: entry[name] for name in ("languages", "types", "zone", "country") if name in entry}
        profiles.put(session, actor, person.public_id, **said)


def decide(database: Database, settings: Settings) -> None:
    """Reviewers clear what the desk schedules, and what is urgent goes its way; safe to run again."""
    for entry in sample_desk.read_desk()["edits"]:
        if entry["goes_to"] != "scheduled":
            continue
        with database.writing() as session:
            _clear(session, settings, entry)
    for entry in sample_desk.read_desk()["urgent"]:
        with database.writing() as session:
            _hurry(session, entry)


def _hurry(session: Session, entry: Entry) -> None:
    """An urgent case as far on its way as the entry says, unless the asset has had one."""
    asset = session.scalars(select(Asset).where(Asset.external_id == entry["asset"])).first()
    if asset is None or session.scalar(select(UrgentCase.id).where(UrgentCase.asset_id == asset.id)) is not None:
        return
    rep, author = _actor(session, entry["by"]), _actor(session, entry["corrected_by"])
    deal = deals.get_context(session, rep, taxonomy.load(session), entry["deal"])
    urgent.report(session, rep, deal, asset.public_id, entry["damage"], entry["passages"])
    before = drafting.get_draft(session, author, asset.public_id)
    text = before.text
    for old, new in entry["changes"]:
        text = text.replace(old, new)
    wording = drafting.wording_of(before, {"text": text})
    drafting.put_draft(session, author, asset.public_id, before.revision, wording, service.render(text))
    submission.submit(session, author, asset.public_id, urgent=True)
    if "cleared_by" not in entry:
        return
    _approve(session, entry, session.scalars(select(Round).where(Round.asset_id == asset.id)).one())
    for given in entry["answers"]:
        line = session.scalars(
            select(RecallLine)
            .join(Recall, Recall.id == RecallLine.recall_id)
            .join(Deal, Deal.id == RecallLine.deal_id)
            .where(Recall.asset_id == asset.id, Deal.external_id == given["deal"])
        ).first()
        if line is not None:
            who = _actor(session, given["by"])
            recalls.answer(session, who, line.public_id, Given(given["answer"]), given.get("note", ""))


def _actor(session: Session, email: str) -> Actor:
    return users.actor_of(users.get_by_email(session, email))


def _approve(session: Session, entry: Entry, row: Round) -> None:
    for party, email in entry["cleared_by"].items():
        rounds.decide(session, _actor(session, email), row.public_id, Party(party), Answer.APPROVE, row.digest)


def _clear(session: Session, settings: Settings, entry: Entry) -> None:
    found = session.execute(
        select(Round, Asset)
        .join(Asset, Asset.id == Round.asset_id)
        .where(Asset.external_id == entry["asset"], Round.state == RoundState.OPEN.value)
    ).first()
    if found is None:
        return
    _approve(session, entry, found.Round)
    author = _actor(session, entry["by"])
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
