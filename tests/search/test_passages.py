"""Texts cut into passages: whole sentences, within one section, nothing lost, never long."""

import itertools
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


CHINESE = "停机窗口由您来定，我们一次只搬一个系统。" * 60
ENGLISH = "You choose the window, and we move one system at a time. " * 60


def spans_of(text: str) -> list[tuple[int, int]]:
    return passages.cut(text)


@pytest.mark.parametrize("text", [CHINESE, ENGLISH, f"{CHINESE}\n{ENGLISH}"])
def test_long_sections_are_cut_at_sentences_and_overlap(text: str) -> None:
    spans = spans_of(text)
    assert len(spans) > 2
    for start, end in spans:
        assert text[start:end].rstrip()[-1] in "。."
        assert passages.size(text[start:end]) <= passages.LONGEST + passages.OVERLAP + passages.SHORTEST
    for (_, end), (start, _) in itertools.pairwise(spans):
        assert end - start > 0, "the next begins before the end of this one"
        assert passages.size(text[start:end]) <= passages.OVERLAP


@given(st.text(alphabet="ab 。.!\n停机é🙂", max_size=3_000))
def test_no_text_is_lost(text: str) -> None:
    covered = bytearray(len(text))
    for start, end in spans_of(text):
        assert 0 <= start <= end <= len(text)
        covered[start:end] = b"\x01" * (end - start)
    assert "".join(c for c, seen in zip(text, covered, strict=True) if not seen).strip() == ""


@pytest.mark.parametrize("text", ["x" * 10_000, "停" * 10_000, "x " * 5_000])
def test_a_text_without_sentences_is_cut_all_the_same(text: str) -> None:
    spans = spans_of(text)
    assert all(passages.size(text[start:end]) <= passages.LONGEST * 1.3 for start, end in spans)
    assert spans[-1][1] == len(text)


def test_what_is_embedded_names_the_asset_and_the_section() -> None:
    (found,) = passages.of_asset("Price  objection", "en", [Section("Say", "Compare\nthree years.")])
    assert found.embedded == "Price objection\nSay\nCompare three years."
    assert (found.anchor, found.start, found.end, found.language) == ("a", 0, 20, "en")


def test_a_heading_that_repeats_the_title_is_said_once() -> None:
    (found,) = passages.of_asset("Price", "en", [Section("Price", "Compare.")])
    assert found.embedded == "Price\nCompare."


def test_every_section_has_its_passage_however_short() -> None:
    found = passages.of_asset(
        "T", "zh", [Section("问", "贵？", "a"), Section("空", "  ", "b"), Section("答", "不贵。", "c")]
    )
    assert [passage.anchor for passage in found] == ["a", "c"]


def test_an_asset_without_text_is_its_title() -> None:
    (found,) = passages.of_asset("价格异议", "zh", [])
    assert (found.embedded, found.anchor, found.language) == ("价格异议", "", "zh")


def test_there_are_not_too_many() -> None:
    found = passages.of_asset("T", "en", [Section(str(n), "Some words.", str(n)) for n in range(500)])
    assert len(found) == passages.MOST_PASSAGES


def test_the_hash_names_the_text_that_is_embedded() -> None:
    one, same, other = (
        passages.of_asset(title, "en", [Section("Say", text)])[0]
        for title, text in (("T", "Words here."), ("T", "Words  here."), ("U", "Words here."))
    )
    assert one.text_hash == same.text_hash != other.text_hash


@pytest.mark.parametrize("text", ["x" * 1_000_000, "停" * 1_000_000, ". " * 500_000, "。" + "”" * 900_000])
def test_a_hostile_megabyte_is_cut_within_bounds(text: str) -> None:
    found = passages.of_asset("T", "zh", [Section("S", text)])
    assert 0 < len(found) <= passages.MOST_PASSAGES
    assert max(len(passage.embedded) for passage in found) <= 2 * passages.MOST_CHARACTERS


def test_language_goes_by_the_script_of_each_passage() -> None:
    found = passages.of_asset(
        "T", "en", [Section("说", "价格贵，先别降价，算三年总账。"), Section("Say", "Compare three years.")]
    )
    assert [passage.language for passage in found] == ["zh", "en"]
