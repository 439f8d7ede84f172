"""Words and meaning in one order: what each is sure of stays, and neither drowns the other language."""

import numpy as np
import pytest

from search import candidates, languages, meaning
from search.analysis import Term, query_terms
from search.candidates import CLOSE, COVERAGE
from search.engine import IntArray, Matches
from search.languages import LANGUAGES, Means
from search.matrix import Matrix
from search.meaning import Asked
from search.query import Mode
from search.vectors import Held

TERMS = query_terms("price")


def asked(closeness: dict[int, float]) -> Asked:
    """A query along the first axis, and one passage an asset at this closeness to it, each else in a direction of its own."""
    size = len(closeness) + 1
    rows = {
        asset: (close, *(np.sqrt(1 - close**2) * np.eye(size)[place])[:size])
        for place, (asset, close) in enumerate(closeness.items())
    }
    return near(rows)


def near(rows: dict[int, tuple[float, ...]]) -> Asked:
    """A query along the first axis, and one passage an asset in its own direction."""
    dimension = len(next(iter(rows.values()), (0,) * 4))
    zero = np.zeros(dimension, np.float32)
    means = Means(dict.fromkeys(LANGUAGES, zero), dict.fromkeys(LANGUAGES, zero))
    held = Held(
        np.array(list(rows), np.int64),
        [f"a{asset}" for asset in rows],
        np.zeros((len(rows), 2), np.int64),
        ["en"] * len(rows),
        languages.normal(np.array(list(rows.values()), np.float32).reshape(-1, dimension)),
    )
    return Asked(Matrix(held, means, 0), np.eye(1, dimension, dtype=np.float32)[0])


def words(found: dict[int, tuple[float, float]]):  # type: ignore[no-untyped-def]
    """An engine that answers these assets with their coverage and share."""

    def lexical(_terms: object, visible: IntArray) -> Matches:
        kept = {asset: figures for asset, figures in found.items() if asset in visible}
        coverage, share = (np.array([one[place] for one in kept.values()]) for place in (0, 1))
        return Matches(np.array(list(kept), np.int64), coverage, coverage, share, np.zeros(len(kept)))

    return lexical


def order(lexical, question: Asked | None, mode: Mode = Mode.HYBRID) -> list[int]:  # type: ignore[no-untyped-def]
    found: list[int] = candidates.find(lexical, lambda: question, TERMS, np.arange(1, 10), mode).asset_ids.tolist()
    return found


def test_all_the_words_win_over_a_near_meaning() -> None:
    assert order(words({1: (0.9, 1.0)}), asked({1: 0.2, 2: 0.6})) == [1, 2]


def test_a_few_common_words_do_not_lift_an_asset_over_a_near_meaning() -> None:
    assert order(words({1: (0.4, 0.3)}), asked({1: 0.2, 2: 0.4})) == [2, 1]


def test_each_mode_takes_its_own() -> None:
    lexical, question = words({1: (0.9, 1.0)}), asked({2: 0.6, 3: 0.5})
    assert order(lexical, question, Mode.LEXICAL) == [1]
    assert order(lexical, question, Mode.SEMANTIC) == [2, 3]
    assert set(order(lexical, question)) == {1, 2, 3}


def test_without_meaning_every_mode_answers_by_words() -> None:
    for mode in Mode:
        assert order(words({1: (0.9, 1.0)}), None, mode) == [1]


def test_what_is_far_from_the_best_or_from_everything_is_left_out() -> None:
    assert order(words({}), asked({1: 0.8, 2: 0.45, 3: 0.3})) == [1, 2]
    assert order(words({}), asked({1: candidates.ANY - 0.01})) == []
    assert order(words({}), asked({1: candidates.ANY + 0.01, 2: CLOSE - 0.01})) == [1]


def test_what_holds_the_words_is_never_left_out() -> None:
    assert order(words({1: (0.1, 0.4)}), asked({1: -0.5, 2: 0.9})) == [2, 1]


def test_what_has_no_vectors_yet_stands_by_its_words() -> None:
    found = candidates.find(
        words({1: (0.9, 1.0), 2: (0.2, 0.5)}), lambda: asked({3: 0.5}), TERMS, np.arange(1, 10), Mode.HYBRID
    )
    assert found.asset_ids.tolist() == [1, 3, 2]
    assert set(found.spots) == {3}
    assert found.base[0] == pytest.approx(CLOSE + candidates.HOPED * 0.9 + COVERAGE * 0.9)


def test_hidden_assets_change_neither_order_nor_scores() -> None:
    lexical, question = words({1: (0.9, 1.0), 5: (1.0, 1.0)}), asked({1: 0.2, 2: 0.6, 5: 0.99})
    without = words({1: (0.9, 1.0)}), lambda: asked({1: 0.2, 2: 0.6})
    visible = np.array([1, 2])
    one = candidates.find(lexical, lambda: question, TERMS, visible, Mode.HYBRID)
    other = candidates.find(*without, TERMS, visible, Mode.HYBRID)
    assert one.asset_ids.tolist() == other.asset_ids.tolist()
    assert one.base.tolist() == other.base.tolist()


