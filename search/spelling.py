"""Did you mean: another spelling of a short query, of words that the reader's own library holds.

English by letters (one slip in short words, two in longer ones; transposed letters are one), Chinese by sound first
(肯得基 is 肯德基), then by one wrong character; letters that are the sound of Chinese words become those words. Whatever
the book proposes is shown only where `held` has found it in a text that this reader may see.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import rjieba
from rapidfuzz import process
from rapidfuzz.distance import OSA, Hamming

from search import analysis
from search.candidates import Lexical
from search.engine import Matches, Visible
from search.ranking import ALL
from search.wordbook import Wordbook, blurred, sound

LONGEST: Final = 24
LONGEST_RUN: Final = 8
"""Longer queries, and longer runs of Chinese, are sentences: meaning finds what they ask."""
SHORT_WORD: Final = 4
LONG_WORD: Final = 7
MOST_TRIED: Final = 12
LONGEST_CHINESE: Final = 6

_PIECE: Final = re.compile("[\u3400-\u9fff]+|[a-z][a-z0-9+#]*(?:[-.][a-z0-9]+)*")

Held = Callable[[str], bool]


@dataclass(slots=True)
class Holding:
    """Whether one text among these holds all words of a query; each question is asked once."""

    lexical: Lexical
    visible: Visible
    _known: dict[str, bool] | None = None

    def __call__(self, words: str) -> bool:
        if self._known is None:
            self._known = {}
        if words not in self._known:
            terms = analysis.query_terms(words)
            found = self.lexical(terms, self.visible) if terms else Matches.none()
            self._known[words] = bool(len(found)) and float(found.share.max()) >= ALL
        return self._known[words]


def may_be_misspelt(words: str) -> bool:
    """Whether a query is short enough to be names and terms."""
    return 1 < len(words) <= LONGEST


def corrected(text: str, book: Wordbook, held: Held) -> str:
    """The query with what the library does not hold put right, or nothing where that is not possible throughout."""
    folded = analysis.fold(text)
    if len(folded) != len(text):
        text = folded
    parts: list[str] = []
    place, changed = 0, False
    for match in _PIECE.finditer(folded):
        piece = match[0]
        better = _latin(piece, book, held) if piece[0].isascii() else _chinese(piece, book, held)
        parts += [text[place : match.start()], better or text[match.start() : match.end()]]
        place, changed = match.end(), changed or bool(better)
    meant = "".join((*parts, text[place:]))
    return meant if changed and analysis.fold(meant) != folded else ""


def _latin(word: str, book: Wordbook, held: Held) -> str:
    if len(word) < SHORT_WORD or held(word) or word in analysis.ENGLISH_STOPS:
        return ""
    slips = 1 if len(word) < LONG_WORD else 2
    found: list[tuple[int, int, str]] = []
    for length in range(len(word) - slips, len(word) + slips + 1):
        choices = book.latin.get(length, {})
        near = process.extract(word, choices.keys(), scorer=OSA.distance, score_cutoff=slips, limit=MOST_TRIED)
        found += [(int(distance), -choices[other], other) for other, distance, _ in near if distance]
    for _, _, other in sorted(found)[:MOST_TRIED]:
        if held(other):
            return other
    return _by_letters_of_sound(word, book, held)


def _by_letters_of_sound(word: str, book: Wordbook, held: Held) -> str:
    """Chinese words that somebody wrote as they sound, an input method being off: `kehu` is 客户."""
    if not word.isalpha():
        return ""
    ways = [("", word)]
    for _ in range(LONGEST_CHINESE):
        further: list[tuple[str, str]] = []
        for said, rest in ways:
            for end in range(len(rest), 2, -1):
                for other in _sounding(rest[:end], book)[:2]:
                    if end == len(rest) and held(said + other):
                        return said + other
                    if end < len(rest):
                        further.append((said + other, rest[end:]))
        ways = further[:MOST_TRIED]
    return ""


def _sounding(letters: str, book: Wordbook) -> list[str]:
    return list(book.by_letters().get(letters, ()))


def _chinese(run: str, book: Wordbook, held: Held) -> str:
    """The run with windows put right that nothing holds; by sound, else by one character."""
    if not 1 < len(run) <= LONGEST_RUN or held(run) or _is_made_of_words(run, held):
        return ""
    result, place, changed = "", 0, False
    while place < len(run):
        window, better = _window(run, place, book, held)
        result += better or run[place]
        place += len(window) if better else 1
        changed = changed or bool(better)
    return result if changed else ""


def _is_made_of_words(run: str, held: Held) -> bool:
    """Whether each word of a run stands somewhere, though not all together; a single character may be a slip."""
    return all(len(word) > 1 and held(word) for word in rjieba.cut(run))


def _window(run: str, place: int, book: Wordbook, held: Held) -> tuple[str, str]:
    """The longest piece from here that is a word of the library wrongly written, and the word."""
    for length in range(min(LONGEST_CHINESE, len(run) - place), 1, -1):
        window = run[place : place + length]
        others = list(_like(window, book))
        if not others or held(window):
            continue
        for other in others:
            if held(other):
                return window, other
    return "", ""


def _like(window: str, book: Wordbook) -> Iterator[str]:
    alike = [other for other in book.by_sound.get(blurred(window), ()) if other != window]
    heard = sound(window)
    yield from _first(sorted(alike, key=lambda other: (sound(other) != heard, -book.count(other))))
    if len(window) > 2:
        choices = book.chinese.get(len(window), {})
        near = process.extract(window, choices.keys(), scorer=Hamming.distance, score_cutoff=1, limit=MOST_TRIED)
        yield from _first(other for other, _, _ in near)


def _first(words: Iterable[str]) -> Iterator[str]:
    for _, word in zip(range(MOST_TRIED), words, strict=False):
        yield word
