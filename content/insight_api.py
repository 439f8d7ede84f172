"""Figures for programs: what the deals say of each text."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from content import dashboards, insight
from content.cycle import Cycle
from content.dashboards import Filters, Slice
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


class SliceShown(Shown):
    """`win_rate` is null where too few deals are closed to be told."""

    key: str
    name: str
    uses: int
    deals: int
    closed: int
    win_rate: float | None


class WeekShown(Shown):
    monday: date
    views: int
    uses: int


class MoneyShown(Shown):
    """Decimal amounts as text; `attributed` by rule: first, last, linear, decay, position."""

    currency: str
    influenced: str
    deals: int
    attributed: dict[str, str]


class CycleShown(Shown):
    """Medians in days; `difference` is of like deals, null where there are too few."""

    used: int
    others: int
    median_used: float
    median_others: float
    difference: float | None
    low: float | None
    high: float | None


class InsightShown(Shown):
    usage: UsageShown
    lift: LiftShown
    could: int
    reuse: float | None
    weeks: list[WeekShown]
    stages: list[SliceShown]
    segments: list[SliceShown]
    versions: list[SliceShown]
    in_stage: CycleShown | None
    to_close: CycleShown | None
    money: list[MoneyShown]


class InsightQuery(Strict):
    days: Annotated[int, AfterValidator(period), Field(json_schema_extra={"enum": list(PERIODS)})] = 0


def _slices(found: Sequence[Slice]) -> list[SliceShown]:
    return [
        SliceShown(
            key=one.key,
            name=one.name,
            uses=one.tally.uses,
            deals=one.tally.deals,
            closed=one.tally.closed,
            win_rate=one.win.value,
        )
        for one in found
    ]


def _cycle(one: Cycle | None) -> CycleShown | None:
    if one is None:
        return None
    low, high = (one.interval.low, one.interval.high) if one.interval else (None, None)
    return CycleShown(
        used=one.used,
        others=one.others,
        median_used=one.median_used,
        median_others=one.median_others,
        difference=one.difference,
        low=low,
        high=high,
    )


@area.get("/assets/<reference>/insight", needs=Permission.SEARCH)
@spec.validate(resp=answers(HTTP_200=InsightShown), tags=["insight"])
def asset(reference: str, query: InsightQuery) -> InsightShown:
    """All figures of one text that the caller may see or edit."""
    with reading() as db:
        page = dashboards.text_page(db, actor(), reference, Filters(days=query.days), "en")
        used = insight.usage(db, actor(), page.line.public_id, query.days)[0]
        lifted = insight.lift(db, actor(), page.line.public_id)[0]
    return InsightShown(
        usage=UsageShown.model_validate(insight.usage_fields(used)),
        lift=LiftShown.model_validate(insight.as_fields(lifted)),
        could=page.line.could,
        reuse=page.line.reuse,
        weeks=[
            WeekShown(monday=date(1970, 1, 1) + timedelta(days=monday), views=views, uses=uses)
            for monday, views, uses in page.weeks
        ],
        stages=_slices(page.stages),
        segments=_slices(page.segments),
        versions=_slices(page.versions),
        in_stage=_cycle(page.in_stage),
        to_close=_cycle(page.to_close),
        money=[
            MoneyShown(
                currency=one.currency,
                influenced=str(one.influenced),
                deals=one.deals,
                attributed={rule.value: str(amount) for rule, amount in one.attributed.items()},
            )
            for one in page.money
        ],
    )


@area.get("/insight/usage", needs=Permission.SEARCH)
@spec.validate(resp=answers(HTTP_200=UsageLinesShown), tags=["insight"])
def usage(query: UsageQuery) -> UsageLinesShown:
    """How much the texts that the caller may see or edit are used, most used first."""
    with reading() as db:
        lines = insight.usage(db, actor(), query.asset, query.days)
    return UsageLinesShown(items=[UsageShown.model_validate(insight.usage_fields(line)) for line in lines])
