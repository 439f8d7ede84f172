"""How words score, the same for every engine: BM25F over title, tags and text (Robertson and Zaragoza, 2009).

A query's terms carry weights of their own; how rare a term is counts among what the reader may see alone.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from search.analysis import Term

K1: Final = 1.2
BOOSTS: Final = {"title": 3.0, "tags": 2.0, "body": 1.0}
NORMS: Final = {"title": 0.3, "tags": 0.3, "body": 0.75}
LEAST_SHARE: Final = 0.12
LEAST_OF_BEST: Final = 0.33
"""A match holds words that carry at least LEAST_SHARE of the query's weight, and LEAST_OF_BEST of what the best
visible one holds: on the judged questions 99.3 % of the right assets pass, and three or four of 240 in all."""
LONG_QUERY: Final = 8
LONE_WORD: Final = 0.5
COMMON: Final = 0.3
"""In a query of more words than LONG_QUERY, terms in more than this part of the assets are dropped."""


def weights(terms: Sequence[Term], held_by: Sequence[float], count: float) -> list[tuple[int, float]]:
    """Places of the terms that count, and their weight times their rarity; unknown words count as the rarest.

    `held_by` is how many of the `count` visible assets hold each term; both may be estimates.
    """
    places = list(range(len(terms)))
    if sum(term.weight >= LONE_WORD for term in terms) > LONG_QUERY:
        places = [place for place in places if held_by[place] <= COMMON * count] or places
    return [
        (place, terms[place].weight * float(np.log1p((count - held_by[place] + 0.5) / (held_by[place] + 0.5))))
        for place in places
    ]
