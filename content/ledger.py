"""Events, deals and stage histories as columns in memory, brought up to date by what changed since the last look.

A process reads the tables once and then only what is new: events by their number, deals by the change log. Whatever the
order in which rows came, the columns hold the same rows; `recount` reads everything again and says whether they agree.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import structlog
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Float, Select, String, cast, extract, func, select
from sqlalchemy.orm import Session
from sqlalchemy.pool import Pool

from content.deals import Deal, DealChange, DealStage, DealTag
from content.kinds import DealSource, Facet, Outcome, UseKind
from content.models import UseEvent
from content.taxonomy import Tag
from kb import clock
from kb.db import Database, is_postgresql

Indices = NDArray[np.int64]
Codes = NDArray[np.int8]
Floats = NDArray[np.float64]
Words = NDArray[np.object_]
Flags = NDArray[np.bool_]

KINDS: Final = tuple(UseKind)
SOURCES: Final = tuple(DealSource)
OUTCOMES: Final = tuple(Outcome)
SECONDS_A_DAY: Final = 86_400
PIECE: Final = 500
"""Changed deals that are asked for in one statement."""
MOST_PATIENCE: Final = 10_000
PATIENCE: Final = 600.0
"""So many missing numbers of events are waited for, and so many seconds: another transaction may hold them."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """One row an event; `at` in days since 1970, ids 0 where there is none. All of the shape (events,)."""

    id: Indices
    asset: Indices
    version: Indices
    user: Indices
    deal: Indices
    kind: Codes
    source: Codes
    at: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Deals:
    """One row a deal, by id; `industry` is the tag's id or the CRM's own word; times in days since 1970, `closed` NaN while it is open, `cents` -1 without an amount."""

    id: Indices
    owner: Indices
    industry: Words
    segment: Words
    created: Floats
    closed: Floats
    outcome: Codes
    cents: Indices
    currency: Words

    def rows(self, deal_ids: Indices) -> Indices:
        """The place of each id; -1 for a deal that is not there."""
        if not len(self.id):
            return np.full(len(deal_ids), -1, np.int64)
        place = np.minimum(np.searchsorted(self.id, deal_ids), len(self.id) - 1)
        return np.where(self.id[place] == deal_ids, place, -1)


@dataclass(frozen=True, slots=True, eq=False)
class Entries:
    """One row a stage that a deal entered at a known moment, the first time of each; by deal, then by time."""

    deal: Indices
    stage: Indices
    entered: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Ledger:
    """All of it at one moment; never changed, only replaced."""

    events: Events
    deals: Deals
    entries: Entries
    last_event: int
    last_change: int
    missing: Mapping[int, float] = field(default_factory=dict)
    """Numbers below `last_event` that were not there, and since when (monotonic seconds) they are waited for."""


def read(session: Session) -> Ledger:
    """Everything, from the tables as they stand."""
    last_change = session.scalar(select(func.max(DealChange.id))) or 0
    events = _events(_fetched(session, _event_columns(session)))
    last = int(events.id[-1]) if len(events.id) else 0
    return Ledger(events, _deals(session, None), _entries(session, None), last, last_change)


def catch_up(session: Session, ledger: Ledger) -> Ledger:
    """The same ledger with what came or changed since; itself where nothing did."""
    last_change = session.scalar(select(func.max(DealChange.id))) or 0
    last_event = session.scalar(select(func.max(UseEvent.id))) or 0
    if last_event < ledger.last_event or last_change < ledger.last_change:
        return ledger  # this session began before the ledger was read
    if (last_event, last_change) == (ledger.last_event, ledger.last_change) and not ledger.missing:
        return ledger
    grown = _with_events(session, ledger, last_event)
    return _with_deals(session, grown, last_change) if last_change != ledger.last_change else grown


def _with_events(session: Session, ledger: Ledger, last_event: int) -> Ledger:
    statement = _event_columns(session)
    late = sorted(ledger.missing)
    rows = [*_fetched(session, statement.where(UseEvent.id > ledger.last_event))]
    for begin in range(0, len(late), PIECE):
        rows += _fetched(session, statement.where(UseEvent.id.in_(late[begin : begin + PIECE])))
    if not rows and last_event == ledger.last_event:
        return ledger
    fresh = _events(sorted(rows, key=lambda row: row[0]))
    joined = _joined(ledger.events, fresh)
    order = np.argsort(joined.id, kind="stable")
    found = set(fresh.id.tolist())
    new = range(ledger.last_event + 1, last_event) if last_event - ledger.last_event < MOST_PATIENCE else range(0)
    now = time.monotonic()
    waits = {
        number: since for number, since in ledger.missing.items() if number not in found and now - since < PATIENCE
    }
    waits |= {number: now for number in new if number not in found}
    return replace(ledger, events=_picked(joined, order), last_event=last_event, missing=waits)


def _with_deals(session: Session, ledger: Ledger, last_change: int) -> Ledger:
    """Deals named in the change log are read again; those that are gone fall out."""
    overlap = max(0, ledger.last_change - PIECE)  # another transaction may have taken a lower number and come later
    changed = np.unique(
        np.array(
            session.connection().scalars(select(DealChange.deal_id).where(DealChange.id > overlap)).all(), np.int64
        )
    )
    deals, entries = ledger.deals, ledger.entries
    deals = _picked(deals, ~np.isin(deals.id, changed))
    entries = _picked(entries, ~np.isin(entries.deal, changed))
    for begin in range(0, len(changed), PIECE):
        piece = changed[begin : begin + PIECE].tolist()
        deals, entries = _joined(deals, _deals(session, piece)), _joined(entries, _entries(session, piece))
    return replace(
        ledger,
        deals=_picked(deals, np.argsort(deals.id, kind="stable")),
        entries=_picked(entries, np.lexsort((entries.stage, entries.entered, entries.deal))),
        last_change=last_change,
    )


def differences(kept: Ledger, fresh: Ledger) -> list[str]:
    """The columns in which two ledgers are not the same to the last digit; empty when they agree."""
    told = []
    for name in ("events", "deals", "entries"):
        ours, theirs = getattr(kept, name), getattr(fresh, name)
        for column in fields(ours):
            one, other = getattr(ours, column.name), getattr(theirs, column.name)
            if one.shape != other.shape or not np.array_equal(one, other, equal_nan=one.dtype.kind == "f"):
                told.append(f"{name}.{column.name}")
    return told


class Keeper:
    """The ledger of this process for each database, read once and kept up to date."""

    def __init__(self) -> None:
        self._kept: WeakKeyDictionary[Pool, Ledger] = WeakKeyDictionary()
        self._read_on: WeakKeyDictionary[Pool, date] = WeakKeyDictionary()
        self._turn = threading.Lock()

    def of(self, session: Session) -> Ledger:
        """As this session sees the database, read anew once a day; a writing session gets its own, which nobody else sees."""
        if not session.info.get("reading"):
            return read(session)
        today = clock.now().date()
        if self._read_on.setdefault(_pool(session), today) != today:
            self._tell(self.recount(session))
        with self._turn:
            kept = self._kept.get(_pool(session))
            found = read(session) if kept is None else catch_up(session, kept)
            self._kept[_pool(session)] = found
            return found

    @staticmethod
    def _tell(columns: Sequence[str]) -> None:
        if columns:
            log.error("figures.differ", columns=columns)
        else:
            log.info("figures.agree")

    def recount(self, session: Session) -> list[str]:
        """Read everything again and keep that; names what differed from what was kept."""
        with self._turn:
            kept = self._kept.get(_pool(session))
            fresh = read(session)
            told = differences(catch_up(session, kept), fresh) if kept is not None else []
            self._kept[_pool(session)] = fresh
            self._read_on[_pool(session)] = clock.now().date()
            return told


def _pool(session: Session) -> Pool:
    """What all sessions of one database share."""
    return session.get_bind().engine.pool


KEEPER: Final = Keeper()


def of(session: Session) -> Ledger:
    """The ledger as this session sees the database."""
    return KEEPER.of(session)


def sweep(database: Database) -> Callable[[], None]:
    """When a day begins the ledger of this process is read anew, before anybody waits for it."""
    seen = [clock.now().date()]

    def run() -> None:
        if seen != [today := clock.now().date()]:
            seen[:] = [today]
            with database.reading() as session:
                of(session)

    return run


def _days(session: Session, moment: Any) -> ColumnElement[Any]:
    """A moment as days since 1970, in the database: a million rows cost more to read as dates than to fetch."""
    if is_postgresql(session):
        return cast(extract("epoch", moment), Float) / SECONDS_A_DAY
    return cast(func.julianday(moment), Float) - 2_440_587.5


def _event_columns(session: Session) -> Select[*tuple[Any, ...]]:
    return select(
        UseEvent.id,
        UseEvent.asset_id,
        func.coalesce(UseEvent.version_id, 0),
        func.coalesce(UseEvent.user_id, 0),
        func.coalesce(UseEvent.deal_id, 0),
        UseEvent.kind,
        UseEvent.deal_source,
        _days(session, UseEvent.at),
    ).order_by(UseEvent.id)


def _events(rows: Sequence[Any]) -> Events:
    kinds = {kind.value: number for number, kind in enumerate(KINDS)}
    sources = {source.value: number for number, source in enumerate(SOURCES)}
    columns: Sequence[Any] = list(zip(*rows, strict=True)) or [()] * 8
    event, asset, version, user, deal = (np.array(column, np.int64) for column in columns[:5])
    return Events(
        event, asset, version, user, deal,
        np.array([kinds[one] for one in columns[5]], np.int8),
        np.array([sources[one] for one in columns[6]], np.int8),
        np.array(columns[7], np.float64),
    )  # fmt: skip


def _deals(session: Session, ids: Sequence[int] | None) -> Deals:
    industry = (
        select(DealTag.deal_id, func.min(DealTag.tag_id).label("tag_id"))
        .join(Tag, Tag.id == DealTag.tag_id)
        .where(Tag.facet == Facet.INDUSTRY.value, *(() if ids is None else (DealTag.deal_id.in_(ids),)))
        .group_by(DealTag.deal_id)
        .subquery()
    )
    cents = func.coalesce(cast(func.round(Deal.amount * 100), Float), -1.0)
    statement = (
        select(
            Deal.id,
            func.coalesce(Deal.owner_id, 0),
            func.coalesce(cast(industry.c.tag_id, String), Deal.industry_word, ""),
            cents,
            _days(session, Deal.created_at),
            _days(session, Deal.closed_at),
            Deal.segment,
            Deal.currency,
            Deal.outcome,
        )
        .outerjoin(industry, industry.c.deal_id == Deal.id)
        .order_by(Deal.id)
    )
    rows = _fetched(session, statement if ids is None else statement.where(Deal.id.in_(ids)))
    columns: Sequence[Any] = list(zip(*rows, strict=True)) or [()] * 9
    outcomes = {outcome.value: number for number, outcome in enumerate(OUTCOMES)}
    return Deals(
        id=np.array(columns[0], np.int64),
        owner=np.array(columns[1], np.int64),
        industry=np.array(columns[2], np.object_),
        segment=np.array(columns[6], np.object_),
        created=np.array(columns[4], np.float64),
        closed=np.array(columns[5], np.float64),
        outcome=np.array([outcomes[one] for one in columns[8]], np.int8),
        cents=np.array(columns[3], np.float64).astype(np.int64),
        currency=np.array(columns[7], np.object_),
    )


def _entries(session: Session, ids: Sequence[int] | None) -> Entries:
    """Entries that only were assumed are left out: the CRM gave the stage, but not the moment."""
    first = func.min(DealStage.entered_at)
    statement = (
        select(DealStage.deal_id, DealStage.stage_id, _days(session, first))
        .where(DealStage.is_assumed.is_(False), *(() if ids is None else (DealStage.deal_id.in_(ids),)))
        .group_by(DealStage.deal_id, DealStage.stage_id)
    )
    columns: Sequence[Any] = list(zip(*_fetched(session, statement), strict=True)) or [()] * 3
    found = Entries(np.array(columns[0], np.int64), np.array(columns[1], np.int64), np.array(columns[2], np.float64))
    return _picked(found, np.lexsort((found.stage, found.entered, found.deal)))


Columns = TypeVar("Columns", Events, Deals, Entries)


def _picked(columns: Columns, chosen: Indices | Flags) -> Columns:
    return type(columns)(*(getattr(columns, one.name)[chosen] for one in fields(columns)))


def _joined(one: Columns, other: Columns) -> Columns:
    return type(one)(*(np.concatenate([getattr(one, part.name), getattr(other, part.name)]) for part in fields(one)))


def _fetched(session: Session, statement: Select[*tuple[Any, ...]]) -> Sequence[Any]:
    return session.connection().execute(statement).fetchall()
