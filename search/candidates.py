"""What could answer a query among what a reader sees: assets that hold its words, and assets near its meaning.

One order is made of both: closeness of meaning plus the words' coverage, by how much of the query they are.
Adding them keeps what either is sure of; ranks alone (reciprocal rank fusion) forget by how much a hit is
better, and lose across languages, where hardly a word matches. A few common words of a query must not lift
everything in its own language above the one story in the other: so the share counts squared.

Where the words alone name one asset beyond doubt, its best passage leads the question on: what means the same as it is
looked for as well, above all the same story in the other language, which holds none of the words (pseudo-relevance
feedback: Rocchio, 1971; chosen query by query). On the judged sets with both languages in one library nDCG@10 rises
from 0.90 to 0.95, on the half of them that nothing was chosen by; questions that only the other language can answer,
and short ones that many texts hold, are asked as before.

Where no asset holds most of the words, they are looked for in the other language as well, by a dictionary. A word has
many names, and common ones stand everywhere: so an asset gains by how far it is ahead of the crowd alone. Where a query
can be answered in the other language only, nDCG@10 rises from 0.87 to 0.92.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from search.analysis import Term
from search.engine import FloatArray, IntArray, Matches, Visible, places_in
from search.matrix import Spot
from search.meaning import Asked, Nearby
from search.query import Mode

COVERAGE: Final = 1.0
"""How much the words count beside the meaning, both from 0 to 1."""

ANY: Final = 0.14
"""Where no passage is as close as this, nothing here is about the query. It is set low: short and everyday queries reach
0.15 to 0.25 at their right passage, and so does much that is off the subject; missing the right one costs more."""
CLOSE: Final = 0.10
CLOSE_OF_BEST: Final = 0.5
"""What meaning alone adds is at least this close, and this part of the best one's closeness."""
HOPED: Final = 0.5
"""What was just published has no vectors for a moment: it is taken to mean what its words say, in this part."""

LEAD: Final = 0.7
"""How much the best passage of what leads counts beside the query itself."""
LEAST_LEAD: Final = 0.3
SURE_LEAD: Final = 0.6
"""From which part of the query's weight on an asset leads, and from which on it does so wholly."""
AHEAD: Final = 0.1
"""How far, in what the words are worth, it must be ahead of the next to lead wholly: common words lead nowhere."""

TRANSLATED: Final = 0.3
"""How much words of the other language count beside the meaning."""
CROWD: Final = 0.5
"""The part of the matches that is not ahead."""
MANY: Final = 10
"""Fewer matches than these are counted as if others that hold nothing made them as many: few are no crowd."""
UNNAMED: Final = 0.5
"""How much a word counts in the whole that none of its names is found for: the dictionary may lack the one that is used."""
HELD: Final = 0.75
"""Where one asset holds this part of the query's weight, the query is not looked for in the other language."""
MOSTLY_TRANSLATED: Final = 0.5
"""What holds this part of the words in the other language is found even where its meaning seems to be far."""

Lexical = Callable[[Sequence[Term], Visible], Matches]
Translate = Callable[[], Sequence[Term]]


def _nothing() -> Sequence[Term]:
    return ()


@dataclass(frozen=True, slots=True, eq=False)
class Translated:
    """The words of a query in the other language, and the assets that hold more of them than the crowd.

    `asset_ids` ascend; `gains` (0..1) and `share`, the part of the words' weight that each holds, go with them.
    """

    terms: Sequence[Term]
    asset_ids: IntArray
    gains: FloatArray
    share: FloatArray

    def __contains__(self, asset_id: int) -> bool:
        return bool(places_in(self.asset_ids, np.array([asset_id], np.int64))[1][0])

    @property
    def by_token(self) -> Sequence[Term]:
        """The terms with each of their names on its own, to be marked in a text."""
        return [Term(token, term.weight) for term in self.terms for token in term.tokens]

    @classmethod
    def of(cls, terms: Sequence[Term], matches: Matches) -> "Translated":
        if not len(matches):
            return cls(terms, matches.asset_ids, matches.coverage, matches.share)
        named = _most(matches)
        coverage = np.minimum(1.0, matches.coverage / (named + UNNAMED * (1 - named)))
        crowd = np.quantile(np.pad(coverage, (0, max(0, MANY - len(coverage)))), CROWD)
        kept = np.flatnonzero(coverage > crowd)
        kept = kept[np.argsort(matches.asset_ids[kept])]
        return cls(terms, matches.asset_ids[kept], coverage[kept] - crowd, matches.share[kept])


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Assets best first, with parallel arrays; `closeness` is 0 where nothing is known of the meaning.

    `spots` are the best passages by meaning of those that are close.
    """

    asset_ids: IntArray
    base: FloatArray
    title_share: FloatArray
    closeness: FloatArray
    spots: Mapping[int, Spot]
    most_held: float | None = None
    """The largest part of the query's weight whose words one asset holds; None where words were not looked for."""
    translated: Translated | None = None
    """What was looked for in the other language, and which assets gained by it."""

    @classmethod
    def of_words(cls, matches: Matches) -> "Candidates":
        nothing = np.zeros(len(matches))
        return cls(matches.asset_ids, matches.coverage, matches.title_share, nothing, {}, _most(matches))

    def only(self, kept: NDArray[np.bool_]) -> "Candidates":
        """Those of them, in the same order."""
        if kept.all():
            return self
        return Candidates(
            self.asset_ids[kept],
            self.base[kept],
            self.title_share[kept],
            self.closeness[kept],
            self.spots,
            self.most_held,
            self.translated,
        )


