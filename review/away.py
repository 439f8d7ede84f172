"""Who is away at this moment, and until when."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from kb import clock
from review.models import Absence


def which(session: Session, user_ids: Iterable[int], until: datetime | None = None) -> set[int]:
    """Who of them is away now; with `until`, only those who are not back by then."""
    now = clock.now()
    return set(
        session.scalars(
            select(Absence.user_id).where(
                Absence.user_id.in_(set(user_ids)),
                Absence.cancelled_at.is_(None),
                Absence.starts_at <= now,
                Absence.ends_at > max(now, until or now),
            )
        )
    )
