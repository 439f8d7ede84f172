"""The passage of an asset that answers a query best, with what matched marked (pure)."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from search import analysis
from search.analysis import Span, Term

LONGEST: Final = 220
LONGEST_CHINESE: Final = 110
LEAST_MARKED: Final = 0.1
"""Terms of less weight choose the passage but are not marked."""

_BORDER: Final = re.compile(r"[。！？；!?]+[”’」』\"')）]*\s*|[.;][”’\"')]*\s+|\n+")
_BLANKS: Final = re.compile(r"[^\S\n]+")
_LIST_MARKS: Final = re.compile(r"^[ \t]*(?:-|\d{1,3}\.)[ \t]+", re.MULTILINE)
_BREAKS: Final = re.compile(r"\s*\n\s*")
_CHINESE: Final = re.compile("[\u3400-\u9fff]")
_INSIDE_WORD: Final = re.compile(r"[0-9A-Za-z\u00c0-\u024f]")


class Section(NamedTuple):
    """A part of an asset under one heading, as plain text."""

    anchor: str
    title: str
    plain: str


@dataclass(frozen=True, slots=True)
class Passage:
    """A cut of one section; `parts` are its texts in order, each marked or not."""

    anchor: str
    section_title: str
    parts: tuple[tuple[str, bool], ...]

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.parts)


def best_passage(sections: Sequence[Section | tuple[str, str, str]], terms: Sequence[Term]) -> Passage | None:
    """The densest passage of the section that holds most of the query; its beginning where nothing matches."""
    return best_passage_and_share(sections, terms)[0]


def best_passage_and_share(
    sections: Sequence[Section | tuple[str, str, str]], terms: Sequence[Term]
) -> tuple[Passage | None, float]:
    """The best passage, and the part of the query's weight (0..1) whose words its section holds."""
    found = [_Searched.of(Section(*section), terms) for section in sections]
    found = [section for section in found if section.plain or section.section.title]
    if not found:
        return None, 0.0
    weights = _weights(found, terms)
    best = max(found, key=lambda section: sum(weights[token] for token in section.tokens))
    marked = {term.text for term in terms if term.weight > LEAST_MARKED}
    start, end = _window(best.plain, best.spans, weights)
    total = sum(term.weight for term in terms)
    share = sum(term.weight for term in terms if term.text in best.tokens) / total if total else 0.0
    return Passage(best.section.anchor, best.section.title, _parts(best.plain, best.spans, marked, start, end)), share


def passage_at(section: Section, start: int, end: int, terms: Sequence[Term]) -> Passage:
    """The beginning of a given piece of a section, with the words it happens to hold marked."""
    plain = _running(section.plain[start:end])
    spans = analysis.spans(plain, frozenset(term.text for term in terms))
    marked = {term.text for term in terms if term.weight > LEAST_MARKED}
    return Passage(section.anchor, section.title, _parts(plain, spans, marked, *_window(plain, (), {})))


@dataclass(frozen=True, slots=True)
class _Searched:
    section: Section
    plain: str
    spans: list[Span]
    tokens: frozenset[str]

    @classmethod
    def of(cls, section: Section, terms: Sequence[Term]) -> "_Searched":
        wanted = frozenset(term.text for term in terms)
        plain = _running(section.plain)
        spans = analysis.spans(plain, wanted)
        titled = analysis.spans(section.title, wanted)
        return cls(section, plain, spans, frozenset(span.token for span in (*spans, *titled)))


@lru_cache(maxsize=1_024)
def _running(plain: str) -> str:
    """The text as it is shown on few lines: no list marks, no runs of blanks; kept, since typing asks again."""
    return _BREAKS.sub("\n", _BLANKS.sub(" ", _LIST_MARKS.sub("", plain))).strip()


def _weights(found: Sequence[_Searched], terms: Sequence[Term]) -> dict[str, float]:
    """A term that stands in every section says little about which one to show."""
    spread = Counter(token for section in found for token in section.tokens)
    return {term.text: term.weight / max(spread[term.text], 1) for term in terms}


def _window(plain: str, spans: Sequence[Span], weights: dict[str, float]) -> tuple[int, int]:
    longest = LONGEST_CHINESE if 3 * len(_CHINESE.findall(plain)) > len(plain) else LONGEST
    if len(plain) <= longest:
        return 0, len(plain)
    longest -= 2  # room for the marks of omission
    first, last = _densest(spans, weights, longest)
    start = _start(plain, first, last, longest)
    return start, _end(plain, start, last, start + longest)


def _densest(spans: Sequence[Span], weights: dict[str, float], longest: int) -> tuple[int, int]:
    """From the first to the last match of the window with most of the query's weight; ties go to the earlier."""
    best, place = 0.0, (0, 0)
    held: Counter[str] = Counter()
    worth = 0.0
    left = 0
    for right, span in enumerate(spans):
        worth += weights[span.token] * (1.0 if not held[span.token] else 0.05)
        held[span.token] += 1
        while spans[left].start < span.end - longest and left < right:
            gone = spans[left].token
            held[gone] -= 1
            worth -= weights[gone] * (1.0 if not held[gone] else 0.05)
            left += 1
        if worth > best + 1e-9:
            best, place = worth, (spans[left].start, span.end)
    return place


def _start(plain: str, first: int, last: int, longest: int) -> int:
    """The beginning of the sentence, else of a word, so that the last match still fits."""
    earliest = max(0, last - longest)
    borders = [0, *(match.end() for match in _BORDER.finditer(plain, 0, first)), first]
    near = [border for border in borders if earliest <= border <= first]
    start = next((border for border in near if first - border <= longest // 3), near[0])
    if start == first and first - earliest > longest // 4:
        start = first - longest // 4
        while start < first and start > 0 and _splits_word(plain, start):
            start += 1
    return start


def _end(plain: str, start: int, last: int, limit: int) -> int:
    """The end of the last sentence that fits, if it leaves enough, else of a word."""
    if limit >= len(plain):
        return len(plain)
    borders = [match.end() for match in _BORDER.finditer(plain, start, limit)]
    kept = [border for border in borders if border >= last and border - start >= (limit - start) // 2]
    if kept:
        return kept[-1]
    end = limit
    while end > last and _splits_word(plain, end):
        end -= 1
    return end if end > start else limit


def _splits_word(plain: str, place: int) -> bool:
    return bool(_INSIDE_WORD.match(plain[place - 1]) and _INSIDE_WORD.match(plain[place]))


def _parts(plain: str, spans: Sequence[Span], marked: set[str], start: int, end: int) -> tuple[tuple[str, bool], ...]:
    while end > start and plain[end - 1].isspace():
        end -= 1
    parts: list[tuple[str, bool]] = [("…", False)] if start and not _after_border(plain, start) else []
    place = start
    for left, right in _merged(spans, marked, start, end):
        parts += [(plain[place:left], False), (plain[left:right], True)]
        place = right
    cut = end < len(plain) and not _BORDER.search(plain[end - 1 : end + 1])
    parts += [(plain[place:end], False), ("…" if cut else "", False)]
    return tuple((text.replace("\n", " "), is_marked) for text, is_marked in parts if text)


def _after_border(plain: str, start: int) -> bool:
    return any(match.end() == start for match in _BORDER.finditer(plain, 0, start))


def _merged(spans: Sequence[Span], marked: set[str], start: int, end: int) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for span in spans:
        if span.token not in marked or span.start < start or span.end > end:
            continue
        if merged and span.start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], span.end))
        else:
            merged.append((span.start, span.end))
    return merged
