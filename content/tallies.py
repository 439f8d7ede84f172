"""Figures out of the ledger's columns: what was used, by how many, on which deals, and how those ended.

Views are one per person, text and 30 minutes, uses one per person, text, deal and kind in 60, judged by the moments of
the events and not by the order in which they came. Nothing counts towards a deal before it was created or after it
closed. A deal is counted once for each text, however often it used it.
"""

import math
import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Self, TypeVar
from weakref import WeakKeyDictionary, WeakSet

import numpy as np
import structlog
from numpy.typing import NDArray
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.pool import Pool

from content import cohorts
from content.cohorts import Finding, Members, Uses
from content.kinds import DealSource, Outcome, UseKind
from content.ledger import KINDS, OUTCOMES, SECONDS_A_DAY, SOURCES, Ledger
from content.ledger import of as ledger_of
from content.models import UseEvent
from kb import clock
from kb.db import Database, current

Indices = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

Made = TypeVar("Made")
log = structlog.get_logger(__name__)

VIEW_DAYS: Final = 30 / 1440
USE_DAYS: Final = 60 / 1440
HALF_SECOND: Final = 0.5 / SECONDS_A_DAY
USES: Final = [number for number, kind in enumerate(KINDS) if kind.is_use]
EXPOSING: Final = [SOURCES.index(DealSource.CHOSEN), SOURCES.index(DealSource.EMBEDDED)]
VIEW: Final = KINDS.index(UseKind.VIEW)
WON: Final = OUTCOMES.index(Outcome.WON)
LOST: Final = OUTCOMES.index(Outcome.LOST)


def day_of(at: datetime) -> float:
    """A moment as the ledger counts it, in days since 1970."""
    return at.timestamp() / SECONDS_A_DAY


@dataclass(frozen=True, slots=True)
class Period:
    """From `since` on, until `until`; in days since 1970, infinite where it has no end."""

    since: float = -math.inf
    until: float = math.inf

    @classmethod
    def of(cls, days: int) -> Self:
        """The last so many days; 0 for all time."""
        return cls(day_of(clock.now() - timedelta(days=days))) if days else cls()


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """The events that count, ordered by moment; `row` is the row of the deal, -1 where none is counted."""

    asset: Indices
    version: Indices
    user: Indices
    kind: NDArray[np.int8]
    row: Indices
    at: Floats
    is_inferred: Flags
    """The deal was inferred, neither chosen nor embedded: it is counted and marked, and exposes nothing."""

    @property
    def is_use(self) -> Flags:
        return np.isin(self.kind, USES)


@dataclass(frozen=True, slots=True, eq=False)
class Book:
    """A ledger with what was counted out of it."""

    ledger: Ledger
    counted: Counted
    uses: Uses
    """Uses that expose a closed deal to a text: its deal was chosen or embedded; what was only inferred exposes nothing."""
    further: dict[Hashable, Any] = field(default_factory=dict)
    """What was made out of it, by name; gone with the book."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of one text in a period; `closed` and `won` speak of the deals that used it then and are closed now."""

    views: int = 0
    uses: int = 0
    people: int = 0
    deals: int = 0
    helpful: int = 0
    not_helpful: int = 0
    closed: int = 0
    won: int = 0
    lost: int = 0


NOTHING: Final = Tally()
QUICK: Final = 0.25
"""Seconds of counting that a page may wait for; where it takes longer, pages show the last count while the next is made."""
REST: Final = 10.0
"""Times as long as a count took are its figures shown before the next begins."""


def present(session: Session) -> Book:
    """The book for a page: counted anew where that is quick, else the last one, while a thread makes the next."""
    return _DESK.book(session)


FEW: Final = 20_000
"""Events up to which counting is quick enough to do it beside a search."""
LATELY: Final = 30.0
"""Seconds that a search uses the last count before the next is made."""


def lately(session: Session) -> Book | None:
    """The last book for what only needs it roughly, such as the order of hits; None until the first was counted."""
    return _DESK.lately(session)


def deals_lately(book: Book, days: int) -> Mapping[int, int]:
    """By text, on how many deals it was used in the last days; kept with the book for the day."""
    today = clock.now().date()

    def made() -> Mapping[int, int]:
        asset, _ = touches(book, Period.of(days))
        names, often = np.unique(asset, return_counts=True)
        return dict(zip(names.tolist(), often.tolist(), strict=True))

    return kept_with(book, ("deals", days, today), made)


