"""Passages: real cuts of one section, never long, whatever the text."""

import time
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search import passages


@dataclass(frozen=True)
class Section:
    title: str
    plain: str
    anchor: str = "a"


def flat(text: str) -> str:
    return " ".join(text.split())


LIMIT = passages.LONGEST + passages.OVERLAP + passages.SHORTEST
PIECES = [*"停机é🙂a 。.!\n；”」)", " price. ", "停机。", "客户" * 90, "word " * 90, "x" * 900, "\n\n", "\u3000"]
TEXT = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)


@given(TEXT, TEXT, TEXT)
def test_a_passage_is_a_cut_of_its_own_section(title: str, one: str, two: str) -> None:
    sections = {"a": Section("One", one, "a"), "b": Section("二", two, "b")}
    found = passages.of_asset(title, "zh", list(sections.values()))
    assert found
    for passage in found:
        plain = sections[passage.anchor].plain if passage.anchor else ""
        assert 0 <= passage.start <= passage.end <= len(plain)
        assert flat(plain[passage.start : passage.end]) in flat(passage.embedded)
    places = [(passage.anchor, passage.start) for passage in found]
    assert places == sorted(places)


@given(TEXT)
def test_nothing_but_space_is_lost_and_nothing_is_long(text: str) -> None:
    spans = passages.cut(text)
    seen = {place for start, end in spans for place in range(start, end)}
    assert not [place for place, character in enumerate(text) if place not in seen and not character.isspace()]
    assert all(passages.size(text[start:end]) <= LIMIT for start, end in spans)
    assert len(spans) == len(set(spans))


@pytest.mark.parametrize(
    ("sentence", "last"),
    [
        ("停机窗口由您来定。", "。"),
        ("真的不用停机吗？", "？"),
        ("先别降价！", "！"),
        ("先算三年总账；", "；"),
        ("他说“先别降价。”", "”"),
        ("You choose the window. ", "."),
        ("Is it really too expensive? ", "?"),
        ('She said "wait!" ', '"'),
    ],
)
def test_a_cut_follows_the_end_of_a_sentence(sentence: str, last: str) -> None:
    text = sentence * 120
    spans = passages.cut(text)
    assert len(spans) > 1
    assert all(text[start:end].rstrip().endswith(last) for start, end in spans)
    assert all(sentence.startswith(text[start : start + 3]) for start, _ in spans)


def test_numbers_and_names_are_no_ends_of_sentences() -> None:
    text = "Version 3.14 of example.com costs 1.250 euros a year and a seat. " * 40
    spans = passages.cut(text)
    assert len(spans) > 1
    assert all(text[start:end].startswith("Version") for start, end in spans)


@pytest.mark.parametrize(
    "text", ["x" * 10_000, "停" * 10_000, "停x" * 5_000, "🙂" * 10_000, "!" * 10_000, "\n" * 10_000]
)
def test_ten_thousand_characters_are_cut_quickly(text: str) -> None:
    began = time.process_time()
    passages.of_asset("T", "zh", [Section("Say", text)])
    assert time.process_time() - began < 2


@pytest.mark.parametrize("text", ["停" * 400_000, "x" * 400_000])
def test_a_huge_text_takes_no_more_than_its_share(text: str) -> None:
    began = time.process_time()
    found = passages.of_asset("T", "zh", [Section("Say", text)])
    assert time.process_time() - began < 5
    assert len(found) == passages.MOST_PASSAGES


@pytest.mark.parametrize("sections", [[], [Section("Say", "")], [Section("Say", " \n\u3000")]])
def test_without_text_the_title_is_the_passage(sections: list[Section]) -> None:
    (found,) = passages.of_asset("  价格\n异议 ", "zh", sections)
    assert (found.embedded, found.anchor, found.start, found.end) == ("价格 异议", "", 0, 0)
    assert found.text_hash == passages.text_hash("价格 异议")


def test_short_sections_stay_apart() -> None:
    found = passages.of_asset("T", "zh", [Section(str(n), "贵？", str(n)) for n in range(5)])
    assert [(passage.anchor, passage.embedded) for passage in found] == [(str(n), f"T\n{n}\n贵？") for n in range(5)]


def test_a_last_crumb_is_not_a_passage_of_its_own() -> None:
    text = "停机窗口由您来定。" * 48 + "好。"
    start, end = passages.cut(text)[-1]
    assert passages.size(text[start:end]) >= passages.OVERLAP + passages.SHORTEST


@given(st.tuples(TEXT, TEXT, TEXT), st.tuples(TEXT, TEXT, TEXT))
def test_the_hash_changes_exactly_with_what_is_embedded(one: tuple[str, str, str], two: tuple[str, str, str]) -> None:
    (first, second) = (
        passages.of_asset(title, "en", [Section(heading, text)])[0] for title, heading, text in (one, two)
    )
    assert (first.text_hash == second.text_hash) == (first.embedded == second.embedded)


@pytest.mark.parametrize(
    "other", [("U", "Say", "Words."), ("T", "Ask", "Words."), ("T", "Say", "Words!"), ("T", "", "Words.")]
)
def test_title_heading_and_text_each_count_for_the_hash(other: tuple[str, str, str]) -> None:
    title, heading, text = other
    (first,) = passages.of_asset("T", "en", [Section("Say", "Words.")])
    (second,) = passages.of_asset(title, "en", [Section(heading, text)])
    assert first.text_hash != second.text_hash


def test_broken_surrogates_have_a_hash_too() -> None:
    (found,) = passages.of_asset("T", "en", [Section("Say", "broken \ud800 text")])
    assert len(found.text_hash) == 32
