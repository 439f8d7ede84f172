"""How well the library's own questions are answered: what people searched and then used is the judgement.

Once a day the questions of the last quarter are asked again, and the figure is kept. Where it falls below what it
used to be, the log says so as an error and `kb doctor` tells it. The same judgements can be taken
out as a judged set for `kb eval`.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Final

import structlog
from sqlalchemy import Float, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from content.kinds import UseKind
from content.models import UseEvent
from kb import audit, clock
from kb.access import SYSTEM, Actor, Permission, require
from kb.db import Base, Database
from kb.errors import N_, Conflict, Invalid
from search import documents, evaluate, languages, service, syntax
from search.engine import IndexDamaged
from search.log import Search
from search.query import Mode, Query
from search.service import Finder

WITHIN: Final = timedelta(days=90)
MOST: Final = 200
LEAST: Final = 20
"""Fewer questions than this say nothing of the whole."""
KEPT: Final = 7
FALLEN: Final = 0.9
"""Below this part of the median of the last KEPT figures the alarm is given."""
GRADES: Final[Mapping[str, float]] = {
    UseKind.VIEW.value: 1.0,
    UseKind.COPY.value: 3.0,
    UseKind.SHARE.value: 3.0,
    UseKind.PRESENT.value: 3.0,
    UseKind.DOWNLOAD.value: 3.0,
    UseKind.HELPFUL.value: 2.0,
}
"""What it says of a text that somebody did this with it after a search; the most of it counts."""

log = structlog.get_logger(__name__)


class QualityFell(Exception):
    """The library's own questions are answered worse than they used to be; the message says what to look at."""


class SearchQuality(Base):
    """One day's figure: nDCG@10 of so many of the library's own questions."""

    __tablename__ = "search_quality"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    questions: Mapped[int]
    ndcg: Mapped[float] = mapped_column(Float)


@dataclass(frozen=True, slots=True)
class Question:
    """A search and what was used after it, by asset id."""

    text: str
    grades: Mapping[int, float]


def questions(session: Session, most: int = MOST) -> list[Question]:
    """The last questions that led to something, each wording once."""
    rows = session.execute(
        select(Search.text, UseEvent.asset_id, UseEvent.kind)
        .join(UseEvent, UseEvent.search_id == Search.public_id)
        .where(Search.at > clock.now() - WITHIN, UseEvent.kind.in_(GRADES))
        .order_by(Search.id.desc())
    )
    found: dict[str, dict[int, float]] = {}
    for text, asset_id, kind in rows:
        words = syntax.parse(text).words
        if words and (words in found or len(found) < most):
            grades = found.setdefault(words, {})
            grades[asset_id] = max(grades.get(asset_id, 0.0), GRADES[kind])
    return [Question(text, grades) for text, grades in found.items()]


def measure(session: Session, finder: Finder, asked: list[Question]) -> float:
    """Mean nDCG@10 of these questions, asked of the whole library; raises IndexDamaged."""
    total = 0.0
    for question in asked:
        page = service.search(session, finder, SYSTEM, None, Query.of(question.text, limit=10, mode=Mode.HYBRID), "zh")
        if page.limited == service.DATABASE_ONLY:
            raise IndexDamaged("the index is being rebuilt")
        ranked = [str(hit.asset.id) for hit in page.hits]
        grades = {str(asset_id): grade for asset_id, grade in question.grades.items()}
        total += evaluate.figures(ranked, grades)["ndcg@10"]
    return total / len(asked)


def check(database: Database, finder: Finder) -> SearchQuality | None:
    """Measure and keep the figure, with an alarm where it has fallen; None where there are too few questions."""
    with database.reading() as session:
        asked = questions(session)
        if len(asked) < LEAST:
            return None
        try:
            ndcg = measure(session, finder, asked)
        except IndexDamaged:
            return None
        former = _former(session)
    row = SearchQuality(at=clock.now(), questions=len(asked), ndcg=ndcg)
    if has_fallen(ndcg, former):
        log.error("search.quality_fell", ndcg=round(ndcg, 3), usual=round(median(former), 3), questions=len(asked))
    with database.writing() as session:
        session.add(row)
    return row


def _former(session: Session) -> list[float]:
    return list(session.scalars(select(SearchQuality.ndcg).order_by(SearchQuality.id.desc()).limit(KEPT)))


def has_fallen(ndcg: float, former: list[float]) -> bool:
    """Whether a figure is well below what it used to be."""
    return bool(former) and ndcg < FALLEN * median(former)


def state(database: Database) -> str:
    """What `kb doctor` tells; raises QualityFell with what to look at."""
    with database.reading() as session:
        rows = session.scalars(select(SearchQuality).order_by(SearchQuality.id.desc()).limit(KEPT + 1)).all()
    if not rows:
        return "not measured yet; it takes 20 searches that led to something"
    told = f"nDCG@10 {rows[0].ndcg:.2f} on {rows[0].questions} questions of its own"
    if has_fallen(rows[0].ndcg, [row.ndcg for row in rows[1:]]):
        usual = median(row.ndcg for row in rows[1:])
        raise QualityFell(f"{told}, usually {usual:.2f}: look at `kb index check`, KB_ENCODER and what was retired")
    return told


def sweep(database: Database, finder: Finder) -> Callable[[], None]:
    """Once a day, by whichever worker comes first."""
    last: list[object] = []

    def run() -> None:
        today = clock.now().date()
        if last == [today] or not (finder.meaning.is_off or finder.meaning.wanted.get() is not None):
            return
        last[:] = [today]
        with database.reading() as session:
            newest = session.scalar(select(SearchQuality.at).order_by(SearchQuality.id.desc()).limit(1))
        if newest is None or newest.date() != today:
            check(database, finder)

    return run


def export(database: Database, actor: Actor, folder: Path) -> int:
    """Write the judgements as `kb eval` reads them, with the published texts; returns the number of questions."""
    require(actor, Permission.IMPORT)
    if folder.exists() and any(folder.iterdir()):
        raise Conflict(N_("The folder is not empty: name a new one."), code="not_empty")
    with database.reading() as session:
        asked = questions(session, most=10_000)
        entries = {entry.asset_id: entry for entry in documents.every_entry(session, documents.every_id(session))}
    asked = [one for one in asked if one.grades.keys() & entries.keys()]
    if not asked:
        raise Invalid(N_("No search has led to anything yet: there is nothing to judge by."), code="nothing_judged")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _lines(
        folder / "documents.jsonl",
        [
            {
                "id": str(entry.asset_id),
                "title": entry.title,
                "text": entry.body or entry.title,
                "language": languages.of_text(entry.body or entry.title),
            }
            for entry in entries.values()
        ],
    )
    _lines(folder / "queries.jsonl", [{"id": f"q{n}", "text": one.text} for n, one in enumerate(asked, start=1)])
    judged = [
        f"q{n}\t{asset_id}\t{grade:g}"
        for n, one in enumerate(asked, start=1)
        for asset_id, grade in one.grades.items()
        if asset_id in entries
    ]
    (folder / "qrels.tsv").write_text("\n".join(["query\tdocument\tgrade", *judged, ""]), encoding="utf-8")
    with database.writing() as session:
        audit.record(session, actor, "search.export_judged", "search", "", questions=len(asked))
    return len(asked)


def _lines(path: Path, records: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records), encoding="utf-8")
