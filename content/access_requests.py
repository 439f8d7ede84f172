"""Asking for what a later stage unlocks: the question, the answer of its owners or one's manager, the grant with an end."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, aliased

from content import reading, taxonomy
from content.deals import Deal, DealContext, is_member
from content.kinds import AssetType, VersionState
from content.models import AccessRequest, Asset, AssetOwner, Grant, LockedTry, Version
from content.reading import StageLocked, Teaser
from content.taxonomy import Label
from content.visibility import editable_by, exists_for
from kb import audit, clock, notices, users
from kb.access import Actor, Permission, Role, require
from kb.db import is_postgresql
from kb.errors import N_, Conflict, Invalid, NotFound
from kb.users import User

LONGEST: Final = 2_000
DAYS: Final = 14
MOST_DAYS: Final = 366
MANY: Final = 200
PERIOD: Final = timedelta(days=90)

_asker, _decider, _of_grant = aliased(User), aliased(User), aliased(User)


class NothingToAsk(Conflict):
    code, message = "not_locked", N_("You can read it already: there is nothing to ask for.")


class AskedAlready(Conflict):
    code, message = "asked_already", N_("You have asked already: the answer comes as a notice.")


class Decided(Conflict):
    code, message = "request_over", N_("This request has its answer already.")


@dataclass(frozen=True, slots=True)
class RequestShown:
    """One request; `title` is of the published version, `deal` says its customer to those on its team alone."""

    public_id: str
    asset_id: str
    title: str
    language: str
    type: AssetType
    asked_by: str
    is_mine: bool
    may_decide: bool
    deal: str
    reason: str
    state: str
    asked_at: datetime
    decided_by: str
    decided_at: datetime | None
    answer: str
    until: datetime | None

    @property
    def is_open(self) -> bool:
        return self.state == "open"


@dataclass(frozen=True, slots=True)
class GrantShown:
    public_id: str
    asset_id: str
    title: str
    language: str
    granted_to: str
    until: datetime
    reason: str
    may_revoke: bool


@dataclass(frozen=True, slots=True)
class ShutRow:
    """What readers came to and could not open in 90 days."""

    asset_id: str
    title: str
    language: str
    type: AssetType
    stage: Label | None
    tries: int
    people: int
    asked: int


# --- asking ---


def teaser(session: Session, actor: Actor, deal: DealContext | None, reference: str) -> Teaser:
    """What may be known of an asset that is locked on this deal; NothingToAsk where it can be read, else NotFound."""
    require(actor, Permission.USE)
    try:
        reading.get_visible(session, actor, deal, reference)
    except StageLocked as locked:
        return locked.teaser
    raise NothingToAsk()


def ask(session: Session, actor: Actor, deal: DealContext | None, reference: str, reason: str) -> AccessRequest:
    """Ask the asset's owners and one's manager to open it; once at a time."""
    found = teaser(session, actor, deal, reference)
    assert actor.user_id is not None
    cleaned = reason.strip()[:LONGEST]
    if not cleaned:
        raise Invalid(N_("Say what you need it for: whoever decides goes by it."), code="reason_missing")
    session.get(Asset, found.id, with_for_update=True)  # of two at once, one finds the other
    open_ = select(AccessRequest.id).where(
        AccessRequest.asset_id == found.id, AccessRequest.user_id == actor.user_id, AccessRequest.state == "open"
    )
    if session.scalar(open_) is not None:
        raise AskedAlready()
    row = AccessRequest(
        asset_id=found.id,
        user_id=actor.user_id,
        deal_id=deal.id if deal is not None else None,
        reason=cleaned,
        asked_at=clock.now(),
    )
    session.add(row)
    session.flush()
    audit.record(session, actor, "access.ask", "access_request", row.public_id, asset=found.public_id, reason=cleaned)
    for user_id in sorted(_deciders(session, row)):
        notices.tell(session, user_id, "access_asked", found.id, f"access:{row.id}")
    return row


def _deciders(session: Session, row: AccessRequest) -> set[int]:
    """The asset's owners and the asker's manager; where there is neither, coordinators and administrators."""
    owners = select(AssetOwner.user_id).where(AssetOwner.asset_id == row.asset_id)
    manager = select(User.manager_id).where(User.id == row.user_id)
    people = set(
        session.scalars(
            select(User.id).where(or_(User.id.in_(owners), User.id.in_(manager)), User.deactivated_at.is_(None))
        )
    ) - {row.user_id}
    return people or users.with_roles(session, Role.COORDINATOR, Role.ADMIN) - {row.user_id}


def withdraw(session: Session, actor: Actor, public_id: str) -> AccessRequest:
    """Not needed any more: by whoever asked."""
    require(actor, Permission.USE)
    row = session.scalar(
        select(AccessRequest)
        .where(AccessRequest.public_id == public_id, AccessRequest.user_id == actor.user_id)
        .with_for_update()
    )
    if row is None:
        raise NotFound()
    if row.state != "open":
        raise Decided()
    row.state, row.decided_at, row.decided_by_id = "withdrawn", clock.now(), actor.user_id
    session.flush()
    audit.record(session, actor, "access.withdraw", "access_request", row.public_id)
    return row


# --- deciding ---


def _may_decide(actor: Actor) -> ColumnElement[bool]:
    """Owners of the asset, the asker's manager as far as the asset is for them, coordinators and administrators."""
    if not actor.is_user:
        return AccessRequest.id.is_not(None)
    owned = select(AssetOwner.asset_id).where(AssetOwner.user_id == actor.user_id)
    people = select(User.id).where(User.manager_id == actor.user_id)
    rule = or_(Asset.id.in_(owned), and_(AccessRequest.user_id.in_(people), exists_for(actor)))
    if actor.roles & {Role.COORDINATOR, Role.ADMIN}:
        rule = or_(rule, exists_for(actor))
    return and_(rule, AccessRequest.user_id != actor.user_id)


