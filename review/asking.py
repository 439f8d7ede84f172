"""Asking legal to look at what the compliance check stops: their reviewers see the draft until it is answered."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session, aliased

from content import drafting, service
from content.models import AskedParty, Asset, Version
from content.visibility import editable_by
from kb import audit, clock, notices, users
from kb.access import Actor, Party, Permission, Role, Tier, require
from kb.errors import N_, Conflict, NotFound
from kb.users import User, UserParty, UserRole

LONGEST: Final = 500
QUESTION: Final = "question"

_newer = aliased(Version)


class NobodyToAsk(Conflict):
    code, message = (
        "nobody_to_ask",
        N_("Nobody of legal may read this. An administrator adds somebody, or the tier is lower."),
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """One question that waits for legal."""

    public_id: str
    title: str
    language: str
    asked_by: str
    asked_at: datetime
    note: str


def ask(session: Session, actor: Actor, reference: str, note: str) -> AskedParty:
    """Ask legal once; asking again while that waits changes nothing."""
    require(actor, Permission.EDIT)
    asset = service.get_editable(session, actor, reference)
    present = _open(session, asset.id)
    if present is not None:
        return present
    people = _people(session, asset)
    if not people:
        raise NobodyToAsk()
    row = AskedParty(asset_id=asset.id, party=Party.LEGAL.value, note=note.strip()[:LONGEST], asked_by_id=actor.user_id)
    session.add(row)
    session.flush()
    audit.record(session, actor, "compliance.ask", "asset", asset.public_id, party=row.party, note=row.note)
    name = users.list_names(session, [actor.user_id]).get(actor.user_id, actor.name) if actor.user_id else actor.name
    for user_id in people:
        notices.tell(session, user_id, "asked", asset.id, f"asked:{row.id}", about=name)
    return row


def _open(session: Session, asset_id: int) -> AskedParty | None:
    return session.scalar(
        select(AskedParty).where(
            AskedParty.asset_id == asset_id,
            AskedParty.party == Party.LEGAL.value,
            AskedParty.kind == QUESTION,
            AskedParty.ended_at.is_(None),
        )
    )


def _people(session: Session, asset: Asset) -> Sequence[int]:
    """Reviewers of legal who are cleared for the asset's tier."""
    tiers = [tier.value for tier in Tier if tier.rank >= Tier(asset.tier).rank]
    return session.scalars(
        select(User.id)
        .where(
            User.id.in_(select(UserParty.user_id).where(UserParty.party == Party.LEGAL.value)),
            User.id.in_(select(UserRole.user_id).where(UserRole.role == Role.REVIEWER.value)),
            User.clearance.in_(tiers),
        )
        .order_by(User.id)
    ).all()


def since(session: Session, actor: Actor, reference: str) -> datetime | None:
    """Since when legal is asked about an editable asset."""
    asset = drafting.load_editable(session, actor, reference)
    row = _open(session, asset.id)
    return row.asked_at if row is not None else None


def answer(session: Session, actor: Actor, reference: str) -> None:
    """Legal has looked: the question is closed, and with it their sight of the drafts."""
    require(actor, Permission.PROVE)
    asset = service.get_editable(session, actor, reference)
    row = _open(session, asset.id)
    if row is None or Party.LEGAL not in actor.parties:
        raise NotFound()
    _end(session, actor, asset, row)


def close(session: Session, actor: Actor, asset: Asset) -> None:
    """Nothing stops the text any more: whatever was asked is answered."""
    row = _open(session, asset.id)
    if row is not None:
        _end(session, actor, asset, row)


def _end(session: Session, actor: Actor, asset: Asset, row: AskedParty) -> None:
    row.ended_at = clock.now()
    session.flush()
    audit.record(session, actor, "compliance.answer", "asset", asset.public_id, party=row.party)


def list_open(session: Session, actor: Actor) -> Sequence[Asked]:
    """What waits for legal, for those of legal; oldest first."""
    if Party.LEGAL not in actor.parties or not actor.may(Permission.EDIT):
        return []
    last = select(func.max(_newer.number)).where(_newer.asset_id == Asset.id).correlate(Asset).scalar_subquery()
    rows = session.execute(
        select(AskedParty, Asset.public_id, Version.title, Version.language)
        .join(Asset, Asset.id == AskedParty.asset_id)
        .join(Version, and_(Version.asset_id == Asset.id, Version.number == last))
        .where(
            AskedParty.party == Party.LEGAL.value,
            AskedParty.kind == QUESTION,
            AskedParty.ended_at.is_(None),
            editable_by(actor),
        )
        .order_by(AskedParty.asked_at)
    ).all()
    names = users.list_names(session, {row.AskedParty.asked_by_id for row in rows if row.AskedParty.asked_by_id})
    return [
        Asked(
            row.public_id,
            row.title,
            row.language,
            names.get(row.AskedParty.asked_by_id or 0, ""),
            row.AskedParty.asked_at,
            row.AskedParty.note,
        )
        for row in rows
    ]
