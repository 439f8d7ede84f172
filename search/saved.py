"""Searches that a person keeps, and notices of what is published and matches them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import structlog
from sqlalchemy import JSON, ForeignKey, Index, String, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from content import taxonomy, visibility
from content.kinds import VersionState
from content.models import Asset, Version
from kb import audit, clock, notices, users
from kb.access import Actor, Permission, require
from kb.db import Base, Database, public_id
from kb.errors import N_, Invalid, NotFound
from search import service
from search.engine import IndexDamaged
from search.query import Mode, Query, Sort, printable
from search.service import Finder

MOST: Final = 50
LONGEST_NAME: Final = 120
LOOK: Final = timedelta(seconds=20)
SETTLED: Final = timedelta(seconds=15)
"""What was published less long ago may not be indexed yet: it is looked at the next time."""
SURE: Final = 0.3
SURE_BY_WORDS: Final = 0.34
"""Scores from which on something new matches; a notice that is not about it is worse than none."""
NOTICE: Final = "saved_match"

log = structlog.get_logger(__name__)


class SavedSearch(Base):
    """A query with its filters, and up to which version its owner was told of matches."""

    __tablename__ = "saved_search"
    __table_args__ = (Index("ix_saved_search_user", "user_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(24), unique=True, default=public_id)
    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(LONGEST_NAME))
    text: Mapped[str] = mapped_column(String(400))
    filters: Mapped[dict[str, list[str]]] = mapped_column(JSON)
    mode: Mapped[str] = mapped_column(String(20))
    sort: Mapped[str] = mapped_column(String(20))
    tells: Mapped[bool]
    told_at: Mapped[datetime]
    created_at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Kept:
    """A kept search as pages show it."""

    public_id: str
    name: str
    text: str
    filters: Mapping[str, Sequence[str]]
    mode: Mode
    sort: Sort
    tells: bool
    created_at: datetime


def keep(session: Session, actor: Actor, query: Query, name: str, *, tells: bool) -> str:
    """Keep a search under a name, the query itself where none is given; the same one twice is kept once."""
    require(actor, Permission.SEARCH)
    if actor.user_id is None:
        raise Invalid(N_("Only a person can keep a search."), code="no_person")
    if not query.text and not query.filters:
        raise Invalid(N_("A search needs words or a filter to be kept."), code="nothing_to_keep")
    filters = {facet: sorted(values) for facet, values in query.filters.items()}
    mine = session.scalars(select(SavedSearch).where(SavedSearch.user_id == actor.user_id)).all()
    named = printable(name)[:LONGEST_NAME]
    for row in mine:
        if (row.text, row.filters, row.mode, row.sort) == (query.text, filters, query.mode.value, query.sort.value):
            row.tells, row.name = tells, named or row.name
            return row.public_id
    if len(mine) >= MOST:
        raise Invalid(N_("At most 50 searches can be kept: remove one first."), code="too_many_searches")
    fallback = query.text or ", ".join(value for values in filters.values() for value in values)
    now = clock.now()
    row = SavedSearch(
        public_id=public_id(),
        user_id=actor.user_id,
        name=named or fallback[:LONGEST_NAME],
        text=query.text,
        filters=filters,
        mode=query.mode.value,
        sort=query.sort.value,
        tells=tells,
        told_at=now,
        created_at=now,
    )
    session.add(row)
    audit.record(session, actor, "search.keep", "saved_search", row.public_id)
    return row.public_id


def list_kept(session: Session, actor: Actor) -> list[Kept]:
    """One's own, by name."""
    require(actor, Permission.SEARCH)
    rows = session.scalars(
        select(SavedSearch).where(SavedSearch.user_id == actor.user_id).order_by(func.lower(SavedSearch.name))
    )
    return [
        Kept(row.public_id, row.name, row.text, row.filters, Mode(row.mode), Sort(row.sort), row.tells, row.created_at)
        for row in rows
    ]


def tell(session: Session, actor: Actor, reference: str, *, tells: bool) -> None:
    """Switch the notices of one of one's searches on or off; from now on, not for what came before."""
    row = _own(session, actor, reference)
    row.tells, row.told_at = tells, clock.now()
    audit.record(session, actor, "search.tell", "saved_search", row.public_id, tells=tells)


def remove(session: Session, actor: Actor, reference: str) -> None:
    row = _own(session, actor, reference)
    audit.record(session, actor, "search.drop", "saved_search", row.public_id)
    session.delete(row)


def _own(session: Session, actor: Actor, reference: str) -> SavedSearch:
    require(actor, Permission.SEARCH)
    row = session.scalar(
        select(SavedSearch).where(SavedSearch.public_id == reference, SavedSearch.user_id == actor.user_id)
    )
    if row is None:
        raise NotFound()
    return row


def look(database: Database, finder: Finder) -> int:
    """Tell owners of what was published since they were told last and matches; returns how many notices were due."""
    until = clock.now() - SETTLED
    with database.reading() as session:
        due = session.scalars(select(SavedSearch).where(SavedSearch.tells, SavedSearch.told_at < until)).all()
        since = min((row.told_at for row in due), default=until)
        fresh = session.execute(
            select(Version.asset_id, Version.id, Version.published_at).where(
                Version.state == VersionState.PUBLISHED.value,
                Version.published_at > since,
                Version.published_at <= until,
            )
        ).all()
        found = [(row, asset) for row in due for asset in _matches(session, finder, row, fresh)] if fresh else []
    if due:
        with database.writing() as session:
            for row, asset in found:
                key = f"{NOTICE}:{row.id}:{asset}"
                notices.tell(session, row.user_id, NOTICE, asset, key, about=row.name)
            for row in due:
                present = session.get(SavedSearch, row.id)
                if present is not None:
                    present.told_at = max(present.told_at, until)
    return len(found)


def _matches(session: Session, finder: Finder, row: SavedSearch, fresh: Sequence[object]) -> list[int]:
    """Of what is fresh to this search's owner, what matches it, among what that person may see without a deal."""
    ids = {one.asset_id for one in fresh if one.published_at > row.told_at}  # type: ignore[attr-defined]
    user = users.find(session, row.user_id)
    if not ids or user is None or user.deactivated_at is not None:
        return []
    actor = users.actor_of(user)
    seen = session.scalars(select(Asset.id).where(Asset.id.in_(ids), visibility.visible_to(actor, None))).all()
    if not seen:
        return []
    query = Query.of(row.text, row.filters, 50, 0, row.mode, row.sort)
    try:
        return service.matching(
            session, finder, np.array(sorted(seen), np.int64), query, taxonomy.load(session), SURE, SURE_BY_WORDS
        )
    except IndexDamaged:
        log.info("saved_searches.wait_for_index")
        return []


def sweep(database: Database, finder: Finder) -> Callable[[], None]:
    """Look a few times a minute."""
    last: list[datetime] = []

    def run() -> None:
        now = clock.now()
        if not last or now - last[0] >= LOOK:
            last[:] = [now]
            look(database, finder)

    return run