def _for_decision(session: Session, actor: Actor, public_id: str) -> tuple[AccessRequest, Asset]:
    require(actor, Permission.USE)
    found = session.execute(
        select(AccessRequest, Asset)
        .join(Asset, Asset.id == AccessRequest.asset_id)
        .where(AccessRequest.public_id == public_id, _may_decide(actor))
        .with_for_update(of=AccessRequest)
    ).first()
    if found is None:
        raise NotFound()
    if found.AccessRequest.state != "open":
        raise Decided()
    return found.AccessRequest, found.Asset


def allow(session: Session, actor: Actor, public_id: str, answer: str, until: datetime | None = None) -> Grant:
    """Yes: the person may read it until then, whatever the deal's stage; for DAYS days where no moment is named."""
    row, asset = _for_decision(session, actor, public_id)
    cleaned = _answer(answer)
    grant = give(session, actor, asset, row.user_id, cleaned, until)
    row.grant_id = grant.id
    _decide(session, actor, row, "granted", cleaned)
    return grant


def refuse(session: Session, actor: Actor, public_id: str, answer: str) -> AccessRequest:
    """No, with the reason."""
    row, _asset = _for_decision(session, actor, public_id)
    _decide(session, actor, row, "refused", _answer(answer))
    return row


def _answer(words: str) -> str:
    cleaned = words.strip()[:LONGEST]
    if not cleaned:
        raise Invalid(N_("Say why: whoever asked reads it."), code="reason_missing")
    return cleaned


def _decide(session: Session, actor: Actor, row: AccessRequest, state: str, answer: str) -> None:
    row.state, row.answer = state, answer
    row.decided_at, row.decided_by_id = clock.now(), actor.user_id
    session.flush()
    audit.record(session, actor, f"access.{state}", "access_request", row.public_id, answer=answer)
    notices.tell(session, row.user_id, f"access_{state}", row.asset_id, f"access:{row.id}")


# --- grants ---


def in_days(days: int) -> datetime:
    """The moment so many days from now; raises Invalid outside 1 to 366."""
    if not 1 <= days <= MOST_DAYS:
        raise Invalid(N_("Give it for 1 to 366 days."), code="days")
    return clock.now() + timedelta(days=days)