def test_what_the_words_name_leads_the_question_on() -> None:
    """Asset 3 means what 1 says and not what was asked: it is found because 1 holds all the words."""
    held = words({1: (0.9, 1.0), 2: (0.2, 0.3)})
    rows = [(1.0, 0.0, 0.0, 0.0), (0.2, 0.9, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0)]
    question = near(dict(zip((4, 1, 3), rows, strict=True)))
    plain = candidates.find(held, lambda: question, TERMS, np.arange(1, 10), Mode.HYBRID, lead=0)
    led = candidates.find(held, lambda: question, TERMS, np.arange(1, 10), Mode.HYBRID)
    assert 3 not in plain.asset_ids
    assert 3 in led.asset_ids
    assert led.asset_ids[0] == plain.asset_ids[0] == 1


@pytest.mark.parametrize(
    "held",
    [
        {1: (0.9, 1.0), 2: (0.9, 1.0)},  # common words: many hold them
        {1: (0.3, 0.25)},  # a small part of the query
        {},
    ],
)
def test_words_that_name_nothing_lead_nowhere(held: dict[int, tuple[float, float]]) -> None:
    question = near({1: (0.2, 0.9, 0.0, 0.0), 2: (0.1, 0.1, 0.9, 0.0), 3: (0.0, 1.0, 0.0, 0.0)})
    found = [
        candidates.find(words(held), lambda: question, TERMS, np.arange(1, 10), Mode.HYBRID, lead=lead)
        for lead in (0.0, candidates.LEAD)
    ]
    assert found[0].asset_ids.tolist() == found[1].asset_ids.tolist()
    assert found[0].base.tolist() == found[1].base.tolist()


def test_a_long_query_is_asked_by_its_first_words() -> None:
    assert meaning.first_words("客户嫌贵") == "客户嫌贵"
    long = "客户嫌贵，" * 80
    cut = meaning.first_words(long)
    assert long.startswith(cut)
    assert 100 < len(cut) < 200
    assert meaning.first_words("") == ""


ELSEWHERE = [Term("preis", 1.0, ("kosten",))]


def two_languages(plain: dict[int, tuple[float, float]], other: dict[int, tuple[float, float]]):  # type: ignore[no-untyped-def]
    """An engine that answers the words as they are, and those of the other language."""
    here, there = words(plain), words(other)
    return lambda terms, visible: (there if list(terms) == ELSEWHERE else here)(terms, visible)


def found_in_both(lexical, question: Asked | None, mode: Mode = Mode.HYBRID):  # type: ignore[no-untyped-def]
    return candidates.find(lexical, lambda: question, TERMS, np.arange(1, 10), mode, translate=lambda: ELSEWHERE)


CROWD = dict.fromkeys(range(4, 10), (0.1, 0.3))


def test_words_of_the_other_language_settle_what_meaning_leaves_open() -> None:
    lexical = two_languages({}, CROWD | {2: (0.7, 0.8)})
    found = found_in_both(lexical, asked({1: 0.42, 2: 0.40, 3: 0.30}))
    assert found.asset_ids.tolist() == [2, 1, 3]
    assert found.translated is not None
    assert 2 in found.translated
    assert 4 not in found.translated, "what is with the crowd gains nothing"
    assert [term.text for term in found.translated.by_token] == ["preis", "kosten"]


def test_the_crowd_gains_nothing_and_is_not_added() -> None:
    crowd = dict.fromkeys(range(2, 10), (0.3, 0.6))
    assert found_in_both(two_languages({}, crowd), asked({1: 0.5, 4: 0.05})).asset_ids.tolist() == [1]


def test_few_are_no_crowd() -> None:
    for count in (1, 2, candidates.MANY // 2):
        few = dict.fromkeys(range(1, count + 1), (0.5, 0.9))
        assert len(found_in_both(two_languages({}, few), None).asset_ids) == count


def test_what_holds_most_words_of_the_other_language_is_found_though_its_meaning_seems_far() -> None:
    lexical = two_languages({}, CROWD | {2: (0.9, 0.9), 3: (0.5, 0.4)})
    assert found_in_both(lexical, asked({1: 0.5, 2: -0.2, 3: -0.2})).asset_ids.tolist() == [1, 2]


def test_nobody_is_asked_for_in_the_other_language_where_the_words_are_held() -> None:
    def unasked() -> list[Term]:
        raise AssertionError("the words are there")

    held = words({1: (0.9, candidates.HELD)})
    for mode in Mode:
        lexical = held if mode is Mode.HYBRID else words({})
        candidates.find(lexical, lambda: None, TERMS, np.arange(1, 10), mode, translate=unasked)


def test_without_meaning_the_other_language_is_found_by_its_words() -> None:
    lexical = two_languages({1: (0.4, 0.4)}, CROWD | {2: (0.7, 0.8), 1: (0.5, 0.8)})
    found = found_in_both(lexical, None)
    assert found.asset_ids.tolist() == [1, 2], "what holds words of both stands first"
    assert (np.diff(found.base) <= 0).all()
