"""What could answer a query among what a reader sees: assets that hold its words, and assets near its meaning.

One order is made of both: closeness of meaning plus the words' coverage, by how much of the query they are.
Adding them keeps what either is sure of; ranks alone (reciprocal rank fusion) forget by how much a hit is
better, and lose across languages, where hardly a word matches. A few common words of a query must not lift
everything in its own language above the one story in the other: so the share counts squared.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from search.analysis import Term
from search.engine import FloatArray, IntArray, Matches, Visible
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
    asked: Asked | None,
    terms: Sequence[Term],
    visible: Visible,
    mode: Mode,
    weight: float = COVERAGE,
) -> Candidates:
    """Candidates among the visible; without `asked` all modes are lexical."""
    if asked is None or mode is Mode.LEXICAL:
        return Candidates.of_words(lexical(terms, visible))
    matches = lexical(terms, visible) if mode is Mode.HYBRID else Matches.none()
    nearby = asked.nearest(visible, also=matches.asset_ids)
    joined = _joined(matches, nearby, weight)
    return replace(joined, most_held=_most(matches)) if mode is Mode.HYBRID else joined


def _most(matches: Matches) -> float:
    return float(matches.share.max(initial=0.0))


def _joined(matches: Matches, nearby: Nearby, weight: float) -> Candidates:
    near = nearby.near
    floor = _floor(near.closeness)
    close = (near.closeness >= floor) | np.isin(near.asset_ids, matches.asset_ids)
    ids = np.union1d(matches.asset_ids, near.asset_ids[close])
    worth, title_share, closeness = np.zeros(len(ids)), np.zeros(len(ids)), np.zeros(len(ids))
    of_words = np.searchsorted(ids, matches.asset_ids)
    worth[of_words], title_share[of_words] = matches.coverage * matches.share**2, matches.title_share
    closeness[np.searchsorted(ids, near.asset_ids[close])] = near.closeness[close]
    is_unknown = np.isin(ids, np.setdiff1d(matches.asset_ids, near.asset_ids))
    closeness[is_unknown] = CLOSE + HOPED * worth[is_unknown]
    base = np.maximum(closeness, 0) + weight * worth
    order = np.lexsort((ids, -base))
    return Candidates(
        ids[order],
        base[order],
        title_share[order],
        closeness[order],
        nearby.spots(floor),
    )


def _floor(closeness: FloatArray) -> float:
    """How close a passage must be for its asset to be found by meaning alone."""
    best = float(closeness.max(initial=0.0))
    return max(CLOSE, CLOSE_OF_BEST * best) if best >= ANY else math.inf
