"""The sample company's searches that led nowhere, as its reps typed them on their deals."""

from datetime import timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from content.deals import Deal
from content.kinds import Outcome
from kb import clock, users
from kb.db import Database
from kb.users import User
from search.log import Search

REPS: Final = ("lin.yue", "daniel.reed", "zhou.fang", "priya.nair")
LACKING: Final = (
    ("信创适配清单", (0, 2, 0, 2, 1, 0, 2)),
    ("有没有信创适配的清单", (2, 0)),
    ("国产芯片服务器能不能跑", (0, 2)),
    ("carbon footprint of the platform", (1, 3, 1)),
    ("what is your carbon footprint", (3,)),
    ("跟客户签竞业条款怎么谈", (0,)),
    ("on-premise licence for students", (1,)),
)
"""What was typed, and by whom of REPS, one search each."""
DAYS: Final = 21


def load(database: Database) -> None:
    """Put the searches in once; safe to run again."""
    with database.writing() as session:
        if session.scalar(select(Search.id).where(Search.text == LACKING[0][0]).limit(1)) is not None:
            return
        number = 0
        for text, by in LACKING:
            for place in by:
                rep = users.find_by_email(session, f"{REPS[place]}@yunshu.example")
                if rep is None:
                    continue
                number += 1
                at = clock.now() - timedelta(days=DAYS * number / 20, hours=number % 7)
                session.add(
                    Search(
                        user_id=rep.id, deal_id=_deal(session, rep, number), text=text, mode="hybrid", total=0, at=at
                    )
                )


def _deal(session: Session, rep: User, number: int) -> int | None:
    """One of this person's open deals, or none now and then."""
    if number % 5 == 0:
        return None
    theirs = select(Deal.id).where(Deal.owner_id == rep.id, Deal.outcome == Outcome.OPEN.value)
    ids = session.scalars(theirs.order_by(Deal.external_id)).all()
    return ids[number % min(4, len(ids))] if ids else None
