"""To whom an item is offered: who reviews its language and type, is there before it is due, and has least open."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from content.kinds import AssetType
from kb import clock
from review import away, hours, profiles
from review.models import Step
from review.profiles import Profile

LEAST: Final = timedelta(hours=1)
"""Working time in which somebody can decide an urgent fix."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be reviewed: `hours` of working time from `start` on."""

    language: str
    type: AssetType
    start: datetime
    hours: float


def choose(session: Session, people: Collection[int], wanted: Wanted) -> tuple[int, Profile] | None:
    """The person among `people` to whom it goes; None where all are away until it is due.

    First who reviews such texts, then who is there now, then who has least open, then who waited longest for an offer.
    """
    known = profiles.of(session, people)
    ends = {
        calendar: hours.due(wanted.start, wanted.hours, calendar)
        for calendar in {one.calendar for one in known.values()}
    }
    gone = {
        one
        for calendar, due_at in ends.items()
        for one in away.which(session, [person for person in people if known[person].calendar == calendar], due_at)
    }
    there = [one for one in people if one not in gone]
    if not there:
        return None
    load, absent, last = profiles.loads(session, there), away.which(session, there), _last_offers(session, there)

    def place(one: int) -> tuple[bool, bool, int, int, int]:
        suits = known[one].suits(wanted.language, wanted.type)
        return not suits, one in absent, load[one], last.get(one, 0), one

    best = min(there, key=place)
    return best, known[best]


def count_on_duty(session: Session, people: Collection[int], until: datetime) -> int:
    """How many of them are there and have at least one hour of working time before that moment."""
    known, gone, now = profiles.of(session, people), away.which(session, people, until), clock.now()
    calendars = {one.calendar for one in known.values()}
    working = {one for one in calendars if hours.between(now, until, one) >= LEAST}
    return sum(one not in gone and known[one].calendar in working for one in people)


def _last_offers(session: Session, people: Collection[int]) -> dict[int, int]:
    """The last step that was offered to each."""
    rows = session.execute(
        select(Step.offered_to_id, func.max(Step.id))
        .where(Step.offered_to_id.in_(set(people)))
        .group_by(Step.offered_to_id)
    )
    return {row[0]: row[1] for row in rows if row[0] is not None}
