"""Finds assets: candidates among the visible, narrowed by filters, ranked, each hit loaded through the one rule."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import TypeGuard

import numpy as np
import structlog
from sqlalchemy.orm import Session

from content import activity, reading, saying, tallies, taxonomy, visibility
from content.cohorts import Finding
from content.deals import DealContext
from content.insight import LEAST_SHOWN
from content.kinds import FACET_NAMES, LANGUAGE_NAMES, TYPE_NAMES, AssetType
from content.reading import ReadableAsset, Signal, Teaser, TextSection, Translation
from content.taxonomy import Label, Vocabulary
from kb.access import Actor, Permission, require
from kb.errors import NotFound
from search import (
    candidates,
    documents,
    exactness,
    facets,
    fallback,
    ranking,
    reranker,
    snippets,
    spelling,
    translation,
    understanding,
)
from search.analysis import Term
from search.candidates import Candidates, Lexical, Translated
from search.encoder import CannotEncode
from search.engine import Engine, FacetTable, Fields, FloatArray, IndexDamaged, IntArray, Scope, Sides, Visible
from search.loading import ModelLoader
from search.matrix import Spot
from search.meaning import Meaning, Nearby
from search.query import Mode, Query, Sort
from search.ranking import BoolArray
from search.reranker import Reranker
from search.snippets import Passage
from search.understanding import EXACT_NONE, Understood
from search.wordbook import Keeper

RANKED = 150
"""Best candidates that are ordered with all signals; the rest follow by their words alone."""
MOST_LOCKED = 5
MOST_VALUES = 12
MOST_SIMILAR = 6
NOTHING = np.zeros(0, np.int64)
LEXICAL_ONLY, DATABASE_ONLY = "lexical_only", "database_only"
"""What an answer may be limited to, as the interface names it."""
ENOUGH = 0.5
"""The part of a query's weight from which on a section that holds its words is shown rather than the nearest in meaning."""
FACET_ORDER = tuple(FACET_NAMES)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Hit:
    """One asset found: the passage to show, the whole section to copy, and why it is here."""

    asset: ReadableAsset
    score: float
    passage: Passage | None
    section: TextSection | None
    why: tuple[ranking.Reason, ...]
    lift: Finding | None = None
    also: tuple[Translation, ...] = ()
    """The same in other languages, as far as this reader may see it."""


@dataclass(frozen=True, slots=True)
class FacetValue:
    key: str
    label: Label | None
    text: str
    count: int
    selected: bool


@dataclass(frozen=True, slots=True)
class FacetBlock:
    facet: str
    values: tuple[FacetValue, ...]


@dataclass(frozen=True, slots=True)
class SearchPage:
    """What a search answers; every number counts only what this reader may open."""

    query: Query
    hits: tuple[Hit, ...]
    facets: tuple[FacetBlock, ...]
    total: int
    locked: tuple[Teaser, ...]
    limited: str | None
    took_ms: float
    asked: Understood
    """What the typed text was understood as."""
    search_id: str = ""
    meant: str = ""
    """Another spelling whose words this reader's library holds, where it does not hold the typed ones."""

    @property
    def previous_offset(self) -> int | None:
        return max(0, self.query.offset - self.query.limit) if self.query.offset else None

    @property
    def next_offset(self) -> int | None:
        following = self.query.offset + self.query.limit
        return following if following < self.total else None


@dataclass(frozen=True, slots=True)
class Similar:
    """What is like an asset, and what may be open to say about it: `limited` where nothing can be compared now."""

    asset: ReadableAsset
    assets: tuple[ReadableAsset, ...]
    limited: bool
    section: TextSection | None = None
    """The section that is compared, where it is not the whole text."""
    passages: Mapping[int, Passage] = field(default_factory=dict)
    """By asset id, what in it is nearest."""


