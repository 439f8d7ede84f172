"""How well and how fast queries with judgements are answered, in an index that is thrown away (BEIR's layout).

A folder holds `documents.jsonl` (id, text, optional title and language), `queries.jsonl` (id, text, optional
language) and `qrels.tsv` (header line; query, document, grade). Nothing of an installation is touched.
"""

import json
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from content import markdown
from content.markdown import CannotRender
from search import (
    analysis,
    candidates,
    documents,
    embedding,
    languages,
    passages,
    ranking,
    reranker,
    snippets,
    translation,
)
from search.candidates import COVERAGE, LEAD, TRANSLATED
from search.encoder import Encoder
from search.engine import Engine, Entry, IntArray
from search.languages import Means
from search.matrix import Matrix
from search.meaning import Asked, first_words
from search.query import Mode, printable
from search.reranker import Reranker
from search.vectors import Held
from search.whoosh_engine import WhooshEngine

AGAIN: Final = "again"
USUAL: Final = [COVERAGE, LEAD, TRANSLATED]
CUT: Final = 10
DEEP: Final = 100
RESAMPLES: Final = 2_000
CONFIDENCE: Final = 0.95
RENDER_SECONDS: Final = 10.0


class CannotEvaluate(Exception):
    """The folder is not what is expected; the message names file, line and what to do."""


@dataclass(frozen=True, slots=True)
class Document:
    id: str
    title: str
    text: str
    language: str


@dataclass(frozen=True, slots=True)
class Question:
    id: str
    text: str
    language: str


@dataclass(frozen=True, slots=True)
class Collection:
    """Documents, and queries with at least one judgement above 0."""

    documents: tuple[Document, ...]
    questions: tuple[Question, ...]
    grades: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Setting:
    """A mode; in the hybrid one how much words count beside meaning, how far an asset that the words name leads the
    question on, how much words of the other language count, and whether a cross-encoder reads the best hits again.

    Written `hybrid`, `hybrid:0.8`, `hybrid:1:0`, `hybrid:1:0.7:0`, `hybrid+again`.
    """

    mode: Mode
    weight: float = COVERAGE
    lead: float = LEAD
    translated: float = TRANSLATED
    again: bool = False

    @classmethod
    def of(cls, text: str) -> "Setting":
        told, plus, again = text.partition("+")
        mode, *numbers = told.split(":")
        try:
            if again not in ("", AGAIN) or (plus and not again) or len(numbers) > len(USUAL):
                raise ValueError(text)
            weight, lead, translated = [float(number) for number in numbers] + USUAL[len(numbers) :]
            return cls(Mode(mode), weight, lead, translated, again=bool(again))
        except ValueError:
            raise CannotEvaluate(
                f"{text!r} is no setting: {', '.join(Mode)}, hybrid:0.8, hybrid:1:0, hybrid:1:0.7:0, or hybrid+{AGAIN}"
            ) from None


@dataclass(frozen=True, slots=True)
class Answered:
    """One query's ranked documents."""

    question: str
    ranked: tuple[str, ...]
    seconds: float


def read(folder: Path, limit: int | None = None) -> Collection:
    """Read a folder; raises CannotEvaluate."""
    documents = tuple(
        Document(*_named(record, place), str(record.get("title") or ""), *_worded(record, place))
        for place, record in _records(folder / "documents.jsonl")
    )
    questions = tuple(
        Question(*_named(record, place), *_worded(record, place))
        for place, record in _records(folder / "queries.jsonl")
    )
    grades = _grades(folder / "qrels.tsv", {document.id for document in documents})
    judged = tuple(question for question in questions if grades.get(question.id))
    if not documents or not judged:
        raise CannotEvaluate(f"{folder} holds no documents, or no query that has a judgement above 0")
    return Collection(documents, judged[:limit], grades)


