"""The analyser: what meets what, and that nothing makes it fail."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search import analysis
from search.analysis import query_terms, spans, tokens

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=200)


def asked(text: str) -> dict[str, float]:
    return {term.text: term.weight for term in query_terms(text)}


@pytest.mark.parametrize(
    ("query", "document"),
    [
        ("贵", "客户嫌贵怎么办"),
        ("貴", "客户嫌贵怎么办"),
        ("客戶擔心資料遷移", "客户担心资料迁移"),
        ("停机", "迁移要停機多久"),
        ("ＩＳＯ27001", "ISO 27001"),
        ("iso-27001", "ISO27001"),
        ("ISO 27001", "We hold ISO/IEC 27001."),
        ("v3.2", "Release V3.2, July"),
        ("3.2", "Release v3.2"),
        ("D-1042", "see ticket d-1042"),
        ("1042", "see ticket D-1042"),
        ("k8s", "迁到K8s，客户说没人会运维"),
        ("migrating", "Migration plans"),
        ("customer", "the customers’ view"),
        ("customers", "the customer's view"),
        ("realtime", "real-time figures"),
        ("real time", "real-time figures"),
        ("cafe", "Café"),
        ("1000000", "1,000,000 rows"),
        ("competitor a", "Competitor A came in a fifth lower"),
        ("竞品A", "客户在比竞品 A"),
        ("c++", "C++ and C#"),
        ("data\u200bbase", "data base"),
        ("soft\u00adware", "software"),
    ],
)
def test_every_strong_term_of_the_query_is_in_the_document(query: str, document: str) -> None:
    held = set(tokens(document))
    strong = {text for text, weight in asked(query).items() if weight == max(asked(query).values())}
    assert strong
    assert strong <= held


@pytest.mark.parametrize(
    ("query", "document"),
    [
        ("D-1042", "1043 D-104 d 10"),
        ("E-7", "E-17, 7, e"),
        ("competitor a", "a competitor"),
        ("competitor a", "Competitor B"),
        ("上海", "海上"),
    ],
)
def test_names_do_not_meet_their_neighbours(query: str, document: str) -> None:
    best = max(query_terms(query), key=lambda term: (term.weight, len(term.text)))
    assert best.text not in tokens(document)


def test_words_weigh_more_than_pairs_across_words() -> None:
    weights = asked("客户嫌贵")
    assert weights["客户"] == weights["嫌贵"] == 1.0
    assert weights["户嫌"] < 0.5
    assert weights["贵"] < 0.5


def test_a_character_that_stands_alone_is_a_full_word() -> None:
    assert asked("贵") == {"贵": 1.0}
    assert asked("嫌 贵") == {"嫌": 1.0, "贵": 1.0}


def test_common_words_go_unless_nothing_else_is_left() -> None:
    assert set(asked("what is the price")) == {"price"}
    assert "怎么" not in asked("客户嫌贵怎么办")
    assert set(asked("what is it")) == {"what", "is", "it"}
    assert asked("的") == {"的": 1.0}


def test_english_is_stemmed_but_names_are_not() -> None:
    assert tokens("Pricing K8s ISO27001") == ["price", "k8s", "iso27001", "iso", "27001"]


def test_a_very_long_word_is_cut_the_same_on_both_sides() -> None:
    assert tokens("x" * 500) == [term.text for term in query_terms("x" * 500)]
    assert len(tokens("x" * 500)[0]) <= analysis.LONGEST_TOKEN


def test_a_query_has_a_bounded_number_of_terms() -> None:
    assert len(query_terms("".join(chr(0x4E00 + i) for i in range(2_000)))) <= analysis.MOST_TERMS


@given(ANY_TEXT)
def test_no_text_raises(text: str) -> None:
    held = tokens(text)
    for term in query_terms(text):
        assert 0 < term.weight <= 1
        assert term.text.encode()
    assert all(token and not token.isspace() for token in held)


@given(st.text(st.sampled_from("我们的客户嫌贵停机迁移數據庫abA17 -.'’/，ﬁ\u200d①é"), max_size=40))
def test_a_text_holds_every_term_it_asks_for(text: str) -> None:
    assert {term.text for term in query_terms(text)} <= set(tokens(text))


@given(st.text(st.sampled_from("我们的客户嫌贵停机迁移數據庫abA17 -.'’/，ﬁ\u200d①é"), max_size=40))
def test_spans_find_exactly_the_tokens_of_the_index(text: str) -> None:
    held = tokens(text)
    found = spans(text, set(held))
    assert sorted(span.token for span in found) == sorted(held)
    assert all(0 <= span.start < span.end <= len(text) for span in found)


def test_spans_keep_the_places_of_the_original() -> None:
    text = "我們的ＩＳＯ 27001 ﬁne 停機時間, migrating"
    cut = {span.token: text[span.start : span.end] for span in spans(text, {"iso27001", "fine", "停机", "migrat"})}
    assert cut == {"iso27001": "ＩＳＯ 27001", "fine": "ﬁne", "停机": "停機", "migrat": "migrating"}
