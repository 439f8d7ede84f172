"""In the call: the last sentences of what is said become at most three passages to answer with, or silence.

Silence is the rule. Greetings, small talk and what the library does not speak of get nothing: a passage is shown when it
is near enough in meaning, or holds enough of the weighty words, and whatever is much weaker than the best is left out.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy.orm import Session

from content.deals import DealContext
from kb.access import Actor
from search import analysis, service
from search.query import LONGEST_USED, Mode, Query
from search.service import DATABASE_ONLY, LEXICAL_ONLY, Finder, Hit

MOST: Final = 3
SENTENCES: Final = 3
LONGEST: Final = 4_000
"""Characters of a transcript that are taken; of them the last sentences count."""
SURE: Final = 0.36
SURE_OF_BEST: Final = 0.6
WORDS_SURE: Final = 0.5
"""Scores from which on a passage is shown: by meaning and words, beside the best one, and by words alone."""
LEAST_WEIGHT: Final = 1.5
"""Of the query's weighty words there must be so much: "well, then" asks for nothing."""
IN_TIME_MS: Final = 60.0
"""Where the first look took longer, there is no second one: an answer that comes late is none."""
SENTENCE: Final = re.compile(r"[^。！？!?.;；\n]+[。！？!?.;；\n]*")


@dataclass(frozen=True, slots=True)
class Answer:
    """What to say now: `asked` is the part of the transcript that was looked at; no hits means silence."""

    asked: str
    hits: tuple[Hit, ...]
    took_ms: float
    limited: Literal["lexical_only", "database_only"] | None


def last_sentences(transcript: str, most: int = SENTENCES) -> str:
    """The end of what was said, by whole sentences as far as they fit a query; speakers' names before a colon fall away."""
    found = [one.strip() for one in SENTENCE.findall(transcript[-LONGEST:]) if one.strip()]
    kept: list[str] = []
    for sentence in reversed(found):
        words = re.sub(r"^[\w .\-]{1,24}[:：]\s*", "", sentence)
        if len(kept) == most or sum(map(len, kept)) + len(words) > LONGEST_USED:
            break
        kept.insert(0, words)
    return " ".join(kept)


def assist(
    session: Session, finder: Finder, actor: Actor, deal: DealContext | None, transcript: str, language: str
) -> Answer:
    """At most three passages that this reader may see on the deal; none where nothing is near enough.

    The last sentence alone is asked first, for it mostly is the question; then the last few together.
    """
    took, limited, whole = 0.0, None, last_sentences(transcript)
    for asked in dict.fromkeys((last_sentences(transcript, 1), whole)):
        if took > IN_TIME_MS:
            break
        if sum(term.weight for term in analysis.query_terms(asked)) < LEAST_WEIGHT:
            continue
        page = service.search(session, finder, actor, deal, Query.of(asked, limit=MOST, mode=Mode.HYBRID), language)
        took, limited = took + page.took_ms, _limited(page.limited)
        words_alone = limited is not None or finder.meaning.is_off
        if hits := _sure(page.hits, WORDS_SURE if words_alone else SURE):
            return Answer(asked, hits, took, limited)
    return Answer(whole, (), took, limited)


def _sure(hits: Sequence[Hit], least: float) -> tuple[Hit, ...]:
    best = max((hit.score for hit in hits), default=0.0)
    return tuple(hit for hit in hits if hit.section is not None and hit.score >= max(least, SURE_OF_BEST * best))


def _limited(word: str | None) -> Literal["lexical_only", "database_only"] | None:
    return "lexical_only" if word == LEXICAL_ONLY else "database_only" if word == DATABASE_ONLY else None
