"""What changed between two texts: side by side, word by word within lines, for Chinese as for English (pure)."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import rjieba
from bs4 import BeautifulSoup
from bs4.element import NavigableString
from diff_match_patch import diff_match_patch

LARGEST: Final = 1_000_000
"""Characters of both texts together; beyond, words within lines are not compared."""
LONGEST_LINE: Final = 20_000
MOST_WORDED: Final = 200_000
"""Characters of changed lines that are compared word by word; the rest is shown as changed whole."""
MOST_LINES: Final = 30_000
SECONDS: Final = 0.5
CONTEXT: Final = 3
LEAST_COMMON: Final = 0.25
"""Lines with less in common are shown as one that went and one that came."""

_TOKEN: Final = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]+|[^\W_\u3400-\u9fff\uf900-\ufaff]+|\s+|.", re.DOTALL)
_CHINESE: Final = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")

Piece = tuple[str, bool]
"""A piece of a line, and whether it changed."""
_Diff = list[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Row:
    """One line on both sides; None where a side has none. `folded` stands for so many equal lines instead."""

    before: tuple[Piece, ...] | None
    after: tuple[Piece, ...] | None
    before_number: int | None = None
    after_number: int | None = None
    folded: int = 0

    @property
    def is_changed(self) -> bool:
        return not self.folded and (self.before is None or self.after is None or self.before != self.after)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Rows in order, and how many lines went and came; `is_coarse` where the texts were too large for words."""

    rows: tuple[Row, ...]
    removed: int
    added: int
    is_coarse: bool = False

    @property
    def is_same(self) -> bool:
        return not self.removed and not self.added


@dataclass(frozen=True, slots=True)
class Merge:
    """The other's text with what one changed oneself; `lost` changes found no place and must be put in by hand."""

    text: str
    lost: int


def compare(before: str, after: str, *, fold: bool = True) -> Comparison:
    """Lines of both texts side by side; equal runs are folded to a few lines around what changed."""
    old, new = before.splitlines(), after.splitlines()
    is_coarse = len(before) + len(after) > LARGEST or len(old) + len(new) > MOST_LINES
    rows = list(_rows(_line_diff(old, new), words=not is_coarse))
    removed = sum(row.before is not None for row in rows if row.is_changed)
    added = sum(row.after is not None for row in rows if row.is_changed)
    return Comparison(tuple(_folded(rows) if fold else rows), removed, added, is_coarse)


def _differ() -> diff_match_patch:
    made = diff_match_patch()
    made.Diff_Timeout = SECONDS
    return made


def _line_diff(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, list[str]]]:
    return [(sign, [*items]) for sign, items in _sequence_diff(old, new)]


