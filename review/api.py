"""The compliance check and the registers for programs."""

from datetime import date, datetime
from typing import Annotated, Any

from flask import Response
from flask_babel import get_locale
from pydantic import Field

from content.kinds import Handling
from kb.access import Permission
from kb.api import PREFIX, Shown, Strict, answers, spec, write
from kb.db import reading as reading_session
from kb.web import Area, actor
from review import asking, checking, registers, rulebook
from review.checking import Told
from review.registers import EvidenceFields, EvidenceKind, EvidenceRow, Part, PermissionFields, PermissionRow

area = Area("review_api", __name__, url_prefix=PREFIX)

Line = Annotated[str, Field(max_length=2000)]


class TextBody(Strict):
    text: Annotated[str, Field(max_length=checking.MOST_TEXT)]
    handling: Handling = Handling.PUBLIC


class WordsQuery(Strict):
    q: Annotated[str, Field(max_length=200)] = ""


class FindingShown(Shown):
    """A place in the text; -1 where it stands in the title. `waived` says why it may stand."""

    rule: str
    severity: str
    quote: str
    sentence: str
    start: int
    end: int
    basis: str
    way_out: str
    waived: str


class FindingsShown(Shown):
    findings: list[FindingShown]
    blocking: int


class EvidenceBody(Strict):
    kind: EvidenceKind
    statement: Line
    issuer: Annotated[str, Field(max_length=200)]
    dated_on: date | None = None
    scope: Annotated[str, Field(max_length=500)] = ""
    valid_until: date | None = None


class EvidenceShown(Shown):
    id: str
    kind: str
    statement: str
    issuer: str
    dated_on: date | None
    scope: str
    valid_until: date | None
    state: str
    cited_by: int


class EvidenceListShown(Shown):
    items: list[EvidenceShown]


class PermissionBody(Strict):
    customer: Annotated[str, Field(max_length=200)]
    handling: Handling
    aliases: Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=40)] = []
    covers: Annotated[list[Part], Field(max_length=5)] = [Part.NAME]
    valid_until: date | None = None
    note: Line = ""


class PermissionShown(Shown):
    id: str
    customer: str
    aliases: list[str]
    covers: list[str]
    handling: str
    valid_until: date | None
    note: str
    state: str


class PermissionListShown(Shown):
    items: list[PermissionShown]


class ReasonBody(Strict):
    reason: Annotated[str, Field(min_length=1, max_length=500)]


class NoteBody(Strict):
    note: Annotated[str, Field(max_length=500)] = ""


class AskedShown(Shown):
    party: str
    asked_at: datetime


class WaiverBody(Strict):
    """`passage` is the whole sentence, as the finding gives it."""

    rule: Annotated[str, Field(max_length=40)]
    passage: Annotated[str, Field(max_length=4000)]
    reason: Annotated[str, Field(max_length=1000)]
    evidence: Annotated[str, Field(max_length=20)] = ""


class WaiverShown(Shown):
    id: str
    rule: str
    passage: str


def _finding(told: Told) -> FindingShown:
    language = str(get_locale() or "en")
    finding = told.finding
    return FindingShown(
        rule=finding.rule,
        severity=finding.severity.value,
        quote=finding.quote,
        sentence=finding.sentence,
        start=finding.start,
        end=finding.end,
        basis=told.page.basis(language),
        way_out=told.page.way_out(language),
        waived=told.waived.reason if told.waived else "",
    )


@area.post("/compliance/check", needs=Permission.EDIT)
@spec.validate(resp=answers(HTTP_200=FindingsShown), tags=["compliance"])
def check(json: TextBody) -> FindingsShown:
    """Findings of the rules in force on a text, by what may leave."""
    with reading_session() as db:
        pages = {page.rule.id: page for page in rulebook.list_rules(db)}
        found = [Told(one, pages[one.rule], None) for one in checking.check_text(db, json.text, json.handling)]
    return FindingsShown(findings=[_finding(one) for one in found], blocking=sum(one.stops for one in found))


@area.get("/assets/<reference>/findings", needs=Permission.EDIT)
@spec.validate(resp=answers(HTTP_200=FindingsShown), tags=["compliance"])
def findings(reference: str) -> FindingsShown:
    """Findings on an asset's draft, or on its newest text where there is none."""
    with reading_session() as db:
        checked = checking.check_draft(db, actor(), reference)
    return FindingsShown(findings=[_finding(one) for one in checked.found], blocking=checked.stopping)


@area.post("/assets/<reference>/ask-legal", needs=Permission.EDIT)
@spec.validate(resp=answers(HTTP_201=AskedShown), tags=["compliance"])
def ask_legal(reference: str, json: NoteBody) -> Response:
    """Ask legal to look at what stops the draft; once, until they have answered."""

    def act(db: Any) -> AskedShown:
        row = asking.ask(db, actor(), reference, json.note)
        return AskedShown(party=row.party, asked_at=row.asked_at)

    return write(act, 201)


@area.post("/assets/<reference>/waivers", needs=Permission.PROVE)
@spec.validate(resp=answers(HTTP_201=WaiverShown), tags=["compliance"])
def waive(reference: str, json: WaiverBody) -> Response:
    """Legal lets one sentence stand against one rule, for as long as the sentence is unchanged."""

    def act(db: Any) -> WaiverShown:
        row = checking.waive(db, actor(), reference, json.rule, json.passage, json.reason, json.evidence)
        return WaiverShown(id=row.public_id, rule=row.rule, passage=row.passage)

    return write(act, 201)


