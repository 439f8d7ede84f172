"""Shares of a won deal's amount for the texts that touched it: five customary rules, exact to the cent (pure).

None of them says what a text caused; they divide what was won among what was used on the way.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

HALF_LIFE_DAYS: Final = 7.0
ENDS: Final = 40
"""Parts of a hundred that the first and the last touch get each under `position`; those between share the rest."""
WHOLE: Final = 1 << 40
"""Weights of decay are whole parts of this, so that they are added up exactly."""


class Rule(StrEnum):
    """How the amount is divided among the touches of a deal, in the order in which they happened."""

    FIRST = "first"
    LAST = "last"
    LINEAR = "linear"
    DECAY = "decay"
    POSITION = "position"


@dataclass(frozen=True, slots=True)
class Touch:
    """A text used on the deal, `before_close` in days."""

    asset: int
    before_close: float


def shares(cents: int, touches: Sequence[Touch], rule: Rule) -> Mapping[int, int]:
    """The part of an amount in cents for each text; the parts add up to it exactly. Empty without touches.

    `touches` stand in the order in which they happened. A text that was used twice gets the shares of both touches.
    """
    if not touches:
        return {}
    found: dict[int, int] = {}
    for touch, part in zip(touches, _divided(cents, _WEIGHTS[rule](touches)), strict=True):
        found[touch.asset] = found.get(touch.asset, 0) + part
    return found


def _divided(cents: int, weights: Sequence[int]) -> Sequence[int]:
    """By cumulated weights, each end rounded, so that no cent is lost or made."""
    total, run, given, parts = sum(weights), 0, 0, []
    for weight in weights:
        run += weight
        due = (2 * cents * run + total) // (2 * total)
        parts.append(due - given)
        given = due
    return parts


def _first(touches: Sequence[Touch]) -> Sequence[int]:
    return [int(number == 0) for number in range(len(touches))]


def _last(touches: Sequence[Touch]) -> Sequence[int]:
    return [int(number == len(touches) - 1) for number in range(len(touches))]


def _linear(touches: Sequence[Touch]) -> Sequence[int]:
    return [1] * len(touches)


def _decay(touches: Sequence[Touch]) -> Sequence[int]:
    """Half as much for each week before the last touch."""
    nearest = min(touch.before_close for touch in touches)
    return [int(WHOLE * 0.5 ** ((touch.before_close - nearest) / HALF_LIFE_DAYS)) for touch in touches]


def _position(touches: Sequence[Touch]) -> Sequence[int]:
    between = len(touches) - 2
    if between <= 0:
        return _linear(touches)
    return [ENDS * between, *[100 - 2 * ENDS] * between, ENDS * between]


_WEIGHTS: Final[Mapping[Rule, Callable[[Sequence[Touch]], Sequence[int]]]] = {
    Rule.FIRST: _first,
    Rule.LAST: _last,
    Rule.LINEAR: _linear,
    Rule.DECAY: _decay,
    Rule.POSITION: _position,
}