class _CountingDesk:
    """One present book for each database of this process."""

    def __init__(self) -> None:
        self._books: WeakKeyDictionary[Pool, tuple[Book, float, float]] = WeakKeyDictionary()
        self._busy: WeakSet[Pool] = WeakSet()
        self._turn = threading.Lock()

    def book(self, session: Session) -> Book:
        pool = session.get_bind().engine.pool
        kept = self._books.get(pool)
        if kept is None or kept[1] < QUICK or not session.info.get("reading"):
            return self._made(session, pool)
        book, cost, made = kept
        if time.monotonic() > made + REST * cost and self._takes_turn(pool):
            threading.Thread(target=self._make, args=(current(), pool), name="kb-figures", daemon=True).start()
        return book

    def lately(self, session: Session) -> Book | None:
        pool = session.get_bind().engine.pool
        kept = self._books.get(pool)
        if kept is not None and time.monotonic() < kept[2] + max(LATELY, REST * kept[1]):
            return kept[0]
        if (session.scalar(select(func.max(UseEvent.id))) or 0) < FEW:
            return self._made(session, pool)
        if self._takes_turn(pool):
            threading.Thread(target=self._make, args=(current(), pool), name="kb-figures", daemon=True).start()
        return kept[0] if kept else None

    def _takes_turn(self, pool: Pool) -> bool:
        with self._turn:
            if pool in self._busy:
                return False
            self._busy.add(pool)
            return True

    def _make(self, database: Database, pool: Pool) -> None:
        try:
            with database.reading() as session:
                self._made(session, pool)
        except SQLAlchemyError as error:
            log.warning("figures.not_counted", error=type(error).__name__)
        finally:
            self._busy.discard(pool)

    def _made(self, session: Session, pool: Pool) -> Book:
        begun = time.monotonic()
        found = ledger_of(session)
        known = self._books.get(pool)
        if known is not None and known[0].ledger is found:
            self._books[pool] = known[0], known[1], time.monotonic()
            return known[0]
        book = count(found)
        findings(book)
        if session.info.get("reading"):
            done = time.monotonic()
            self._books[pool] = book, done - begun, done
        return book


_DESK: Final = _CountingDesk()


def findings(book: Book, segment: str = "") -> Mapping[int, Finding]:
    """The lift of every text that deals used, by text, of one segment's deals where one is named; kept with the book."""

    def made() -> Mapping[int, Finding]:
        whole, deals = cohort(book).members, book.ledger.deals
        if segment:
            here = (deals.segment == segment)[deals.rows(whole.deal)]
            whole = Members(whole.deal[here], whole.stratum[here], whole.entered[here], whole.won[here])
        return {one.asset: one for one in cohorts.findings(whole, book.uses)}

    return kept_with(book, ("findings", segment), made)


def cohort(book: Book) -> "Cohort":
    """The members of the lift and how long each took; kept with the book."""
    return kept_with(book, "cohort", lambda: _cohort(book.ledger))


def kept_with(book: Book, name: Hashable, make: Callable[[], Made]) -> Made:
    """What `make` gives, made once for each name and book."""
    if name not in book.further:
        book.further[name] = make()
    found: Made = book.further[name]
    return found


def count(ledger: Ledger) -> Book:
    """Which events count, and towards which deal."""
    events, deals = ledger.events, ledger.deals
    row = deals.rows(events.deal) if len(events.deal) else events.deal
    there = row >= 0
    created, closed = _at(deals.created, row, there, math.inf), _at(deals.closed, row, there, math.nan)
    at = events.at
    inside = there & (at >= created - HALF_SECOND) & (np.isnan(closed) | (at <= closed + HALF_SECOND))
    row = np.where(inside, row, -1)
    is_use = np.isin(events.kind, USES)
    window = np.where(is_use, USE_DAYS, VIEW_DAYS)
    judged = ~is_use & (events.kind != VIEW)
    group = np.where(is_use, row, -2)
    # of two at the same moment, the one whose deal is known best is kept
    first = np.lexsort((events.source, at))
    kept = np.zeros(len(at), dtype=bool)
    apart = _apart(events.user[first], events.asset[first], group[first], events.kind[first], at[first], window[first])
    kept[first] = apart | judged[first]
    chosen = np.flatnonzero(kept)
    chosen = chosen[np.argsort(at[chosen], kind="stable")]
    counted = Counted(
        events.asset[chosen], events.version[chosen], events.user[chosen], events.kind[chosen], row[chosen], at[chosen],
        events.source[chosen] == SOURCES.index(DealSource.INFERRED),
    )  # fmt: skip
    exposing = np.flatnonzero(is_use & inside & np.isin(events.source, EXPOSING))
    exposing = exposing[~np.isnan(deals.closed[row[exposing]])]
    return Book(ledger, counted, Uses(events.asset[exposing], events.deal[exposing], at[exposing]))


