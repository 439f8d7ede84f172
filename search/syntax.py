"""What a reader may type beside plain words: "exact words", -without, type:case or 类型:案例, title:words (pure).

Everything is forgiving: what makes no sense as an operator is read as words, and a note says so. Chinese quotation marks
inside a sentence are part of it: they ask for exact words only where they stand apart.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

OPENING: Final = {'"': '"', "“": "”", "＂": "＂", "「": "」", "『": "』"}
DASHES: Final = "-－−"
COLONS: Final = ":："
MOST: Final = 8
"""Operators of each kind that are obeyed; what comes after them is read as words."""

TITLE: Final = "title"
FIELDS: Final = {
    "type": "type",
    "类型": "type",
    "language": "language",
    "lang": "language",
    "语言": "language",
    "stage": "stage",
    "阶段": "stage",
    "industry": "industry",
    "行业": "industry",
    "pain": "pain_point",
    "pain_point": "pain_point",
    "痛点": "pain_point",
    "solution": "solution",
    "解决方案": "solution",
    "product": "product",
    "产品": "product",
    "competitor": "competitor",
    "竞品": "competitor",
    "persona": "persona",
    "角色": "persona",
    "region": "region",
    "地区": "region",
    TITLE: TITLE,
    "标题": TITLE,
}
"""Names of fields as they may be typed, and what each narrows."""

UNCLOSED, EMPTY = "unclosed", "empty"
"""Notes: a quotation mark that is not closed; an operator without words."""

_NAME: Final = re.compile(rf"([^\W\d]+)[{COLONS}](?=\S)")
_BLANK: Final = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class FieldAsked:
    """`industry:finance` as typed: the facet (or `title`), the values, and all of it for taking it away again."""

    facet: str
    values: tuple[str, ...]
    raw: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """A query taken apart. `words` are what is looked for by word and meaning, the exact phrases among them."""

    words: str = ""
    phrases: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    fields: tuple[FieldAsked, ...] = ()
    notes: tuple[str, ...] = ()
    raw: tuple[tuple[str, str], ...] = field(default=())
    """Each phrase and exclusion with what was typed for it."""

    @property
    def is_plain(self) -> bool:
        return not (self.phrases or self.excluded or self.fields)


NOTHING: Final = Parsed()


@dataclass(slots=True)
class _Reading:
    words: list[str]
    phrases: list[str]
    excluded: list[str]
    fields: list[FieldAsked]
    notes: list[str]
    raw: list[tuple[str, str]]


def parse(text: str) -> Parsed:
    """Take a line of text apart; every text gives an answer, and words are never lost."""
    found = _Reading([], [], [], [], [], [])
    place = 0
    while place < len(text):
        if blank := _BLANK.match(text, place):
            place = blank.end()
            continue
        place = _piece(text, place, found)
    return Parsed(
        " ".join(found.words),
        tuple(found.phrases),
        tuple(found.excluded),
        tuple(found.fields),
        tuple(dict.fromkeys(found.notes)),
        tuple(found.raw),
    )


def without(text: str, raw: str) -> str:
    """The query without one of its operators, as it was typed."""
    at = text.find(raw)
    return " ".join((text[:at] + " " + text[at + len(raw) :]).split()) if raw and at >= 0 else text


def _piece(text: str, place: int, found: _Reading) -> int:
    """Read what begins here, after a blank; returns where it ends."""
    if text[place] in OPENING:
        phrase, end = _quoted(text, place)
        if end:
            return _take_phrase(text, place, end, phrase, found)
        found.notes.append(UNCLOSED)
        return _take_word(text, place + 1, found)
    if text[place] in DASHES and (end := _exclusion(text, place, found)):
        return end
    if (name := _NAME.match(text, place)) and name[1].casefold() in FIELDS and len(found.fields) < MOST:
        value, end = _value(text, name.end())
        values = tuple(one for one in (part.strip() for part in re.split("[,，、]", value)) if one)
        if values:
            found.fields.append(FieldAsked(FIELDS[name[1].casefold()], values, text[place:end]))
            return end
        found.notes.append(EMPTY)
    return _take_word(text, place, found)


def _take_phrase(text: str, place: int, end: int, phrase: str, found: _Reading) -> int:
    if phrase and len(found.phrases) < MOST:
        found.phrases.append(phrase)
        found.raw.append((phrase, text[place:end]))
    if phrase:
        found.words.append(phrase)
    else:
        found.notes.append(EMPTY)
    return end


def _exclusion(text: str, place: int, found: _Reading) -> int:
    """Where an exclusion ends that begins here; 0 for a dash that is none: before a number, a blank, another dash."""
    following = text[place + 1 : place + 2]
    if not (following.isalpha() or following in OPENING) or len(found.excluded) >= MOST:
        return 0
    word, end = _value(text, place + 1)
    if not word:
        return 0
    found.excluded.append(word)
    found.raw.append((word, text[place:end]))
    return end


def _value(text: str, place: int) -> tuple[str, int]:
    """A word or something quoted, and where it ends."""
    if text[place] in OPENING:
        phrase, end = _quoted(text, place)
        if end:
            return phrase, end
    end = _end_of_word(text, place)
    return text[place:end].strip("".join(OPENING)), end


def _quoted(text: str, place: int) -> tuple[str, int]:
    """What stands between quotation marks, and where it ends; 0 where they are not closed or do not stand apart."""
    mark = OPENING[text[place]]
    close = text.find(mark, place + 1)
    if close < 0 or (close + 1 < len(text) and not text[close + 1].isspace()):
        return "", 0
    return " ".join(text[place + 1 : close].split()), close + 1


def _take_word(text: str, place: int, found: _Reading) -> int:
    end = _end_of_word(text, place)
    if place < end:
        found.words.append(text[place:end])
    return end


def _end_of_word(text: str, place: int) -> int:
    blank = _BLANK.search(text, place)
    return blank.start() if blank else len(text)


def operators(parsed: Parsed) -> Iterator[tuple[str, str, str]]:
    """Kind, what it says and how it was typed, of each phrase and exclusion, for showing."""
    excluded = set(parsed.excluded)
    for said, raw in parsed.raw:
        yield ("without" if raw[0] in DASHES and said in excluded else "exact"), said, raw
