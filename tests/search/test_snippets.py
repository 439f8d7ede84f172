"""Passages: the right section, the right cut, the right marks."""

from hypothesis import given
from hypothesis import strategies as st

from search.analysis import query_terms
from search.snippets import LONGEST, LONGEST_CHINESE, Passage, Section, best_passage

FILLER = "We meet every week and write minutes. Nobody reads them twice. "
FILLER_ZH = "我们每周开会并写纪要。没有人看第二遍。"


def passage(query: str, *sections: Section) -> Passage:
    found = best_passage(sections, query_terms(query))
    assert found is not None
    return found


def marked(found: Passage) -> list[str]:
    return [text for text, is_marked in found.parts if is_marked]


def test_the_section_that_holds_most_of_the_query_is_shown() -> None:
    found = passage("停机 迁移", Section("a", "甲", "迁移很慢。"), Section("b", "乙", "迁移要停机多久？"))
    assert (found.anchor, found.section_title, marked(found)) == ("b", "乙", ["迁移", "停机"])


def test_the_title_of_a_section_counts() -> None:
    found = passage("downtime", Section("a", "Price", "Nothing."), Section("b", "Downtime", "An hour at most."))
    assert (found.anchor, found.text, marked(found)) == ("b", "An hour at most.", [])


def test_marks_follow_the_text_as_written() -> None:
    assert marked(passage("迁移 停机", Section("a", "", "遷移窗口怎麼談，停機多久"))) == ["遷移", "停機"]
    assert marked(passage("iso27001", Section("a", "", "We hold ＩＳＯ 27001 now"))) == ["ＩＳＯ 27001"]
    assert marked(passage("migrate", Section("a", "", "Migrations and migrating"))) == ["Migrations", "migrating"]
    assert marked(passage("数据库", Section("a", "", "换了数据库以后"))) == ["数据库"]
    assert marked(passage("the price", Section("a", "", "The price of the thing"))) == ["price"]


def test_a_long_section_is_cut_at_sentences_around_the_matches() -> None:
    found = passage(
        "expensive budget", Section("a", "", FILLER * 9 + "They say it is too expensive for the budget. " + FILLER * 9)
    )
    assert "They say it is too expensive for the budget." in found.text
    assert marked(found) == ["expensive", "budget"]
    assert len(found.text) <= LONGEST
    assert found.text.endswith(".")
    assert not found.text.startswith("…")


def test_chinese_passages_are_shorter() -> None:
    found = passage("嫌贵", Section("a", "", FILLER_ZH * 9 + "客户嫌贵，还在比竞品甲。" + FILLER_ZH * 9))
    assert "客户嫌贵" in found.text
    assert marked(found) == ["嫌贵"]
    assert len(found.text) <= LONGEST_CHINESE


def test_a_text_without_sentences_is_cut_between_words() -> None:
    text = (
        " ".join(f"word{number:03}" for number in range(300))
        + " target "
        + " ".join(f"word{number:03}" for number in range(300))
    )
    found = passage("target", Section("a", "", text))
    assert marked(found) == ["target"]
    assert len(found.text) <= LONGEST
    words = found.text.strip("…").split()
    assert all(word == "target" or len(word) == 7 for word in words)


def test_without_a_match_the_beginning_is_shown() -> None:
    found = passage("quantum", Section("a", "First", FILLER * 9), Section("b", "Second", FILLER))
    assert (found.anchor, marked(found)) == ("a", [])
    assert found.text.startswith("We meet every week")


def test_nothing_comes_of_nothing() -> None:
    assert best_passage([], query_terms("x")) is None
    assert best_passage([Section("a", "", " \n ")], query_terms("x")) is None


PIECES = [*"客户嫌贵停機。，！\n aK8s.’ ﬁ\u200d①", " price. ", "停机。", " migrating ", "x" * 40, "客户" * 30]
TEXT = st.lists(st.sampled_from(PIECES), max_size=80).map("".join)


@given(
    st.lists(st.tuples(st.just("a"), TEXT, TEXT), min_size=1, max_size=3),
    st.sampled_from(["停机 price", "客户嫌贵", "k8s", "ﬁ", "的", ""]),
)
def test_a_passage_is_always_a_short_cut_of_its_section(sections: list[tuple[str, str, str]], query: str) -> None:
    found = best_passage(sections, query_terms(query))
    if found is None:
        return
    assert len(found.text) <= LONGEST
    assert all(text for text, _ in found.parts)
    flat = [" ".join(plain.split()) for _, _, plain in sections]
    assert any(" ".join(found.text.strip("…").split()) in text for text in flat)
