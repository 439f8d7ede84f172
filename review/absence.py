"""Absence of reviewers: what they have taken moves to a deputy when it begins, and nothing is given to who is away."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from content.models import Asset, Version
from kb import audit, clock, notices, users
from kb.access import SYSTEM, Actor, Permission, Role, require
from kb.db import Database
from kb.errors import N_, Conflict, Invalid, NotFound
from kb.users import User, UserParty, UserRole
from review import away, beginning, panel, profiles, rounds
from review.machine import RoundState, StepState
from review.models import Absence, Round, Step

MOST_DEPUTIES: Final = 3
LONGEST: Final = timedelta(days=366)
AT_ONCE: Final = 100


class Overlaps(Conflict):
    code, message = "absence_overlaps", N_("You are away in that time already: cancel the other one first.")


@dataclass(frozen=True, slots=True)
class Colleague:
    """Somebody who could stand in."""

    email: str
    name: str


@dataclass(frozen=True, slots=True)
class AbsenceShown:
    """From the beginning of the first day to the end of the last, in that person's time zone."""

    public_id: str
    who: str
    first: date
    last: date
    deputies: tuple[str, ...]
    is_now: bool
    is_mine: bool


# --- set and cancel ---


def put(session: Session, actor: Actor, first: date, last: date, emails: Sequence[str]) -> Absence:
    """Be away from the first day to the last; deputies are asked in their order, each reviewing for a party of one's own."""
    require(actor, Permission.REVIEW)
    assert actor.user_id is not None
    zone = profiles.get(session, actor.user_id).calendar.zone
    starts = datetime.combine(first, time.min, zone)
    ends = datetime.combine(last + timedelta(days=1), time.min, zone)
    if last < first or ends <= clock.now():
        raise Invalid(N_("Choose a last day that is not before the first, and not past."), code="span")
    if ends - starts > LONGEST:
        raise Invalid(N_("That is longer than a year: an administrator takes the role instead."), code="span")
    present = select(Absence.id).where(
        Absence.user_id == actor.user_id,
        Absence.cancelled_at.is_(None),
        Absence.starts_at < ends,
        Absence.ends_at > starts,
    )
    if session.scalar(present) is not None:
        raise Overlaps()
    deputies = _deputies(session, actor, [email for email in emails if email.strip()])
    row = Absence(user_id=actor.user_id, starts_at=starts, ends_at=ends, deputies=deputies, created_at=clock.now())
    session.add(row)
    session.flush()
    told = {"from": first.isoformat(), "until": last.isoformat(), "deputies": len(deputies)}
    audit.record(session, actor, "absence.put", "absence", row.public_id, **told)
    if row.starts_at <= clock.now():
        begin(session, row)
    return row


def _deputies(session: Session, actor: Actor, emails: Sequence[str]) -> list[int]:
    wrong = Invalid(N_("Deputies are up to three other reviewers of a party of yours."), code="deputies")
    if len(emails) > MOST_DEPUTIES or len({email.strip().casefold() for email in emails}) < len(emails):
        raise wrong
    known = {person.email: person.id for person in _colleagues(session, actor)}
    try:
        return [known[email.strip().casefold()] for email in emails]
    except KeyError:
        raise wrong from None


def _colleagues(session: Session, actor: Actor) -> Sequence[User]:
    theirs = select(UserParty.user_id).where(UserParty.party.in_([party.value for party in actor.parties]))
    return session.scalars(
        select(User)
        .where(
            User.id.in_(theirs),
            User.id.in_(select(UserRole.user_id).where(UserRole.role == Role.REVIEWER.value)),
            User.id != actor.user_id,
            User.deactivated_at.is_(None),
        )
        .order_by(User.name)
    ).all()


def list_colleagues(session: Session, actor: Actor) -> Sequence[Colleague]:
    """Whom this person may name as a deputy."""
    require(actor, Permission.REVIEW)
    return [Colleague(person.email, person.name) for person in _colleagues(session, actor)]


def cancel(session: Session, actor: Actor, public_id: str) -> Absence:
    """Back early, or not away after all; what has moved stays where it is. Coordinators may for anybody."""
    require(actor, Permission.EDIT)
    row = session.scalar(select(Absence).where(Absence.public_id == public_id, _sees(actor)).with_for_update())
    if row is None:
        raise NotFound()
    if row.cancelled_at is not None or row.ends_at <= clock.now():
        raise Conflict(N_("This absence is over."), code="absence_over")
    row.cancelled_at = clock.now()
    session.flush()
    audit.record(session, actor, "absence.cancel", "absence", row.public_id)
    return row


def _sees(actor: Actor) -> ColumnElement[bool]:
    """One's own; coordinators and administrators see everybody's."""
    if actor.roles & {Role.COORDINATOR, Role.ADMIN} or not actor.is_user:
        return Absence.id.is_not(None)
    return Absence.user_id == actor.user_id