@dataclass(frozen=True, slots=True)
class Finder:
    """What a process searches with: the index of words, and nearness of meaning."""

    engine: Engine
    meaning: Meaning
    words: Keeper = field(default_factory=Keeper)
    reranker: ModelLoader[Reranker] = field(default_factory=lambda: reranker.loader(""))


@dataclass(frozen=True, slots=True, eq=False)
class Reach:
    """What a reader reaches: as ids, or as rules where the engine takes them; `ids` asks for the ids when needed."""

    visible: Visible
    locked: Visible
    ids: Callable[[], reading.Reach]


def reach_of(session: Session, finder: Finder, actor: Actor, deal: DealContext | None) -> Reach:
    """What this reader reaches on the deal, as the engine takes it."""
    if not finder.engine.takes_rules:
        found = reading.reach(session, actor, deal)
        return Reach(found.visible, found.locked, lambda: found)
    sides = Sides(visibility.exists_for(actor), visibility.side_of(actor, deal))
    return Reach(
        Scope(visibility.visible_to(actor, deal), sides, visibility.VISIBLE),
        Scope(visibility.locked_for(actor, deal), sides, visibility.LOCKED),
        cache(lambda: reading.reach(session, actor, deal)),
    )


@dataclass(frozen=True, slots=True)
class _Pool:
    """Candidates best first, before filters; `lexical` finds by words in the way that these were found."""

    found: Candidates
    table: FacetTable
    limited: str | None
    locked: IntArray
    codes_of: Callable[[IntArray], set[int]]
    lexical: Lexical
    notes: tuple[tuple[str, str], ...] = ()


def search(
    session: Session, finder: Finder, actor: Actor, deal: DealContext | None, query: Query, language: str
) -> SearchPage:
    """Find what the reader may see; a damaged index is answered from the database, and says so."""
    require(actor, Permission.SEARCH)
    with finder.engine.together():
        return _search(session, finder, actor, deal, query, language)


def _search(
    session: Session, finder: Finder, actor: Actor, deal: DealContext | None, query: Query, language: str
) -> SearchPage:
    started = time.perf_counter()
    if query.parsed.is_plain and query.text and query.mode is not Mode.LEXICAL:
        finder.meaning.foresee(query.text)
    vocabulary = taxonomy.load(session)
    asked = understanding.understand(
        query, vocabulary, lambda tag_id: bool(reading.count_tagged(session, actor, deal, [tag_id]))
    )
    reach = reach_of(session, finder, actor, deal)
    pool = _pool(session, finder, query.mode, asked, reach)
    narrowed = facets.narrow(
        pool.found.asset_ids, pool.table, _codes(asked.filters, vocabulary), _facet_of(vocabulary, pool.table)
    )
    ordered, scores = _order(session, query, asked, narrowed, pool.found, language)
    second = finder.reranker.get() if _is_read_again(query, asked) else None
    if second is not None:
        best = reading.list_visible(session, actor, deal, [int(i) for i in ordered[: reranker.DEPTH]], vocabulary)
        ordered, scores = _read_again(session, second, asked, best, pool.found.spots, (ordered, scores))
    here = slice(query.offset, query.offset + query.limit)
    assets = reading.list_visible(session, actor, deal, [int(i) for i in ordered[here]], vocabulary)
    seen = None if isinstance(reach.visible, Scope) else reach.visible
    also = reading.list_translations(session, actor, deal, [asset.id for asset in assets], seen)
    score_of = dict(zip(ordered[here].tolist(), scores[here].tolist(), strict=True))
    return SearchPage(
        query=query,
        hits=_hits(
            session, assets, _Asked(asked.terms, language, score_of, pool.found.spots, also, pool.found.translated)
        ),
        facets=_blocks(_Known(narrowed.counts, query.filters, vocabulary, lambda: pool.codes_of(reach.ids().visible))),
        total=len(narrowed.pool),
        locked=tuple(
            reading.list_teasers(session, actor, deal, [int(i) for i in pool.locked[:MOST_LOCKED]], vocabulary)
        ),
        limited=pool.limited,
        asked=replace(asked, notes=asked.notes + pool.notes),
        meant=_meant(session, finder, query, asked, vocabulary, pool, reach),
        took_ms=(time.perf_counter() - started) * 1000,
    )


