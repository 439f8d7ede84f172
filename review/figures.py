"""How long clearing takes: working hours by party and type, rounds a text needs, what is late now."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import median
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from content.kinds import AssetType
from content.models import Asset
from kb import clock
from kb.access import Actor, Party, Permission, require
from review import beginning, hours, panel
from review.machine import RoundState, StepState
from review.models import Round, Step

PERIODS: Final = (30, 90, 365)
MOST: Final = 5_000
"""Decided steps that are looked at, newest first: beyond that the figures are of those."""


@dataclass(frozen=True, slots=True)
class Cycle:
    """Working hours from submission to the party's decision; `type` is None for all types together.

    `late` is the share of `decided` that took longer than the policy allowed, from 0 to 1.
    """

    party: Party
    type: AssetType | None
    decided: int
    median_hours: float
    p90_hours: float
    late: float


@dataclass(frozen=True, slots=True)
class Figures:
    """Of the rounds that a person may see, begun within `days`."""

    days: int
    cycles: tuple[Cycle, ...]
    cleared: int
    """Texts that all parties have cleared."""
    rounds_per_text: float
    """Rounds that such a text needed, on average; 0 where none was cleared."""
    first_time: float
    """The share of them that was cleared in its first round, from 0 to 1."""
    waiting: Mapping[Party, int]
    late_now: Mapping[Party, int]


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the others do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * round(share * 100) // 100) - 1)]


def of(session: Session, actor: Actor, days: int = 90) -> Figures:
    """The figures of a period; only of rounds that this person sees."""
    require(actor, Permission.EDIT)
    since = clock.now() - timedelta(days=days)
    rows = session.execute(
        select(Step, Round.begun_at, Asset.type)
        .join(Round, Round.id == Step.round_id)
        .join(Asset, Asset.id == Round.asset_id)
        .where(Round.begun_at >= since, Step.ended_at.is_not(None), Step.state != StepState.OPEN.value)
        .where(panel.sees(actor))
        .order_by(Step.ended_at.desc())
        .limit(MOST)
    ).all()
    taken: dict[tuple[Party, AssetType | None], list[tuple[float, bool]]] = defaultdict(list)
    for row in rows:
        step = row.Step
        worked = hours.between(row.begun_at, step.ended_at, beginning.calendar_of(step)) / timedelta(hours=1)
        for kind in (None, AssetType(row.type)):
            taken[Party(step.party), kind].append((worked, step.ended_at > step.due_at))
    cycles = tuple(
        Cycle(
            party,
            kind,
            len(found),
            round(median(one for one, _ in found), 1),
            round(percentile([one for one, _ in found], 0.9), 1),
            sum(late for _, late in found) / len(found),
        )
        for (party, kind), found in sorted(taken.items(), key=lambda item: (item[0][0], item[0][1] or ""))
    )
    needed = _rounds_needed(session, actor, days)
    waiting, late = _waiting(session, actor)
    return Figures(
        days,
        cycles,
        len(needed),
        round(sum(needed) / len(needed), 2) if needed else 0.0,
        sum(one == 1 for one in needed) / len(needed) if needed else 0.0,
        waiting,
        late,
    )


def _rounds_needed(session: Session, actor: Actor, days: int) -> list[int]:
    """For each text cleared in the period, the rounds since the one before was cleared."""
    rows = session.execute(
        select(Round.asset_id, Round.state, Round.ended_at)
        .join(Asset, Asset.id == Round.asset_id)
        .where(
            Round.access_change_id.is_(None),
            Round.follows_id.is_(None),
            Round.state != RoundState.OPEN.value,
            panel.sees(actor),
        )
        .order_by(Round.asset_id, Round.id)
    ).all()
    since, needed = clock.now() - timedelta(days=days), []
    asset_id, count = 0, 0
    for row in rows:
        count = count + 1 if row.asset_id == asset_id else 1
        asset_id = row.asset_id
        if row.state == RoundState.APPROVED.value:
            if row.ended_at >= since:
                needed.append(count)
            count = 0
    return needed


def _waiting(session: Session, actor: Actor) -> tuple[Mapping[Party, int], Mapping[Party, int]]:
    rows = session.execute(
        select(Step.party, Step.due_at)
        .join(Round, Round.id == Step.round_id)
        .join(Asset, Asset.id == Round.asset_id)
        .where(Step.state == StepState.OPEN.value, Round.state == RoundState.OPEN.value, panel.sees(actor))
    ).all()
    now = clock.now()
    waiting, late = dict.fromkeys(Party, 0), dict.fromkeys(Party, 0)
    for row in rows:
        waiting[Party(row.party)] += 1
        late[Party(row.party)] += row.due_at < now
    return waiting, late
