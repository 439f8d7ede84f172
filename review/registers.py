"""The registers: evidence that texts cite, and what customers allowed. What ends there leaves a doubt on every asset."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, TypeVar

from sqlalchemy import ColumnElement, Select, delete, func, or_, select
from sqlalchemy.orm import Session

from content import filestore
from content.files import Served
from content.filestore import Kept
from content.kinds import Handling, VersionState
from content.models import Asset, Doubt, StoredFile, Version
from content.visibility import editable_by
from kb import audit, clock
from kb.access import Actor, Permission, require
from kb.config import Settings
from kb.db import Database, take_turn
from kb.errors import N_, Invalid, NotFound
from review.models import Evidence, ReferencePermission

MOST_ROWS: Final = 2_000
LONGEST: Final = 2_000
SWEEP_EVERY: Final = timedelta(minutes=5)
CAUSE: Final[Mapping[type[Evidence | ReferencePermission], str]] = {
    Evidence: "evidence",
    ReferencePermission: "reference_permission",
}


class EvidenceKind(StrEnum):
    TEST = "test"
    SURVEY = "survey"
    CONTRACT = "contract"
    CERTIFICATE = "certificate"
    PATENT = "patent"
    AWARD = "award"


KIND_NAMES: Mapping[EvidenceKind, str] = {
    EvidenceKind.TEST: N_("Test"),
    EvidenceKind.SURVEY: N_("Survey"),
    EvidenceKind.CONTRACT: N_("Contract"),
    EvidenceKind.CERTIFICATE: N_("Certificate"),
    EvidenceKind.PATENT: N_("Patent"),
    EvidenceKind.AWARD: N_("Award"),
}


class Part(StrEnum):
    """What of a customer may be used."""

    NAME = "name"
    LOGO = "logo"
    QUOTE = "quote"
    FIGURES = "figures"
    PERSON = "person"


PART_NAMES: Mapping[Part, str] = {
    Part.NAME: N_("Name"),
    Part.LOGO: N_("Logo"),
    Part.QUOTE: N_("Words quoted"),
    Part.FIGURES: N_("Figures"),
    Part.PERSON: N_("Person"),
}


class RecordState(StrEnum):
    VALID = "valid"
    ENDS_SOON = "ends_soon"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


ENDS_SOON: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class EvidenceFields:
    """What an evidence record says; `number` 0 takes the next free one."""

    kind: EvidenceKind
    statement: str
    issuer: str
    dated_on: date | None = None
    scope: str = ""
    valid_until: date | None = None
    number: int = 0


@dataclass(frozen=True, slots=True)
class PermissionFields:
    """What a customer allowed."""

    customer: str
    handling: Handling
    aliases: tuple[str, ...] = ()
    covers: frozenset[Part] = frozenset({Part.NAME})
    valid_until: date | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class EvidenceRow:
    """A record as the register shows it, with how many published assets cite it."""

    public_id: str
    key: str
    kind: EvidenceKind
    statement: str
    issuer: str
    dated_on: date | None
    scope: str
    valid_until: date | None
    filename: str
    state: RecordState
    reason: str
    cited_by: int


@dataclass(frozen=True, slots=True)
class PermissionRow:
    public_id: str
    customer: str
    aliases: tuple[str, ...]
    covers: tuple[Part, ...]
    handling: Handling
    valid_until: date | None
    note: str
    filename: str
    state: RecordState
    reason: str


@dataclass(frozen=True, slots=True)
class Citing:
    """An asset whose published text cites a record."""

    public_id: str
    title: str
    language: str


def key_of(number: int) -> str:
    return f"E-{number}"


def state_of(record: Evidence | ReferencePermission, today: date) -> RecordState:
    """Whether a record holds on that day; the last day of its validity counts."""
    if record.withdrawn_at is not None:
        return RecordState.WITHDRAWN
    if record.ends_on is None or record.ends_on > today + ENDS_SOON:
        return RecordState.VALID
    return RecordState.ENDS_SOON if record.ends_on >= today else RecordState.EXPIRED


def holds(record: Evidence | ReferencePermission, today: date) -> bool:
    return state_of(record, today) in {RecordState.VALID, RecordState.ENDS_SOON}


# --- evidence ---


def list_evidence(session: Session, actor: Actor, words: str = "") -> Sequence[EvidenceRow]:
    """All records, what ends first on top; narrowed by words of key, statement, issuer or scope."""
    require(actor, Permission.EDIT)
    statement: Select[Evidence] = select(Evidence).order_by(Evidence.number).limit(MOST_ROWS)
    wanted = words.strip()
    if wanted:
        part = f"%{wanted.replace('%', '').replace('_', '')}%"
        number = int(wanted[2:]) if wanted.upper().startswith("E-") and wanted[2:].isdigit() else -1
        fields = (Evidence.statement, Evidence.issuer, Evidence.scope)
        statement = statement.where(or_(Evidence.number == number, *(field.ilike(part) for field in fields)))
    cited = _citing(session, editable_by(actor))
    today = clock.now().date()
    rows = [
        _evidence_row(record, today, len(cited.get(key_of(record.number), ()))) for record in session.scalars(statement)
    ]
    order = [RecordState.EXPIRED, RecordState.ENDS_SOON, RecordState.VALID, RecordState.WITHDRAWN]
    return sorted(rows, key=lambda row: order.index(row.state))


def _evidence_row(record: Evidence, today: date, cited_by: int) -> EvidenceRow:
    return EvidenceRow(
        record.public_id,
        key_of(record.number),
        EvidenceKind(record.kind),
        record.statement,
        record.issuer,
        record.dated_on,
        record.scope,
        record.ends_on,
        record.filename,
        state_of(record, today),
        record.withdrawn_reason,
        cited_by,
    )


def list_citing(session: Session, actor: Actor, key: str) -> Sequence[Citing]:
    """Published assets the actor may edit that cite a record."""
    require(actor, Permission.EDIT)
    ids = _citing(session).get(key, set())
    rows = session.execute(
        select(Asset.public_id, Version.title, Version.language)
        .join(Version, Version.asset_id == Asset.id)
        .where(Asset.id.in_(ids), Version.state == VersionState.PUBLISHED.value, editable_by(actor))
        .order_by(Version.title)
    )
    return [Citing(*row) for row in rows]


def _citing(session: Session, rule: ColumnElement[bool] | None = None) -> Mapping[str, set[int]]:
    """Published assets by the keys they cite, read once for all records."""
    statement = select(Version.asset_id, Version.cited_evidence).where(Version.state == VersionState.PUBLISHED.value)
    if rule is not None:
        statement = statement.join(Asset, Asset.id == Version.asset_id).where(rule)
    found: dict[str, set[int]] = {}
    for asset_id, keys in session.execute(statement):
        for key in keys:
            found.setdefault(key, set()).add(asset_id)
    return found


def put_evidence(
    session: Session, actor: Actor, public_id: str, fields: EvidenceFields, kept: Kept | None = None
) -> Evidence:
    """Add a record (empty id), or bring one up to date; a renewed one ends the doubts it left."""
    require(actor, Permission.PROVE)
    _check_text(fields.statement, "statement", N_("Say what it proves, in one sentence."))
    _check_text(fields.issuer, "issuer", N_("Say who issued it."))
    if fields.dated_on is not None and fields.dated_on > clock.now().date() + timedelta(days=1):
        raise Invalid(N_("The date of issue lies in the future."), code="dated_on")
    take_turn(session, "evidence")
    record = get_evidence(session, public_id) if public_id else _new_evidence(session, actor, fields.number)
    for name in ("statement", "issuer", "scope"):
        setattr(record, name, getattr(fields, name).strip())
    record.kind, record.dated_on, record.ends_on = fields.kind.value, fields.dated_on, fields.valid_until
    record.issuer, record.scope = record.issuer[:200], record.scope[:500]
    _bring_back(record)
    _take_file(session, record, kept)
    session.add(record)
    session.flush()
    action = "evidence.change" if public_id else "evidence.add"
    audit.record(session, actor, action, "evidence", key_of(record.number), **_told(record))
    settle_doubts(session, record)
    return record


def _new_evidence(session: Session, actor: Actor, number: int) -> Evidence:
    if number and session.scalar(select(Evidence.id).where(Evidence.number == number)) is not None:
        raise Invalid(N_("That number is taken: leave it empty for the next one."), code="number_taken")
    next_one = (session.scalar(select(func.max(Evidence.number))) or 0) + 1
    return Evidence(number=number or next_one, created_by_id=actor.user_id)


def get_evidence(session: Session, public_id: str) -> Evidence:
    """By its id, or by its key such as `E-7`; NotFound for every other one."""
    by_key = public_id.upper().startswith("E-") and public_id[2:].isdigit() and len(public_id) < 12
    which = Evidence.number == int(public_id[2:]) if by_key else Evidence.public_id == public_id
    record = session.scalar(select(Evidence).where(which))
    if record is None:
        raise NotFound()
    return record


def get_row(session: Session, actor: Actor, public_id: str) -> EvidenceRow:
    """One record as pages show it."""
    require(actor, Permission.EDIT)
    record = get_evidence(session, public_id)
    key = key_of(record.number)
    return _evidence_row(record, clock.now().date(), len(list_citing(session, actor, key)))


def withdraw_evidence(session: Session, actor: Actor, public_id: str, reason: str) -> Evidence:
    """It no longer proves anything, from this moment on; every asset that cites it is unverified."""
    require(actor, Permission.PROVE)
    record = get_evidence(session, public_id)
    _withdraw(session, record, reason)
    audit.record(session, actor, "evidence.withdraw", "evidence", key_of(record.number), reason=record.withdrawn_reason)
    settle_doubts(session, record)
    return record


# --- permissions of customers ---


def list_permissions(session: Session, actor: Actor, words: str = "") -> Sequence[PermissionRow]:
    require(actor, Permission.EDIT)
    wanted = words.strip().casefold()
    records = session.scalars(select(ReferencePermission).order_by(ReferencePermission.customer).limit(MOST_ROWS))
    rows = [permission_row(record) for record in records]
    found = [row for row in rows if wanted in "\n".join((row.customer, *row.aliases)).casefold()]
    order = [RecordState.EXPIRED, RecordState.ENDS_SOON, RecordState.VALID, RecordState.WITHDRAWN]
    return sorted(found, key=lambda row: order.index(row.state))


def permission_row(record: ReferencePermission) -> PermissionRow:
    """A consent as pages and answers show it, as of today."""
    return PermissionRow(
        record.public_id,
        record.customer,
        tuple(record.aliases),
        tuple(part for part in Part if part.value in record.covers),
        Handling(record.handling),
        record.ends_on,
        record.note,
        record.filename,
        state_of(record, clock.now().date()),
        record.withdrawn_reason,
    )


def put_permission(
    session: Session, actor: Actor, public_id: str, fields: PermissionFields, kept: Kept | None = None
) -> ReferencePermission:
    """Add what a customer allowed (empty id), or bring it up to date."""
    require(actor, Permission.PROVE)
    _check_text(fields.customer, "customer", N_("Name the customer."))
    if fields.handling is Handling.INTERNAL:
        raise Invalid(N_("A permission says what may leave: spoken, named or public."), code="handling")
    if not fields.covers:
        raise Invalid(N_("Say what the customer allows: the name at least."), code="covers")
    record = get_permission(session, public_id) if public_id else ReferencePermission(created_by_id=actor.user_id)
    _refuse_second_record(session, record, fields)
    if public_id and record.customer != fields.customer.strip()[:200]:
        _drop_doubts(session, record)
    record.customer = fields.customer.strip()[:200]
    record.aliases = sorted({alias.strip()[:200] for alias in fields.aliases if alias.strip()})[:40]
    record.covers = [part.value for part in Part if part in fields.covers]
    record.handling, record.ends_on = fields.handling.value, fields.valid_until
    record.note = fields.note.strip()[:LONGEST]
    _bring_back(record)
    _take_file(session, record, kept)
    session.add(record)
    session.flush()
    action = "permission.change" if public_id else "permission.add"
    audit.record(session, actor, action, "reference_permission", record.public_id, **_told(record))
    settle_doubts(session, record)
    return record


def _refuse_second_record(session: Session, record: ReferencePermission, fields: PermissionFields) -> None:
    """One record a customer: two would contradict each other."""
    wanted = {name.strip().casefold() for name in (fields.customer, *fields.aliases) if name.strip()}
    for other in session.scalars(select(ReferencePermission)):
        if other is not record and wanted & {name.casefold() for name in (other.customer, *other.aliases)}:
            raise Invalid(N_("That customer has a record already: bring that one up to date."), code="customer")


def get_permission(session: Session, public_id: str) -> ReferencePermission:
    record = session.scalar(select(ReferencePermission).where(ReferencePermission.public_id == public_id))
    if record is None:
        raise NotFound()
    return record


def withdraw_permission(session: Session, actor: Actor, public_id: str, reason: str) -> ReferencePermission:
    """The customer took it back: every published text that names it is unverified from this moment on."""
    require(actor, Permission.PROVE)
    record = get_permission(session, public_id)
    _withdraw(session, record, reason)
    audit.record(
        session, actor, "permission.withdraw", "reference_permission", public_id, reason=record.withdrawn_reason
    )
    settle_doubts(session, record)
    return record


# --- what both share ---


def get_file(
    session: Session, settings: Settings, actor: Actor, kind: type[Evidence | ReferencePermission], public_id: str
) -> Served:
    """The document behind a record, for those who work with content."""
    require(actor, Permission.EDIT)
    record = get_evidence(session, public_id) if kind is Evidence else get_permission(session, public_id)
    stored = session.scalar(select(StoredFile).where(StoredFile.sha256 == record.sha256)) if record.sha256 else None
    if stored is None:
        raise NotFound()
    return Served(filestore.open_path(settings, stored.sha256), stored.media_type, record.filename, None)


def _check_text(text: str, code: str, message: str) -> None:
    if not text.strip() or len(text) > LONGEST:
        raise Invalid(message, code=code)


def _take_file(session: Session, record: Evidence | ReferencePermission, kept: Kept | None) -> None:
    if kept is not None:
        filestore.store(session, kept)
        record.sha256, record.filename = kept.sha256, kept.filename[:255]


def _withdraw(session: Session, record: Evidence | ReferencePermission, reason: str) -> None:
    if not reason.strip():
        raise Invalid(N_("Say why: those who cite it will ask."), code="reason_missing")
    record.withdrawn_at = record.withdrawn_at or clock.now()
    record.withdrawn_reason = reason.strip()[:500]
    session.flush()


def _bring_back(record: Evidence | ReferencePermission) -> None:
    """Who saves a withdrawn record says that it holds again."""
    record.withdrawn_at, record.withdrawn_reason = None, ""


def _drop_doubts(session: Session, record: Evidence | ReferencePermission) -> None:
    session.execute(delete(Doubt).where(Doubt.cause == CAUSE[type(record)], Doubt.about == about_of(record)))


def _told(record: Evidence | ReferencePermission) -> dict[str, Any]:
    """The record as the audit trail keeps it."""
    left_out = {"id", "created_at", "created_by_id"}
    return {
        column.key: getattr(record, column.key)
        for column in record.__table__.columns
        if column.key not in left_out and getattr(record, column.key) not in (None, "", [])
    }


def about_of(record: Evidence | ReferencePermission) -> str:
    """How a doubt names the record."""
    return key_of(record.number) if isinstance(record, Evidence) else record.customer[:200]


def settle_doubts(session: Session, record: Evidence | ReferencePermission) -> int:
    """Bring the doubts of all assets that rest on a record to what it is worth now; answers how many are doubted."""
    cause, about = CAUSE[type(record)], about_of(record)
    wanted = set() if holds(record, clock.now().date()) else set(_resting_on(session, record))
    present = _doubted(session, record)
    gone = present - wanted
    if gone:
        session.execute(delete(Doubt).where(Doubt.cause == cause, Doubt.about == about, Doubt.asset_id.in_(gone)))
    session.add_all(
        Doubt(asset_id=asset_id, cause=cause, about=about, blocks_verification=True)
        for asset_id in sorted(wanted - present)
    )
    session.flush()
    return len(wanted)


def _resting_on(session: Session, record: Evidence | ReferencePermission) -> Iterable[int]:
    if isinstance(record, Evidence):
        return _citing(session).get(key_of(record.number), set())
    names = [name for name in (record.customer, *record.aliases) if name]
    outward = [handling.value for handling in Handling if handling is not Handling.INTERNAL]
    return session.scalars(
        select(Version.asset_id).where(
            Version.state == VersionState.PUBLISHED.value,
            Version.handling.in_(outward),
            or_(*(Version.text.contains(name, autoescape=True) for name in names)),
        )
    ).all()


def sweep(database: Database) -> Callable[[], None]:
    """What ran out since the last look leaves its doubts the same day."""
    looked_at: datetime | None = None

    def look() -> None:
        nonlocal looked_at
        now = clock.now()
        if looked_at is not None and now - looked_at < SWEEP_EVERY:
            return
        looked_at = now
        settle_all(database)

    return look


def settle_all(database: Database) -> int:
    """Go through all records that no longer hold; answers how many assets are doubted."""
    with database.reading() as session:
        citing = _citing(session)
        fresh = [
            record.public_id
            for record in _ended(session, Evidence)
            if citing.get(key_of(record.number), set()) != _doubted(session, record)
        ]
        taken_back = [
            record.public_id
            for record in _ended(session, ReferencePermission)
            if set(_resting_on(session, record)) != _doubted(session, record)
        ]
    doubted = 0
    for public_id in fresh:
        with database.writing() as session:
            doubted += settle_doubts(session, get_evidence(session, public_id))
    for public_id in taken_back:
        with database.writing() as session:
            doubted += settle_doubts(session, get_permission(session, public_id))
    return doubted


Kind = TypeVar("Kind", Evidence, ReferencePermission)


def _ended(session: Session, kind: type[Kind]) -> Sequence[Kind]:
    today = clock.now().date()
    return session.scalars(
        select(kind).where(or_(kind.ends_on < today, kind.withdrawn_at.is_not(None))).order_by(kind.id)
    ).all()


def _doubted(session: Session, record: Evidence | ReferencePermission) -> set[int]:
    return set(
        session.scalars(
            select(Doubt.asset_id).where(Doubt.cause == CAUSE[type(record)], Doubt.about == about_of(record))
        )
    )