def _meant(
    session: Session,
    finder: Finder,
    query: Query,
    asked: Understood,
    vocabulary: Vocabulary,
    pool: _Pool,
    reach: Reach,
) -> str:
    """Another spelling of a short, plain query, made of words that this reader's own library holds."""
    if query.offset or not query.parsed.is_plain or not spelling.may_be_misspelt(asked.words):
        return ""
    if pool.limited == DATABASE_ONLY:
        return ""
    if pool.found.most_held is not None and pool.found.most_held >= ranking.ALL:
        return ""
    held = spelling.Holding(pool.lexical, reach.visible)
    if held(asked.words):
        return ""
    book = finder.words.of(session, vocabulary)
    return spelling.corrected(query.text, book, held) if book is not None else ""


def matching(
    session: Session,
    finder: Finder,
    among: IntArray,
    query: Query,
    vocabulary: Vocabulary,
    sure: float,
    sure_by_words: float,
) -> list[int]:
    """Which of a few visible assets match a query beyond doubt; raises IndexDamaged.

    By its filters alone where it has no words; by meaning and words from `sure` on, by words alone from `sure_by_words`.
    """
    asked = understanding.understand(query, vocabulary, lambda _tag_id: True)  # what it finds is visible anyway
    engine = finder.engine
    found = _everything(session, np.intersect1d(among, engine.all_ids()))
    if asked.words:
        meant = cache(lambda: finder.meaning.ask(session, asked.words))
        found = candidates.find(engine.lexical, meant, asked.terms, among, query.mode, lead=0)
        by_words = query.mode is Mode.LEXICAL or meant() is None
        found = found.only(found.base >= (sure_by_words if by_words else sure))
        found, _ = _exactly(session, engine.lexical, asked, found)
    table = engine.facets_of(found.asset_ids)
    narrowed = facets.narrow(found.asset_ids, table, _codes(asked.filters, vocabulary), _facet_of(vocabulary, table))
    return [int(asset_id) for asset_id in narrowed.pool]


def similar(
    session: Session, finder: Finder, actor: Actor, deal: DealContext | None, reference: str, anchor: str = ""
) -> Similar:
    """The visible assets most like a visible one, or like one section of it, without its translations.

    NotFound for what is hidden, and for a section that the text has not.
    """
    require(actor, Permission.SEARCH)
    asset = reading.get_visible(session, actor, deal, reference)
    visible = reading.visible_ids(session, actor, deal)
    others = np.setdiff1d(visible, [*reading.translation_ids(session, asset.id), asset.id])
    section = _section(session, asset, anchor) if anchor else None
    nearby = finder.meaning.like(session, asset.id, others, MOST_SIMILAR, anchor)
    if nearby is None:
        return Similar(asset, (), limited=True, section=section)
    ids = [int(asset_id) for asset_id in nearby.near.asset_ids]
    found = reading.list_visible(session, actor, deal, ids)
    return Similar(asset, tuple(found), limited=False, section=section, passages=_passages_of(session, found, nearby))


def _section(session: Session, asset: ReadableAsset, anchor: str) -> TextSection:
    found = reading.list_sections(session, [asset]).get(asset.id, ())
    section = next((one for one in found if one.anchor == anchor), None)
    if section is None:
        raise NotFound()
    return section


def _passages_of(session: Session, assets: Sequence[ReadableAsset], nearby: Nearby) -> Mapping[int, Passage]:
    """The passage of each asset that is nearest, for who compares."""
    spots = nearby.spots(-1.0)
    sections = reading.list_sections(session, assets)
    found = {
        asset.id: _passage(saying.sayable(asset, list(sections.get(asset.id, ()))), (), spots[asset.id])
        for asset in assets
        if asset.id in spots
    }
    return {asset_id: passage for asset_id, passage in found.items() if passage is not None}


