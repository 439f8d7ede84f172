"""Recalls: who used a text on which deal, what takes its place, and what each of them says the customer got."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session, aliased

from content import drafting, publishing, service
from content.deals import Deal
from content.kinds import Outcome, VersionState
from content.models import Asset, AssetOwner, UseEvent, Version
from content.visibility import USES, editable_by, is_for, visible_to
from kb import audit, clock, notices, users
from kb.access import SYSTEM, Actor, Permission, Role, require
from kb.db import Database
from kb.errors import N_, Conflict, Invalid, NotFound
from kb.users import User, UserRole
from review.models import Recall, RecallLine, UrgentCase

USED_WITHIN: Final = timedelta(days=180)
PATIENCE: Final = timedelta(hours=24)
LONGEST: Final = 2_000
AT_ONCE: Final = 500


class Given(StrEnum):
    """What became of a recalled text with the customer."""

    NOT_GIVEN = "not_given"
    CORRECTED = "corrected"
    NO_CORRECTION = "no_correction"


class AnsweredAlready(Conflict):
    code, message = "answered_already", N_("This has been answered already.")


@dataclass(frozen=True, slots=True)
class LineShown:
    """One person's use on one deal; `deal` is empty where none was chosen, `replacement` where the reader has none.

    Title and reason are empty for a manager, or a deal's new owner, for whom the text is not.
    """

    public_id: str
    recall_id: str
    title: str
    language: str
    reason: str
    replacement: str
    replacement_title: str
    used_by: str
    asked: str
    deal: str
    is_deal_open: bool
    versions: tuple[int, ...]
    uses: int
    last_used_at: datetime
    told_at: datetime
    answer: Given | None
    note: str
    answered_by: str
    answered_at: datetime | None
    escalated_at: datetime | None

    @property
    def is_open(self) -> bool:
        return self.answer is None


@dataclass(frozen=True, slots=True)
class RecallShown:
    """One recall for who answers for the content; over, once no line on an open deal is without answer."""

    public_id: str
    asset_id: str
    title: str
    language: str
    number: int
    reason: str
    begun_at: datetime
    begun_by: str
    replacement: str
    lines: tuple[LineShown, ...]
    told: int
    answered: int
    missing: int
    """Lines without answer on deals that are still open."""

    @property
    def is_over(self) -> bool:
        return self.missing == 0


# --- begin ---


def begin(
    session: Session,
    actor: Actor,
    asset_id: int,
    version_id: int,
    reason: str,
    replacement_id: int | None,
    case_id: int | None = None,
) -> Recall:
    """List who used this text or an older one within 180 days, and tell each of them; the caller has asked for the right."""
    asset, version = session.get_one(Asset, asset_id), session.get_one(Version, version_id)
    row = Recall(
        asset_id=asset_id,
        version_id=version_id,
        case_id=case_id,
        replacement_id=replacement_id,
        reason=reason,
        begun_by_id=actor.user_id,
        begun_at=clock.now(),
    )
    session.add(row)
    session.flush()
    lines = _used(session, asset_id, version.number, row)
    session.add_all(lines)
    session.flush()
    told = {"asset": asset.public_id, "version": version.number, "told": len(lines), "reason": reason}
    audit.record(session, actor, "recall.begin", "recall", row.public_id, **told)
    for user_id in sorted({line.answers_id for line in lines if line.answers_id is not None}):
        notices.tell(session, user_id, "recall", asset_id, f"recall:{row.id}")  # one, however many deals
    return row


def _used(session: Session, asset_id: int, number: int, row: Recall) -> list[RecallLine]:
    """One line a person and deal; what was used before versions were noted counts as an older one."""
    rows = session.execute(
        select(
            UseEvent.user_id,
            UseEvent.deal_id,
            Version.number,
            func.count(UseEvent.id).label("uses"),
            func.max(UseEvent.at).label("last"),
        )
        .outerjoin(Version, Version.id == UseEvent.version_id)
        .where(
            UseEvent.asset_id == asset_id,
            UseEvent.kind.in_(USES),
            UseEvent.at >= row.begun_at - USED_WITHIN,
            or_(Version.number.is_(None), Version.number <= number),
        )
        .group_by(UseEvent.user_id, UseEvent.deal_id, Version.number)
    ).all()
    found: dict[tuple[int | None, int | None], RecallLine] = {}
    for used in rows:
        line = found.setdefault(
            (used.user_id, used.deal_id),
            RecallLine(
                recall_id=row.id,
                used_by_id=used.user_id,
                answers_id=_answers(session, used.user_id, used.deal_id),
                deal_id=used.deal_id,
                versions=[],
                uses=0,
                last_used_at=used.last,
                told_at=row.begun_at,
            ),
        )
        line.uses += used.uses
        line.last_used_at = max(line.last_used_at, used.last)
        if used.number is not None:
            line.versions = sorted({*line.versions, used.number})
    return list(found.values())


def _answers(session: Session, user_id: int | None, deal_id: int | None) -> int | None:
    """Who used it; where they have left, the deal's present owner, else that owner's manager."""
    owner = select(Deal.owner_id).where(Deal.id == deal_id).scalar_subquery()
    manager = select(User.manager_id).where(User.id == owner).scalar_subquery()
    there = set(
        session.scalars(
            select(User.id).where(
                or_(User.id == user_id, User.id == owner, User.id == manager), User.deactivated_at.is_(None)
            )
        )
    )
    if user_id in there:
        return user_id
    owner_id = session.scalar(select(owner))
    return owner_id if owner_id in there else next(iter(there), None)


def recall(session: Session, actor: Actor, reference: str, reason: str, replacement: str = "") -> Recall:
    """Withdraw an asset, with its translations, and tell those who used any of them.

    `replacement` is another asset's id or empty; it is named for the asset itself, in whose language it is.
    """
    require(actor, Permission.PUBLISH)
    asset = service.get_editable(session, actor, reference)
    version = service.find_version(session, asset, VersionState.PUBLISHED)
    other = _replacement(session, actor, asset, replacement) if replacement.strip() else None
    case_id = session.scalar(select(UrgentCase.id).where(UrgentCase.asset_id == asset.id, UrgentCase.state == "open"))
    with_it = publishing.withdraw(session, actor, asset, reason)  # raises without a reason, or with nothing published
    assert version is not None
    for public_id in with_it:
        _recall_translation(session, actor, public_id, reason.strip()[:LONGEST])
    begun = session.scalar(select(Recall).where(Recall.case_id == case_id)) if case_id is not None else None
    if begun is not None:  # an urgent case was open: the withdrawal ended it, and has told them already
        begun.replacement_id = other
        session.flush()
        return begun
    return begin(session, actor, asset.id, version.id, reason.strip()[:LONGEST], other)


def _recall_translation(session: Session, actor: Actor, public_id: str, reason: str) -> None:
    """What went with its source was as wrong; where an urgent case of its own was open, its end has told them already."""
    asset = session.scalars(select(Asset).where(Asset.public_id == public_id)).one()
    version = service.find_version(session, asset, VersionState.WITHDRAWN)
    assert version is not None
    told = select(Recall.id).where(Recall.asset_id == asset.id, Recall.version_id == version.id)
    if session.scalar(told) is None:
        begin(session, actor, asset.id, version.id, reason, None)


def _replacement(session: Session, actor: Actor, asset: Asset, reference: str) -> int:
    found = session.scalar(
        select(Asset.id)
        .join(Version, and_(Version.asset_id == Asset.id, Version.state == VersionState.PUBLISHED.value))
        .where(drafting.is_reference(reference.strip()), editable_by(actor))
    )
    if found is None or found == asset.id:
        raise Invalid(N_("Name a published asset by its id as the replacement, or none."), code="replacement")
    return found


# --- answers ---


def answer(session: Session, actor: Actor, public_id: str, given: Given, note: str) -> RecallLine:
    """Say what the customer got: by whoever is asked, or by their manager."""
    require(actor, Permission.USE)
    line = session.scalar(
        select(RecallLine).where(RecallLine.public_id == public_id, _may_answer(actor)).with_for_update()
    )
    if line is None:
        raise NotFound()
    if line.answer:
        raise AnsweredAlready()
    cleaned = note.strip()[:LONGEST]
    if given is Given.CORRECTED and not cleaned:
        raise Invalid(N_("Say when and how it was corrected."), code="note_missing")
    if given is Given.NO_CORRECTION and not cleaned:
        raise Invalid(N_("Say why nothing has to be corrected."), code="note_missing")
    line.answer, line.note = given.value, cleaned
    line.answered_at, line.answered_by_id = clock.now(), actor.user_id
    session.flush()
    row = session.get_one(Recall, line.recall_id)
    told = {"answer": given.value, "note": cleaned, "line": line.public_id}
    audit.record(session, actor, "recall.answer", "recall", row.public_id, **told)
    return line


def _may_answer(actor: Actor) -> ColumnElement[bool]:
    people = select(User.id).where(User.manager_id == actor.user_id)
    return or_(RecallLine.answers_id == actor.user_id, RecallLine.answers_id.in_(people))


# --- looking ---

_used_by, _asked = aliased(User), aliased(User)


def _lines(rule: ColumnElement[bool]) -> Any:
    return (
        select(RecallLine, Recall, Version, Deal, _used_by.name.label("used_by"), _asked.name.label("asked"))
        .join(Recall, Recall.id == RecallLine.recall_id)
        .join(Version, Version.id == Recall.version_id)
        .outerjoin(Deal, Deal.id == RecallLine.deal_id)
        .outerjoin(_used_by, _used_by.id == RecallLine.used_by_id)
        .outerjoin(_asked, _asked.id == RecallLine.answers_id)
        .where(rule)
        .order_by(RecallLine.answer != "", Deal.outcome.is_distinct_from(Outcome.OPEN.value), RecallLine.id)
    )


def list_mine(session: Session, actor: Actor, *, of_my_people: bool = False, limit: int = 200) -> Sequence[LineShown]:
    """What this person is asked, unanswered first; or what their people are asked and have not answered."""
    require(actor, Permission.USE)
    people = select(User.id).where(User.manager_id == actor.user_id)
    rule = (
        and_(RecallLine.answers_id.in_(people), RecallLine.answer == "")
        if of_my_people
        else RecallLine.answers_id == actor.user_id
    )
    return _shown(session, actor, session.execute(_lines(rule).limit(limit)).all())


def waiting_for(session: Session, actor: Actor) -> int:
    """How many answers this person owes, for the menu."""
    return (
        session.scalar(select(func.count()).where(RecallLine.answers_id == actor.user_id, RecallLine.answer == "")) or 0
    )


def _shown(session: Session, actor: Actor, rows: Sequence[Any]) -> list[LineShown]:
    wanted = {row.Recall.replacement_id for row in rows if row.Recall.replacement_id is not None}
    there = {
        row.id: row
        for row in session.execute(
            select(Asset.id, Asset.public_id, Version.title)
            .join(Version, and_(Version.asset_id == Asset.id, Version.state == VersionState.PUBLISHED.value))
            .where(Asset.id.in_(wanted), visible_to(actor, None))
        )
    }
    own = or_(is_for(actor), editable_by(actor))
    asked = {row.Recall.asset_id for row in rows}
    named = set(session.scalars(select(Asset.id).where(Asset.id.in_(asked), own)))
    names = users.list_names(session, {row.RecallLine.answered_by_id for row in rows if row.RecallLine.answered_by_id})
    shown = []
    for row in rows:
        line, found = row.RecallLine, there.get(row.Recall.replacement_id or 0)
        may_name = row.Recall.asset_id in named or line.used_by_id == actor.user_id
        shown.append(
            LineShown(
                line.public_id,
                row.Recall.public_id,
                row.Version.title if may_name else "",
                row.Version.language if may_name else "",
                row.Recall.reason if may_name else "",
                found.public_id if found is not None else "",
                found.title if found is not None else "",
                row.used_by or "",
                row.asked or "",
                f"{row.Deal.external_id} · {row.Deal.account}" if row.Deal is not None else "",
                row.Deal is not None and row.Deal.outcome == Outcome.OPEN.value,
                tuple(line.versions),
                line.uses,
                line.last_used_at,
                line.told_at,
                Given(line.answer) if line.answer else None,
                line.note,
                names.get(line.answered_by_id or 0, ""),
                line.answered_at,
                line.escalated_at,
            )
        )
    return shown


def get(session: Session, actor: Actor, public_id: str) -> RecallShown:
    """A recall with all its lines, for who may edit the asset."""
    require(actor, Permission.EDIT)
    row = session.scalar(
        select(Recall).join(Asset, Asset.id == Recall.asset_id).where(Recall.public_id == public_id, editable_by(actor))
    )
    if row is None:
        raise NotFound()
    return _recall(session, actor, row)


def list_recalls(session: Session, actor: Actor, limit: int = 50) -> Sequence[RecallShown]:
    """Recalls of assets that this person edits, newest first."""
    require(actor, Permission.EDIT)
    rows = session.scalars(
        select(Recall)
        .join(Asset, Asset.id == Recall.asset_id)
        .where(editable_by(actor))
        .order_by(Recall.id.desc())
        .limit(limit)
    ).all()
    return [_recall(session, actor, row) for row in rows]


def _recall(session: Session, actor: Actor, row: Recall) -> RecallShown:
    asset, version = session.get_one(Asset, row.asset_id), session.get_one(Version, row.version_id)
    lines = _shown(session, actor, session.execute(_lines(RecallLine.recall_id == row.id)).all())
    names = users.list_names(session, [row.begun_by_id] if row.begun_by_id else [])
    replacement = session.get(Asset, row.replacement_id) if row.replacement_id is not None else None
    return RecallShown(
        row.public_id,
        asset.public_id,
        version.title,
        version.language,
        version.number,
        row.reason,
        row.begun_at,
        names.get(row.begun_by_id or 0, ""),
        replacement.public_id if replacement is not None else "",
        tuple(lines),
        len(lines),
        sum(not line.is_open for line in lines),
        sum(line.is_open and line.is_deal_open for line in lines),
    )


def count_open(session: Session, actor: Actor) -> tuple[int, int]:
    """How many recalls of assets that this person edits wait for answers on open deals, and for how many."""
    row = session.execute(
        select(func.count(func.distinct(Recall.id)), func.count())
        .select_from(RecallLine)
        .join(Recall, Recall.id == RecallLine.recall_id)
        .join(Asset, Asset.id == Recall.asset_id)
        .where(RecallLine.answer == "", RecallLine.deal_id.in_(_open_deals()), editable_by(actor))
    ).one()
    return row[0], row[1]


def of_case(session: Session, case_id: int) -> str:
    """The public id of the recall that ended a case; empty where none did."""
    return session.scalar(select(Recall.public_id).where(Recall.case_id == case_id)) or ""


# --- the clock ---


def sweep(database: Database) -> Callable[[], None]:
    """The worker's look at answers that are missing for a day, and at those asked who have left."""

    def look() -> None:
        with database.reading() as session:
            late = session.scalars(select(RecallLine.id).where(_is_late()).limit(AT_ONCE)).all()
            left = session.scalars(select(RecallLine.id).where(_has_left()).limit(AT_ONCE)).all()
        for line_id in left:
            _pass_on(database, line_id)
        for line_id in late:
            _escalate(database, line_id)

    return look


