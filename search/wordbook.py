"""The words of the library in one process: what a misspelt word may have meant, and titles to suggest while typing.

It is made of every published text and therefore knows what a reader may not see: nothing of it is ever shown but what
the caller has found to be in that reader's own library. Chinese words are known by their sound as well.
"""

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final, TypeVar

import rjieba
import structlog
from sqlalchemy import func, literal_column, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from content.kinds import VersionState
from content.models import Rendered, UseEvent, Version
from content.taxonomy import Vocabulary
from kb import clock
from kb.db import current
from search import analysis
from search.log import KEPT_FOR_SUGGESTIONS, Search

AT_ONCE: Final = 500
"""So many texts are read while somebody waits; a larger library is read behind the first question."""
MOST_TEXTS: Final = 20_000
LOT: Final = 25
LEAST_SECONDS: Final = 30.0
COST: Final = 7.0
"""A book is made anew when the library has changed, at most every so many seconds and times what it took."""
SHORTEST: Final = 3
LONGEST: Final = 24
MOST_SEARCHES: Final = 5_000
PEOPLE: Final = 2
"""A search is suggested to others once so many people made it and used what they found."""

Item = TypeVar("Item")
_LATIN: Final = re.compile(r"[a-z][a-z0-9+#]*(?:[-.][a-z0-9]+)*")
_CHINESE: Final = re.compile("[\u3400-\u9fff]+")
_SYLLABLES: Final = (("zh", "z"), ("ch", "c"), ("sh", "s"), ("ang", "an"), ("eng", "en"), ("ing", "in"))
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Titled:
    """A title as it is looked for: folded, by its whole sound, and by the first letters of its syllables."""

    asset_id: int
    folded: str
    sound: str
    initials: str

    @classmethod
    def of(cls, asset_id: int, title: str) -> "Titled":
        folded = analysis.fold(title)
        return cls(asset_id, folded, sound(folded), initials(folded))


@dataclass(frozen=True, slots=True, eq=False)
class Wordbook:
    """Words with how often they stand in the library; words by sound; titles; what many searched with success."""

    latin: Mapping[int, Mapping[str, int]]
    """By length: words and counts."""
    chinese: Mapping[int, Mapping[str, int]]
    by_sound: Mapping[str, Sequence[str]]
    """Chinese words by their blurred sound, the most frequent first."""
    titles: Sequence[Titled]
    searches: Sequence[str]
    newest: int
    """The highest id of a version whose title is here."""

    def by_letters(self) -> Mapping[str, Sequence[str]]:
        """Chinese words by the letters of their sound, the most frequent first."""
        return _letters(self)

    def count(self, word: str) -> int:
        return (self.chinese if _CHINESE.fullmatch(word) else self.latin).get(len(word), {}).get(word, 0)


@lru_cache(maxsize=1)
def _letters(book: Wordbook) -> Mapping[str, Sequence[str]]:
    found: dict[str, list[str]] = {}
    for words in book.chinese.values():
        for word in words:
            found.setdefault(sound(word), []).append(word)
    return {letters: sorted(words, key=lambda word: -book.count(word)) for letters, words in found.items()}


def _syllables(text: str, style: str = "NORMAL") -> list[str]:
    """The syllables of a text; its book is read when it is first asked for, half a second that most commands need not wait."""
    from pypinyin import Style, lazy_pinyin  # noqa: PLC0415

    return lazy_pinyin(text, style=getattr(Style, style))


def warm() -> None:
    """Read behind everybody's back what the first one who types would wait for."""
    _syllables("")


@lru_cache(maxsize=65_536)
def sound(text: str) -> str:
    """A text as it sounds, without tones and blanks; what is not Chinese stays."""
    return "".join(_syllables(text)).replace(" ", "")


@lru_cache(maxsize=16_384)
def initials(text: str) -> str:
    """The first letters of the syllables: 客户嫌贵 is khxg."""
    return "".join(_syllables(text, "FIRST_LETTER")).replace(" ", "")


@lru_cache(maxsize=65_536)
def blurred(word: str) -> str:
    """A Chinese word's sound as a southern ear or a hurried hand has it: zh is z, -ng is -n, l is n."""
    return "-".join(_blurred(syllable) for syllable in _syllables(word))


def _blurred(syllable: str) -> str:
    for written, heard in _SYLLABLES:
        if syllable.startswith(written) or syllable.endswith(written):
            syllable = syllable.replace(written, heard, 1)
    return ("l" + syllable[1:]) if syllable.startswith("n") else syllable


def words_of(text: str) -> Iterable[str]:
    """Latin words and names of a folded text, and its Chinese words of two characters and more."""
    for match in _LATIN.finditer(text):
        if SHORTEST <= len(match[0]) <= LONGEST:
            yield match[0]
    for match in _CHINESE.finditer(text):
        yield from (word for word in rjieba.cut(match[0]) if len(word) > 1)


def gently(items: Iterable[Item]) -> Iterator[Item]:
    """The same, with pauses twice as long as the work between them: somebody is waiting for this processor."""
    started = time.monotonic()
    for number, item in enumerate(items, start=1):
        yield item
        if number % LOT == 0:
            time.sleep(2 * (time.monotonic() - started))
            started = time.monotonic()