def _pool(session: Session, finder: Finder, mode: Mode, asked: Understood, reach: Reach) -> _Pool:
    engine, terms = finder.engine, asked.terms
    try:
        if asked.words:
            teased = engine.lexical(terms, reach.locked, fields=Fields.TITLE_TAGS).asset_ids
            meant = cache(lambda: finder.meaning.ask(session, asked.words))
            elsewhere = partial(translation.terms_of, asked.words)
            found = candidates.find(engine.lexical, meant, terms, reach.visible, mode, translate=elsewhere)
            is_limited = _wants_meaning(finder, mode) and meant() is None
        else:
            found, is_limited = _everything(session, np.intersect1d(reach.ids().visible, engine.all_ids())), False
            teased = NOTHING
        found, notes = _exactly(session, engine.lexical, asked, found)
        return _Pool(
            found,
            engine.facets_of(found.asset_ids),
            LEXICAL_ONLY if is_limited else None,
            teased,
            lambda ids: set(engine.facets_of(ids).codes.tolist()),
            engine.lexical,
            notes,
        )
    except IndexDamaged as damage:
        log.warning("index.damaged", reason=str(damage)[:200])
    plainly = partial(fallback.lexical, session)
    visible, locked = reach.ids().visible, reach.ids().locked
    found = Candidates.of_words(plainly(terms, visible)) if asked.words else _everything(session, visible)
    teased = plainly(terms, locked, fields=Fields.TITLE_TAGS).asset_ids if asked.words else NOTHING
    found, notes = _exactly(session, plainly, asked, found)
    table = fallback.facets_of(session, found.asset_ids)
    return _Pool(
        found,
        table,
        DATABASE_ONLY,
        teased,
        lambda ids: set(fallback.facets_of(session, ids).codes.tolist()),
        plainly,
        notes,
    )


def _exactly(
    session: Session, lexical: Lexical, asked: Understood, found: Candidates
) -> tuple[Candidates, tuple[tuple[str, str], ...]]:
    """What holds the exact words and nothing excluded; where nothing holds them exactly, what holds them at all."""
    if not asked.narrows_by_text:
        return found, ()
    kept = exactness.kept(session, lexical, asked, found.asset_ids, asked.phrases)
    if kept.any() or not asked.phrases:
        return found.only(kept), ()
    loosely = exactness.kept(session, lexical, asked, found.asset_ids, ())
    return found.only(loosely), ((EXACT_NONE, " ".join(asked.phrases)),) if loosely.any() else ()


def _wants_meaning(finder: Finder, mode: Mode) -> bool:
    """Whether an answer by words alone is less than was asked for: where meaning is switched off, only if it was named."""
    return mode is Mode.SEMANTIC or (mode is Mode.HYBRID and not finder.meaning.is_off)


def _everything(session: Session, visible: IntArray) -> Candidates:
    """Without words: all that is visible, published last first."""
    newest = reading.order_by_newest(session, visible)
    nothing = np.zeros(len(newest))
    return Candidates(newest, nothing, nothing, nothing, {})