def _open_deals() -> Any:
    return select(Deal.id).where(Deal.outcome == Outcome.OPEN.value)


def _is_late() -> ColumnElement[bool]:
    return and_(
        RecallLine.answer == "",
        RecallLine.escalated_at.is_(None),
        RecallLine.told_at <= clock.now() - PATIENCE,
        RecallLine.deal_id.in_(_open_deals()),
    )


def _has_left() -> ColumnElement[bool]:
    gone = select(User.id).where(User.deactivated_at.is_not(None))
    return and_(RecallLine.answer == "", RecallLine.answers_id.in_(gone), RecallLine.deal_id.in_(_open_deals()))


def _pass_on(database: Database, line_id: int) -> None:
    with database.writing() as session:
        line = session.scalar(select(RecallLine).where(RecallLine.id == line_id, _has_left()).with_for_update())
        if line is None:
            return
        line.answers_id, line.told_at = _answers(session, line.used_by_id, line.deal_id), clock.now()
        session.flush()
        row = session.get_one(Recall, line.recall_id)
        if line.answers_id is not None:
            notices.tell(session, line.answers_id, "recall", row.asset_id, f"recall:{row.id}:{line.id}")
        audit.record(session, SYSTEM, "recall.pass_on", "recall", row.public_id, line=line.public_id)


def _escalate(database: Database, line_id: int) -> None:
    with database.writing() as session:
        line = session.scalar(select(RecallLine).where(RecallLine.id == line_id, _is_late()).with_for_update())
        if line is None:
            return
        line.escalated_at = clock.now()
        row = session.get_one(Recall, line.recall_id)
        manager = session.scalar(select(User.manager_id).where(User.id == line.answers_id))
        owners = select(AssetOwner.user_id).where(AssetOwner.asset_id == row.asset_id)
        coordinators = select(UserRole.user_id).where(UserRole.role == Role.COORDINATOR.value)
        people = {manager} if manager is not None else set(session.scalars(owners.union(coordinators)).all())
        for user_id in people:
            notices.tell(session, user_id, "recall_late", row.asset_id, f"recall_late:{row.id}")
        session.flush()
        audit.record(session, SYSTEM, "recall.escalate", "recall", row.public_id, line=line.public_id)
