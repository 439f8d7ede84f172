"""Words out of text: one analyser for the index, for queries and for marking what matched.

Text is folded first (width, case, accents, traditional to simplified), character by character, so
that every token keeps its place in the original. English is stemmed; names with digits stay whole
and give their parts as well (`ISO 27001`, `ISO27001` and `iso-27001` meet). Chinese is indexed as
characters and pairs of characters; where words begin and end is judged on the query side only, by
weights, so that a different cutting of the document cannot hide it.
"""

import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import add
from typing import Final, NamedTuple

import opencc
import rjieba
from whoosh.lang.porter2 import stem as porter2

VERSION: Final = "1"
"""Raised when the tokens of a text change: an index built with another version must be rebuilt."""

LONGEST_TOKEN: Final = 64
MOST_TERMS: Final = 96
LONGEST_NAME: Final = 20

WORD: Final = 1.0
INNER: Final = 0.6
ACROSS: Final = 0.3
ACROSS_STOP: Final = 0.1
SINGLE: Final = 0.2
CHARACTER: Final = 0.1
JOINED: Final = 0.5
PART: Final = 0.3
"""Weights of evidence, found by trying on judged questions: a pair that is a word, a pair inside a longer word, a pair
across two words (one of them very common), a character that is a word beside others, a character of a pair, `iso` +
`27001` as one, a part of a name."""

_CJK: Final = "\u3005\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_WORD: Final = rf"[^\W_{_CJK}]+"
_PIECE: Final = re.compile(
    rf"(?P<cjk>[{_CJK}]+)"
    r"|(?P<number>\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?)"
    rf"|(?P<word>{_WORD}(?:[.\-/'&_]{_WORD})*(?:\+\+|#)?)"
)
_FIRST_CJK: Final = "\u3005"
_CJK_ONLY: Final = re.compile(f"[{_CJK}]+")
_SEPARATOR: Final = re.compile(r"[.\-/'&_]")
_SILENT: Final = re.compile(r"[\-/'&_]")
_LETTERS_DIGITS: Final = re.compile(r"([a-z]{2,})(\d{2,})")
_FOLLOWING: Final = re.compile(r" ([a-z]+)")
_DECIMAL: Final = re.compile(r"\d+(?:\.\d+)+")
_VERSION_NUMBER: Final = re.compile(r"v(\d+(?:\.\d+)*)")
_POSSESSIVE: Final = re.compile(r"'s?$")

_ENGLISH: Final = """
    a about after all also am an and any are as at be because been before being between both but by can could did
    do does doing down during each either else ever for from further get had has have having he her here hers him
    his how i if in into is it its just me more most my no nor not of off on once only or other our out over own
    per same she should so some such than that the their them then there these they this those through to too
    under until up us very was we were what when where which while who whom why will with would you your s t ll ve
    re d m
"""
_CHINESE: Final = """
    的 了 在 是 还 和 与 及 或 而 也 都 就 又 被 把 于 之 其 这 那 哪 们 你 我 他 她 它 您 吗 呢 吧 啊 呀 嘛 么 着 我们
    你们 他们 她们 它们 这个 那个 哪个 这些 那些 哪些 什么 怎么 怎样 如何 为何 为什么 是否 可以 能够 以及 或者 还是 但是 因为 所以
    如果 而且 并且 对于 关于 由于 没有 一个 一些 多少 怎么办 怎么样 请问 就是 不是 以下 之间 之后 之前 其中 其他 当时 时候 进行 通过
"""
ENGLISH_STOPS: Final = frozenset(_ENGLISH.split())
_CHINESE_STOPS: Final = frozenset(_CHINESE.split())

_APOSTROPHES: Final = "\u2018\u2019\u02bc\uff07"
_DASHES: Final = "\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d"


@dataclass(frozen=True, slots=True)
class Term:
    """One word a query looks for; `weight` says how much of the query's sense it carries (0..1].

    Tokens in `also` mean the same: a text that holds one of them holds the word, and all of them count together.
    """

    text: str
    weight: float = 1.0
    also: tuple[str, ...] = ()

    @property
    def tokens(self) -> tuple[str, ...]:
        return (self.text, *self.also)


@dataclass(frozen=True, slots=True)
class Span:
    """A token and the place it takes in the original text."""

    token: str
    start: int
    end: int


