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

Lexical = Callable[[Sequence[Term], Visible], Matches]


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
        )


def find(
    lexical: Lexical,
    ask: Callable[[], Asked | None],
    terms: Sequence[Term],
    visible: Visible,
    mode: Mode,
    weight: float = COVERAGE,
    lead: float = LEAD,
) -> Candidates:
    """Candidates among the visible; `ask` gives what the query means, or None: then all modes are lexical.

    It is asked after the words were looked for, since a query is being encoded meanwhile. With `lead` 0 no asset leads.
    """
    matches = lexical(terms, visible) if mode is not Mode.SEMANTIC else Matches.none()
    asked = ask() if mode is not Mode.LEXICAL else None
    if asked is None:
        return Candidates.of_words(matches if mode is not Mode.SEMANTIC else lexical(terms, visible))
    leader, share = _leader(matches)
    if leader is not None and lead:
        asked = asked.led_by(leader, lead * share)
    nearby = asked.nearest(visible, also=matches.asset_ids)
    joined = _joined(matches, nearby, weight)
    return replace(joined, most_held=_most(matches)) if mode is Mode.HYBRID else joined


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
