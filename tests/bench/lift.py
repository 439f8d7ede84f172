"""The lift beside the naive difference on simulated deals whose true effect is known: bias and coverage.

`python -m tests.bench.lift`. The deals are made so as to mislead: good owners, large segments and some industries both
win more and use the text more, and deals that are lost within days had no time to use anything. What the text really
does is added to the chance of winning of each deal that uses it.
"""

import argparse
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from content import cohorts, lift
from content.cohorts import Members, Uses

STAGES, SEGMENTS, INDUSTRIES, OWNERS = 4, 3, 5, 12
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """How strongly each thing moves both the use and the outcome, and what the text really does."""

    name: str
    effect: float
    owners: float = 1.0
    early_losses: float = 0.25
    uses: float = 0.35
    deals: int = 6_000
    spread: bool = False
    """Whether the text is used in any stage rather than in one: who has not used it yet then still may."""


WORLDS = (
    World("helps by 8 points", 0.08),
    World("does nothing", 0.0),
    World("hurts by 6 points", -0.06),
    World("helps, seldom used", 0.08, uses=0.12),
    World("helps, owners alike", 0.08, owners=0.0),
    World("helps, half lost early", 0.08, early_losses=0.5),
    World("helps, 2,000 deals", 0.08, deals=2_000),
    World("helps, in any stage", 0.08, spread=True),
)


def simulate(world: World, seed: int) -> tuple[Members, Uses, float, float]:
    """The cohort, the uses of one text, and the naive difference with its half width."""
    draw = np.random.default_rng(seed)
    number = world.deals
    segment, industry = draw.integers(0, SEGMENTS, number), draw.integers(0, INDUSTRIES, number)
    owner = draw.integers(0, OWNERS, number)
    skill = np.linspace(-1, 1, OWNERS)[owner] * world.owners
    merit = 0.09 * skill + 0.05 * (segment - 1) + 0.03 * (industry - 2)
    lost_early = draw.random(number) < np.clip(world.early_losses - merit, 0, 0.9)
    reached = np.where(lost_early, 1, draw.integers(1, STAGES + 1, number))
    leaning = world.uses + 2.2 * merit
    used = ~lost_early & (draw.random(number) < np.clip(leaning, 0.02, 0.95))
    stage_of_use = np.floor(draw.random(number) * reached).astype(np.int64) * world.spread
    won = ~lost_early & (draw.random(number) < np.clip(0.36 + merit + world.effect * used, 0, 1))

    length = draw.uniform(16, 45, (number, STAGES))
    entered = np.concatenate([np.zeros((number, 1)), np.cumsum(length, axis=1)[:, :-1]], axis=1)
    closed = np.where(
        lost_early, draw.uniform(0.5, 13, number), entered[np.arange(number), reached - 1] + length[:, 0] + 1
    )
    deal, stage = np.nonzero(np.arange(STAGES)[None, :] < reached[:, None])
    stratum = np.ravel_multi_index(
        (stage, segment[deal], industry[deal], owner[deal]), (STAGES, SEGMENTS, INDUSTRIES, OWNERS)
    )
    cohort = cohorts.members(deal, stratum, entered[deal, stage], closed[deal], won[deal])
    users = np.nonzero(used)[0]
    at = entered[users, stage_of_use[users]] + draw.uniform(0, cohorts.LANDMARK_DAYS, len(users))
    uses = Uses(np.zeros(len(users), dtype=np.int64), users, at)
    rate, others = won[used].mean(), won[~used].mean()
    half = 1.96 * np.sqrt(rate * (1 - rate) / used.sum() + others * (1 - others) / (~used).sum())
    return cohort, uses, float(rate - others), float(half)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=400)
    asked = parser.parse_args()
    print(
        f"{'world':<26} {'naive bias':>10} {'holds %':>8} {'lift bias':>10} {'holds %':>8} {'half width':>10} {'told':>6}"
    )
    for world in WORLDS:
        naive, ours = [], []
        for seed in range(asked.runs):
            cohort, uses, plain, half = simulate(world, seed)
            naive.append((plain - world.effect, abs(plain - world.effect) <= half))
            (found,) = cohorts.findings(cohort, uses)
            if found.difference is not None:
                ours.append(_judged(found.difference, world.effect))
        print(
            f"{world.name:<26} {np.mean([bias for bias, _ in naive]):>+10.4f} "
            f"{100 * np.mean([holds for _, holds in naive]):>8.1f} {np.mean([bias for bias, _, _ in ours]):>+10.4f} "
            f"{100 * np.mean([holds for _, holds, _ in ours]):>8.1f} {np.mean([half for _, _, half in ours]):>10.4f} "
            f"{len(ours):>6}",
            flush=True,
        )


def _judged(found: lift.Difference, truth: float) -> tuple[float, bool, float]:
    interval = found.interval
    return found.value - truth, interval.low <= truth <= interval.high, (interval.high - interval.low) / 2


if __name__ == "__main__":
    main()
