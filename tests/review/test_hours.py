"""Working hours by worked examples: spans, weekends, China's holidays and make-up days, daylight saving, odd moments."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from review.hours import Calendar, NoWorkingTime, between, due, knows_year

CN = Calendar(ZoneInfo("Asia/Shanghai"))
DE = Calendar(ZoneInfo("Europe/Berlin"), country="DE")
US = Calendar(ZoneInfo("America/Los_Angeles"), country="US")
PLAIN = Calendar(ZoneInfo("Europe/Berlin"), country="")
NIGHT = Calendar(ZoneInfo("Europe/Berlin"), ((time(0), time(4)),), "")

EXAMPLES = [
    # a plain week: Monday 2026-11-23
    (CN, "2026-11-23 09:00", 1, "2026-11-23 10:00"),
    (CN, "2026-11-23 09:00", 3, "2026-11-23 12:00"),
    (CN, "2026-11-23 09:00", 3.5, "2026-11-23 14:00"),
    (CN, "2026-11-23 09:00", 8, "2026-11-23 18:30"),
    (CN, "2026-11-23 09:00", 16, "2026-11-24 18:30"),
    (CN, "2026-11-23 09:00", 24, "2026-11-25 18:30"),
    (CN, "2026-11-23 11:59", 1, "2026-11-23 14:29"),
    (CN, "2026-11-23 12:00", 1, "2026-11-23 14:30"),
    (CN, "2026-11-23 12:45", 1, "2026-11-23 14:30"),
    (CN, "2026-11-23 13:30", 1, "2026-11-23 14:30"),
    (CN, "2026-11-23 18:00", 1, "2026-11-24 09:30"),
    (CN, "2026-11-23 18:30", 1, "2026-11-24 10:00"),
    (CN, "2026-11-23 23:59", 1, "2026-11-24 10:00"),
    (CN, "2026-11-24 00:00", 1, "2026-11-24 10:00"),
    (CN, "2026-11-23 08:59", 1, "2026-11-23 10:00"),
    (CN, "2026-11-27 17:30", 2, "2026-11-30 10:00"),
    (CN, "2026-11-27 23:59", 8, "2026-11-30 18:30"),
    (CN, "2026-11-28 10:00", 8, "2026-11-30 18:30"),
    # National Day 2026 with its make-up days on Sunday, September 20 and Saturday, October 10
    (CN, "2026-09-18 17:30", 2, "2026-09-20 10:00"),
    (CN, "2026-09-20 09:00", 8, "2026-09-20 18:30"),
    (CN, "2026-09-24 17:30", 2, "2026-09-28 10:00"),
    (CN, "2026-09-30 17:30", 2, "2026-10-08 10:00"),
    (CN, "2026-09-30 18:30", 24, "2026-10-10 18:30"),
    (CN, "2026-10-09 17:30", 2, "2026-10-10 10:00"),
    (CN, "2026-10-10 17:30", 2, "2026-10-12 10:00"),
    (CN, "2026-10-11 12:00", 1, "2026-10-12 10:00"),
    # Spring Festival, with make-up days on February 14 and 28
    (CN, "2026-02-13 17:30", 2, "2026-02-14 10:00"),
    (CN, "2026-02-14 17:30", 2, "2026-02-24 10:00"),
    (CN, "2026-02-27 18:00", 1, "2026-02-28 09:30"),
    # year ends
    (CN, "2025-12-31 17:30", 2, "2026-01-04 10:00"),
    (CN, "2026-12-31 17:30", 2, "2027-01-04 10:00"),
    (CN, "2026-12-31 23:59", 8, "2027-01-04 18:30"),
    (DE, "2026-12-31 17:30", 2, "2027-01-04 10:00"),
    (DE, "2026-12-24 17:30", 2, "2026-12-28 10:00"),
    (US, "2026-12-31 17:30", 2, "2027-01-04 10:00"),
    (US, "2026-11-25 17:30", 2, "2026-11-27 10:00"),
    # Good Friday and Easter Monday
    (DE, "2026-04-02 17:30", 2, "2026-04-07 10:00"),
    # clocks change on a Sunday, between two working days
    (DE, "2026-03-27 17:30", 2, "2026-03-30 10:00"),
    (DE, "2026-10-23 17:30", 2, "2026-10-26 10:00"),
    (US, "2026-03-06 17:30", 2, "2026-03-09 10:00"),
    (US, "2026-10-30 17:30", 2, "2026-11-02 10:00"),
    (PLAIN, "2026-12-24 17:30", 2, "2026-12-25 10:00"),
    # no hours at all: the next working moment
    (CN, "2026-11-28 10:00", 0, "2026-11-30 09:00"),
    (CN, "2026-11-23 12:30", 0, "2026-11-23 13:30"),
]


def local(calendar: Calendar, text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=calendar.zone)


@pytest.mark.parametrize(("calendar", "start", "hours", "end"), EXAMPLES)
def test_F23_a_clock_is_due_at(calendar: Calendar, start: str, hours: float, end: str) -> None:
    found = due(local(calendar, start), hours, calendar)
    assert found == local(calendar, end).astimezone(UTC)
    assert found.tzinfo is UTC
    assert between(local(calendar, start), found, calendar) == timedelta(hours=hours)


def test_there_are_forty_examples() -> None:
    assert len(EXAMPLES) >= 40


def test_F23_a_span_over_the_change_of_clocks_is_as_long_as_it_is() -> None:
    """In the night of March 29 the hour from two to three is not there; in the one of October 25 it is twice."""
    every_night = Calendar(NIGHT.zone, NIGHT.spans, "", frozenset())
    monday = local(every_night, "2026-03-30 00:00")
    assert due(monday, 4, every_night) == local(every_night, "2026-03-30 04:00")
    sunday = Calendar(ZoneInfo("Asia/Shanghai"), ((time(0), time(23, 59)),), "")
    assert between(local(sunday, "2026-11-23 00:00"), local(sunday, "2026-11-24 00:00"), sunday) == timedelta(
        hours=23, minutes=59
    )

    # whoever works through the night on which clocks change works three hours, or five
    class EveryDay(Calendar):
        def is_worked(self, day: date) -> bool:
            return True

    through = EveryDay(NIGHT.zone, NIGHT.spans, "")
    spring, autumn = local(through, "2026-03-29 00:00"), local(through, "2026-10-25 00:00")
    assert between(spring, local(through, "2026-03-29 12:00"), through) == timedelta(hours=3)
    assert between(autumn, local(through, "2026-10-25 12:00"), through) == timedelta(hours=5)
    assert due(spring, 2.5, through) == local(through, "2026-03-29 03:30")


def test_days_of_ones_own_are_not_worked() -> None:
    away = Calendar(CN.zone, extra_off=frozenset({date(2026, 11, 24)}))
    assert due(local(CN, "2026-11-23 17:30"), 2, away) == local(CN, "2026-11-25 10:00")


def test_a_calendar_without_working_time_is_refused() -> None:
    with pytest.raises(NoWorkingTime):
        due(local(CN, "2026-11-23 09:00"), 1, Calendar(CN.zone, ()))


def test_the_years_whose_make_up_days_are_known() -> None:
    assert knows_year("CN", 2026)
    assert not knows_year("CN", 2031)
    assert knows_year("DE", 2031)


@given(
    start=st.datetimes(datetime.fromisoformat("2025-01-01"), datetime.fromisoformat("2026-12-01")),
    hours=st.integers(0, 80),
    more=st.integers(0, 40),
    calendar=st.sampled_from([CN, DE, US]),
)
def test_hours_add_up(start: datetime, hours: int, more: int, calendar: Calendar) -> None:
    """Going on after a pause is the same as going through; the time between never goes back."""
    begun = start.replace(tzinfo=calendar.zone)
    middle = due(begun, hours, calendar)
    end = due(begun, hours + more, calendar)
    assert end >= middle
    assert between(begun, end, calendar) == timedelta(hours=hours + more)
    if more:
        assert due(middle, more, calendar) == end
