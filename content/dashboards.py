"""Figures as pages show them: one text, a team, the whole library.

Groups of fewer than five closed deals are withheld from people, and with a single one a second, so that no sum tells it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import and_, false, or_, select
from sqlalchemy.orm import Session

from content import attribution, cohorts, cycle, insight, reading, tallies, taxonomy
from content.attribution import Rule, Touch
from content.cohorts import Finding
from content.cycle import Cycle
from content.deals import Deal, is_member
from content.insight import LEAST_SHOWN
from content.kinds import TYPE_NAMES, AssetType, Facet, Outcome
from content.lift import Interval, wilson
from content.models import Asset, AssetAudience, AssetTag, Version
from content.tallies import NOTHING, Book, Period, Reach, Tally
from content.taxonomy import AFTER_SALE, Label, Vocabulary
from content.visibility import editable_by, names_it
from kb import clock, users
from kb.access import Actor, Permission, Tier, require
from kb.errors import N_, Invalid
from kb.users import Team, User, UserTeam

PERIODS: Final = (30, 90, 365, 0)
MOST_DEALS: Final = 100
MOST_ROWS: Final = 200
SHORT: Final = 10
WEEKS: Final = 26

Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Filters:
    """What the address narrows figures to; empty words narrow nothing. `days` is one of PERIODS, 0 for all time."""

    days: int = 90
    segment: str = ""
    type: str = ""
    tag: str = ""
    team: str = ""

    @property
    def period(self) -> Period:
        return Period.of(self.days)


def filters_of(given: Mapping[str, str]) -> Filters:
    """Filters as an address has them; Invalid for a period that is none of PERIODS."""
    days = given.get("days") or "90"
    if not days.isdecimal() or len(days) > 4 or int(days) not in PERIODS:
        raise Invalid(N_("The period is one of 30, 90 and 365 days, and 0 for all time."), code="period")
    words = {name: given.get(name, "").strip()[:120] for name in ("segment", "type", "tag", "team")}
    return Filters(int(days), **words)


@dataclass(frozen=True, slots=True)
class Share:
    """A share of deals with its interval and n; all None where the group is too small to be told."""

    won: int | None
    n: int
    value: float | None
    interval: Interval | None


def share(won: int, n: int, rest: int = 0, *, tells: bool = True) -> Share:
    """The share, unless too few deals are in it, or in the `rest` that others read off the same figure without filters."""
    if not n or not tells or n < LEAST_SHOWN or 0 < rest < LEAST_SHOWN:
        return Share(None, n, None, None)
    return Share(won, n, won / n, wilson(won, n))


@dataclass(frozen=True, slots=True)
class TextLine:
    """A text in a table of figures."""

    public_id: str
    external_id: str | None
    title: str
    type: AssetType
    language: str
    is_readable: bool
    """Its page opens for this person; of others, who may edit them, only the editor does."""
    is_verified: bool
    tally: Tally
    could: int
    """Deals that could use it in the period."""
    readers: int
    """People who may see it."""
    win: Share
    finding: Finding | None

    @property
    def reuse(self) -> float | None:
        return min(1.0, self.tally.deals / self.could) if self.could else None

    @property
    def weight(self) -> float:
        """Lift times use: by how many won deals more or less the text stands for, if the lift is what it seems."""
        if self.finding is None or self.finding.difference is None:
            return 0.0
        return self.finding.difference.value * self.tally.deals

    @property
    def verdict(self) -> str:
        return self.finding.verdict if self.finding else "not_enough_data"


@dataclass(frozen=True, slots=True)
class Slice:
    """Figures of one type, tag, segment, stage or version."""

    key: str
    name: str
    tally: Tally
    win: Share


@dataclass(frozen=True, slots=True)
class Library:
    """The content board: every text with figures, best first, and what wants somebody's attention."""

    filters: Filters
    lines: Sequence[TextLine]
    never: Sequence[TextLine]
    stale: Sequence[TextLine]
    hurting: Sequence[TextLine]
    types: Sequence[Slice]
    tags: Sequence[Slice]
    segments: Sequence[str]
    reuse: float | None
    """Of the texts published now, the share that any deal used in the period."""
    texts: int


