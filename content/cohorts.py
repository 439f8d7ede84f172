"""Deals as cohorts: who had used a text by the landmark of a stage, who had not, and how their deals ended.

Each pair of a deal and a stage it entered is one member, if the deal was still open at the landmark: a deal that is lost
on the second day could not have used anything, and would make every text look good.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from content import lift
from content.lift import Difference, Interval

LANDMARK_DAYS: Final = 14
LEAST: Final = 30
"""Closed deals that each of the two groups must have before a difference is told."""
FALSE_DISCOVERIES: Final = 0.10

Indices = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Members:
    """Entries of closed deals into stages that were open at the landmark; every array has the shape (members,).

    Ordered by deal, then by the moment of entry. `stratum` numbers the combinations of stage, segment, industry and
    owner; `entered` is in days.
    """

    deal: Indices
    stratum: Indices
    entered: Floats
    won: Flags


@dataclass(frozen=True, slots=True, eq=False)
class Uses:
    """Uses that count towards a deal; every array has the shape (uses,), `at` in days as the members' `entered`."""

    asset: Indices
    deal: Indices
    at: Floats


@dataclass(frozen=True, slots=True)
class Finding:
    """What a text's deals say. Shares lie between 0 and 1; None where they cannot be given."""

    asset: int
    exposed: int
    unexposed: int
    won: int
    win_rate: float | None
    win_rate_interval: Interval | None
    difference: Difference | None
    needed: int
    weighted_share: float | None
    verdict: str = "not_enough_data"


def members(
    deal: Indices, stratum: Indices, entered: Floats, closed: Floats, won: Flags, landmark: float = LANDMARK_DAYS
) -> Members:
    """The cohort of entries into stages; arrays of the shape (entries,), `closed` NaN for open deals."""
    counts = ~np.isnan(closed) & (closed > entered + landmark)
    chosen = np.lexsort((entered[counts], deal[counts]))
    return Members(
        deal[counts][chosen], stratum[counts][chosen], entered[counts][chosen], won[counts].astype(bool)[chosen]
    )


def findings(cohort: Members, uses: Uses, landmark: float = LANDMARK_DAYS) -> list[Finding]:
    """A finding for each text that any deal used, by its number; verdicts hold across all of them together.

    Exposed is who used the text first within the landmark of a stage. Who had used it before is in neither group from
    then on: what it did is done. Who uses it later counts as unexposed, for nobody could know at the landmark; where a
    text is used in every stage alike, the difference is therefore told somewhat too small, never too large.
    """
    exposed, before = _first_uses(cohort, uses, landmark)
    strata = int(cohort.stratum.max()) + 1 if len(cohort.stratum) else 0
    all_deals = np.bincount(cohort.stratum, minlength=strata)
    all_won = np.bincount(cohort.stratum, weights=cohort.won, minlength=strata).astype(np.int64)
    made = [
        _finding(asset, cohort, exposed.get(asset, _NONE), before.get(asset, _NONE), all_deals, all_won)
        for asset in np.unique(uses.asset).tolist()
    ]
    return _with_verdicts(made)


_NONE = np.zeros(0, dtype=np.int64)


def exposed_to(cohort: Members, uses: Uses, asset: int, landmark: float = LANDMARK_DAYS) -> tuple[Indices, Indices]:
    """Of one text, the members exposed to it, and those whose deal had used it before they entered the stage."""
    chosen = uses.asset == asset
    own = Uses(uses.asset[chosen], uses.deal[chosen], uses.at[chosen])
    exposed, before = _first_uses(cohort, own, landmark)
    return exposed.get(asset, _NONE), before.get(asset, _NONE)


