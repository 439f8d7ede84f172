"""What every search engine promises: values, errors and the protocol.

An engine is a hint, never the truth: it may be thrown away and rebuilt at any time, and what it
finds is limited to the asset ids the database says the reader may see.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, literal

from search.analysis import Term

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


class IndexDamaged(Exception):
    """The index cannot be read; answer from the database and rebuild it."""


class IndexMissing(IndexDamaged):
    """There is no index yet, or it was deleted, or another version of the analyser built it."""


class IndexBusy(Exception):
    """Another writer held the index for longer than we wait; try again later."""


class Fields(StrEnum):
    """Where to look."""

    ALL = "all"
    TITLE_TAGS = "title_tags"


class Sides:
    """Where assets stand for a reader, as the database tells it: a number for each that exists, 0 for all others.

    It remembers what it was asked for as long as it lives, which is one request: words, meaning and samples ask after
    the same assets again and again.
    """

    def __init__(self, exists: ColumnElement[bool], number: ColumnElement[int]) -> None:
        self.exists = exists
        self.number = number
        self._known = np.zeros(0, np.int64)
        self._numbers = np.zeros(0, np.int64)

    def of(self, ids: IntArray, ask: "Asking") -> IntArray:
        """The number of each asset; `ask` is only given those that nobody asked for yet."""
        _, is_known = places_in(self._known, ids)
        if not is_known.all():
            new = np.unique(ids[~is_known])
            numbers = np.zeros(len(new), np.int64)
            told = np.array([tuple(row) for row in ask(self, new)], np.int64).reshape(-1, 2)
            numbers[np.searchsorted(new, told[:, 0])] = told[:, 1]
            known = np.concatenate((self._known, new))
            order = np.argsort(known)
            self._known, self._numbers = known[order], np.concatenate((self._numbers, numbers))[order]
        return self._numbers[np.searchsorted(self._known, ids)]


Asking = Callable[[Sides, IntArray], Iterable[Sequence[int]]]
"""Finds id and number of those of the assets that exist."""


class Scope:
    """Which assets an answer may come from: a condition on `Asset` that the database tests.

    Scopes of one reader may share their sides: then the database judges each asset once for all of them.
    """

    def __init__(self, rule: ColumnElement[bool], sides: Sides | None = None, number: int = 1) -> None:
        self.rule = rule
        self._sides = sides or Sides(rule, literal(number))
        self._number = number

    def seen(self, ids: IntArray, ask: Asking) -> NDArray[np.bool_]:
        """Which of the ids may be answered with."""
        found: NDArray[np.bool_] = self._sides.of(ids, ask) == self._number
        return found


Visible = IntArray | Scope
"""Ids that somebody has asked for already, ascending; or the rule itself, for an engine that takes rules."""


def ids_alone(visible: Visible) -> IntArray:
    """The ids, for what cannot ask a database; a rule is the caller's mistake."""
    if isinstance(visible, Scope):
        raise TypeError("this wants ids, not a rule")
    return np.asarray(visible, np.int64)


def places_in(haystack: IntArray, needles: IntArray) -> tuple[IntArray, NDArray[np.bool_]]:
    """For each needle its place in the sorted haystack, and whether it is there."""
    if not len(haystack):
        return np.zeros(len(needles), np.int64), np.zeros(len(needles), np.bool_)
    places = np.minimum(np.searchsorted(haystack, needles), len(haystack) - 1)
    return places, haystack[places] == needles


@dataclass(frozen=True, slots=True)
class Entry:
    """What one asset gives to the index."""

    asset_id: int
    fingerprint: str
    title: str
    body: str
    tags: str = ""
    facets: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """Assets that match, best first, with parallel arrays.

    `scores` are raw BM25F sums. `coverage` (0..1) is the score over the highest one the query could
    reach. `share` (0..1) is the part of the query's weight whose words the asset holds at all, and
    `title_share` the same for its title and tags.
    """

    asset_ids: IntArray
    scores: FloatArray
    coverage: FloatArray
    share: FloatArray
    title_share: FloatArray

    @classmethod
    def none(cls) -> "Matches":
        nothing = np.zeros(0)
        return cls(np.zeros(0, np.int64), nothing, nothing, nothing, nothing)

    def __len__(self) -> int:
        return len(self.asset_ids)


@dataclass(frozen=True, slots=True, eq=False)
class FacetTable:
    """Pairs of row (position in the asked asset ids) and facet code, as two parallel arrays; no pair stands there twice."""

    rows: IntArray
    codes: IntArray


class Engine(Protocol):
    """Every method may raise IndexDamaged; those that write may raise IndexBusy, and OSError of a full disk."""

    takes_rules: bool
    """Whether `lexical` takes a Scope: then who may see what is decided where the data is."""

    def exclusive(self) -> AbstractContextManager[None]:
        """Holds the writer lock, so that rows read inside are not older than what is written; re-entrant."""

    def upsert(self, entries: Iterable[Entry]) -> None:
        """Adds or replaces, in one commit."""

    def remove(self, asset_ids: Iterable[int]) -> None:
        """Removes, in one commit; unknown ids are no error."""

    def apply(self, upserts: Iterable[Entry], removals: Iterable[int]) -> None:
        """Both in one commit; an id in both is removed."""

    def rebuild(self, entries: Iterable[Entry]) -> None:
        """Fills a new index beside and swaps; also the way to make the first one."""

    def together(self) -> AbstractContextManager[None]:
        """What this thread asks inside goes one way to the index and costs it once; no other method needs it."""

    def lexical(self, terms: Sequence[Term], visible: Visible, *, fields: Fields = Fields.ALL) -> Matches:
        """The visible assets that match, best first; `visible` is sorted ascending.

        How rare a word is counts among the visible alone, so that no score tells whether a hidden
        text holds it; only the mean length of a text is that of the whole index.
        """

    def facets_of(self, asset_ids: IntArray) -> FacetTable:
        """The facet codes of these assets; ids the index does not hold have none."""

    def probe(self) -> None:
        """Raises IndexDamaged where there is nothing to search in; cheap."""

    def all_ids(self) -> IntArray:
        """Every asset id in the index, ascending."""

    def fingerprints(self) -> dict[int, str]:
        """Asset id to fingerprint, for comparison with the database."""

    def verify(self) -> None:
        """Reads every file again and raises IndexDamaged where one is not what was written."""

    def close(self) -> None:
        """Lets go of files and memory; the engine may be used again and opens anew."""
