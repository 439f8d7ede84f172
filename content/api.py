"""Assets, drafts, deals and use events for programs."""

import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from flask import Response, jsonify, request
from pydantic import AwareDatetime, Field

from content import crm, deals, drafting, listing, publishing, reading, service, taxonomy, usage, verifying
from content.deals import DealContext
from content.deals import DealPage as DealWithHistory
from content.drafting import Draft, VersionLine
from content.kinds import DealSource, Handling, UseKind
from content.listing import Order
from content.reading import AssetPage, ReadableAsset
from kb.access import Permission
from kb.api import PREFIX, Shown, Strict, answers, spec, takes_header, write
from kb.db import reading as reading_session
from kb.errors import Invalid, NotFound
from kb.web import Area, actor, settings

takes_header(
    "put",
    "/assets/{reference}/draft",
    "If-Match",
    '^"[0-9]{1,9}"$',
    "The ETag of the draft that the change started from.",
)
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


class TranslationShown(Shown):
    id: str
    title: str
    language: str


class AssetLineShown(Shown):
    """One published asset as the caller may read it, without its text."""

    id: str
    external_id: str | None
    title: str
    type: str
    language: str
    tier: str
    handling: str
    nda: bool
    ai_generated: bool
    tags: list[TagShown]
    owners: list[str]
    version: int
    published_at: datetime
    unverified: bool
    unverified_reasons: list[str]
    behind: bool
    verify_due_at: datetime
    expires_at: datetime | None
    may: list[str]


class AssetShown(AssetLineShown):
    """One published asset with its text."""

    text: str
    sections: list[SectionShown]
    translations: list[TranslationShown]


class AssetsShown(Shown):
    items: list[AssetLineShown]
    next_cursor: str | None


Word = Annotated[str, Field(max_length=200)]
Words = Annotated[list[Word], Field(max_length=50)]


class FacetsQuery(DealQuery):
    """Every facet may be given several times: values of one are alternatives, facets narrow."""

    stage: Words = []
    industry: Words = []
    pain_point: Words = []
    solution: Words = []
    product: Words = []
    competitor: Words = []
    persona: Words = []
    region: Words = []
    type: Words = []
    language: Words = []

    def filters(self) -> dict[str, list[str]]:
        return {name: getattr(self, name) for name in FacetsQuery.model_fields if name != "deal"}


class AssetsQuery(FacetsQuery):
    sort: Literal["new", "verified", "title"] = "new"
    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: Annotated[str, Field(max_length=1_000)] = ""


class NewAsset(Strict):
    """The keys of a Markdown file, and its text; who is not named as owner is the caller."""

    title: Annotated[str, Field(max_length=300)] = ""
    text: Annotated[str, Field(min_length=1, max_length=2_000_000)]
    type: Annotated[str, Field(max_length=20)] = "other"
    language: Annotated[str, Field(max_length=10)] = ""
    external_id: Annotated[str, Field(max_length=200)] = ""
    stages: Words = []
    unlock_stage: Word | None = None
    industries: Words = []
    pain_points: Words = []
    solutions: Words = []
    products: Words = []
    competitors: Words = []
    personas: Words = []
    regions: Words = []
    tier: Annotated[str, Field(max_length=20)] = ""
    handling: Annotated[str, Field(max_length=20)] = ""
    nda: bool = False
    ai_generated: bool = False
    audience: Words = []
    owners: Words = []
    expires_on: date | None = None
    translation_of: Word | None = None
    teaser: bool = True


class DraftBody(Strict):
    """What to save; parts left out stay as they are."""

    title: Annotated[str, Field(min_length=1, max_length=300)] | None = None
    text: Annotated[str, Field(min_length=1, max_length=2_000_000)] | None = None
    language: Annotated[str, Field(pattern="^[a-z]{2,3}$")] | None = None
    handling: Literal["internal", "spoken", "named", "public"] | None = None
    nda: bool | None = None
    ai_generated: bool | None = None


class DraftShown(Shown):
    """An editor's text; revision 0 is the newest version, of which no draft was made yet."""

    id: str
    title: str
    text: str
    language: str
    handling: str
    nda: bool
    ai_generated: bool
    revision: int
    digest: str
    warnings: list[str] = []


class VersionShown(Shown):
    number: int
    state: str
    title: str
    language: str
    digest: str
    created_at: datetime
    created_by: str
    published_at: datetime | None
    note: str


class VersionTextShown(VersionShown):
    text: str


class VersionsShown(Shown):
    items: list[VersionShown]


