"""The brief of a deal, and notes on it, for programs."""

from datetime import datetime
from typing import Annotated, Any, Literal

from flask import Response
from pydantic import Field

from content import brief, deal_notes, dealing
from content.brief import BriefLine
from kb.access import Permission
from kb.api import PREFIX, Shown, Strict, answers, spec, write
from kb.db import reading as reading_session
from kb.web import Area, actor

area = Area("brief_api", __name__, url_prefix=PREFIX)


class BriefQuery(Strict):
    language: Literal["zh", "en"] = "zh"


class NoteShown(Shown):
    author: str
    text: str
    written_at: datetime
    is_own: bool


class BriefLineShown(Shown):
    """`because` are keys of the deal's tags that it carries; `lift` is null where it cannot be told."""

    id: str
    external_id: str | None
    title: str
    type: str
    language: str
    handling: str
    unverified: bool
    say: str
    because: list[str]
    lift: float | None
    verdict: str
    deals: int
    notes: list[NoteShown]


class ObjectionShown(Shown):
    words: str
    asset: str
    title: str


class SentShown(Shown):
    id: str
    title: str
    at: datetime


class BriefShown(Shown):
    deal: str
    account: str
    stage: str | None
    talk_tracks: list[BriefLineShown]
    cases: list[BriefLineShown]
    battle_cards: list[BriefLineShown]
    objections: list[ObjectionShown]
    sent: list[SentShown]


class NoteBody(Strict):
    """An empty text takes the note away."""

    text: Annotated[str, Field(max_length=deal_notes.LONGEST)]


class NotesShown(Shown):
    items: list[NoteShown]


def _shown(line: BriefLine) -> BriefLineShown:
    difference = line.finding.difference if line.finding else None
    copies = "copy" in line.asset.acts
    return BriefLineShown(
        id=line.asset.public_id,
        external_id=line.asset.external_id,
        title=line.asset.title,
        type=line.asset.type.value,
        language=line.asset.language,
        handling=line.asset.handling.value,
        unverified=line.asset.is_unverified,
        say=line.section.plain if line.section and copies else "",
        because=[f"{label.facet}:{label.key}" for label in line.because],
        lift=difference.value if difference else None,
        verdict=line.finding.verdict if line.finding else "not_enough_data",
        deals=line.deals,
        notes=[NoteShown.model_validate(note, from_attributes=True) for note in line.notes],
    )


@area.get("/deals/<reference>/brief", needs=Permission.SEARCH)
@spec.validate(resp=answers(HTTP_200=BriefShown), tags=["deals"])
def show(reference: str, query: BriefQuery) -> BriefShown:
    """What to read before a call on this deal."""
    deal = dealing.of_path(reference)
    with reading_session() as db:
        found = brief.of_deal(db, actor(), deal, query.language)
    return BriefShown(
        deal=deal.external_id,
        account=deal.account,
        stage=deal.stage.key if deal.stage else None,
        talk_tracks=[_shown(line) for line in found.talk_tracks],
        cases=[_shown(line) for line in found.cases],
        battle_cards=[_shown(line) for line in found.cards],
        objections=[
            ObjectionShown(words=one.words, asset=one.asset.public_id, title=one.asset.title)
            for one in found.objections
        ],
        sent=[SentShown(id=one.asset.public_id, title=one.asset.title, at=one.at) for one in found.sent],
    )


@area.get("/deals/<reference>/notes/<asset>", needs=Permission.SEARCH)
@spec.validate(resp=answers(HTTP_200=NotesShown), tags=["deals"])
def notes(reference: str, asset: str) -> NotesShown:
    """The notes that the deal's team keeps on a text."""
    deal = dealing.of_path(reference)
    with reading_session() as db:
        found = deal_notes.of_text(db, actor(), deal, asset)
    return NotesShown(items=[NoteShown.model_validate(note, from_attributes=True) for note in found])


@area.put("/deals/<reference>/notes/<asset>", needs=Permission.USE)
@spec.validate(resp=answers(HTTP_200=NotesShown), tags=["deals"])
def put_note(reference: str, asset: str, json: NoteBody) -> Response:
    """Keep one's own note on a text for this deal."""
    deal = dealing.of_path(reference)

    def act(db: Any) -> NotesShown:
        deal_notes.put(db, actor(), deal, asset, json.text)
        found = deal_notes.of_text(db, actor(), deal, asset)
        return NotesShown(items=[NoteShown.model_validate(note, from_attributes=True) for note in found])

    return write(act)
