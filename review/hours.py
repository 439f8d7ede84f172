"""Working hours: when a clock that counts them runs out, and how many lie between two moments (pure).

A day's spans are local times; each is turned into moments of its own, so that a day on which clocks change is as long as
it really is. Holidays and make-up working days of a country come from the package `holidays`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import holidays

Span = tuple[time, time]

DAY: Final[tuple[Span, ...]] = ((time(9), time(12)), (time(13, 30), time(18, 30)))
LONGEST: Final = 366 * 3
"""Days that are looked at for the end of a clock."""


class NoWorkingTime(ValueError):
    """The calendar has no working moment within three years: it would wait for ever."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """Somebody's working time: zone, spans of a day, and which days are worked."""

    zone: ZoneInfo
    spans: tuple[Span, ...] = DAY
    country: str = "CN"
    extra_off: frozenset[date] = field(default=frozenset())

    def is_worked(self, day: date) -> bool:
        """Whether that day is worked: a make-up working day is, a holiday and a weekend are not."""
        if day in self.extra_off:
            return False
        if not self.country:
            return day.weekday() < 5
        return bool(_country(self.country, day.year).is_working_day(day))

    @property
    def hours_a_day(self) -> float:
        """Working hours of a day on which no clocks change."""
        return sum((end.hour - start.hour) + (end.minute - start.minute) / 60 for start, end in self.spans)

    def stretches(self, start: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Working stretches from that moment on, as moments in UTC."""
        first = start.astimezone(self.zone).date()
        for number in range(LONGEST):
            day = first + timedelta(days=number)
            if not self.is_worked(day):
                continue
            for begin, end in self.spans:
                opened = max(_moment(day, begin, self.zone), start.astimezone(UTC))
                closed = _moment(day, end, self.zone)
                if opened < closed:
                    yield opened, closed


def _moment(day: date, hour: time, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, hour, zone).astimezone(UTC)


@lru_cache(maxsize=64)
def _country(country: str, year: int) -> holidays.HolidayBase:
    return holidays.country_holidays(country, years=year)


def knows_year(country: str, year: int) -> bool:
    """Whether the make-up working days of that year are on file; they are announced in the autumn before.

    Only China moves working days to weekends among the countries looked at, so that every other one is known.
    """
    if country != "CN":
        return True
    return any(day.year == year for day in _country(country, year).weekend_workdays)


def due(start: datetime, hours: float, calendar: Calendar) -> datetime:
    """The moment at which so many working hours have passed since `start`, in UTC.

    A clock that starts outside working time starts with the next working moment; one that runs out at the end of a span
    is due at that end. Raises NoWorkingTime.
    """
    left = timedelta(hours=hours)
    for opened, closed in calendar.stretches(start):
        if left <= closed - opened:
            return opened + left
        left -= closed - opened
    raise NoWorkingTime


def between(start: datetime, end: datetime, calendar: Calendar) -> timedelta:
    """Working time from `start` to `end`; zero where `end` is not later."""
    total = timedelta()
    last = end.astimezone(UTC)
    for opened, closed in calendar.stretches(start):
        if opened >= last:
            break
        total += min(closed, last) - opened
    return total