class StageBody(Strict):
    stage: Word
    entered_at: AwareDatetime


class DealBody(Strict):
    """A deal as the CRM has it; without `stages` the present `stage` is kept as assumed.

    Without `nda_signed_on` the agreement on file stays; null takes it off.
    """

    account: Annotated[str, Field(min_length=1, max_length=200)]
    created_at: AwareDatetime
    closed_at: AwareDatetime | None = None
    outcome: Literal["open", "won", "lost", "no_decision"] = "open"
    owner_email: Annotated[str, Field(max_length=254)] = ""
    industry: Word = ""
    segment: Annotated[str, Field(max_length=80)] = ""
    amount: Annotated[Decimal, Field(ge=0, max_digits=18, decimal_places=2)] | None = None
    currency: Annotated[str, Field(pattern="^([A-Za-z]{3})?$")] = ""
    stage: Word = ""
    competitor: Word = ""
    loss_reason: Annotated[str, Field(max_length=300)] = ""
    members: Words = []
    pain_points: Words = []
    stages: Annotated[list[StageBody], Field(max_length=200)] = []
    nda_signed_on: date | None = None
    nda_until_on: date | None = None
    nda_reference: Annotated[str, Field(max_length=120)] = ""


class DealSavedShown(Shown):
    id: str
    outcome: Literal["created", "updated", "unchanged"]


class StageShown(Shown):
    stage: str
    entered_at: datetime


class DealShown(Shown):
    """One deal of the caller's, with its history."""

    id: str
    account: str
    owner_email: str
    industry: str
    segment: str
    amount: str | None
    currency: str
    stage: str | None
    outcome: str
    competitors: list[str]
    pain_points: list[str]
    loss_reason: str
    created_at: datetime
    closed_at: datetime | None
    stages: list[StageShown]


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
    """Published translations go with it, unless `keep_translations` says why they stay."""

    reason: Annotated[str, Field(min_length=1, max_length=1000)]
    keep_translations: Annotated[str, Field(max_length=1000)] = ""


class WithdrawnShown(Shown):
    """`translations` were withdrawn with it."""

    id: str
    withdrawn: bool
    translations: list[str] = []


class VerifiedShown(Shown):
    id: str
    verified_at: datetime | None
    verify_due_at: datetime


@area.get("/assets", needs=Permission.SEARCH)
@spec.validate(resp=answers(HTTP_200=AssetsShown), tags=["assets"])
def assets(query: AssetsQuery) -> AssetsShown:
    """What the caller may see, newest first unless another order is asked for; `next_cursor` goes on."""
    with reading_session() as db:
        deal = _deal(db, query.deal)
        page = listing.list_page(db, actor(), deal, query.filters(), Order(query.sort), query.limit, query.cursor)
    return AssetsShown(items=[AssetLineShown(**_line(one)) for one in page.assets], next_cursor=page.next_cursor)


@area.post("/assets", needs=Permission.EDIT)
@spec.validate(resp=answers(HTTP_201=DraftShown), tags=["assets"])
def create_asset(json: NewAsset) -> Response:
    """A new asset with its draft; unknown tags are warnings, an unknown stage or team is refused."""
    fields = json.model_dump(exclude={"text"})
    rendered = service.render(json.text)

    def act(db: Any) -> DraftShown:
        draft, warnings = drafting.create(db, settings(), actor(), fields, json.text, rendered)
        return _draft(draft, [warning.message for warning in warnings])

    return write(act, 201, _etag)


@area.get("/assets/<reference>", needs=Permission.SEARCH)
@spec.validate(resp=answers(HTTP_200=AssetShown), tags=["assets"])
def asset(reference: str, query: DealQuery) -> AssetShown:
    """One asset with its text; the id may be `external:<external_id>`."""
    with reading_session() as db:
        deal = _deal(db, query.deal)
        page = reading.get_page(db, actor(), deal, reference)
        _, text = reading.get_text(db, actor(), deal, reference)
    return _shown(page, text)


def _deal(db: Any, reference: str) -> DealContext | None:
    return deals.get_context(db, actor(), taxonomy.load(db), reference) if reference else None


