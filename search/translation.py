"""The words of a query in the other language, each with all that it may be called there."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from search import analysis, dictionary, wordbook
from search.analysis import Term, Word
from search.dictionary import Dictionary

SINGLE: Final = 0.3
APART: Final = 0.6
"""Weights: a Chinese character that is a word, and words that stand for one only together."""
LONGEST_NAME: Final = 4
MOST: Final = 24


@lru_cache(maxsize=1_000)
def terms_of(text: str) -> tuple[Term, ...]:
    """What to look for in the other language, weighed; nothing for what is written there as it is here.

    What a Chinese word is called in English, and how it sounds, since names are written so; what Chinese calls an
    English word.
    """
    book = dictionary.load()
    found: dict[tuple[str, ...], float] = {}
    for word in analysis.query_words(text):
        told = [*_of_chinese(word.text, book), *_of_name(word)] if word.is_chinese else _of_english(word.text, book)
        for weight, tokens in told:
            found[tokens] = max(weight, found.get(tokens, 0.0))
    return tuple(Term(tokens[0], weight, tokens[1:]) for tokens, weight in list(found.items())[:MOST])


def _of_chinese(word: str, book: Dictionary) -> Iterator[tuple[float, tuple[str, ...]]]:
    if len(word) == 1:
        if book.english(word):
            yield SINGLE, book.english(word)
        return
    sound = _sound(word)
    if word in book:
        for token in book.apart(word):
            yield APART, (token,)
        if named := book.english(word):
            yield 1.0, tuple(dict.fromkeys((*named, *sound)))
        return
    for part in _parts(word, book):
        yield APART, tuple(dict.fromkeys((*book.english(part), *_sound(part))))
    yield APART, sound


def _of_name(word: Word) -> Iterator[tuple[float, tuple[str, ...]]]:
    """How a name sounds that was taken for two words: 天眼 and 查."""
    name = word.before + word.text
    if word.before and len(name) <= LONGEST_NAME and 1 in (len(word.before), len(word.text)):
        yield APART, _sound(name)


def _sound(word: str) -> tuple[str, ...]:
    return tuple(analysis.tokens(wordbook.sound(word))[:1])


def _parts(word: str, book: Dictionary) -> Iterator[str]:
    """The known words of two characters and more in a longer one, the longest first from the left."""
    place = 0
    while place < len(word) - 1:
        ends = range(min(len(word), place + dictionary.LONGEST), place + 1, -1)
        end = next((end for end in ends if book.english(word[place:end]) and end - place < len(word)), None)
        if end is not None:
            yield word[place:end]
        place = end or place + 1


def _of_english(word: str, book: Dictionary) -> Iterator[tuple[float, tuple[str, ...]]]:
    for token in analysis.tokens(word):
        if named := book.chinese(token):
            yield 1.0, tuple(dict.fromkeys(_told_by(one, book) for one in named))


def _told_by(word: str, book: Dictionary) -> str:
    """The pair of characters that tells a Chinese word best: of a longer one, a pair that is no word itself."""
    pairs = [word[place : place + 2] for place in range(len(word) - 1)]
    return next((pair for pair in pairs[len(pairs) // 2 :] + pairs if pair not in book), pairs[-1])