def give(
    session: Session, actor: Actor, asset: Asset, user_id: int, reason: str, until: datetime | None = None
) -> Grant:
    """Leave to read, with an end; the caller has asked who may give it. It opens no tier and no audience."""
    now = clock.now()
    ends_at = until or in_days(DAYS)
    if not now < ends_at <= now + timedelta(days=MOST_DAYS, minutes=1):
        raise Invalid(N_("Give it for 1 to 366 days."), code="until")
    grant = Grant(
        asset_id=asset.id,
        user_id=user_id,
        until=ends_at,
        reason=reason,
        granted_by_id=actor.user_id,
        granted_at=now,
    )
    session.add(grant)
    session.flush()
    person = session.get_one(User, user_id)
    told = {"asset": asset.public_id, "to": person.public_id, "until": grant.until.isoformat(), "reason": reason}
    audit.record(session, actor, "grant.give", "grant", grant.public_id, **told)
    return grant


def _may_revoke(actor: Actor) -> ColumnElement[bool]:
    """Owners; whoever gave it, as long as the asset is there for them; administrators. Beside the asset in the query."""
    if not actor.is_user or Role.ADMIN in actor.roles:
        return Grant.id.is_not(None)
    owned = select(AssetOwner.asset_id).where(AssetOwner.user_id == actor.user_id)
    return or_(Grant.asset_id.in_(owned), and_(Grant.granted_by_id == actor.user_id, exists_for(actor)))


def revoke(session: Session, actor: Actor, public_id: str) -> Grant:
    """Ends at once: by the asset's owners, whoever gave it, and administrators."""
    require(actor, Permission.USE)
    grant = session.scalar(
        select(Grant)
        .join(Asset, Asset.id == Grant.asset_id)
        .where(Grant.public_id == public_id, _may_revoke(actor))
        .with_for_update(of=Grant)
    )
    if grant is None:
        raise NotFound()
    if grant.revoked_at is not None or grant.until <= clock.now():
        raise Conflict(N_("This grant is over."), code="grant_over")
    grant.revoked_at = clock.now()
    session.flush()
    audit.record(session, actor, "grant.revoke", "grant", grant.public_id)
    return grant


# --- looking ---


def _rows(actor: Actor, rule: ColumnElement[bool]) -> Any:
    return (
        select(
            AccessRequest,
            Asset,
            Version.title,
            Version.language,
            _asker.name.label("asker"),
            _decider.name.label("decider"),
            Deal.external_id.label("deal"),
            Deal.account,
            is_member(actor).label("on_deal"),
            Grant.until,
            _may_decide(actor).label("may_decide"),
        )
        .join(Asset, Asset.id == AccessRequest.asset_id)
        .join(Version, and_(Version.asset_id == Asset.id, Version.state == VersionState.PUBLISHED.value))
        .join(_asker, _asker.id == AccessRequest.user_id)
        .outerjoin(_decider, _decider.id == AccessRequest.decided_by_id)
        .outerjoin(Deal, Deal.id == AccessRequest.deal_id)
        .outerjoin(Grant, Grant.id == AccessRequest.grant_id)
        .where(rule)
        .order_by(AccessRequest.state != "open", AccessRequest.id.desc())
        .limit(MANY)
    )


def _shown(actor: Actor, row: Any) -> RequestShown:
    one = row.AccessRequest
    is_mine = one.user_id == actor.user_id
    return RequestShown(
        one.public_id,
        row.Asset.public_id,
        row.title,
        row.language,
        AssetType(row.Asset.type),
        row.asker,
        is_mine,
        bool(row.may_decide) and one.state == "open",
        (f"{row.deal} · {row.account}" if row.on_deal or is_mine or not actor.is_user else row.deal)
        if row.deal
        else "",
        one.reason,
        one.state,
        one.asked_at,
        row.decider or "",
        one.decided_at,
        one.answer,
        row.until,
    )


def list_for_me(session: Session, actor: Actor) -> Sequence[RequestShown]:
    """What this person decides or has decided, open ones first."""
    require(actor, Permission.USE)
    return [_shown(actor, row) for row in session.execute(_rows(actor, _may_decide(actor)))]