def _line(found: ReadableAsset) -> dict[str, Any]:
    return {
        "id": found.public_id,
        "external_id": found.external_id,
        "title": found.title,
        "type": found.type.value,
        "language": found.language,
        "tier": found.tier.value,
        "handling": found.handling.value,
        "nda": found.nda,
        "ai_generated": found.ai_generated,
        "tags": [TagShown(facet=label.facet, key=label.key, en=label.en, zh=label.zh) for label in found.tags],
        "owners": list(found.owners),
        "version": found.version_number,
        "published_at": found.published_at,
        "unverified": found.is_unverified,
        "unverified_reasons": [f"{cause}: {about}" for cause, about in found.doubts]
        + (["interval"] if found.is_overdue else []),
        "behind": found.is_behind,
        "verify_due_at": found.verify_due_at,
        "expires_at": found.expires_at,
        "may": sorted(act.value for act in found.acts),
    }


def _shown(page: AssetPage, text: str) -> AssetShown:
    return AssetShown(
        **_line(page.asset),
        text=text,
        sections=[SectionShown(anchor=s.anchor, level=s.level, title=s.title, text=s.plain) for s in page.sections],
        translations=[TranslationShown(id=t.public_id, title=t.title, language=t.language) for t in page.translations],
    )


@area.get("/assets/<reference>/versions", needs=Permission.EDIT)
@spec.validate(resp=answers(HTTP_200=VersionsShown), tags=["drafts"])
def versions(reference: str) -> VersionsShown:
    """All versions, newest first; for those who may edit the asset."""
    with reading_session() as db:
        found = drafting.list_versions(db, actor(), reference)
    return VersionsShown(items=[VersionShown(**_version(line)) for line in found])


@area.get("/assets/<reference>/versions/<number>", needs=Permission.EDIT)
@spec.validate(resp=answers(HTTP_200=VersionTextShown), tags=["drafts"])
def version(reference: str, number: str) -> VersionTextShown:
    """One version with its text, by its number in the history; for those who may edit the asset."""
    if not re.fullmatch(r"[1-9][0-9]{0,8}", number):
        raise NotFound()
    with reading_session() as db:
        line, text = drafting.get_version(db, actor(), reference, int(number))
    return VersionTextShown(**_version(line), text=text)


def _version(line: VersionLine) -> dict[str, Any]:
    return {name: getattr(line, name) for name in VersionShown.model_fields if name != "state"} | {
        "state": line.state.value
    }


@area.get("/assets/<reference>/draft", needs=Permission.EDIT)
@spec.validate(resp=answers(HTTP_200=DraftShown), tags=["drafts"])
def draft(reference: str) -> Response:
    """The draft, else the newest text as revision 0; `ETag` holds the revision a save must name."""
    with reading_session() as db:
        shown = _draft(drafting.get_draft(db, actor(), reference))
    response = jsonify(shown.model_dump(mode="json"))
    response.headers["ETag"] = _etag({"revision": shown.revision})["ETag"]
    return response


@area.put("/assets/<reference>/draft", needs=Permission.EDIT)
@spec.validate(
    resp=answers(HTTP_200=DraftShown, more=(409, 412, 428)),
    tags=["drafts"],
)
def put_draft(reference: str, json: DraftBody) -> Response:
    """Save the draft on the revision named in If-Match; 412 with both texts where somebody else saved meanwhile."""
    revision = _revision(request.headers.get("If-Match"))
    changes = {name: value for name, value in json.model_dump().items() if value is not None}
    if "handling" in changes:
        changes["handling"] = Handling(changes["handling"])
    with reading_session() as db:
        wording = drafting.wording_of(drafting.get_draft(db, actor(), reference), changes)
    rendered = service.render(wording.text)

    def act(db: Any) -> DraftShown:
        return _draft(drafting.put_draft(db, actor(), reference, revision, wording, rendered))

    return write(act, headers=_etag)


def _revision(given: str | None) -> int:
    if given is None:
        raise drafting.RevisionNeeded()
    found = re.fullmatch(r'(?:W/)?"(\d{1,9})"', given.strip())
    if found is None:
        raise drafting.RevisionNeeded()
    return int(found[1])


def _etag(shown: Mapping[str, Any]) -> dict[str, str]:
    return {"ETag": f'"{shown["revision"]}"'}


def _draft(found: Draft, warnings: list[str] | None = None) -> DraftShown:
    return DraftShown(
        id=found.asset_id,
        title=found.title,
        text=found.text,
        language=found.language,
        handling=found.handling.value,
        nda=found.nda,
        ai_generated=found.ai_generated,
        revision=found.revision,
        digest=found.digest,
        warnings=warnings or [],
    )


