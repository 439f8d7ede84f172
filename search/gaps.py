"""What the library lacks: searches that found nothing, or nothing that was used, joined by what they mean.

Half an hour after a search it is judged: one that led to a view or a use is done; any other becomes a signal of the gap
whose meaning is nearest, or of a new one. A signal names neither person nor customer, only the team and the deal, whose
open amount is the gap's weight. Whether the answer exists is told to each viewer as far as that viewer may see it.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

import numpy as np
import structlog
from sqlalchemy import ForeignKey, Index, LargeBinary, String, or_, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from content import deals, reading, taxonomy, visibility
from content.deals import Deal, DealContext, UnknownDeal
from content.kinds import Outcome, VersionState
from content.models import Asset, UseEvent, Version
from kb import audit, clock, users
from kb.access import SYSTEM, Actor, Permission, require
from kb.db import Base, Database, public_id, take_turn
from kb.errors import N_, Conflict, Invalid, NotFound
from kb.users import User, UserTeam
from search import analysis, service, syntax
from search.engine import IndexDamaged
from search.log import Search
from search.query import Mode, Query
from search.service import Finder

WAIT: Final = timedelta(minutes=35)
"""A view or use within this time after a search says that it found what was wanted."""
AT_ONCE: Final = 200
SAME: Final = 0.42
"""Searches mean the same from this closeness on: on forty queries in both languages no two subjects are as near."""
SAME_WORDS: Final = 0.6
"""Without a model: the part of both queries' weight that they share."""
STRONG: Final = 0.5
"""Weight of the words by which queries are compared at all."""
SURE: Final = 0.36
SURE_BY_WORDS: Final = 0.5
LEAST_WEIGHT: Final = 0.9
"""A query whose words weigh less says nothing."""
NAMES_KEPT: Final = timedelta(days=180)
LONGEST_REASON: Final = 500
TURN: Final = "search gaps"

log = structlog.get_logger(__name__)


class GapState(StrEnum):
    OPEN = "open"
    TAKEN = "taken"
    ANSWERED = "answered"
    DISMISSED = "dismissed"


class Finding(StrEnum):
    """Why a search led nowhere: nothing says it, it lies behind a lock, it is there and was not found or not used."""

    MISSING = "missing"
    LOCKED = "locked"
    NOT_FOUND = "not_found"


