"""To whom an item is offered: who reviews its language and type, is there before it is due, and has least open."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from content.kinds import AssetType
from review import away, hours, profiles
from review.models import Step
from review.profiles import Profile


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


def _last_offers(session: Session, people: Collection[int]) -> dict[int, int]:
    """The last step that was offered to each."""
    rows = session.execute(
        select(Step.offered_to_id, func.max(Step.id))
        .where(Step.offered_to_id.in_(set(people)))
        .group_by(Step.offered_to_id)
    )
    return {row[0]: row[1] for row in rows if row[0] is not None}
