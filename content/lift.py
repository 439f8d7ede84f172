"""Whether deals that used a text are won more often than like deals that did not: pure functions on counts.

What may be called an estimate of an effect is the difference in the share of deals won, pooled over strata of like
deals (stage, segment, industry, owner). It speaks of association after that comparison; what moved the use and the
outcome alike and is in no stratum is still in it.

Sources: Wilson (1927), J. Am. Stat. Assoc. 22:209; Mantel and Haenszel (1959), J. Natl. Cancer Inst. 22:719; Greenland
and Robins (1985), Biometrics 41:55; Sato (1989), Biometrics 45:1323; Benjamini and Hochberg (1995), J. R. Stat. Soc. B
57:289.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

CONFIDENCE: Final = 0.95
_NORMAL: Final = NormalDist()


@dataclass(frozen=True, slots=True)
class Interval:
    """Both ends of an interval, as shares between 0 and 1 (differences: between -1 and 1)."""

    low: float
    high: float


def wilson(successes: int, trials: int, confidence: float = CONFIDENCE) -> Interval | None:
    """Interval of a share, without continuity correction; None without trials.

    Holds its level for few trials and for shares near 0 and 1, where the usual normal interval does not.
    """
    if trials <= 0:
        return None
    z = _NORMAL.inv_cdf(0.5 + confidence / 2)
    share, scale = successes / trials, 1 + z * z / trials
    middle = (share + z * z / (2 * trials)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return Interval(max(0.0, middle - half), min(1.0, middle + half))


@dataclass(frozen=True, slots=True)
class Difference:
    """A pooled difference of shares won, exposed less unexposed, over the strata that hold both groups."""

    value: float
    interval: Interval
    p_value: float
    """Two-sided, of no difference at all."""
    exposed: int
    unexposed: int
    """Deals in the strata that carry weight."""


def pooled_difference(
    won_exposed: Counts, exposed: Counts, won_unexposed: Counts, unexposed: Counts, confidence: float = CONFIDENCE
) -> Difference | None:
    """Mantel-Haenszel risk difference with Sato's variance; None where no stratum holds both groups.

    Each array has the shape (strata,) and counts deals: won and all, of those that used the text and of those that did
    not. Sato's variance holds both for few large strata and for many small ones.
    """
    both = (exposed > 0) & (unexposed > 0)
    if not both.any():
        return None
    a, m1 = won_exposed[both].astype(np.float64), exposed[both].astype(np.float64)
    b, m0 = won_unexposed[both].astype(np.float64), unexposed[both].astype(np.float64)
    total = m1 + m0
    weight = float(np.sum(m1 * m0 / total))
    value = float(np.sum((a * m0 - b * m1) / total)) / weight
    p = float(np.sum((m1 * m1 * b - m0 * m0 * a + m1 * m0 * (m0 - m1) / 2) / (total * total)))
    q = float(np.sum((a * (m0 - b) + b * (m1 - a)) / (2 * total)))
    variance = max(0.0, (value * p + q) / (weight * weight))
    error = math.sqrt(variance)
    half = _NORMAL.inv_cdf(0.5 + confidence / 2) * error
    certainty = 1.0 if value == 0 else 0.0
    p_value = 2 * (1 - _NORMAL.cdf(abs(value) / error)) if error > 0 else certainty
    return Difference(
        value, Interval(max(-1.0, value - half), min(1.0, value + half)), p_value, int(m1.sum()), int(m0.sum())
    )


def discoveries(p_values: Floats, rate: float) -> Flags:
    """Which of several findings survive Benjamini and Hochberg's step-up at a false discovery rate.

    `p_values` has the shape (findings,) in any order; the answer stands in the same order.
    """
    count = len(p_values)
    if count == 0:
        return np.zeros(0, dtype=np.bool_)
    order = np.argsort(p_values, kind="stable")
    passes = p_values[order] <= rate * np.arange(1, count + 1) / count
    kept = np.zeros(count, dtype=np.bool_)
    if passes.any():
        kept[order[: int(np.nonzero(passes)[0].max()) + 1]] = True
    return kept
