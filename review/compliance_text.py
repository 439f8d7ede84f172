"""A text as the compliance check reads it: sentences with their places in the source, sections, what is no prose (pure)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

LONGEST_SENTENCE: Final = 1_200
"""Characters; a longer one is read in pieces, so that the check stays linear."""

CITATION: Final = re.compile(r"\[\s*(?:证据|evidence)\s*[:：]\s*(E-\d{1,9})\s*\]", re.IGNORECASE)
_FENCE: Final = re.compile(r"^(```+|~~~+)[^\n]*\n.*?(?:^\1[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
_CODE: Final = re.compile(r"(?<!`)(`{1,8})(?!`)[^`\n]{0,400}?(?<!`)\1(?!`)")
_ADDRESS: Final = re.compile(r"(?:https?://|www\.)[^\s<>()\[\]（）“”\"']+|(?<=\]\()[^)\s]+")
_FRONT: Final = re.compile(r"\A---\n.*?^---[ \t]*$", re.MULTILINE | re.DOTALL)
_TAG: Final = re.compile(r"<[^<>\n]{0,300}>")
_BORDER: Final = re.compile(
    r"[。！？!?；;][”’」』\"')）]*"
    r"|(?<!\bNo)(?<!\bno)(?<!\bvs)(?<!\be\.g)(?<!\bi\.e)(?<!\bMr)(?<!\bMs)(?<!\bDr)(?<!\bInc)(?<!\bLtd)(?<!\bapprox)\.[”’\"')]*(?=\s|$)"
)
_NEW_BLOCK: Final = re.compile(r"\s*(?:#{1,6}\s|[-*+]\s|\d+[.)、]\s|>|\||$)")
_HEADING: Final = re.compile(r"\s*#{1,6}\s")
_RULER: Final = re.compile(r"[\s|:\-]*$")


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of prose: `text` is the source from `start` on, code and addresses blanked, as long as it was."""

    text: str
    start: int
    section: int
    is_heading: bool = False

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    @property
    def citations(self) -> tuple[str, ...]:
        return tuple(found.upper() for found in CITATION.findall(self.text))


@dataclass(frozen=True, slots=True)
class Prose:
    """All sentences in order, and the whole text of each section."""

    sentences: tuple[Sentence, ...]
    sections: tuple[str, ...]


def read(source: str) -> Prose:
    """Sentences of a Markdown source; what is code, markup or an address is blanked and keeps its length."""
    text = source
    for pattern in (_FRONT, _FENCE, _CODE, _ADDRESS, _TAG):
        text = pattern.sub(lambda found: re.sub(r"[^\n]", " ", found.group()), text)
    sentences: list[Sentence] = []
    starts = [0]
    for start, end, is_heading in _blocks(text):
        if is_heading:
            starts.append(start)
        number = len(starts) - 1
        sentences += [
            Sentence(text[a:b], a, number, is_heading) for a, b in _cut(text, start, end) if text[a:b].strip()
        ]
    sections = tuple(text[a:b] for a, b in zip(starts, [*starts[1:], len(text)], strict=True))
    return Prose(tuple(sentences), sections)


def _blocks(text: str) -> Iterator[tuple[int, int, bool]]:
    """Paragraphs, list items, headings and table cells, from and to."""
    start, at = 0, 0
    heading = False
    for line in text.splitlines(keepends=True):
        end = at + len(line)
        if _NEW_BLOCK.match(line) or heading:
            if start < at:
                yield start, at, heading
            start, heading = at, _HEADING.match(line) is not None
        if line.lstrip().startswith("|"):
            yield from _cells(text, at, end)
            start = end
        at = end
    if start < len(text):
        yield start, len(text), heading


def _cells(text: str, start: int, end: int) -> Iterator[tuple[int, int, bool]]:
    """A table's row is one statement: its figures stand in one cell and what they mean in another."""
    if not _RULER.match(text[start:end]):
        yield start, end, False


def _cut(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Sentences of a block; a citation behind the stop belongs to the sentence before it."""
    begun = start
    for border in _BORDER.finditer(text, start, end):
        stop = border.end()
        if stop <= begun:
            continue
        while cited := CITATION.match(text, _past_spaces(text, stop, end), end):
            stop = cited.end()
        yield from _pieces(begun, stop)
        begun = stop
    yield from _pieces(begun, end)


def _past_spaces(text: str, at: int, end: int) -> int:
    while at < end and text[at] in " \t":
        at += 1
    return at


def _pieces(start: int, end: int) -> Iterator[tuple[int, int]]:
    for begun in range(start, end, LONGEST_SENTENCE):
        yield begun, min(begun + LONGEST_SENTENCE, end)