def made(
    texts: Iterable[str],
    titles: Iterable[tuple[int, str]],
    names: Iterable[str],
    searches: Sequence[str],
    newest: int,
    *,
    is_patient: bool = False,
) -> Wordbook:
    """A book out of texts, titles by asset, names that count as words whatever a dictionary says, and searches."""
    pace: Callable[[Iterable[Any]], Iterable[Any]] = gently if is_patient else iter
    counts: Counter[str] = Counter()
    for text in pace(texts):
        counts.update(words_of(analysis.fold(text)))
    known = list(titles)  # only now: texts and titles may come from one reading
    for _, title in pace(known):
        folded = analysis.fold(title)
        counts.update(words_of(folded))
        counts.update(run for run in _CHINESE.findall(folded) if 1 < len(run) <= 6)
    for name in names:
        folded = analysis.fold(name)
        counts.update(word for word in words_of(folded) for _ in range(2))
        counts.update(run for run in _CHINESE.findall(folded) if 1 < len(run) <= 8 for _ in range(2))
    latin: dict[int, dict[str, int]] = {}
    chinese: dict[int, dict[str, int]] = {}
    by_sound: dict[str, list[str]] = {}
    for word, count in pace(counts.most_common()):
        if _CHINESE.fullmatch(word):
            chinese.setdefault(len(word), {})[word] = count
            by_sound.setdefault(blurred(word), []).append(word)
        else:
            latin.setdefault(len(word), {})[word] = count
    titled = [Titled.of(*one) for one in pace(known)]
    return Wordbook(latin, chinese, by_sound, titled, searches, newest)


def read(session: Session, vocabulary: Vocabulary, *, is_patient: bool = False) -> Wordbook:
    """A book of all that is published now, of a very large library its newest texts."""
    published = (
        select(Version.id, Version.asset_id, Version.title, func.coalesce(Rendered.plain, Version.text).label("text"))
        .outerjoin(Rendered, Rendered.digest == Version.rendering_digest)
        .where(Version.state == VersionState.PUBLISHED.value)
        .order_by(Version.id.desc())
    )
    titles: list[tuple[int, str]] = []
    newest = 0

    def texts() -> Iterable[str]:
        nonlocal newest
        for number, row in enumerate(session.execute(published.execution_options(yield_per=200))):
            newest = max(newest, row.id)
            titles.append((row.asset_id, row.title))
            if number < MOST_TEXTS:
                yield row.text

    labels = (name for label in vocabulary.by_id.values() for name in (label.en, label.zh, *label.synonyms))
    book = made(texts(), titles, labels, _searches(session), 0, is_patient=is_patient)
    return replace(book, newest=newest)


def _searches(session: Session) -> list[str]:
    """What several people searched lately and then used what they found, the most searched first."""
    people = func.count(func.distinct(Search.user_id))
    statement = (
        select(func.lower(Search.text).label("text"), people.label("people"))
        .join(UseEvent, UseEvent.search_id == Search.public_id)
        .where(Search.at > clock.now() - KEPT_FOR_SUGGESTIONS, Search.total > 0)
        .group_by(func.lower(Search.text))
        .having(people >= PEOPLE)
        .order_by(people.desc(), func.lower(Search.text))
        .limit(MOST_SEARCHES)
    )
    return [row.text for row in session.execute(statement)]


Stamp = tuple[int, int, int]


def stamp(session: Session, vocabulary: Vocabulary) -> Stamp:
    """What tells that a book is old: the published versions and the vocabulary."""
    published = Version.state == literal_column(f"'{VersionState.PUBLISHED.value}'")  # written out: an index has those
    newest = select(Version.id).where(published).order_by(Version.id.desc()).limit(1).scalar_subquery()
    count = select(func.count(Version.asset_id)).where(published).scalar_subquery()
    row = session.execute(select(func.coalesce(newest, 0), count)).one()
    return int(row[0]), int(row[1]), hash(tuple(vocabulary.by_id.items()))


class Keeper:
    """One process's book, made anew behind what people ask where the library has changed."""

    def __init__(self) -> None:
        self._book: Wordbook | None = None
        self._stamp: Stamp | None = None
        self._next_at = 0.0
        self._making = threading.Lock()

    def of(self, session: Session, vocabulary: Vocabulary) -> Wordbook | None:
        """The book as far as it is made; None while a large library is read for the first time."""
        if time.monotonic() < self._next_at:
            return self._book
        wanted = stamp(session, vocabulary)
        if wanted == self._stamp:
            return self._book
        if wanted[1] <= AT_ONCE:
            with self._making:
                self._put(wanted, read(session, vocabulary))
        elif self._making.acquire(blocking=False):
            threading.Thread(target=self._behind, args=(wanted, vocabulary), name="kb-words", daemon=True).start()
        return self._book

    def _behind(self, wanted: Stamp, vocabulary: Vocabulary) -> None:
        try:
            started = time.monotonic()
            with current().reading() as session:
                book = read(session, vocabulary, is_patient=True)
            took = time.monotonic() - started
            self._put(wanted, book)
            self._next_at = time.monotonic() + max(LEAST_SECONDS, COST * took)
        except (SQLAlchemyError, RuntimeError) as error:  # the process ends, or its database is away: next time
            log.warning("words.not_read", reason=type(error).__name__)
        finally:
            self._making.release()

    def _put(self, wanted: Stamp, book: Wordbook) -> None:
        self._book, self._stamp = book, wanted