def list_mine(session: Session, actor: Actor) -> Sequence[RequestShown]:
    """What this person asked for, as long as they may know that it is there."""
    require(actor, Permission.USE)
    mine = and_(AccessRequest.user_id == (actor.user_id or 0), exists_for(actor))
    return [_shown(actor, row) for row in session.execute(_rows(actor, mine))]


def waiting_for(session: Session, actor: Actor) -> int:
    """How many answers this person could give, for the menu."""
    return (
        session.scalar(
            select(func.count())
            .select_from(AccessRequest)
            .join(Asset, Asset.id == AccessRequest.asset_id)
            .where(AccessRequest.state == "open", _may_decide(actor))
        )
        or 0
    )


def list_grants(session: Session, actor: Actor) -> Sequence[GrantShown]:
    """Grants in force that this person may end, or has; by their end."""
    require(actor, Permission.USE)
    rows = session.execute(
        select(Grant, Asset.public_id, Version.title, Version.language, _of_grant.name, _may_revoke(actor).label("may"))
        .join(Asset, Asset.id == Grant.asset_id)
        .join(Version, and_(Version.asset_id == Asset.id, Version.state == VersionState.PUBLISHED.value))
        .join(_of_grant, _of_grant.id == Grant.user_id)
        .where(
            Grant.revoked_at.is_(None),
            Grant.until > clock.now(),
            or_(_may_revoke(actor), and_(Grant.user_id == (actor.user_id or 0), exists_for(actor))),
        )
        .order_by(Grant.until)
        .limit(MANY)
    )
    return [
        GrantShown(
            row.Grant.public_id,
            row.public_id,
            row.title,
            row.language,
            row.name,
            row.Grant.until,
            row.Grant.reason,
            bool(row.may),
        )
        for row in rows
    ]


# --- what could not be opened ---


def note_try(session: Session, actor: Actor, asset_id: int) -> None:
    """Count that somebody came to what is locked for them."""
    if actor.user_id is None:
        return
    insert = (postgresql if is_postgresql(session) else sqlite).insert
    made = insert(LockedTry).values(asset_id=asset_id, user_id=actor.user_id, tried_on=_today(), tries=1)
    session.execute(
        made.on_conflict_do_update(
            index_elements=["asset_id", "user_id", "tried_on"], set_={"tries": LockedTry.tries + 1}
        )
    )


def _today() -> date:
    return clock.now().date()


def shut(session: Session, actor: Actor, limit: int = 50) -> Sequence[ShutRow]:
    """What readers came to and could not open in 90 days, of the assets this person edits: most tried first."""
    require(actor, Permission.EDIT)
    since = _today() - PERIOD
    asked = (
        select(func.count())
        .where(AccessRequest.asset_id == Asset.id, AccessRequest.asked_at >= clock.now() - PERIOD)
        .correlate(Asset)
        .scalar_subquery()
    )
    tries = func.sum(LockedTry.tries)
    rows = session.execute(
        select(
            Asset.public_id,
            Asset.type,
            Asset.unlock_stage_id,
            Version.title,
            Version.language,
            tries.label("tries"),
            func.count(func.distinct(LockedTry.user_id)).label("people"),
            asked.label("asked"),
        )
        .join(Asset, Asset.id == LockedTry.asset_id)
        .join(Version, and_(Version.asset_id == Asset.id, Version.state == VersionState.PUBLISHED.value))
        .where(LockedTry.tried_on >= since, editable_by(actor))
        .group_by(Asset.id, Asset.public_id, Asset.type, Asset.unlock_stage_id, Version.title, Version.language)
        .order_by(tries.desc(), Asset.id)
        .limit(limit)
    ).all()
    known = taxonomy.load(session).by_id
    return [
        ShutRow(
            row.public_id,
            row.title,
            row.language,
            AssetType(row.type),
            known.get(row.unlock_stage_id or 0),
            int(row.tries),
            row.people,
            row.asked,
        )
        for row in rows
    ]