def list_shown(session: Session, actor: Actor) -> Sequence[AbsenceShown]:
    """Present and coming absences that this person looks after, by their beginning."""
    require(actor, Permission.EDIT)
    now = clock.now()
    rows = session.scalars(
        select(Absence)
        .where(Absence.cancelled_at.is_(None), Absence.ends_at > now, _sees(actor))
        .order_by(Absence.starts_at, Absence.id)
    ).all()
    names = users.list_names(session, {one for row in rows for one in (row.user_id, *row.deputies)})
    known = profiles.of(session, {row.user_id for row in rows})
    return [
        AbsenceShown(
            row.public_id,
            names.get(row.user_id, ""),
            row.starts_at.astimezone(known[row.user_id].calendar.zone).date(),
            row.ends_at.astimezone(known[row.user_id].calendar.zone).date() - timedelta(days=1),
            tuple(names[one] for one in row.deputies if one in names),
            row.starts_at <= now,
            row.user_id == actor.user_id,
        )
        for row in rows
    ]


# --- deputies ---


def stand_in(session: Session, user_id: int, row: Round, step: Step) -> int | None:
    """The first of an absent person's deputies who may decide this step and is there; None where none is left."""
    found = session.scalar(
        select(Absence)
        .where(
            Absence.user_id == user_id,
            Absence.cancelled_at.is_(None),
            Absence.starts_at <= clock.now(),
            Absence.ends_at > clock.now(),
        )
        .order_by(Absence.id)
    )
    if found is None:
        return None
    asset, version = session.get_one(Asset, row.asset_id), session.get_one(Version, row.version_id)
    gone = away.which(session, found.deputies)
    for deputy in found.deputies:
        person = users.find(session, deputy)
        if deputy in gone or person is None or person.deactivated_at is not None:
            continue
        try:
            hindered = rounds.hindrance(session, users.actor_of(person), row, asset, version, step)
        except NotFound:  # not cleared for the asset's tier
            continue
        if not hindered:
            return deputy
    return None


# --- when it begins ---


def begin(session: Session, row: Absence) -> int:
    """Move what this person has taken; answers how many items. Their clocks run on unchanged."""
    row.moved_at = clock.now()
    taken = session.scalars(
        select(Step)
        .join(Round, Round.id == Step.round_id)
        .where(
            func.coalesce(Step.claimed_by_id, Step.offered_to_id) == row.user_id,
            Step.state == StepState.OPEN.value,
            Round.state == RoundState.OPEN.value,
        )
        .with_for_update(of=Step)
    ).all()
    for step in taken:
        _move(session, row, step)
    _tell_of_unmanned(session, row)
    session.flush()
    audit.record(session, SYSTEM, "absence.begin", "absence", row.public_id, moved=len(taken))
    return len(taken)


def _tell_of_unmanned(session: Session, absence: Absence) -> None:
    """What waits for a party of which nobody is there any more goes to the coordinators."""
    parties = session.scalars(select(UserParty.party).where(UserParty.user_id == absence.user_id)).all()
    for party in parties:
        people = set(
            session.scalars(
                select(UserParty.user_id)
                .join(UserRole, UserRole.user_id == UserParty.user_id)
                .join(User, User.id == UserParty.user_id)
                .where(
                    UserParty.party == party,
                    UserRole.role == Role.REVIEWER.value,
                    User.deactivated_at.is_(None),
                )
            )
        )
        if people - away.which(session, people):
            continue
        waiting = session.execute(
            select(Step.id, Round.asset_id)
            .join(Round, Round.id == Step.round_id)
            .where(Step.party == party, Step.state == StepState.OPEN.value, Round.state == RoundState.OPEN.value)
            .order_by(Step.due_at)
            .limit(AT_ONCE)
        ).all()
        for step in waiting:
            for user_id in sorted(panel.coordinators(session)):
                key = f"absence:{absence.id}:{step.id}"
                notices.tell(session, user_id, "review_unmanned", step.asset_id, key, party=party)


def _move(session: Session, absence: Absence, step: Step) -> None:
    """To the first deputy who may; what was only offered is offered to another reviewer where no deputy is left."""
    found = session.get_one(Round, step.round_id)
    was_taken = step.claimed_by_id is not None
    deputy = stand_in(session, absence.user_id, found, step)
    step.claimed_by_id, step.claimed_at = (deputy, clock.now()) if was_taken and deputy is not None else (None, None)
    step.offered_to_id, step.offered_at = (deputy, clock.now()) if deputy is not None else (absence.user_id, None)
    session.flush()
    key = f"absence:{absence.id}:{step.id}"
    to = deputy if deputy is not None else beginning.offer_again(session, found, step)
    if deputy is not None:
        notices.tell(session, deputy, "review", found.asset_id, key)
    elif to is None or was_taken:
        beginning.tell_unmanned(session, found, step, key)
    person = session.get(User, to) if to is not None else None
    told = {"party": step.party, "to": person.public_id if person is not None else ""}
    audit.record(session, SYSTEM, "step.move", "round", found.public_id, **told)


def sweep(database: Database) -> Callable[[], None]:
    """The worker's look at absences that begin."""

    def look() -> None:
        with database.reading() as session:
            due = session.scalars(_due().limit(AT_ONCE)).all()
        for absence_id in due:
            with database.writing() as session:
                row = session.get_one(Absence, absence_id, with_for_update=True)
                if session.scalar(_due().where(Absence.id == absence_id)) is not None:
                    begin(session, row)

    return look


def _due() -> Any:
    now = clock.now()
    return select(Absence.id).where(
        Absence.moved_at.is_(None), Absence.cancelled_at.is_(None), Absence.starts_at <= now, Absence.ends_at > now
    )
