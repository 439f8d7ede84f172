"""How long deals take, those that used a text beside like deals that did not: difference of medians, bootstrapped (pure).

Like for like means within strata; the difference of each stratum's medians is weighed by the number of its users. The
interval is the percentile bootstrap of Efron (1979), Ann. Stat. 7:1, drawn within strata; the draw is seeded, so that
the same deals give the same interval.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from content.lift import Interval

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]

DRAWS: Final = 200
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
    parts = _parts(days, used, stratum)
    enough = sum(len(one) for one, _ in parts) >= LEAST and sum(len(other) for _, other in parts) >= LEAST
    difference = interval = None
    if enough:
        weights = np.array([len(one) for one, _ in parts], np.float64)
        weights /= weights.sum()
        difference = float(sum(w * (np.median(a) - np.median(b)) for w, (a, b) in zip(weights, parts, strict=True)))
        draw = np.random.default_rng(SEED)
        found = np.zeros(draws)
        for weight, (one, other) in zip(weights, parts, strict=True):
            first = np.median(draw.choice(one, (draws, len(one))), axis=1)
            second = np.median(draw.choice(other, (draws, len(other))), axis=1)
            found += weight * (first - second)
        low, high = np.quantile(found, [0.025, 0.975])
        interval = Interval(float(low), float(high))
    return Cycle(
        int(used.sum()), int((~used).sum()), float(np.median(days[used])), float(np.median(days[~used])), difference,
        interval,
    )  # fmt: skip


def _parts(days: Floats, used: Flags, stratum: Indices) -> list[tuple[Floats, Floats]]:
    """Days of both sides, of each stratum that holds both."""
    order = np.lexsort((used, stratum))
    begins = np.flatnonzero(np.diff(stratum[order], prepend=stratum[order][0] - 1))
    parts = []
    for chosen in np.split(order, begins[1:]):
        users = int(np.count_nonzero(used[chosen]))
        if 0 < users < len(chosen):
            parts.append((days[chosen[-users:]], days[chosen[:-users]]))
    return parts
