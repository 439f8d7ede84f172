"""The order of hits and the reasons given."""

from dataclasses import replace

import numpy as np

from search.analysis import query_terms
from search.ranking import Signals, is_title, merge, reasons


def signals(*rows: tuple[int, float, float, bool, bool, bool]) -> Signals:
    columns = list(zip(*rows, strict=True))
    return Signals(
        np.array(columns[0], np.int64),
        np.array(columns[1], np.float64),
        np.array(columns[2], np.float64),
        *(np.array(column, np.bool_) for column in columns[3:]),
    )


def test_coverage_decides_between_unlike_assets() -> None:
    ranked = merge(signals((1, 0.3, 0, False, True, True), (2, 0.6, 0, False, False, False)))
    assert ranked.asset_ids.tolist() == [2, 1]
    assert ranked.rows.tolist() == [1, 0]


def test_the_readers_language_comes_first_on_near_ties() -> None:
    assert merge(signals((1, 0.50, 0, False, True, False), (2, 0.49, 0, False, True, True))).asset_ids.tolist() == [
        2,
        1,
    ]


def test_an_unverified_asset_steps_back_on_near_ties() -> None:
    assert merge(signals((1, 0.50, 0, False, False, True), (2, 0.49, 0, False, True, True))).asset_ids.tolist() == [
        2,
        1,
    ]


def test_an_exact_title_comes_first() -> None:
    assert merge(signals((1, 0.7, 0, False, True, True), (2, 0.5, 1, True, True, True))).asset_ids.tolist() == [2, 1]


def test_equal_assets_keep_one_order() -> None:
    assert merge(signals((9, 0.5, 0, False, True, True), (3, 0.5, 0, False, True, True))).asset_ids.tolist() == [3, 9]


def test_a_title_is_recognised_across_scripts_and_case() -> None:
    assert is_title("客戶嫌貴 怎麼辦", "客户嫌贵，怎么办？")
    assert is_title("year-end OFFER", "Year-end offer")
    assert not is_title("客户嫌贵", "客户嫌贵怎么办")
    assert not is_title("", "")


def test_reasons_name_title_and_tags() -> None:
    why = reasons(query_terms("嫌贵 金融"), "客户嫌贵怎么办", ["金融", "制造", "金融"])
    assert why == (("words",), ("title",), ("tag", "金融"))
    assert reasons(query_terms("pricing"), "Other", ["Price", "Price war"], in_text=False) == (("tag", "Price"),)


def test_of_one_story_in_two_languages_the_readers_comes_where_the_better_would() -> None:
    signals = Signals(
        asset_ids=np.array([1, 2, 3]),
        base=np.array([0.9, 0.3, 0.6]),
        title_share=np.zeros(3),
        exact_title=np.zeros(3, np.bool_),
        verified=np.ones(3, np.bool_),
        own_language=np.array([False, True, True]),
        story=np.array([7, 7, -3]),
    )
    ranked = merge(signals)
    assert ranked.asset_ids.tolist() == [2, 1, 3]
    assert ranked.scores[0] == ranked.scores[1]


def test_what_helps_and_what_is_used_wins_near_ties_and_nothing_else() -> None:
    alike = signals(*((number, 0.5, 0, False, True, True) for number in (1, 2, 3, 4)))
    learned = replace(alike, effect=np.array([-1.0, 0, 0, 1]), deals=np.array([0.0, 0, 40, 0]))
    assert merge(learned).asset_ids.tolist() == [4, 3, 2, 1]
    better = signals((1, 0.6, 0, False, True, True), (2, 0.5, 0, False, True, True))
    loved = replace(better, effect=np.array([-1.0, 1]), deals=np.array([0.0, 10_000]))
    assert merge(loved).asset_ids.tolist() == [1, 2], "a clearly better match stays first"
    doubted = signals((1, 0.5, 0, False, False, True), (2, 0.5, 0, False, False, True))
    used = replace(doubted, deals=np.array([0.0, 50]))
    assert merge(used).scores[0] == merge(used).scores[1], "use of what nobody verified counts for nothing"
