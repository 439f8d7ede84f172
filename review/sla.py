"""Clocks of reviews: who is told at 75, 100 and 150 per cent, and claims that nobody works on return to the queue."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from content.models import Asset, Version
from kb import audit, clock, notices
from kb.access import SYSTEM, Party, Role
from kb.db import Database
from kb.users import User, UserParty, UserRole
from review import away, beginning, hours, panel, profiles
from review.hours import Calendar
from review.machine import RoundState, StepState
from review.models import Round, Step

LEVELS: Final = ((75, "review_due"), (100, "review_late"), (150, "review_stuck"))
IDLE_HOURS: Final = 8
AT_ONCE: Final = 200
EVERY: Final = timedelta(seconds=30)


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
    """At 75 per cent whoever has it, else the party's reviewers; at 100 its leads; at 150 the coordinators."""
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
    return panel.coordinators(session)


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
