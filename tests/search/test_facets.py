"""Facet counts against a plain reference."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from search.engine import FacetTable
from search.facets import narrow

FACET_OF = {1: "stage", 2: "stage", 3: "industry", 4: "industry", 9: "type"}


def table(*codes: set[int]) -> FacetTable:
    pairs = [(row, code) for row, held in enumerate(codes) for code in sorted(held)]
    return FacetTable(np.array([row for row, _ in pairs], np.int64), np.array([code for _, code in pairs], np.int64))


def pool(size: int) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    return np.arange(size, dtype=np.int64) * 10 + 100


def test_values_of_one_facet_are_or_and_facets_are_and() -> None:
    held = table({1, 3}, {2, 3}, {1, 4}, {9})
    assert narrow(pool(4), held, {"stage": {1, 2}}, FACET_OF).pool.tolist() == [100, 110, 120]
    assert narrow(pool(4), held, {"stage": {1, 2}, "industry": {3}}, FACET_OF).pool.tolist() == [100, 110]


def test_a_choice_does_not_narrow_its_own_counts() -> None:
    narrowed = narrow(pool(4), table({1, 3}, {2, 3}, {1, 4}, {9}), {"stage": {1}}, FACET_OF)
    assert narrowed.counts["stage"] == {1: 2, 2: 1}
    assert narrowed.counts["industry"] == {3: 1, 4: 1}
    assert narrowed.counts["type"] == {}


def test_a_choice_of_unknown_codes_leaves_nothing() -> None:
    narrowed = narrow(pool(2), table({1}, {2}), {"stage": {77}}, FACET_OF)
    assert narrowed.pool.tolist() == []
    assert narrowed.counts["stage"] == {1: 1, 2: 1}


def test_a_choice_in_an_unknown_facet_leaves_nothing() -> None:
    assert narrow(pool(1), table({1}), {"moon": {1}}, FACET_OF).pool.tolist() == []


def test_an_empty_choice_and_an_empty_pool_are_fine() -> None:
    assert narrow(pool(1), table({1}), {"stage": set()}, FACET_OF).pool.tolist() == [100]
    assert narrow(pool(0), table(), {"stage": {1}}, FACET_OF).counts["stage"] == {}
    assert narrow(pool(0), table(), {}, {}).counts == {}


CODES = st.sets(st.sampled_from([1, 2, 3, 4, 9, 50]))


@given(st.lists(CODES, max_size=8), st.dictionaries(st.sampled_from(["stage", "industry", "type"]), CODES))
def test_counts_agree_with_a_plain_reference(held: list[set[int]], selected: dict[str, set[int]]) -> None:
    def passes(codes: set[int], but: str | None) -> bool:
        return all(
            any(code in chosen and FACET_OF.get(code) == facet for code in codes)
            for facet, chosen in selected.items()
            if chosen and facet != but
        )

    narrowed = narrow(pool(len(held)), table(*held), selected, FACET_OF)
    assert narrowed.rows.tolist() == [row for row, codes in enumerate(held) if passes(codes, None)]
    for facet in ("stage", "industry", "type"):
        expected: dict[int, int] = {}
        for codes in held:
            if passes(codes, facet):
                for code in codes:
                    if FACET_OF.get(code) == facet:
                        expected[code] = expected.get(code, 0) + 1
        assert narrowed.counts[facet] == expected
