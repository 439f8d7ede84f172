"""Searches as rows, so that a copy can be traced to what was typed; typing within 30 seconds is one search."""

from datetime import datetime, timedelta

from sqlalchemy import ForeignKey, Index, String, exists, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from content.deals import DealContext
from content.models import UseEvent
from kb import clock
from kb.access import Actor
from kb.db import Base, public_id

TYPING = timedelta(seconds=30)
KEPT_FOR_SUGGESTIONS = timedelta(days=180)


class Search(Base):
    __tablename__ = "search"
    __table_args__ = (
        Index("ix_search_user_at", "user_id", "at"),
        Index(
            "ix_search_unjudged",
            "at",
            sqlite_where=text("judged_at IS NULL"),
            postgresql_where=text("judged_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(24), unique=True, default=public_id)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    deal_id: Mapped[int | None] = mapped_column(ForeignKey("deal.id"))
    text: Mapped[str] = mapped_column(String(400))
    mode: Mapped[str] = mapped_column(String(20))
    total: Mapped[int]
    at: Mapped[datetime]
    judged_at: Mapped[datetime | None]
    """When it was looked at whether it led anywhere."""


def record(session: Session, actor: Actor, deal: DealContext | None, words: str, mode: str, total: int) -> str:
    """Keep one search and return its public id; what was typed just before, and led to nothing, becomes this one."""
    row = _being_typed(session, actor, deal)
    if row is None:
        row = Search(user_id=actor.user_id, deal_id=deal.id if deal else None, public_id=public_id())
        session.add(row)
    row.text, row.mode, row.total, row.at = words[:400], mode, total, clock.now()
    session.flush()
    return row.public_id


def _being_typed(session: Session, actor: Actor, deal: DealContext | None) -> Search | None:
    used = exists().where(UseEvent.search_id == Search.public_id)
    return session.scalar(
        select(Search)
        .where(
            Search.user_id == actor.user_id,
            Search.at > clock.now() - TYPING,
            Search.deal_id.is_(None) if deal is None else Search.deal_id == deal.id,
            Search.judged_at.is_(None),
            ~used,
        )
        .order_by(Search.at.desc(), Search.id.desc())
        .limit(1)
    )