def library(session: Session, actor: Actor, filters: Filters, language: str) -> Library:
    """The board for those who measure; of texts they may see or edit."""
    require(actor, Permission.MEASURE)
    desk = _Desk(session, actor, filters)
    lines = desk.lines()
    used = [line for line in lines if line.tally.uses or line.tally.views]
    order = sorted(used, key=lambda line: (-line.weight, -line.tally.deals, -line.tally.uses, line.title))
    live = [line for line in lines if line.is_readable]
    return Library(
        filters,
        order[:MOST_ROWS],
        sorted((line for line in live if not line.tally.uses), key=lambda line: (-line.readers, line.title))[
            :MOST_ROWS
        ],
        sorted((line for line in live if not line.is_verified and line.tally.uses), key=lambda line: -line.tally.uses)[
            :SHORT
        ],
        [line for line in reversed(order) if line.verdict == "hurts"][:SHORT],
        desk.by_type(),
        desk.by_tag(language),
        desk.segments,
        sum(bool(line.tally.deals) for line in live) / len(live) if live else None,
        len(live),
    )


@dataclass(frozen=True, slots=True)
class StageLine:
    """Deals that entered a stage in the period: how many used anything there, went on, and were lost there."""

    stage: Label
    entered: int
    used: int | None
    went_on: int | None
    ended: int | None
    """None of so few deals that the numbers would tell of single ones."""
    went_on_used: Share
    went_on_others: Share


@dataclass(frozen=True, slots=True)
class TeamPage:
    """What a lead looks at: how much of the work uses content, and how those deals end."""

    filters: Filters
    teams: Sequence[tuple[str, str]]
    segments: Sequence[str]
    open_deals: int
    touched: int
    """Of the deals open in the period, those that used anything in it."""
    assisted: Share
    others: Share
    first_touch_days: float | None
    first_touches: int
    stages: Sequence[StageLine]
    lines: Sequence[TextLine]

    @property
    def reuse(self) -> float | None:
        return self.touched / self.open_deals if self.open_deals else None


def team(session: Session, actor: Actor, filters: Filters) -> TeamPage:
    """The team page: of the whole company, of one's own people (`team=mine`), or of one team by its name."""
    require(actor, Permission.MEASURE)
    desk = _Desk(session, actor, filters)
    deals, period = desk.book.ledger.deals, filters.period
    counted = desk.book.counted
    seen = np.isin(counted.asset, np.array(list(desk.texts), np.int64))
    is_use = counted.is_use & (counted.row >= 0) & seen
    inside = is_use & (counted.at >= period.since)
    ever, now = np.zeros(len(deals.id), bool), np.zeros(len(deals.id), bool)
    ever[counted.row[is_use]], now[counted.row[inside]] = True, True
    alive = desk.deals & (np.isnan(deals.closed) | (deals.closed > period.since))
    over = ~np.isnan(deals.closed) & (deals.closed > period.since)
    ended = desk.deals & over
    won = deals.outcome == tallies.WON
    first = np.full(len(deals.id), math.inf)
    np.minimum.at(first, counted.row[is_use], counted.at[is_use])
    begun = desk.deals & (deals.created >= period.since) & np.isfinite(first)
    waits = (first - deals.created)[begun]
    used = [line for line in desk.lines() if line.tally.deals]
    return TeamPage(
        filters,
        desk.teams,
        desk.segments,
        int(alive.sum()),
        int((alive & now).sum()),
        _told(ended & ever, over & ever, won),
        _told(ended & ~ever, over & ~ever, won),
        float(np.median(waits)) if len(waits) >= LEAST_SHOWN else None,
        len(waits),
        desk.funnel(is_use),
        sorted(used, key=lambda line: (-line.tally.deals, -line.tally.uses, line.title))[:MOST_ROWS],
    )


def _told(chosen: Flags, whole: Flags, won: Flags) -> Share:
    """The share won of the chosen deals, which are among `whole`."""
    return share(int((chosen & won).sum()), int(chosen.sum()), int(whole.sum()) - int(chosen.sum()))


@dataclass(frozen=True, slots=True)
class DealRow:
    """A deal of one's own that used a text."""

    external_id: str
    account: str
    outcome: Outcome
    stage: Label | None
    uses: int
    is_inferred: bool
    """Every use on it was only inferred: from a person, a customer and the days."""


