"""Figures for programs: what the deals say of each text."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from content import insight
from kb.access import Permission
from kb.api import PREFIX, Shown, Strict, answers, spec
from kb.db import reading
from kb.web import Area, actor

area = Area("insight_api", __name__, url_prefix=PREFIX)


class LiftQuery(Strict):
    """`asset` by id or the other system's; empty for all."""

    asset: Annotated[str, Field(max_length=220)] = ""


PERIODS = (0, 30, 90, 365)
"""So far apart that the difference of two does not tell how a single deal ended."""


def period(days: int) -> int:
    if days not in PERIODS:
        raise ValueError(f"none of {', '.join(map(str, PERIODS))}")
    return days


class UsageQuery(LiftQuery):
    """`days` back from now, 0 for all time."""

    days: Annotated[int, AfterValidator(period), Field(json_schema_extra={"enum": list(PERIODS)})] = 0


class UsageShown(Shown):
    """`uses` are copies, shares, presentations and downloads; figures of fewer than 5 closed deals are null."""

    asset: str
    external_id: str | None
    title: str
    views: int
    uses: int
    users: int
    deals: int
    helpful: int
    not_helpful: int
    closed: int
    won: int | None
    win_rate: float | None
    win_rate_low: float | None
    win_rate_high: float | None


class UsageLinesShown(Shown):
    items: list[UsageShown]


class LiftShown(Shown):
    """`lift` is the pooled difference of shares won, with its 95 % interval; null where it cannot be given."""

    asset: str
    external_id: str | None
    title: str
    n_exposed: int
    n_unexposed: int
    wins_exposed: int | None
    win_rate: float | None
    win_rate_low: float | None
    win_rate_high: float | None
    lift: float | None
    lift_low: float | None
    lift_high: float | None
    verdict: Literal["helps", "hurts", "unclear", "not_enough_data"]
    needed: int
    weighted_share: float | None


class LiftLinesShown(Shown):
    items: list[LiftShown]


@area.get("/insight/lift", needs=Permission.SEARCH)
@spec.validate(resp=answers(HTTP_200=LiftLinesShown), tags=["insight"])
def lift(query: LiftQuery) -> LiftLinesShown:
    """Win rate and lift of the texts that the caller may see or edit, most used first."""
    with reading() as db:
        lines = insight.lift(db, actor(), query.asset)
    return LiftLinesShown(items=[LiftShown.model_validate(insight.as_fields(line)) for line in lines])


@area.get("/insight/usage", needs=Permission.SEARCH)
@spec.validate(resp=answers(HTTP_200=UsageLinesShown), tags=["insight"])
def usage(query: UsageQuery) -> UsageLinesShown:
    """How much the texts that the caller may see or edit are used, most used first."""
    with reading() as db:
        lines = insight.usage(db, actor(), query.asset, query.days)
    return UsageLinesShown(items=[UsageShown.model_validate(insight.usage_fields(line)) for line in lines])