def _first_uses(cohort: Members, uses: Uses, landmark: float) -> tuple[dict[int, Indices], dict[int, Indices]]:
    """By text, the members exposed to it, and those whose deal had used it before they entered."""
    firsts = _first_of_each(uses)
    starts = np.searchsorted(cohort.deal, firsts.deal, side="left")
    ends = np.searchsorted(cohort.deal, firsts.deal, side="right")
    lengths = ends - starts
    use = np.repeat(np.arange(len(firsts.deal)), lengths)
    member = (
        np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths) + np.repeat(starts, lengths)
    )
    since = firsts.at[use] - cohort.entered[member]
    assets = firsts.asset[use]
    return _grouped(assets, member, (since >= 0) & (since < landmark)), _grouped(assets, member, since < 0)


def _first_of_each(uses: Uses) -> Uses:
    """The first use of each text on each deal."""
    order = np.lexsort((uses.at, uses.deal, uses.asset))
    asset, deal, at = uses.asset[order], uses.deal[order], uses.at[order]
    is_first = np.ones(len(asset), dtype=bool)
    is_first[1:] = (asset[1:] != asset[:-1]) | (deal[1:] != deal[:-1])
    return Uses(asset[is_first], deal[is_first], at[is_first])


def _grouped(assets: Indices, member: Indices, holds: Flags) -> dict[int, Indices]:
    kept_assets, kept = assets[holds], member[holds]
    order = np.argsort(kept_assets, kind="stable")
    names, begins = np.unique(kept_assets[order], return_index=True)
    if not len(names):
        return {}
    return dict(zip(names.tolist(), np.split(kept[order], begins[1:]), strict=True))


def _finding(
    asset: int, cohort: Members, exposed: Indices, before: Indices, all_deals: Indices, all_won: Indices
) -> Finding:
    strata = len(all_deals)
    m1 = np.bincount(cohort.stratum[exposed], minlength=strata)
    a = np.bincount(cohort.stratum[exposed], weights=cohort.won[exposed], minlength=strata).astype(np.int64)
    out = np.concatenate([exposed, before])
    m0 = all_deals - np.bincount(cohort.stratum[out], minlength=strata)
    b = all_won - np.bincount(cohort.stratum[out], weights=cohort.won[out], minlength=strata).astype(np.int64)
    both = (m1 > 0) & (m0 > 0)
    in_weight = len(np.unique(cohort.deal[exposed[both[cohort.stratum[exposed]]]]))
    others = _others(cohort, out, both)
    total = len(np.unique(cohort.deal[exposed]))
    won = len(np.unique(cohort.deal[exposed[cohort.won[exposed]]]))
    needed = max(0, LEAST - in_weight) + max(0, LEAST - others)
    return Finding(
        asset,
        total,
        others,
        won,
        won / total if total else None,
        lift.wilson(won, total),
        lift.pooled_difference(a, m1, b, m0) if not needed else None,
        needed,
        in_weight / total if total else None,
    )


def _others(cohort: Members, out: Indices, both: Flags) -> int:
    """How many deals stand in the unexposed group of strata that carry weight."""
    stays = both[cohort.stratum]
    stays[out] = False
    return len(np.unique(cohort.deal[stays]))


def _with_verdicts(made: list[Finding]) -> list[Finding]:
    """`helps` and `hurts` are said only of what survives the look at all texts together."""
    told = [number for number, one in enumerate(made) if one.difference is not None]
    p_values = np.array([_p(made[number]) for number in told], dtype=np.float64)
    verdicts = {
        number: ("helps" if _value(made[number]) > 0 else "hurts") if holds else "unclear"
        for number, holds in zip(told, lift.discoveries(p_values, FALSE_DISCOVERIES).tolist(), strict=True)
    }
    return [
        Finding(
            one.asset, one.exposed, one.unexposed, one.won, one.win_rate, one.win_rate_interval, one.difference,
            one.needed, one.weighted_share, verdicts.get(number, "not_enough_data"),
        )
        for number, one in enumerate(made)
    ]  # fmt: skip


def _p(one: Finding) -> float:
    return one.difference.p_value if one.difference is not None else 1.0


def _value(one: Finding) -> float:
    return one.difference.value if one.difference is not None else 0.0