@dataclass(frozen=True, slots=True)
class DrillDown:
    """The deals behind a figure: one's own by name, the others only as a number."""

    title: str
    public_id: str
    rows: Sequence[DealRow]
    others: int
    more: int
    """One's own beyond the rows."""


def deals_of(session: Session, actor: Actor, reference: str, filters: Filters, outcome: str = "") -> DrillDown:
    """Deals that used a text in the period; NotFound for a text that this person neither sees nor edits."""
    require(actor, Permission.SEARCH)
    text = insight.named(session, actor, reference)
    book = tallies.present(session)
    counted, deals = book.counted, book.ledger.deals
    chosen = (counted.asset == text.id) & counted.is_use & (counted.row >= 0) & (counted.at >= filters.period.since)
    rows, uses = np.unique(counted.row[chosen], return_counts=True)
    if outcome in set(Outcome):
        fits = deals.outcome[rows] == list(Outcome).index(Outcome(outcome))
        rows, uses = rows[fits], uses[fits]
    if filters.segment:
        fits = deals.segment[rows] == filters.segment
        rows, uses = rows[fits], uses[fits]
    often = dict(zip(deals.id[rows].tolist(), uses.tolist(), strict=True))
    own = session.connection().scalars(select(Deal.id).where(is_member(actor))).all() if often else []
    mine = sorted((deal_id for deal_id in own if deal_id in often), key=lambda one: (-often[one], one))
    words = taxonomy.load(session)
    found = session.scalars(select(Deal).where(Deal.id.in_(mine[:MOST_DEALS]))).all()
    stage = _stages_of(book, words, mine[:MOST_DEALS])
    known = set(deals.id[counted.row[chosen & ~counted.is_inferred]].tolist())
    listed = [
        DealRow(
            deal.external_id,
            deal.account,
            Outcome(deal.outcome),
            stage.get(deal.id),
            often[deal.id],
            deal.id not in known,
        )
        for deal in found
    ]
    listed.sort(key=lambda row: (-row.uses, row.account))
    others = 0 if outcome else len(often) - len(mine)  # how deals of others ended is told by no number here
    return DrillDown(text.title, text.public_id, listed, others, len(mine) - len(listed))


def _stages_of(book: Book, words: Vocabulary, deal_ids: Sequence[int]) -> Mapping[int, Label]:
    entries = book.ledger.entries
    here = np.isin(entries.deal, list(deal_ids))
    last = dict(zip(entries.deal[here].tolist(), entries.stage[here].tolist(), strict=True))
    return {deal: words.by_id[stage] for deal, stage in last.items() if stage in words.by_id}


@dataclass(frozen=True, slots=True)
class Money:
    """Amounts of won deals in one currency: influenced once, and divided by each rule."""

    currency: str
    influenced: Decimal
    attributed: Mapping[Rule, Decimal]
    deals: int


@dataclass(frozen=True, slots=True)
class TextPage:
    """All that is known of one text's use."""

    line: TextLine
    filters: Filters
    weeks: Sequence[tuple[float, int, int]]
    """Monday as days since 1970, views, uses."""
    versions: Sequence[Slice]
    stages: Sequence[Slice]
    """By the stage in which the deal stood when it was used."""
    segments: Sequence[Slice]
    people: Sequence[str]
    """Who used it, by name and not by how much; for those who edit it alone."""
    deals: DrillDown
    won_or_lost: Share
    """Won of those won or lost, without those that ended undecided."""
    in_stage: Cycle | None
    to_close: Cycle | None
    money: Sequence[Money]
    may_edit: bool

    @property
    def helpful(self) -> float | None:
        judged = self.line.tally.helpful + self.line.tally.not_helpful
        return self.line.tally.helpful / judged if judged else None


