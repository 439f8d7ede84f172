"""What the deals of the CRM say of the library: figures of texts for those who may see or edit them.

Nothing is counted towards a deal before it was created or after it closed; what was only inferred exposes nothing. The
figures depend on what is there, not on the order in which it came.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import false, or_, select
from sqlalchemy.orm import Session

from content import cohorts, reading, tallies
from content.cohorts import Finding
from content.lift import Interval, wilson
from content.models import Asset, Version
from content.tallies import NOTHING, Period, Tally, counts
from content.visibility import editable_by, names_it
from kb.access import Actor, Permission, require
from kb.errors import NotFound

LEAST_SHOWN = 5
"""Below so many deals, figures that others see are left out: they would tell of single ones."""


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
    found = {asset: one for asset, one in tallies.findings(tallies.present(session)).items() if asset in shown}
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
    counted = counts(tallies.present(session), Period.of(days))
    lines = [
        _usage_line(shown[asset_id], counted.get(asset_id, NOTHING), whole=not actor.is_user)
        for asset_id in shown
        if reference or asset_id in counted
    ]
    return sorted(lines, key=lambda line: (-line.uses, -line.views, line.title, line.asset_id))


def _usage_line(row: Any, tally: Tally, *, whole: bool) -> UsageLine:
    tells = whole or tally.closed >= LEAST_SHOWN
    return UsageLine(
        row.public_id,
        row.external_id,
        row.title,
        tally.views,
        tally.uses,
        tally.people,
        tally.deals,
        tally.helpful,
        tally.not_helpful,
        tally.closed,
        tally.won if tells else None,
        tally.won / tally.closed if tells and tally.closed else None,
        wilson(tally.won, tally.closed) if tells else None,
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


def named(session: Session, actor: Actor, reference: str) -> Any:
    """The one text of that id, with whether this person edits it; NotFound where they neither see nor edit it."""
    wanted = reference.removeprefix(reading.EXTERNAL)
    if not wanted:
        raise NotFound()
    return next(iter(_shown(session, actor, wanted).values()))


def _shown(session: Session, actor: Actor, reference: str) -> dict[int, Any]:
    """Titles by asset: of what the actor sees without a deal, or may edit; NotFound where one is named that is none."""
    edits = editable_by(actor) if actor.may(Permission.EDIT) else false()
    columns = (Asset.id, Asset.public_id, Asset.external_id, Version.title, edits.label("edits"))
    statement = select(*columns).join(Version, names_it(edits))
    if actor.is_user:
        statement = statement.where(or_(edits, Asset.id.in_(reading.visible_ids(session, actor, None).tolist())))
    if reference:
        statement = statement.where(or_(Asset.public_id == reference, Asset.external_id == reference))
    shown = {row.id: row for row in session.execute(statement)}
    if reference and not shown:
        raise NotFound()
    return shown
