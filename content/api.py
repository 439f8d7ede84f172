"""Assets and use events for programs."""

from datetime import datetime
from typing import Annotated, Literal

from flask import Response, jsonify
from pydantic import Field

from content import deals, publishing, reading, service, taxonomy, usage, verifying
from content.kinds import DealSource, UseKind
from content.reading import AssetPage
from kb.access import Permission
from kb.api import PREFIX, Shown, Strict, answers, require_json, spec
from kb.db import reading as reading_session
from kb.db import writing
from kb.web import Area, actor

area = Area("content_api", __name__, url_prefix=PREFIX)

ShortText = Annotated[str, Field(max_length=120)]


class DealQuery(Strict):
    deal: ShortText = ""


class TagShown(Shown):
    facet: str
    key: str
    en: str
    zh: str


class SectionShown(Shown):
    anchor: str
    level: int
    title: str
    text: str


class AssetShown(Shown):
    """One published asset as the caller may read it."""

    id: str
    external_id: str | None
    title: str
    type: str
    language: str
    tier: str
    handling: str
    nda: bool
    tags: list[TagShown]
    owners: list[str]
    version: int
    published_at: datetime
    unverified: bool
    verify_due_at: datetime
    may: list[str]
    text: str
    sections: list[SectionShown]


class EventBody(Strict):
    """A use event as the page's own script reports it."""

    event_id: Annotated[str, Field(min_length=1, max_length=80)]
    kind: Literal["view", "copy", "share", "present", "download", "helpful", "not_helpful"]
    deal: ShortText = ""
    surface: Annotated[str, Field(max_length=40)] = ""
    search: Annotated[str, Field(max_length=24)] = ""
    section: Annotated[str, Field(max_length=80)] = ""
    remark: Annotated[str, Field(max_length=500)] = ""


class UsageBody(EventBody):
    """A use event as a program reports it."""

    asset: Annotated[str, Field(min_length=1, max_length=220)]
    deal_source: Literal["chosen", "embedded", "inferred", "none"] = "chosen"


class UsageShown(Shown):
    recorded: bool


class WithdrawBody(Strict):
    reason: Annotated[str, Field(min_length=1, max_length=1000)]


class WithdrawnShown(Shown):
    id: str
    withdrawn: bool


class VerifiedShown(Shown):
    id: str
    verified_at: datetime | None
    verify_due_at: datetime


@area.get("/assets/<reference>", needs=Permission.SEARCH)
@spec.validate(resp=answers(HTTP_200=AssetShown), tags=["assets"])
def asset(reference: str, query: DealQuery) -> AssetShown:
    """One asset with its text; the id may be `external:<external_id>`."""
    with reading_session() as db:
        deal = deals.get_context(db, actor(), taxonomy.load(db), query.deal) if query.deal else None
        page = reading.get_page(db, actor(), deal, reference)
        _, text = reading.get_text(db, actor(), deal, reference)
    return _shown(page, text)


def _shown(page: AssetPage, text: str) -> AssetShown:
    found = page.asset
    return AssetShown(
        id=found.public_id,
        external_id=found.external_id,
        title=found.title,
        type=found.type.value,
        language=found.language,
        tier=found.tier.value,
        handling=found.handling.value,
        nda=found.nda,
        tags=[TagShown(facet=label.facet, key=label.key, en=label.en, zh=label.zh) for label in found.tags],
        owners=list(found.owners),
        version=found.version_number,
        published_at=found.published_at,
        unverified=found.is_unverified,
        verify_due_at=found.verify_due_at,
        may=sorted(act.value for act in found.acts),
        text=text,
        sections=[SectionShown(anchor=s.anchor, level=s.level, title=s.title, text=s.plain) for s in page.sections],
    )


@area.post("/assets/<reference>/withdraw", needs=Permission.PUBLISH)
@spec.validate(resp=answers(HTTP_200=WithdrawnShown), tags=["assets"])
def withdraw(reference: str, json: WithdrawBody) -> WithdrawnShown:
    """Take the published version from every reader at once."""
    require_json()
    with writing() as db:
        found = service.get_editable(db, actor(), reference)
        publishing.withdraw(db, actor(), found, json.reason)
        return WithdrawnShown(id=found.public_id, withdrawn=True)


@area.post("/assets/<reference>/verify", needs=Permission.USE)
@spec.validate(resp=answers(HTTP_200=VerifiedShown), tags=["assets"])
def verify(reference: str, query: DealQuery) -> VerifiedShown:
    """Say that the asset is still true; for its owners, and those who may publish it."""
    with writing() as db:
        deal = deals.get_context(db, actor(), taxonomy.load(db), query.deal) if query.deal else None
        found = verifying.verify(db, actor(), deal, reference)
    return VerifiedShown(id=found.public_id, verified_at=found.verified_at, verify_due_at=found.verify_due_at)


@area.post("/usage", needs=Permission.USE)
@spec.validate(resp=answers(HTTP_202=UsageShown), tags=["usage"])
def record_usage(json: UsageBody) -> tuple[Response, int]:
    """One use event; the same `event_id` counts once, and is answered alike when seen before."""
    require_json()
    event = usage.NewEvent(
        json.event_id,
        json.asset,
        UseKind(json.kind),
        json.surface or "api",
        json.search,
        json.section,
        json.remark,
        DealSource(json.deal_source),
    )
    with writing() as db:
        deal = deals.get_context(db, actor(), taxonomy.load(db), json.deal) if json.deal else None
        recorded = usage.record(db, actor(), deal, event)
    return jsonify({"recorded": recorded}), 202