def _sequence_diff(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """The difference of two sequences of words or lines: each different one stands for a character of its own."""
    known: dict[str, str] = {}
    words: list[str] = []

    def code(item: str) -> str:
        if item not in known:
            place = len(words)
            known[item] = chr(place if place < 0xD800 else place + 0x800)  # without surrogates
            words.append(item)
        return known[item]

    left, right = "".join(map(code, old)), "".join(map(code, new))
    found: _Diff = _differ().diff_main(left, right, False)
    for sign, codes in found:
        yield sign, [words[place if place < 0xD800 else place - 0x800] for place in map(ord, codes)]


def _rows(diff: Iterable[tuple[int, list[str]]], *, words: bool) -> Iterator[Row]:
    before_number = after_number = 0
    gone: list[str] = []
    come: list[str] = []
    left_over = MOST_WORDED if words else 0

    def changed() -> Iterator[Row]:
        nonlocal before_number, after_number, left_over
        for left, right in _paired(gone, come):
            before_number += left is not None
            after_number += right is not None
            yield _row(left, right, before_number, after_number, words=left_over > 0)
            left_over -= len(left or "") + len(right or "")
        gone.clear()
        come.clear()

    for sign, lines in diff:
        if sign < 0:
            gone += lines
        elif sign > 0:
            come += lines
        else:
            yield from changed()
            for line in lines:
                before_number, after_number = before_number + 1, after_number + 1
                yield Row(((line, False),), ((line, False),), before_number, after_number)
    yield from changed()


def _paired(gone: Sequence[str], come: Sequence[str]) -> Iterator[tuple[str | None, str | None]]:
    """Lines in order, so that a changed line stands beside what it was."""
    for place in range(max(len(gone), len(come))):
        yield (gone[place] if place < len(gone) else None), (come[place] if place < len(come) else None)


def _row(left: str | None, right: str | None, before_number: int, after_number: int, *, words: bool) -> Row:
    before: tuple[Piece, ...] | None = ((left, True),) if left is not None else None
    after: tuple[Piece, ...] | None = ((right, True),) if right is not None else None
    if left is not None and right is not None and words and max(len(left), len(right)) <= LONGEST_LINE:
        before, after = _words(left, right)
    return Row(
        before, after, before_number if before is not None else None, after_number if after is not None else None
    )


def tokens(text: str) -> list[str]:
    """Words, Chinese ones too, runs of space, and every other sign by itself; together they are the text."""
    found: list[str] = []
    for match in _TOKEN.finditer(text):
        part = match.group()
        found += rjieba.cut(part) if len(part) > 1 and _CHINESE.match(part) else [part]
    return found


def _words(left: str, right: str) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    diff = list(_sequence_diff(tokens(left), tokens(right)))
    common = sum(len("".join(items)) for sign, items in diff if sign == 0)
    if common < LEAST_COMMON * max(len(left), len(right)):
        return ((left, True),), ((right, True),)
    return _side(diff, -1), _side(diff, 1)


def _side(diff: Iterable[tuple[int, list[str]]], sign: int) -> tuple[Piece, ...]:
    return tuple(("".join(items), found != 0) for found, items in diff if found in {0, sign} and items)


def _folded(rows: Sequence[Row]) -> Iterator[Row]:
    near = [False] * len(rows)
    for place, row in enumerate(rows):
        if row.is_changed:
            near[max(0, place - CONTEXT) : place + CONTEXT + 1] = [True] * len(
                near[max(0, place - CONTEXT) : place + CONTEXT + 1]
            )
    hidden = 0
    for row, is_near in zip(rows, near, strict=True):
        if not is_near:
            hidden += 1
            continue
        if hidden:
            yield Row(None, None, folded=hidden)
            hidden = 0
        yield row
    if hidden:
        yield Row(None, None, folded=hidden)


def rendered(before: str, after: str) -> tuple[str, str]:
    """Two pieces of our own clean HTML, with the words that went in `del` and those that came in `ins`."""
    if len(before) + len(after) > LARGEST:
        return before, after
    left, right = BeautifulSoup(before, "html.parser"), BeautifulSoup(after, "html.parser")
    olds, news = _texts(left), _texts(right)
    diff = list(
        _sequence_diff([word for _, words in olds for word in words], [word for _, words in news for word in words])
    )
    _mark(left, olds, [(found != 0) for found, items in diff if found <= 0 for _ in items], "del")
    _mark(right, news, [(found != 0) for found, items in diff if found >= 0 for _ in items], "ins")
    return str(left), str(right)


def _texts(soup: BeautifulSoup) -> list[tuple[NavigableString, list[str]]]:
    found = [text for text in soup.find_all(string=True) if isinstance(text, NavigableString)]
    return [(text, tokens(str(text))) for text in found if str(text).strip()]


def _mark(
    soup: BeautifulSoup, texts: Iterable[tuple[NavigableString, list[str]]], changed: Sequence[bool], tag: str
) -> None:
    place = 0
    for text, words in texts:
        flags = changed[place : place + len(words)]
        place += len(words)
        if not any(flags):
            continue
        parts: list[object] = []
        for piece, is_changed in _runs(words, flags):
            if is_changed:
                marked = soup.new_tag(tag)
                marked.string = piece
                parts.append(marked)
            else:
                parts.append(NavigableString(piece))
        text.replace_with(*parts)  # type: ignore[arg-type]  # tags and texts alike


def _runs(words: Sequence[str], flags: Sequence[bool]) -> Iterator[Piece]:
    run, held = "", False
    for word, flag in zip(words, flags, strict=True):
        if run and flag != held:
            yield run, held
            run = ""
        run, held = run + word, flag
    if run:
        yield run, held


def merge(base: str, mine: str, theirs: str) -> Merge:
    """Put into `theirs` what changed from `base` to `mine`; a change is placed only where its surroundings are found."""
    if theirs == base:
        return Merge(mine, 0)
    if mine in {base, theirs}:
        return Merge(theirs, 0)
    if len(base) + len(mine) + len(theirs) > LARGEST:
        return Merge(theirs, 1)
    placer = _differ()
    placer.Match_Threshold, placer.Match_Distance, placer.Patch_DeleteThreshold = 0.2, 2_000, 0.2
    patches = placer.patch_make(base, mine)
    text, placed = placer.patch_apply(patches, theirs)
    return Merge(text, sum(not is_placed for is_placed in placed))
