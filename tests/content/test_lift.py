"""Intervals, pooled differences and discoveries against published values, and against what must hold of any."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from content import cohorts, lift
from content.cohorts import Uses
from tests.bench.lift import World, simulate


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilsons_interval_is_that_of_newcombes_table(successes: int, trials: int, low: float, high: float) -> None:
    """Newcombe (1998), Statistics in Medicine 17:857, table I, method 3."""
    found = lift.wilson(successes, trials)
    assert found is not None
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


def test_there_is_no_interval_of_nothing() -> None:
    assert lift.wilson(0, 0) is None


def counts(*values: int) -> lift.Counts:
    return np.array(values, dtype=np.int64)


def test_one_stratum_is_the_plain_difference() -> None:
    found = lift.pooled_difference(counts(30), counts(50), counts(40), counts(100))
    assert found is not None
    assert found.value == pytest.approx(0.2)
    plain = (0.6 * 0.4 / 50 + 0.4 * 0.6 / 100) ** 0.5 * 1.959964
    assert (found.interval.high - found.interval.low) / 2 == pytest.approx(plain, rel=0.02)


def test_strata_that_hold_one_group_alone_carry_nothing() -> None:
    alone = lift.pooled_difference(counts(30), counts(50), counts(40), counts(100))
    more = lift.pooled_difference(counts(30, 9, 0), counts(50, 9, 0), counts(40, 0, 7), counts(100, 0, 9))
    assert alone == more
    assert lift.pooled_difference(counts(9), counts(9), counts(0), counts(0)) is None


def test_strata_take_away_what_moves_both() -> None:
    """Simpson's paradox: the text does nothing in either stratum, and the plain difference says otherwise."""
    found = lift.pooled_difference(counts(72, 4), counts(90, 20), counts(8, 16), counts(10, 80))
    assert found is not None
    assert found.value == pytest.approx(0.0)
    assert 76 / 110 - 24 / 90 > 0.4


@given(
    st.lists(
        st.tuples(st.integers(1, 60), st.integers(1, 60), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=8
    )
)
def test_it_turns_round_with_the_groups_and_stays_within_its_bounds(
    strata: list[tuple[int, int, float, float]],
) -> None:
    m1, m0 = counts(*(one[0] for one in strata)), counts(*(one[1] for one in strata))
    a = counts(*(int(one[0] * one[2]) for one in strata))
    b = counts(*(int(one[1] * one[3]) for one in strata))
    there, back = lift.pooled_difference(a, m1, b, m0), lift.pooled_difference(b, m0, a, m1)
    assert there is not None
    assert back is not None
    assert there.value == pytest.approx(-back.value)
    assert there.interval.low == pytest.approx(-back.interval.high)
    assert -1 <= there.interval.low <= there.value <= there.interval.high <= 1
    assert there.p_value == pytest.approx(back.p_value)


def test_the_step_up_finds_what_its_authors_found() -> None:
    """Benjamini and Hochberg (1995), section 3.2: four of fifteen at 5 %."""
    p_values = np.array(
        [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]
    )  # fmt: skip
    assert lift.discoveries(p_values, 0.05).tolist() == [True] * 4 + [False] * 11
    mixed = np.random.default_rng(5).permutation(len(p_values))
    assert lift.discoveries(p_values[mixed], 0.05).tolist() == (mixed < 4).tolist()
    assert lift.discoveries(np.zeros(0), 0.05).tolist() == []


# --- cohorts ---


def test_deals_that_end_before_the_landmark_and_open_ones_are_no_members() -> None:
    made = cohorts.members(
        counts(1, 2, 3, 4),
        counts(0, 0, 0, 0),
        np.array([0.0, 0.0, 0.0, 0.0]),
        np.array([14.0, 14.01, np.nan, 40.0]),
        np.array([True, True, False, False]),
    )
    assert made.deal.tolist() == [2, 4]


def cohort_of(number: int = 80) -> cohorts.Members:
    deals = np.arange(number)
    twice = np.concatenate([deals, deals])
    entered = np.concatenate([np.zeros(number), np.full(number, 30.0)])
    return cohorts.members(
        twice,
        np.concatenate([np.zeros(number, int), np.ones(number, int)]),
        entered,
        np.full(2 * number, 90.0),
        twice % 2 == 0,
    )


@pytest.mark.parametrize(
    ("day", "exposed"), [(0.0, 40), (13.9, 40), (14.0, 0), (29.9, 0), (30.0, 40), (43.9, 40), (44.0, 0), (-1.0, 0)]
)
def test_a_use_exposes_within_the_landmark_of_a_stage_and_not_later(day: float, exposed: int) -> None:
    """Who used it earlier is in neither group from then on; who uses it later counts as unexposed until then."""
    users = np.arange(40)
    (found,) = cohorts.findings(cohort_of(), Uses(np.zeros(40, int), users, np.full(40, day)))
    assert (found.exposed, found.unexposed) == (exposed, exposed), "the other forty, in the stratum that holds both"
    assert (found.difference is None) == (exposed == 0)


def test_a_second_use_of_the_same_deal_changes_nothing() -> None:
    users = np.arange(40)
    once = Uses(np.zeros(40, int), users, np.full(40, 3.0))
    often = Uses(np.zeros(120, int), np.tile(users, 3), np.repeat([3.0, 9.0, 35.0], 40))
    assert cohorts.findings(cohort_of(), once) == cohorts.findings(cohort_of(), often)


def test_too_few_deals_are_told_as_missing() -> None:
    (found,) = cohorts.findings(cohort_of(), Uses(np.zeros(10, int), np.arange(10), np.full(10, 3.0)))
    assert (found.verdict, found.difference, found.needed) == ("not_enough_data", None, 20)


@pytest.mark.parametrize("effect", [0.10, 0.0, -0.10])
def test_the_known_effect_of_made_up_deals_is_found(effect: float) -> None:
    """A few runs; `python -m tests.bench.lift` has the table."""
    found = []
    for seed in range(6):
        cohort, uses, naive, _ = simulate(World("test", effect), seed)
        (one,) = cohorts.findings(cohort, uses)
        assert one.difference is not None
        assert abs(naive - effect) > 0.08, "the plain difference misleads"
        found.append(one)
    values = [one.difference.value for one in found if one.difference is not None]
    assert abs(float(np.mean(values)) - effect) < 0.02
    verdicts = {one.verdict for one in found}
    assert verdicts <= ({"helps"} if effect > 0 else {"hurts"} if effect < 0 else {"unclear", "helps", "hurts"})