def _records(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise CannotEvaluate(f"{path} cannot be read: {error}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise CannotEvaluate(f"{path}:{number} is not JSON: {error}") from error
        if not isinstance(record, dict):
            raise CannotEvaluate(f"{path}:{number} is not an object with id and text")
        yield f"{path}:{number}", record


def _named(record: Mapping[str, Any], place: str) -> tuple[str]:
    if not record.get("id"):
        raise CannotEvaluate(f"{place} has no id")
    return (str(record["id"]),)


def _worded(record: Mapping[str, Any], place: str) -> tuple[str, str]:
    text = record.get("text")
    if not isinstance(text, str) or not text.strip():
        raise CannotEvaluate(f"{place} has no text")
    return text, str(record.get("language") or languages.of_text(text))


def _grades(path: Path, known: set[str]) -> dict[str, dict[str, float]]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CannotEvaluate(f"{path} cannot be read: {error}") from error
    found: dict[str, dict[str, float]] = {}
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        try:
            question, document, grade = line.split("\t")
            value = float(grade)
        except ValueError:
            raise CannotEvaluate(f"{path}:{number} is not query, document and grade with tabs between") from None
        if document not in known:
            raise CannotEvaluate(f"{path}:{number} judges {document!r}, which is no document")
        if value > 0:
            found.setdefault(question, {})[document] = value
    return found


class Bench:
    """A collection indexed for words and, with an encoder, for meaning."""

    def __init__(
        self,
        collection: Collection,
        engine: Engine,
        encoder: Encoder | None,
        progress: Callable[[str], None],
        judge: Reranker | None = None,
    ) -> None:
        self.collection = collection
        self._judge = judge
        self._engine = engine
        self._encoder = encoder
        started = time.perf_counter()
        self._titles = {number: document.title for number, document in enumerate(collection.documents, start=1)}
        self._languages = np.array([document.language for document in collection.documents])
        progress(f"indexing {len(collection.documents)} documents")
        texts = [_sections(document.text) for document in collection.documents]
        self._texts = texts
        engine.rebuild(
            _entry(number, document, sections)
            for number, (document, sections) in enumerate(zip(collection.documents, texts, strict=True), start=1)
        )
        self._matrix = self._embedded(texts, encoder, progress) if encoder else None
        self.index_seconds = time.perf_counter() - started
        self._everything = np.arange(1, len(collection.documents) + 1)

    def _embedded(
        self, texts: Sequence[Sequence[markdown.Section]], encoder: Encoder, progress: Callable[[str], None]
    ) -> Matrix:
        cut = [
            (number, passage)
            for number, (document, sections) in enumerate(zip(self.collection.documents, texts, strict=True), start=1)
            for passage in passages.of_asset(document.title, document.language, sections)
        ]
        progress(f"embedding {len(cut)} passages")
        means: Means = embedding.language_means(encoder)
        held = Held(
            np.array([number for number, _ in cut], np.int64),
            [passage.anchor for _, passage in cut],
            np.array([(passage.start, passage.end) for _, passage in cut], np.int64).reshape(-1, 2),
            [passage.language for _, passage in cut],
            encoder.encode_passages([passage.embedded for _, passage in cut]),
        )
        return Matrix(held, means, 0)

    def asked(self, text: str) -> Asked | None:
        """A query's meaning, as a search takes it."""
        if self._encoder is None or self._matrix is None:
            return None
        words = first_words(text)
        return Asked(self._matrix, self._matrix.means.query(self._encoder.encode_queries([words])[0], words))

    def within(self, language: str | None) -> IntArray:
        """The numbers of the documents of one language, or of all."""
        return self._everything if language is None else self._everything[self._languages == language]

    def search(self, question: Question, asked: Asked | None, setting: Setting, visible: IntArray) -> list[str]:
        """The ids of the documents found, best first, as a search of the product orders them."""
        text = printable(question.text)[:400]
        found = candidates.find(
            self._engine.lexical,
            lambda: asked,
            analysis.query_terms(text),
            visible,
            setting.mode,
            setting.weight,
            setting.lead,
            partial(translation.terms_of, text),
            setting.translated,
        )
        best = found.asset_ids[:DEEP]
        ranked = ranking.merge(
            ranking.Signals(
                asset_ids=best,
                base=found.base[:DEEP],
                title_share=found.title_share[:DEEP],
                exact_title=np.array([ranking.is_title(text, self._titles[int(number)]) for number in best], np.bool_),
                verified=np.ones(len(best), np.bool_),
                own_language=self._languages[best - 1] == question.language,
            )
        )
        numbers = ranked.asset_ids
        if setting.again and self._judge is not None:
            numbers = self._read_again(self._judge, text, ranked, found)
        return [self.collection.documents[number - 1].id for number in numbers.tolist()]

    def _read_again(self, judge: Reranker, text: str, ranked: ranking.Ranked, found: candidates.Candidates) -> IntArray:
        """The best in the order that a second look gives them."""
        head = ranked.asset_ids[: reranker.DEPTH]
        judged = judge.judge(text, [self._said(int(number), text, found) for number in head])
        rows, _ = reranker.in_order(ranked.scores[: len(head)], judged)
        return np.concatenate((head[rows], ranked.asset_ids[len(head) :]))

    def _said(self, number: int, text: str, found: candidates.Candidates) -> str:
        spot = found.spots.get(number)
        sections = self._texts[number - 1]
        near = next((one for one in sections if spot is not None and one.anchor == spot.anchor), None)
        if near is not None and spot is not None:
            said = near.plain[spot.start : spot.end]
        else:
            cut = [snippets.Section(one.anchor, one.title, one.plain) for one in sections]
            best = snippets.best_passage(cut, analysis.query_terms(text))
            said = best.text if best else ""
        return f"{self._titles[number]}\n{said}"

    def pairs(self) -> list[tuple[str, str]]:
        """Every pair of query and document language that has judgements."""
        language_of = {document.id: document.language for document in self.collection.documents}
        return sorted(
            {
                (question.language, language_of[document])
                for question in self.collection.questions
                for document in self.collection.grades[question.id]
            }
        )


@contextmanager
def bench(
    collection: Collection,
    encoder: Encoder | None,
    progress: Callable[[str], None] = lambda _: None,
    engine: Engine | None = None,
    judge: Reranker | None = None,
) -> Iterator[Bench]:
    """An index in a folder of its own, removed afterwards; or in an engine that the caller brings."""
    if engine is not None:
        yield Bench(collection, engine, encoder, progress, judge)
        return
    with tempfile.TemporaryDirectory(prefix="kb-eval-") as folder:
        own = WhooshEngine(Path(folder) / "index")
        try:
            yield Bench(collection, own, encoder, progress, judge)
        finally:
            own.close()


def _sections(text: str) -> tuple[markdown.Section, ...]:
    try:
        sections = markdown.render(text, timeout=RENDER_SECONDS).sections
    except CannotRender:
        sections = ()
    return sections or (markdown.Section("", 1, "", "", text),)


def _entry(number: int, document: Document, sections: Sequence[markdown.Section]) -> Entry:
    headings = [section.title for section in sections if section.title and section.title != document.title]
    body = "\n".join([*(f"{section.title}\n{section.plain}" for section in sections), *documents.weighed(headings)])
    return Entry(number, "", document.title, body)


def measure(filled: Bench, setting: Setting) -> dict[str, Any]:
    """All figures of one setting, as `kb eval --json` prints them."""
    per_pair: dict[str, list[dict[str, float]]] = {}
    whole: list[dict[str, float]] = []
    seconds: list[float] = []
    language_of = {document.id: document.language for document in filled.collection.documents}
    pairs = filled.pairs()
    for question in filled.collection.questions:
        grades = filled.collection.grades[question.id]
        started = time.perf_counter()
        asked = filled.asked(printable(question.text)[:400]) if setting.mode is not Mode.LEXICAL else None
        ranked = filled.search(question, asked, setting, filled.within(None))
        seconds.append(time.perf_counter() - started)
        whole.append(figures(ranked, grades))
        for pair in pairs:
            judged = {document: grade for document, grade in grades.items() if language_of[document] == pair[1]}
            if pair[0] == question.language and judged:
                found = filled.search(question, asked, setting, filled.within(pair[1]))
                per_pair.setdefault(">".join(pair), []).append(figures(found, judged))
    times = np.array(seconds) * 1000
    return {
        "documents": len(filled.collection.documents),
        "queries": len(filled.collection.questions),
        "mode": setting.mode.value,
        **_means(whole),
        "ms_per_query": {
            "p50": round(float(np.percentile(times, 50)), 1),
            "p95": round(float(np.percentile(times, 95)), 1),
        },
        "index_seconds": round(filled.index_seconds, 1),
        "by_pair": {pair: {"queries": len(rows), **_means(rows)} for pair, rows in sorted(per_pair.items())},
    }


def figures(ranked: Sequence[str], grades: Mapping[str, float]) -> dict[str, float]:
    """nDCG and reciprocal rank at 10, recall at 1, 10 and 100 of one query; gain is the grade itself."""
    gains = [grades.get(document, 0.0) for document in ranked[:CUT]]
    ideal = sorted(grades.values(), reverse=True)[:CUT]
    first = next((place for place, gain in enumerate(gains, start=1) if gain), None)
    return {
        "ndcg@10": _dcg(gains) / _dcg(ideal),
        "mrr@10": 1 / first if first else 0.0,
        **{f"recall@{depth}": len(grades.keys() & set(ranked[:depth])) / len(grades) for depth in (1, CUT, DEEP)},
    }


def _dcg(gains: Sequence[float]) -> float:
    return sum(gain / math.log2(place + 1) for place, gain in enumerate(gains, start=1))


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Means of all figures, and the interval of nDCG@10: a percentile bootstrap over queries (Efron and Tibshirani, 1993)."""
    found: dict[str, Any] = {name: round(sum(row[name] for row in rows) / len(rows), 4) for name in rows[0]}
    low, high = _interval(np.array([row["ndcg@10"] for row in rows]))
    return {**found, "ndcg@10_interval": [round(low, 4), round(high, 4)]}


def _interval(figures_of: np.ndarray[Any, np.dtype[np.float64]], seed: int = 0) -> tuple[float, float]:
    """Between what the mean of these figures lies, with CONFIDENCE."""
    random = np.random.default_rng(seed)
    drawn = random.integers(0, len(figures_of), (RESAMPLES, len(figures_of)))
    low, high = np.quantile(figures_of[drawn].mean(axis=1), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Mean nDCG@10 of two settings on the same queries, and the interval of their difference (first minus second)."""

    first: float
    second: float
    difference: float
    low: float
    high: float
    better: int
    worse: int


def compare(filled: Bench, first: Setting, second: Setting, seed: int = 0) -> Comparison:
    """Both settings on every query; the interval is a percentile bootstrap over queries, paired (Efron and Tibshirani, 1993)."""
    rows = np.array(
        [[_gain(filled, question, setting) for setting in (first, second)] for question in filled.collection.questions]
    )
    return compared(rows[:, 0], rows[:, 1], seed)


def compared(
    first: np.ndarray[Any, np.dtype[np.float64]], second: np.ndarray[Any, np.dtype[np.float64]], seed: int = 0
) -> Comparison:
    """Two settings' figures of the same queries, as parallel arrays."""
    differences = first - second
    low, high = _interval(differences, seed)
    return Comparison(
        float(first.mean()),
        float(second.mean()),
        float(differences.mean()),
        low,
        high,
        int((differences > 0).sum()),
        int((differences < 0).sum()),
    )


def _gain(filled: Bench, question: Question, setting: Setting) -> float:
    asked = filled.asked(printable(question.text)[:400]) if setting.mode is not Mode.LEXICAL else None
    ranked = filled.search(question, asked, setting, filled.within(None))
    return figures(ranked, filled.collection.grades[question.id])["ndcg@10"]