class _Folding(dict[int, str]):
    """Character code to its normal form, filled as characters are met."""

    def __init__(self) -> None:
        super().__init__()
        self.uneven: set[str] = set()  # characters met that become none or several
        self._simplify = opencc.OpenCC("t2s")
        self._simplify.convert("貴")  # loads the dictionaries now: later calls come from many threads

    def __missing__(self, code: int) -> str:
        folded = self._fold(chr(code))
        if len(folded) != 1:
            self.uneven.add(chr(code))
        self[code] = folded
        return folded

    def _fold(self, character: str) -> str:
        if character in _APOSTROPHES:
            return "'"
        if character in _DASHES:
            return "-"
        category = unicodedata.category(character)
        if category in ("Cf", "Mn") and character != "\u200b":
            return ""
        if category[0] in "CZ":
            return " " if character not in "\n\r\t" else character
        bare = "".join(c for c in unicodedata.normalize("NFKD", character) if not unicodedata.combining(c))
        if not bare or max(bare) > "\u024f":
            bare = unicodedata.normalize("NFKC", character)
        bare = unicodedata.normalize("NFKC", bare.casefold())
        return "".join(self._simplify.convert(c) if c >= "\u3400" else c for c in bare)


_folding: Final = _Folding()


def fold(text: str) -> str:
    """The normal form of a text: width, case, accents and traditional characters folded."""
    return text.translate(_folding)


@lru_cache(maxsize=65_536)
def _stem(word: str) -> str:
    if len(word) > 2 and word.isascii() and word.isalpha():
        return str(porter2(word))  # type: ignore[no-untyped-call]
    return word


def tokens(text: str) -> list[str]:
    """The tokens of a text for the index, repeated as often as they occur."""
    found: list[str] = []
    for piece in _pieces(fold(text), text):
        if piece.cjk:
            found += piece.text
            found += map(add, piece.text, piece.text[1:])
        else:
            found += [term.text for term in _word_tokens(piece.text)]
            if piece.joined:
                found.append(piece.joined)
    return found


_LONGEST_CHANGE: Final = 2
"""How many letters at its end a stem may have changed."""


def spans(text: str, wanted: Collection[str]) -> list[Span]:
    """Where the wanted tokens stand in a text as it was written, in order of their starts."""
    chinese, words = _by_script(frozenset(wanted))
    folded, places = _placed(text)
    found = [place for token in chinese for place in _occurrences(folded, token)]
    found += _word_places(folded, text, words)
    return [Span(token, places[start], places[end - 1] + 1) for start, end, token in sorted(found)]


def _occurrences(folded: str, token: str) -> Iterator[tuple[int, int, str]]:
    start = folded.find(token)
    while start >= 0:
        yield start, start + len(token), token
        start = folded.find(token, start + 1)


