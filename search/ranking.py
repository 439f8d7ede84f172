"""The order of hits: how well an asset answers by words and meaning, then trust and language (pure)."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from search import analysis
from search.analysis import Term
from search.engine import FloatArray, IntArray

BoolArray = NDArray[np.bool_]
Reason = tuple[str, ...]

EXACT_TITLE: Final = 0.3
ALL_IN_TITLE: Final = 0.06
UNVERIFIED: Final = -0.03
OWN_LANGUAGE: Final = 0.02
HELPS: Final = 0.01
HURTS: Final = -0.015
USED: Final = 0.008
"""Bonuses on closeness and coverage: only an exact title overturns a clearly better match, the others settle near ties."""
MUCH_USED: Final = 50
"""Deals from which on more use says no more."""
ALL: Final = 0.999
STRONG: Final = 0.5
MUCH: Final = 0.45


@dataclass(frozen=True, slots=True, eq=False)
class Signals:
    """What is known of each candidate, as parallel arrays of one length."""

    asset_ids: IntArray
    base: FloatArray
    title_share: FloatArray
    exact_title: BoolArray
    verified: BoolArray
    own_language: BoolArray
    effect: FloatArray | None = None
    """1 for what is known to help to win, -1 for what is known to hurt, else 0."""
    deals: FloatArray | None = None
    """Deals that used it lately; counts for what is verified alone, so that a stale favourite does not feed itself."""
    story: IntArray | None = None
    """The same number for assets that tell the same in several languages."""


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """Asset ids and scores, best first; `rows` are their positions in the signals."""

    asset_ids: IntArray
    scores: FloatArray
    rows: IntArray


def merge(signals: Signals) -> Ranked:
    """One order out of all signals; equal scores go by id, so that pages do not shift."""
    scores = (
        signals.base
        + EXACT_TITLE * signals.exact_title
        + ALL_IN_TITLE * (signals.title_share >= ALL)
        + UNVERIFIED * ~signals.verified
        + OWN_LANGUAGE * signals.own_language
    )
    if signals.effect is not None:
        scores = scores + np.where(signals.effect > 0, HELPS, HURTS * (signals.effect < 0))
    if signals.deals is not None:
        share = np.minimum(1.0, np.log1p(signals.deals) / math.log1p(MUCH_USED))
        scores = scores + USED * share * signals.verified
    scores = _own_language_first(scores, signals)
    rows = np.lexsort((signals.asset_ids, ~signals.own_language, -scores))
    return Ranked(signals.asset_ids[rows], scores[rows], rows)


def _own_language_first(scores: FloatArray, signals: Signals) -> FloatArray:
    """Of one story in several languages, the reader's comes where the best of them would."""
    if signals.story is None or not len(scores):
        return scores
    _, group = np.unique(signals.story, return_inverse=True)
    best = np.full(group.max() + 1, -np.inf)
    np.maximum.at(best, group, scores)
    return np.where(signals.own_language, best[group], scores)


def is_title(query: str, title: str) -> bool:
    """Whether the query is the title, whatever its case, width, script and punctuation."""
    words = analysis.tokens(query)
    return bool(words) and words == analysis.tokens(title)


def reasons(
    terms: Sequence[Term],
    title: str,
    labels: Iterable[str] = (),
    *,
    in_text: bool = True,
    by_translation: bool = False,
    by_meaning: bool = False,
) -> tuple[Reason, ...]:
    """Why a hit is there: `("words",)`, `("title",)`, `("tag", label)`, `("translation",)`, `("meaning",)`, in this
    order.

    A label counts when all its own words are asked for; the title when it holds about half of the
    query's weight.
    """
    asked = {term.text for term in terms if term.weight >= STRONG}
    why: list[Reason] = [("words",)] if in_text else []
    if share_of(terms, title) >= MUCH:
        why.append(("title",))
    why += [("tag", label) for label in dict.fromkeys(labels) if _is_asked_for(label, asked)]
    why += [("translation",)] if by_translation else []
    why += [("meaning",)] if by_meaning else []
    return tuple(why)


def share_of(terms: Sequence[Term], text: str) -> float:
    """The part of the query's weight (0..1) whose words the text holds."""
    held = set(analysis.tokens(text))
    total = sum(term.weight for term in terms)
    return sum(term.weight for term in terms if term.text in held) / total if total else 0.0


def _is_asked_for(label: str, asked: set[str]) -> bool:
    words = _words_of(label)
    return bool(words) and words <= asked


@lru_cache(maxsize=4_096)
def _words_of(label: str) -> frozenset[str]:
    return frozenset(term.text for term in analysis.query_terms(label) if term.weight >= STRONG)
