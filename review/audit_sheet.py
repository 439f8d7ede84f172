"""Who cleared which words of an asset, when and on what: the sheet that is handed to whoever asks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session, defer

from content import drafting
from content.kinds import AssetType, Handling, VersionState
from content.models import Asset, Contribution, Version
from kb import users
from kb.access import Actor, Party, Permission, require
from kb.audit import AuditEntry
from kb.errors import NotFound
from review import panel, remarks
from review.machine import Answer, RoundState
from review.models import Evidence, Round, Verdict, Waiver
from review.remarks import Taken

MOST: Final = 2_000
"""Entries of the trail on one sheet; the newest ones where there are more."""


@dataclass(frozen=True, slots=True)
class Said:
    """One verdict as it was given."""

    party: Party
    by: str
    answer: Answer
    reason: str
    digest: str
    at: datetime


@dataclass(frozen=True, slots=True)
class RoundLine:
    state: RoundState
    is_access: bool
    is_second_look: bool
    policy_number: int
    digest: str
    begun_by: str
    begun_at: datetime
    ended_at: datetime | None
    said: tuple[Said, ...]


@dataclass(frozen=True, slots=True)
class Proof:
    """A cited record; its statement is empty where there is none of that number."""

    key: str
    statement: str
    issuer: str
    valid_until: date | None


@dataclass(frozen=True, slots=True)
class VersionLine:
    """A frozen version, its words known by their digest, and how it came to readers."""

    number: int
    title: str
    state: VersionState
    handling: Handling
    digest: str
    writers: tuple[str, ...]
    frozen_at: datetime | None
    published_at: datetime | None
    is_bulk_load: bool
    is_unreviewed: bool
    ai_generated: bool
    rounds: tuple[RoundLine, ...]
    wordings: tuple[Taken, ...]
    proofs: tuple[Proof, ...]


@dataclass(frozen=True, slots=True)
class WaiverLine:
    rule: str
    passage: str
    reason: str
    evidence: str
    by: str
    at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the trail with the hash that chains it."""

    sequence: int
    at: datetime
    actor: str
    action: str
    hash: str


@dataclass(frozen=True, slots=True)
class Sheet:
    asset_id: str
    external_id: str | None
    title: str
    type: AssetType
    versions: tuple[VersionLine, ...]
    waivers: tuple[WaiverLine, ...]
    entries: tuple[Entry, ...]


def get(session: Session, actor: Actor, reference: str) -> Sheet:
    """The sheet of an asset the actor may edit, or was asked to review; NotFound for every other one."""
    require(actor, Permission.EDIT)
    asset = session.scalar(
        select(Asset)
        .outerjoin(Round, Round.asset_id == Asset.id)
        .where(drafting.is_reference(reference), panel.sees(actor))
        .limit(1)
    )
    if asset is None:
        raise NotFound()
    versions = session.scalars(
        select(Version)
        .where(Version.asset_id == asset.id, Version.state != VersionState.DRAFT.value)
        .options(defer(Version.text, raiseload=True))
        .order_by(Version.number.desc())
    ).all()
    rows = session.scalars(select(Round).where(Round.asset_id == asset.id).order_by(Round.id)).all()
    verdicts = session.scalars(
        select(Verdict).where(Verdict.round_id.in_([row.id for row in rows])).order_by(Verdict.id)
    ).all()
    waivers = session.scalars(select(Waiver).where(Waiver.asset_id == asset.id).order_by(Waiver.id)).all()
    wrote = session.execute(
        select(Contribution.version_id, Contribution.user_id).where(
            Contribution.version_id.in_([version.id for version in versions])
        )
    ).all()
    wordings = remarks.taken_of(session, asset.id)
    people = {one.user_id for one in verdicts} | {row.user_id for row in wrote}
    people |= {row.begun_by_id for row in rows if row.begun_by_id} | {row.by_id for row in waivers if row.by_id}
    names = users.list_names(session, people)
    proofs = _proofs(session, {key for version in versions for key in version.cited_evidence})
    objects = [asset.public_id, *(version.public_id for version in versions), *(row.public_id for row in rows)]
    newest = session.scalar(
        select(Version.title).where(Version.asset_id == asset.id).order_by(Version.number.desc()).limit(1)
    )
    return Sheet(
        asset.public_id,
        asset.external_id,
        newest or "",
        AssetType(asset.type),
        tuple(
            VersionLine(
                version.number,
                version.title,
                VersionState(version.state),
                Handling(version.handling),
                version.digest,
                tuple(sorted(names.get(row.user_id, "") for row in wrote if row.version_id == version.id)),
                version.frozen_at,
                version.published_at,
                version.is_bulk_load,
                version.is_unreviewed,
                bool(version.ai_generated),
                tuple(_round(row, verdicts, names) for row in rows if row.version_id == version.id),
                tuple(one for one in wordings if one.number == version.number),
                tuple(proofs.get(key, Proof(key, "", "", None)) for key in version.cited_evidence),
            )
            for version in versions
        ),
        tuple(
            WaiverLine(
                row.rule, row.passage, row.reason, row.evidence, names.get(row.by_id or 0, ""), row.at, row.revoked_at
            )
            for row in waivers
        ),
        _entries(session, objects),
    )


def _round(row: Round, verdicts: Sequence[Verdict], names: Mapping[int, str]) -> RoundLine:
    said = tuple(
        Said(Party(one.party), names.get(one.user_id, ""), Answer(one.answer), one.reason, one.digest, one.at)
        for one in verdicts
        if one.round_id == row.id
    )
    return RoundLine(
        RoundState(row.state),
        row.access_change_id is not None,
        row.follows_id is not None,
        row.policy_number,
        row.digest,
        names.get(row.begun_by_id or 0, ""),
        row.begun_at,
        row.ended_at,
        said,
    )


def _proofs(session: Session, keys: set[str]) -> Mapping[str, Proof]:
    numbers = [int(key[2:]) for key in keys if key.startswith("E-") and key[2:].isdecimal() and len(key) < 11]
    rows = session.scalars(select(Evidence).where(Evidence.number.in_(numbers)))
    return {f"E-{row.number}": Proof(f"E-{row.number}", row.statement, row.issuer, row.ends_on) for row in rows}


def _entries(session: Session, objects: Sequence[str]) -> tuple[Entry, ...]:
    rows = session.scalars(
        select(AuditEntry).where(AuditEntry.object_id.in_(objects)).order_by(AuditEntry.sequence.desc()).limit(MOST)
    ).all()
    return tuple(Entry(row.sequence, row.at, row.actor, row.action, row.hash) for row in reversed(rows))