def text_page(session: Session, actor: Actor, reference: str, filters: Filters, language: str) -> TextPage:
    """The figures of one text for who sees or edits it; NotFound for another one."""
    require(actor, Permission.SEARCH)
    named = insight.named(session, actor, reference)
    desk = _Desk(session, actor, filters, only=named.id)
    book, counted = desk.book, desk.book.counted
    own = counted.asset == named.id
    line = desk.lines()[0]
    words = taxonomy.load(session)
    may_edit = bool(named.edits)
    is_use = own & counted.is_use & (counted.at >= filters.period.since)
    stage = np.full(len(counted.asset), -1, np.int64)
    on_deal = is_use & (counted.row >= 0)
    stage[on_deal] = tallies.stage_at(book, counted.row[on_deal], counted.at[on_deal])
    versions = {row.id: str(row.number) for row in session.execute(_numbers(named.id))}
    labels = {label.id: label.text(language) for label in words.facet(Facet.STAGE.value)}
    people: Sequence[str] = ()
    if may_edit:
        ids = set(np.unique(counted.user[is_use]).tolist())
        people = sorted(name for name in users.list_names(session, ids).values() if name)
    in_stage, to_close = tallies.kept_with(book, ("cycle", named.id), lambda: _cycles(book, named.id))
    tally = line.tally
    return TextPage(
        line,
        filters,
        _weeks(book, own),
        desk.slices(np.where(own, counted.version, -1), versions, number=True),
        desk.slices(stage, {place: labels[place] for place in labels}),
        desk.by_segment(own),
        people,
        deals_of(session, actor, reference, filters),
        share(tally.won, tally.won + tally.lost),
        in_stage,
        to_close,
        tallies.kept_with(
            book, ("money", named.id, filters.days, clock.now().date()), lambda: _money(book, named.id, filters.period)
        )
        if actor.may(Permission.MEASURE)
        else (),
        may_edit,
    )


def _numbers(asset_id: int) -> Any:
    return select(Version.id, Version.number).where(Version.asset_id == asset_id).order_by(Version.number.desc())


