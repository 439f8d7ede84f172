"""Shares of an amount: exact to the cent under every rule, whatever the touches; and how long deals take."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from content import cycle
from content.attribution import Rule, Touch, shares

TOUCHES = st.lists(st.builds(Touch, st.integers(1, 5), st.floats(0, 900, allow_nan=False)), min_size=1, max_size=12)


@pytest.mark.parametrize("rule", Rule)
@given(cents=st.integers(0, 10**15), touches=TOUCHES)
def test_the_parts_add_up_exactly_and_none_is_below_zero(rule: Rule, cents: int, touches: list[Touch]) -> None:
    parts = shares(cents, touches, rule)
    assert sum(parts.values()) == cents
    assert min(parts.values()) >= 0
    assert set(parts) <= {touch.asset for touch in touches}


def test_each_rule_gives_what_its_name_says() -> None:
    touches = [Touch(1, 21.0), Touch(2, 14.0), Touch(3, 7.0), Touch(1, 0.0)]
    assert shares(1000, touches, Rule.FIRST) == {1: 1000, 2: 0, 3: 0}
    assert shares(1000, touches, Rule.LAST) == {1: 1000, 2: 0, 3: 0}
    assert shares(1000, touches, Rule.LINEAR) == {1: 500, 2: 250, 3: 250}
    assert shares(1500, touches, Rule.DECAY) == {1: 900, 2: 200, 3: 400}
    assert shares(1000, touches, Rule.POSITION) == {1: 800, 2: 100, 3: 100}
    assert shares(1001, touches[:2], Rule.POSITION) == {1: 501, 2: 500}
    assert shares(1000, [], Rule.LINEAR) == {}


def test_a_text_whose_deals_are_ten_days_quicker_is_found_so_within_strata() -> None:
    draw = np.random.default_rng(4)
    stratum = draw.integers(0, 6, 600)
    used = draw.random(600) < 0.2 + 0.1 * stratum / 6
    days = 40 + 30 * stratum - 10 * used + draw.normal(0, 6, 600)
    found = cycle.compare(days, used, stratum)
    assert found is not None
    assert found.interval is not None
    assert found.interval.low < -10 < found.interval.high
    assert found.interval.high < -7
    assert cycle.compare(days, used, stratum) == found, "the same deals give the same interval"


def test_too_few_deals_give_medians_and_no_difference() -> None:
    days, used = np.array([10.0, 20.0, 30.0]), np.array([True, False, False])
    found = cycle.compare(days, used, np.zeros(3, np.int64))
    assert found is not None
    assert (found.median_used, found.median_others, found.difference, found.interval) == (10, 25, None, None)
    assert cycle.compare(days, np.zeros(3, bool), np.zeros(3, np.int64)) is None