@area.delete("/assets/<reference>/waivers/<waiver>", needs=Permission.PROVE)
@spec.validate(resp=answers(HTTP_200=FindingsShown), tags=["compliance"])
def revoke(reference: str, waiver: str) -> Response:
    """The finding counts again."""

    def act(db: Any) -> FindingsShown:
        checking.revoke(db, actor(), reference, waiver)
        checked = checking.check_draft(db, actor(), reference)
        return FindingsShown(findings=[_finding(one) for one in checked.found], blocking=checked.stopping)

    return write(act)


def _evidence(row: EvidenceRow) -> EvidenceShown:
    return EvidenceShown(
        id=row.key,
        kind=row.kind.value,
        statement=row.statement,
        issuer=row.issuer,
        dated_on=row.dated_on,
        scope=row.scope,
        valid_until=row.valid_until,
        state=row.state.value,
        cited_by=row.cited_by,
    )


@area.get("/evidence", needs=Permission.EDIT)
@spec.validate(resp=answers(HTTP_200=EvidenceListShown), tags=["registers"])
def list_evidence(query: WordsQuery) -> EvidenceListShown:
    """Records of evidence, those that ended first."""
    with reading_session() as db:
        rows = registers.list_evidence(db, actor(), query.q)
    return EvidenceListShown(items=[_evidence(row) for row in rows])


def _fields(json: EvidenceBody) -> EvidenceFields:
    return EvidenceFields(json.kind, json.statement, json.issuer, json.dated_on, json.scope, json.valid_until)


@area.post("/evidence", needs=Permission.PROVE)
@spec.validate(resp=answers(HTTP_201=EvidenceShown), tags=["registers"])
def add_evidence(json: EvidenceBody) -> Response:
    """A new record under the next free number."""
    return write(lambda db: _put(db, "", json), 201)


@area.put("/evidence/<key>", needs=Permission.PROVE)
@spec.validate(resp=answers(HTTP_200=EvidenceShown), tags=["registers"])
def change_evidence(key: str, json: EvidenceBody) -> Response:
    """Bring a record up to date; a renewed one ends the doubts it left."""
    return write(lambda db: _put(db, key, json))


def _put(db: Any, key: str, json: EvidenceBody) -> EvidenceShown:
    record = registers.put_evidence(db, actor(), key, _fields(json))
    return _evidence(registers.get_row(db, actor(), record.public_id))


@area.post("/evidence/<key>/withdraw", needs=Permission.PROVE)
@spec.validate(resp=answers(HTTP_200=EvidenceShown), tags=["registers"])
def withdraw_evidence(key: str, json: ReasonBody) -> Response:
    """It proves nothing from now on: every asset that cites it is unverified."""

    def act(db: Any) -> EvidenceShown:
        record = registers.withdraw_evidence(db, actor(), key, json.reason)
        return _evidence(registers.get_row(db, actor(), record.public_id))

    return write(act)


def _permission(row: PermissionRow) -> PermissionShown:
    return PermissionShown(
        id=row.public_id,
        customer=row.customer,
        aliases=list(row.aliases),
        covers=[part.value for part in row.covers],
        handling=row.handling.value,
        valid_until=row.valid_until,
        note=row.note,
        state=row.state.value,
    )


@area.get("/reference-permissions", needs=Permission.EDIT)
@spec.validate(resp=answers(HTTP_200=PermissionListShown), tags=["registers"])
def list_permissions(query: WordsQuery) -> PermissionListShown:
    """What customers allowed."""
    with reading_session() as db:
        rows = registers.list_permissions(db, actor(), query.q)
    return PermissionListShown(items=[_permission(row) for row in rows])


def _put_permission(db: Any, public_id: str, json: PermissionBody) -> PermissionShown:
    fields = PermissionFields(
        json.customer, json.handling, tuple(json.aliases), frozenset(json.covers), json.valid_until, json.note
    )
    return _permission(registers.permission_row(registers.put_permission(db, actor(), public_id, fields)))


@area.post("/reference-permissions", needs=Permission.PROVE)
@spec.validate(resp=answers(HTTP_201=PermissionShown), tags=["registers"])
def add_permission(json: PermissionBody) -> Response:
    """A customer's consent."""
    return write(lambda db: _put_permission(db, "", json), 201)


@area.put("/reference-permissions/<permission>", needs=Permission.PROVE)
@spec.validate(resp=answers(HTTP_200=PermissionShown), tags=["registers"])
def change_permission(permission: str, json: PermissionBody) -> Response:
    """Bring a consent up to date."""
    return write(lambda db: _put_permission(db, permission, json))


@area.post("/reference-permissions/<permission>/withdraw", needs=Permission.PROVE)
@spec.validate(resp=answers(HTTP_200=PermissionShown), tags=["registers"])
def withdraw_permission(permission: str, json: ReasonBody) -> Response:
    """The customer took it back: texts that name it are unverified."""
    return write(
        lambda db: _permission(
            registers.permission_row(registers.withdraw_permission(db, actor(), permission, json.reason))
        )
    )