@area.post("/assets/<reference>/withdraw", needs=Permission.PUBLISH)
@spec.validate(resp=answers(HTTP_200=WithdrawnShown), tags=["assets"])
def withdraw(reference: str, json: WithdrawBody) -> Response:
    """Take the published version from every reader at once."""

    def act(db: Any) -> WithdrawnShown:
        found = service.get_editable(db, actor(), reference)
        with_it = publishing.withdraw(db, actor(), found, json.reason, json.keep_translations)
        return WithdrawnShown(id=found.public_id, withdrawn=True, translations=list(with_it))

    return write(act)


@area.post("/assets/<reference>/verify", needs=Permission.USE)
@spec.validate(resp=answers(HTTP_200=VerifiedShown), tags=["assets"])
def verify(reference: str, query: DealQuery) -> Response:
    """Say that the asset is still true; for its owners, and those who may publish it."""

    def act(db: Any) -> VerifiedShown:
        found = verifying.verify(db, actor(), _deal(db, query.deal), reference)
        return VerifiedShown(id=found.public_id, verified_at=found.verified_at, verify_due_at=found.verify_due_at)

    return write(act)


@area.post("/assets/<reference>/translation-checked", needs=Permission.USE)
@spec.validate(resp=answers(HTTP_200=VerifiedShown), tags=["assets"])
def confirm_translation(reference: str, query: DealQuery) -> Response:
    """Say that a translation still matches its source; 409 where it is not behind."""

    def act(db: Any) -> VerifiedShown:
        found = verifying.confirm_translation(db, actor(), _deal(db, query.deal), reference)
        return VerifiedShown(id=found.public_id, verified_at=found.verified_at, verify_due_at=found.verify_due_at)

    return write(act)


@area.post("/usage", needs=Permission.USE)
@spec.validate(resp=answers(HTTP_202=UsageShown), tags=["usage"])
def record_usage(json: UsageBody) -> Response:
    """One use event; the same `event_id` counts once, and is answered alike when seen before."""
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
    return write(lambda db: UsageShown(recorded=usage.record(db, actor(), _deal(db, json.deal), event)), 202)


@area.get("/deals/<reference>", needs=Permission.SEARCH)
@spec.validate(resp=answers(HTTP_200=DealShown), tags=["deals"])
def deal(reference: str) -> DealShown:
    """One deal of the caller's with its history; 404 for every other one."""
    with reading_session() as db:
        found = deals.get_page(db, actor(), taxonomy.load(db), reference)
    return _deal_shown(found)


@area.put("/deals/<external_id>", needs=Permission.IMPORT)
@spec.validate(resp=answers(HTTP_200=DealSavedShown), tags=["deals"])
def put_deal(external_id: str, json: DealBody) -> Response:
    """Create a deal, or bring it to what the CRM says; by the rules of `kb import deals` and `stages`."""
    if "/" in external_id or not external_id.strip():
        raise Invalid(code="external_id")
    row = {
        "external_id": external_id,
        "account": json.account,
        "owner_email": json.owner_email,
        "industry": json.industry,
        "segment": json.segment,
        "amount": "" if json.amount is None else str(json.amount),
        "currency": json.currency,
        "stage": json.stage,
        "created_at": json.created_at.isoformat(),
        "closed_at": json.closed_at.isoformat() if json.closed_at else "",
        "outcome": json.outcome,
        "competitor": json.competitor,
        "loss_reason": json.loss_reason,
        "members": ";".join(json.members),
        "pain_points": ";".join(json.pain_points),
    }
    if "nda_signed_on" in json.model_fields_set:
        row["nda_signed_on"] = json.nda_signed_on.isoformat() if json.nda_signed_on else ""
        row["nda_until_on"] = json.nda_until_on.isoformat() if json.nda_until_on else ""
        row["nda_reference"] = json.nda_reference
    history = [(one.stage, one.entered_at.isoformat()) for one in json.stages]

    def act(db: Any) -> DealSavedShown:
        return DealSavedShown(id=external_id, outcome=crm.put_deal(db, actor(), row, history).value)

    return write(act)


def _deal_shown(found: DealWithHistory) -> DealShown:
    line, context = found.line, found.line.deal
    return DealShown(
        id=context.external_id,
        account=context.account,
        owner_email=found.owner,
        industry=found.industry,
        segment=found.segment,
        amount=None if line.amount is None else str(line.amount),
        currency=line.currency,
        stage=context.stage.key if context.stage else None,
        outcome=context.outcome.value,
        competitors=list(found.competitors),
        pain_points=list(found.pain_points),
        loss_reason=found.loss_reason,
        created_at=found.created_at,
        closed_at=found.closed_at,
        stages=[StageShown(stage=stage, entered_at=at) for stage, at in found.stages],
    )
