"""Clocks of reviews: who is told at 75, 100 and 150 per cent, and claims that nobody works on return to the queue."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, aliased

from content.kinds import VersionState
from content.models import Asset, AssetOwner, Version
from kb import audit, clock, notices
from kb.access import SYSTEM, Party, Role
from kb.db import Database
from kb.users import User, UserParty, UserRole
from review import away, beginning, calendars, hours, panel, profiles
from review.hours import Calendar
from review.machine import RoundState, StepState
from review.models import Round, Step

LEVELS: Final = ((75, "review_due"), (100, "review_late"), (150, "review_stuck"))
IDLE_HOURS: Final = 8
STALE_AFTER: Final = timedelta(days=10)
"""Below it no ten working days can have passed."""
_STALE_WORK: Final = timedelta(hours=80)
AT_ONCE: Final = 200
EVERY: Final = timedelta(seconds=30)

_manager = aliased(User)


def sweep(database: Database) -> Callable[[], None]:
    """The worker's look at clocks that ran on."""
    last: list[datetime] = []

    def look() -> None:
        now = clock.now()
        if last and timedelta() <= now - last[0] < EVERY:
            return
        last[:] = [now]
        tell_due(database)
        return_idle(database)
        offer_again(database)
        tell_stale(database)

    return look


def tell_due(database: Database) -> int:
    """Tell whoever is to be told, each step in a transaction of its own; safe on several machines at once."""
    with database.reading() as session:
        due = session.scalars(
            select(Step.id)
            .where(Step.tell_at <= clock.now(), Step.state == StepState.OPEN.value)
            .order_by(Step.tell_at)
            .limit(AT_ONCE)
        ).all()
    return sum(_tell(database, step_id) for step_id in due)


def _tell(database: Database, step_id: int) -> bool:
    with database.writing() as session:
        step = session.get_one(Step, step_id, with_for_update=True)
        row = session.get_one(Round, step.round_id)
        if step.tell_at is None or step.tell_at > clock.now() or step.state != StepState.OPEN.value:
            return False
        if row.state != RoundState.OPEN.value:
            step.tell_at = None
            return False
        level, kind = next((level, kind) for level, kind in LEVELS if level > step.told_percent)
        later = next((percent for percent, _ in LEVELS if percent > level), None)
        step.told_percent = level
        step.tell_at = (
            hours.due(row.begun_at, step.hours * later / 100, beginning.calendar_of(step))
            if later is not None
            else None
        )
        people = _people(session, row, step, level)
        if step.claimed_by_id is None:
            step.offered_to_id = step.offered_at = None  # whoever it was offered to did not take it: it is everybody's
        for user_id in sorted(people):
            notices.tell(session, user_id, kind, row.asset_id, f"{kind}:{step.id}", party=step.party)
        session.flush()
        audit.record(session, SYSTEM, "step.remind", "round", row.public_id, party=step.party, percent=level)
    return True


def _people(session: Session, row: Round, step: Step, level: int) -> set[int]:
    """At 75 per cent whoever has it, else the party's reviewers; at 100 its leads; at 150 their managers and the coordinators."""
    party = Party(step.party)
    asset = session.get_one(Asset, row.asset_id)
    able = panel.able(session, asset, [party], panel.writers(session, session.get_one(Version, row.version_id)))[party]
    if level < 100:
        people = {step.claimed_by_id} if step.claimed_by_id is not None else set(able)
        return people - away.which(session, people)
    if level < 150:
        leads = set(
            session.scalars(
                select(UserParty.user_id)
                .join(UserRole, UserRole.user_id == UserParty.user_id)
                .where(UserParty.party == party.value, UserRole.role == Role.MANAGER.value)
            )
        )
        return leads or panel.coordinators(session)
    asked = {step.claimed_by_id} if step.claimed_by_id is not None else set(able)
    managers = session.scalars(
        select(_manager.id)
        .join(User, User.manager_id == _manager.id)
        .where(User.id.in_(asked), _manager.deactivated_at.is_(None))
    )
    return panel.coordinators(session) | set(managers)


