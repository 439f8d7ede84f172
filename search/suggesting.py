"""While somebody types: titles, tags and searches that have led others to something, all from the reader's own library.

Titles are matched by their letters and by their sound (`khxg` is 客户嫌贵); each is shown as it stands now, after the one
rule has let it through. Tags come with how many of the reader's own texts carry them. A search of others is told only
where several people made it with success, and where one text that this reader may see holds all its words.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from content import reading, taxonomy
from content.deals import DealContext
from content.kinds import AssetType
from content.taxonomy import Label, Vocabulary
from kb import clock
from kb.access import Actor, Permission, require
from search import analysis, fallback
from search.engine import IndexDamaged
from search.log import KEPT_FOR_SUGGESTIONS, Search
from search.query import LONGEST_USED, printable
from search.service import Finder, reach_of
from search.spelling import Holding
from search.wordbook import Titled, Wordbook, initials, sound

MOST_TITLES: Final = 5
MOST_TAGS: Final = 3
MOST_SEARCHES: Final = 3
LOOKED_AT: Final = 60
"""Titles that are asked of the one rule at a time."""
OWN_LOOKED_AT: Final = 200
LEAST_SOUND: Final = 2
"""Letters of sound that are looked for: a single one would be the beginning of everything."""
_LETTERS: Final = re.compile("[a-z]+")


class Kind(StrEnum):
    ASSET = "asset"
    TAG = "tag"
    SEARCH = "search"


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One line. An asset has its id, type and language; a tag its facet, key and how many texts carry it."""

    kind: Kind
    text: str
    id: str = ""
    type: AssetType | None = None
    language: str = ""
    facet: str = ""
    key: str = ""
    count: int = 0


def suggest(
    session: Session, finder: Finder, actor: Actor, deal: DealContext | None, typed: str, language: str
) -> tuple[Suggestion, ...]:
    """At most a handful of lines for the beginning of a query; nothing for an empty one."""
    require(actor, Permission.SEARCH)
    asked = analysis.fold(printable(typed)[:LONGEST_USED]).strip()
    if not asked:
        return ()
    vocabulary = taxonomy.load(session)
    book = finder.words.of(session, vocabulary)
    return (
        *_searches(session, finder, actor, deal, asked, book),
        *_tags(session, actor, deal, asked, vocabulary, language),
        *(_titles(session, actor, deal, asked, book, vocabulary) if book else ()),
    )


def _titles(
    session: Session, actor: Actor, deal: DealContext | None, asked: str, book: Wordbook, vocabulary: Vocabulary
) -> Iterator[Suggestion]:
    fresh = [Titled.of(*one) for one in reading.titles_since(session, book.newest)]
    newer = {one.asset_id for one in fresh}
    ranked = sorted(
        (rank, len(one.folded), one.asset_id)
        for one in (*fresh, *(old for old in book.titles if old.asset_id not in newer))
        if (rank := _rank(one, asked)) is not None
    )
    left = MOST_TITLES
    for start in range(0, len(ranked), LOOKED_AT):  # until there are enough: hidden titles push no visible one out
        some = [asset_id for _, _, asset_id in ranked[start : start + LOOKED_AT]]
        for asset in reading.list_visible(session, actor, deal, some, vocabulary):
            if _rank(Titled.of(asset.id, asset.title), asked) is not None:
                yield Suggestion(Kind.ASSET, asset.title, asset.public_id, asset.type, asset.language)
                left -= 1
            if not left:
                return


def _rank(title: Titled, asked: str) -> int | None:
    """How well a title goes with what is typed, 0 is best; None where it does not."""
    if title.folded.startswith(asked):
        return 0
    at = title.folded.find(asked)
    if at > 0:
        return 1 if not (asked[0].isascii() and title.folded[at - 1].isalnum()) else 3
    words = asked.split()
    if len(words) > 1 and all(word in title.folded for word in words):
        return 2
    letters = asked.replace(" ", "").replace("'", "")
    if len(letters) >= LEAST_SOUND and _LETTERS.fullmatch(letters) and title.sound != title.folded:
        if title.initials.startswith(letters) or title.sound.startswith(letters):
            return 4
        if len(letters) > LEAST_SOUND and (letters in title.initials or letters in title.sound):
            return 5
    return None


def _tags(
    session: Session, actor: Actor, deal: DealContext | None, asked: str, vocabulary: Vocabulary, language: str
) -> Iterator[Suggestion]:
    """Tags named so in either language or by a synonym, as far as a text that this reader may see carries them."""
    named = [label for label in vocabulary.by_id.values() if _is_named(label, asked)]
    if not named:
        return
    counts = reading.count_tagged(session, actor, deal, [label.id for label in named])
    carried = sorted((label for label in named if counts.get(label.id)), key=lambda label: -counts[label.id])
    for label in carried[:MOST_TAGS]:
        yield Suggestion(Kind.TAG, label.text(language), facet=label.facet, key=label.key, count=counts[label.id])


def _is_named(label: Label, asked: str) -> bool:
    for name in (label.en, label.zh, *label.synonyms):
        folded = analysis.fold(name)
        if folded.startswith(asked) or f" {asked}" in folded or (not asked.isascii() and asked in folded):
            return True
        has_sound = len(asked) >= LEAST_SOUND and _LETTERS.fullmatch(asked) and not folded.isascii()
        if has_sound and (sound(folded).startswith(asked) or initials(folded) == asked):
            return True
    return False


def _searches(
    session: Session, finder: Finder, actor: Actor, deal: DealContext | None, asked: str, book: Wordbook | None
) -> Iterator[Suggestion]:
    """What this person searched lately and found, then what several people did; only what this library holds."""
    told = [text for text in (*_own(session, actor), *(book.searches if book else ())) if _goes_on(text, asked)]
    if not told:
        return
    held = _holding(session, finder, actor, deal)
    left = MOST_SEARCHES
    for text in dict.fromkeys(told):
        if held(text):
            yield Suggestion(Kind.SEARCH, text)
            left -= 1
        if not left:
            return


def _goes_on(text: str, asked: str) -> bool:
    folded = analysis.fold(text)
    return folded != asked and (folded.startswith(asked) or f" {asked}" in folded)


def _own(session: Session, actor: Actor) -> Sequence[str]:
    if actor.user_id is None:
        return ()
    statement = (
        select(Search.text)
        .where(Search.user_id == actor.user_id, Search.total > 0, Search.at > clock.now() - KEPT_FOR_SUGGESTIONS)
        .order_by(Search.at.desc())
        .limit(OWN_LOOKED_AT)
    )
    return session.scalars(statement).all()


def _holding(session: Session, finder: Finder, actor: Actor, deal: DealContext | None) -> Holding:
    reach = reach_of(session, finder, actor, deal)
    try:
        finder.engine.probe()
    except IndexDamaged:
        return Holding(lambda terms, ids: fallback.lexical(session, terms, ids), reach.ids().visible)
    return Holding(finder.engine.lexical, reach.visible)