def _at(values: Floats, row: Indices, there: Flags, otherwise: float) -> Floats:
    found = np.full(len(row), otherwise)
    found[there] = values[row[there]]
    return found


def _apart(user: Indices, asset: Indices, deal: Indices, kind: NDArray[np.int8], at: Floats, window: Floats) -> Flags:
    """Of each group, the events that lie a window after the last that was kept; the first one always."""
    order = np.lexsort((at, kind, deal, asset, user))
    same = np.ones(len(order), dtype=bool)
    same[:1] = False
    for column in (user, asset, deal, kind):
        same[1:] &= column[order][1:] == column[order][:-1]
    when, wide = at[order], window[order]
    near = np.zeros(len(order), dtype=bool)
    near[1:] = same[1:] & (when[1:] - when[:-1] < wide[1:] - HALF_SECOND)
    kept = ~near
    last = 0
    for place in np.flatnonzero(near).tolist():
        # the last kept one before it, in a chain of events that lie close together
        last = last if place and not kept[place - 1] else place - 1
        if when[place] - when[last] >= wide[place] - HALF_SECOND:
            kept[place] = True
            last = place
    found = np.zeros(len(order), dtype=bool)
    found[order] = kept
    return found


def counts(book: Book, period: Period, key: Indices | None = None, deals: Flags | None = None) -> Mapping[int, Tally]:
    """Tallies of the events in a period, by `key` (by text where none is given), of the chosen deals alone where told.

    `key` has the shape (counted events,), `deals` the shape (deals,); a key below 0 is left out.
    """
    counted, table = book.counted, book.ledger.deals
    keys = counted.asset if key is None else key
    inside = (counted.at >= period.since) & (counted.at < period.until) & (keys >= 0)
    if deals is not None:
        inside &= (counted.row >= 0) & deals[counted.row]
    keys, kind, row, user = keys[inside], counted.kind[inside], counted.row[inside], counted.user[inside]
    names, number = np.unique(keys, return_inverse=True)
    size = len(names)
    is_use = np.isin(kind, USES)

    def tallied(mask: Flags) -> Indices:
        return np.bincount(number[mask], minlength=size)

    def different(mask: Flags, other: Indices) -> tuple[Indices, Indices]:
        return _pairs(number[mask], other[mask])

    people, _ = different(is_use, user)
    touched, of_deal = different(is_use & (row >= 0), row)
    ended = ~np.isnan(table.closed[of_deal])
    outcome = table.outcome[of_deal]
    columns = (
        tallied(kind == VIEW),
        tallied(is_use),
        np.bincount(people, minlength=size),
        np.bincount(touched, minlength=size),
        tallied(kind == KINDS.index(UseKind.HELPFUL)),
        tallied(kind == KINDS.index(UseKind.NOT_HELPFUL)),
        np.bincount(touched[ended], minlength=size),
        np.bincount(touched[ended & (outcome == WON)], minlength=size),
        np.bincount(touched[ended & (outcome == LOST)], minlength=size),
    )
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return {name: Tally(*row) for name, row in zip(names.tolist(), rows, strict=True)}


def touches(book: Book, period: Period = Period()) -> tuple[Indices, Indices]:
    """Pairs of a text and the row of a deal that used it in the period, each once."""
    counted = book.counted
    chosen = counted.is_use & (counted.row >= 0) & (counted.at >= period.since) & (counted.at < period.until)
    return _pairs(counted.asset[chosen], counted.row[chosen])


def _pairs(one: Indices, other: Indices) -> tuple[Indices, Indices]:
    """Each different pair once; both whole numbers of 0 and more."""
    width = int(other.max()) + 1 if len(other) else 1
    both = np.unique(one.astype(np.int64) * width + other)
    return both // width, both % width


@dataclass(frozen=True, slots=True, eq=False)
class Cohort:
    """Members, and for each the days in its stage (NaN where it left it before the landmark) and until the deal closed."""

    members: Members
    in_stage: Floats
    to_close: Floats


