"""Sections → passages, the pieces of text that get vectors (pure).

A passage lies within one section, so that a hit can link to it. Long sections are cut at the ends of
sentences, with some overlap. What is embedded is the asset's title, the section's heading and the passage
itself: a paragraph alone often does not name what it is about.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Protocol

from search import languages

VERSION: Final = "1"
"""Raised when the same text gives other passages: all are then cut, and what is new is embedded, again."""

LONGEST: Final = 320
OVERLAP: Final = 48
SHORTEST: Final = 12
"""Sizes in about the tokens of a multilingual model, whose longest input is 512 with title and heading."""
MOST_PASSAGES: Final = 200
MOST_CHARACTERS: Final = 1_200
"""No passage holds more, whatever it is made of."""
LONGEST_TITLE: Final = 200
CHINESE_TOKEN: Final = 0.75
OTHER_TOKEN: Final = 0.28

_WIDE: Final = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")
_BORDER: Final = re.compile(r"(?<=[。！？；!?])[”’」』\"')）]*\s*|(?<=[.;:])\s+|\n+")
_SPACES: Final = re.compile(r"\s+")


class Cuttable(Protocol):
    """What a section must have: rendered ones of `content` do."""

    @property
    def anchor(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def plain(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of one section's plain text, `start` to `end`, and what is embedded for it."""

    anchor: str
    start: int
    end: int
    language: str
    embedded: str
    text_hash: str


def of_asset(title: str, language: str, sections: Sequence[Cuttable]) -> list[Passage]:
    """The passages of an asset in the order of its text; one of the title alone where there is no text."""
    pieces = islice(_pieces(sections), MOST_PASSAGES)
    found = [_passage(title, language, section, start, end) for section, start, end in pieces]
    return found or [_of_title(title, language)]


def size(text: str) -> float:
    """About how many tokens a multilingual model makes of a text."""
    wide = len(_WIDE.findall(text))
    return wide * CHINESE_TOKEN + (len(text) - wide) * OTHER_TOKEN


def _pieces(sections: Sequence[Cuttable]) -> Iterator[tuple[Cuttable, int, int]]:
    for section in sections:
        if section.plain.strip():
            for start, end in cut(section.plain[: MOST_PASSAGES * MOST_CHARACTERS]):
                yield section, start, end


def cut(text: str) -> list[tuple[int, int]]:
    """Where the pieces of a text begin and end: whole sentences as far as they fit, none longer than LONGEST."""
    if size(text) <= LONGEST:
        return [(0, len(text))]
    sentences = list(_sentences(text))
    pieces: list[tuple[int, int]] = []
    first = 0
    while first < len(sentences):
        last, held = first, 0.0
        while last < len(sentences) and (last == first or held + size(text[slice(*sentences[last])]) <= LONGEST):
            held += size(text[slice(*sentences[last])])
            last += 1
        pieces.append((sentences[first][0], sentences[last - 1][1]))
        if last >= len(sentences):
            break
        first = _overlapping(text, sentences, first, last)
    return _without_crumb(text, pieces)


def _sentences(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for end in [*(match.end() for match in _BORDER.finditer(text) if match.end() > 0), len(text)]:
        while start < end:
            stop = _within(text, start, end)
            if text[start:stop].strip():
                yield start, stop
            start = stop


def _within(text: str, start: int, end: int) -> int:
    """The end, or an earlier place where one sentence alone is too long."""
    end = min(end, start + MOST_CHARACTERS)  # more than that is never looked at: this stays linear
    if size(text[start:end]) <= LONGEST:
        return end
    longest = int(LONGEST / (CHINESE_TOKEN if _WIDE.search(text, start, end) else OTHER_TOKEN))
    stop = start + longest
    space = text.rfind(" ", start + longest // 2, stop)
    return space + 1 if space > 0 else stop


def _overlapping(text: str, sentences: list[tuple[int, int]], first: int, last: int) -> int:
    """The sentence with which the next piece begins: a few before the end of this one."""
    held = 0.0
    start = last
    while start - 1 > first and held + size(text[slice(*sentences[start - 1])]) <= OVERLAP:
        start -= 1
        held += size(text[slice(*sentences[start])])
    return start


def _without_crumb(text: str, pieces: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """A last piece of a few words is joined to the one before."""
    if len(pieces) > 1 and size(text[slice(*pieces[-1])]) < OVERLAP + SHORTEST:
        return [*pieces[:-2], (pieces[-2][0], pieces[-1][1])]
    return pieces


def _passage(title: str, language: str, section: Cuttable, start: int, end: int) -> Passage:
    head = [_line(title)[:LONGEST_TITLE]]
    if _line(section.title) and _line(section.title) != head[0]:
        head.append(_line(section.title)[:LONGEST_TITLE])
    embedded = "\n".join([*head, _line(section.plain[start:end])]).strip()
    return Passage(section.anchor, start, end, languages.of_text(embedded, language), embedded, text_hash(embedded))


def _of_title(title: str, language: str) -> Passage:
    embedded = _line(title)
    return Passage("", 0, 0, languages.of_text(embedded, language), embedded, text_hash(embedded))


def text_hash(embedded: str) -> str:
    """Names a text: its vector is kept under it."""
    return hashlib.sha256(embedded.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _line(text: str) -> str:
    return _SPACES.sub(" ", text).strip()