def return_idle(database: Database) -> int:
    """Items that somebody took and left lying for eight of their working hours are everybody's again."""
    now = clock.now()
    with database.reading() as session:
        taken = session.execute(
            select(Step.id, Step.claimed_at, Step.claimed_by_id).where(
                Step.claimed_by_id.is_not(None), Step.state == StepState.OPEN.value
            )
        ).all()
        known = profiles.of(session, {row.claimed_by_id for row in taken})
    idle = [row.id for row in taken if _is_idle(row.claimed_at, now, known[row.claimed_by_id].calendar)]
    for step_id in idle[:AT_ONCE]:
        _return(database, step_id, now)
    return len(idle)


def _is_idle(since: datetime | None, now: datetime, calendar: Calendar) -> bool:
    return since is not None and hours.between(since, now, calendar) >= timedelta(hours=IDLE_HOURS)


def _return(database: Database, step_id: int, now: datetime) -> None:
    with database.writing() as session:
        step = session.get_one(Step, step_id, with_for_update=True)
        if step.state != StepState.OPEN.value:
            return
        if not _is_idle(step.claimed_at, now, profiles.get(session, step.claimed_by_id).calendar):
            return
        step.claimed_by_id = step.claimed_at = step.offered_to_id = step.offered_at = None
        session.flush()
        row = session.get_one(Round, step.round_id)
        audit.record(session, SYSTEM, "step.return", "round", row.public_id, party=step.party)


def tell_stale(database: Database) -> int:
    """What came back and lies with its author for ten working days: they and its owners are told, once."""
    with database.reading() as session:
        old = session.execute(
            _returned().where(Round.ended_at <= clock.now() - STALE_AFTER).order_by(Round.ended_at).limit(AT_ONCE)
        ).all()
    stale = [row.id for row in old if hours.between(row.ended_at, clock.now(), calendars.company()) >= _STALE_WORK]
    for round_id in stale:
        with database.writing() as session:
            if session.scalar(_returned().where(Round.id == round_id)) is None:
                continue
            row = session.get_one(Round, round_id, with_for_update=True)
            if row.stale_told_at is not None:
                continue
            row.stale_told_at = clock.now()
            people = panel.writers(session, session.get_one(Version, row.version_id))
            people |= set(session.scalars(select(AssetOwner.user_id).where(AssetOwner.asset_id == row.asset_id)))
            for user_id in sorted(people):
                notices.tell(session, user_id, "review_stale", row.asset_id, f"stale:{row.id}")
            session.flush()
            audit.record(session, SYSTEM, "round.stale", "round", row.public_id)
    return len(stale)


def _returned() -> Select[int, datetime | None]:
    """Rounds that ended with a wish for changes, of a text that nobody has gone on with."""
    later = aliased(Version)
    return (
        select(Round.id, Round.ended_at)
        .join(Asset, Asset.id == Round.asset_id)
        .where(
            Round.state == RoundState.CHANGES_REQUESTED.value,
            Round.stale_told_at.is_(None),
            Round.access_change_id.is_(None),
            Asset.archived_at.is_(None),
            ~select(later.id)
            .where(
                later.asset_id == Round.asset_id,
                later.state.not_in([VersionState.DRAFT.value, VersionState.CHANGES_REQUESTED.value]),
                later.created_at > Round.begun_at,
            )
            .exists(),
        )
    )


def offer_again(database: Database) -> int:
    """What was offered to somebody who has left, or left the party, goes to somebody else."""
    with database.reading() as session:
        lost = session.scalars(_lost().order_by(Step.due_at).limit(AT_ONCE)).all()
    for step_id in lost:
        with database.writing() as session:
            step = session.get_one(Step, step_id, with_for_update=True)
            if session.scalar(_lost().where(Step.id == step_id)) is None:
                continue
            row = session.get_one(Round, step.round_id)
            if beginning.offer_again(session, row, step) is None:
                beginning.tell_unmanned(session, row, step, f"unmanned:{row.id}:{step.party}")
    return len(lost)


def _lost() -> Select[int]:
    still = (
        select(User.id)
        .join(UserParty, UserParty.user_id == User.id)
        .join(UserRole, UserRole.user_id == User.id)
        .where(
            User.id == Step.offered_to_id,
            UserParty.party == Step.party,
            UserRole.role == Role.REVIEWER.value,
            User.deactivated_at.is_(None),
        )
        .exists()
    )
    return (
        select(Step.id)
        .join(Round, Round.id == Step.round_id)
        .where(
            Step.offered_to_id.is_not(None),
            Step.claimed_by_id.is_(None),
            Step.state == StepState.OPEN.value,
            Round.state == RoundState.OPEN.value,
            ~still,
        )
    )
