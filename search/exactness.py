"""What must be held word for word, or not at all: exact phrases, exclusions, words of the title.

The engines find by single words and pairs of characters; whether those stand together is looked up in the texts of
what they found, of the best candidates first.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from search import analysis, documents
from search.candidates import Lexical
from search.engine import IntArray
from search.ranking import ALL
from search.understanding import Understood

MOST_READ: Final = 500
"""Texts that are read for exact words, the best candidates first; what stands behind them is not found by exact words."""
_BLANKS: Final = re.compile(r"\s+")

Kept = NDArray[np.bool_]


def kept(session: Session, lexical: Lexical, asked: Understood, pool: IntArray, of_phrases: Sequence[str]) -> Kept:
    """Which of the pool hold all of `of_phrases` and the title's words, and nothing that is excluded."""
    remaining = np.ones(len(pool), np.bool_)
    for phrase in of_phrases:
        remaining &= _holding(session, lexical, phrase, pool, remaining)
    if asked.titled:
        remaining &= _titled(session, asked.titled, pool)
    for phrase in asked.excluded:
        remaining &= ~_holding(session, lexical, phrase, pool, remaining)
    return remaining


def _holding(session: Session, lexical: Lexical, phrase: str, pool: IntArray, among: Kept) -> Kept:
    """Which of the pool hold the phrase: all its words, and, where it is more than one, side by side."""
    terms = analysis.query_terms(phrase)
    if not terms:
        return np.zeros(len(pool), np.bool_)
    found = lexical(terms, np.sort(pool[among]))
    whole = found.asset_ids[found.share >= ALL]
    holds = np.isin(pool, whole)
    if len(terms) == 1:
        return holds
    rows = np.flatnonzero(holds)[:MOST_READ]
    texts = _texts(session, [int(asset_id) for asset_id in pool[rows]])
    pattern = _pattern(phrase)
    certain = np.zeros(len(pool), np.bool_)
    certain[[row for row in rows.tolist() if pattern.search(texts.get(int(pool[row]), ""))]] = True
    return certain


def _titled(session: Session, words: Sequence[str], pool: IntArray) -> Kept:
    titles = documents.titles(session, [int(asset_id) for asset_id in pool])
    patterns = [_pattern(one) for one in words]
    return np.array(
        [all(pattern.search(_plain(titles.get(int(one), ""))) for pattern in patterns) for one in pool], np.bool_
    )


def _texts(session: Session, asset_ids: Sequence[int]) -> Mapping[int, str]:
    found = documents.entries(session, asset_ids)
    return {entry.asset_id: _plain(f"{entry.title}\n{entry.tags}\n{entry.body}") for entry in found}


def _plain(text: str) -> str:
    return _BLANKS.sub(" ", analysis.fold(text))


@lru_cache(maxsize=256)
def _pattern(phrase: str) -> re.Pattern[str]:
    """The phrase in folded text; where it begins or ends with a letter or digit of a word, a word begins or ends there."""
    plain = _plain(phrase).strip()
    before = r"(?<![a-z0-9])" if re.match("[a-z0-9]", plain) else ""
    after = r"(?![a-z0-9])" if re.search("[a-z0-9]$", plain) else ""
    return re.compile(before + re.escape(plain) + after)