def _order(
    session: Session, query: Query, asked: Understood, narrowed: facets.Narrowed, found: Candidates, language: str
) -> tuple[IntArray, FloatArray]:
    base = found.base[narrowed.rows]
    order = Sort.NEW if query.order is Sort.BEST and not asked.words else query.order
    if not len(narrowed.pool) or (order is Sort.NEW and not asked.words):
        return narrowed.pool, base
    if order is not Sort.BEST:
        rows = _SORTED[order](session, narrowed.pool)
        return narrowed.pool[rows], base[rows]
    best = narrowed.pool[:RANKED]
    known = reading.list_signals(session, [int(i) for i in best])
    signals = [known.get(int(i), Signal("", "", False)) for i in best]
    title_share = found.title_share[narrowed.rows][:RANKED]
    learned = _learned(session)
    ranked = ranking.merge(
        ranking.Signals(
            asset_ids=best,
            base=base[:RANKED],
            title_share=title_share,
            exact_title=_exact(asked.words, signals, title_share),
            verified=np.array([not s.is_doubtful for s in signals], np.bool_),
            own_language=np.array([s.language == language for s in signals], np.bool_),
            effect=np.array([_EFFECTS.get(learned.verdicts.get(int(i), ""), 0.0) for i in best]),
            deals=np.array([float(learned.deals.get(int(i), 0)) for i in best]),
            story=np.array([s.story_id or -int(i) for i, s in zip(best, signals, strict=True)], np.int64),
        )
    )
    return np.concatenate((ranked.asset_ids, narrowed.pool[RANKED:])), np.concatenate((ranked.scores, base[RANKED:]))


def _is_read_again(query: Query, asked: Understood) -> bool:
    """Only the first hits of an answer by words and meaning, in the order of how well they answer."""
    is_by_best = query.order is Sort.BEST and query.mode is Mode.HYBRID
    return is_by_best and bool(asked.words) and query.offset < reranker.DEPTH


def _read_again(
    session: Session,
    second: Reranker,
    asked: Understood,
    best: Sequence[ReadableAsset],
    spots: Mapping[int, Spot],
    ranked: tuple[IntArray, FloatArray],
) -> tuple[IntArray, FloatArray]:
    """The best hits in the order that a second look gives them; as they were where it cannot be had."""
    ordered, scores = ranked
    sections = reading.list_sections(session, best)
    said = {asset.id: _said(asset, sections.get(asset.id, ()), asked.terms, spots.get(asset.id)) for asset in best}
    head = ordered[: reranker.DEPTH].tolist()
    places = [place for place, asset_id in enumerate(head) if asset_id in said]
    judged = np.zeros(len(head))
    try:
        judged[places] = second.judge(asked.words, [said[head[place]] for place in places])
    except CannotEncode as error:
        log.warning("reranker.failed", reason=str(error)[:200])
        return ranked
    rows, newer = reranker.in_order(scores[: len(head)], judged)
    rest = slice(len(head), None)
    return np.concatenate((ordered[rows], ordered[rest])), np.concatenate((newer[rows], scores[rest]))


def _said(asset: ReadableAsset, sections: tuple[TextSection, ...], terms: Sequence[Term], spot: Spot | None) -> str:
    """What a second look reads of an asset: its title, and the passage that would be shown, with what stands around it."""
    useful = saying.sayable(asset, [section for section in sections if section.plain.strip()])
    passage = _passage(useful, terms, spot)
    section = next((s for s in useful if passage is not None and s.anchor == passage.anchor), None)
    around = "" if section is None else section.plain[spot.start : spot.end] if _is_in(spot, section) else section.plain
    return "\n".join(part for part in (asset.title, section.title if section else "", around) if part)


def _is_in(spot: Spot | None, section: TextSection) -> TypeGuard[Spot]:
    return spot is not None and spot.anchor == section.anchor


_SORTED: Mapping[Sort, Callable[[Session, IntArray], IntArray]] = {
    Sort.NEW: reading.rows_by_publication,
    Sort.USED: activity.rows_by_use,
    Sort.VERIFIED: reading.rows_by_verification,
}


USED_DAYS = 90
_EFFECTS = {"helps": 1.0, "hurts": -1.0}


@dataclass(frozen=True, slots=True)
class _Learned:
    """What use and outcomes say, by text; nothing until they were counted for the first time."""

    verdicts: Mapping[int, str]
    deals: Mapping[int, int]


