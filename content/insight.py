"""What the deals of the CRM say of the library: read from events, histories and outcomes as they stand, kept nowhere.

Nothing is counted towards a deal before it was created or after it closed; what was only inferred exposes nothing. The
figures depend on what is there, not on the order in which it came.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Float, Select, case, cast, distinct, extract, false, func, or_, select
from sqlalchemy.orm import Session

from content import cohorts, reading
from content.cohorts import Finding, Members, Uses
from content.deals import Deal, DealStage, DealTag
from content.kinds import DealSource, Facet, Outcome, UseKind
from content.lift import Interval, wilson
from content.models import Asset, UseEvent, Version
from content.taxonomy import Tag
from content.visibility import USES, editable_by, names_it
from kb import clock
from kb.access import Actor, Permission, require
from kb.db import is_postgresql
from kb.errors import NotFound

LEAST_SHOWN = 5
"""Below so many deals, figures that others see are left out: they would tell of single ones."""
EXPOSING = (DealSource.CHOSEN.value, DealSource.EMBEDDED.value)


@dataclass(frozen=True, slots=True)
class LiftLine:
    """What is known of the effect of one text; shares lie between 0 and 1, None where a figure cannot be given."""

    asset_id: str
    external_id: str | None
    title: str
    exposed: int
    unexposed: int
    won: int | None
    win_rate: float | None
    win_rate_interval: Interval | None
    lift: float | None
    lift_interval: Interval | None
    verdict: str
    needed: int
    """Closed deals that are still missing before a difference is told."""
    weighted_share: float | None
    """Share of the exposed deals that stand in strata with both groups."""


def lift(session: Session, actor: Actor, reference: str = "") -> Sequence[LiftLine]:
    """Lines of the texts that deals used and this actor may see or edit, most used first; NotFound for another one.

    `reference` names one text, by its id or the other system's; verdicts hold across all texts whoever asks.
    """
    require(actor, Permission.SEARCH)
    shown = _shown(session, actor, reference)
    found = {one.asset: one for one in cohorts.findings(_members(session), _uses(session)) if one.asset in shown}
    for asset_id in shown if reference else ():
        found.setdefault(asset_id, Finding(asset_id, 0, 0, 0, None, None, None, 2 * cohorts.LEAST, None))
    lines = [_line(shown[one.asset], one, whole=not actor.is_user) for one in found.values()]
    return sorted(lines, key=lambda line: (-line.exposed, line.title, line.asset_id))


def _line(row: Any, one: Finding, *, whole: bool) -> LiftLine:
    tells = whole or one.exposed >= LEAST_SHOWN
    return LiftLine(
        row.public_id,
        row.external_id,
        row.title,
        one.exposed,
        one.unexposed,
        one.won if tells else None,
        one.win_rate if tells else None,
        one.win_rate_interval if tells else None,
        one.difference.value if one.difference else None,
        one.difference.interval if one.difference else None,
        one.verdict,
        one.needed,
        one.weighted_share if tells else None,
    )


@dataclass(frozen=True, slots=True)
class UsageLine:
    """How much one text was used in a period, and how the closed deals that it touched ended."""

    asset_id: str
    external_id: str | None
    title: str
    views: int
    uses: int
    """Copied, shared, presented or downloaded."""
    people: int
    deals: int
    helpful: int
    not_helpful: int
    closed: int
    """Deals that used it in the period and are closed now."""
    won: int | None
    win_rate: float | None
    win_rate_interval: Interval | None


def usage(session: Session, actor: Actor, reference: str = "", days: int = 0) -> Sequence[UsageLine]:
    """Lines of the texts that this actor may see or edit, most used first; of the last `days`, 0 for all time."""
    require(actor, Permission.SEARCH)
    shown = _shown(session, actor, reference)
    since = () if not days else (UseEvent.at > clock.now() - timedelta(days=days),)
    counts = {
        row.asset_id: row
        for row in session.execute(
            select(
                UseEvent.asset_id,
                _count_of(UseKind.VIEW.value).label("views"),
                _count_of(*USES).label("uses"),
                _count_of(UseKind.HELPFUL.value).label("helpful"),
                _count_of(UseKind.NOT_HELPFUL.value).label("not_helpful"),
                func.count(distinct(case((UseEvent.kind.in_(USES), UseEvent.user_id)))).label("people"),
            )
            .where(*since)
            .group_by(UseEvent.asset_id)
        )
    }
    deals = {row.asset_id: row for row in session.execute(_touched(since))}
    lines = [
        _usage_line(shown[asset_id], counts.get(asset_id), deals.get(asset_id), whole=not actor.is_user)
        for asset_id in shown
        if reference or asset_id in counts
    ]
    return sorted(lines, key=lambda line: (-line.uses, -line.views, line.title, line.asset_id))


def _count_of(*kinds: str) -> ColumnElement[int]:
    return func.count().filter(UseEvent.kind.in_(kinds))


def _touched(since: Sequence[ColumnElement[bool]]) -> Select[*tuple[Any, ...]]:
    """By asset, the deals that used it while they were open, those that are closed now, and those won."""
    each = (
        select(UseEvent.asset_id, Deal.id, Deal.closed_at, Deal.outcome)
        .join(Deal, Deal.id == UseEvent.deal_id)
        .where(
            UseEvent.kind.in_(USES),
            UseEvent.at >= Deal.created_at,
            or_(Deal.closed_at.is_(None), UseEvent.at <= Deal.closed_at),
            *since,
        )
        .distinct()
        .subquery()
    )
    return select(
        each.c.asset_id,
        func.count().label("deals"),
        func.count(each.c.closed_at).label("closed"),
        func.count().filter(each.c.outcome == Outcome.WON.value).label("won"),
    ).group_by(each.c.asset_id)


def _usage_line(row: Any, counted: Any, touched: Any, *, whole: bool) -> UsageLine:
    closed, won = (touched.closed, touched.won) if touched else (0, 0)
    tells = whole or closed >= LEAST_SHOWN
    return UsageLine(
        row.public_id,
        row.external_id,
        row.title,
        counted.views if counted else 0,
        counted.uses if counted else 0,
        counted.people if counted else 0,
        touched.deals if touched else 0,
        counted.helpful if counted else 0,
        counted.not_helpful if counted else 0,
        closed,
        won if tells else None,
        won / closed if tells and closed else None,
        wilson(won, closed) if tells else None,
    )


def usage_fields(line: UsageLine) -> dict[str, object]:
    """A line of usage under the names that programs read."""
    return {
        "asset": line.asset_id,
        "external_id": line.external_id,
        "title": line.title,
        "views": line.views,
        "uses": line.uses,
        "users": line.people,
        "deals": line.deals,
        "helpful": line.helpful,
        "not_helpful": line.not_helpful,
        "closed": line.closed,
        "won": line.won,
        "win_rate": line.win_rate,
        **_ends("win_rate", line.win_rate_interval),
    }


def as_fields(line: LiftLine) -> dict[str, object]:
    """A line under the names that programs read; figures that cannot be given are None."""
    return {
        "asset": line.asset_id,
        "external_id": line.external_id,
        "title": line.title,
        "n_exposed": line.exposed,
        "n_unexposed": line.unexposed,
        "wins_exposed": line.won,
        "win_rate": line.win_rate,
        **_ends("win_rate", line.win_rate_interval),
        "lift": line.lift,
        **_ends("lift", line.lift_interval),
        "verdict": line.verdict,
        "needed": line.needed,
        "weighted_share": line.weighted_share,
    }


def _ends(name: str, interval: Interval | None) -> dict[str, float | None]:
    return {f"{name}_low": interval.low if interval else None, f"{name}_high": interval.high if interval else None}


def _shown(session: Session, actor: Actor, reference: str) -> dict[int, Any]:
    """Titles by asset: of what the actor sees without a deal, or may edit; NotFound where one is named that is none."""
    edits = editable_by(actor) if actor.may(Permission.EDIT) else false()
    statement = select(Asset.id, Asset.public_id, Asset.external_id, Version.title).join(Version, names_it(edits))
    if actor.is_user:
        statement = statement.where(or_(edits, Asset.id.in_(reading.visible_ids(session, actor, None).tolist())))
    if reference:
        statement = statement.where(or_(Asset.public_id == reference, Asset.external_id == reference))
    shown = {row.id: row for row in session.execute(statement)}
    if reference and not shown:
        raise NotFound()
    return shown


def _days(session: Session, moment: Any) -> ColumnElement[Any]:
    """A moment as days, in the database: a million rows cost more to read as dates than to fetch."""
    if is_postgresql(session):
        return cast(extract("epoch", moment), Float) / 86_400
    return cast(func.julianday(moment), Float)


def _members(session: Session) -> Members:
    """Entries into stages, the first of each deal and stage, whose moment the CRM knows."""
    industry = (
        select(DealTag.deal_id, func.min(DealTag.tag_id).label("tag_id"))
        .join(Tag, Tag.id == DealTag.tag_id)
        .where(Tag.facet == Facet.INDUSTRY.value)
        .group_by(DealTag.deal_id)
        .subquery()
    )
    first = (
        select(DealStage.deal_id, DealStage.stage_id, func.min(DealStage.entered_at).label("entered_at"))
        .where(DealStage.is_assumed.is_(False))
        .group_by(DealStage.deal_id, DealStage.stage_id)
        .subquery()
    )
    rows = _fetched(
        session,
        select(
            first.c.deal_id,
            first.c.stage_id,
            _days(session, first.c.entered_at),
            _days(session, Deal.closed_at),
            Deal.outcome,
            Deal.segment,
            func.coalesce(industry.c.tag_id, 0),
            func.coalesce(Deal.owner_id, 0),
        )
        .join(Deal, Deal.id == first.c.deal_id)
        .outerjoin(industry, industry.c.deal_id == Deal.id)
        .where(Deal.closed_at.is_not(None)),
    )
    if not rows:
        none = np.zeros(0, dtype=np.int64)
        return Members(none, none, np.zeros(0), np.zeros(0, dtype=bool))
    deal, stage, entered, closed, outcome, segment, tag, owner = zip(*rows, strict=True)
    parts = [np.unique(np.array(column), return_inverse=True)[1] for column in (stage, segment, tag, owner)]
    stratum = np.unique(np.stack(parts), axis=1, return_inverse=True)[1].reshape(-1)
    return cohorts.members(
        np.array(deal, dtype=np.int64),
        stratum,
        np.array(entered, dtype=np.float64),
        np.array(closed, dtype=np.float64),
        np.array(outcome) == Outcome.WON.value,
    )


def _uses(session: Session) -> Uses:
    rows = _fetched(
        session,
        select(UseEvent.asset_id, UseEvent.deal_id, _days(session, UseEvent.at))
        .join(Deal, Deal.id == UseEvent.deal_id)
        .where(
            UseEvent.kind.in_(USES),
            UseEvent.deal_source.in_(EXPOSING),
            UseEvent.at >= Deal.created_at,
            Deal.closed_at.is_not(None),
            UseEvent.at <= Deal.closed_at,
        ),
    )
    asset, deal, at = zip(*rows, strict=True) if rows else ((), (), ())
    return Uses(np.array(asset, dtype=np.int64), np.array(deal, dtype=np.int64), np.array(at, dtype=np.float64))


def _fetched(session: Session, statement: Select[*tuple[Any, ...]]) -> Sequence[Any]:
    return session.connection().execute(statement).fetchall()