def find(
    lexical: Lexical,
    ask: Callable[[], Asked | None],
    terms: Sequence[Term],
    visible: Visible,
    mode: Mode,
    weight: float = COVERAGE,
    lead: float = LEAD,
    translate: Translate = _nothing,
    translated: float = TRANSLATED,
) -> Candidates:
    """Candidates among the visible; `ask` gives what the query means, or None: then all modes are lexical.

    It is asked after the words were looked for, since a query is being encoded meanwhile. With `lead` 0 no asset leads;
    `translate` gives the words in the other language, `translated` says how much they count.
    """
    matches = lexical(terms, visible) if mode is not Mode.SEMANTIC else Matches.none()
    elsewhere = _elsewhere(lexical, translate, visible, matches) if mode is Mode.HYBRID and translated else None
    asked = ask() if mode is not Mode.LEXICAL else None
    if asked is None:
        found = matches if mode is not Mode.SEMANTIC else lexical(terms, visible)
        return _with_translated(Candidates.of_words(found), elsewhere, translated)
    leader, share = _leader(matches)
    if leader is not None and lead:
        asked = asked.led_by(leader, lead * share)
    also = matches.asset_ids if elsewhere is None else np.union1d(matches.asset_ids, elsewhere.asset_ids)
    nearby = asked.nearest(visible, also=also)
    joined = _joined(matches, nearby, weight)
    joined = replace(joined, most_held=_most(matches)) if mode is Mode.HYBRID else joined
    return _with_translated(joined, elsewhere, translated, nearby)


def _elsewhere(lexical: Lexical, translate: Translate, visible: Visible, matches: Matches) -> Translated | None:
    """What holds the query's words in the other language, where nothing holds most of them as they are."""
    if _most(matches) >= HELD:
        return None
    terms = translate()
    return Translated.of(terms, lexical(terms, visible)) if terms else None


def _with_translated(
    found: Candidates, elsewhere: Translated | None, weight: float, nearby: Nearby | None = None
) -> Candidates:
    """The same with what words of the other language add, in the new order."""
    if elsewhere is None or not len(elsewhere.asset_ids):
        return found
    gains = weight * elsewhere.gains
    places, is_known = places_in(elsewhere.asset_ids, found.asset_ids)
    base = found.base + np.where(is_known, gains[places], 0.0)
    closeness = _closeness(elsewhere.asset_ids, nearby)
    is_new = ~np.isin(elsewhere.asset_ids, found.asset_ids)
    is_new &= (elsewhere.share >= MOSTLY_TRANSLATED) | (closeness >= CLOSE)
    ids = np.concatenate((found.asset_ids, elsewhere.asset_ids[is_new]))
    base = np.concatenate((base, np.maximum(closeness[is_new], 0) + gains[is_new]))
    order = np.lexsort((ids, -base))
    return replace(
        found,
        asset_ids=ids[order],
        base=base[order],
        title_share=np.concatenate((found.title_share, np.zeros(int(is_new.sum()))))[order],
        closeness=np.concatenate((found.closeness, closeness[is_new]))[order],
        translated=elsewhere,
    )


def _closeness(asset_ids: IntArray, nearby: Nearby | None) -> FloatArray:
    """How close these are in meaning; 0 where that is not known."""
    if nearby is None or not len(nearby.near):
        return np.zeros(len(asset_ids))
    by_id = np.argsort(nearby.near.asset_ids)
    places, is_known = places_in(nearby.near.asset_ids[by_id], asset_ids)
    return np.where(is_known, nearby.near.closeness[by_id][places], 0.0)


def _leader(matches: Matches) -> tuple[int | None, float]:
    """The asset that the words name, and how surely (0..1]."""
    if not len(matches):
        return None, 0.0
    worth = _worth(matches)
    order = np.argsort(-worth, kind="stable")[:2]
    first = int(order[0])
    ahead = worth[first] - (worth[order[1]] if len(order) > 1 else 0.0)
    sure = np.clip((matches.share[first] - LEAST_LEAD) / (SURE_LEAD - LEAST_LEAD), 0, 1) * min(1.0, ahead / AHEAD)
    return (int(matches.asset_ids[first]), float(sure)) if sure > 0 else (None, 0.0)


def _worth(matches: Matches) -> FloatArray:
    """What the words are worth: how well they are covered, less where they are a small part of the query."""
    return matches.coverage * matches.share**2


def _most(matches: Matches) -> float:
    return float(matches.share.max(initial=0.0))


def _joined(matches: Matches, nearby: Nearby, weight: float) -> Candidates:
    """Those that hold the words, and those that are close enough without them."""
    near = nearby.near
    floor = _floor(near.closeness)
    by_id = np.argsort(near.asset_ids)
    places, is_near = places_in(near.asset_ids[by_id], matches.asset_ids)
    of_near = by_id[places[is_near]]
    is_match = np.zeros(len(near), np.bool_)
    is_match[of_near] = True
    added = ~is_match & (near.closeness >= floor)
    worth = _worth(matches)
    of_matches = CLOSE + HOPED * worth
    of_matches[is_near] = near.closeness[of_near]
    ids = np.concatenate((matches.asset_ids, near.asset_ids[added]))
    nothing = np.zeros(int(added.sum()))
    closeness = np.concatenate((of_matches, near.closeness[added]))
    base = np.maximum(closeness, 0) + weight * np.concatenate((worth, nothing))
    order = np.lexsort((ids, -base))
    return Candidates(
        ids[order],
        base[order],
        np.concatenate((matches.title_share, nothing))[order],
        closeness[order],
        nearby.spots(floor),
    )


def _floor(closeness: FloatArray) -> float:
    """How close a passage must be for its asset to be found by meaning alone."""
    best = float(closeness.max(initial=0.0))
    return max(CLOSE, CLOSE_OF_BEST * best) if best >= ANY else math.inf