def _learned(session: Session) -> _Learned:
    book = tallies.lately(session)
    if book is None:
        return _Learned({}, {})
    found = tallies.findings(book)
    return _Learned({asset: one.verdict for asset, one in found.items()}, tallies.deals_lately(book, USED_DAYS))


def _lifts(session: Session, assets: Sequence[ReadableAsset]) -> Mapping[int, Finding]:
    """Of these, what is told to people: helps or hurts beyond doubt, on enough deals."""
    book = tallies.lately(session)
    found = tallies.findings(book) if book is not None else {}
    return {
        one.id: found[one.id]
        for one in assets
        if one.id in found and found[one.id].difference and found[one.id].exposed >= LEAST_SHOWN
    }


def _exact(text: str, signals: Sequence[Signal], title_share: FloatArray) -> BoolArray:
    """Whose title the query is; only where the title holds all its words is it worth a look."""
    holds_all = title_share >= ranking.ALL
    return np.array(
        [held and ranking.is_title(text, s.title) for held, s in zip(holds_all, signals, strict=True)], np.bool_
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    """What hits are made with besides the assets."""

    terms: Sequence[Term]
    language: str
    score_of: Mapping[int, float]
    spots: Mapping[int, Spot]
    also: Mapping[int, tuple[Translation, ...]]
    translated: Translated | None = None

    def terms_in(self, asset: ReadableAsset) -> Sequence[Term]:
        """What is looked for in this text: also in the other language, where it gained by that."""
        if self.translated is None or asset.id not in self.translated:
            return self.terms
        return [*self.terms, *self.translated.by_token]


def _hits(session: Session, assets: Sequence[ReadableAsset], asked: _Asked) -> tuple[Hit, ...]:
    sections = reading.list_sections(session, assets)
    lifts = _lifts(session, assets)
    hits = (_hit(asset, sections.get(asset.id, ()), asked) for asset in assets)
    return tuple(replace(hit, lift=lifts.get(hit.asset.id)) for hit in hits)


def _hit(asset: ReadableAsset, sections: tuple[TextSection, ...], asked: _Asked) -> Hit:
    useful = saying.sayable(asset, [section for section in sections if section.plain.strip()])
    terms = asked.terms_in(asset)
    passage = _passage(useful, terms, asked.spots.get(asset.id))
    section = next((s for s in useful if passage is not None and s.anchor == passage.anchor), None)
    marked = passage is not None and any(is_marked for _, is_marked in passage.parts)
    if passage is not None and terms is not asked.terms:
        marked = ranking.share_of(asked.terms, passage.text) > 0
    labels = [label.text(asked.language) for label in asset.tags] + [
        word for label in asset.tags for word in (label.en, label.zh, *label.synonyms)
    ]
    why = (
        ranking.reasons(
            terms,
            asset.title,
            labels,
            in_text=marked,
            by_translation=terms is not asked.terms,
            by_meaning=asset.id in asked.spots,
        )
        if asked.terms
        else ()
    )
    return Hit(
        asset,
        asked.score_of.get(asset.id, 0.0),
        passage,
        section,
        _one_reason_a_tag(why, asset, asked.language),
        None,
        asked.also.get(asset.id, ()),
    )


def _passage(useful: Sequence[TextSection], terms: Sequence[Term], spot: Spot | None) -> Passage | None:
    """The passage that holds the words, where they hold enough of the query; else the one nearest in meaning."""
    cut = [snippets.Section(s.anchor, s.title, s.plain) for s in useful]
    passage, share = snippets.best_passage_and_share(cut, terms)
    near = next((section for section in cut if spot is not None and section.anchor == spot.anchor), None)
    if near is None or spot is None or share >= ENOUGH:
        return passage
    return snippets.passage_at(near, spot.start, spot.end, terms)


def _one_reason_a_tag(why: Sequence[ranking.Reason], asset: ReadableAsset, language: str) -> tuple[ranking.Reason, ...]:
    """Synonyms and the other language's label stand for the tag: it is named once, in the reader's language."""
    names = {word: label.text(language) for label in asset.tags for word in (label.en, label.zh, *label.synonyms)}
    return tuple(
        dict.fromkeys(("tag", names.get(reason[1], reason[1])) if reason[0] == "tag" else reason for reason in why)
    )


def _codes(filters: Mapping[str, frozenset[str]], vocabulary: Vocabulary) -> dict[str, set[int]]:
    return {facet: {_code(facet, value, vocabulary) for value in values} for facet, values in filters.items()}


def _code(facet: str, value: str, vocabulary: Vocabulary) -> int:
    """The number of a facet's value; a value nobody knows gets one that nothing carries."""
    if facet == "type":
        return documents.type_code(value) if value in set(AssetType) else -1
    if facet == "language":
        return documents.language_code(value.casefold())
    label = vocabulary.find(facet, value)
    return documents.tag_code(label.id) if label else -1


def _facet_of(vocabulary: Vocabulary, table: FacetTable) -> dict[int, str]:
    known = {documents.tag_code(label.id): label.facet for label in vocabulary.by_id.values()}
    known |= {documents.type_code(kind.value): "type" for kind in AssetType}
    languages = {int(code) for code in np.unique(table.codes) if code % 3 == documents.LANGUAGE_REMAINDER}
    return known | dict.fromkeys(languages, "language")


@dataclass(frozen=True, slots=True)
class _Known:
    """What the facets are made of; `carried` are the codes of all that the reader may see, asked only when needed."""

    counts: Mapping[str, Mapping[int, int]]
    filters: Mapping[str, frozenset[str]]
    vocabulary: Vocabulary
    carried: Callable[[], set[int]]


def _blocks(known: _Known) -> tuple[FacetBlock, ...]:
    blocks = [FacetBlock(facet, _values(facet, known)) for facet in FACET_ORDER]
    return tuple(block for block in blocks if block.values)


def _values(facet: str, known: _Known) -> tuple[FacetValue, ...]:
    """Stages in their order, everything else by count; what is chosen is always there."""
    counts = known.counts.get(facet, {})
    words = {_code(facet, word, known.vocabulary): word for word in sorted(known.filters.get(facet, ()))}
    found = [
        value
        for code, count in counts.items()
        if (value := _value(facet, code, count, code in words, known.vocabulary))
    ]
    found += [_chosen(facet, code, word, known) for code, word in words.items() if code not in counts]
    if facet == "stage":
        return tuple(sorted(found, key=lambda value: value.label.position if value.label else 0))
    found.sort(key=lambda value: (not value.selected, -value.count, value.key))
    return tuple(found[: max(MOST_VALUES, len(words))])


def _chosen(facet: str, code: int, word: str, known: _Known) -> FacetValue:
    """A chosen value that nothing found carries; a tag on no asset this reader may see is not told from one that never was."""
    value = _value(facet, code, 0, True, known.vocabulary) if code >= 0 and code in known.carried() else None
    return value or FacetValue(word, None, word, 0, True)


def _value(facet: str, code: int, count: int, selected: bool, vocabulary: Vocabulary) -> FacetValue | None:
    if facet == "type":
        kind = next((kind for kind in AssetType if documents.type_code(kind.value) == code), None)
        return FacetValue(kind.value, None, TYPE_NAMES[kind], count, selected) if kind else None
    if facet == "language":
        language = documents.language_of(code)
        return FacetValue(language, None, LANGUAGE_NAMES.get(language, language), count, selected)
    label = vocabulary.by_id.get(documents.tag_id(code))
    return FacetValue(label.key, label, label.en, count, selected) if label else None


def with_id(page: SearchPage, search_id: str) -> SearchPage:
    """The page of a search that was kept under this id."""
    return replace(page, search_id=search_id)
