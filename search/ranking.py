"""The order of hits: how much of the query an asset holds, then trust and language (pure)."""

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

COVERAGE: Final = 1.0
EXACT_TITLE: Final = 0.3
ALL_IN_TITLE: Final = 0.06
UNVERIFIED: Final = -0.03
OWN_LANGUAGE: Final = 0.02
"""Bonuses on coverage (0..1): only an exact title overturns a clearly better match, the others settle near ties."""
ALL: Final = 0.999
STRONG: Final = 0.5
MUCH: Final = 0.45


@dataclass(frozen=True, slots=True, eq=False)
class Signals:
    """What is known of each candidate, as parallel arrays of one length."""

    asset_ids: IntArray
    coverage: FloatArray
    title_share: FloatArray
    exact_title: BoolArray
    verified: BoolArray
    own_language: BoolArray


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """Asset ids and scores, best first; `rows` are their positions in the signals."""

    asset_ids: IntArray
    scores: FloatArray
    rows: IntArray


def merge(signals: Signals) -> Ranked:
    """One order out of all signals; equal scores go by id, so that pages do not shift."""
    scores = (
        COVERAGE * signals.coverage
        + EXACT_TITLE * signals.exact_title
        + ALL_IN_TITLE * (signals.title_share >= ALL)
        + UNVERIFIED * ~signals.verified
        + OWN_LANGUAGE * signals.own_language
    )
    rows = np.lexsort((signals.asset_ids, -scores))
    return Ranked(signals.asset_ids[rows], scores[rows], rows)


def is_title(query: str, title: str) -> bool:
    """Whether the query is the title, whatever its case, width, script and punctuation."""
    words = analysis.tokens(query)
    return bool(words) and words == analysis.tokens(title)


def reasons(
    terms: Sequence[Term], title: str, labels: Iterable[str] = (), *, in_text: bool = True
) -> tuple[Reason, ...]:
    """Why a hit is there: `("words",)`, `("title",)`, `("tag", label)`, in this order.

    A label counts when all its own words are asked for; the title when it holds about half of the
    query's weight.
    """
    asked = {term.text for term in terms if term.weight >= STRONG}
    why: list[Reason] = [("words",)] if in_text else []
    if share_of(terms, title) >= MUCH:
        why.append(("title",))
    why += [("tag", label) for label in dict.fromkeys(labels) if _is_asked_for(label, asked)]
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