@lru_cache(maxsize=256)
def _by_script(wanted: frozenset[str]) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Tokens of Chinese characters, and the others each with its beginning."""
    chinese = tuple(token for token in wanted if _CJK_ONLY.fullmatch(token))
    return chinese, tuple((token, _head(token)) for token in wanted if not _CJK_ONLY.fullmatch(token))


def _word_places(folded: str, written: str, words: Sequence[tuple[str, str]]) -> Iterator[tuple[int, int, str]]:
    held = [token for token, head in words if head in folded]
    if not held:
        return
    placed = _placed_words(folded, written)
    for token in held:
        for start, end in placed.get(token, ()):
            yield start, end, token


def _head(token: str) -> str:
    """What a text must hold if it holds the token: its beginning; names with numbers may be written apart."""
    return token[:1] if any(sign.isdigit() for sign in token) else token[: max(1, len(token) - _LONGEST_CHANGE)]


@lru_cache(maxsize=1_024)
def _placed_words(folded: str, written: str) -> dict[str, list[tuple[int, int]]]:
    """Every token outside Chinese and its places; kept, since somebody who types asks the same sections again."""
    placed: dict[str, list[tuple[int, int]]] = {}
    for piece in _pieces(folded, written):
        if piece.cjk:
            continue
        for term in _word_tokens(piece.text):
            placed.setdefault(term.text, []).append((piece.start, piece.end))
        if piece.joined:
            placed.setdefault(piece.joined, []).append((piece.joined_start, piece.end))
    return placed


def _placed(text: str) -> tuple[str, Sequence[int]]:
    """The folded text and, for each of its characters, the place it had before."""
    folded = fold(text)
    if _folding.uneven.isdisjoint(text):
        return folded, range(len(text))
    return folded, [place for place, character in enumerate(text) for _ in _folding[ord(character)]]


class _Piece(NamedTuple):
    """A run of Chinese or one word; `joined` is it as one with the name before: `iso27001`, `竞品a`."""

    text: str
    start: int
    end: int
    cjk: bool = False
    joined: str = ""
    joined_start: int = 0


def _pieces(folded: str, written: str) -> Iterator[_Piece]:
    """The pieces of a folded text; `written`, the same before folding, tells `Competitor A` from an article."""
    if len(written) != len(folded):
        written = ""
    name, name_start, name_end = "", 0, -2
    for match in _PIECE.finditer(folded):
        start, end = match.span()
        text = match[0]
        if text[0] >= _FIRST_CJK and match.lastgroup == "cjk":
            yield _Piece(text, start, end, True)
            name, name_start, name_end = text[-2:], max(start, end - 2), end
            continue
        text = text[:LONGEST_TOKEN]  # what follows is cached
        if "'" in text:
            text = _POSSESSIVE.sub("", text)
        joined = ""
        if (len(text) == 1 or text[0].isdigit()) and start - name_end <= 1 and folded[name_end:start] in ("", " "):
            joined = _joined(name, text, folded, end, written[start : start + 1])
        yield _Piece(text, start, end, False, joined, name_start)
        name, name_start, name_end = text, start, end


def _joined(name: str, text: str, folded: str, end: int, written: str) -> str:
    """The name and the number or single letter after it as one token, if they belong together."""
    name = name.partition("/")[0]  # ISO/IEC 27001 is ISO 27001
    if not name.isalpha() or name in ENGLISH_STOPS or len(name) > LONGEST_NAME:
        return ""
    if text[0].isdigit():
        return name + text.replace(",", "") if len(name) <= 5 and name.isascii() else ""
    if name.isascii() and len(name) < 4:
        return ""
    following = _FOLLOWING.match(folded, end)
    is_article = text in "ai" and not written.isupper() and following and following[1] not in ENGLISH_STOPS
    return "" if is_article else name + text


@lru_cache(maxsize=16_384)
def _word_tokens(text: str) -> tuple[Term, ...]:
    """The tokens of one word outside Chinese; the weights count for queries only."""
    if "," in text:
        return (Term(text.replace(",", "")),)
    if _DECIMAL.fullmatch(text):
        return (Term(text),)
    parts = [part for part in _SEPARATOR.split(text) if part]
    if len(parts) == 1:
        found = {_stem(text): WORD}
        if whole := _LETTERS_DIGITS.fullmatch(text):
            found |= dict.fromkeys(whole.groups(), PART)
    else:
        named = any(character.isdigit() for character in text)
        found = {_stem(_SILENT.sub("", text)): WORD if named else JOINED} if len(parts) <= 6 else {}
        for part in parts:
            if len(part) > 1 or not named:
                found.setdefault(_stem(part), PART if named or part in ENGLISH_STOPS else WORD)
    if version := _VERSION_NUMBER.fullmatch(text):
        found.setdefault(version.group(1), PART)
    return tuple(Term(token, weight) for token, weight in found.items())


def query_terms(text: str) -> list[Term]:
    """What a query looks for, each with its weight; very common words only if there is nothing else."""
    found: dict[str, float] = {}
    common: dict[str, float] = {}
    for term, is_common in _query_pieces(text):
        target = common if is_common else found
        target[term.text] = max(term.weight, target.get(term.text, 0.0))
    return [Term(token, weight) for token, weight in list((found or common).items())[:MOST_TERMS]]


class Word(NamedTuple):
    """A word of a query as it is written, folded; `before` is the Chinese word that it follows without a gap."""

    text: str
    is_chinese: bool
    before: str = ""


def query_words(text: str) -> list[Word]:
    """The words of a query without those that stand for grammar."""
    found: list[Word] = []
    for piece in _pieces(fold(text), text):
        if not piece.cjk:
            if piece.text not in ENGLISH_STOPS:
                found.append(Word(piece.text, False))
            continue
        before = ""
        for word in rjieba.cut(piece.text) if len(piece.text) > 2 else (piece.text,):
            is_common = word in _CHINESE_STOPS
            if not is_common:
                found.append(Word(word, True, before))
            before = "" if is_common else word
    return found


def _query_pieces(text: str) -> Iterator[tuple[Term, bool]]:
    for piece in _pieces(fold(text), text):
        if piece.cjk:
            yield from _query_cjk(piece.text)
        else:
            common = piece.text in ENGLISH_STOPS
            yield from ((term, common) for term in _word_tokens(piece.text))
        if piece.joined:
            yield Term(piece.joined, WORD if len(piece.text) == 1 else JOINED), False


def _query_cjk(run: str) -> Iterator[tuple[Term, bool]]:
    """Words as pairs of characters; pairs inside long words and across words are weaker evidence."""
    place = 0
    previous = ""
    for word in rjieba.cut(run) if len(run) > 2 else (run,):
        common = word in _CHINESE_STOPS
        if previous:
            yield Term(run[place - 1 : place + 1], _weight_across(previous, word)), False
        if len(word) == 1:
            yield Term(word, SINGLE if len(run) > 1 else WORD), common
        elif len(word) == 2:
            yield from ((Term(character, CHARACTER), common or character in _CHINESE_STOPS) for character in word)
        for start in range(len(word) - 1):
            yield Term(word[start : start + 2], WORD if len(word) == 2 else INNER), common
        place += len(word)
        previous = word


def _weight_across(previous: str, word: str) -> float:
    if previous in _CHINESE_STOPS or word in _CHINESE_STOPS:
        return ACROSS_STOP
    return WORD if len(previous) == len(word) == 1 else ACROSS
