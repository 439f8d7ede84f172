"""How long deals take, those that used a text beside like deals that did not: difference of medians, bootstrapped (pure).

Like for like means: each deal is compared with the median of the deals of its stratum that did not use the text, and
the medians of these differences are set side by side. The interval is the percentile bootstrap of Efron (1979), Ann.
Stat. 7:1; the draw is seeded, so that the same deals give the same interval.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from content.lift import Interval

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]

DRAWS: Final = 2_000
LEAST: Final = 10
"""Deals that each side must have in strata with both."""
SEED: Final = 20_260_101


@dataclass(frozen=True, slots=True)
class Cycle:
    """Medians in days of all that used it and of all that did not; the difference is of like deals alone."""

    used: int
    others: int
    median_used: float
    median_others: float
    difference: float | None
    interval: Interval | None


def compare(days: Floats, used: Flags, stratum: Indices, draws: int = DRAWS) -> Cycle | None:
    """Days, whether the deal used the text, and its stratum, each of the shape (deals,); None where one side is empty.

    The difference and its interval are None where fewer than ten deals of a side stand in strata that hold both.
    """
    if not used.any() or used.all():
        return None
    middle = _medians(days[~used], stratum[~used])
    has_users = np.isin(stratum, np.unique(stratum[used]))
    known = np.array([middle.get(name, math.nan) for name in stratum.tolist()])
    apart = days - known
    mine, theirs = np.sort(apart[used & ~np.isnan(known)]), np.sort(apart[~used & has_users])
    difference = interval = None
    if len(mine) >= LEAST and len(theirs) >= LEAST:
        difference = float(np.median(mine) - np.median(theirs))
        draw = np.random.default_rng(SEED)
        low, high = np.quantile(_drawn(draw, mine, draws) - _drawn(draw, theirs, draws), [0.025, 0.975])
        interval = Interval(float(low), float(high))
    return Cycle(
        int(used.sum()), int((~used).sum()), float(np.median(days[used])), float(np.median(days[~used])), difference,
        interval,
    )  # fmt: skip


def _medians(days: Floats, stratum: Indices) -> dict[int, float]:
    order = np.lexsort((days, stratum))
    names, begins, sizes = np.unique(stratum[order], return_index=True, return_counts=True)
    ordered = days[order]
    found = (ordered[begins + (sizes - 1) // 2] + ordered[begins + sizes // 2]) / 2
    return dict(zip(names.tolist(), found.tolist(), strict=True))


def _drawn(draw: np.random.Generator, ordered: Floats, draws: int) -> Floats:
    """Medians of so many bootstrap samples: the median of n draws is the value at a Beta-distributed place."""
    half = (len(ordered) + 1) / 2
    place = (draw.beta(half, half, draws) * len(ordered)).astype(np.int64)
    return ordered[np.minimum(place, len(ordered) - 1)]