def _cohort(ledger: Ledger) -> Cohort:
    """Entries of closed deals into stages, in strata of stage, segment, industry and owner."""
    deals, entries = ledger.deals, ledger.entries
    row = deals.rows(entries.deal) if len(entries.deal) else entries.deal
    closed = _at(deals.closed, row, row >= 0, math.nan)
    follows = np.full(len(row), math.inf)
    follows[:-1] = np.where(entries.deal[1:] == entries.deal[:-1], entries.entered[1:], math.inf)
    chosen = ~np.isnan(closed) & (closed > entries.entered + cohorts.LANDMARK_DAYS)
    row, stage, entered = row[chosen], entries.stage[chosen], entries.entered[chosen]
    closed, left = closed[chosen], np.minimum(follows, closed)[chosen]
    if not len(row):
        none = np.zeros(0, dtype=np.int64)
        return Cohort(Members(none, none, np.zeros(0), np.zeros(0, dtype=bool)), np.zeros(0), np.zeros(0))
    segment, industry = (
        np.unique(column.astype(str), return_inverse=True)[1] for column in (deals.segment, deals.industry)
    )
    stratum = np.zeros(len(row), np.int64)
    for column in (stage, segment[row], industry[row], deals.owner[row]):
        part = np.unique(column, return_inverse=True)[1]
        stratum = np.unique(stratum * (int(part.max()) + 1) + part, return_inverse=True)[1]
    members = cohorts.members(deals.id[row], stratum, entered, closed, deals.outcome[row] == WON)
    in_stage = np.where(left > entered + cohorts.LANDMARK_DAYS, left - entered, math.nan)
    return Cohort(members, in_stage, closed - entered)


def quiet(sizes: Sequence[int], least: int) -> frozenset[int]:
    """The places of groups too small to be told, with one more where a total would tell the only one."""
    small = {place for place, size in enumerate(sizes) if 0 < size < least}
    if len(small) == 1:
        rest = [(size, place) for place, size in enumerate(sizes) if place not in small and size]
        small |= {min(rest)[1]} if rest else set()
    return frozenset(small)


@dataclass(frozen=True, slots=True)
class Reach:
    """Who could use a text: deals of these owners that came at least so far, while it was published."""

    asset: int
    owners: frozenset[int]
    position: int
    published: float


def could_use(
    book: Book, period: Period, texts: Sequence[Reach], positions: Mapping[int, int], among: Flags | None = None
) -> Mapping[int, int]:
    """How many deals that were open in the period could use each text; `positions` orders the stages by their id."""
    deals, entries = book.ledger.deals, book.ledger.entries
    furthest = np.full(len(deals.id), -1, np.int64)
    if len(entries.deal):
        row = deals.rows(entries.deal)
        chosen = (row >= 0) & (entries.entered < period.until)
        np.maximum.at(furthest, row[chosen], places(entries.stage[chosen], positions))
    furthest[deals.outcome == WON] = max(positions.values(), default=0)
    closed = np.where(np.isnan(deals.closed), math.inf, deals.closed)
    alive = (deals.created < period.until) & (closed > period.since)
    if among is not None:
        alive &= among
    ends: dict[tuple[frozenset[int], int], Floats] = {}
    found = {}
    for text in texts:
        group = text.owners, text.position
        if group not in ends:
            chosen = alive & np.isin(deals.owner, list(text.owners))
            ends[group] = np.sort(
                closed[chosen & (furthest >= text.position)] if text.position >= 0 else closed[chosen]
            )
        ended = ends[group]
        found[text.asset] = len(ended) - int(np.searchsorted(ended, text.published, side="right"))
    return found


def places(stages: Indices, positions: Mapping[int, int]) -> Indices:
    """The order of each stage; -1 for one that is in no list."""
    names, number = np.unique(stages, return_inverse=True)
    return np.array([positions.get(name, -1) for name in names.tolist()], np.int64)[number]


def stage_at(book: Book, rows: Indices, at: Floats) -> Indices:
    """The stage in which each deal stood at a moment; 0 where none is known. `rows` and `at` of the shape (moments,)."""
    deals, entries = book.ledger.deals, book.ledger.entries
    if not len(entries.deal):
        return np.zeros(len(rows), np.int64)
    span = 1e6
    entry = deals.rows(entries.deal) * span + entries.entered
    order = np.argsort(entry, kind="stable")
    place = np.searchsorted(entry[order], rows * span + at + HALF_SECOND, side="right") - 1
    found = order[np.maximum(place, 0)]
    same = (place >= 0) & (deals.rows(entries.deal[found]) == rows)
    return np.where(same, entries.stage[found], 0)
