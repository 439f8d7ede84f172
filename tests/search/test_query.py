"""Queries as they come from outside."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.query import LONGEST_USED, Mode, Query


def test_defaults_ask_for_the_first_twenty() -> None:
    query = Query.of("  客户嫌贵 \n ")
    assert (query.text, query.limit, query.offset, query.mode, dict(query.filters)) == (
        "客户嫌贵",
        20,
        0,
        Mode.HYBRID,
        {},
    )


def test_control_characters_and_direction_marks_go() -> None:
    assert Query.of("a\x00b\u202ec\ud800d\te").text == "a bcd e"


def test_long_text_is_cut_and_very_long_text_refused() -> None:
    assert len(Query.of("x" * 2_000).text) == LONGEST_USED
    with pytest.raises(ValueError, match="too long"):
        Query.of("x" * 2_001)


@pytest.mark.parametrize("limit", [0, -1, 51, 10**9])
def test_a_wrong_limit_is_refused(limit: int) -> None:
    with pytest.raises(ValueError, match="between 1 and 50"):
        Query.of("x", limit=limit)


@pytest.mark.parametrize("offset", [-1, 10**9])
def test_a_wrong_offset_is_refused(offset: int) -> None:
    with pytest.raises(ValueError, match="offset"):
        Query.of("x", offset=offset)


def test_filters_are_sets_of_known_facets() -> None:
    query = Query.of("", {"stage": ["demo", "demo", " close ", ""], "industry": []})
    assert dict(query.filters) == {"stage": frozenset({"demo", "close"})}
    with pytest.raises(ValueError, match="tier"):
        Query.of("", {"tier": ["secret"]})
    with pytest.raises(ValueError, match="Too many"):
        Query.of("", {"stage": [str(number) for number in range(51)]})


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="mode"):
        Query.of("x", mode="psychic")


@given(st.text(st.characters(exclude_categories=()), max_size=300))
def test_any_short_text_is_a_query(text: str) -> None:
    query = Query.of(text)
    assert query.text == query.text.strip()
    assert query.text.isprintable()
    assert Query.of(query.text) == query