class Gap(Base):
    """Searches of one meaning; `vector` is that of the first one, by the encoder named."""

    __tablename__ = "gap"
    __table_args__ = (Index("ix_gap_state", "state"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(24), unique=True, default=public_id)
    text: Mapped[str] = mapped_column(String(400))
    encoder: Mapped[str] = mapped_column(String(120), default="")
    vector: Mapped[bytes | None] = mapped_column(LargeBinary)
    state: Mapped[str] = mapped_column(String(10), default=GapState.OPEN.value)
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    answer_id: Mapped[int | None] = mapped_column(ForeignKey("asset.id"))
    reason: Mapped[str] = mapped_column(String(LONGEST_REASON), default="")
    first_at: Mapped[datetime]
    last_at: Mapped[datetime]
    changed_at: Mapped[datetime]


class GapSignal(Base):
    """One search that led nowhere; `asset_id` is what says it, where something does."""

    __tablename__ = "gap_signal"

    search_id: Mapped[int] = mapped_column(ForeignKey("search.id", ondelete="CASCADE"), primary_key=True)
    gap_id: Mapped[int] = mapped_column(ForeignKey("gap.id", ondelete="CASCADE"), index=True)
    finding: Mapped[str] = mapped_column(String(10))
    asset_id: Mapped[int | None] = mapped_column(ForeignKey("asset.id"))


@dataclass(frozen=True, slots=True)
class Asked:
    """One wording of a gap, and how often it was typed."""

    text: str
    count: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Existing:
    """What says it already, as far as the viewer may know."""

    public_id: str
    title: str
    language: str


@dataclass(frozen=True, slots=True)
class GapLine:
    """A gap as pages show it; `amounts` are of the open deals its searches came from, by currency, each deal once."""

    public_id: str
    text: str
    state: GapState
    owner: str
    owner_id: str
    reason: str
    answer: Existing | None
    searches: int
    people: int
    teams: tuple[str, ...]
    deals: int
    amounts: tuple[tuple[str, Decimal], ...]
    findings: Mapping[Finding, int]
    existing: tuple[Existing, ...]
    asked: tuple[Asked, ...]
    first_at: datetime
    last_at: datetime

    @property
    def finding(self) -> Finding:
        """What most of its searches came to."""
        return max(Finding, key=lambda one: self.findings.get(one, 0))


def judge(database: Database, finder: Finder, at_once: int = AT_ONCE) -> int:
    """Judge searches that have had their time; returns how many were looked at."""
    with database.reading() as session:
        waiting = session.scalars(
            select(Search)
            .where(Search.judged_at.is_(None), Search.at < clock.now() - WAIT)
            .order_by(Search.id)
            .limit(at_once)
        ).all()
        used = _used(session, [row.public_id for row in waiting])
        poor = [row for row in waiting if row.public_id not in used and _says_something(row.text)]
        found = [(row, *_finding(session, finder, row)) for row in poor]
        vectors = {row.id: _vector(session, finder, row.text) for row in poor}
    if not waiting:
        return 0
    with database.writing() as session:
        take_turn(session, TURN)
        known = _Known.of(session)
        for row, finding, asset_id in found:
            if session.get(GapSignal, row.id) is None:
                gap = known.nearest(row.text, vectors[row.id]) or known.begin(session, row, vectors[row.id])
                _joined(session, gap, row)
                session.add(GapSignal(search_id=row.id, gap_id=gap.id, finding=finding.value, asset_id=asset_id))
        session.execute(update(Search).where(Search.id.in_([row.id for row in waiting])).values(judged_at=clock.now()))
    return len(waiting)


def _used(session: Session, search_ids: Sequence[str]) -> set[str]:
    return set(session.scalars(select(UseEvent.search_id).where(UseEvent.search_id.in_(search_ids))))


def _says_something(text: str) -> bool:
    words = syntax.parse(text).words
    return sum(term.weight for term in analysis.query_terms(words)) >= LEAST_WEIGHT


def _finding(session: Session, finder: Finder, row: Search) -> tuple[Finding, int | None]:
    """Whether something in the whole library says it, and whether the person could have had it."""
    words = syntax.parse(row.text).words
    try:
        page = service.search(session, finder, SYSTEM, None, Query.of(words, limit=5, mode=Mode.HYBRID), "zh")
    except IndexDamaged:
        return Finding.MISSING, None
    sure = SURE_BY_WORDS if page.limited or finder.meaning.is_off else SURE
    ids = [hit.asset.id for hit in page.hits if hit.score >= sure]
    if not ids:
        return Finding.MISSING, None
    who, deal = _who(session, row)
    seen = (
        set(session.scalars(select(Asset.id).where(Asset.id.in_(ids), visibility.visible_to(who, deal))))
        if who
        else {*ids}
    )
    best = next((asset_id for asset_id in ids if asset_id in seen), None)
    return (Finding.NOT_FOUND, best) if best is not None else (Finding.LOCKED, ids[0])


def _who(session: Session, row: Search) -> tuple[Actor | None, DealContext | None]:
    """The person as they are now, on the deal of the search; nobody where they have left."""
    user = users.find(session, row.user_id) if row.user_id is not None else None
    if user is None or user.deactivated_at is not None:
        return None, None
    actor = users.actor_of(user)
    deal = session.get(Deal, row.deal_id) if row.deal_id is not None else None
    if deal is None:
        return actor, None
    try:
        return actor, deals.get_context(session, actor, taxonomy.load(session), deal.external_id)
    except UnknownDeal:
        return actor, None


Vector = tuple[str, bytes] | None


def _vector(session: Session, finder: Finder, text: str) -> Vector:
    asked = finder.meaning.direction(session, syntax.parse(text).words)
    return (asked[0], asked[1].astype("<f4").tobytes()) if asked is not None else None


class _Known:
    """All gaps, the dismissed ones too, whose searches stay with them; found by words and by meaning."""

    def __init__(self, gaps: Sequence[Gap]) -> None:
        self._gaps = list(gaps)
        self._by_text = {analysis.fold(gap.text): gap for gap in gaps}
        self._by_word: dict[str, set[int]] = {}
        self._vectors: dict[str, tuple[list[int], list[bytes]]] = {}
        for place, gap in enumerate(self._gaps):
            self._note(place, gap)

    @classmethod
    def of(cls, session: Session) -> "_Known":
        return cls(session.scalars(select(Gap).order_by(Gap.id)).all())

    def _note(self, place: int, gap: Gap) -> None:
        for word, weight in _weights(gap.text).items():
            if weight >= STRONG:
                self._by_word.setdefault(word, set()).add(place)
        if gap.vector is not None:
            places, vectors = self._vectors.setdefault(gap.encoder, ([], []))
            places.append(place)
            vectors.append(gap.vector)

    def nearest(self, text: str, vector: Vector) -> Gap | None:
        """The gap of the same words, or of the nearest meaning if that is near enough."""
        same = self._by_text.get(analysis.fold(text))
        if same is not None:
            return same
        found = [(_shared(self._gaps[place].text, text) / SAME_WORDS, place) for place in self._sharing(text)]
        if vector is not None and vector[0] in self._vectors:
            places, vectors = self._vectors[vector[0]]
            near = np.frombuffer(b"".join(vectors), "<f4").reshape(len(places), -1) @ np.frombuffer(vector[1], "<f4")
            best = int(near.argmax())
            found.append((float(near[best]) / SAME, places[best]))
        closeness, place = max(found, default=(0.0, 0))
        return self._gaps[place] if closeness >= 1.0 else None

    def _sharing(self, text: str) -> set[int]:
        """Places of gaps that hold one of the weighty words."""
        words = (word for word, weight in _weights(text).items() if weight >= STRONG)
        return set().union(*(self._by_word.get(word, set()) for word in words))

    def begin(self, session: Session, row: Search, vector: Vector) -> Gap:
        gap = Gap(
            text=row.text,
            encoder=vector[0] if vector else "",
            vector=vector[1] if vector else None,
            first_at=row.at,
            last_at=row.at,
            changed_at=clock.now(),
        )
        session.add(gap)
        session.flush()
        self._gaps.append(gap)
        self._by_text.setdefault(analysis.fold(gap.text), gap)
        self._note(len(self._gaps) - 1, gap)
        return gap


def _weights(text: str) -> dict[str, float]:
    return {term.text: term.weight for term in analysis.query_terms(text)}


def _shared(one: str, other: str) -> float:
    """The part of both queries' weight that they share (weighted Jaccard)."""
    weights = _weights(one), _weights(other)
    every = weights[0].keys() | weights[1].keys()
    both = sum(min(weights[0].get(word, 0.0), weights[1].get(word, 0.0)) for word in every)
    either = sum(max(weights[0].get(word, 0.0), weights[1].get(word, 0.0)) for word in every)
    return both / either if either else 0.0


def _joined(session: Session, gap: Gap, row: Search) -> None:
    """A search more: what was answered, and is asked again after that, is open again."""
    gap.last_at = max(gap.last_at, row.at)
    if gap.state == GapState.ANSWERED.value and row.at > gap.changed_at:
        gap.state, gap.changed_at = GapState.OPEN.value, clock.now()
        audit.record(session, SYSTEM, "gap.reopen", "gap", gap.public_id)


def list_gaps(
    session: Session, actor: Actor, state: GapState | None = GapState.OPEN, limit: int = 100
) -> list[GapLine]:
    """The gaps in a state, or all, those with the most open money first."""
    require(actor, Permission.MEASURE)
    statement = select(Gap) if state is None else select(Gap).where(Gap.state == state.value)
    lines = _lines(session, actor, session.scalars(statement).all())
    lines.sort(
        key=lambda line: (-max((amount for _, amount in line.amounts), default=Decimal(0)), -line.searches, line.text)
    )
    return lines[:limit]


def count_open(session: Session, actor: Actor) -> Mapping[GapState, int]:
    """How many gaps stand in each state."""
    require(actor, Permission.MEASURE)
    counts = Counter(session.scalars(select(Gap.state)))
    return {state: counts[state.value] for state in GapState}


def get_gap(session: Session, actor: Actor, reference: str) -> GapLine:
    require(actor, Permission.MEASURE)
    return _lines(session, actor, [_gap(session, reference)])[0]


def _gap(session: Session, reference: str) -> Gap:
    gap = session.scalar(select(Gap).where(Gap.public_id == reference))
    if gap is None:
        raise NotFound()
    return gap


def _lines(session: Session, actor: Actor, gaps: Sequence[Gap]) -> list[GapLine]:
    ids = [gap.id for gap in gaps]
    rows = session.execute(
        select(
            GapSignal.gap_id,
            GapSignal.finding,
            GapSignal.asset_id,
            Search.text,
            Search.at,
            Search.user_id,
            Search.deal_id,
        )
        .join(Search, Search.id == GapSignal.search_id)
        .where(GapSignal.gap_id.in_(ids), Search.at > clock.now() - NAMES_KEPT)
    ).all()
    by_gap: dict[int, list[Any]] = {gap_id: [] for gap_id in ids}
    for row in rows:
        by_gap[row.gap_id].append(row)
    known = _existing(session, actor, {row.asset_id for row in rows} | {gap.answer_id for gap in gaps})
    teams = _teams(session, {row.user_id for row in rows})
    open_deals = _open_deals(session, {row.deal_id for row in rows})
    owners = {
        row.id: (row.name, row.public_id)
        for row in session.execute(
            select(User.id, User.name, User.public_id).where(User.id.in_({gap.owner_id for gap in gaps}))
        )
    }
    return [_line(gap, by_gap[gap.id], known, teams, open_deals, owners) for gap in gaps]


def _line(
    gap: Gap,
    rows: Sequence[Any],
    known: Mapping[int, Existing],
    teams: Mapping[int, Sequence[str]],
    open_deals: Mapping[int, tuple[Decimal | None, str]],
    owners: Mapping[int, tuple[str, str]],
) -> GapLine:
    amounts: dict[str, Decimal] = {}
    of_deals = {row.deal_id for row in rows if row.deal_id is not None}
    for deal_id in of_deals:
        amount, currency = open_deals.get(deal_id, (None, ""))
        if amount is not None:
            amounts[currency] = amounts.get(currency, Decimal(0)) + amount
    wordings = Counter(row.text for row in rows)
    last = {row.text: row.at for row in sorted(rows, key=lambda row: row.at)}
    owner, owner_id = owners.get(gap.owner_id or 0, ("", ""))
    return GapLine(
        gap.public_id,
        wordings.most_common(1)[0][0] if wordings else gap.text,
        GapState(gap.state),
        owner,
        owner_id,
        gap.reason,
        known.get(gap.answer_id or 0),
        len(rows),
        len({row.user_id for row in rows}),
        tuple(sorted({name for row in rows for name in teams.get(row.user_id, ())})),
        len(of_deals),
        tuple(sorted(amounts.items(), key=lambda one: -one[1])),
        Counter(_told(row, known) for row in rows),
        tuple(dict.fromkeys(known[row.asset_id] for row in rows if row.asset_id in known)),
        tuple(Asked(text, count, last[text]) for text, count in wordings.most_common()),
        gap.first_at,
        gap.last_at,
    )


def _told(row: Any, known: Mapping[int, Existing]) -> Finding:
    """What a viewer may learn: that something exists, only where the viewer may know of that very thing."""
    return Finding(row.finding) if row.asset_id is None or row.asset_id in known else Finding.MISSING


def _existing(session: Session, actor: Actor, asset_ids: Iterable[int | None]) -> Mapping[int, Existing]:
    may_know = or_(visibility.visible_to(actor, None), visibility.locked_for(actor, None))
    if actor.may(Permission.EDIT):
        may_know = or_(may_know, visibility.editable_by(actor))
    rows = session.execute(
        select(Asset.id, Asset.public_id, Version.title, Version.language)
        .join(Version, Version.asset_id == Asset.id)
        .where(
            Asset.id.in_({one for one in asset_ids if one is not None}),
            Version.state == VersionState.PUBLISHED.value,
            may_know,
        )
    )
    return {row.id: Existing(row.public_id, row.title, row.language) for row in rows}


def _teams(session: Session, user_ids: Iterable[int | None]) -> Mapping[int, Sequence[str]]:
    wanted = {one for one in user_ids if one is not None}
    pairs = session.execute(select(UserTeam.user_id, UserTeam.team_id).where(UserTeam.user_id.in_(wanted))).all()
    names = users.list_teams(session, [row.team_id for row in pairs])
    found: dict[int, list[str]] = {}
    for row in pairs:
        found.setdefault(row.user_id, []).append(names[row.team_id])
    return found


def _open_deals(session: Session, deal_ids: Iterable[int | None]) -> Mapping[int, tuple[Decimal | None, str]]:
    rows = session.execute(
        select(Deal.id, Deal.amount, Deal.currency).where(
            Deal.id.in_({one for one in deal_ids if one is not None}), Deal.outcome == Outcome.OPEN.value
        )
    )
    return {row.id: (row.amount, row.currency) for row in rows}


def move(session: Session, actor: Actor, reference: str, state: str, asset: str = "", reason: str = "") -> None:
    """Bring a gap to a state: take it, say what answers it, dismiss it with a reason, or open it again."""
    if state == GapState.TAKEN:
        take(session, actor, reference)
    elif state == GapState.ANSWERED:
        answer(session, actor, reference, asset)
    elif state == GapState.DISMISSED:
        dismiss(session, actor, reference, reason)
    elif state == GapState.OPEN:
        reopen(session, actor, reference)
    else:
        raise Invalid(N_("Use one of open, taken, answered, dismissed."), code="unknown_state")


def take(session: Session, actor: Actor, reference: str) -> None:
    """This person will see to it."""
    require(actor, Permission.MEASURE)
    gap = _gap(session, reference)
    if gap.state == GapState.TAKEN.value and gap.owner_id not in (None, actor.user_id):
        raise Conflict(N_("Somebody else has taken it."), code="gap_taken")
    _move(session, actor, gap, GapState.TAKEN)
    gap.owner_id = actor.user_id


def answer(session: Session, actor: Actor, reference: str, asset: str = "") -> None:
    """Something answers it now, named where the person says what."""
    require(actor, Permission.MEASURE)
    gap = _gap(session, reference)
    if asset.strip():
        gap.answer_id = reading.get_visible(session, actor, None, asset.strip()).id
    _move(session, actor, gap, GapState.ANSWERED)
    gap.owner_id = gap.owner_id or actor.user_id


def dismiss(session: Session, actor: Actor, reference: str, reason: str) -> None:
    """Nothing will be written, for a reason."""
    require(actor, Permission.MEASURE)
    if not reason.strip():
        raise Invalid(N_("Say why nothing will be written."), code="reason_missing")
    gap = _gap(session, reference)
    _move(session, actor, gap, GapState.DISMISSED)
    gap.reason = reason.strip()[:LONGEST_REASON]


def reopen(session: Session, actor: Actor, reference: str) -> None:
    """It is open again, and nobody's."""
    require(actor, Permission.MEASURE)
    gap = _gap(session, reference)
    _move(session, actor, gap, GapState.OPEN)
    gap.owner_id = gap.answer_id = None


def _move(session: Session, actor: Actor, gap: Gap, state: GapState) -> None:
    before, gap.state, gap.changed_at, gap.reason = gap.state, state.value, clock.now(), ""
    audit.record(session, actor, f"gap.{state.value}", "gap", gap.public_id, before=before)


def as_fields(line: GapLine) -> dict[str, object]:
    """A gap under the names that programs read."""
    return {
        "id": line.public_id,
        "text": line.text,
        "state": line.state.value,
        "owner": line.owner or None,
        "finding": line.finding.value,
        "findings": {one.value: line.findings.get(one, 0) for one in Finding},
        "searches": line.searches,
        "people": line.people,
        "teams": list(line.teams),
        "deals": line.deals,
        "open_amounts": [{"currency": currency, "amount": str(amount)} for currency, amount in line.amounts],
        "asked": [{"text": one.text, "count": one.count} for one in line.asked],
        "existing": [{"id": one.public_id, "title": one.title} for one in line.existing],
        "answer": line.answer.public_id if line.answer else None,
        "reason": line.reason or None,
        "first_at": line.first_at.isoformat(),
        "last_at": line.last_at.isoformat(),
    }


def forget_names(session: Session) -> None:
    """After half a year a search is nobody's any more."""
    session.execute(
        update(Search).where(Search.at < clock.now() - NAMES_KEPT, Search.user_id.is_not(None)).values(user_id=None)
    )


def sweep(database: Database, finder: Finder) -> Callable[[], None]:
    """Every minute what has had its time is judged; once a day old names are forgotten."""
    last_minute: list[datetime] = []
    last_day: list[object] = []

    def run() -> None:
        now = clock.now()
        if last_minute and now - last_minute[0] < timedelta(minutes=1):
            return
        last_minute[:] = [now]
        judge(database, finder)
        if last_day != [now.date()]:
            last_day[:] = [now.date()]
            with database.writing() as session:
                forget_names(session)

    return run