def _weeks(book: Book, own: Flags) -> Sequence[tuple[float, int, int]]:
    """The last half year by week, Mondays in days since 1970 (UTC)."""
    counted = book.counted
    monday = math.floor((tallies.day_of(clock.now()) - 4) / 7) * 7 + 4  # 1970-01-05 was a Monday
    since = monday - 7 * (WEEKS - 1)
    inside = own & (counted.at >= since)
    week = ((counted.at[inside] - since) // 7).astype(np.int64)
    is_use = counted.is_use[inside]
    views = np.bincount(week[counted.kind[inside] == tallies.VIEW], minlength=WEEKS)
    uses = np.bincount(week[is_use], minlength=WEEKS)
    return [(since + 7.0 * n, int(views[n]), int(uses[n])) for n in range(WEEKS)]


def _cycles(book: Book, asset: int) -> tuple[Cycle | None, Cycle | None]:
    measured = tallies.cohort(book)
    exposed, before = cohorts.exposed_to(measured.members, book.uses, asset)
    return (
        _cycle(measured.in_stage, measured.members, exposed, before),
        _cycle(measured.to_close, measured.members, exposed, before),
    )


def _cycle(days: Any, members: cohorts.Members, exposed: Indices, before: Indices) -> Cycle | None:
    used = np.zeros(len(days), bool)
    used[exposed] = True
    chosen = ~np.isnan(days)
    chosen[before] = False
    if np.count_nonzero(used & chosen) < LEAST_SHOWN:
        return None
    near = chosen & np.isin(members.stratum, np.unique(members.stratum[exposed]))
    return cycle.compare(days[near], used[near], members.stratum[near])


def _money(book: Book, asset: int, period: Period) -> Sequence[Money]:
    """Of won deals that used the text in the period; amounts of fewer than five deals are withheld."""
    counted, deals = book.counted, book.ledger.deals
    uses = counted.is_use & (counted.row >= 0)
    own = np.unique(counted.row[uses & (counted.asset == asset) & (counted.at >= period.since)])
    won = own[(deals.outcome[own] == tallies.WON) & (deals.cents[own] >= 0)]
    if not len(won):
        return ()
    near = np.flatnonzero(uses & np.isin(counted.row, won))
    touches: dict[int, list[Touch]] = {}
    closed = deals.closed
    for row, text, at in zip(
        counted.row[near].tolist(), counted.asset[near].tolist(), counted.at[near].tolist(), strict=True
    ):
        touches.setdefault(row, []).append(Touch(text, float(closed[row] - at)))
    found = []
    for currency in sorted(set(deals.currency[won].tolist())):
        rows = [row for row in won.tolist() if deals.currency[row] == currency]
        if len(rows) < LEAST_SHOWN:
            continue
        cents = {
            rule: sum(attribution.shares(int(deals.cents[row]), touches[row], rule).get(asset, 0) for row in rows)
            for rule in Rule
        }
        influenced = sum(int(deals.cents[row]) for row in rows)
        amounts = {rule: Decimal(value) / 100 for rule, value in cents.items()}
        found.append(Money(currency, Decimal(influenced) / 100, amounts, len(rows)))
    return found


@dataclass(slots=True)
class _Desk:
    """What all pages need: the texts this person may see or edit, the deals in question, and their counts."""

    session: Session
    actor: Actor
    filters: Filters
    only: int = 0
    book: Book = field(init=False)
    texts: dict[int, Any] = field(init=False)
    deals: Flags = field(init=False)
    teams: list[tuple[str, str]] = field(init=False)
    segments: list[str] = field(init=False)
    _kept: Mapping[int, Tally] | None = None

    def __post_init__(self) -> None:
        self.book = tallies.present(self.session)
        deals = self.book.ledger.deals
        self.segments = sorted({segment for segment in set(deals.segment.tolist()) if segment})
        self.teams = self._teams()
        self.deals = np.ones(len(deals.id), bool)
        if self.filters.segment:
            self.deals &= deals.segment == self.filters.segment
        if self.filters.team:
            self.deals &= np.isin(deals.owner, self._owners(self.filters.team))
        self.texts = {row.id: row for row in self.session.execute(self._statement())}

    @property
    def narrowed(self) -> Flags | None:
        return self.deals if self.filters.segment or self.filters.team else None

    def _teams(self) -> list[tuple[str, str]]:
        rows = self.session.execute(select(Team.name).order_by(Team.name)).scalars()
        return [(name, name) for name in rows]

    def _owners(self, team_name: str) -> list[int]:
        if team_name == "mine":
            led = select(User.id).where(or_(User.manager_id == self.actor.user_id, User.id == self.actor.user_id))
            return list(self.session.scalars(led))
        of_team = select(UserTeam.user_id).join(Team, Team.id == UserTeam.team_id).where(Team.name == team_name)
        return list(self.session.scalars(of_team))

    def _statement(self) -> Any:
        actor = self.actor
        edits = editable_by(actor) if actor.may(Permission.EDIT) else false()
        visible = reading.visible_ids(self.session, actor, None).tolist()
        statement = select(
            Asset.id, Asset.public_id, Asset.external_id, Asset.type, Asset.tier, Asset.unlock_stage_id, Version.title,
            Version.language, Version.published_at, Asset.id.in_(visible).label("readable"),
            and_(Version.published_at.is_not(None), reading.is_verified()).label("verified"),
        ).join(Version, names_it(edits))  # fmt: skip
        if actor.is_user:
            statement = statement.where(or_(edits, Asset.id.in_(visible)))
        if self.only:
            return statement.where(Asset.id == self.only)
        if self.filters.type in set(AssetType):
            statement = statement.where(Asset.type == self.filters.type)
        if self.filters.tag.isdecimal():
            tagged = select(AssetTag.asset_id).where(AssetTag.tag_id == int(self.filters.tag[:9]))
            statement = statement.where(Asset.id.in_(tagged))
        return statement

    def lines(self) -> list[TextLine]:
        """Every text with its counts; constant in the number of queries."""
        counts, whole = self._counts(), self._whole()
        found = tallies.findings(self.book, self.filters.segment)
        could, readers = self._reach()
        return [
            self._line(
                row,
                counts.get(row.id, NOTHING),
                whole.get(row.id, NOTHING).closed,
                found.get(row.id),
                (could.get(row.id, 0), readers.get(row.id, 0)),
            )
            for row in self.texts.values()
        ]

    def _line(self, row: Any, tally: Tally, closed: int, finding: Finding | None, reach: tuple[int, int]) -> TextLine:
        """`closed` are the deals that used it, whatever the filters; `reach` the deals that could and the readers."""
        if finding is not None and finding.exposed < LEAST_SHOWN:
            finding = None
        return TextLine(
            row.public_id, row.external_id, row.title, AssetType(row.type), row.language, bool(row.readable),
            bool(row.verified), tally, max(reach[0], tally.deals), reach[1],
            share(tally.won, tally.closed, closed - tally.closed), finding,
        )  # fmt: skip

    def _reach(self) -> tuple[Mapping[int, int], Mapping[int, int]]:
        """By text: deals that could use it in the period, and people who may see it."""
        people = self.session.execute(select(User.id, User.clearance).where(User.deactivated_at.is_(None))).all()
        of_team: dict[int, set[int]] = {}
        for team_id, user_id in self.session.execute(select(UserTeam.team_id, UserTeam.user_id)):
            of_team.setdefault(team_id, set()).add(user_id)
        audience: dict[int, set[int]] = {}
        for asset_id, team_id in self.session.execute(select(AssetAudience.asset_id, AssetAudience.team_id)):
            audience.setdefault(asset_id, set()).update(of_team.get(team_id, set()))
        cleared = {
            tier.value: frozenset(row.id for row in people if Tier(row.clearance).rank >= tier.rank) for tier in Tier
        }
        words = taxonomy.load(self.session)
        positions = {label.id: label.position for label in words.facet(Facet.STAGE.value)}
        kept: dict[tuple[str, frozenset[int] | None], frozenset[int]] = {}
        reaches, readers = [], {}
        for row in self.texts.values():
            teams = frozenset(audience[row.id]) if row.id in audience else None
            if (row.tier, teams) not in kept:
                kept[row.tier, teams] = cleared[row.tier] if teams is None else cleared[row.tier] & teams
            who = kept[row.tier, teams]
            readers[row.id] = len(who)
            if row.published_at is not None:
                needed = positions.get(row.unlock_stage_id, -1) if row.unlock_stage_id else -1
                reaches.append(Reach(row.id, who, needed, tallies.day_of(row.published_at)))
        return tallies.could_use(self.book, self.filters.period, reaches, positions, self.narrowed), readers

    def slices(self, key: Indices, names: Mapping[int, str], *, number: bool = False) -> Sequence[Slice]:
        """Figures by any key of the counted events, in the order of `names`."""
        found = tallies.counts(self.book, self.filters.period, key, self.narrowed)
        rows = [(one, name, found[one]) for one, name in names.items() if one in found]
        hidden = tallies.quiet([tally.closed for _, _, tally in rows], LEAST_SHOWN)
        return [
            Slice(name if number else str(one), name, tally, share(tally.won, tally.closed, tells=place not in hidden))
            for place, (one, name, tally) in enumerate(rows)
        ]

    def by_type(self) -> Sequence[Slice]:
        kinds = list(AssetType)
        place = {asset_id: kinds.index(AssetType(row.type)) for asset_id, row in self.texts.items()}
        return [
            Slice(kinds[int(one.key)].value, one.name, one.tally, one.win)
            for one in self.slices(self._key(place), {n: TYPE_NAMES[kind] for n, kind in enumerate(kinds)})
        ]

    def by_tag(self, language: str) -> Sequence[Slice]:
        """Tags that texts carry; a text with two counts for both. Most used first."""
        words = taxonomy.load(self.session)
        carried: dict[int, list[int]] = {}
        rows = self.session.execute(select(AssetTag.tag_id, AssetTag.asset_id))
        for tag_id, asset_id in rows:
            if asset_id in self.texts and tag_id in words.by_id:
                carried.setdefault(tag_id, []).append(asset_id)
        pairs = self._of_tags(carried)
        found = [
            Slice(str(tag_id), words.by_id[tag_id].text(language), tally, share(tally.won, tally.closed))
            for tag_id, tally in pairs.items()
            if tally.uses
        ]
        return sorted(found, key=lambda one: (-one.tally.deals, -one.tally.uses, one.name))[: 2 * SHORT]

    def _of_tags(self, carried: Mapping[int, Iterable[int]]) -> Mapping[int, Tally]:
        counts, deals = self._counts(), self.book.ledger.deals
        asset, row = tallies.touches(self.book, self.filters.period)
        asset, row = asset[self.deals[row]], row[self.deals[row]]
        names, number = np.unique(asset, return_inverse=True)
        found = {}
        for tag_id, asset_ids in carried.items():
            here = np.isin(names, list(asset_ids))
            rows = np.unique(row[here[number]])
            ended, outcome = ~np.isnan(deals.closed[rows]), deals.outcome[rows]
            of_texts = [counts[asset_id] for asset_id in asset_ids if asset_id in counts]
            found[tag_id] = Tally(
                views=sum(one.views for one in of_texts),
                uses=sum(one.uses for one in of_texts),
                deals=len(rows),
                closed=int(ended.sum()),
                won=int((outcome == tallies.WON).sum()),
                lost=int((outcome == tallies.LOST).sum()),
            )
        return found

    def _whole(self) -> Mapping[int, Tally]:
        """By text, of all deals of the period: what others see who filter nothing."""
        if self.narrowed is None or self.only:
            return self._counts()
        name = ("counts", self.filters.days, clock.now().date(), "")
        return tallies.kept_with(self.book, name, lambda: tallies.counts(self.book, self.filters.period))

    def _counts(self) -> Mapping[int, Tally]:
        key = np.where(self.book.counted.asset == self.only, self.only, -1) if self.only else None

        def made() -> Mapping[int, Tally]:
            return tallies.counts(self.book, self.filters.period, key, self.narrowed)

        if self._kept is None:
            name = ("counts", self.filters.days, clock.now().date(), self.filters.segment)
            whole = not self.only and not self.filters.team
            self._kept = tallies.kept_with(self.book, name, made) if whole else made()
        return self._kept

    def by_segment(self, own: Flags) -> Sequence[Slice]:
        counted, deals = self.book.counted, self.book.ledger.deals
        place = {segment: number for number, segment in enumerate(self.segments)}
        of_deal = np.array([place.get(segment, -1) for segment in deals.segment.tolist()], np.int64)
        key = np.full(len(counted.asset), -1, np.int64)
        chosen = own & (counted.row >= 0)
        key[chosen] = of_deal[counted.row[chosen]]
        return self.slices(key, dict(enumerate(self.segments)))

    def _key(self, place: Mapping[int, int]) -> Indices:
        """A number for each counted event by its text; -1 for texts that are not asked about."""
        assets, number = np.unique(self.book.counted.asset, return_inverse=True)
        return np.array([place.get(asset, -1) for asset in assets.tolist()], np.int64)[number]

    def funnel(self, is_use: Flags) -> Sequence[StageLine]:
        """Deals that entered each stage in the period; a stage's deals went on when they entered a later one or were won."""
        book, period = self.book, self.filters.period
        deals, entries, counted = book.ledger.deals, book.ledger.entries, book.counted
        words = taxonomy.load(self.session)
        row = deals.rows(entries.deal) if len(entries.deal) else entries.deal
        use_row, use_at = counted.row[is_use], counted.at[is_use]
        use_stage = tallies.stage_at(book, use_row, use_at)
        span = max((label.id for label in words.facet(Facet.STAGE.value)), default=0) + 1
        used_in = np.unique(use_row * span + np.minimum(use_stage, span - 1))
        positions = {label.id: label.position for label in words.facet(Facet.STAGE.value)}
        place = tallies.places(entries.stage, positions)
        furthest = np.full(len(deals.id), -1, np.int64)
        np.maximum.at(furthest, row[row >= 0], place[row >= 0])
        furthest[deals.outcome == tallies.WON] = max(positions.values(), default=0) + 1
        lines = []
        for label in words.facet(Facet.STAGE.value):
            if label.key == AFTER_SALE:
                continue
            here = (entries.stage == label.id) & (row >= 0) & (entries.entered >= period.since)
            rows = row[here]
            rows = rows[self.deals[rows]]
            if not len(rows):
                continue
            used = np.isin(rows * span + label.id, used_in)
            on = furthest[rows] > label.position
            over = on | ~np.isnan(deals.closed[rows])
            sizes = [int((over & used).sum()), int((over & ~used).sum())]
            hidden = tallies.quiet(sizes, LEAST_SHOWN)
            tells = len(rows) >= LEAST_SHOWN
            lines.append(
                StageLine(
                    label,
                    len(rows),
                    int(used.sum()) if tells else None,
                    int(on.sum()) if tells else None,
                    int((over & ~on).sum()) if tells else None,
                    share(int((on & used).sum()), sizes[0], tells=0 not in hidden),
                    share(int((on & over & ~used).sum()), sizes[1], tells=1 not in hidden),
                )
            )
        return lines
