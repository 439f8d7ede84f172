"""Whose working time a clock counts: the company's, or that of a country and a time zone."""

from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

import holidays

from review.hours import Calendar

ZONES: Final = frozenset(name for name in available_timezones() if "/" in name and not name.startswith("Etc/"))
COUNTRIES: Final = frozenset(holidays.list_supported_countries(include_aliases=False))
"""ISO 3166-1 codes of two letters whose public holidays are known."""


class _Company:
    """The company's working time; set where the program is put together."""

    calendar = Calendar(ZoneInfo("Asia/Shanghai"))


def set_company(calendar: Calendar) -> None:
    _Company.calendar = calendar
    _of.cache_clear()


def company() -> Calendar:
    return _Company.calendar


def of(zone: str = "", country: str = "") -> Calendar:
    """That of a time zone and a country; what is empty is the company's, whose hours of the day hold everywhere."""
    return _of(zone, country) if zone or country else _Company.calendar


@lru_cache(maxsize=256)
def _of(zone: str, country: str) -> Calendar:
    like = _Company.calendar
    where = ZoneInfo(zone) if zone else like.zone
    if country in {"", like.country}:
        return Calendar(where, like.spans, like.country, like.extra_off)
    return Calendar(where, like.spans, country)
